// PagePin: pages of a file that keep their frames, for whoever has mapped the arena.
// Kernel counterpart: pin_user_pages (mm/gup.c), struct page_frag of sendfile.
// Thread safety: all, but destruction. Lock rank: none; made under i_rwsem, destroyed anywhere but
// under leaf locks. Owns / is owned by: holds a reference to each page, so that no frame serves
// another place; the pages may leave their file meanwhile. The Runtime outlives it.
// Invariants: (1) a page that holds() showed what the file held, under the lease that its taker
// compares; (2) at most a quarter of the budget is pinned.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "sdk/base/result.h"
#include "sdk/mm/page.h"

namespace myfs::mm {

class Runtime;

class PagePin {
 public:
  struct Taken {
    PageRef page;
    uint32_t state;  // when it was found in its place
  };
  // ENOMEM: so many may not be pinned.
  static Result<PagePin> create(Runtime& runtime, std::vector<Taken> pages);
  PagePin(PagePin&& other) noexcept
      : runtime_(std::exchange(other.runtime_, nullptr)), held_(std::move(other.held_)) {}
  PagePin& operator=(PagePin&&) = delete;
  ~PagePin();

  size_t size() const { return held_.size(); }
  const Page& page(size_t i) const { return *held_[i].page; }
  // Whether all of them are still what the cache has of the file.
  bool holds() const;

 private:
  PagePin(Runtime& runtime, std::vector<Taken> held) : runtime_(&runtime), held_(std::move(held)) {}

  Runtime* runtime_;
  std::vector<Taken> held_;
};

}  // namespace myfs::mm
