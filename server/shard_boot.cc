// The part of Shard that begins and ends: what a boot reads and settles, and the orderly end.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/numbers.h"
#include "sdk/base/log.h"
#include "sdk/base/random.h"
#include "server/namespace.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

Result<uint64_t> read_number(const MetaStore& meta, std::string_view name, uint64_t absent) {
  MYFS_ASSIGN(std::optional<std::string> value, meta.get(meta_key(name)));
  if (!value) return absent;
  return decode_u64(*value);
}

Result<void> delete_all(const MetaStore& meta, const KeyRange& range, Txn& txn) {
  return meta.scan(range.first, range.second, 0, [&](std::string_view key, std::string_view) {
    txn.del(std::string(key));
    return true;
  });
}

InodeRecord root_inode(Time now, uint64_t change) {
  InodeRecord root;
  root.generation = 1;
  root.mode = S_IFDIR | 0755;
  root.uid = ::geteuid();  // whoever makes a store may use it
  root.gid = ::getegid();
  root.nlink = 2;
  root.size = kPageSize_bytes;
  root.atime = root.mtime = root.ctime = root.btime = now;
  root.parent = kRootIno;
  root.change = change;
  return root;
}

// Whether `address` names a process of this machine that has ended.
bool process_ended(std::string_view address) {
  constexpr std::string_view kPid = ",pid=";
  const size_t at = address.find(kPid);
  if (!address.starts_with("unix:") || at == address.npos) return false;
  int32_t pid = 0;
  if (!absl::SimpleAtoi(std::string(address.substr(at + kPid.size())), &pid) || pid <= 0)
    return false;
  return ::kill(pid, 0) != 0 && errno == ESRCH;
}

}  // namespace

Result<SuperRecord> Shard::read_or_make_super(MetaStore& meta, int64_t now_ns) {
  MYFS_ASSIGN(std::optional<std::string> value, meta.get(meta_key(kMetaSuper)));
  if (value) return SuperRecord::decode(*value);
  SuperRecord super;
  super.uuid = random_uuid();
  random_bytes(super.hash_key.data(), super.hash_key.size());
  random_bytes(super.handle_key.data(), super.handle_key.size());
  super.created = Time::from_ns(now_ns);
  Txn txn;
  txn.put(meta_key(kMetaSuper), super.encode());
  const Txn* batch = &txn;
  MYFS_TRY(meta.commit_batch({&batch, 1}, Durability::kDurable));
  return super;
}

Result<std::unique_ptr<Shard>> Shard::create(ShardDeps deps, ShardOptions options) {
  MYFS_ASSIGN(SuperRecord super, read_or_make_super(*deps.meta, deps.realtime()));
  MYFS_ASSIGN(uint64_t boots, read_number(*deps.meta, kMetaBoot, 0));
  std::unique_ptr<Shard> shard(new Shard(std::move(deps), std::move(options), super, boots + 1));
  MYFS_TRY(shard->boot());
  return shard;
}

// The sessions of the last boot are dead, and durably so before anybody is granted anything; the
// clean mark goes before the first session is bound.
Result<void> Shard::boot() {
  MetaStore& meta = *deps_.meta;
  Txn txn;
  txn.put(meta_key(kMetaBoot), encode_u64(boot_));
  txn.del(meta_key(kMetaClean));
  MYFS_TRY(find_ghosts(txn));
  MYFS_TRY(delete_all(meta, type_range('R'), txn));
  MYFS_ASSIGN(next_ino_, read_number(meta, kMetaInoHighWater, kRootIno + 1));
  ino_limit_ = next_ino_;
  MYFS_ASSIGN(std::optional<std::string> root, meta.get(inode_key(kRootIno)));
  if (!root) {
    InodeRecord record = root_inode(Time::from_ns(deps_.realtime()), next_change(0));
    txn.put(inode_key(kRootIno), record.encode());
    txn.put(meta_key(kMetaInoHighWater), encode_u64(next_ino_));
  }
  MYFS_TRY(reap_orphans(txn));
  const Txn* batch = &txn;
  MYFS_TRY(meta.commit_batch({&batch, 1}, Durability::kDurable));
  MYFS_ASSIGN(data_, FileData::create({.meta = deps_.meta,
                                       .blocks = deps_.blocks,
                                       .pool = deps_.pool,
                                       .host = this,
                                       .boottime = deps_.boottime}));
  return {};
}

// Their records stay until the grace has ended, so that a crash in it begins another one.
Result<void> Shard::find_ghosts(Txn& txn) {
  KeyRange range = type_range('S');
  auto visit = [&](std::string_view key, std::string_view value) {
    Result<SessionRecord> record = SessionRecord::decode(value);
    if (!record.ok() || record->state != SessionRecord::State::kLive || record->local ||
        process_ended(record->address)) {
      txn.del(std::string(key));
    } else {
      ghosts_.emplace(record->uuid.begin(), record->uuid.end());
      ghost_keys_.emplace_back(key);
    }
    return true;
  };
  MYFS_TRY(deps_.meta->scan(range.first, range.second, 0, visit));
  if (ghosts_.empty()) return {};
  grace_until_ns_ = boottime() + server_term_ns();
  log(LogLevel::kInfo, "changes wait up to %d s for %d clients of the last run",
      server_term_ns() / kNsPerSec, ghosts_.size());
  return {};
}

void Shard::end_grace() {
  grace_until_ns_ = 0;
  ghosts_.clear();
  leases_.restart_recalls(boottime());
  arm_wanted_ = true;
  Staged staged;
  for (std::string& key : ghost_keys_) staged.keys[std::move(key)] = std::nullopt;
  ghost_keys_.clear();
  submit(std::move(staged), {});
  std::vector<uint64_t> inodes;
  inodes.reserve(waiting_.size());
  for (const auto& [ino, requests] : waiting_) inodes.push_back(ino);
  for (uint64_t ino : inodes) wake(ino);
  pump();
}

Result<void> Shard::reap_orphans(Txn& txn) {
  const MetaStore& meta = *deps_.meta;
  std::vector<uint64_t> orphans;
  KeyRange range = type_range('O');
  MYFS_TRY(meta.scan(range.first, range.second, 0, [&](std::string_view key, std::string_view) {
    if (Result<uint64_t> ino = parse_number(key); ino.ok()) orphans.push_back(*ino);
    return true;
  }));
  for (uint64_t ino : orphans) {
    txn.del(orphan_key(ino));
    MYFS_ASSIGN(std::optional<std::string> value, meta.get(inode_key(ino)));
    if (!value) continue;
    MYFS_ASSIGN(InodeRecord inode, InodeRecord::decode(*value));
    if (inode.nlink != 0) continue;
    txn.del(inode_key(ino));
    MYFS_TRY(delete_all(meta, number_range('X', ino), txn));
    MYFS_TRY(delete_all(meta, number_range('P', ino), txn));
    if (inode.is_regular()) FileData::add_removal(ino, txn);
  }
  return {};
}

void Shard::start() {
  deps_.commits->start([this](uint64_t seq, Errno error) { on_report(seq, error); });
  data_->start_recovery();
  arm();
}

void Shard::shutdown(int64_t limit_ns, Done<Errno> done) {
  if (shutting_down_) return done(Errno(EALREADY));
  shutting_down_ = true;
  shutdown_deadline_ns_ = boottime() + limit_ns;
  shutdown_done_ = std::move(done);
  arm_wanted_ = true;
  int64_t now_ns = boottime();
  std::vector<LeaseTable::RecallOut*> recalls;
  for (const auto& [id, session] : sessions_.all()) {
    for (uint64_t ino : leases_.inodes_of(id)) {
      auto started = leases_.recall_from(id, ino, kPartA | kPartD | kPartR | kPartW, now_ns);
      recalls.insert(recalls.end(), started.begin(), started.end());
    }
  }
  send_recalls(recalls);
  pump();
}

// Called whenever something may have come back.
void Shard::finish_shutdown() {
  if (writing_back_) return;
  bool late = boottime() >= shutdown_deadline_ns_;
  if (!leases_.recalls_out().empty() && !late) return;
  if (late && !leases_.recalls_out().empty() && !closing_)
    log(LogLevel::kWarning, "shutdown: %d recalls are not answered", leases_.recalls_out().size());
  closing_ = true;
  // A write that is answered after the last commit would be lost.
  if (!busy_.empty()) return;
  writing_back_ = true;
  write_back_all([this](Errno error) { leave_clean_mark(error); });
}

void Shard::write_back(const std::vector<uint64_t>& inodes, Done<Errno> done) {
  struct Left {
    size_t inodes = 1;
    Errno error;
    Done<Errno> done;
  };
  auto left = std::make_shared<Left>();
  left->done = std::move(done);
  auto one_less = [left](NodeOnlyReply reply) {
    // ESTALE: somebody removed the file meanwhile.
    if (reply.error != 0 && reply.error != ESTALE) left->error = Errno(reply.error);
    if (--left->inodes == 0) left->done(left->error);
  };
  for (uint64_t ino : inodes) {
    ++left->inodes;
    auto change = std::make_shared<ContentChange>();
    auto body = [ino, change](Turn& turn, NodeOnlyReply&) {
      if (turn.phase() == 0) {
        start_commit(turn, ino, change);
        return Errno();
      }
      return finish_commit(turn, ino, *change);
    };
    execute<NodeOnlyReply>(internal_, Cred(), nullptr, 0, std::move(body), one_less);
  }
  one_less({});
}

void Shard::leave_clean_mark(Errno error) {
  stopped_ = true;
  Staged staged;
  if (error.ok()) staged.keys[meta_key(kMetaClean)] = encode_u64(boot_);
  std::set<SessionId> in_use;
  for (const auto& [id, out] : leases_.recalls_out()) in_use.insert(out.session);
  for (const auto& [id, session] : sessions_.all()) {
    if (!in_use.contains(id)) staged.keys[session_key(id)] = std::nullopt;
  }
  staged.durable = true;
  on_commit(submit(std::move(staged), {}), [this, error](Errno commit_error) {
    shutdown_done_(error.ok() ? commit_error : error);
  });
}

}  // namespace myfs::server
