#include "sdk/mm/page_pin.h"

#include <algorithm>

#include "sdk/base/error_detail.h"
#include "sdk/mm/runtime.h"

namespace myfs::mm {

namespace {
constexpr size_t kPinnedShare = 4;  // a quarter of the budget
}  // namespace

Result<PagePin> PagePin::create(Runtime& runtime, std::vector<Taken> pages) {
  const size_t bytes = pages.size() * kPageSize_bytes;
  const size_t before = runtime.pinned_bytes.fetch_add(bytes, std::memory_order_relaxed);
  if (before + bytes > runtime.budget().limit() / kPinnedShare) {
    runtime.pinned_bytes.fetch_sub(bytes, std::memory_order_relaxed);
    return fail(Errno(ENOMEM), "a quarter of the cache is pinned");
  }
  return PagePin(runtime, std::move(pages));
}

PagePin::~PagePin() {
  if (runtime_ == nullptr) return;
  runtime_->pinned_bytes.fetch_sub(held_.size() * kPageSize_bytes, std::memory_order_relaxed);
}

bool PagePin::holds() const {
  return std::none_of(held_.begin(), held_.end(),
                      [](const Taken& held) { return held.page->left_place(held.state); });
}

}  // namespace myfs::mm
