// RcuWalk: the walk over names that the cache knows; the inner part of namei.
// Kernel counterpart: rcu-walk (LOOKUP_RCU) of fs/namei.c.  Differs: it never falls back by itself;
// it says where the cache's knowledge ended, and namei.cc asks there and starts it again.
// Thread safety: an object is used by one thread, inside one rcu read section.
// Owns / is owned by: on the walker's stack; holds no references.
// Invariants: (1) nothing is written but touch() of dentries, and nothing allocated, unless the
// server takes the caller for somebody else; (2) each name's dentry was true under a sample of the
// directory's lease taken before it was read; Validity::alive() of each super block is asked after
// its last use: by the walk when it leaves one, by its caller for the last.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "sdk/base/limits.h"
#include "sdk/fs/name_hash.h"
#include "sdk/fs/namei.h"
#include "sdk/fs/permission.h"

namespace myfs::fs {

class RcuWalk {
 public:
  // `scope`: instead of the task's root and working directory.
  RcuWalk(const CallContext& ctx, const TaskStruct& task, uint32_t flags,
          const FsStruct::View* scope = nullptr)
      : cred_(*ctx.cred),
        task_(task),
        flags_(flags),
        view_(scope != nullptr ? *scope : task.fs.view_rcu()) {}

  // Where to begin: kHit, or kError. An absolute path begins at the root, whatever is given.
  WalkOutcome start(At at);
  void start_from(Mount* mnt, Dentry* dentry, std::string_view text);
  // To the end of the path (LOOKUP_PARENT: before its last component).
  WalkOutcome run();
  // One name in the directory where the walk stands, for those who hold its lock: kHit sets
  // `found`.
  WalkOutcome probe(std::string_view name, Dentry** found);
  // Steps out of mount roots until there is a dentry with a parent; false: at the root, ".." stays.
  bool climb_mounts();
  // To the topmost mount on the place.
  void follow_mounts();
  // Whether the walk may go on from here along a symbolic link to `target`: ELOOP, EXDEV.
  Errno may_follow(std::string_view target) const;
  // ".." was asked for at the root: EXDEV below LOOKUP_BENEATH, else it stays.
  Errno may_stay() const;
  // After kMiss: what is left of the path, from the component that was missed.
  std::string remaining() const;
  // Of the super block where the walk stands.
  bool alive() const;

  Mount* mnt = nullptr;
  Dentry* dentry = nullptr;
  Errno error;              // of kError
  std::string_view missed;  // of kMiss and kError: the path from the component on
  int links = 0;            // symbolic links followed
  bool trailing = false;  // a slash followed the last component: follow, and it must be a directory
  bool climbed = false;   // by ".."
  bool trust = true;      // false: every name is a miss
  std::string_view last;  // LOOKUP_PARENT
  LastType last_type = LastType::kNorm;

 private:
  WalkOutcome fail(int error_number);
  WalkOutcome may_search(const Inode& dir);
  // The caller as the server of `sb` takes him.
  const Cred& acting(const SuperBlock& sb);
  WalkOutcome component(std::string_view name, uint32_t hash, bool is_last);
  WalkOutcome find(std::string_view name, uint32_t hash, Dentry** found);
  WalkOutcome absent(const Inode& dir, std::string_view name, uint32_t hash);
  WalkOutcome enter(Dentry* child, bool is_last);
  WalkOutcome follow_link(const Inode& link);
  WalkOutcome dotdot();
  WalkOutcome stop_before(std::string_view name);
  bool at_root() const {
    return mnt == view_.root_mnt && view_.root != nullptr && is_same_place(*dentry, *view_.root);
  }
  void goto_root();

  const Cred& cred_;
  const SuperBlock* acting_sb_ = nullptr;  // that acting_ is for
  std::optional<Acting> acting_;
  const TaskStruct& task_;
  const uint32_t flags_;
  const FsStruct::View& view_;
  std::string_view rest_;
  LeaseWord::Sample sample_ = 0;  // of the directory where the walk stands
  int depth_ = 0;
  // What follows each link, never empty. Not initialised: a warm walk seldom needs it.
  struct Rest {
    const char* data;
    size_t size;
  };
  Rest stack_[kSymlinksFollowedMax];
};

// [path_connected] Whether `dentry`, reached by "..", is part of what the mount shows.
bool is_connected(const Mount& mnt, const Dentry& dentry);

inline std::string_view skip_slashes(std::string_view path) {
  size_t n = 0;
  while (n < path.size() && path[n] == '/') ++n;
  return path.substr(n);
}

// The part of `path` before the next slash.
inline std::string_view first_component(std::string_view path) {
  return path.substr(0, scan_component(path).size);
}

}  // namespace myfs::fs
