#include "sdk/mm/address_space.h"

#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>
#include <vector>

#include "sdk/base/rcu.h"
#include "sdk/mm/page_pin.h"
#include "tests/unit/mm/fake_ops.h"

namespace myfs::mm {
namespace {

struct AddressSpaceTest : FileFixture, testing::Test {
  // A new uptodate page at `index`; the tree holds the only reference.
  Page* put(uint64_t index) {
    PageRef page = std::move(alloc_page(ctx(), *runtime)).value();
    EXPECT_TRUE(mapping->add_locked(*page, index));
    mapping->set_page_uptodate(*page);
    page->unlock_handed_over();
    return page.get();
  }
  Page* lookup(uint64_t index) {
    RcuReadGuard guard;
    return mapping->lookup_rcu(index);
  }
  void dirty(uint64_t index) {
    PageRef page = std::move(mapping->find_lock_page(ctx(), index)).value();
    mapping->i_size = std::max<uint64_t>(mapping->i_size, (index + 1) * kPageSize_bytes);
    mapping->set_page_dirty(*page);
    page->unlock();
  }
  void remove(uint64_t index) {
    PageRef page = std::move(mapping->find_lock_page(ctx(), index)).value();
    mapping->remove_locked(*page);
    page->unlock();
  }
};

// What leaves its place between being found and being pinned is not the file's any more.
TEST_F(AddressSpaceTest, a_pin_holds_only_what_was_in_its_place_when_it_was_found) {
  put(0);
  PageRef page = mapping->find_get_page(0);
  const uint32_t found = page->state();
  auto pinned = [&](uint32_t state) {
    std::vector<PagePin::Taken> pages;
    pages.push_back({page, state});
    return std::move(PagePin::create(*runtime, std::move(pages))).value();
  };
  EXPECT_TRUE(pinned(found).holds());
  remove(0);
  EXPECT_FALSE(pinned(found).holds());
}

TEST_F(AddressSpaceTest, finds_pages_at_all_heights) {
  std::set<uint64_t> indices = {0, 1, 63, 64, 65, 4095, 4096, 262143, 262144, 1u << 30};
  indices.insert(kFileSizeMax_bytes / kPageSize_bytes);
  for (uint64_t index : indices) {
    Page* page = put(index);
    EXPECT_EQ(lookup(index), page);
    EXPECT_EQ(page->index(), index);
  }
  EXPECT_EQ(mapping->nr_pages(), indices.size());
  EXPECT_EQ(lookup(2), nullptr);
  EXPECT_EQ(lookup(262145), nullptr);
  uint64_t from = 0;
  for (uint64_t index : indices) {
    EXPECT_EQ(mapping->next_present(from), index);
    from = index + 1;
  }
  EXPECT_EQ(mapping->next_present(from), UINT64_MAX);
  for (uint64_t index : indices) remove(index);
  EXPECT_EQ(mapping->nr_pages(), 0u);
  EXPECT_EQ(mapping->next_present(0), UINT64_MAX);
}

TEST_F(AddressSpaceTest, height_zero_tree_grows_with_its_tags) {
  put(0);
  dirty(0);
  EXPECT_EQ(mapping->next_tagged(PageTag::kDirty, 0), 0u);
  put(100'000);
  EXPECT_EQ(mapping->next_tagged(PageTag::kDirty, 0), 0u);
  EXPECT_EQ(mapping->next_tagged(PageTag::kDirty, 1), UINT64_MAX);
  remove(0);
  EXPECT_EQ(mapping->nr_tagged(PageTag::kDirty), 0u);
  EXPECT_EQ(mapping->next_tagged(PageTag::kDirty, 0), UINT64_MAX);
}

TEST_F(AddressSpaceTest, add_refuses_a_taken_index) {
  put(7);
  PageRef other = std::move(alloc_page(ctx(), *runtime)).value();
  EXPECT_FALSE(mapping->add_locked(*other, 7));
}

TEST_F(AddressSpaceTest, a_run_is_added_up_to_the_first_taken_index) {
  put(66);
  std::vector<PageRef> pages;
  alloc_pages_bulk_nowait(*runtime, 4, &pages);
  ASSERT_EQ(pages.size(), 4u);
  EXPECT_EQ(mapping->add_run_locked(pages, 63), 3u);
  EXPECT_EQ(mapping->nr_pages(), 4u);
  for (uint64_t i = 0; i < 3; ++i) {
    EXPECT_EQ(lookup(63 + i), pages[i].get());
    mapping->set_page_uptodate(*pages[i]);
    pages[i]->unlock_handed_over();
  }
  EXPECT_NE(lookup(66), pages[3].get());
  EXPECT_EQ(pages[3]->mapping(), nullptr);
}

TEST_F(AddressSpaceTest, whoever_waits_for_the_first_page_of_a_read_finds_all) {
  set_disk(pattern(64 * kPageSize_bytes));
  ops.read_mode = FakeOps::Mode::kManual;
  std::thread reader([this] { EXPECT_TEXT(read(0, 64 * kPageSize_bytes), ops.disk); });
  size_t pages = 0;
  while (pages < 64) {
    FakeOps::Read part = ops.take_read();
    pages += part.pages.size();
    std::atomic<size_t> found{0};
    std::thread watcher([&] {
      while (!part.pages.front()->test(kPageUptodate)) std::this_thread::yield();
      for (Page* page : part.pages) found += page->test(kPageUptodate) ? 1 : 0;
    });
    const size_t all = part.pages.size();
    ops.finish(part, Errno());
    watcher.join();
    EXPECT_EQ(found, all);
  }
  reader.join();
}

TEST_F(AddressSpaceTest, tags_are_found_across_nodes) {
  for (uint64_t index = 0; index < 5000; index += 37) put(index);
  for (uint64_t index = 0; index < 5000; index += 37 * 5) dirty(index);
  uint64_t expected = 0, from = 0;
  while ((from = mapping->next_tagged(PageTag::kDirty, from)) != UINT64_MAX) {
    EXPECT_EQ(from, expected);
    expected += 37 * 5;
    ++from;
  }
  EXPECT_GE(expected, 5000u);
}

TEST_F(AddressSpaceTest, gang_lookup_respects_bounds) {
  for (uint64_t index : {3u, 5u, 64u, 70u}) put(index);
  EXPECT_EQ(mapping->gang_lookup(0, 69, 10).size(), 3u);
  EXPECT_EQ(mapping->gang_lookup(4, 70, 2).size(), 2u);
  EXPECT_EQ(mapping->gang_lookup(71, UINT64_MAX, 2).size(), 0u);
}

TEST_F(AddressSpaceTest, memory_classes_follow_the_state) {
  Budget& budget = runtime->budget();
  put(0);
  EXPECT_EQ(budget.used(MemClass::kPageCache), kPageSize_bytes);
  dirty(0);
  EXPECT_EQ(budget.used(MemClass::kDirty), kPageSize_bytes);
  PageRef page = std::move(mapping->find_lock_page(ctx(), 0)).value();
  ASSERT_TRUE(mapping->set_page_writeback(*page));
  page->unlock();
  EXPECT_EQ(budget.used(MemClass::kInFlight), kPageSize_bytes);
  EXPECT_EQ(budget.used(MemClass::kDirty), 0u);
  end_page_writeback(*page, Errno(), true);
  EXPECT_EQ(budget.used(MemClass::kUnstable), kPageSize_bytes);
  EXPECT_FALSE(mapping->is_clean());
  page = nullptr;
  remove(0);
  EXPECT_EQ(budget.used(MemClass::kUnstable), 0u);
  EXPECT_TRUE(mapping->is_clean());
}

TEST_F(AddressSpaceTest, removed_page_changes_generation_and_frees_its_frame_with_the_last_user) {
  Page* raw = put(9);
  uint32_t before = raw->state();
  PageRef user = mapping->find_get_page(9);
  remove(9);
  EXPECT_TRUE(raw->left_place(before));
  EXPECT_EQ(raw->mapping(), nullptr);
  size_t free_before = runtime->arena().frames_free();
  user = nullptr;
  EXPECT_EQ(runtime->arena().frames_free(), free_before + 1);
  EXPECT_FALSE(raw->try_ref());
}

TEST_F(AddressSpaceTest, unwritten_ranges_merge_neighbours_and_end_at_the_size) {
  for (uint64_t index : {1u, 2u, 5u}) {
    put(index);
    dirty(index);
  }
  mapping->i_size = 5 * kPageSize_bytes + 10;
  auto ranges = mapping->unwritten_ranges(10);
  ASSERT_EQ(ranges.size(), 2u);
  EXPECT_EQ(ranges[0].offset, kPageSize_bytes);
  EXPECT_EQ(ranges[0].size_bytes, 2 * kPageSize_bytes);
  EXPECT_EQ(ranges[1].offset, 5 * kPageSize_bytes);
  EXPECT_EQ(ranges[1].size_bytes, 10u);
  EXPECT_EQ(mapping->unwritten_ranges(1).size(), 1u);
}

TEST_F(AddressSpaceTest, lock_page_ends_at_the_deadline_and_when_cancelled) {
  Page* page = put(0);
  ASSERT_TRUE(page->try_lock());
  CallContext late{ctx().cred, boottime_ns() + 2 * kNsPerMs, nullptr};
  std::thread other([&] {
    EXPECT_EQ(lock_page(late, *mapping, *page).error(), Errno(ETIMEDOUT));
    CancelToken token;
    CallContext cancelled{ctx().cred, kNoDeadline, &token};
    std::thread canceller([&] { token.cancel(); });
    EXPECT_EQ(lock_page(cancelled, *mapping, *page).error(), Errno(EINTR));
    canceller.join();
  });
  other.join();
  page->unlock();
}

TEST_F(AddressSpaceTest, lock_page_wakes_waiters_in_turn) {
  Page* page = put(0);
  int counter = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 500; ++i) {
        ASSERT_TRUE(lock_page(ctx(), *mapping, *page).ok());
        ++counter;
        page->unlock();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(counter, 2000);
}

}  // namespace
}  // namespace myfs::mm
