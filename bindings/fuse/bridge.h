// Bridge: a mount of MyFS in the kernel: what its requests work on.
// Kernel counterpart: struct fuse_conn (fs/fuse/fuse_i.h), the other side of it.
//
// What the kernel may keep. Names and attributes: nothing, time-outs are 0: each look-up and stat
// comes here and is answered from the library's cache as long as its leases cover it; with
// lease_cache what LeaseCache lets it. Targets of
// symbolic links: for good, they never change. Content: read() and write() pass the kernel's page
// cache by (direct_io). The kernel would take pages for good until the mtime that it sees changes,
// and it cannot be made to drop them before a recall is acknowledged: it locks pages while it waits
// for a READ or WRITE, which may wait for the very recall. Mapped files go through the page cache:
// what a mapping shows is as old as the page, and a page's change arrives here with msync, munmap
// or the kernel's write-back.
//
// Permission is checked by the server, for the caller's uid, gid and groups; the kernel checks
// nothing, unless it is asked to do so first (default_permissions): it then needs attributes and
// ACLs of each directory on the way, and evaluates the latter (FUSE_CAP_POSIX_ACL). setuid and
// setgid bits are the server's to clear (FUSE_CAP_HANDLE_KILLPRIV), and so is the umask
// (FUSE_CAP_DONT_MASK), since a directory's default ACL replaces it. ACLs pass through as extended
// attributes.
//
// Thread safety: all.
// Owns / is owned by: main; the task is its own and outlives every request.
#pragma once

#include <myfs/lowlevel.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "bindings/fuse/fuse_api.h"
#include "bindings/fuse/lease_cache.h"
#include "bindings/fuse/nodes.h"
#include "bindings/fuse/waits.h"

namespace bridge {

// What the kernel has open; fuse_file_info::fh points to it.
struct FileHandle {
  myfs_file* file = nullptr;
  std::atomic<int> flags{0};  // those of F_SETFL

  std::mutex mutex;
  // Who may hold locks that he asked for here, by the kernel's numbers. A process leaves with its
  // close(). What is left at the release is the open file itself [F_OFD_SETLK]: of that the kernel
  // says nothing more.
  std::set<uint64_t> lock_owners;

  // Of a directory: entries fetched and not delivered.
  std::vector<myfs_dirent> batch;
  size_t next = 0;
  int64_t position = -1;  // that batch[next] follows

  static FileHandle* of(const fuse_file_info* info) {
    return reinterpret_cast<FileHandle*>(info->fh);
  }
};

// Those that stand. What the kernel has not released when the mount ends goes with it.
class FileHandles {
 public:
  // The pointer is good until drop().
  FileHandle* keep(std::unique_ptr<FileHandle> handle) {
    FileHandle* const kept = handle.get();
    std::lock_guard lock(mutex_);
    all_.emplace(kept, std::move(handle));
    return kept;
  }
  // Closes it.
  void drop(FileHandle* handle) {
    myfs_ll_release(handle->file);
    std::lock_guard lock(mutex_);
    all_.erase(handle);
  }

 private:
  std::mutex mutex_;
  std::unordered_map<const FileHandle*, std::unique_ptr<FileHandle>> all_;
};

struct Bridge {
  myfs_task* task = nullptr;
  Nodes nodes;
  FileHandles handles;
  std::unique_ptr<LeaseCache> lease_cache;  // null without the option
  Waits waits;
  bool kernel_checks = false;  // default_permissions
  int ready_fd = -1;           // of the parent that waits for the mount to stand, or -1
  std::string mountpoint;
};

// Requests of at most this many bytes; the kernel splits larger ones.
inline constexpr unsigned kIoMax_bytes = 1 << 20;

// The handlers, by what they are about.
void set_name_handlers(fuse_lowlevel_ops* ops);
void set_attr_handlers(fuse_lowlevel_ops* ops);
void set_file_handlers(fuse_lowlevel_ops* ops);
void set_dir_handlers(fuse_lowlevel_ops* ops);
void set_lock_handlers(fuse_lowlevel_ops* ops);

}  // namespace bridge
