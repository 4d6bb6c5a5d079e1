#include "server/turn.h"

#include <algorithm>
#include <cassert>

#include "server/shard.h"

namespace myfs::server {

Parts parts_of(const InodeRecord& inode) {
  if (inode.is_dir()) return kPartA | kPartD | kPartP;
  return inode.is_regular() ? kPartA | kPartR | kPartW | kPartP : kPartA | kPartR | kPartP;
}

Turn::Turn(Shard& shard, Request& request)
    : shard_(shard),
      request_(request),
      now_(Time::from_ns(shard.realtime())),
      depends_(request.depends) {}

MetaView& Turn::view() { return shard_.view_; }

void Turn::depend(uint64_t ino) { depends_ = std::max(depends_, shard_.view_.pending(ino)); }

Result<InodeRef> Turn::inode(uint64_t ino) {
  depend(ino);
  if (auto it = edits_.find(ino); it != edits_.end()) return InodeRef(it->second);
  if (!exists(ino)) return Errno(ESTALE);
  MYFS_ASSIGN(InodeRef record, shard_.view_.inode(ino));
  if (record == nullptr) return Errno(ESTALE);
  return record;
}

Result<InodeRef> Turn::node(const Handle& handle) {
  if (!request_.session->mac.valid(handle)) return Errno(EACCES);
  MYFS_ASSIGN(InodeRef record, inode(handle.ino));
  if (record->generation != handle.gen) return Errno(ESTALE);
  return record;
}

Result<InodeRef> Turn::directory(const Handle& handle) {
  MYFS_ASSIGN(InodeRef record, node(handle));
  if (!record->is_dir()) return Errno(ENOTDIR);
  return record;
}

Result<FoundDirent> Turn::dirent(uint64_t dir, std::string_view name) {
  depend(dir);
  MYFS_ASSIGN(std::optional<FoundDirent> found, shard_.view_.dirent(dir, name));
  if (!found) return Errno(ENOENT);
  return *found;
}

Errno Turn::may_change() const { return request_.session->read_only ? Errno(EROFS) : Errno(); }

void Turn::add_need(Need::Kind kind, uint64_t ino, Parts parts, bool waits) {
  needs_.push_back(Need{.kind = kind, .ino = ino, .parts = parts});
  // What a later phase needs was kept free for it.
  if (waits && request_.phase == 0) blocked_ = true;
}

void Turn::recall(uint64_t ino, Parts parts) {
  if (parts == 0) return;
  const bool waits = shard_.leases_.held_by_others(request_.session->id, ino, parts) != 0;
  add_need(Need::Kind::kRecall, ino, parts, waits);
}

void Turn::recall_own(uint64_t ino, Parts parts) {
  bool waits = (shard_.leases_.held(request_.session->id, ino) & parts) != 0;
  if (waits) add_need(Need::Kind::kOwn, ino, parts, true);
}

void Turn::recall_unnamed(uint64_t ino) { shard_.recall_unnamed(request_.session->id, ino); }

void Turn::glimpse(uint64_t ino, Asked whom) {
  const bool anybody = whom == Asked::kAnybody;
  if (shard_.leases_.writer(ino, anybody ? 0 : request_.session->id) == 0) return;
  auto answer = request_.glimpses.find(ino);
  if (answer == request_.glimpses.end()) {
    add_need(anybody ? Need::Kind::kGlimpseAny : Need::Kind::kGlimpse, ino, 0, true);
  } else if (answer->second.timed_out) {
    recall(ino, kPartW);
    if (anybody) recall_own(ino, kPartW);
  }
}

std::optional<uint64_t> Turn::glimpsed_size(uint64_t ino) const {
  auto answer = request_.glimpses.find(ino);
  if (answer == request_.glimpses.end() || !answer->second.valid) return std::nullopt;
  return answer->second.size;
}

void Turn::outlast_old_locks() {
  if (shard_.awaited(Awaited::kLocks)) add_need(Need::Kind::kOldLocks, 0, 0, true);
}

void Turn::acquire(uint64_t ino, Parts want) {
  const LeaseTable& leases = shard_.leases_;
  SessionId me = request_.session->id;
  if (Result<InodeRef> record = inode(ino); record.ok()) want &= parts_of(**record);
  want &= kGrantableParts;
  bool waits = leases.held_by_others(me, ino, conflicting_parts(want)) != 0 ||
               leases.recall_out(me, ino) || leases.blocked(me, ino, want, request_.ticket);
  add_need(Need::Kind::kAcquire, ino, want, waits);
}

void Turn::lane(uint64_t ino) {
  auto it = shard_.lanes_.find(ino);
  bool waits = it != shard_.lanes_.end() && it->second != request_.ticket;
  add_need(Need::Kind::kLane, ino, 0, waits);
}

InodeRecord& Turn::edit(uint64_t ino) {
  auto it = edits_.find(ino);
  if (it == edits_.end()) {
    Result<InodeRef> before = inode(ino);
    assert(before.ok());
    auto record = std::make_shared<InodeRecord>(**before);
    record->change = shard_.next_change(record->change);
    record->ctime = std::max(record->ctime, now_);
    it = edits_.emplace(ino, std::move(record)).first;
  }
  return *it->second;
}

InodeRecord& Turn::edit_names(uint64_t dir) {
  InodeRecord& record = edit(dir);
  record.mtime = now_;
  return record;
}

InodeRecord& Turn::add_inode(uint64_t ino, InodeRecord record) {
  record.change = shard_.next_change(0);
  record.atime = record.mtime = record.ctime = record.btime = now_;
  auto shared = std::make_shared<InodeRecord>(std::move(record));
  return *(edits_[ino] = std::move(shared));
}

void Turn::delete_inode(uint64_t ino) {
  edits_.erase(ino);
  staged_.inodes[ino] = nullptr;
}

Errno Turn::add_name(uint64_t dir, std::string_view name, const DirentRecord& target) {
  Result<uint64_t> cookie = shard_.view_.new_cookie(dir, name);
  if (!cookie.ok()) return cookie.error();
  set_name(dir, name, *cookie, target);
  return {};
}

void Turn::set_name(uint64_t dir, std::string_view name, uint64_t cookie,
                    const DirentRecord& target) {
  put(dirent_key(dir, cookie, name), target.encode());
}

void Turn::remove_name(uint64_t dir, std::string_view name, uint64_t cookie) {
  del(dirent_key(dir, cookie, name));
}

void Turn::take(DataChange change) { changes_.push_back(std::move(change)); }

Grant Turn::grant(uint64_t ino, const InodeRecord& record, Parts want, const Opener* opener) {
  assert(!blocked_);
  Grant none{.ino = ino};
  want &= parts_of(record);
  Session& me = *request_.session;
  if (want == 0 || me.id == 0 || shard_.shutting_down()) return none;
  if (record.is_regular()) {
    const Opener* open = opener == nullptr || opener->open_id == 0
                             ? nullptr
                             : shard_.opens_.find(me.id, ino, opener->open_id);
    auto permitted = [&](uint8_t access, int mask) {
      if (open != nullptr && (open->access & access) != 0) return true;
      return may(owner_of(record), request_.cred, mask).ok();
    };
    if (!permitted(kAccessRead, kMayRead) && !permitted(kAccessWrite, kMayWrite)) want &= ~kPartR;
    // Privileges fall with the transaction that grants W, which is another call's business.
    bool privileged = !request_.cred.is_root() &&
                      mode_without_privileges(owner_of(record), request_.cred) != record.mode;
    if (me.read_only || privileged || !permitted(kAccessWrite, kMayWrite)) want &= ~kPartW;
    if ((want & kPartW) != 0 && shard_.write_space() < kWriteSpaceMin_bytes) want &= ~kPartW;
  }
  bool waited = std::any_of(needs_.begin(), needs_.end(), [&](const Need& need) {
    return need.kind == Need::Kind::kAcquire && need.ino == ino;
  });
  Parts free = shard_.leases_.grantable(me.id, ino, want, waited ? request_.ticket : kNoTicket);
  if (free == 0) return none;
  // A lease that lets the client open the file by itself lets it keep the file as well.
  Parts after = free | shard_.leases_.held(me.id, ino);
  const bool opens = record.is_dir() || (after & (kPartR | kPartW)) != 0;
  if ((record.is_dir() || record.is_regular()) && (after & kPartA) != 0 && opens) free |= kPartP;
  Grant grant = shard_.leases_.grant(me.id, ino, free);
  if ((grant.parts & kPartW) != 0) grant.space_bytes = shard_.write_space();
  return grant;
}

NodeReply Turn::reply(uint64_t ino, Parts want, const Opener* opener) {
  Result<InodeRef> record = inode(ino);
  if (!record.ok()) return reply_error(record.error());
  const InodeRecord& inode = **record;
  NodeReply reply;
  reply.handle = request_.session->mac.seal(ino, inode.generation);
  reply.attr = inode.to_kstat(ino);
  reply.has_attr = true;
  if (inode.is_symlink()) reply.target = inode.data;
  reply.acl = inode.acl.to_xattr();
  if (auto it = request_.glimpses.find(ino); it != request_.glimpses.end() && it->second.valid) {
    reply.attr.size = it->second.size;
    if (it->second.mtime != Time()) {
      reply.attr.mtime = it->second.mtime;
      reply.attr.ctime = std::max(reply.attr.ctime, it->second.mtime);
    }
    want &= ~(kPartR | kPartW);
  }
  reply.grant = grant(ino, inode, want, opener);
  return reply;
}

}  // namespace myfs::server
