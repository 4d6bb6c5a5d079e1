#include "sdk/mm/filemap_read.h"

#include <algorithm>
#include <utility>

#include "sdk/mm/page_state.h"
#include "sdk/mm/runtime.h"

namespace myfs::mm {
namespace {

// As in filemap.cc: how often pages may be taken away, or refused by the cache.
constexpr int kRacesMax = 100;
constexpr int kRefusalsMax = 2;

}  // namespace

FilemapRead::FilemapRead(AddressSpace& mapping, FileRaState& ra, uint64_t pos,
                         std::span<const iovec> iov, Waker& waker)
    : mapping_(mapping),
      ra_(ra),
      pos_(pos),
      wanted_(IovCursor::total(iov)),
      cursor_(iov),
      waker_(waker),
      page_waiter_(waker),
      write_seq_(mapping.i_write_seq.begin()) {}

FilemapRead::~FilemapRead() {
  if (expects_) mapping_.ops().expect(-1);
}

FilemapRead::Progress FilemapRead::park() {
  // Once for all of its waits: each would wake the thread that watches.
  if (!expects_) {
    expects_ = true;
    mapping_.ops().expect(1);
  }
  return Progress::kParked;
}

FilemapRead::Progress FilemapRead::end(Errno error) {
  if (mapping_.i_write_seq.changed(write_seq_)) return Progress::kBlocked;
  error_ = error;
  return Progress::kDone;
}

Result<size_t> FilemapRead::result() const {
  if (done_ == 0 && !error_.ok()) return error_;
  return done_;
}

FilemapRead::Progress FilemapRead::step() {
  if (write_seq_ == WriteSeq::kBusy) return Progress::kBlocked;
  page_waiter_.disarm();
  // A page whose read failed has left the tree: only here it can be asked why.
  if (PageRef page = std::exchange(waited_, PageRef()); page) {
    const Errno error = page->read_error();
    if (!error.ok() && error != Errno(EAGAIN)) return end(error);
    if (!error.ok() && ++refusals_ >= kRefusalsMax) return Progress::kBlocked;
  }
  while (true) {
    bool again = false;
    Progress progress = step_once(&again);
    if (!again) return progress;
  }
}

// kDone with a null page: another thread was faster, look again.
FilemapRead::Progress FilemapRead::find_page(uint64_t index, size_t pages_wanted, PageRef* page) {
  AddressSpaceOps& ops = mapping_.ops();
  if (queued_ == nullptr) {
    Result<PageRef> read =
        page_cache_sync_ra(uninterruptible(), mapping_, ra_, index, pages_wanted, Patience::kNone);
    if (!read.ok()) return Progress::kBlocked;
    *page = std::move(read).value();
    if (*page || mapping_.find_get_page(index)) return Progress::kDone;
    const size_t most = std::max<size_t>(ops.rsize_bytes() / kPageSize_bytes, 1);
    queued_pages_ = std::min(pages_wanted, most);
    queued_ = ops.queue_for_admission(IoKind::kRead, queued_pages_ * kPageSize_bytes, waker_);
    if (queued_ == nullptr) return Progress::kBlocked;
  }
  Result<Admission> admission = queued_->take();
  if (admission.error() == Errno(EAGAIN)) return park();
  queued_ = nullptr;
  if (!admission.ok()) return end(admission.error());
  *page = page_cache_read_admitted(std::move(admission).value(), mapping_, index, queued_pages_);
  if (!*page && !mapping_.find_get_page(index)) return Progress::kBlocked;
  return Progress::kDone;
}

FilemapRead::Progress FilemapRead::step_once(bool* again) {
  const uint64_t at = pos_ + done_;
  const uint64_t index = at / kPageSize_bytes;
  const size_t in_page = at % kPageSize_bytes;
  if (done_ == wanted_ || at >= mapping_.i_size.load(std::memory_order_acquire)) {
    return end(Errno());
  }
  const size_t pages_wanted = (wanted_ - done_ + in_page - 1) / kPageSize_bytes + 1;
  PageRef page = mapping_.find_get_page(index);
  if (!page) {
    if (++races_ > kRacesMax) return Progress::kBlocked;
    Progress progress = find_page(index, pages_wanted, &page);
    *again = progress == Progress::kDone && !page && error_.ok();
    if (!page) return progress;
  }
  queued_ = nullptr;  // somebody else has read it
  if (PageState::take_readahead(*page)) {
    page_cache_async_ra(uninterruptible(), mapping_, ra_, index, pages_wanted, Patience::kNone);
  }
  if (!page->test(kPageUptodate)) {
    if (page_waiter_.arm(page)) {
      waited_ = page;
      return park();
    }
    const Errno error = page->read_error();
    if (!error.ok() && error != Errno(EAGAIN)) return end(error);
    if (!error.ok() && ++refusals_ >= kRefusalsMax) return Progress::kBlocked;
    if (!page->test(kPageUptodate)) return *again = true, Progress::kDone;
  }
  // The size may have shrunk while the page was read.
  const uint64_t size = mapping_.i_size.load(std::memory_order_acquire);
  if (at >= size) return end(Errno());
  const size_t bytes =
      std::min({wanted_ - done_, kPageSize_bytes - in_page, static_cast<size_t>(size - at)});
  cursor_.copy_out(page->data() + in_page, bytes);
  page->mark_accessed();
  ra_.prev_index.store(index, std::memory_order_relaxed);
  done_ += bytes;
  races_ = 0;
  *again = true;
  return Progress::kDone;
}

}  // namespace myfs::mm
