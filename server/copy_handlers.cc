#include "server/copy_handlers.h"

#include <algorithm>
#include <utility>

#include "sdk/base/limits.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

// What is asked for, cut to what there is and may be [generic_copy_file_checks].
Errno check_ranges(const CopyArgs& args, uint64_t from_size, uint64_t* len) {
  uint64_t end;
  if (__builtin_add_overflow(args.from_off, args.len, &end) ||
      __builtin_add_overflow(args.to_off, args.len, &end)) {
    return Errno(EOVERFLOW);
  }
  *len = args.from_off >= from_size ? 0 : std::min(args.len, from_size - args.from_off);
  if (args.to_off >= kFileSizeMax_bytes) return Errno(EFBIG);
  *len = std::min(*len, kFileSizeMax_bytes - args.to_off);
  const bool overlap = args.from.ino == args.to.ino && args.to_off + *len > args.from_off &&
                       args.to_off < args.from_off + *len;
  return overlap ? Errno(EINVAL) : Errno();
}

// Whose leases are in the way. The source is held still to the end: others may read it meanwhile.
void recall_for_copy(Turn& turn, const CopyArgs& args, const InodeRecord& to) {
  const uint64_t from_ino = args.from.ino, to_ino = args.to.ino;
  turn.lane(to_ino);
  turn.recall(to_ino, kPartR | kPartW);
  turn.recall_own(to_ino, kPartW);
  if (drops_privileges(to, forced(turn, args.to_opener).cred)) turn.recall(to_ino, kPartA);
  if (from_ino == to_ino) return;
  turn.lane(from_ino);
  turn.recall(from_ino, kPartW);
  turn.recall_own(from_ino, kPartW);
}

void read_piece(Turn& turn, const CopyArgs& args, const CopyStateRef& state) {
  state->stage = CopyState::Stage::kRead;
  turn.go_async([&shard = turn.shard(), request = turn.request(), ino = args.from.ino,
                 off = args.from_off + state->done,
                 size = std::min(kCopyPiece_bytes, state->len - state->done), state] {
    shard.data().read(ino, off, size, [&shard, request, state](Result<DataBuffer> data) {
      state->error = data.error();
      if (data.ok()) state->piece = std::move(data).value();
      shard.resume(request);
    });
  });
}

void write_piece(Turn& turn, const CopyArgs& args, const CopyStateRef& state) {
  state->stage = CopyState::Stage::kWritten;
  turn.go_async([&shard = turn.shard(), request = turn.request(), ino = args.to.ino,
                 off = args.to_off + state->done, mtime = turn.now(), state] {
    auto done = [&shard, request, state](Result<WriteReply> result) {
      state->error = result.error();
      if (result.ok()) {
        state->done += state->piece.size();
        state->commit_wanted = result->commit_wanted;
      }
      shard.resume(request);
    };
    shard.data().write(ino, off, state->piece.span(), std::move(done), mtime, state->held);
  });
}

void begin_pieces(Turn& turn, const CopyArgs& args, const CopyStateRef& state) {
  state->len = std::min(state->len, kCopyCallMax_bytes);
  read_piece(turn, args, state);
}

Errno commit_pieces(Turn& turn, const CopyArgs& args, const CopyStateRef& state) {
  if (state->done == 0) return state->error;
  state->stage = CopyState::Stage::kCommitted;
  state->piece = DataBuffer();
  start_commit(turn, args.to.ino, state->change, state->held);
  return {};
}

Errno check_access(Turn& turn, const CopyArgs& args) {
  Result<InodeRef> from = turn.node(args.from);
  Result<InodeRef> to = turn.node(args.to);
  if (!from.ok()) return from.error();
  if (!to.ok()) return to.error();
  Errno error = may_access_data(turn, args.from.ino, **from, args.from_opener, kAccessRead);
  if (!error.ok()) return error;
  error = may_access_data(turn, args.to.ino, **to, args.to_opener, kAccessWrite);
  if (!error.ok()) return error;
  recall_for_copy(turn, args, **to);
  return {};
}

bool whole_blocks(const CopyArgs& args) {
  return (args.from_off | args.to_off) % kBlockSize_bytes == 0;
}

bool to_both_ends(const CopyArgs& args, uint64_t len, uint64_t from_size, uint64_t to_size) {
  return args.from_off + len == from_size && args.to_off + len >= to_size;
}

// [generic_remap_checks]
Errno check_clone(const CopyArgs& args, uint64_t from_size, uint64_t to_size, uint64_t* len) {
  constexpr uint64_t kMask = kBlockSize_bytes - 1;
  if (!whole_blocks(args)) return Errno(EINVAL);
  if (args.from_off > from_size || args.len > from_size - args.from_off) return Errno(EINVAL);
  *len = args.len != 0 ? args.len : from_size - args.from_off;
  if (*len == 0) return {};
  if (args.to_off > kFileSizeMax_bytes || *len > kFileSizeMax_bytes - args.to_off)
    return Errno(EFBIG);
  if ((*len & kMask) != 0 && !to_both_ends(args, *len, from_size, to_size)) return Errno(EINVAL);
  const uint64_t whole = (*len + kMask) & ~kMask;
  const bool overlap = args.from.ino == args.to.ino && args.to_off + whole > args.from_off &&
                       args.to_off < args.from_off + whole;
  *len = std::min(*len, kCloneCallMax_bytes);
  return overlap ? Errno(EINVAL) : Errno();
}

// What is in no commit cannot be shared.
void flush_for_clone(Turn& turn, const CopyArgs& args, const CopyStateRef& state) {
  state->stage = CopyState::Stage::kFlushed;
  turn.go_async([&shard = turn.shard(), request = turn.request(), args, state] {
    shard.write_back({args.from.ino, args.to.ino}, [&shard, request, state](Errno error) {
      state->error = error;
      // Not inside the answer to somebody else's request.
      shard.post([&shard, request] { shard.resume(request); });
    });
  });
}

// What of a copy can be shared: a rest of less than a block goes the other way.
Errno check_shared_copy(const CopyArgs& args, uint64_t from_size, uint64_t to_size, uint64_t* len) {
  Errno error = check_ranges(args, from_size, len);
  if (!error.ok()) return error;
  *len = std::min(*len, kCloneCallMax_bytes);
  if (!to_both_ends(args, *len, from_size, to_size)) *len -= *len % kBlockSize_bytes;
  return {};
}

Errno begin_copy(Turn& turn, const CopyArgs& args, const CopyStateRef& state, CopyAnswer& reply) {
  Errno error = check_access(turn, args);
  if (!error.ok()) return error;
  if (turn.blocked()) return {};
  const InodeRecord* committed = turn.shard().committed_inode(args.from.ino);
  if (committed == nullptr) return Errno(ESTALE);
  error = check_ranges(args, committed->size, &state->len);
  if (!error.ok()) return error;
  if (state->len == 0) {
    reply.node = turn.reply(args.to.ino, 0);
    return {};
  }
  turn.use_content(args.from.ino);
  turn.use_content(args.to.ino);
  if (whole_blocks(args) && state->len >= kBlockSize_bytes) {
    // No bytes of files, but records.
    if (!turn.shard().has_room()) return Errno(ENOSPC);
    flush_for_clone(turn, args, state);
  } else {
    begin_pieces(turn, args, state);
  }
  return {};
}

}  // namespace

Errno copy(Turn& turn, const CopyArgs& args, const CopyStateRef& state, CopyAnswer& reply) {
  switch (state->stage) {
    case CopyState::Stage::kBegin:
      return begin_copy(turn, args, state, reply);
    case CopyState::Stage::kRead:
      if (!state->error.ok() || state->piece.size() == 0) return commit_pieces(turn, args, state);
      write_piece(turn, args, state);
      return {};
    case CopyState::Stage::kWritten:
      if (!state->error.ok() || state->commit_wanted || state->done == state->len)
        return commit_pieces(turn, args, state);
      read_piece(turn, args, state);
      return {};
    case CopyState::Stage::kCommitted: {
      Errno error = finish_commit(turn, args.to.ino, *state->change);
      if (!error.ok()) return error;
      Result<InodeRef> to = turn.inode(args.to.ino);
      Cred cred = forced(turn, args.to_opener).cred;
      if (to.ok() && drops_privileges(**to, cred))
        turn.edit(args.to.ino).mode = mode_without_privileges(owner_of(**to), cred);
      turn.shard().counters().bytes_copied += state->done;
      reply.count = state->done;
      reply.node = turn.reply(args.to.ino, 0);
      return {};
    }
    case CopyState::Stage::kFlushed:
    case CopyState::Stage::kCloned:
      return clone(turn, args, state, reply);
  }
  return Errno(EIO);
}

namespace {

Errno begin_clone(Turn& turn, const CopyArgs& args, const CopyStateRef& state) {
  Errno error = check_access(turn, args);
  if (!error.ok() || turn.blocked()) return error;
  // No bytes of files, but records.
  if (!turn.shard().has_room()) return Errno(ENOSPC);
  turn.use_content(args.from.ino);
  turn.use_content(args.to.ino);
  flush_for_clone(turn, args, state);
  return {};
}

Errno share(Turn& turn, const CopyArgs& args, const CopyStateRef& state, CopyAnswer& reply) {
  if (!state->error.ok()) return state->error;
  const InodeRecord* from = turn.shard().committed_inode(args.from.ino);
  const InodeRecord* to = turn.shard().committed_inode(args.to.ino);
  if (from == nullptr || to == nullptr) return Errno(ESTALE);
  Errno error = args.clone ? check_clone(args, from->size, to->size, &state->len)
                           : check_shared_copy(args, from->size, to->size, &state->len);
  if (!error.ok()) return error;
  if (state->len == 0) {
    reply.node = turn.reply(args.to.ino, 0);
    return {};
  }
  state->stage = CopyState::Stage::kCloned;
  turn.go_async([&shard = turn.shard(), request = turn.request(), args, state] {
    shard.data().clone(args.to.ino, args.to_off, args.from.ino, args.from_off, state->len,
                       [&shard, request, state](Result<DataChange> result) {
                         state->change->result.emplace(std::move(result));
                         shard.resume(request);
                       });
  });
  return {};
}

}  // namespace

Errno clone(Turn& turn, const CopyArgs& args, const CopyStateRef& state, CopyAnswer& reply) {
  if (state->stage == CopyState::Stage::kBegin) return begin_clone(turn, args, state);
  if (state->stage == CopyState::Stage::kFlushed) return share(turn, args, state, reply);
  Result<DataChange>& result = *state->change->result;
  if (result.error() == Errno(EAGAIN)) {  // deferred writes were being applied
    flush_for_clone(turn, args, state);
    return {};
  }
  if (!result.ok()) return result.error();
  DataChange data = std::move(result).value();
  InodeRecord& inode = turn.edit(args.to.ino);
  data.apply_to(inode);
  inode.mtime = turn.now();
  Cred cred = forced(turn, args.to_opener).cred;
  if (drops_privileges(inode, cred)) inode.mode = mode_without_privileges(owner_of(inode), cred);
  turn.take(std::move(data));
  turn.shard().counters().bytes_copied += state->len;
  reply.count = state->len;
  reply.node = turn.reply(args.to.ino, 0);
  return {};
}

}  // namespace myfs::server
