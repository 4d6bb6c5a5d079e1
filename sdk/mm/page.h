// Page: 4 KiB of one file's content and what is known about them.
// Kernel counterpart: struct folio (include/linux/mm_types.h, page-flags.h).  Differs: always one
// page; page structs are an array beside the arena's frames, so they are type-stable and a page's
// number is its frame's number; flags and a generation, which tells a lock-free reader that the
// page has left its place, lie together in a dense array, so that a hit touches no page struct.
// Thread safety: flags, count, generation are atomic. flags kDirty, kWriteback, kUnstable
// change only under the mapping's i_pages lock. The content changes only under the lock bit.
// Lock rank: the lock bit is kPage. Owns / is owned by: one reference by the mapping's tree, one by
// each user; the last one gives the frame back to the arena.
// Invariants: (1) an unlocked page in a tree is uptodate; (2) the content of a page under
// writeback does not change until end_page_writeback: a writer replaces the page by a copy; (3)
// generation rises before a page that left its tree is used for anything else.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "sdk/base/errno.h"
#include "sdk/base/limits.h"
#include "sdk/base/ref.h"
#include "sdk/base/seqcount.h"

namespace myfs::mm {

class AddressSpace;
class Arena;

enum PageFlag : uint32_t {
  kPageLocked = 1u << 0,
  kPageWaiters = 1u << 1,  // somebody sleeps in the wait table for this page
  kPageUptodate = 1u << 2,
  kPageDirty = 1u << 3,
  kPageWriteback = 1u << 4,   // a write of exactly this content is in flight
  kPageUnstable = 1u << 5,    // written, not committed: clean to readers, not reclaimable
  kPageReferenced = 1u << 6,  // used again since the clock hand passed
  kPageFresh = 1u << 7,       // not yet used since it was read
  kPageReadahead = 1u << 8,   // reaching it starts the next window
  kPageError = 1u << 9,       // the read failed; `aux` is the errno
};
inline constexpr uint32_t kPageFlags = (1u << 10) - 1;

// Flags and, above them, the generation of one page.
class PageState32 {
 public:
  uint32_t load() const { return word_.load(std::memory_order_acquire); }
  // Whether the page has left its place since `before` was loaded. To be asked after the copy.
  bool left_place(uint32_t before) const {
    std::atomic_thread_fence(std::memory_order_acquire);
    return ((word_.load(std::memory_order_relaxed) ^ before) & ~kPageFlags) != 0;
  }
  // For reclaim; two stores a page at most, so that hits share no line for writing.
  void mark_accessed() {
    uint32_t now = word_.load(std::memory_order_relaxed);
    if ((now & (kPageReferenced | kPageFresh)) != kPageReferenced) [[unlikely]]
      mark_accessed_slow(now);
  }

 private:
  friend class Page;
  void mark_accessed_slow(uint32_t now);
  std::atomic<uint32_t> word_{0};
};

class alignas(64) Page {
 public:
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  uint64_t index() const { return index_.load(std::memory_order_relaxed); }  // offset / 4096
  uint64_t offset() const { return index() * kPageSize_bytes; }
  AddressSpace* mapping() const { return mapping_.load(std::memory_order_acquire); }
  // The frame: kPageSize_bytes bytes, aligned. Writers hold the lock bit.
  std::byte* data() const { return data_; }
  uint32_t frame() const { return frame_; }  // number in the arena's memfd
  uint32_t flags() const { return state_->load() & kPageFlags; }
  bool test(PageFlag flag) const { return (flags() & flag) != 0; }
  uint32_t trunc_gen() const { return trunc_gen_; }  // of the mapping when the page was dirtied
  Errno read_error() const {
    return test(kPageError) ? Errno(static_cast<int>(aux_.load(std::memory_order_relaxed)))
                            : Errno();
  }

  // Copies into the frame so that lock-free readers of a former life of the page race well-defined.
  void fill(size_t offset_bytes, const void* from, size_t size_bytes) {
    racy_copy(data_ + offset_bytes, from, size_bytes);
  }
  void zero(size_t offset_bytes, size_t size_bytes);

  void ref() { count_.fetch_add(1, std::memory_order_relaxed); }
  bool try_ref();  // increment unless zero
  void unref();
  uint32_t ref_count() const { return count_.load(std::memory_order_acquire); }

  // The lock bit. lock_page() in address_space.h waits.
  bool try_lock();
  void unlock();
  // Unlocks a page that another thread may have locked.
  void unlock_handed_over();

  // For lock-free readers, which find it without the page: Arena::state_of.
  uint32_t state() const { return state_->load(); }
  bool left_place(uint32_t before) const { return state_->left_place(before); }
  void mark_accessed() { state_->mark_accessed(); }

 private:
  friend class AddressSpace;
  friend class Arena;
  friend class PageReclaim;
  friend class PageState;
  Page() = default;
  uint32_t set_flags(uint32_t bits) {
    return state_->word_.fetch_or(bits, std::memory_order_acq_rel);
  }
  uint32_t clear_flags(uint32_t bits) {
    return state_->word_.fetch_and(~bits, std::memory_order_acq_rel);
  }
  // Before the page may serve another place.
  void bump_generation();

  std::atomic<uint32_t> count_{0};
  uint32_t frame_ = 0;                           // constant
  PageState32* state_ = nullptr;                 // constant
  std::atomic<AddressSpace*> mapping_{nullptr};  // while in a tree or under writeback
  std::atomic<uint64_t> index_{0};
  std::byte* data_ = nullptr;  // constant
  Arena* arena_ = nullptr;     // constant
  uint32_t trunc_gen_ = 0;
  std::atomic<uint32_t> aux_{0};  // kPageError: errno; kPageUnstable: commit round
  uint8_t charged_as_ = 0;        // MemClass; guarded by the mapping's i_pages lock, or unshared
};
static_assert(sizeof(Page) == 64);

using PageRef = RefPtr<Page>;

}  // namespace myfs::mm
