#include "sdk/mm/reclaim.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <thread>

#include "tests/unit/mm/fake_ops.h"

namespace myfs::mm {
namespace {

constexpr size_t kSmall_bytes = 1 << 20;

struct ReclaimTest : FileFixture, testing::Test {
  ReclaimTest() : FileFixture(slow_flusher(kSmall_bytes)) {}
  // Tree nodes are charged without fail.
  static constexpr size_t kSlack_bytes = 64 << 10;
};

TEST_F(ReclaimTest, a_file_larger_than_the_budget_is_read_within_it) {
  set_disk(pattern(8 << 20));
  for (uint64_t pos = 0; pos < ops.disk.size(); pos += 8192) {
    ASSERT_TEXT(read(pos, 8192), ops.disk.substr(pos, 8192)) << pos;
    ASSERT_LE(runtime->budget().used(), kSmall_bytes + kSlack_bytes);
  }
  EXPECT_GT(runtime->stats().pages_reclaimed.value(), 1000);
}

TEST_F(ReclaimTest, a_file_larger_than_the_budget_is_written_within_it) {
  for (uint64_t pos = 0; pos < (8 << 20); pos += 65536) {
    ASSERT_EQ(*write(pos, pattern(65536, static_cast<unsigned>(pos))), 65536u);
    ASSERT_LE(runtime->budget().used(), kSmall_bytes + kSlack_bytes);
  }
  EXPECT_TRUE(filemap_fsync(ctx(), *mapping, nullptr).ok());
  EXPECT_EQ(ops.disk.size(), size_t{8} << 20);
  for (uint64_t pos = 0; pos < (8 << 20); pos += 65536) {
    ASSERT_EQ(ops.disk.substr(pos, 65536), pattern(65536, static_cast<unsigned>(pos)));
  }
}

TEST_F(ReclaimTest, a_bulk_is_cut_where_the_budget_ends) {
  std::vector<PageRef> pages;
  alloc_pages_bulk_nowait(*runtime, 2 * kSmall_bytes / kPageSize_bytes, &pages);
  EXPECT_GT(pages.size(), kSmall_bytes / kPageSize_bytes / 2);
  EXPECT_LT(pages.size(), kSmall_bytes / kPageSize_bytes);
  EXPECT_LE(runtime->budget().used(), kSmall_bytes);
  EXPECT_EQ(runtime->budget().used(MemClass::kPageCache), pages.size() * kPageSize_bytes);
  const size_t all = pages.size();
  pages.clear();
  alloc_pages_bulk_nowait(*runtime, all, &pages);
  EXPECT_EQ(pages.size(), all);
}

TEST_F(ReclaimTest, used_pages_survive_those_read_once) {
  set_disk(pattern(4 << 20));
  std::string hot = ops.disk.substr(0, 4096);
  ra.random = true;
  ASSERT_TEXT(read(0, 4096), hot);
  size_t reads_of_hot = 0;
  for (uint64_t pos = 4096; pos < ops.disk.size(); pos += 4096) {
    if (hit(0, 4096) == "miss") {
      ++reads_of_hot;
      ASSERT_TEXT(read(0, 4096), hot);
    }
    ASSERT_EQ(read(pos, 4096).size(), 4096u);
  }
  EXPECT_LE(reads_of_hot, 1u);
}

TEST_F(ReclaimTest, dirty_pages_without_a_store_stay_within_the_budget) {
  ops.has_store = false;  // dirty pages that can never be cleaned
  Errno error;
  uint64_t pos = 0;
  CallContext late{ctx().cred, boottime_ns() + kNsPerSec, nullptr};
  for (; pos < 2 * kSmall_bytes && error.ok(); pos += 4096) {
    error = write(pos, pattern(4096), late).error();
  }
  EXPECT_EQ(error, Errno(ETIMEDOUT));  // for all that mm knows, somebody may truncate them
  EXPECT_GT(pos, kSmall_bytes / 2);
  EXPECT_LE(runtime->budget().used(), kSmall_bytes + kSlack_bytes);
}

TEST_F(ReclaimTest, call_ENOMEM_if_all_pages_are_pinned) {
  std::vector<PageRef> pins;
  Errno error;
  while (error.ok()) {
    Result<PageRef> page = alloc_page(ctx(), *runtime);
    error = page.error();
    if (page.ok()) pins.push_back(std::move(page).value());
  }
  EXPECT_EQ(error, Errno(ENOMEM));
  EXPECT_GE(pins.size(), kSmall_bytes / (kPageSize_bytes + sizeof(Page)) - 1);
}

TEST_F(ReclaimTest, allocation_waits_for_pages_in_flight) {
  ops.write_mode = FakeOps::Mode::kManual;
  EXPECT_EQ(*write(0, pattern(4096)), 4096u);
  EXPECT_TRUE(filemap_fdatawrite_range(ctx(), *mapping, 0, UINT64_MAX).ok());
  std::vector<PageRef> pins;
  while (true) {
    Result<PageRef> page = alloc_page_nowait(*runtime);
    if (!page.ok()) break;
    pins.push_back(std::move(page).value());
  }
  std::thread server([&] { ops.finish(ops.take_write(), Errno()); });
  EXPECT_TRUE(alloc_page(ctx(), *runtime).ok());
  server.join();
}

struct FakeCache : Shrinker {
  explicit FakeCache(Budget& budget) : budget(budget) { budget.register_shrinker(this); }
  ~FakeCache() override {
    budget.unregister_shrinker(this);
    budget.uncharge(MemClass::kDentries, held);
  }
  bool add(size_t bytes) {
    if (!budget.charge(uninterruptible(), MemClass::kDentries, bytes).ok()) return false;
    held += bytes;
    return true;
  }
  size_t shrink(size_t bytes) override {
    size_t freed = std::min(bytes, held.load());
    held -= freed;
    budget.uncharge(MemClass::kDentries, freed);
    ++calls;
    return freed;
  }
  Budget& budget;
  std::atomic<size_t> held{0};
  int calls = 0;
};

TEST_F(ReclaimTest, pages_give_way_to_names_and_names_to_pages) {
  set_disk(pattern(4 << 20));
  FakeCache names(runtime->budget());
  for (uint64_t pos = 0; pos < kSmall_bytes; pos += 65536) (void)read(pos, 65536);
  size_t pages_before = mapping->nr_pages();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(names.add(8192));
  EXPECT_LT(mapping->nr_pages(), pages_before);
  EXPECT_EQ(runtime->budget().used(MemClass::kDentries), names.held);
  ASSERT_TRUE(names.add(100 << 10));
  EXPECT_LE(runtime->budget().used(), kSmall_bytes + kSlack_bytes);
  for (uint64_t pos = 0; pos < ops.disk.size(); pos += 65536) {
    ASSERT_EQ(read(pos, 65536).size(), 65536u);
  }
  EXPECT_LE(runtime->budget().used(), kSmall_bytes + kSlack_bytes);
}

TEST_F(ReclaimTest, names_alone_are_shrunk_for_a_page) {
  FakeCache names(runtime->budget());
  while (runtime->budget().try_charge(MemClass::kDentries, 4096)) names.held += 4096;
  EXPECT_TRUE(alloc_page(ctx(), *runtime).ok());
  EXPECT_GT(names.calls, 0);
}

TEST_F(ReclaimTest, reserve_is_out_of_reach_of_normal_charges) {
  Budget& budget = runtime->budget();
  ASSERT_TRUE(budget.reserve(256 << 10).ok());
  EXPECT_EQ(budget.reserve(kSmall_bytes).error(), Errno(ENOMEM));
  size_t taken = 0;
  while (budget.try_charge(MemClass::kBuffers, 4096)) taken += 4096;
  EXPECT_LE(taken, kSmall_bytes - (256 << 10));
  EXPECT_TRUE(budget.try_charge(MemClass::kBuffers, 128 << 10, Budget::From::kReserve));
  budget.uncharge(MemClass::kBuffers, taken + (128 << 10));
  budget.unreserve(256 << 10);
}

TEST_F(ReclaimTest, lower_limit_gives_memory_back_to_the_system) {
  set_disk(pattern(kSmall_bytes / 2));
  EXPECT_TEXT(read(0, kSmall_bytes), ops.disk);
  runtime->budget().set_limit(300 << 10);
  EXPECT_LE(runtime->budget().used(), (300 << 10) + kSlack_bytes);
  EXPECT_TEXT(read(0, kSmall_bytes), ops.disk);
  EXPECT_LE(runtime->budget().used(), (300 << 10) + kSlack_bytes);
}

TEST_F(ReclaimTest, accounts_return_to_zero) {
  set_disk(pattern(1 << 19));
  EXPECT_TEXT(read(0, 1 << 19), ops.disk);
  EXPECT_EQ(*write(0, "x"), 1u);
  truncate_inode_pages_final(*mapping);
  Budget& budget = runtime->budget();
  for (MemClass cls :
       {MemClass::kPageCache, MemClass::kDirty, MemClass::kInFlight, MemClass::kUnstable}) {
    EXPECT_EQ(budget.used(cls), 0u) << mem_class_name(cls);
  }
  runtime->arena().trim(SIZE_MAX);
  EXPECT_EQ(budget.used(),
            runtime->arena().frames_touched() * (sizeof(Page) + sizeof(PageState32)));
}

TEST(Arena, frames_can_be_mapped_by_number) {
  auto runtime = std::move(Runtime::create({})).value();
  PageRef page = std::move(alloc_page(uninterruptible(), *runtime)).value();
  page->fill(0, "shared", 7);
  char buffer[8] = {};
  off_t offset = static_cast<off_t>(page->frame() * kPageSize_bytes);
  EXPECT_EQ(::pread(runtime->arena().fd(), buffer, 7, offset), 7);
  EXPECT_STREQ(buffer, "shared");
}

// Whether this kernel makes a huge page of a memfd's small ones.
bool kernel_collapses() {
  constexpr size_t kHuge_bytes = 2 << 20;
  const int fd = ::memfd_create("probe", MFD_CLOEXEC);
  EXPECT_EQ(::ftruncate(fd, kHuge_bytes), 0);
  void* mapped =
      ::mmap(nullptr, 2 * kHuge_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  const auto aligned = (reinterpret_cast<uintptr_t>(mapped) + kHuge_bytes - 1) & -kHuge_bytes;
  auto* memory = static_cast<char*>(::mmap(reinterpret_cast<void*>(aligned), kHuge_bytes,
                                           PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0));
  *memory = 1;
  constexpr int kMadvCollapse = 25;
  const bool collapses = ::madvise(memory, kHuge_bytes, kMadvCollapse) == 0;
  ::munmap(mapped, 2 * kHuge_bytes);
  ::close(fd);
  return collapses;
}

TEST(Arena, grows_by_huge_pages_once_it_is_large_and_while_there_is_room) {
  constexpr size_t kSmall = 512, kHuge = 512;
  RuntimeOptions options;
  options.limit_bytes = (kSmall + kHuge + kHuge / 2) * kPageSize_bytes + (1 << 20);
  auto runtime = std::move(Runtime::create(options)).value();
  Arena& arena = runtime->arena();
  std::vector<PageRef> pages;
  auto add = [&](size_t count) {
    while (count-- != 0) {
      PageRef page = std::move(alloc_page(uninterruptible(), *runtime)).value();
      std::memcpy(page->data(), &count, sizeof(count));
      pages.push_back(std::move(page));
    }
  };
  add(kSmall);
  EXPECT_EQ(arena.frames_free(), 0u);
  add(1);
  EXPECT_EQ(arena.frames_free(), kernel_collapses() ? kHuge - 1 : 0);
  EXPECT_EQ(runtime->budget().used(MemClass::kArena),
            arena.frames_free() * kPageSize_bytes +
                arena.frames_touched() * (sizeof(Page) + sizeof(PageState32)));
  add(kHuge);
  EXPECT_EQ(arena.frames_free(), 0u);  // the next huge page would exceed the limit
  EXPECT_EQ(arena.frames_touched(), kSmall + kHuge + 1);
  for (size_t i = 0; i < pages.size(); ++i) {
    EXPECT_EQ(pages[i]->frame(), i);
    EXPECT_EQ(pages[i]->data(), arena.base() + i * kPageSize_bytes);
  }
}

TEST(Runtime, refuses_a_budget_that_cannot_work) {
  RuntimeOptions options;
  options.limit_bytes = 1000;
  EXPECT_EQ(Runtime::create(options).error(), Errno(EINVAL));
}

}  // namespace
}  // namespace myfs::mm
