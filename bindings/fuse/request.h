// Request: one request of the kernel from its arrival to its answer: on whose behalf it is made,
// its cancellation, and the answer, which is given exactly once.
// Kernel counterpart: struct fuse_req (fs/fuse/dev.c).
// Thread safety: lives on the stack of the thread that serves the request.
// Invariants: (1) nothing can interrupt the request once the answer is on its way.
#pragma once

#include <myfs/lowlevel.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "bindings/fuse/bridge.h"
#include "bindings/fuse/fuse_api.h"

namespace bridge {

class Request {
 public:
  // What ends the call: the death of its caller, or any signal to him.
  enum class Interrupt : uint8_t { kDeath, kAnySignal };
  explicit Request(fuse_req_t req, Interrupt interrupt = Interrupt::kDeath);
  ~Request();
  Request(const Request&) = delete;
  Request& operator=(const Request&) = delete;

  Bridge& bridge() const { return bridge_; }
  // How the library is to be called.
  const myfs_call* call() const { return &call_; }
  // Of a request that makes something (FUSE_CAP_DONT_MASK).
  mode_t umask() const { return umask_; }
  // The node of a number; null, and the request is answered, if there is none.
  myfs_inode* node(fuse_ino_t ino);

  // The answers; `result`: of a call, negative: -errno.
  void error(int result);
  void none() { error(0); }
  // `name` in the node `dir`.
  void entry(const myfs_entry& entry, fuse_ino_t dir, const char* name);
  // A name that is not there.
  void no_entry(const myfs_entry& entry, fuse_ino_t dir, const char* name);
  void attr(const struct stat& attr, int64_t keep_ms);
  void open(std::unique_ptr<FileHandle> file, fuse_file_info* info);
  void create(const myfs_entry& entry, fuse_ino_t dir, const char* name,
              std::unique_ptr<FileHandle> file, fuse_file_info* info);
  // False: nobody took it.
  bool buffer(const void* data, size_t size);
  void readlink(const char* target);
  void written(size_t count);
  void length(size_t size);
  void offset(int64_t offset);
  void statfs(const struct statfs& stat);
  void lock(const struct flock& lock);
  // Another Request, on another thread, will answer it.
  void leave() { (void)end(); }

 private:
  static void interrupted(fuse_req_t req, void* self);
  // Nobody can interrupt any more; the request is libfuse's to answer.
  fuse_req_t end();
  fuse_entry_param to_param(const myfs_entry& entry, fuse_ino_t ino, LeaseCache::Window& window,
                            fuse_ino_t dir, const char* name) const;
  LeaseCache::Window window() const { return {bridge_.lease_cache.get(), since_}; }

  fuse_req_t req_;
  Bridge& bridge_;
  const uint64_t since_;  // of the lease cache, when the request came
  mode_t umask_ = 0;
  std::vector<gid_t> groups_;
  myfs_cred cred_{};
  myfs_call call_{};
  const Interrupt interrupt_;
  std::atomic<bool> fired_{false};
};

// Gives up the locks of `owner` on the file, as each close() does; lock_handlers.cc. It is not
// cancelled with its caller, and ends after `limit_ms` at the latest: what the server has not
// answered by then the library does later.
void unlock_all(FileHandle& handle, uint64_t owner, int64_t limit_ms);
// Those of all that are left, before the file is released.
void unlock_owners(FileHandle& handle);
inline constexpr int64_t kUnlock_ms = 10'000;
inline constexpr int64_t kUnlockKilled_ms = 1'000;  // for a process that is being killed

}  // namespace bridge
