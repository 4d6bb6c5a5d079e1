// The conformance suite of BlockStore, on every engine, and what a crash of the memory engine
// leaves.
#include "server/store/block_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "sdk/base/sync.h"
#include "server/store/faulty_store.h"
#include "tests/unit/store/engines.h"

namespace myfs::server {
namespace {

struct Engine {
  const char* name;
  std::function<std::unique_ptr<BlockEngine>()> make;
};

std::string read_text(BlockStore& store, BlockId id, uint64_t offset, size_t length) {
  std::vector<uint8_t> out(length, 0xaa);
  EXPECT_TRUE(store.pread(id, offset, out).ok());
  return std::string(out.begin(), out.end());
}

class BlockStores : public testing::TestWithParam<Engine> {
 protected:
  BlockStore& store() { return engine_->store(); }
  void write(BlockId id, uint64_t offset, std::string_view text) {
    ASSERT_TRUE(store().pwrite(id, offset, as_bytes(text)).ok());
  }
  void sync(std::vector<BlockId> ids) { ASSERT_TRUE(store().sync(ids).ok()); }
  std::unique_ptr<BlockEngine> engine_ = GetParam().make();
};

TEST_P(BlockStores, read_what_was_written_and_zeros_elsewhere) {
  ASSERT_TRUE(store().create(5).ok());
  write(5, 100, "hello");
  write(5, 102, "L");
  EXPECT_EQ(read_text(store(), 5, 98, 9), std::string("\0\0heLlo\0\0", 9));
  EXPECT_EQ(read_text(store(), 5, 1 << 20, 3), std::string(3, '\0'));
}

TEST_P(BlockStores, a_block_is_made_once) {
  ASSERT_TRUE(store().create(5).ok());
  EXPECT_EQ(store().create(5).error(), Errno(EEXIST));
  ASSERT_TRUE(store().remove(5).ok());
  EXPECT_TRUE(store().remove(5).ok());
  EXPECT_TRUE(store().create(5).ok());
}

TEST_P(BlockStores, a_block_that_is_not_there) {
  std::vector<uint8_t> out(3);
  EXPECT_EQ(store().pread(9, 0, out).error(), Errno(ENOENT));
  EXPECT_EQ(store().pwrite(9, 0, as_bytes("x")).error(), Errno(ENOENT));
  ASSERT_TRUE(store().create(9).ok());
  write(9, 0, "abc");
  ASSERT_TRUE(store().remove(9).ok());
  EXPECT_EQ(store().pread(9, 0, out).error(), Errno(ENOENT));
}

TEST_P(BlockStores, what_was_synced_is_there_after_a_reopen) {
  std::vector<BlockId> ids;
  for (BlockId id = 1; id <= 600; id += 50) {
    ASSERT_TRUE(store().create(id).ok());
    write(id, id, "data" + std::to_string(id));
    ids.push_back(id);
  }
  sync(ids);
  engine_->reopen();
  for (BlockId id : ids) {
    std::string text = "data" + std::to_string(id);
    EXPECT_EQ(read_text(store(), id, id, text.size()), text);
  }
  auto listed = store().list();
  ASSERT_TRUE(listed.ok());
  std::sort(listed->begin(), listed->end());
  EXPECT_EQ(*listed, ids);
}

TEST_P(BlockStores, nowait_gives_the_bytes_or_says_again) {
  ASSERT_TRUE(store().create(3).ok());
  write(3, 0, "warm");
  std::vector<uint8_t> out(4);
  auto result = store().pread_nowait(3, 0, out);
  if (result.ok()) {
    EXPECT_EQ(std::string(out.begin(), out.end()), "warm");
  } else {
    EXPECT_EQ(result.error(), Errno(EAGAIN));
  }
}

TEST_P(BlockStores, discard_leaves_the_rest_alone) {
  ASSERT_TRUE(store().create(3).ok());
  std::string block(65'536, 'x');
  for (int i = 0; i < 4; ++i) write(3, static_cast<uint64_t>(i) * 65'536, block);
  sync({3});
  store().discard(3, 65'536, 2 * 65'536);
  EXPECT_EQ(read_text(store(), 3, 0, 65'536), block);
  EXPECT_EQ(read_text(store(), 3, 3 * 65'536, 65'536), block);
  write(3, 65'536, "new");
  EXPECT_EQ(read_text(store(), 3, 65'536, 3), "new");
}

TEST_P(BlockStores, space_is_told) {
  BlockSpace space = store().space();
  EXPECT_GT(space.total_bytes, 0u);
  EXPECT_LE(space.free_bytes, space.total_bytes);
}

TEST_P(BlockStores, many_threads_at_once) {
  constexpr BlockId kBlocks = 40;
  std::atomic<int> failures{0};
  {
    std::vector<Thread> threads;
    for (BlockId t = 0; t < 4; ++t) {
      threads.emplace_back("writer", [&, t] {
        for (BlockId id = 1 + t; id <= kBlocks; id += 4) {
          std::string text(5'000, static_cast<char>('a' + id % 26));
          bool ok = store().create(id).ok() && store().pwrite(id, 0, as_bytes(text)).ok() &&
                    store().sync({&id, 1}).ok() && read_text(store(), id, 0, text.size()) == text;
          if (!ok) ++failures;
        }
      });
    }
  }
  EXPECT_EQ(failures, 0);
  engine_->reopen();
  for (BlockId id = 1; id <= kBlocks; ++id) {
    EXPECT_EQ(read_text(store(), id, 0, 1)[0], static_cast<char>('a' + id % 26));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Engines, BlockStores,
    testing::Values(Engine{"memory", [] { return std::make_unique<MemoryBlockEngine>(); }},
                    Engine{"files", [] { return std::make_unique<FileBlockEngine>(512); }},
                    // Every call meets the bounds of open and of unsynced files.
                    Engine{"few_files", [] { return std::make_unique<FileBlockEngine>(2); }}),
    [](const auto& info) { return info.param.name; });

TEST(MemoryBlockStore, a_crash_loses_or_tears_what_was_not_synced) {
  bool old = false, whole = false, torn = false, gone = false;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    MemoryBlockStore store;
    ASSERT_TRUE(store.create(1).ok() && store.create(2).ok());
    ASSERT_TRUE(store.pwrite(1, 0, as_bytes("oldoldold")).ok());
    BlockId ids[] = {1};
    ASSERT_TRUE(store.sync(ids).ok());
    ASSERT_TRUE(store.pwrite(1, 0, as_bytes("NEWNEWNEW")).ok());
    store.crash(seed);
    std::string text = read_text(store, 1, 0, 9);
    old |= text == "oldoldold";
    whole |= text == "NEWNEWNEW";
    torn |= text != "oldoldold" && text != "NEWNEWNEW";
    std::vector<uint8_t> out(1);
    gone |= store.pread(2, 0, out).error() == Errno(ENOENT);
  }
  EXPECT_TRUE(old && whole && torn && gone);
}

TEST(MemoryBlockStore, is_full_at_its_capacity) {
  MemoryBlockStore store(100);
  ASSERT_TRUE(store.create(1).ok());
  ASSERT_TRUE(store.pwrite(1, 0, as_bytes(std::string(100, 'x'))).ok());
  EXPECT_EQ(store.pwrite(1, 100, as_bytes("y")).error(), Errno(ENOSPC));
  EXPECT_TRUE(store.pwrite(1, 0, as_bytes("y")).ok());
  ASSERT_TRUE(store.remove(1).ok());
  EXPECT_EQ(store.space().free_bytes, 100u);
}

TEST(FaultyBlockStore, crash_point_with_and_without_effect) {
  for (bool executed : {false, true}) {
    MemoryBlockStore memory;
    FaultPlan plan;
    FaultyBlockStore store(memory, plan);
    ASSERT_TRUE(store.create(1).ok());
    plan.crash_at(1, executed);
    EXPECT_EQ(store.pwrite(1, 0, as_bytes("x")).error(), Errno(EIO));
    EXPECT_TRUE(plan.crashed());
    EXPECT_EQ(store.create(2).error(), Errno(EIO));
    EXPECT_EQ(read_text(memory, 1, 0, 1), executed ? "x" : std::string(1, '\0'));
    plan.heal();
    EXPECT_TRUE(store.create(2).ok());
  }
}

}  // namespace
}  // namespace myfs::server
