// Pages of <myfs/lowlevel.h>: the arena's descriptor and pins.

#include <fcntl.h>

#include <algorithm>
#include <string>

#include "sdk/api/lowlevel_call.h"
#include "sdk/api/runtime.h"
#include "sdk/fs/page_pin.h"
#include "sdk/mm/runtime.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

struct myfs_pin {
  const Ref<fs::File> file;
  const fs::PinnedPages pinned;
};

extern "C" {

int myfs_ll_arena(myfs_task* task, size_t* bytes) {
  CallScope scope(task, nullptr, "arena");
  return scope.run([&]() -> Result<int> {
    if (bytes == nullptr) return fail(Errno(EINVAL), "there is no place for the size");
    const mm::Arena& arena = api::process_runtime().memory().arena();
    // Opened anew, since a duplicate could be mapped for writing.
    const std::string name = "/proc/self/fd/" + std::to_string(arena.fd());
    const int fd = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
      return fail(Errno(errno == ENOENT ? EOPNOTSUPP : errno), "the page arena cannot be opened");
    }
    *bytes = arena.frames_max() * kPageSize_bytes;
    return fd;
  });
}

ssize_t myfs_ll_pin(myfs_file* file, const myfs_call* call, off_t offset, size_t size,
                    myfs_page* pages, size_t count, myfs_pin** pin) {
  CallScope scope(api::task_of(file), call, "pin");
  return scope.run([&]() -> Result<size_t> {
    if (pages == nullptr || count == 0 || pin == nullptr) {
      return fail(Errno(EINVAL), "there is no place for the pages");
    }
    MYFS_ASSIGN(fs::PinnedPages pinned,
                fs::vfs_pin_pages(scope.ctx(), *file->file, offset, size, count));
    const size_t stored = pinned.pages.size();
    for (size_t i = 0; i < stored; ++i) {
      const mm::Page& page = pinned.pages.page(i);
      const uint64_t left = pinned.file_bytes - page.offset();
      pages[i] = {.offset = page.offset(),
                  .arena_offset = uint64_t{page.frame()} * kPageSize_bytes,
                  .length = std::min<uint64_t>(left, kPageSize_bytes)};
    }
    *pin = stored == 0 ? nullptr : new myfs_pin{file->file, std::move(pinned)};
    return stored;
  });
}

int myfs_ll_pin_holds(myfs_pin* pin) {
  if (pin == nullptr) return -EINVAL;
  return fs::vfs_pin_holds(*pin->file, pin->pinned) ? 1 : 0;
}

int myfs_ll_unpin(myfs_pin* pin) {
  delete pin;
  return 0;
}

}  // extern "C"
