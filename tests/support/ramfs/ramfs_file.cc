// Data, and the pages of directories.
#include <dirent.h>
#include <fcntl.h>

#include <utility>

#include "sdk/fs/open.h"
#include "sdk/fs/permission.h"
#include "sdk/mm/filemap.h"
#include "tests/support/ramfs/ramfs.h"

namespace myfs::fs {

Result<void> Ramfs::open(const CallContext& ctx, Inode& inode, File& file, bool permitted) {
  ++calls.open;
  if (!permitted) {
    MutexLock lock(mutex_);
    const uint32_t reads = (file.f_flags() & kOpenExec) != 0 ? MAY_EXEC : MAY_READ;
    const uint32_t mask = (file.may_read() ? reads : 0) | (file.may_write() ? MAY_WRITE : 0);
    Errno error = generic_permission(*ctx.cred, Perm(node_of(inode).stat), mask);
    if (!error.ok()) return error;
  }
  if ((file.f_flags() & O_TRUNC) != 0 && inode.is_regular()) {
    WriteLock lock(inode.i_rwsem);
    truncate(node_of(inode), 0);
    MutexLock truth(mutex_);
    learn_locked(static_cast<RamInode&>(inode).node);
  }
  return ok_result();
}

Result<void> Ramfs::flush(const CallContext&, File&) {
  ++calls.flush;
  return ok_result();
}

void Ramfs::release(File&) { ++calls.release; }

Result<size_t> Ramfs::read(const CallContext& ctx, File& file, IoVec to, uint64_t offset) {
  ++calls.read;
  return mm::filemap_read(ctx, *file.f_inode().i_mapping, file.f_ra, offset, to);
}

Result<WriteResult> Ramfs::write(const CallContext& ctx, File& file, IoVec from, uint64_t offset,
                                 bool append) {
  ++calls.write;
  Inode& inode = file.f_inode();
  RamNode& node = node_of(inode);
  WriteResult result;
  result.offset = append ? node.mapping->i_size.load() : offset;
  MYFS_ASSIGN(result.count, mm::filemap_write(ctx, *node.mapping, result.offset, from));
  MutexLock lock(mutex_);
  node.stat.size = node.mapping->i_size.load();
  changed_locked(node, true);
  learn_locked(static_cast<RamInode&>(inode).node);
  return result;
}

Result<void> Ramfs::fsync(const CallContext&, File&, bool) {
  ++calls.fsync;
  return ok_result();
}

Result<DirPage> Ramfs::readdir(const CallContext&, File& file, uint64_t cookie) {
  ++calls.readdir;
  DirPage page;
  {
    MutexLock lock(mutex_);
    RamInode& inode = static_cast<RamInode&>(file.f_inode());
    RamNode& dir = *inode.node;
    learn_locked(inode.node);
    std::map<uint64_t, std::pair<std::string, std::shared_ptr<RamNode>>> by_cookie;
    for (const auto& [name, entry] : dir.entries) {
      if (entry.cookie > cookie) by_cookie[entry.cookie] = {name, entry.node};
    }
    page.eof = by_cookie.size() <= options_.readdir_entries;
    page.version = version_locked(dir);
    page.learned = true;
    for (const auto& [at, named] : by_cookie) {
      if (page.entries.size() == options_.readdir_entries) break;
      const auto& [name, node] = named;
      Ref<Inode> child = learn_locked(node);
      sb_->s_dcache.d_learn(*file.f_path().dentry, name, RefPtr<Inode>(child), page.version);
      page.entries.push_back(
          DirPage::Entry{name, at, node->stat.ino, static_cast<uint8_t>(IFTODT(node->stat.mode))});
    }
  }
  answered();
  return page;
}

}  // namespace myfs::fs
