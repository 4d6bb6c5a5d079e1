// Method: the calls of the protocol by name, for statistics, logs and errors.
// Thread safety: values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace myfs::rpc {

enum class Method : uint8_t {
  kHello,
  kLogin,
  kBind,
  kAttachData,
  kRenew,
  kRelease,
  kAck,
  kGlimpsed,
  kClose,
  kPing,
  kStats,
  kLockGranted,
  kNewDataToken,
  kLookup,
  kGetattr,
  kGetattrs,
  kSetattr,
  kCreate,
  kLink,
  kUnlink,
  kRename,
  kReaddir,
  kOpen,
  kStatfs,
  kGetxattr,
  kListxattr,
  kSetxattr,
  kLock,
  kLockTest,
  kLockCancel,
  kLockRelease,
  kResolveHandle,
  kPersistHandle,
  kParentOf,
  kDirStats,
  kSync,
  kRead,
  kWrite,
  kAppend,
  kCommit,
  kFallocate,
  kSeek,
  kExtents,
  kCopy,
  kDataPing,
  kReadMany,
  kCount
};
inline constexpr size_t kMethodCount = static_cast<size_t>(Method::kCount);

// "create"; static storage.
std::string_view method_name(Method method);

}  // namespace myfs::rpc
