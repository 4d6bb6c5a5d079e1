#include "sdk/mm/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <new>

#include "sdk/base/error_detail.h"
#include "sdk/mm/reclaim.h"

namespace myfs::mm {

namespace {
constexpr size_t kGrow_frames = 1024;  // the memfd's length grows by 4 MiB
constexpr size_t kStructs_bytes = sizeof(Page) + sizeof(PageState32);  // of one frame
}  // namespace

Result<std::unique_ptr<Arena>> Arena::create(Budget& budget, size_t size_max_bytes) {
  size_t frames_max = size_max_bytes / kPageSize_bytes;
  if (frames_max == 0 || frames_max > UINT32_MAX) {
    return fail(Errno(EINVAL), "page arena: size must be 4 KiB..16 TiB");
  }
  int fd = ::memfd_create("myfs-pages", MFD_CLOEXEC);
  if (fd < 0) return fail(Errno(errno), "page arena: memfd_create failed");
  void* frames = ::mmap(nullptr, frames_max * kPageSize_bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_NORESERVE, fd, 0);
  void* pages = ::mmap(nullptr, frames_max * kStructs_bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (frames == MAP_FAILED || pages == MAP_FAILED) {
    Errno error(errno);
    if (frames != MAP_FAILED) ::munmap(frames, frames_max * kPageSize_bytes);
    if (pages != MAP_FAILED) ::munmap(pages, frames_max * kStructs_bytes);
    ::close(fd);
    return fail(error, "page arena: mmap failed");
  }
  ::madvise(frames, frames_max * kPageSize_bytes, MADV_DONTFORK);
  // Where the system grants it; random hits otherwise spend a third of their time on TLB misses.
  ::madvise(frames, frames_max * kPageSize_bytes, MADV_HUGEPAGE);
  ::madvise(pages, frames_max * kStructs_bytes, MADV_HUGEPAGE);
  return std::unique_ptr<Arena>(new Arena(
      budget, fd, static_cast<std::byte*>(frames), static_cast<Page*>(pages),
      reinterpret_cast<PageState32*>(static_cast<Page*>(pages) + frames_max), frames_max));
}

Arena::Arena(Budget& budget, int fd, std::byte* frames, Page* pages, PageState32* states,
             size_t frames_max)
    : budget_(budget),
      fd_(fd),
      frames_(frames),
      pages_(pages),
      states_(states),
      frames_max_(frames_max) {}

Arena::~Arena() {
  budget_.uncharge(MemClass::kArena, warm_.size() * kPageSize_bytes);
  budget_.uncharge(MemClass::kArena, frames_touched() * kStructs_bytes);
  ::munmap(frames_, frames_max_ * kPageSize_bytes);
  ::munmap(pages_, frames_max_ * kStructs_bytes);
  ::close(fd_);
}

bool Arena::grow_locked() {
  size_t touched = frames_touched_.load(std::memory_order_relaxed);
  if (touched == frames_max_) return false;
  if (touched == file_frames_) {
    size_t length = std::min(file_frames_ + kGrow_frames, frames_max_);
    if (::ftruncate(fd_, static_cast<off_t>(length * kPageSize_bytes)) != 0) return false;
    file_frames_ = length;
  }
  Page* page = ::new (&pages_[touched]) Page;
  page->frame_ = static_cast<uint32_t>(touched);
  page->data_ = frames_ + touched * kPageSize_bytes;
  page->state_ = ::new (&states_[touched]) PageState32;
  page->arena_ = this;
  budget_.charge_always(MemClass::kArena, kStructs_bytes);
  cold_.push_back(page->frame_);
  frames_touched_.store(touched + 1, std::memory_order_release);
  return true;
}

Result<PageRef> Arena::try_alloc() {
  Page* page = nullptr;
  {
    MutexLock lock(mutex_);
    if (!warm_.empty()) {
      page = &pages_[warm_.back()];
      warm_.pop_back();
      frames_free_.store(warm_.size(), std::memory_order_relaxed);
      budget_.move(MemClass::kArena, MemClass::kPageCache, kPageSize_bytes);
    } else {
      if (cold_.empty() && !grow_locked()) return Errno(ENOMEM);
      if (!budget_.try_charge(MemClass::kPageCache, kPageSize_bytes)) return Errno(ENOMEM);
      page = &pages_[cold_.back()];
      cold_.pop_back();
    }
  }
  page->clear_flags(kPageFlags);
  page->aux_.store(0, std::memory_order_relaxed);
  page->trunc_gen_ = 0;
  page->charged_as_ = static_cast<uint8_t>(MemClass::kPageCache);
  page->count_.store(1, std::memory_order_release);
  return PageRef::adopt(page);
}

void Arena::free_page(Page& page) {
  assert(page.mapping() == nullptr);
  assert((page.flags() & (kPageLocked | kPageDirty | kPageWriteback | kPageUnstable)) == 0);
  {
    MutexLock lock(mutex_);
    budget_.move(static_cast<MemClass>(page.charged_as_), MemClass::kArena, kPageSize_bytes);
    warm_.push_back(page.frame_);
    frames_free_.store(warm_.size(), std::memory_order_relaxed);
  }
  budget_.note_progress();
}

size_t Arena::trim(size_t count) {
  std::vector<uint32_t> frames;
  {
    MutexLock lock(mutex_);
    count = std::min(count, warm_.size());
    frames.assign(warm_.end() - static_cast<ptrdiff_t>(count), warm_.end());
    warm_.resize(warm_.size() - count);
    frames_free_.store(warm_.size(), std::memory_order_relaxed);
  }
  std::sort(frames.begin(), frames.end());
  for (size_t i = 0; i < frames.size();) {
    size_t run = 1;
    while (i + run < frames.size() && frames[i + run] == frames[i] + run) ++run;
    ::fallocate(fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                static_cast<off_t>(frames[i] * kPageSize_bytes),
                static_cast<off_t>(run * kPageSize_bytes));
    i += run;
  }
  {
    MutexLock lock(mutex_);
    cold_.insert(cold_.end(), frames.begin(), frames.end());
  }
  budget_.uncharge(MemClass::kArena, frames.size() * kPageSize_bytes);
  return frames.size();
}

}  // namespace myfs::mm
