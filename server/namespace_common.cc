#include <dirent.h>

#include <algorithm>
#include <cassert>

#include "server/namespace.h"
#include "server/shard.h"

namespace myfs::server {

Errno check_name(std::string_view name) {
  if (name.size() > kNameMax_bytes) return Errno(ENAMETOOLONG);
  if (name.empty() || name == "." || name == "..") return Errno(EINVAL);
  if (name.find('/') != name.npos || name.find('\0') != name.npos) return Errno(EINVAL);
  return {};
}

Errno check_open(const InodeRecord& inode, const Opener& opener) {
  int mask = 0;
  const bool executes = (opener.access & kAccessExec) != 0;
  if ((opener.access & kAccessRead) != 0) mask |= executes ? kMayExec : kMayRead;
  if ((opener.access & (kAccessWrite | kAccessAppendOnly)) != 0) mask |= kMayWrite;
  if (inode.is_dir() && (mask & kMayWrite) != 0) return Errno(EISDIR);
  if (executes && !inode.is_regular()) return Errno(EACCES);
  return may(owner_of(inode), opener.cred, mask);
}

bool may_open(const InodeRecord& inode, const Opener& opener) {
  return opener.cred.uid == inode.uid || check_open(inode, opener).ok();
}

Opener forced(Turn& turn, const Opener& opener) {
  Opener mine = opener;
  mine.cred = turn.session().principal.acting_as(opener.cred);
  return mine;
}

Opener opener_or_caller(Turn& turn, const Opener& opener) {
  Opener mine = opener;
  if (opener.open_id == 0) mine.cred = turn.cred();
  return mine;
}

Errno register_open(Turn& turn, uint64_t ino, const Opener& opener, bool* fresh) {
  if (opener.open_id == 0) return {};
  if (fresh != nullptr)
    *fresh = turn.shard().opens().find(turn.session().id, ino, opener.open_id) == nullptr;
  return turn.shard().opens().add(turn.session().id, ino, forced(turn, opener));
}

Errno may_access_data(Turn& turn, uint64_t ino, const InodeRecord& inode, const Opener& opener,
                      uint8_t access) {
  if (inode.is_dir()) return Errno(EISDIR);
  if (!inode.is_regular()) return Errno(EINVAL);
  bool writes = (access & (kAccessWrite | kAccessAppendOnly)) != 0;
  if (writes && turn.session().read_only) return Errno(EROFS);
  const Opener* open = opener.open_id == 0
                           ? nullptr
                           : turn.shard().opens().find(turn.session().id, ino, opener.open_id);
  if (open != nullptr) {
    return (open->access & access) != 0 ? Errno() : Errno(EBADF);
  }
  Opener mine = forced(turn, opener);
  mine.access = access | (opener.access & kAccessExec);
  bool permitted = opener.open_id != 0 ? may_open(inode, mine) : check_open(inode, mine).ok();
  return permitted ? Errno() : Errno(EACCES);
}

Errno remove_inode(Turn& turn, uint64_t ino) {
  Result<InodeRef> inode = turn.inode(ino);
  if (!inode.ok()) return inode.error();
  auto [from, to] = number_range('X', ino);
  std::vector<std::string> keys;
  Result<void> scanned = turn.view().scan(from, to, 0, [&](std::string_view key, std::string_view) {
    keys.emplace_back(key);
    return true;
  });
  if (!scanned.ok()) return scanned.error();
  for (std::string& key : keys) turn.del(std::move(key));
  turn.del(orphan_key(ino));
  if ((*inode)->is_regular()) turn.remove_content(ino);
  turn.delete_inode(ino);
  return {};
}

void drop_link(Turn& turn, uint64_t ino) {
  InodeRecord& inode = turn.edit(ino);
  inode.nlink = inode.is_dir() ? 0 : inode.nlink - 1;
  if (inode.nlink != 0) return;
  const bool is_dir = inode.is_dir();
  Shard& shard = turn.shard();
  if (!shard.pinned(ino)) {
    if (remove_inode(turn, ino).ok()) return;
  }
  if (!is_dir) turn.recall_unnamed(ino);
  OrphanRecord orphan;
  orphan.sessions = shard.leases().pinners(ino);
  for (SessionId session : shard.opens().sessions_of(ino)) orphan.sessions.push_back(session);
  std::sort(orphan.sessions.begin(), orphan.sessions.end());
  orphan.sessions.erase(std::unique(orphan.sessions.begin(), orphan.sessions.end()),
                        orphan.sessions.end());
  turn.put(orphan_key(ino), orphan.encode());
}

uint8_t dirent_type(uint32_t mode) { return static_cast<uint8_t>((mode & S_IFMT) >> 12); }

DirentRecord dirent_to(uint64_t ino, const InodeRecord& inode) {
  return DirentRecord{.ino = ino, .generation = inode.generation, .type = dirent_type(inode.mode)};
}

bool drops_privileges(const InodeRecord& inode, const Cred& cred) {
  return !cred.is_root() && inode.is_regular() &&
         mode_without_privileges(owner_of(inode), cred) != inode.mode;
}

void start_truncate(Turn& turn, uint64_t ino, uint64_t size, ContentChangeRef change) {
  turn.use_content(ino);
  change->ino = ino;
  turn.go_async([&shard = turn.shard(), request = turn.request(), ino, size, change] {
    shard.data().truncate(ino, size, [&shard, request, change](Result<DataChange> result) {
      change->result.emplace(std::move(result));
      shard.resume(request);
    });
  });
}

void start_commit(Turn& turn, uint64_t ino, ContentChangeRef change, HeldWritesRef held) {
  turn.use_content(ino);
  change->ino = ino;
  change->result.reset();
  turn.go_async([&shard = turn.shard(), request = turn.request(), ino, change, held] {
    auto done = [&shard, request, change](Result<DataChange> result) {
      change->result.emplace(std::move(result));
      shard.resume(request);
    };
    shard.data().commit(ino, std::move(done), held);
  });
}

Errno finish_commit(Turn& turn, uint64_t ino, ContentChange& change) {
  if (!change.result->ok()) return change.result->error();
  DataChange data = std::move(*change.result).value();
  Result<InodeRef> before = turn.inode(ino);
  if (!before.ok()) return before.error();
  if (data.has_writes()) {
    InodeRecord& inode = turn.edit(ino);
    data.apply_to(inode);
    // The holder of W stamps; no clock but the server's counts beyond it. To make durable what was
    // written is no change of its own: ctime is that of the write.
    const Time written = std::min(data.mtime(), turn.now());
    // A time to come was set before [utimens].
    const bool set = written != Time() && inode.mtime > turn.now();
    inode.mtime = set ? written : std::max(inode.mtime, written);
    inode.ctime = std::max((*before)->ctime, written);
  }
  turn.take(std::move(data));
  return {};
}

Errno finish_truncate(Turn& turn, uint64_t ino, uint64_t size, ContentChange& change) {
  assert(change.result.has_value());
  if (!change.result->ok()) return change.result->error();
  DataChange data = std::move(*change.result).value();
  Result<InodeRef> before = turn.inode(ino);
  if (!before.ok()) return before.error();
  InodeRecord& inode = turn.edit(ino);
  data.apply_to(inode);
  inode.mtime = turn.now();
  inode.count_truncation(size);
  if (drops_privileges(inode, turn.cred()))
    inode.mode = mode_without_privileges(owner_of(inode), turn.cred());
  turn.take(std::move(data));
  return {};
}

}  // namespace myfs::server
