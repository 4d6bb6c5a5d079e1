#include "bindings/fuse/nodes.h"

namespace bridge {

void Nodes::set_root(const myfs_entry& entry) {
  root_ = entry.inode;
  root_ino_ = entry.attr.st_ino;
}

fuse_ino_t Nodes::add(const myfs_entry& entry) {
  const fuse_ino_t ino = number_of(entry.attr.st_ino);
  if (ino == FUSE_ROOT_ID) {
    // The kernel holds the root without counting.
    myfs_ll_forget(entry.inode, 1);
    return ino;
  }
  Shard& shard = shard_of(ino);
  bool known;
  {
    std::lock_guard lock(shard.mutex);
    Node& node = shard.nodes[ino];
    known = node.count++ > 0;
    if (!known) node.inode = entry.inode;
  }
  if (known) myfs_ll_forget(entry.inode, 1);
  return ino;
}

myfs_inode* Nodes::find(fuse_ino_t ino) {
  if (ino == FUSE_ROOT_ID) return root_;
  Shard& shard = shard_of(ino);
  std::lock_guard lock(shard.mutex);
  auto found = shard.nodes.find(ino);
  return found == shard.nodes.end() ? nullptr : found->second.inode;
}

void Nodes::forget(fuse_ino_t ino, uint64_t count) {
  if (ino == FUSE_ROOT_ID) return;
  Shard& shard = shard_of(ino);
  myfs_inode* last = nullptr;
  {
    std::lock_guard lock(shard.mutex);
    auto found = shard.nodes.find(ino);
    if (found == shard.nodes.end()) return;
    Node& node = found->second;
    if (node.count > count) {
      node.count -= count;
      return;
    }
    last = node.inode;
    shard.nodes.erase(found);
  }
  myfs_ll_forget(last, 1);
}

}  // namespace bridge
