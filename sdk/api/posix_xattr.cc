// Extended attributes.

#include "sdk/api/call_scope.h"
#include "sdk/fs/xattr.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

int at_flags(int nofollow) { return nofollow != 0 ? AT_SYMLINK_NOFOLLOW : 0; }

// size 0 asks for the length.
Result<size_t> copy_out(const std::string& value, void* buffer, size_t size) {
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

ssize_t myfs_getxattr_x(myfs_task* task, const myfs_call* call, const char* path, const char* name,
                        void* value, size_t size, int nofollow) {
  CallScope scope(task, call, "getxattr");
  return scope.run([&]() -> Result<size_t> {
    if (Errno error = check_name(name); !error.ok()) return error;
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    MYFS_ASSIGN(std::string found,
                fs::vfs_getxattr(scope.ctx(), scope.task(), at, at_flags(nofollow), name));
    return copy_out(found, value, size);
  });
}
ssize_t myfs_getxattr(myfs_task* task, const char* path, const char* name, void* value, size_t size,
                      int nofollow) {
  return myfs_getxattr_x(task, nullptr, path, name, value, size, nofollow);
}

int myfs_setxattr_x(myfs_task* task, const myfs_call* call, const char* path, const char* name,
                    const void* value, size_t size, int flags, int nofollow) {
  CallScope scope(task, call, "setxattr");
  return scope.run([&]() -> Result<void> {
    if (Errno error = check_name(name); !error.ok()) return error;
    if (value == nullptr && size > 0) return fail(Errno(EINVAL), "the value is null");
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    std::string_view bytes(static_cast<const char*>(value), size);
    return fs::vfs_setxattr(scope.ctx(), scope.task(), at, at_flags(nofollow), name, bytes,
                            static_cast<uint32_t>(flags));
  });
}
int myfs_setxattr(myfs_task* task, const char* path, const char* name, const void* value,
                  size_t size, int flags, int nofollow) {
  return myfs_setxattr_x(task, nullptr, path, name, value, size, flags, nofollow);
}

ssize_t myfs_listxattr_x(myfs_task* task, const myfs_call* call, const char* path, char* list,
                         size_t size, int nofollow) {
  CallScope scope(task, call, "listxattr");
  return scope.run([&]() -> Result<size_t> {
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    MYFS_ASSIGN(std::vector<std::string> names,
                fs::vfs_listxattr(scope.ctx(), scope.task(), at, at_flags(nofollow)));
    std::string joined;
    for (const std::string& name : names) joined.append(name).push_back('\0');
    return copy_out(joined, list, size);
  });
}
ssize_t myfs_listxattr(myfs_task* task, const char* path, char* list, size_t size, int nofollow) {
  return myfs_listxattr_x(task, nullptr, path, list, size, nofollow);
}

int myfs_removexattr_x(myfs_task* task, const myfs_call* call, const char* path, const char* name,
                       int nofollow) {
  CallScope scope(task, call, "removexattr");
  return scope.run([&]() -> Result<void> {
    if (Errno error = check_name(name); !error.ok()) return error;
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    return fs::vfs_removexattr(scope.ctx(), scope.task(), at, at_flags(nofollow), name);
  });
}
int myfs_removexattr(myfs_task* task, const char* path, const char* name, int nofollow) {
  return myfs_removexattr_x(task, nullptr, path, name, nofollow);
}

}  // extern "C"
