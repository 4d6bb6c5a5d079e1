// Attributes, by inode.

#include <unistd.h>

#include "sdk/api/lowlevel_call.h"
#include "sdk/fs/attr.h"
#include "sdk/fs/freeze.h"
#include "sdk/fs/namei_ops.h"
#include "sdk/fs/xattr.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

static_assert(MYFS_SET_MODE == fs::Iattr::kMode && MYFS_SET_UID == fs::Iattr::kUid &&
              MYFS_SET_GID == fs::Iattr::kGid && MYFS_SET_SIZE == fs::Iattr::kSize &&
              MYFS_SET_ATIME == fs::Iattr::kAtime && MYFS_SET_MTIME == fs::Iattr::kMtime &&
              MYFS_SET_ATIME_NOW == fs::Iattr::kAtimeNow &&
              MYFS_SET_MTIME_NOW == fs::Iattr::kMtimeNow &&
              MYFS_SET_KILL_PRIV == fs::Iattr::kKillPriv);
constexpr unsigned kSetAll = 2 * MYFS_SET_KILL_PRIV - 1;

bool is_time(const timespec& time) { return time.tv_nsec >= 0 && time.tv_nsec <= 999'999'999; }

Result<fs::Iattr> to_iattr(const myfs_setattr* attr) {
  if (attr == nullptr) return fail(Errno(EINVAL), "the attributes are null");
  if (attr->size != sizeof(myfs_setattr)) {
    return fail(Errno(EINVAL), "myfs_setattr.size is wrong");
  }
  if ((attr->valid & ~kSetAll) != 0) return fail(Errno(EINVAL), "setattr: an unknown bit");
  if (!is_time(attr->atime) || !is_time(attr->mtime)) {
    return fail(Errno(EINVAL), "setattr: nanoseconds must be 0..999999999");
  }
  if (attr->length < 0) return fail(Errno(EINVAL), "setattr: the length is negative");
  fs::Iattr out;
  out.ia_valid = attr->valid;
  out.ia_mode = attr->mode;
  out.ia_uid = attr->uid;
  out.ia_gid = attr->gid;
  out.ia_size = static_cast<uint64_t>(attr->length);
  out.ia_atime = Time{attr->atime.tv_sec, static_cast<uint32_t>(attr->atime.tv_nsec)};
  out.ia_mtime = Time{attr->mtime.tv_sec, static_cast<uint32_t>(attr->mtime.tv_nsec)};
  return out;
}

fs::File* file_of(myfs_file* file) { return file == nullptr ? nullptr : file->file.get(); }

// size 0 asks for the length.
Result<size_t> copy_out(std::string_view value, void* buffer, size_t size) {
  if (size == 0) return value.size();
  if (buffer == nullptr) return fail(Errno(EINVAL), "there is no buffer");
  if (value.size() > size) return Errno(ERANGE);
  return value.copy(static_cast<char*>(buffer), value.size());
}

Errno check_name(const char* name) {
  return name == nullptr ? fail(Errno(EINVAL), "the name is null") : Errno();
}

}  // namespace

extern "C" {

int myfs_ll_getattr(myfs_inode* inode, const myfs_call* call, myfs_file* file, struct stat* out,
                    int64_t* keep_ms) {
  CallScope scope(api::task_of(inode), call, "getattr");
  return scope.run([&]() -> Result<void> {
    if (out == nullptr) return fail(Errno(EINVAL), "there is no place for the result");
    fs::Inode& of = file != nullptr ? file->file->f_inode() : inode->place.inode();
    MYFS_ASSIGN(Kstat stat, fs::vfs_getattr(scope.ctx(), of));
    if (keep_ms != nullptr) *keep_ms = fs::keep_attr_ns(of, &stat) / kNsPerMs;
    api::to_stat(stat, out);
    return ok_result();
  });
}

int myfs_ll_setattr(myfs_inode* inode, const myfs_call* call, myfs_file* file,
                    const myfs_setattr* attr, struct stat* out) {
  CallScope scope(api::task_of(inode), call, "setattr");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(const fs::Iattr change, to_iattr(attr));
    MYFS_TRY(fs::vfs_setattr(scope.ctx(), inode->place, change, file_of(file)));
    if (out == nullptr) return ok_result();
    MYFS_ASSIGN(const Kstat stat, fs::vfs_getattr(scope.ctx(), inode->place.inode()));
    api::to_stat(stat, out);
    return ok_result();
  });
}

int myfs_ll_access(myfs_inode* inode, const myfs_call* call, int mode) {
  CallScope scope(api::task_of(inode), call, "access");
  return scope.run([&]() -> Result<void> {
    return fs::vfs_access(scope.ctx(), scope.task(), api::at_inode(*inode), mode, AT_EMPTY_PATH);
  });
}

int myfs_ll_statfs(myfs_inode* inode, const myfs_call* call, struct statfs* out) {
  CallScope scope(api::task_of(inode), call, "statfs");
  return scope.run([&]() -> Result<void> {
    if (out == nullptr) return fail(Errno(EINVAL), "there is no place for the result");
    MYFS_ASSIGN(const fs::Kstatfs stat, fs::vfs_statfs_at(scope.ctx(), inode->place));
    api::to_statfs(stat, out);
    return ok_result();
  });
}

ssize_t myfs_ll_readlink(myfs_inode* inode, const myfs_call* call, char* buffer, size_t size) {
  CallScope scope(api::task_of(inode), call, "readlink");
  return scope.run([&]() -> Result<size_t> {
    if (buffer == nullptr || size == 0) return fail(Errno(EINVAL), "there is no buffer");
    if (!inode->place.inode().is_symlink()) return Errno(EINVAL);
    MYFS_ASSIGN(const std::string target,
                fs::vfs_readlink(scope.ctx(), scope.task(), api::at_inode(*inode)));
    return target.copy(buffer, size);
  });
}

ssize_t myfs_ll_getxattr(myfs_inode* inode, const myfs_call* call, const char* name, void* value,
                         size_t size) {
  CallScope scope(api::task_of(inode), call, "getxattr");
  return scope.run([&]() -> Result<size_t> {
    if (Errno error = check_name(name); !error.ok()) return error;
    MYFS_ASSIGN(const std::string found,
                fs::inode_getxattr(scope.ctx(), inode->place.inode(), name));
    return copy_out(found, value, size);
  });
}

int myfs_ll_setxattr(myfs_inode* inode, const myfs_call* call, const char* name, const void* value,
                     size_t size, int flags) {
  CallScope scope(api::task_of(inode), call, "setxattr");
  return scope.run([&]() -> Result<void> {
    if (Errno error = check_name(name); !error.ok()) return error;
    if (value == nullptr && size > 0) return fail(Errno(EINVAL), "the value is null");
    MYFS_ASSIGN(const fs::WantWrite writing, fs::WantWrite::get(scope.ctx(), inode->place));
    const std::string_view bytes(static_cast<const char*>(value), size);
    return fs::inode_setxattr(scope.ctx(), inode->place.inode(), name, bytes,
                              static_cast<uint32_t>(flags));
  });
}

ssize_t myfs_ll_listxattr(myfs_inode* inode, const myfs_call* call, char* list, size_t size) {
  CallScope scope(api::task_of(inode), call, "listxattr");
  return scope.run([&]() -> Result<size_t> {
    MYFS_ASSIGN(const std::vector<std::string> names,
                fs::inode_listxattr(scope.ctx(), inode->place.inode()));
    std::string joined;
    for (const std::string& name : names) joined.append(name).push_back('\0');
    return copy_out(joined, list, size);
  });
}

int myfs_ll_removexattr(myfs_inode* inode, const myfs_call* call, const char* name) {
  CallScope scope(api::task_of(inode), call, "removexattr");
  return scope.run([&]() -> Result<void> {
    if (Errno error = check_name(name); !error.ok()) return error;
    MYFS_ASSIGN(const fs::WantWrite writing, fs::WantWrite::get(scope.ctx(), inode->place));
    return fs::inode_removexattr(scope.ctx(), inode->place.inode(), name);
  });
}

}  // extern "C"
