// Nodes: the inodes that the kernel knows, by the number under which it knows them.
// Kernel counterpart: fuse_iget and fuse_inode::nlookup (fs/fuse/inode.c), the other side of them.
// A node's number is its st_ino, which MyFS never uses again; the root's is FUSE_ROOT_ID.
// Thread safety: all. The kernel forgets a node only when no request of its is under way.
// Lock rank: the mutex of a shard; only myfs_ll_forget() is called, outside it.
// Owns / is owned by: part of a Bridge; holds one look-up of the library's per node.
// Invariants: (1) a node's count is what the kernel was told about it and has not forgotten.
#pragma once

#include <myfs/lowlevel.h>

#include <array>
#include <cstdint>
#include <mutex>
#include <unordered_map>

#include "bindings/fuse/fuse_api.h"

namespace bridge {

class Nodes {
 public:
  Nodes() = default;
  Nodes(const Nodes&) = delete;
  Nodes& operator=(const Nodes&) = delete;

  // Takes over the entry's look-up: the kernel will know the root by it.
  void set_root(const myfs_entry& entry);
  // Takes over the entry's look-up; the kernel is told of it once more. Returns the node's number.
  fuse_ino_t add(const myfs_entry& entry);
  // Null: the kernel asks for what it has forgotten.
  myfs_inode* find(fuse_ino_t ino);
  void forget(fuse_ino_t ino, uint64_t count);
  // The number under which the kernel knows an inode.
  fuse_ino_t number_of(uint64_t st_ino) const {
    return st_ino == root_ino_ ? fuse_ino_t{FUSE_ROOT_ID} : st_ino;
  }

 private:
  static constexpr size_t kShards = 64;
  struct Node {
    myfs_inode* inode = nullptr;
    uint64_t count = 0;
  };
  struct alignas(64) Shard {
    std::mutex mutex;
    std::unordered_map<fuse_ino_t, Node> nodes;
  };
  Shard& shard_of(fuse_ino_t ino) { return shards_[ino % kShards]; }

  myfs_inode* root_ = nullptr;
  uint64_t root_ino_ = 0;
  std::array<Shard, kShards> shards_;
};

}  // namespace bridge
