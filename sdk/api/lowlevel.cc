#include "sdk/api/lowlevel.h"

#include <memory>
#include <utility>
#include <vector>

namespace myfs::api {

LowLevel::Key LowLevel::key_of(const fs::Path& place) {
  const fs::Inode& inode = place.inode();
  return {&inode.i_sb(), inode.i_ino, inode.i_generation};
}

myfs_inode* LowLevel::look_up(fs::Path place) {
  const Key key = key_of(place);
  {
    MutexLock lock(mutex_);
    if (auto found = inodes_.find(key); found != inodes_.end()) {
      ++found->second->lookups;
      return found->second;
    }
  }
  auto fresh = std::make_unique<myfs_inode>(task_, std::move(place));
  MutexLock lock(mutex_);
  auto [found, added] = inodes_.try_emplace(key, fresh.get());
  if (!added) {
    ++found->second->lookups;
    return found->second;  // `fresh` goes after the lock
  }
  return fresh.release();
}

Result<void> LowLevel::forget(myfs_inode* inode, uint64_t count) {
  std::unique_ptr<myfs_inode> last;
  MutexLock lock(mutex_);
  if (count > inode->lookups) return Errno(EINVAL);
  inode->lookups -= count;
  if (inode->lookups > 0) return ok_result();
  inodes_.erase(key_of(inode->place));
  last.reset(inode);
  return ok_result();
}

myfs_file* LowLevel::add_file(Ref<fs::File> file) {
  auto* made = new myfs_file(task_, std::move(file));
  MutexLock lock(mutex_);
  files_.insert(made);
  return made;
}

void LowLevel::remove_file(myfs_file* file) {
  {
    MutexLock lock(mutex_);
    files_.erase(file);
  }
  delete file;
}

Result<void> LowLevel::close_all(const CallContext& ctx) {
  absl::flat_hash_set<myfs_file*> files;
  {
    MutexLock lock(mutex_);
    files.swap(files_);
  }
  Result<void> first;
  for (myfs_file* file : files) {
    Result<void> flushed = file->file->f_op().flush(ctx, *file->file);
    if (first.ok()) first = flushed;
    delete file;
  }
  return first;
}

void LowLevel::forget_all() {
  absl::flat_hash_map<Key, myfs_inode*> inodes;
  absl::flat_hash_set<myfs_file*> files;
  {
    MutexLock lock(mutex_);
    inodes.swap(inodes_);
    files.swap(files_);
  }
  for (myfs_file* file : files) delete file;
  for (auto& [key, inode] : inodes) delete inode;
}

}  // namespace myfs::api
