#include "sdk/mm/writeback.h"

#include <algorithm>
#include <cassert>
#include <vector>

#include "sdk/base/clock.h"
#include "sdk/mm/filemap.h"
#include "sdk/mm/page_state.h"
#include "sdk/mm/runtime.h"
#include "sdk/mm/wait_table.h"

namespace myfs::mm {

namespace {
constexpr int64_t kRefusedRetry_ns = 10 * kNsPerMs;  // if nobody kicks after a refusal
// A file system with less than this part of the dirty limit is not held up by the others.
constexpr size_t kDirtyShare = 8;
}  // namespace

Writeback::~Writeback() { stop(); }

void Writeback::stop() {
  std::unique_ptr<Thread> thread;
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    wake_.notify_all();
    thread = std::move(thread_);
  }
  if (thread != nullptr) thread->join();
}

void Writeback::ensure_started() {
  if (started_.load(std::memory_order_acquire)) return;
  MutexLock lock(mutex_);
  if (thread_ != nullptr || stopping_) return;
  thread_ = std::make_unique<Thread>("myfs-flush", [this] { run(); });
  started_.store(true, std::memory_order_release);
}

void Writeback::kick() {
  MutexLock lock(mutex_);
  kicked_ = true;
  wake_.notify_all();
}

void Writeback::add(AddressSpace& mapping) {
  MutexLock lock(mutex_);
  mapping.dirtied_when_ns_ = boottime_ns();
  if (mapping.wb_listed_) return;
  mapping.wb_listed_ = true;
  mapping.wb_next_ = nullptr;
  mapping.wb_prev_ = tail_;
  (tail_ != nullptr ? tail_->wb_next_ : head_) = &mapping;
  tail_ = &mapping;
  if (head_ == &mapping) wake_.notify_all();
}

void Writeback::unlink_locked(AddressSpace& mapping) {
  if (!mapping.wb_listed_) return;
  (mapping.wb_prev_ != nullptr ? mapping.wb_prev_->wb_next_ : head_) = mapping.wb_next_;
  (mapping.wb_next_ != nullptr ? mapping.wb_next_->wb_prev_ : tail_) = mapping.wb_prev_;
  mapping.wb_listed_ = false;
}

void Writeback::forget(AddressSpace& mapping) {
  MutexLock lock(mutex_);
  unlink_locked(mapping);
  while (mapping.wb_users_ != 0) idle_.wait(mutex_);
}

void Writeback::unpin(AddressSpace& mapping) {
  MutexLock lock(mutex_);
  if (--mapping.wb_users_ == 0) idle_.notify_all();
}

bool Writeback::wants_flush_locked(const AddressSpace& mapping, bool pressure,
                                   int64_t now_ns) const {
  return pressure || now_ns - mapping.dirtied_when_ns_ >= runtime_.options().dirty_expire_ns;
}

bool Writeback::flush_round() {
  std::vector<AddressSpace*> work;
  bool pressure = runtime_.budget().dirty_bytes() > runtime_.dirty_background_bytes() ||
                  runtime_.budget().waiters_.load(std::memory_order_relaxed) != 0;
  int64_t now = boottime_ns();
  {
    MutexLock lock(mutex_);
    for (AddressSpace* mapping = head_; mapping != nullptr;) {
      AddressSpace* next = mapping->wb_next_;
      if (mapping->is_clean()) {
        unlink_locked(*mapping);
      } else if (wants_flush_locked(*mapping, pressure, now) && !stopping_) {
        ++mapping->wb_users_;
        work.push_back(mapping);
      }
      mapping = next;
    }
  }
  bool refused = false;
  for (AddressSpace* mapping : work) {
    Result<size_t> written =
        write_cache_pages(uninterruptible(), *mapping, 0, UINT64_MAX, IoKind::kFlush);
    refused |= !written.ok();
    bool late = now - PageState::unstable_since_ns(*mapping) >= runtime_.options().commit_expire_ns;
    if (mapping->nr_tagged(PageTag::kUnstable) != 0 && (pressure || late)) {
      Result<bool> started = start_commit(uninterruptible(), *mapping, IoKind::kFlush);
      refused |= !started.ok();
    }
    unpin(*mapping);
  }
  return refused;
}

void Writeback::run() {
  MutexLock lock(mutex_);
  while (!stopping_) {
    if (!kicked_) {
      if (head_ == nullptr) {
        wake_.wait(mutex_);
      } else {
        const RuntimeOptions& options = runtime_.options();
        int64_t period = std::min(options.dirty_expire_ns, options.commit_expire_ns) / 2;
        (void)wake_.wait_until(mutex_, deadline_after_ns(std::max(period, kNsPerMs)));
      }
      if (stopping_) break;
    }
    kicked_ = false;
    mutex_.unlock();
    const bool refused = flush_round();
    mutex_.lock();
    // A refusal ends with a kick, or by trying again.
    if (refused && !kicked_ && !stopping_) {
      (void)wake_.wait_until(mutex_, deadline_after_ns(kRefusedRetry_ns));
      kicked_ = true;
    }
  }
}

bool Writeback::has_room(AddressSpace& mapping) {
  ensure_started();
  if (!mapping.ops().writes_back()) return true;
  const size_t total = runtime_.budget().dirty_bytes();
  const size_t own = mapping.nr_tagged(PageTag::kDirty) + mapping.nr_tagged(PageTag::kWriteback) +
                     mapping.nr_tagged(PageTag::kUnstable);
  const size_t own_limit = mapping.dirty_limit_bytes.load(std::memory_order_relaxed);
  if (own * kPageSize_bytes > own_limit) return false;
  if (total > runtime_.dirty_limit_bytes()) {
    // Whoever has little of it goes on: what fills the rest may belong to a server that is away.
    const size_t of_all = mapping.ops().nr_unclean.load(std::memory_order_relaxed);
    if (of_all * kPageSize_bytes > runtime_.dirty_limit_bytes() / kDirtyShare) return false;
  }
  if (total > runtime_.dirty_background_bytes()) kick();
  return true;
}

Result<void> Writeback::balance_dirty_pages(const CallContext& ctx, AddressSpace& mapping) {
  Budget& budget = runtime_.budget();
  for (bool counted = false;; counted = true) {
    int64_t seen = budget.progress();
    if (has_room(mapping)) return {};
    if (!counted) runtime_.stats().writers_throttled.add();
    MYFS_ASSIGN(size_t written, write_cache_pages(ctx, mapping, 0, UINT64_MAX, IoKind::kWrite));
    (void)written;
    if (mapping.nr_tagged(PageTag::kUnstable) != 0) {
      MYFS_ASSIGN(bool started, start_commit(ctx, mapping, IoKind::kWrite));
      (void)started;
    }
    if (budget.dirty_bytes() > runtime_.dirty_limit_bytes()) kick();
    if (budget.progress() != seen) continue;
    MYFS_TRY(budget.wait_for_progress(ctx, seen));
  }
}

Result<void> Writeback::sync(const CallContext& ctx, AddressSpaceOps& ops) {
  std::vector<AddressSpace*> work;
  {
    MutexLock lock(mutex_);
    for (AddressSpace* mapping = head_; mapping != nullptr; mapping = mapping->wb_next_) {
      if (&mapping->ops() != &ops) continue;
      ++mapping->wb_users_;
      work.push_back(mapping);
    }
  }
  ErrSeq::Sample since = ops.sb_err.sample();
  Result<void> first;
  for (AddressSpace* mapping : work) {
    Result<void> synced = filemap_fsync(ctx, *mapping, nullptr);
    if (first.ok()) first = synced;
    unpin(*mapping);
  }
  const Errno recorded = ops.sb_err.check_and_advance(&since);
  return recorded.ok() ? first : Result<void>(recorded);
}

namespace {

// Dirty pages from `first` on that go into one request, now under writeback.
std::vector<PageRef> collect_run(const CallContext& ctx, AddressSpace& mapping, uint64_t first,
                                 size_t count, bool may_wait, Errno* error) {
  std::vector<PageRef> run;
  for (uint64_t index = first; run.size() < count; ++index) {
    PageRef page = mapping.find_get_page(index);
    if (!page) break;
    // Only the first page is waited for: the others are taken along if they come at once.
    if (run.empty() && may_wait) {
      Result<void> locked = lock_page(ctx, mapping, *page);
      *error = locked.error();
      if (!locked.ok()) break;
    } else if (!page->try_lock()) {
      break;
    }
    bool fits = run.empty() || page->trunc_gen() == run.front()->trunc_gen();
    bool taken = fits && page->mapping() == &mapping && mapping.set_page_writeback(*page);
    page->unlock();
    if (!taken) break;
    run.push_back(std::move(page));
  }
  return run;
}

// Whether the file has nothing to be written or committed but this run.
bool is_all(const AddressSpace& mapping, const std::vector<PageRef>& run) {
  return mapping.nr_tagged(PageTag::kDirty) == 0 && mapping.nr_tagged(PageTag::kUnstable) == 0 &&
         mapping.nr_tagged(PageTag::kWriteback) == run.size();
}

void submit_run(Admission admission, AddressSpace& mapping, const std::vector<PageRef>& run,
                IoKind kind, bool durable) {
  uint64_t size = mapping.i_size.load(std::memory_order_acquire);
  std::vector<Page*> pages;
  pages.reserve(run.size());
  std::vector<Page*> beyond;  // truncated meanwhile: nothing to write
  for (const PageRef& page : run) (page->offset() < size ? pages : beyond).push_back(page.get());
  mapping.runtime().stats().pages_written.add(static_cast<int64_t>(pages.size()));
  if (!pages.empty()) {
    WriteRequest request;
    request.kind = kind;
    request.pages = pages;
    request.offset = pages.front()->offset();
    request.size_bytes = std::min<uint64_t>(pages.size() * kPageSize_bytes, size - request.offset);
    request.trunc_gen = pages.front()->trunc_gen();
    request.durable = durable;
    mapping.ops().write_pages(std::move(admission), mapping, request);
  }
  for (Page* page : beyond) end_page_writeback(*page, Errno(), false);
}

}  // namespace

Result<size_t> write_cache_pages(const CallContext& ctx, AddressSpace& mapping, uint64_t first,
                                 uint64_t last, IoKind kind, bool to_commit) {
  size_t submitted = 0;
  const size_t wsize = std::max<size_t>(mapping.ops().wsize_bytes() / kPageSize_bytes, 1);
  uint64_t index = first;
  while ((index = mapping.next_tagged(PageTag::kDirty, index)) <= last && index != UINT64_MAX) {
    size_t count = 1;
    while (count < wsize && index + count <= last &&
           mapping.next_tagged(PageTag::kDirty, index + count) == index + count) {
      ++count;
    }
    Result<Admission> admission = mapping.ops().admit(ctx, kind, count * kPageSize_bytes);
    if (!admission.ok()) {
      if (kind == IoKind::kFlush && submitted > 0) return submitted;
      return admission.error();
    }
    Errno error;
    std::vector<PageRef> run =
        collect_run(ctx, mapping, index, count, kind != IoKind::kFlush, &error);
    if (!error.ok()) return error;
    if (run.empty()) {
      // Locked, cleaned meanwhile, or an older write of this index is still in flight.
      *admission = Admission();
      if (kind == IoKind::kFlush) {
        ++index;
        continue;
      }
      MYFS_TRY(wait_on_index_writeback(ctx, mapping, index));
      continue;
    }
    submit_run(std::move(admission).value(), mapping, run, kind, to_commit && is_all(mapping, run));
    submitted += run.size();
    index += run.size();
  }
  return submitted;
}

Result<bool> start_commit(const CallContext& ctx, AddressSpace& mapping, IoKind kind) {
  if (!PageState::commit_possible(mapping)) return false;
  MYFS_ASSIGN(Admission admission, mapping.ops().admit(ctx, kind, 0));
  uint32_t round = PageState::begin_commit(mapping);
  if (round == 0) return false;
  mapping.ops().commit_pages(std::move(admission), mapping, round);
  return true;
}

}  // namespace myfs::mm
