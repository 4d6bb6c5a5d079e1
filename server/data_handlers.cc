#include "server/data_handlers.h"

#include <linux/falloc.h>

#include <algorithm>

#include "sdk/base/log.h"
#include "server/crc32c.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

constexpr size_t kReadManyMax = 256;
constexpr uint32_t kReadManyFile_bytes = 1 << 20;
constexpr uint32_t kExtentsMax = 4096;

}  // namespace

Errno read(Turn& turn, const ReadArgs& args, ReadState& state,
           const std::shared_ptr<ReadState>& ref, ReadAnswer& reply) {
  if (turn.phase() != 0) {
    if (!state.result->ok()) return state.result->error();
    reply.data = std::move(*state.result).value();
    reply.size = state.size;
    reply.change = state.change;
    reply.eof = args.off >= state.size || state.size - args.off <= args.len;
    turn.shard().counters().bytes_out += reply.data.size();
    return {};
  }
  Result<InodeRef> inode = turn.node(args.node);
  if (!inode.ok()) return inode.error();
  uint64_t ino = args.node.ino;
  Errno error = may_access_data(turn, ino, **inode, args.opener, kAccessRead);
  if (!error.ok()) return error;
  if (args.len > kIoMax_bytes) return Errno(EINVAL);
  turn.recall(ino, kPartW);
  if (turn.blocked()) return {};
  // What the store has, not what is on its way there.
  const InodeRecord* committed = turn.shard().committed_inode(ino);
  if (committed == nullptr) return Errno(ESTALE);
  state.size = committed->size;
  state.change = committed->change;
  turn.use_content(ino);
  turn.go_async([&shard = turn.shard(), request = turn.request(), args, ref] {
    shard.data().read(args.node.ino, args.off, args.len,
                      [&shard, request, ref](Result<DataBuffer> data) {
                        ref->result.emplace(std::move(data));
                        shard.resume(request);
                      });
  });
  return {};
}

namespace {

// What was damaged on its way must not be stored, least of all under a checksum of our own.
Errno check_crcs(Turn& turn, const WriteArgs& args) {
  if (args.crcs.empty()) return {};
  if (args.crcs.size() != (args.data.size() + kBlockSize_bytes - 1) / kBlockSize_bytes)
    return Errno(EPROTO);
  std::span<const uint8_t> rest = args.data;
  for (uint32_t crc : args.crcs) {
    const auto block = rest.first(std::min<size_t>(rest.size(), kBlockSize_bytes));
    if (crc32c(block) != crc) {
      ++turn.shard().counters().damaged_writes;
      log(LogLevel::kError, "session %d: a write of inode %d arrived damaged at byte %d",
          turn.session().id, args.node.ino, args.off + args.data.size() - rest.size());
      return Errno(EBADMSG);
    }
    rest = rest.subspan(block.size());
  }
  return {};
}

Errno begin_write(Turn& turn, const WriteArgs& args, const std::shared_ptr<WriteState>& state,
                  WriteAnswer& reply) {
  Result<InodeRef> inode = turn.node(args.node);
  if (!inode.ok()) return inode.error();
  const InodeRecord& record = **inode;
  Shard& shard = turn.shard();
  uint64_t ino = args.node.ino;
  uint8_t access = args.append ? kAccessWrite | kAccessAppendOnly : kAccessWrite;
  Errno error = may_access_data(turn, ino, record, args.opener, access);
  if (!error.ok()) return error;
  if (args.data.size() > kIoMax_bytes) return Errno(EINVAL);
  turn.request()->payload_bytes = args.data.size();
  if ((args.flags & kWriteWriteback) != 0) {
    // A late one may not overwrite what others have written since.
    if (!shard.leases().held_write_since(turn.session().id, ino, args.lease_seq))
      return Errno(ESTALE);
    shard.leases().progress(turn.session().id, ino, shard.boottime());
  } else {
    turn.lane(ino);
    turn.recall(ino, kPartR | kPartW);
    turn.recall_own(ino, kPartW);
    if (drops_privileges(record, forced(turn, args.opener).cred)) turn.recall(ino, kPartA);
    if (turn.blocked()) return {};
  }
  if (error = check_crcs(turn, args); !error.ok()) return error;
  state->off = args.append ? std::max(record.size, shard.data().pending_end(ino)) : args.off;
  if (state->off > kFileSizeMax_bytes || args.data.size() > kFileSizeMax_bytes - state->off)
    return Errno(EFBIG);
  state->count = args.data.size();
  std::span<const uint8_t> data = args.data;
  if ((args.flags & kWriteWriteback) != 0 && args.has_trunc_gen) {
    std::optional<uint64_t> end = record.smallest_size_since(args.trunc_gen);
    // The client has the bytes, and sends what is left of them once it has heard of the
    // truncations.
    if (!end.has_value()) return Errno(EAGAIN);
    data = data.first(state->off >= *end ? 0 : std::min<uint64_t>(data.size(), *end - state->off));
  }
  shard.counters().bytes_in += data.size();
  if (data.empty()) {  // cut off, or nothing to begin with
    reply.count = state->count;
    reply.off = state->off;
    reply.stable = true;
    reply.verifier = shard.verifier();
    reply.node = turn.reply(ino, 0);
    return {};
  }
  turn.use_content(ino);
  Time mtime = (args.flags & kWriteWriteback) != 0 ? args.mtime : turn.now();
  if ((args.flags & kWriteKeepMtime) != 0) mtime = {};
  // Only the transaction with the record of the answer may bring what is not the same a second
  // time.
  if ((args.flags & kWriteWriteback) == 0) state->held = std::make_shared<HeldWrites>();
  turn.go_async([&shard, request = turn.request(), ino, data, mtime, state] {
    auto done = [&shard, request, state](Result<WriteReply> result) {
      state->stage = WriteState::Stage::kWritten;
      state->error = result.error();
      state->commit_wanted = result.ok() && result->commit_wanted;
      shard.resume(request);
    };
    shard.data().write(ino, state->off, data, std::move(done), mtime, state->held);
  });
  return {};
}

void answer_write(Turn& turn, const WriteArgs& args, const WriteState& state, bool stable,
                  WriteAnswer& reply) {
  reply.count = state.count;
  reply.off = state.off;
  reply.stable = stable && !turn.shard().options().relaxed;
  reply.verifier = turn.shard().verifier();
  reply.node = turn.reply(args.node.ino, 0);
}

}  // namespace

Errno write(Turn& turn, const WriteArgs& args, const std::shared_ptr<WriteState>& state,
            WriteAnswer& reply) {
  uint64_t ino = args.node.ino;
  bool writeback = (args.flags & kWriteWriteback) != 0;
  switch (state->stage) {
    case WriteState::Stage::kBegin:
      return begin_write(turn, args, state, reply);
    case WriteState::Stage::kWritten: {
      if (!state->error.ok()) return state->error;
      if (writeback && (args.flags & kWriteStable) == 0 && !state->commit_wanted) {
        answer_write(turn, args, *state, false, reply);
        return {};
      }
      state->stage = WriteState::Stage::kCommitted;
      start_commit(turn, ino, state->change, state->held);
      return {};
    }
    case WriteState::Stage::kCommitted: {
      Errno error = finish_commit(turn, ino, *state->change);
      if (!error.ok()) return error;
      Result<InodeRef> inode = turn.inode(ino);
      Cred cred = forced(turn, args.opener).cred;
      if (!writeback && inode.ok() && drops_privileges(**inode, cred))
        turn.edit(ino).mode = mode_without_privileges(owner_of(**inode), cred);
      answer_write(turn, args, *state, true, reply);
      return {};
    }
  }
  return Errno(EIO);
}

Errno commit(Turn& turn, const CommitArgs& args, const ContentChangeRef& change,
             WriteAnswer& reply) {
  if (turn.phase() == 0) {
    Result<InodeRef> inode = turn.node(args.node);
    if (!inode.ok()) return inode.error();
    turn.shard().leases().progress(turn.session().id, args.node.ino, turn.shard().boottime());
    if ((*inode)->is_regular()) {
      start_commit(turn, args.node.ino, change);
      return {};
    }
  } else {
    Errno error = finish_commit(turn, args.node.ino, *change);
    if (!error.ok()) return error;
  }
  if (turn.shard().options().relaxed) turn.must_be_durable();
  reply.verifier = turn.shard().verifier();
  reply.node = turn.reply(args.node.ino, 0);
  return {};
}

namespace {

enum class Allocation : uint8_t { kNothing, kGrow, kPunch };

Errno plan_fallocate(const FallocateArgs& args, uint64_t size, Allocation* plan) {
  constexpr uint32_t kKnown = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE;
  if (args.len == 0) return Errno(EINVAL);
  if ((args.mode & ~kKnown) != 0) return Errno(EOPNOTSUPP);
  if (args.off > kFileSizeMax_bytes || args.len > kFileSizeMax_bytes - args.off)
    return Errno(EFBIG);
  bool keep = (args.mode & FALLOC_FL_KEEP_SIZE) != 0;
  bool punches = (args.mode & FALLOC_FL_PUNCH_HOLE) != 0;
  bool zeroes = (args.mode & FALLOC_FL_ZERO_RANGE) != 0;
  if (punches && (!keep || zeroes)) return Errno(EOPNOTSUPP);
  bool grows = !keep && args.off + args.len > size;
  if (zeroes && grows) return Errno(EOPNOTSUPP);  // two changes that one crash could part
  *plan = punches || zeroes ? Allocation::kPunch : grows ? Allocation::kGrow : Allocation::kNothing;
  return {};
}

void start_fallocate(Turn& turn, const FallocateArgs& args, Allocation plan,
                     const ContentChangeRef& change) {
  turn.use_content(args.node.ino);
  turn.go_async([&shard = turn.shard(), request = turn.request(), args, plan, change] {
    auto done = [&shard, request, change](Result<DataChange> result) {
      change->result.emplace(std::move(result));
      shard.resume(request);
    };
    if (plan == Allocation::kGrow) {
      shard.data().truncate(args.node.ino, args.off + args.len, std::move(done));
    } else {
      shard.data().punch(args.node.ino, args.off, args.off + args.len, std::move(done));
    }
  });
}

// [file_modified] Whatever becomes of the content.
InodeRecord& modified(Turn& turn, uint64_t ino) {
  InodeRecord& inode = turn.edit(ino);
  inode.mtime = turn.now();
  if (drops_privileges(inode, turn.cred()))
    inode.mode = mode_without_privileges(owner_of(inode), turn.cred());
  return inode;
}

}  // namespace

Errno fallocate(Turn& turn, const FallocateArgs& args, const ContentChangeRef& change,
                ChangedReply& reply) {
  uint64_t ino = args.node.ino;
  if (turn.phase() == 0) {
    Result<InodeRef> inode = turn.node(args.node);
    if (!inode.ok()) return inode.error();
    Errno error = may_access_data(turn, ino, **inode, args.opener, kAccessWrite);
    if (!error.ok()) return error;
    turn.lane(ino);
    turn.recall(ino, kPartR | kPartW);
    turn.recall_own(ino, kPartW);
    if (drops_privileges(**inode, turn.cred())) turn.recall(ino, kPartA);
    if (turn.blocked()) return {};
    Allocation plan = Allocation::kNothing;
    uint64_t size = std::max((*inode)->size, turn.shard().data().pending_end(ino));
    if (error = plan_fallocate(args, size, &plan); !error.ok()) return error;
    if (plan != Allocation::kNothing) {
      start_fallocate(turn, args, plan, change);
      return {};
    }
    modified(turn, ino);
  } else {
    if (!change->result->ok()) return change->result->error();
    DataChange data = std::move(*change->result).value();
    data.apply_to(modified(turn, ino));
    turn.take(std::move(data));
  }
  reply.node = turn.reply(ino, kPartA, &args.opener);
  return {};
}

namespace {

// True: the walk is over. False: the request goes on later, or waits.
Result<bool> walk_on(Turn& turn, const Handle& node, const Opener& opener, ExtentWalk asked,
                     const WalkRef& state) {
  const uint64_t ino = node.ino;
  if (turn.phase() == 0) {
    MYFS_ASSIGN(InodeRef inode, turn.node(node));
    Errno error = may_access_data(turn, ino, *inode, opener, kAccessRead | kAccessWrite);
    if (!error.ok()) return error;
    if (state->takes_turns) turn.lane(ino);
    turn.recall(ino, kPartW);
    if (turn.blocked()) return false;
    state->walk = std::move(asked);
  }
  MYFS_TRY(turn.shard().data().walk(ino, &state->walk));
  if (state->walk.over) return true;
  if (!std::exchange(state->takes_turns, true)) {
    turn.go_on();
    return false;
  }
  if (turn.phase() == 0) turn.use_content(ino);
  turn.go_async([&shard = turn.shard(), request = turn.request()] {
    shard.post([&shard, request] { shard.resume(request); });
  });
  return false;
}

}  // namespace

Errno seek(Turn& turn, const SeekArgs& args, const WalkRef& state, SeekReply& reply) {
  const uint64_t length = kFileSizeMax_bytes - std::min(args.off, kFileSizeMax_bytes);
  ExtentWalk asked{.offset = args.off, .length = length, .to_first_byte = !args.hole};
  Result<bool> over = walk_on(turn, args.node, args.opener, std::move(asked), state);
  if (!over.ok() || !*over) return over.error();
  const InodeRecord* inode = turn.shard().committed_inode(args.node.ino);
  if (inode == nullptr) return Errno(ESTALE);
  if (args.off >= inode->size) return Errno(ENXIO);
  const std::vector<DataExtent>& found = state->walk.found;
  if (!args.hole && found.empty()) return Errno(ENXIO);
  const bool in_data = !found.empty() && found[0].offset == args.off;
  reply.off = args.off;
  if (args.hole && in_data) reply.off += found[0].length;
  if (!args.hole) reply.off = found[0].offset;
  return {};
}

Errno extents(Turn& turn, const ExtentsArgs& args, const WalkRef& state, ExtentsReply& reply) {
  ExtentWalk asked{.offset = args.off,
                   .length = std::min(args.len, UINT64_MAX - args.off),
                   .max = std::clamp<uint32_t>(args.max, 1, kExtentsMax),
                   .tell_shared = true};
  Result<bool> over = walk_on(turn, args.node, args.opener, std::move(asked), state);
  if (!over.ok() || !*over) return over.error();
  reply.extents = std::move(state->walk.found);
  reply.last = reply.extents.size() < state->walk.max;
  return {};
}

Errno sync_all(Turn& turn, const std::shared_ptr<Errno>& error) {
  if (turn.phase() == 0) {
    turn.go_async([&shard = turn.shard(), request = turn.request(), error] {
      shard.write_back_all([&shard, request, error](Errno result) {
        *error = result;
        // Not inside the answer to somebody else's request.
        shard.post([&shard, request] { shard.resume(request); });
      });
    });
    return {};
  }
  turn.must_be_durable();
  return *error;
}

namespace {

Errno begin_read_many(Turn& turn, const std::vector<Handle>& nodes, uint32_t max_bytes,
                      const std::shared_ptr<ReadManyState>& state) {
  if (nodes.size() > kReadManyMax) return Errno(EINVAL);
  max_bytes = std::min(max_bytes, kReadManyFile_bytes);
  std::vector<std::pair<size_t, uint64_t>> files;
  size_t room = kIoMax_bytes;
  for (size_t i = 0; i < nodes.size(); ++i) {
    Result<InodeRef> inode = turn.node(nodes[i]);
    if (!inode.ok() || !(*inode)->is_regular()) continue;
    if (!may(owner_of(**inode), turn.cred(), kMayRead).ok()) continue;
    turn.recall(nodes[i].ino, kPartW);
    uint64_t size = (*inode)->size;
    if (size > max_bytes || size > room) continue;
    room -= size;
    files.emplace_back(i, nodes[i].ino);
  }
  if (turn.blocked()) return {};
  state->results.resize(nodes.size());
  state->left = files.size() + 1;
  for (const auto& [i, ino] : files) turn.use_content(ino);
  turn.go_async([&shard = turn.shard(), request = turn.request(), files, max_bytes, state] {
    auto one_less = [&shard, request, state] {
      if (--state->left == 0) shard.resume(request);
    };
    for (const auto& [at, ino] : files) {
      shard.data().read(ino, 0, max_bytes, [one_less, state, i = at](Result<DataBuffer> data) {
        state->results[i].emplace(std::move(data));
        one_less();
      });
    }
    shard.post(one_less);
  });
  return {};
}

}  // namespace

Errno read_many(Turn& turn, const std::vector<Handle>& nodes, uint32_t max_bytes,
                const std::shared_ptr<ReadManyState>& state, NodesReply& reply) {
  if (turn.phase() == 0) return begin_read_many(turn, nodes, max_bytes, state);
  for (size_t i = 0; i < nodes.size(); ++i) {
    Result<InodeRef> inode = turn.node(nodes[i]);
    if (!inode.ok()) {
      reply.nodes.push_back(turn.reply_error(inode.error()));
      continue;
    }
    NodeReply node = turn.reply(nodes[i].ino, kPartA | kPartR);
    if (auto& result = state->results[i]; result.has_value()) {
      if (!result->ok()) {
        node.error = result->error().value();
      } else {
        const DataBuffer& data = result->value();
        node.data.assign(reinterpret_cast<const char*>(data.data()), data.size());
        turn.shard().counters().bytes_out += data.size();
      }
    }
    reply.nodes.push_back(std::move(node));
  }
  return {};
}

}  // namespace myfs::server
