#include "sdk/fs/pinned_fds.h"

#include <cassert>
#include <utility>

#include "sdk/fs/fdtable.h"

namespace myfs::fs {
namespace {

constinit thread_local const PinnedFds* t_pinned = nullptr;

}  // namespace

int PinnedFds::pin(int fd) {
  if (fd < 0) return fd;
  pins_.push_back({fd, table_.fget(fd)});
  return kDescriptorsMax + static_cast<int>(pins_.size()) - 1;
}

bool PinnedFds::drop_unless_last() {
  std::erase_if(pins_, [](Pin& pin) {
    if (!pin.file) return true;
    if (!pin.file->unref_unless_last()) return false;
    (void)pin.file.leak();
    return true;
  });
  return pins_.empty();
}

PinnedFds::Scope::Scope(const PinnedFds& pins) {
  assert(t_pinned == nullptr);
  t_pinned = &pins;
}

PinnedFds::Scope::~Scope() { t_pinned = nullptr; }

const PinnedFds::Pin* PinnedFds::find(int number) {
  if (t_pinned == nullptr || number < kDescriptorsMax) return nullptr;
  const auto index = static_cast<size_t>(number - kDescriptorsMax);
  return index < t_pinned->pins_.size() ? &t_pinned->pins_[index] : nullptr;
}

File* PinnedFds::file_of(int number) {
  const Pin* pin = find(number);
  return pin != nullptr ? pin->file.get() : nullptr;
}

}  // namespace myfs::fs
