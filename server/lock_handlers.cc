#include "server/lock_handlers.h"

#include "sdk/base/fault.h"
#include "server/shard.h"

namespace myfs::server {

Errno decode_lock(uint8_t type, uint8_t kind, uint64_t start, uint64_t len, uint64_t owner,
                  int32_t pid, LockRange* out) {
  if (type > static_cast<uint8_t>(LockType::kUnlock)) return Errno(EINVAL);
  if (kind > static_cast<uint8_t>(LockKind::kFlock)) return Errno(EINVAL);
  if (len != 0 && len - 1 > UINT64_MAX - start) return Errno(EOVERFLOW);
  out->type = static_cast<LockType>(type);
  out->owner.kind = static_cast<LockKind>(kind);
  out->owner.number = owner;
  out->first = start;
  out->last = len == 0 ? UINT64_MAX : start + len - 1;
  out->pid = pid;
  return {};
}

namespace {

// A byte-range lock needs a descriptor that could do what it guards; flock any descriptor. `inode`
// null: it is gone, and only who had it open asks.
Errno may_lock(Turn& turn, const LockArgs& args, const InodeRef& inode) {
  bool flock = args.range.owner.kind == LockKind::kFlock;
  if (flock || args.range.type == LockType::kUnlock) return {};
  uint8_t access = args.range.type == LockType::kRead ? kAccessRead : kAccessWrite;
  const Opener* open =
      turn.shard().opens().find(turn.session().id, args.node.ino, args.opener.open_id);
  Opener mine = open != nullptr ? *open : forced(turn, args.opener);
  if ((mine.access & access) == 0) return Errno(EBADF);
  const bool may = open != nullptr || inode == nullptr || may_open(*inode, mine);
  return may ? Errno() : Errno(EACCES);
}

LockRange mine(Turn& turn, const LockArgs& args) {
  LockRange range = args.range;
  range.owner.session = turn.session().id;
  return range;
}

// As Turn::node(), but what is known of it may be undone yet: its locks are of memory, too. The
// session may have ended since the first attempt. Null: a directory that clients have open may be
// gone, since opens of directories are theirs alone. Its number, which never comes again, is enough
// for locks.
Result<InodeRef> lockable(Turn& turn, const Handle& node) {
  if (!turn.session().live()) return Errno(ESTALE);
  if (!turn.session().mac.valid(node)) return Errno(EACCES);
  MYFS_ASSIGN(InodeRef inode, turn.view().inode(node.ino));
  if (inode != nullptr && inode->generation != node.gen) return Errno(ESTALE);
  return inode;
}

// True: sessions that have expired hold what is wanted; the attempt is made again without them.
bool ends_the_expired(Turn& turn, uint64_t ino, const LockRange& wanted) {
  std::vector<SessionRef> expired = turn.shard().expired(turn.shard().locks().holders(ino, wanted));
  if (expired.empty()) return false;
  turn.go_async([&shard = turn.shard(), request = turn.request(), expired = std::move(expired)] {
    shard.resume_without(expired, request);
  });
  return true;
}

}  // namespace

Errno lock(Turn& turn, const LockArgs& args, LockReply& reply) {
  Result<InodeRef> inode = lockable(turn, args.node);
  if (!inode.ok()) return inode.error();
  if (Errno error = may_lock(turn, args, *inode); !error.ok()) return error;
  if (MYFS_FAULTY(kFlockNoop, 1)) return {};
  if (args.range.type != LockType::kUnlock) {
    turn.outlast_old_locks();
    if (turn.blocked() || ends_the_expired(turn, args.node.ino, mine(turn, args))) return {};
  }
  LockTable::Answer answer = turn.shard().locks().set(args.node.ino, mine(turn, args), args.wait);
  reply.lock_id = answer.ticket;
  reply.queued = answer.queued;
  reply.seq = answer.seq;
  turn.shard().tell_lock_grants();
  return answer.error;
}

Errno lock_test(Turn& turn, const LockArgs& args, LockReply& reply) {
  Result<InodeRef> inode = lockable(turn, args.node);
  if (!inode.ok()) return inode.error();
  turn.outlast_old_locks();
  if (turn.blocked() || ends_the_expired(turn, args.node.ino, mine(turn, args))) return {};
  if (MYFS_FAULTY(kFlockNoop, 1)) return {};
  auto conflict = turn.shard().locks().conflict(args.node.ino, mine(turn, args));
  reply.conflicts = conflict.has_value();
  if (conflict) reply.conflict = *conflict;
  return {};
}

Errno lock_cancel(Turn& turn, uint64_t lock_id, LockReply& reply) {
  Result<uint64_t> granted = turn.shard().locks().cancel(turn.session().id, lock_id);
  if (!granted.ok()) return granted.error();
  reply.granted = *granted != 0;
  reply.seq = *granted;
  return {};
}

Errno lock_release(Turn& turn, const Handle& node, uint64_t owner, LockKind kind,
                   LockReply& reply) {
  // The file may be gone; its locks are not in anybody's way then.
  if (!turn.session().mac.valid(node)) return Errno(EACCES);
  reply.seq = turn.shard().locks().release_owner(
      node.ino, LockOwner{.session = turn.session().id, .kind = kind, .number = owner});
  turn.shard().tell_lock_grants();
  return {};
}

}  // namespace myfs::server
