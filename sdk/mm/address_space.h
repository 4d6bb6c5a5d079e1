// AddressSpace: the cached pages of one file, found without a lock.
// Kernel counterpart: struct address_space, i_pages (lib/xarray.c), address_space_operations.
// Differs: holds i_size, since pages know offsets and not inodes; a sequence tells lock-free
// readers about whole write()s; ops take slot and credits (Admission) before any page lock. Thread
// safety: all. Lock rank: invalidate_lock kInvalidate, page lock bits kPage, i_pages kPages. Owns /
// is owned by: part of an inode (fs) or of a test; owns one reference to each page in it; must be
// empty (truncate_inode_pages_final) before it dies. Runtime and ops outlive it. Invariants: (1) an
// unlocked page in the tree is uptodate; (2) tags, counters and the flags dirty, writeback,
// unstable change together under i_pages; (3) at most one write in flight per index: tag kWriteback
// stays set from set_page_writeback to end_page_writeback, also when the page in the tree has
// meanwhile become a copy; (4) invalidate_lock shared while pages are added and their read is
// submitted, exclusive while a range is truncated or invalidated.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/base/waker.h"
#include "sdk/mm/errseq.h"
#include "sdk/mm/page.h"

namespace myfs::mm {

class AddressSpace;
class Runtime;

// Why a transfer is wanted; decides whether admit() may wait and from which pool it takes.
enum class IoKind : uint8_t {
  kRead,       // a caller waits for the data: admit waits
  kReadahead,  // nobody waits: admit fails with EAGAIN instead of waiting
  kWrite,      // fsync, throttled writer, close: admit waits
  kFlush,      // background flusher: EAGAIN instead of waiting; Writeback::kick() when it may retry
  kRecallWrite,  // honours a recall: reserved slots and credits, admit waits for those only
};

// The right to do one transfer: slot, credits and buffers are taken. Dropped unused, it gives them
// back.
class Admission {
 public:
  // Implementers derive their token from it.
  class Grant {
   public:
    virtual ~Grant() = default;
  };
  Admission() = default;
  explicit Admission(std::unique_ptr<Grant> grant) : grant_(std::move(grant)) {}
  Admission(Admission&&) noexcept = default;
  Admission& operator=(Admission&&) noexcept = default;
  template <typename T>
  T* as() const {
    return static_cast<T*>(grant_.get());
  }
  std::unique_ptr<Grant> release() { return std::move(grant_); }

 private:
  std::unique_ptr<Grant> grant_;
};

// A place in the queue for an Admission, of who waits without a thread. Destroyed: it is left, and
// the waker is not called any more.
class QueuedAdmission {
 public:
  virtual ~QueuedAdmission() = default;
  // EAGAIN: nothing yet. Otherwise, once, what it came to.
  virtual Result<Admission> take() = 0;
};

// One write: neighbouring pages under writeback.
struct WriteRequest {
  IoKind kind = IoKind::kWrite;
  std::span<Page* const> pages;  // ascending, contiguous; valid during write_pages only: copy it
  uint64_t offset = 0;           // of the first page
  size_t size_bytes = 0;         // ends at i_size if that lies in the last page
  uint32_t trunc_gen = 0;        // smallest of the pages
  bool durable = false;          // a commit follows at once, and would be for these bytes alone
};

// What a file system does for its pages. Kernel counterpart: address_space_operations.
// The asynchronous ones report by the functions below, from any thread, also before they return,
// and exactly once per page, whatever happens (error, disconnect, unmount).
class AddressSpaceOps {
 public:
  virtual ~AddressSpaceOps() = default;

  // What was lost of any mapping of the file system [s_wb_err]: for a sync, if nobody else is told.
  ErrSeq sb_err;
  // Pages of all its mappings that are dirty, in flight or unstable [bdi_writeback::stat].
  std::atomic<size_t> nr_unclean{0};
  void note_told() {
    ErrSeq::Sample since = sb_err.sample();
    (void)sb_err.check_and_advance(&since);
  }

  // Takes slot and credits for a transfer of at most `bytes`. Called without page locks, without
  // invalidate_lock, without leaf locks. EAGAIN, ETIMEDOUT, EINTR, EIO, ...
  virtual Result<Admission> admit(const CallContext& ctx, IoKind kind, size_t bytes) = 0;

  // The same for who waits without a thread. Null: this file system knows no such thing.
  virtual std::unique_ptr<QueuedAdmission> queue_for_admission(IoKind, size_t /*bytes*/, Waker&) {
    return nullptr;
  }
  // So many more (negative: fewer) wait for transfers without a thread that drives the I/O loop.
  virtual void expect(int /*waiting*/) {}

  // Fills the frames of locked, contiguous, ascending pages (bytes beyond the end of the file are
  // zeroed), then end_page_reads. Called under invalidate_lock (shared). May not wait.
  virtual void read_pages(Admission admission, AddressSpace& mapping,
                          std::span<Page* const> pages) = 0;

  // Writes the request's bytes, then end_page_writeback per page. A retry sends the same bytes: the
  // frames do not change before that. May not wait.
  virtual void write_pages(Admission admission, AddressSpace& mapping,
                           const WriteRequest& request) = 0;

  // Makes what was written unstable durable, then end_commit(mapping, round, error). With another
  // boot verifier than the writes had: redirty_unstable(mapping), then end_commit(EAGAIN). The
  // admission was asked for 0 bytes. May not wait.
  virtual void commit_pages(Admission admission, AddressSpace& mapping, uint32_t round) = 0;

  // How a thread waits for a transfer: a file system whose callers drive the I/O loop does that
  // here. May be called with page locks held. False at the deadline.
  virtual bool wait(Event& event, int64_t deadline_ns) { return event.wait_until(deadline_ns); }

  // False: there is no backing store; dirty pages stay until truncated (ramfs).
  virtual bool writes_back() const { return true; }
  virtual size_t rsize_bytes() const { return kDefaultIo_bytes; }  // largest read
  virtual size_t wsize_bytes() const { return kDefaultIo_bytes; }  // largest write
  virtual size_t readahead_max_bytes() const { return size_t{4} << 20; }
};

// --- Completions: any thread, no lock of rank >= kPages held by the caller ---

// The content has arrived (Errno{0}) or not. EAGAIN: what came is not to be cached (older than the
// newest change seen, lease lost); the reader tries again. A failed page leaves the tree.
// The pages of one read_pages, or of a part of it; the first becomes readable last, so that its
// reader finds all of them.
void end_page_reads(std::span<Page* const> pages, Errno error);
// `unstable`: the server has not made it durable; the page is kept until a commit. EAGAIN: not
// written, the page is dirty again. Another error: the content is lost to the server, recorded in
// wb_err; the page stays readable and clean.
void end_page_writeback(Page& page, Errno error, bool unstable);
// Of commit_pages: EAGAIN after redirty_unstable.
void end_commit(AddressSpace& mapping, uint32_t round, Errno error);
// The server has lost what it had not committed: all unstable pages are dirty again. Any thread.
void redirty_unstable(AddressSpace& mapping);

// Tells lock-free readers that a write() is under way. Kernel counterpart: seqcount; differs:
// writers need not exclude each other. Readers: begin(), copy, changed().
class WriteSeq {
 public:
  // begin() while somebody writes.
  static constexpr uint64_t kBusy = ~uint64_t{0};
  uint64_t begin() const {
    uint64_t ended = ended_.load(std::memory_order_acquire);
    return begun_.load(std::memory_order_acquire) == ended ? ended : kBusy;
  }
  bool changed(uint64_t begin) const {
    std::atomic_thread_fence(std::memory_order_acquire);
    return begun_.load(std::memory_order_relaxed) != begin;
  }
  void write_begin() {
    begun_.fetch_add(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);
  }
  void write_end() { ended_.fetch_add(1, std::memory_order_release); }

 private:
  std::atomic<uint64_t> begun_{0}, ended_{0};
};

class WriteSeqSection {
 public:
  explicit WriteSeqSection(WriteSeq& seq) : seq_(seq) { seq_.write_begin(); }
  ~WriteSeqSection() { seq_.write_end(); }
  WriteSeqSection(const WriteSeqSection&) = delete;
  WriteSeqSection& operator=(const WriteSeqSection&) = delete;

 private:
  WriteSeq& seq_;
};

// The same for a writer who may turn back before he has changed anything. begin, end: idempotent.
class WriteSeqHold {
 public:
  explicit WriteSeqHold(WriteSeq& seq) : seq_(seq) {}
  ~WriteSeqHold() { end(); }
  WriteSeqHold(const WriteSeqHold&) = delete;
  WriteSeqHold& operator=(const WriteSeqHold&) = delete;
  void begin() {
    if (!std::exchange(held_, true)) seq_.write_begin();
  }
  void end() {
    if (std::exchange(held_, false)) seq_.write_end();
  }

 private:
  WriteSeq& seq_;
  bool held_ = false;
};

enum class PageTag : uint8_t { kDirty = 0, kWriteback = 1, kUnstable = 2 };
inline constexpr size_t kPageTags = 3;

class AddressSpace {
 public:
  AddressSpace(Runtime& runtime, AddressSpaceOps& ops, void* host = nullptr);
  ~AddressSpace();
  AddressSpace(const AddressSpace&) = delete;
  AddressSpace& operator=(const AddressSpace&) = delete;

  Runtime& runtime() const { return runtime_; }
  AddressSpaceOps& ops() const { return ops_; }
  void* host() const { return host_; }  // the inode, for ops

  // --- open to the file system ---
  SharedMutex invalidate_lock{LockRank::kInvalidate};
  // The size of the file as this cache knows it; filemap_write raises it inside its write sequence.
  // Lowered by truncate_setsize only.
  std::atomic<uint64_t> i_size{0};
  WriteSeq i_write_seq;
  ErrSeq wb_err;
  // What was written is lost: for each open file, and for the next sync of the file system.
  void record_error(Errno error) {
    wb_err.set(error);
    ops().sb_err.set(error);
  }
  std::atomic<uint32_t> trunc_gen{0};               // goes with pages dirtied from now on
  std::atomic<size_t> dirty_limit_bytes{SIZE_MAX};  // of this file; writers wait above it

  size_t nr_pages() const { return nr_pages_.load(std::memory_order_relaxed); }
  size_t nr_tagged(PageTag tag) const {
    return nr_tagged_[static_cast<size_t>(tag)].load(std::memory_order_acquire);
  }
  // Nothing that the server lacks: the host may be forgotten.
  bool is_clean() const {
    return nr_tagged(PageTag::kDirty) + nr_tagged(PageTag::kWriteback) +
               nr_tagged(PageTag::kUnstable) ==
           0;
  }

  // Lock-free look-up; under RcuReadGuard; the page may leave the tree at any moment.
  Page* lookup_rcu(uint64_t index) const {
    const Slot* slot = slot_rcu(index);
    return slot == nullptr ? nullptr : page_of(slot->load(std::memory_order_acquire));
  }
  // Where the page at `index` is found; null if the tree does not reach there. Under RcuReadGuard.
  // A page that is still found in the slot has not left its place.
  using Slot = std::atomic<uintptr_t>;
  const Slot* slot_rcu(uint64_t index) const;
  static Page* page_of(uintptr_t entry) {
    return (entry & 1) != 0 ? nullptr : reinterpret_cast<Page*>(entry);
  }
  // The page with a reference, or null.
  PageRef find_get_page(uint64_t index) const;
  // The page locked and referenced, still in the tree; or null. Waits: ETIMEDOUT, EINTR.
  Result<PageRef> find_lock_page(const CallContext& ctx, uint64_t index);

  // Puts a new page in, locked; false if the index is taken. Charges the tree's nodes.
  bool add_locked(Page& page, uint64_t index);
  // The same for pages from `index` on, up to the first index that is taken; how many.
  size_t add_run_locked(std::span<const PageRef> pages, uint64_t index);
  // Takes the locked page out (its tree reference is dropped). A dirty page is forgotten. No write
  // of the index may be in flight.
  void remove_locked(Page& page);
  // As remove_locked, unless the server lacks the page's content: then false.
  bool remove_clean_locked(Page& page);
  // Puts `copy` (new, locked) in place of the locked page under writeback and marks it uptodate;
  // the old page lives on until end_page_writeback. False if that has already happened.
  bool replace_locked(Page& page, Page& copy);

  // Flag changes under the page lock.
  void set_page_uptodate(Page& page);
  void set_page_dirty(Page& page);
  // Dirty -> writeback; false if it is not dirty or an older write of the index is in flight.
  bool set_page_writeback(Page& page);

  // First index >= `from` that is present / has the tag, or UINT64_MAX.
  uint64_t next_present(uint64_t from) const;
  uint64_t next_tagged(PageTag tag, uint64_t from) const;
  // Up to `max` pages present in [from, last], each with a reference.
  std::vector<PageRef> gang_lookup(uint64_t from, uint64_t last, size_t max) const;

  // Byte ranges that the server lacks: dirty, in flight or unstable; at most `max`. For salvage.
  struct ByteRange {
    uint64_t offset;
    uint64_t size_bytes;
  };
  std::vector<ByteRange> unwritten_ranges(size_t max) const;

 private:
  struct Node;
  friend class Writeback;
  friend class PageState;

  // Tree; all under i_pages but lookup.
  Node* grow_to_locked(uint64_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  void insert_locked(Page& page, uint64_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  Node* leaf_locked(uint64_t index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  Page* slot_locked(uint64_t index) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  void erase_slot_locked(uint64_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  void tag_locked(uint64_t index, PageTag tag) ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  void untag_locked(uint64_t index, PageTag tag) ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  bool tagged_locked(uint64_t index, PageTag tag) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  uint64_t next_locked(int tag, uint64_t from) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  void dirty_locked(Page& page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  void undirty_locked(Page& page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  void unstable_to_clean_locked(Page& page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);
  void account_locked(Page& page) ABSL_EXCLUSIVE_LOCKS_REQUIRED(i_pages_);

  Runtime& runtime_;
  AddressSpaceOps& ops_;
  void* const host_;

  // Null, the page of index 0 (height 0), or the root node with bit 0 set.
  std::atomic<uintptr_t> root_{0};
  std::atomic<size_t> nr_pages_{0};
  // Return the count before.
  size_t add_tagged(PageTag tag) {
    ops().nr_unclean.fetch_add(1, std::memory_order_relaxed);
    return nr_tagged_[static_cast<size_t>(tag)].fetch_add(1, std::memory_order_acq_rel);
  }
  size_t sub_tagged(PageTag tag) {
    ops().nr_unclean.fetch_sub(1, std::memory_order_relaxed);
    return nr_tagged_[static_cast<size_t>(tag)].fetch_sub(1, std::memory_order_acq_rel);
  }
  std::array<std::atomic<size_t>, kPageTags> nr_tagged_{};

  mutable Mutex i_pages_{LockRank::kPages};
  uint32_t root_tags_ ABSL_GUARDED_BY(i_pages_) = 0;         // of a height-0 tree
  uint32_t commit_round_ ABSL_GUARDED_BY(i_pages_) = 1;      // pages that become unstable now
  uint32_t commit_done_ ABSL_GUARDED_BY(i_pages_) = 0;       // rounds <= are committed
  uint32_t commit_in_flight_ ABSL_GUARDED_BY(i_pages_) = 0;  // round, or 0
  Errno commit_error_ ABSL_GUARDED_BY(i_pages_);             // of the last commit that ended
  uint32_t redirtied_ ABSL_GUARDED_BY(i_pages_) = 0;         // counts what must be written again
  int64_t unstable_since_ns_ ABSL_GUARDED_BY(i_pages_) = 0;
  std::atomic<uint32_t> waiters_{0};  // threads that wait for a write or commit of this file

  // Guarded by Writeback's mutex.
  AddressSpace* wb_next_ = nullptr;
  AddressSpace* wb_prev_ = nullptr;
  bool wb_listed_ = false;
  int wb_users_ = 0;
  int64_t dirtied_when_ns_ = 0;
};

// --- Page locks (kernel: folio_lock, folio_wait_bit). Waits go through ops().wait. The caller
// holds a reference to the page, and keeps the mapping alive. ---

// Locks; the page may have left its tree meanwhile: look at page.mapping(). ETIMEDOUT, EINTR.
Result<void> lock_page(const CallContext& ctx, AddressSpace& mapping, Page& page);
// Until the lock bit is clear once. ETIMEDOUT, EINTR.
Result<void> wait_on_page_locked(const CallContext& ctx, AddressSpace& mapping, Page& page);
// Until no write of this index is in flight. ETIMEDOUT, EINTR.
Result<void> wait_on_index_writeback(const CallContext& ctx, AddressSpace& mapping, uint64_t index);

}  // namespace myfs::mm
