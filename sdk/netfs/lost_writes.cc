#include "sdk/netfs/lost_writes.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/log.h"
#include "sdk/base/seqcount.h"

namespace myfs::netfs {

namespace {
constexpr size_t kRangesNamed = 8;  // in one line of the log
}  // namespace

void LostWrites::set_pages(std::vector<LostPage> pages) {
  // Of equal ones the last stays the last.
  std::stable_sort(pages.begin(), pages.end(),
                   [](const LostPage& a, const LostPage& b) { return a.offset < b.offset; });
  pages_.clear();
  ranges_.clear();
  for (LostPage& page : pages) {
    if (!pages_.empty() && pages_.back().offset == page.offset) {
      pages_.back() = std::move(page);
    } else {
      pages_.push_back(std::move(page));
    }
  }
  for (const LostPage& page : pages_) {
    if (!ranges_.empty() && ranges_.back().offset + ranges_.back().size_bytes == page.offset) {
      ranges_.back().size_bytes += page.size_bytes;
    } else {
      ranges_.push_back({page.offset, page.size_bytes});
    }
  }
}

std::string LostWrites::ranges_text() const {
  std::string text;
  for (size_t i = 0; i < ranges_.size() && i < kRangesNamed; ++i) {
    absl::StrAppendFormat(&text, "%s%d+%d", text.empty() ? "" : " ", ranges_[i].offset,
                          ranges_[i].size_bytes);
  }
  if (ranges_.size() > kRangesNamed) {
    absl::StrAppendFormat(&text, " and %d more ranges", ranges_.size() - kRangesNamed);
  }
  return text;
}

uint64_t LostWrites::size_bytes() const {
  uint64_t sum = 0;
  for (const Range& range : ranges_) sum += range.size_bytes;
  return sum;
}

size_t LostWrites::read(uint64_t offset, void* to, size_t size_bytes) const {
  auto page = std::upper_bound(pages_.begin(), pages_.end(), offset,
                               [](uint64_t at, const LostPage& p) { return at < p.offset; });
  if (page == pages_.begin()) return 0;
  --page;
  size_t done = 0;
  for (; page != pages_.end() && done < size_bytes; ++page) {
    const uint64_t at = offset + done;
    if (at < page->offset || at >= page->offset + page->size_bytes || !page->page) break;
    const size_t skip = at - page->offset;
    const size_t count = std::min(size_bytes - done, page->size_bytes - skip);
    racy_copy(static_cast<std::byte*>(to) + done, page->page->data() + skip, count);
    done += count;
  }
  return done;
}

// --- the desk

void LostWritesDesk::add(std::shared_ptr<Handler> handler) {
  MutexLock lock(mutex_);
  handlers_.push_back(std::move(handler));
  handlers_there_.store(handlers_.size(), std::memory_order_release);
}

void LostWritesDesk::remove(const Handler& handler) {
  std::shared_ptr<Handler> removed;  // destroyed outside of the lock
  MutexLock lock(mutex_);
  auto found = std::find_if(handlers_.begin(), handlers_.end(),
                            [&](const auto& one) { return one.get() == &handler; });
  if (found == handlers_.end()) return;
  removed = std::move(*found);
  handlers_.erase(found);
  handlers_there_.store(handlers_.size(), std::memory_order_release);
  if (thread_.is_current()) return;  // if it runs, this is its own call
  while (running_ == &handler) returned_.wait(mutex_);
}

void LostWritesDesk::report(std::shared_ptr<const LostWrites> what) {
  log(LogLevel::kError, "%s: lost what was written to %s (%s), bytes %s", what->mount, what->path,
      what->why, what->ranges_text());
  if (!wants_bytes()) return;
  thread_.post([desk = shared_from_this(), what = std::move(what)] { desk->handle(*what); });
}

void LostWritesDesk::handle(const LostWrites& what) {
  std::vector<std::shared_ptr<Handler>> handlers;
  {
    MutexLock lock(mutex_);
    handlers = handlers_;
  }
  bool taken_care_of = false;
  for (const std::shared_ptr<Handler>& handler : handlers) {
    {
      MutexLock lock(mutex_);
      if (std::find(handlers_.begin(), handlers_.end(), handler) == handlers_.end()) continue;
      running_ = handler.get();
    }
    taken_care_of |= handler->lost(what);
    MutexLock lock(mutex_);
    running_ = nullptr;
    returned_.notify_all();
  }
  if (taken_care_of || rescue_ == nullptr) return;
  Result<std::string> saved = rescue_->save(what);
  if (saved.ok()) {
    log(LogLevel::kError, "%s: what was lost of %s is in %s", what.mount, what.path, *saved);
    return;
  }
  rescues_failed_.add();
  log(LogLevel::kError, "%s: what was lost of %s could not be rescued: %s", what.mount, what.path,
      thread_error_detail().message);
}

}  // namespace myfs::netfs
