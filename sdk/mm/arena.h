// Arena: the page frames of a process, one memfd, so that others can map single frames by number.
// Kernel counterpart: the buddy allocator of order 0, vmemmap.  Differs: frames lie in a file;
// memory is taken from the system when a frame is first used, by huge pages if it can be, and given
// back by punching holes.
// Thread safety: all. Lock rank: kLru. Owns / is owned by: owned by mm::Runtime; must outlive every
// Page. Invariants: (1) the address of a frame and of its Page never changes; (2) resident frames
// are charged to the budget (kArena while free); (3) a child of fork has no arena (MADV_DONTFORK).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/mm/page.h"

namespace myfs::mm {

class Budget;

class Arena {
 public:
  // Reserves addresses for `size_max_bytes`; takes no memory. ENOMEM, EMFILE, EINVAL.
  static Result<std::unique_ptr<Arena>> create(Budget& budget, size_t size_max_bytes);
  ~Arena();

  // A page with one reference, not in any tree, content undefined; charged as clean page cache.
  // ENOMEM when the budget has no room right now: Budget::make_room() and retry, or alloc_page()
  // of reclaim.h, which does both.
  Result<PageRef> try_alloc();
  // Appends up to `count` such pages; returns how many.
  size_t try_alloc_bulk(size_t count, std::vector<PageRef>* pages);

  int fd() const { return fd_; }  // of the memfd; frame n lies at n * kPageSize_bytes
  std::byte* base() const { return frames_; }
  size_t frames_max() const { return frames_max_; }
  size_t frames_touched() const { return frames_touched_.load(std::memory_order_acquire); }
  size_t frames_free() const { return frames_free_.load(std::memory_order_relaxed); }
  Page& page(size_t frame) { return pages_[frame]; }
  // page.data() and its flags, without a look at the page.
  const std::byte* data_of(const Page& page) const {
    return frames_ + static_cast<size_t>(&page - pages_) * kPageSize_bytes;
  }
  PageState32& state_of(const Page& page) const { return states_[&page - pages_]; }

  // Gives the memory of up to `count` free frames back to the system; returns how many.
  size_t trim(size_t count);

 private:
  friend class Page;
  Arena(Budget& budget, int fd, std::byte* frames, Page* pages, PageState32* states,
        size_t frames_max);
  void free_page(Page& page);
  // Free frames that are warm, or one that is cold; how many.
  size_t take_locked(std::span<uint32_t> frames) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PageRef adopt(uint32_t frame);  // one that was taken
  // Makes the memfd reach to this frame.
  bool lengthen_locked(size_t frames) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The next frame; its number.
  uint32_t add_frame_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One more cold frame.
  bool grow_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The warm frames of one huge page, if there are no others and the system and the budget have it.
  bool grow_huge_locked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Budget& budget_;
  const int fd_;
  std::byte* const frames_;
  Page* const pages_;
  PageState32* const states_;
  const size_t frames_max_;
  std::atomic<size_t> frames_touched_{0};  // frames [0, touched) have a constructed Page
  std::atomic<size_t> frames_free_{0};     // size of warm_

  Mutex mutex_{LockRank::kLru};
  int huge_failures_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t file_frames_ ABSL_GUARDED_BY(mutex_) = 0;      // length of the memfd
  std::vector<uint32_t> warm_ ABSL_GUARDED_BY(mutex_);  // free, resident
  std::vector<uint32_t> cold_ ABSL_GUARDED_BY(mutex_);  // free, given back
};

}  // namespace myfs::mm
