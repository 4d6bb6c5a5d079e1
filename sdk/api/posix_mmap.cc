// Mappings of files into the process.

#include "sdk/api/call_scope.h"
#include "sdk/fs/mmap.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

extern "C" {

int myfs_mmap_x(myfs_task* task, const myfs_call* call, void* hint, size_t length, int prot,
                int flags, int fd, off_t offset, void** address) {
  CallScope scope(task, call, "mmap");
  return scope.run([&]() -> Result<void> {
    if (address == nullptr) return fail(Errno(EINVAL), "there is no place for the address");
    MYFS_ASSIGN(*address,
                fs::vfs_mmap(scope.ctx(), scope.task(), {hint, length, prot, flags, fd, offset}));
    return ok_result();
  });
}
int myfs_mmap(myfs_task* task, void* hint, size_t length, int prot, int flags, int fd, off_t offset,
              void** address) {
  return myfs_mmap_x(task, nullptr, hint, length, prot, flags, fd, offset, address);
}

int myfs_msync_x(myfs_task* task, const myfs_call* call, void* address, size_t length, int flags) {
  CallScope scope(task, call, "msync");
  return scope.run(
      [&] { return fs::vfs_msync(scope.ctx(), scope.task(), address, length, flags); });
}
int myfs_msync(myfs_task* task, void* address, size_t length, int flags) {
  return myfs_msync_x(task, nullptr, address, length, flags);
}

int myfs_munmap_x(myfs_task* task, const myfs_call* call, void* address, size_t length) {
  CallScope scope(task, call, "munmap");
  return scope.run([&] { return fs::vfs_munmap(scope.ctx(), scope.task(), address, length); });
}
int myfs_munmap(myfs_task* task, void* address, size_t length) {
  return myfs_munmap_x(task, nullptr, address, length);
}

}  // extern "C"
