#include "sdk/mm/arena.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <new>

#include "sdk/base/error_detail.h"
#include "sdk/mm/reclaim.h"

namespace myfs::mm {

namespace {
constexpr size_t kGrow_frames = 1024;  // the memfd's length grows by 4 MiB
constexpr size_t kBulk_frames = 64;    // taken with the lock held once
constexpr size_t kHuge_bytes = 2 << 20;
constexpr size_t kHuge_frames = kHuge_bytes / kPageSize_bytes;
// A process that caches little should not pay for a huge page.
constexpr size_t kSmallFrames_max = kHuge_frames;
// In a row; memory is too fragmented then, and each attempt costs.
constexpr int kHugeFailuresMax = 4;
// MADV_COLLAPSE of Linux 6.1, which the C library may not know.
constexpr int kMadvCollapse = 25;
constexpr size_t kStructs_bytes = sizeof(Page) + sizeof(PageState32);  // of one frame
}  // namespace

namespace {
// Addresses for a file's first `size_bytes`, where huge pages can lie; MAP_FAILED.
void* map_aligned(int fd, size_t size_bytes) {
  const size_t reserved_bytes = size_bytes + kHuge_bytes;
  void* reserved = ::mmap(nullptr, reserved_bytes, PROT_NONE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (reserved == MAP_FAILED) return MAP_FAILED;
  const auto start = reinterpret_cast<uintptr_t>(reserved);
  const uintptr_t aligned = (start + kHuge_bytes - 1) / kHuge_bytes * kHuge_bytes;
  void* mapped = ::mmap(reinterpret_cast<void*>(aligned), size_bytes, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd, 0);
  if (mapped == MAP_FAILED) {
    ::munmap(reserved, reserved_bytes);
    return MAP_FAILED;
  }
  const uintptr_t end = (aligned + size_bytes + kPageSize_bytes - 1) & ~(kPageSize_bytes - 1);
  if (aligned != start) ::munmap(reserved, aligned - start);
  ::munmap(reinterpret_cast<void*>(end), start + reserved_bytes - end);
  return mapped;
}
}  // namespace

Result<std::unique_ptr<Arena>> Arena::create(Budget& budget, size_t size_max_bytes) {
  size_t frames_max = size_max_bytes / kPageSize_bytes;
  if (frames_max == 0 || frames_max > UINT32_MAX) {
    return fail(Errno(EINVAL), "page arena: size must be 4 KiB..16 TiB");
  }
  int fd = ::memfd_create("myfs-pages", MFD_CLOEXEC);
  if (fd < 0) return fail(Errno(errno), "page arena: memfd_create failed");
  // Whoever is given a descriptor for reading cannot open it anew for writing.
  (void)::fchmod(fd, S_IRUSR | S_IRGRP | S_IROTH);
  void* frames = map_aligned(fd, frames_max * kPageSize_bytes);
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
  // Random hits spend a third of their time on TLB misses otherwise. Where the system grants no
  // huge pages of files by this alone, grow_huge_locked() asks for each.
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

bool Arena::lengthen_locked(size_t frames) {
  if (frames <= file_frames_) return true;
  const size_t length = std::min(file_frames_ + kGrow_frames, frames_max_);
  if (::ftruncate(fd_, static_cast<off_t>(length * kPageSize_bytes)) != 0) return false;
  file_frames_ = length;
  return true;
}

uint32_t Arena::add_frame_locked() {
  const size_t frame = frames_touched_.load(std::memory_order_relaxed);
  Page* page = ::new (&pages_[frame]) Page;
  page->frame_ = static_cast<uint32_t>(frame);
  page->data_ = frames_ + frame * kPageSize_bytes;
  page->state_ = ::new (&states_[frame]) PageState32;
  page->arena_ = this;
  budget_.charge_always(MemClass::kArena, kStructs_bytes);
  frames_touched_.store(frame + 1, std::memory_order_release);
  return page->frame_;
}

bool Arena::grow_locked() {
  const size_t touched = frames_touched_.load(std::memory_order_relaxed);
  if (touched == frames_max_ || !lengthen_locked(touched + 1)) return false;
  cold_.push_back(add_frame_locked());
  return true;
}

bool Arena::grow_huge_locked() {
  const size_t first = frames_touched_.load(std::memory_order_relaxed);
  if (first < kSmallFrames_max || first % kHuge_frames != 0 || first + kHuge_frames > frames_max_) {
    return false;
  }
  if (budget_.used() + budget_.reserved() + kHuge_bytes > budget_.limit()) return false;
  if (huge_failures_ >= kHugeFailuresMax || !lengthen_locked(first + kHuge_frames)) return false;
  std::byte* chunk = frames_ + first * kPageSize_bytes;
  *chunk = std::byte{0};  // of a hole nothing is made
  if (::madvise(chunk, kHuge_bytes, kMadvCollapse) != 0) {
    huge_failures_ = errno == EINVAL ? kHugeFailuresMax : huge_failures_ + 1;
    return false;
  }
  huge_failures_ = 0;
  budget_.charge_always(MemClass::kArena, kHuge_bytes);
  warm_.resize(kHuge_frames);
  for (size_t i = kHuge_frames; i-- > 0;) warm_[i] = add_frame_locked();  // used from the lowest on
  return true;
}

PageRef Arena::adopt(uint32_t frame) {
  Page* page = &pages_[frame];
  page->clear_flags(kPageFlags);
  page->aux_.store(0, std::memory_order_relaxed);
  page->trunc_gen_ = 0;
  page->charged_as_ = static_cast<uint8_t>(MemClass::kPageCache);
  page->count_.store(1, std::memory_order_release);
  return PageRef::adopt(page);
}

size_t Arena::take_locked(std::span<uint32_t> frames) {
  if (!warm_.empty() || (cold_.empty() && grow_huge_locked())) {
    const size_t taken = std::min(frames.size(), warm_.size());
    for (size_t i = 0; i < taken; ++i) {
      frames[i] = warm_.back();
      warm_.pop_back();
    }
    frames_free_.store(warm_.size(), std::memory_order_relaxed);
    budget_.move(MemClass::kArena, MemClass::kPageCache, taken * kPageSize_bytes);
    return taken;
  }
  if (cold_.empty() && !grow_locked()) return 0;
  if (!budget_.try_charge(MemClass::kPageCache, kPageSize_bytes)) return 0;
  frames[0] = cold_.back();
  cold_.pop_back();
  return 1;
}

size_t Arena::try_alloc_bulk(size_t count, std::vector<PageRef>* pages) {
  pages->reserve(pages->size() + count);
  size_t total = 0;
  while (total < count) {
    std::array<uint32_t, kBulk_frames> frames;
    size_t taken = 0;
    {
      MutexLock lock(mutex_);
      taken = take_locked(std::span(frames).first(std::min(count - total, frames.size())));
    }
    if (taken == 0) break;
    for (size_t i = 0; i < taken; ++i) pages->push_back(adopt(frames[i]));
    total += taken;
  }
  return total;
}

Result<PageRef> Arena::try_alloc() {
  uint32_t frame = 0;
  {
    MutexLock lock(mutex_);
    if (take_locked({&frame, 1}) == 0) return Errno(ENOMEM);
  }
  return adopt(frame);
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
