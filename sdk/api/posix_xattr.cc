// Extended attributes.

#include "sdk/api/call_scope.h"
#include "sdk/fs/xattr.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

// What has the attribute: a path, or a descriptor.
struct Subject {
  const char* path;
  int fd;
  int flags;

  Result<fs::At> at() const {
    if ((flags & AT_EMPTY_PATH) == 0) return api::path_at(path);
    if (fd < 0) return Errno(EBADF);  // AT_FDCWD too is none here
    return fs::At{fd, {}};
  }
};

Subject by_path(const char* path, int nofollow) {
  return {path, -1, nofollow != 0 ? AT_SYMLINK_NOFOLLOW : 0};
}
Subject by_descriptor(int fd) { return {nullptr, fd, AT_EMPTY_PATH}; }

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

ssize_t get(myfs_task* task, const myfs_call* call, const char* operation, Subject subject,
            const char* name, void* value, size_t size) {
  CallScope scope(task, call, operation);
  return scope.run([&]() -> Result<size_t> {
    if (Errno error = check_name(name); !error.ok()) return error;
    MYFS_ASSIGN(const fs::At at, subject.at());
    MYFS_ASSIGN(std::string found,
                fs::vfs_getxattr(scope.ctx(), scope.task(), at, subject.flags, name));
    return copy_out(found, value, size);
  });
}

int set(myfs_task* task, const myfs_call* call, const char* operation, Subject subject,
        const char* name, const void* value, size_t size, int flags) {
  CallScope scope(task, call, operation);
  return scope.run([&]() -> Result<void> {
    if (Errno error = check_name(name); !error.ok()) return error;
    if (value == nullptr && size > 0) return fail(Errno(EINVAL), "the value is null");
    MYFS_ASSIGN(const fs::At at, subject.at());
    std::string_view bytes(static_cast<const char*>(value), size);
    return fs::vfs_setxattr(scope.ctx(), scope.task(), at, subject.flags, name, bytes,
                            static_cast<uint32_t>(flags));
  });
}

ssize_t list(myfs_task* task, const myfs_call* call, const char* operation, Subject subject,
             char* buffer, size_t size) {
  CallScope scope(task, call, operation);
  return scope.run([&]() -> Result<size_t> {
    MYFS_ASSIGN(const fs::At at, subject.at());
    MYFS_ASSIGN(std::vector<std::string> names,
                fs::vfs_listxattr(scope.ctx(), scope.task(), at, subject.flags));
    std::string joined;
    for (const std::string& name : names) joined.append(name).push_back('\0');
    return copy_out(joined, buffer, size);
  });
}

int remove(myfs_task* task, const myfs_call* call, const char* operation, Subject subject,
           const char* name) {
  CallScope scope(task, call, operation);
  return scope.run([&]() -> Result<void> {
    if (Errno error = check_name(name); !error.ok()) return error;
    MYFS_ASSIGN(const fs::At at, subject.at());
    return fs::vfs_removexattr(scope.ctx(), scope.task(), at, subject.flags, name);
  });
}

}  // namespace

extern "C" {

ssize_t myfs_getxattr_x(myfs_task* task, const myfs_call* call, const char* path, const char* name,
                        void* value, size_t size, int nofollow) {
  return get(task, call, "getxattr", by_path(path, nofollow), name, value, size);
}
ssize_t myfs_getxattr(myfs_task* task, const char* path, const char* name, void* value, size_t size,
                      int nofollow) {
  return myfs_getxattr_x(task, nullptr, path, name, value, size, nofollow);
}
ssize_t myfs_lgetxattr_x(myfs_task* task, const myfs_call* call, const char* path, const char* name,
                         void* value, size_t size) {
  return get(task, call, "lgetxattr", by_path(path, 1), name, value, size);
}
ssize_t myfs_lgetxattr(myfs_task* task, const char* path, const char* name, void* value,
                       size_t size) {
  return myfs_lgetxattr_x(task, nullptr, path, name, value, size);
}
ssize_t myfs_fgetxattr_x(myfs_task* task, const myfs_call* call, int fd, const char* name,
                         void* value, size_t size) {
  return get(task, call, "fgetxattr", by_descriptor(fd), name, value, size);
}
ssize_t myfs_fgetxattr(myfs_task* task, int fd, const char* name, void* value, size_t size) {
  return myfs_fgetxattr_x(task, nullptr, fd, name, value, size);
}

int myfs_setxattr_x(myfs_task* task, const myfs_call* call, const char* path, const char* name,
                    const void* value, size_t size, int flags, int nofollow) {
  return set(task, call, "setxattr", by_path(path, nofollow), name, value, size, flags);
}
int myfs_setxattr(myfs_task* task, const char* path, const char* name, const void* value,
                  size_t size, int flags, int nofollow) {
  return myfs_setxattr_x(task, nullptr, path, name, value, size, flags, nofollow);
}
int myfs_lsetxattr_x(myfs_task* task, const myfs_call* call, const char* path, const char* name,
                     const void* value, size_t size, int flags) {
  return set(task, call, "lsetxattr", by_path(path, 1), name, value, size, flags);
}
int myfs_lsetxattr(myfs_task* task, const char* path, const char* name, const void* value,
                   size_t size, int flags) {
  return myfs_lsetxattr_x(task, nullptr, path, name, value, size, flags);
}
int myfs_fsetxattr_x(myfs_task* task, const myfs_call* call, int fd, const char* name,
                     const void* value, size_t size, int flags) {
  return set(task, call, "fsetxattr", by_descriptor(fd), name, value, size, flags);
}
int myfs_fsetxattr(myfs_task* task, int fd, const char* name, const void* value, size_t size,
                   int flags) {
  return myfs_fsetxattr_x(task, nullptr, fd, name, value, size, flags);
}

ssize_t myfs_listxattr_x(myfs_task* task, const myfs_call* call, const char* path, char* buffer,
                         size_t size, int nofollow) {
  return list(task, call, "listxattr", by_path(path, nofollow), buffer, size);
}
ssize_t myfs_listxattr(myfs_task* task, const char* path, char* buffer, size_t size, int nofollow) {
  return myfs_listxattr_x(task, nullptr, path, buffer, size, nofollow);
}
ssize_t myfs_llistxattr_x(myfs_task* task, const myfs_call* call, const char* path, char* buffer,
                          size_t size) {
  return list(task, call, "llistxattr", by_path(path, 1), buffer, size);
}
ssize_t myfs_llistxattr(myfs_task* task, const char* path, char* buffer, size_t size) {
  return myfs_llistxattr_x(task, nullptr, path, buffer, size);
}
ssize_t myfs_flistxattr_x(myfs_task* task, const myfs_call* call, int fd, char* buffer,
                          size_t size) {
  return list(task, call, "flistxattr", by_descriptor(fd), buffer, size);
}
ssize_t myfs_flistxattr(myfs_task* task, int fd, char* buffer, size_t size) {
  return myfs_flistxattr_x(task, nullptr, fd, buffer, size);
}

int myfs_removexattr_x(myfs_task* task, const myfs_call* call, const char* path, const char* name,
                       int nofollow) {
  return remove(task, call, "removexattr", by_path(path, nofollow), name);
}
int myfs_removexattr(myfs_task* task, const char* path, const char* name, int nofollow) {
  return myfs_removexattr_x(task, nullptr, path, name, nofollow);
}
int myfs_lremovexattr_x(myfs_task* task, const myfs_call* call, const char* path,
                        const char* name) {
  return remove(task, call, "lremovexattr", by_path(path, 1), name);
}
int myfs_lremovexattr(myfs_task* task, const char* path, const char* name) {
  return myfs_lremovexattr_x(task, nullptr, path, name);
}
int myfs_fremovexattr_x(myfs_task* task, const myfs_call* call, int fd, const char* name) {
  return remove(task, call, "fremovexattr", by_descriptor(fd), name);
}
int myfs_fremovexattr(myfs_task* task, int fd, const char* name) {
  return myfs_fremovexattr_x(task, nullptr, fd, name);
}

}  // extern "C"
