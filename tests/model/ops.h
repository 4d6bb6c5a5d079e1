// Op: one call by one client, drawn at random; Driver: makes it of MyFS and of the model, and tells
// where the two differ.
// Thread safety: none. Owns / is owned by: the test owns tasks and Driver; Driver owns the model.
// Invariants: (1) what an Op says does not depend on what came before, so any part of a run of ops
// is a run of ops: shrinking needs it; (2) the model answers first.
#pragma once

#include <myfs/myfs.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tests/model/model.h"

namespace myfs::test {

// splitmix64.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed) {}
  uint64_t next();
  // 0..bound - 1
  uint64_t below(uint64_t bound) { return next() % bound; }
  bool percent(unsigned chance) { return below(100) < chance; }

 private:
  uint64_t state_;
};

enum class Call : uint8_t {
  kOpen,
  kClose,
  kDup,
  kDup2,
  kRead,
  kPread,
  kPreadv,
  kWrite,
  kPwrite,
  kPwritev2,
  kCopy,
  kClone,
  kTruncate,
  kFtruncate,
  kFallocate,
  kLseek,
  kFsync,
  kFadvise,
  kMkdir,
  kMknod,
  kSymlink,
  kReadlink,
  kUnlink,
  kRmdir,
  kLink,
  kLinkTmpfile,
  kRename,
  kStat,
  kFstat,
  kChmod,
  kFchmod,
  kUtimens,
  kSetxattr,
  kGetxattr,
  kListxattr,
  kRemovexattr,
  kReaddir,
  kFlock,
  kLock,
  kTestLock,
  kMmap,
  kStore,
  kLoad,
  kMsync,
  kMunmap,
  kCount
};

struct Op {
  Call call = Call::kStat;
  int client = 0;
  int fd = 0, to = 0;            // descriptors; of paths: where they begin; `to`: also of slots
  std::string path{}, other{};   // paths, targets, names of attributes
  int64_t offset = 0, size = 0;  // bytes
  uint64_t flags = 0;
  uint64_t seed = 0;  // of what is written

  std::string text() const;
};

// What differs; empty: nothing.
std::string same(int64_t expected, int64_t actual, const char* what = "result");
std::string same_bytes(std::string_view expected, std::string_view actual);
// Text without zeros, so that a hole shows.
std::string payload(uint64_t seed, int64_t size);

// The next op of a run by `clients` clients; `before`: the client of the last one.
Op draw(Dice& dice, int clients, int before);

class Driver {
 public:
  // One client each.
  explicit Driver(std::vector<myfs_task*> tasks);
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  // What differs; empty: nothing.
  std::string run(const Op& op);
  // Everything that has a name, as each client sees it.
  std::string compare_all();

 private:
  std::string run_one(const Op& op);
  std::string run_open(const Op& op);
  std::string run_content(const Op& op);
  std::string run_read(const Op& op);
  std::string run_size(const Op& op);
  std::string run_lseek(const Op& op);
  std::string run_names(const Op& op);
  std::string run_stat(const Op& op);
  std::string run_attributes(const Op& op);
  std::string run_xattr(const Op& op);
  std::string run_readdir(const Op& op);
  std::string run_locks(const Op& op);
  std::string run_mmap(const Op& op);
  std::string run_msync(const Op& op);
  std::string run_munmap(int client, int slot);
  std::string run_store(const Op& op);
  std::string run_load(const Op& op);
  // Other clients' stores are written before `op` changes the size of their file: Memory's (3).
  std::string write_stores_before(const Op& op);
  Node* resized_by(const Op& op);
  std::string invalidate(int client, int slot);
  // Bytes of the file [from, to) as they are mapped: what can be read.
  std::string load(int client, int slot, int64_t from, int64_t to);
  std::string compare_memory(int client, int slot, int64_t from, int64_t to);

  std::string same_stat(Node* node, const struct stat& st);
  std::string compare_tree(myfs_task* task, Node* dir, const std::string& path);
  std::string compare_dir(myfs_task* task, Node* dir, const std::string& path);
  std::string compare_file(myfs_task* task, Node* node, const std::string& path);
  myfs_task* task(const Op& op) const { return tasks_[static_cast<size_t>(op.client)]; }

  static constexpr int kSlots = 2;  // for mappings, of a client

  const std::vector<myfs_task*> tasks_;
  std::vector<myfs_task*> lookers_;  // of the same mounts: their close() leaves the locks of tasks_
  Model model_;
  std::map<std::pair<int, int>, char*> mapped_;  // by client and slot
  int scratch_ = -1;                             // a file in memory
};

}  // namespace myfs::test
