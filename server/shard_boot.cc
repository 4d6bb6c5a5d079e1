// The part of Shard that begins and ends: what a boot reads and settles, and the orderly end.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

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

constexpr size_t kBootMarksMax = 256;  // who was away for more boots is not known any more

// Changes with the boot of the machine and with the name space of process ids. Empty: not known.
std::string host_of_process_ids() {
  std::array<char, 64> space{};
  const ssize_t length = ::readlink("/proc/self/ns/pid", space.data(), space.size());
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string boot;
  if (length <= 0 || !std::getline(file, boot)) return {};
  return boot + " " + std::string(space.data(), static_cast<size_t>(length));
}

// Whether `address` names a process of this host that has ended.
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

// The clean mark goes, and who may hold nothing may hold anything again, before the first session
// is bound.
Result<void> Shard::boot() {
  MetaStore& meta = *deps_.meta;
  Txn txn;
  txn.put(meta_key(kMetaBoot), encode_u64(boot_));
  txn.del(meta_key(kMetaClean));
  MYFS_TRY(mark_boot(txn));
  MYFS_TRY(restore_sessions(txn));
  MYFS_TRY(restore_replies(txn));
  MYFS_ASSIGN(next_ino_, read_number(meta, kMetaInoHighWater, kRootIno + 1));
  ino_limit_ = next_ino_;
  MYFS_ASSIGN(std::optional<std::string> root, meta.get(inode_key(kRootIno)));
  if (!root) {
    InodeRecord record = root_inode(Time::from_ns(deps_.realtime()), next_change(0));
    txn.put(inode_key(kRootIno), record.encode());
    txn.put(meta_key(kMetaInoHighWater), encode_u64(next_ino_));
  }
  MYFS_TRY(find_orphans(txn));
  const Txn* batch = &txn;
  MYFS_TRY(meta.commit_batch({&batch, 1}, Durability::kDurable));
  MYFS_ASSIGN(data_, FileData::create({.meta = deps_.meta,
                                       .blocks = deps_.blocks,
                                       .pool = deps_.pool,
                                       .host = this,
                                       .boottime = deps_.boottime}));
  return {};
}

// By its mark a boot is known again, also where an older store was put back and counts its boots
// once more.
Result<void> Shard::mark_boot(Txn& txn) {
  MYFS_ASSIGN(std::optional<std::string> value, deps_.meta->get(meta_key(kMetaBootMarks)));
  const std::string marks = value.value_or(std::string());
  for (size_t at = 0; at + sizeof(uint32_t) <= marks.size(); at += sizeof(uint32_t)) {
    std::memcpy(&boot_marks_.emplace_back(), marks.data() + at, sizeof(uint32_t));
  }
  if (boot_marks_.size() >= kBootMarksMax)
    boot_marks_.erase(boot_marks_.begin(), boot_marks_.end() - (kBootMarksMax - 1));
  boot_marks_.push_back(static_cast<uint32_t>(random_u64()) | 1);
  txn.put(meta_key(kMetaBootMarks), std::string(reinterpret_cast<const char*>(boot_marks_.data()),
                                                boot_marks_.size() * sizeof(uint32_t)));
  return {};
}

Result<void> Shard::restore_sessions(Txn& txn) {
  // A process id tells nothing elsewhere.
  const std::string host = host_of_process_ids();
  MYFS_ASSIGN(std::optional<std::string> last_host, deps_.meta->get(meta_key(kMetaHost)));
  const bool same_host = !host.empty() && last_host == host;
  txn.put(meta_key(kMetaHost), host);
  KeyRange range = type_range('S');
  auto visit = [&](std::string_view key, std::string_view value) {
    Result<SessionRecord> record = SessionRecord::decode(value);
    Result<uint64_t> id = parse_number(key);
    // Of a damaged one it is not known what its client holds: it is waited for, and cannot be
    // bound.
    if (!record.ok()) record = SessionRecord();
    if (!id.ok() || record->state != SessionRecord::State::kLive || record->local ||
        (same_host && process_ended(record->address))) {
      txn.del(std::string(key));
      return true;
    }
    restore_session(*id, *record);
    if (std::exchange(record->holds, SessionRecord::Holds::kLeases) !=
        SessionRecord::Holds::kLeases)
      txn.put(std::string(key), record->encode());
    return true;
  };
  MYFS_TRY(deps_.meta->scan(range.first, range.second, 0, visit));
  return plan_grace(txn);
}

// Clients go by the term that they were told, which may be longer than today's.
Result<void> Shard::plan_grace(Txn& txn) {
  longest_term_ns_ = options_.term_ns;
  if (awaited(Awaited::kPins)) {
    MYFS_ASSIGN(const uint64_t told, read_number(*deps_.meta, kMetaLeaseTerm, 0));
    longest_term_ns_ = std::max(longest_term_ns_, static_cast<int64_t>(told));
  }
  txn.put(meta_key(kMetaLeaseTerm), encode_u64(static_cast<uint64_t>(longest_term_ns_)));
  if (!awaited(Awaited::kPins)) return {};
  const int64_t term_ns = with_margin(longest_term_ns_);
  awaited_until_ns_ = boottime() + term_ns;
  awaited_at_most_ns_ = awaited_until_ns_ + term_ns;
  if (awaited(Awaited::kLocks)) locks_.hold_tickets();
  if (in_grace())
    log(LogLevel::kInfo, "operations wait up to %d s for %d clients of the last run",
        term_ns / kNsPerSec, awaited_[static_cast<size_t>(Awaited::kLeases)]);
  return {};
}

void Shard::restore_session(SessionId id, const SessionRecord& record) {
  auto session = std::make_shared<Session>();
  session->id = id;
  session->epoch = record.epoch;
  session->client.assign(record.uuid.begin(), record.uuid.end());
  session->number = record.number;
  session->principal.anyone = !record.forced_cred;
  session->principal.cred = record.cred;
  session->principal.squash = record.squash;
  session->read_only = record.read_only;
  session->export_ino = record.root_ino;
  session->mac = HandleMac(handle_key_, id, record.root_ino);
  session->seen_ns = boottime();
  session->deadline_ns = session->seen_ns + server_term_ns();
  // On other terms than it was begun it cannot go on: without a secret nobody can bind it, and its
  // client, who may use what he has cached until then, logs in anew.
  const Export* offered = find_export(options_.exports, record.export_path);
  const bool same_terms = !options_.forget_sessions && record.terms_known && offered != nullptr &&
                          offered->squash == record.squash &&
                          (record.read_only || !offered->read_only);
  if (same_terms) session->secret.assign(record.secret.begin(), record.secret.end());
  sessions_.add(session);
  leases_.add_session(id);
  await(*session, record.holds == SessionRecord::Holds::kLeases  ? Awaited::kLeases
                  : record.holds == SessionRecord::Holds::kLocks ? Awaited::kLocks
                                                                 : Awaited::kPins);
}

// What became of the changes that a client has no answer to.
Result<void> Shard::restore_replies(Txn& txn) {
  KeyRange range = type_range('R');
  auto visit = [&](std::string_view key, std::string_view value) {
    Result<uint64_t> id = parse_number(key);
    Result<uint16_t> slot = parse_slot(key);
    SessionRef session = id.ok() ? sessions_.find(*id) : nullptr;
    if (session == nullptr || !slot.ok()) {
      txn.del(std::string(key));
      return true;
    }
    Result<ReplyRecord> record = ReplyRecord::decode(value);
    if (!record.ok()) {
      // Better no session than a change that is made twice.
      log(LogLevel::kError, "session %d: the reply record of slot %d is damaged", *id, *slot);
      session->secret.clear();
      return true;
    }
    if (record->ino != 0) {
      session->maybe_open.push_back(record->ino);
      ++maybe_open_[record->ino];
    }
    session->replies.restore(*slot, record->slot_seq, record->hash,
                             Outcome{.error = record->error,
                                     .ino = record->ino,
                                     .gen = record->generation,
                                     .off = record->offset,
                                     .count = record->count,
                                     .verifier = record->verifier});
    return true;
  };
  return deps_.meta->scan(range.first, range.second, 0, visit);
}

// While sessions are to come back, their clients may have any of them open.
Result<void> Shard::find_orphans(Txn& txn) {
  const MetaStore& meta = *deps_.meta;
  struct Orphan {
    uint64_t ino = 0;
    bool nameable = false;
  };
  std::vector<Orphan> orphans;
  KeyRange range = type_range('O');
  auto visit = [&](std::string_view key, std::string_view value) {
    Result<uint64_t> ino = parse_number(key);
    Result<OrphanRecord> record = OrphanRecord::decode(value);
    if (ino.ok()) orphans.push_back({*ino, record.ok() && record->nameable});
    return true;
  };
  MYFS_TRY(meta.scan(range.first, range.second, 0, visit));
  for (const Orphan& orphan : orphans) {
    if (!awaited(Awaited::kPins)) {
      MYFS_TRY(reap_orphan(orphan.ino, txn));
      continue;
    }
    orphans_.insert(orphan.ino);
    if (orphan.nameable) tmpfiles_.insert(orphan.ino);
  }
  return {};
}

Result<void> Shard::reap_orphan(uint64_t ino, Txn& txn) {
  const MetaStore& meta = *deps_.meta;
  txn.del(orphan_key(ino));
  MYFS_ASSIGN(std::optional<std::string> value, meta.get(inode_key(ino)));
  if (!value) return {};
  MYFS_ASSIGN(InodeRecord inode, InodeRecord::decode(*value));
  if (inode.nlink != 0) return {};
  txn.del(inode_key(ino));
  MYFS_TRY(delete_all(meta, number_range('X', ino), txn));
  MYFS_TRY(delete_all(meta, number_range('P', ino), txn));
  if (inode.is_regular()) FileData::add_removal(ino, txn);
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

// For the next boot.
void Shard::note_holds(const Session& session, SessionRecord::Holds holds, Staged& staged) {
  std::string key = session_key(session.id);
  Result<std::optional<std::string>> value = deps_.meta->get(key);
  Result<SessionRecord> record =
      value.ok() && *value ? SessionRecord::decode(**value) : Errno(ENOENT);
  if (!session.live() || !record.ok() || record->local) {
    // Who has not answered is waited for as long as he may use what he has.
    if (holds != SessionRecord::Holds::kLeases) staged.keys[std::move(key)] = std::nullopt;
  } else if (record->holds != holds) {
    record->holds = holds;
    staged.keys[std::move(key)] = record->encode();
  }
}

void Shard::leave_clean_mark(Errno error) {
  stopped_ = true;
  Staged staged;
  if (error.ok()) staged.keys[meta_key(kMetaClean)] = encode_u64(boot_);
  const std::set<SessionId> with_locks = locks_.all_holders();
  for (const auto& [id, session] : sessions_.all()) {
    const bool leases = leases_.holds_more_than_pins(id) || session->awaited == Awaited::kLeases;
    const bool locks = with_locks.contains(id) || session->awaited == Awaited::kLocks;
    note_holds(*session,
               leases  ? SessionRecord::Holds::kLeases
               : locks ? SessionRecord::Holds::kLocks
                       : SessionRecord::Holds::kPins,
               staged);
  }
  staged.durable = true;
  on_commit(submit(std::move(staged), {}), [this, error](Errno commit_error) {
    shutdown_done_(error.ok() ? commit_error : error);
  });
}

}  // namespace myfs::server
