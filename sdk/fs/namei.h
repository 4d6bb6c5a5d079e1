// Namei: from a path to a place.
// Kernel counterpart: fs/namei.c (path_lookupat, link_path_walk, struct nameidata).  Differs:
// rcu-walk is the only walk over cached names; where the cache does not answer, one
// InodeOps::lookup resolves all remaining names and the walk goes along that answer whatever
// happens to the leases meanwhile (docs/protocol.md, Leases), then on through the cache.
// Thread safety: all.
// Lock rank: takes i_rwsem shared of the directory that it asks about; nothing on a hit.
// Invariants: (1) a warm walk takes no lock, allocates nothing and writes nothing shared; (2) no
// component is asked for twice.
#pragma once

#include <fcntl.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "sdk/base/call_context.h"
#include "sdk/base/kstat.h"
#include "sdk/base/result.h"
#include "sdk/fs/path.h"
#include "sdk/fs/task.h"

namespace myfs::fs {

enum LookupFlags : uint32_t {
  LOOKUP_FOLLOW = 1,     // the last component's symbolic link too
  LOOKUP_DIRECTORY = 2,  // the result must be a directory
  LOOKUP_EMPTY = 4,      // "" names the start (AT_EMPTY_PATH)
  LOOKUP_PARENT = 8,     // stop before the last component
  // Of openat2; the last two only with a root of the walk's own.
  LOOKUP_NO_SYMLINKS = 16,  // ELOOP where a symbolic link would be followed
  LOOKUP_NO_XDEV = 32,      // EXDEV where the walk would leave a mount
  LOOKUP_BENEATH = 64,   // EXDEV where it would leave the root: by "..", "/", or a link to "/..."
  LOOKUP_IN_ROOT = 128,  // there it stays below the root, as after chroot
  LOOKUP_IS_SCOPED = LOOKUP_BENEATH | LOOKUP_IN_ROOT,
};

// Where a walk begins: a descriptor of the task, or AT_FDCWD; absolute paths ignore it.
struct At {
  int dfd = AT_FDCWD;
  std::string_view path;
  const Path* start = nullptr;  // instead of dfd, for callers that hold a place; outlives the call
};

enum class LastType : uint8_t { kNorm, kRoot, kDot, kDotDot };

struct WalkResult {
  Path path;              // with LOOKUP_PARENT the parent, a directory
  bool has_stat = false;  // the answer of this walk brought `stat`
  Kstat stat;
  // With LOOKUP_PARENT:
  std::string last;  // without slashes
  LastType last_type = LastType::kNorm;
  bool trailing_slash = false;
};

// ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG, EBADF (dfd), and what the file system answers.
Result<WalkResult> path_lookup(const CallContext& ctx, const TaskStruct& task, At at,
                               uint32_t flags, LookupIntent intent = LookupIntent::kWalk);
// [retry_estale] Runs fn, which walks a path and uses what it found; again if that was deleted
// between the two. ENOENT if it goes on.
template <typename Fn>
auto retry_estale(Fn fn) -> decltype(fn()) {
  constexpr int kTries = 3;
  for (int i = 0; i < kTries; ++i) {
    auto result = fn();
    if (result.ok() || result.error() != Errno(ESTALE)) return result;
  }
  return Errno(ENOENT);
}
// Goes on from a directory with another path, for symbolic links that create() found; `links`
// counts those followed. `root`: that of the walk instead of the task's; if ".." was followed, the
// result was below it when the walk ended (EXDEV).
Result<WalkResult> path_lookup_from(const CallContext& ctx, const TaskStruct& task,
                                    const Path& start, std::string_view path, uint32_t flags,
                                    LookupIntent intent, int* links, const Path* root = nullptr);

// The warm walk alone. Inside it, `fn(inode)` may copy from the inode found; it returns false to
// give up (a miss).
enum class WalkOutcome : uint8_t { kHit, kMiss, kError };
struct RcuHit {
  Mount* mnt = nullptr;
  Dentry* dentry = nullptr;
  Inode* inode = nullptr;
};
// kHit: fn was true and everything was true together with it. kError: *error, known from the cache.
// kMiss: ask.
WalkOutcome rcu_walk(const CallContext& ctx, const TaskStruct& task, At at, uint32_t flags,
                     absl::FunctionRef<bool(const RcuHit&)> fn, Errno* error);

// What the cache knows of `name` in `dir`: kHit sets *child (positive), kError *error (ENOENT if
// the name is known to be absent, EACCES), kMiss: nothing.
WalkOutcome cached_child(const CallContext& ctx, const TaskStruct& task, const Path& dir,
                         std::string_view name, RefPtr<Dentry>* child, Errno* error);

// Whether `dentry` is where its position says, by the lease of its parent. Within an rcu read
// section or with a reference.
bool position_known(const Dentry& dentry);

// The absolute path of `path` below the task's root [d_path]; ENOENT if it, or a directory above
// it, was removed;
// "(unreachable)" is not used: a place outside the root is ENOENT too. ENAMETOOLONG.
Result<std::string> d_path(const CallContext& ctx, const TaskStruct& task, const Path& path);

}  // namespace myfs::fs
