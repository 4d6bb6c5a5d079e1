// Namei_ops: the calls that change names.
// Kernel counterpart: do_mkdirat, do_unlinkat, do_renameat2, vfs_create, ... (fs/namei.c).
// Thread safety: all.
// Lock rank: i_rwsem exclusive of the parent; rename of two directories takes s_rename_mutex, then
// ancestor first, else by number. No second directory is ever locked outside s_rename_mutex, so the
// order within the class cannot form a cycle.
// Invariants: (1) around each call of the file system the directories' and the known victims'
// i_changing is raised and their dentries are kBusy: the cache does not answer for what may have
// changed at the server already.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/fs/namei.h"

namespace myfs::fs {

// Makes what `args` says under a name that must not exist, and tells what it has become. `name` is
// the place of the result: its mount is set, and its dentry.
Result<CreateResult> vfs_create(const CallContext& ctx, TaskStruct& task, At at,
                                const CreateArgs& args, Path* place);
Result<void> vfs_mkdir(const CallContext& ctx, TaskStruct& task, At at, uint32_t mode);
// mode with S_IFMT (0: regular).
Result<void> vfs_mknod(const CallContext& ctx, TaskStruct& task, At at, uint32_t mode,
                       uint64_t rdev);
Result<void> vfs_symlink(const CallContext& ctx, TaskStruct& task, std::string_view target, At at);
// flags: AT_SYMLINK_FOLLOW, AT_EMPTY_PATH.
Result<void> vfs_link(const CallContext& ctx, TaskStruct& task, At from, At to, int flags);
Result<void> vfs_unlink(const CallContext& ctx, TaskStruct& task, At at);
Result<void> vfs_rmdir(const CallContext& ctx, TaskStruct& task, At at);
// flags: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2.
Result<void> vfs_rename(const CallContext& ctx, TaskStruct& task, At from, At to, uint32_t flags);
Result<std::string> vfs_readlink(const CallContext& ctx, TaskStruct& task, At at);

// For as long as it lives, the cache does not answer for these inodes, nor for these names of
// theirs. If the caller gives up, it lives on until the server has answered for good; then what is
// cached of the inodes is forgotten.
class ChangeInFlight {
 public:
  struct Name {
    Dentry* dir;
    std::string_view name;
  };
  // At most two names; the i_rwsem of their directories is held exclusive. `weight`: of the inodes;
  // kChanging, and what else may change.
  ChangeInFlight(std::initializer_list<Name> names, std::initializer_list<Inode*> inodes = {},
                 uint64_t weight = Inode::kChanging);
  ~ChangeInFlight();
  ChangeInFlight(const ChangeInFlight&) = delete;
  ChangeInFlight& operator=(const ChangeInFlight&) = delete;
  // For the calls that make the change.
  CallContext context(const CallContext& ctx) const;

 private:
  class State;
  const Ref<State> state_;
};

}  // namespace myfs::fs
