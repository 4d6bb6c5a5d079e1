// Xattr: extended attributes of a place or of an open file.
// Kernel counterpart: fs/xattr.c.
// Thread safety: all. Lock rank: i_rwsem of the inode exclusive for changes.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/fs/namei.h"

namespace myfs::fs {

// Of an inode; the callers below find it. EOPNOTSUPP for a name space unknown, ERANGE for a name of
// 0 or > 255 bytes, E2BIG for a value > kXattrValueMax_bytes, EPERM for user.* on what is neither
// file nor directory, ENODATA.
Result<std::string> inode_getxattr(const CallContext& ctx, Inode& inode, std::string_view name);
Result<std::vector<std::string>> inode_listxattr(const CallContext& ctx, Inode& inode);
Result<void> inode_setxattr(const CallContext& ctx, Inode& inode, std::string_view name,
                            std::string_view value, uint32_t flags);
Result<void> inode_removexattr(const CallContext& ctx, Inode& inode, std::string_view name);

// at_flags: AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH (a descriptor: At{fd, ""}).
Result<std::string> vfs_getxattr(const CallContext& ctx, TaskStruct& task, At at, int at_flags,
                                 std::string_view name);
Result<std::vector<std::string>> vfs_listxattr(const CallContext& ctx, TaskStruct& task, At at,
                                               int at_flags);
Result<void> vfs_setxattr(const CallContext& ctx, TaskStruct& task, At at, int at_flags,
                          std::string_view name, std::string_view value, uint32_t flags);
Result<void> vfs_removexattr(const CallContext& ctx, TaskStruct& task, At at, int at_flags,
                             std::string_view name);

}  // namespace myfs::fs
