#include "server/file_data.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "sdk/base/limits.h"
#include "server/chunk_map.h"
#include "server/store/faulty_store.h"
#include "tests/unit/store/file_data_rig.h"

namespace myfs::server {
namespace {

constexpr uint64_t kIno = 10;
constexpr size_t kKiB = 1024, kMiB = 1024 * 1024;

class FileDataTest : public testing::Test {
 protected:
  void SetUp() override {
    restart();
    ASSERT_TRUE(rig_->make_inode(kIno).ok());
  }
  void restart(FileDataRig::Tuning tuning = {}) {
    rig_.reset();
    rig_ = std::make_unique<FileDataRig>(faulty_meta_, faulty_blocks_, tuning);
    ASSERT_TRUE(rig_->created());
  }
  void crash() {
    rig_.reset();
    meta_.crash();
    blocks_.crash(0);
    restart();
    rig_->data().start_recovery();
    rig_->run();
  }
  void expect_content(const std::string& content) {
    ASSERT_EQ(rig_->inode(kIno).size, content.size());
    auto read = rig_->read_all(kIno);
    ASSERT_TRUE(read.ok()) << read.error().name();
    ASSERT_TRUE(*read == content);
  }
  ChunkRecord chunk_record(uint32_t index) {
    auto value = meta_.get(chunk_key(kIno, index));
    if (!value.ok() || !value->has_value()) return {};
    return ChunkRecord::decode(**value).value_or(ChunkRecord());
  }

  MemoryMetaStore meta_;
  MemoryBlockStore blocks_;
  FaultPlan meta_plan_, block_plan_;
  FaultyMetaStore faulty_meta_{meta_, meta_plan_};
  FaultyBlockStore faulty_blocks_{blocks_, block_plan_};
  std::unique_ptr<FileDataRig> rig_;
};

TEST_F(FileDataTest, small_files_live_in_the_inode) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, "hello").ok());
  ASSERT_TRUE(rig_->write_durably(kIno, 3, "p!").ok());
  EXPECT_EQ(rig_->inode(kIno).data, "help!");
  EXPECT_EQ(rig_->inode(kIno).blocks, 8u);
  EXPECT_EQ(count_keys(meta_, 'C'), 0u);
  expect_content("help!");
  ASSERT_TRUE(rig_->write_durably(kIno, 10, "x").ok());
  crash();
  expect_content(std::string("help!\0\0\0\0\0x", 11));
}

TEST_F(FileDataTest, a_small_write_to_a_big_file_is_deferred_and_one_flush) {
  const std::string big = pattern(300 * kKiB, 1);
  ASSERT_TRUE(rig_->write_durably(kIno, 0, big).ok());
  const uint64_t calls = block_plan_.calls();
  ASSERT_TRUE(rig_->write_durably(kIno, 70'000, "deferred").ok());
  EXPECT_EQ(block_plan_.calls(), calls);
  EXPECT_EQ(count_keys(meta_, 'W'), 1u);
  std::string expected = big;
  expected.replace(70'000, 8, "deferred");
  expect_content(expected);
  crash();
  expect_content(expected);
}

TEST_F(FileDataTest, inline_content_moves_to_a_chunk_when_the_file_grows) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(4'000, 1)).ok());
  ASSERT_TRUE(rig_->write_durably(kIno, 4'000, pattern(200 * kKiB, 2)).ok());
  EXPECT_TRUE(rig_->inode(kIno).data.empty());
  EXPECT_EQ(count_keys(meta_, 'B'), 1u);
  crash();
  expect_content(pattern(4'000, 1) + pattern(200 * kKiB, 2));
}

TEST_F(FileDataTest, an_overwrite_goes_to_other_slots) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(4 * kMiB, 1)).ok());
  ChunkRecord before = chunk_record(0);
  ASSERT_EQ(before.entries.size(), 64u);
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(4 * kMiB, 2)).ok());
  ChunkRecord after = chunk_record(0);
  EXPECT_EQ(after.block, before.block);
  for (const BlockEntry& entry : after.entries) EXPECT_GE(entry.slot, 64);
  // And back: what nobody holds is used again.
  rig_->run();
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(4 * kMiB, 3)).ok());
  for (const BlockEntry& entry : chunk_record(0).entries) EXPECT_LT(entry.slot, 64);
  expect_content(pattern(4 * kMiB, 3));
}

TEST_F(FileDataTest, writes_are_invisible_until_committed) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, "old old old").ok());
  ASSERT_TRUE(rig_->write(kIno, 0, "new").ok());
  ASSERT_TRUE(rig_->write(kIno, 0, pattern(100 * kKiB, 1)).ok());
  EXPECT_TRUE(rig_->data().has_pending(kIno));
  expect_content("old old old");
  ASSERT_TRUE(rig_->commit(kIno).ok());
  EXPECT_FALSE(rig_->data().has_pending(kIno));
  expect_content(pattern(100 * kKiB, 1));
}

TEST_F(FileDataTest, uncommitted_writes_are_gone_after_a_crash_and_committed_ones_are_not) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(1 * kMiB, 1)).ok());
  ASSERT_TRUE(rig_->write(kIno, 0, pattern(1 * kMiB, 2)).ok());
  ASSERT_TRUE(rig_->write(kIno, 2 * kMiB, "tail").ok());
  crash();
  expect_content(pattern(1 * kMiB, 1));
}

TEST_F(FileDataTest, pages_written_one_by_one_become_whole_blocks) {
  const std::string text = pattern(256 * kKiB, 3);
  for (size_t at = 0; at < text.size(); at += 4 * kKiB) {
    ASSERT_TRUE(rig_->write(kIno, at, std::string_view(text).substr(at, 4 * kKiB)).ok());
  }
  ASSERT_TRUE(rig_->commit(kIno).ok());
  EXPECT_EQ(count_keys(meta_, 'W'), 0u);
  EXPECT_EQ(chunk_record(0).entries.size(), 4u);
  expect_content(text);
}

TEST_F(FileDataTest, holes_read_as_zeros_and_take_no_space) {
  ASSERT_TRUE(rig_->write_durably(kIno, 100 * kMiB, "end").ok());
  EXPECT_EQ(rig_->inode(kIno).size, 100 * kMiB + 3);
  EXPECT_EQ(rig_->inode(kIno).blocks, 8u);
  auto middle = rig_->read(kIno, 50 * kMiB, 100);
  ASSERT_TRUE(middle.ok());
  EXPECT_EQ(*middle, std::string(100, '\0'));
  auto extents = rig_->extents(kIno, 0, UINT64_MAX, 2);
  ASSERT_EQ(extents->size(), 1u);
  EXPECT_EQ((*extents)[0].offset, 100 * kMiB);
  EXPECT_EQ((*extents)[0].length, 3u);
  EXPECT_EQ(rig_->extents(kIno, 100 * kMiB + 3, UINT64_MAX, 1)->size(), 0u);
}

TEST_F(FileDataTest, extents_are_merged_clipped_and_counted) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(8 * kMiB, 1)).ok());
  ASSERT_TRUE(rig_->punch(kIno, 1 * kMiB, 2 * kMiB).ok());
  auto all = rig_->extents(kIno, 0, UINT64_MAX, 100);
  ASSERT_TRUE(all.ok());
  ASSERT_EQ(all->size(), 2u);
  EXPECT_EQ((*all)[0].length, 1 * kMiB);
  EXPECT_EQ((*all)[1].offset, 2 * kMiB);
  EXPECT_EQ((*all)[1].length, 6 * kMiB);
  auto some = rig_->extents(kIno, 512 * kKiB, 2 * kMiB, 1);
  ASSERT_EQ(some->size(), 1u);
  EXPECT_EQ((*some)[0].offset, 512 * kKiB);
  EXPECT_EQ((*some)[0].length, 512 * kKiB);
  EXPECT_EQ(rig_->inode(kIno).blocks, 7 * kMiB / 512);
}

TEST_F(FileDataTest, a_shrink_and_a_growth_show_zeros) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(300 * kKiB, 1)).ok());
  ASSERT_TRUE(rig_->truncate(kIno, 100'000).ok());
  ASSERT_TRUE(rig_->truncate(kIno, 200'000).ok());
  std::string expected = pattern(300 * kKiB, 1).substr(0, 100'000) + std::string(100'000, '\0');
  expect_content(expected);
  crash();
  expect_content(expected);
  ASSERT_TRUE(rig_->write_durably(kIno, 150'000, "x").ok());
  expected[150'000] = 'x';
  expect_content(expected);
}

TEST_F(FileDataTest, truncate_to_nothing_removes_the_chunks) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(10 * kMiB, 1)).ok());
  EXPECT_EQ(blocks_.list()->size(), 3u);
  ASSERT_TRUE(rig_->truncate(kIno, 0).ok());
  rig_->run();
  EXPECT_EQ(blocks_.list()->size(), 0u);
  for (char type : {'C', 'B', 'W', 'G'}) EXPECT_EQ(count_keys(meta_, type), 0u) << type;
  EXPECT_EQ(rig_->inode(kIno).blocks, 0u);
  ASSERT_TRUE(rig_->write_durably(kIno, 0, "inline again").ok());
  EXPECT_EQ(rig_->inode(kIno).data, "inline again");
}

TEST_F(FileDataTest, truncate_orders_with_pending_writes) {
  ASSERT_TRUE(rig_->write(kIno, 0, pattern(1 * kMiB, 1)).ok());
  ASSERT_TRUE(rig_->truncate(kIno, 1'000).ok());
  expect_content(pattern(1 * kMiB, 1).substr(0, 1'000));
  ASSERT_TRUE(rig_->write(kIno, 2'000, "later").ok());
  ASSERT_TRUE(rig_->commit(kIno).ok());
  expect_content(pattern(1 * kMiB, 1).substr(0, 1'000) + std::string(1'000, '\0') + "later");
}

TEST_F(FileDataTest, removal_takes_everything_in_the_background) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(9 * kMiB, 1)).ok());
  ASSERT_TRUE(rig_->write_durably(kIno, 5, "deferred").ok());
  ASSERT_TRUE(rig_->remove(kIno).ok());
  EXPECT_EQ(count_keys(meta_, 'G'), 1u);
  rig_->run();
  EXPECT_EQ(blocks_.list()->size(), 0u);
  for (char type : {'C', 'B', 'W', 'G', 'I'}) EXPECT_EQ(count_keys(meta_, type), 0u) << type;
}

TEST_F(FileDataTest, removal_takes_what_was_in_no_commit) {
  ASSERT_TRUE(rig_->write(kIno, 0, pattern(1 * kMiB, 1)).ok());
  EXPECT_NE(blocks_.list()->size(), 0u);
  ASSERT_TRUE(rig_->remove(kIno).ok());
  rig_->run();
  EXPECT_EQ(blocks_.list()->size(), 0u);
}

TEST_F(FileDataTest, a_removal_cut_short_is_ended_by_the_next_boot) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(9 * kMiB, 1)).ok());
  ASSERT_TRUE(rig_->remove(kIno).ok());
  crash();
  EXPECT_EQ(blocks_.list()->size(), 0u);
  for (char type : {'C', 'B', 'W', 'G'}) EXPECT_EQ(count_keys(meta_, type), 0u) << type;
}

// The next boot reads it again from its first chunk on.
TEST_F(FileDataTest, nothing_goes_of_a_removed_file_that_cannot_be_read_whole) {
  constexpr uint64_t kOther = kIno + 1;
  ASSERT_TRUE(rig_->make_inode(kOther).ok());
  for (uint64_t ino : {kIno, kOther}) {
    ASSERT_TRUE(rig_->write_durably(ino, 0, pattern(9 * kMiB, 1)).ok());
  }
  const std::string damaged = block_key(chunk_record(2).block);
  for (uint64_t ino : {kIno, kOther}) ASSERT_TRUE(rig_->remove(ino).ok());
  rig_.reset();
  const std::string right = meta_.get(damaged)->value();
  Txn txn;
  txn.put(damaged, "");
  ASSERT_TRUE(commit_one(meta_, txn).ok());
  crash();
  EXPECT_EQ(count_keys(meta_, 'C'), 3u);
  EXPECT_EQ(count_keys(meta_, 'B'), 3u);
  EXPECT_EQ(count_keys(meta_, 'G'), 1u);
  Txn mended;
  mended.put(damaged, right);
  ASSERT_TRUE(commit_one(meta_, mended).ok());
  crash();
  EXPECT_EQ(blocks_.list()->size(), 0u);
  for (char type : {'C', 'B', 'G'}) EXPECT_EQ(count_keys(meta_, type), 0u) << type;
}

TEST_F(FileDataTest, a_block_that_cannot_be_removed_keeps_its_own_file_only) {
  constexpr uint64_t kFiles = 5;
  for (uint64_t i = 1; i < kFiles; ++i) ASSERT_TRUE(rig_->make_inode(kIno + i).ok());
  for (uint64_t i = 0; i < kFiles; ++i) {
    ASSERT_TRUE(rig_->write_durably(kIno + i, 0, pattern(1 * kMiB, 1)).ok());
  }
  for (uint64_t i = 0; i < kFiles; ++i) ASSERT_TRUE(rig_->remove(kIno + i).ok());
  block_plan_.fail_at(2, Errno(EIO));
  rig_->run();
  EXPECT_TRUE(block_plan_.fired());
  EXPECT_EQ(blocks_.list()->size(), 1u);
  for (char type : {'C', 'B', 'G'}) EXPECT_EQ(count_keys(meta_, type), 1u) << type;
  crash();
  EXPECT_EQ(blocks_.list()->size(), 0u);
  for (char type : {'C', 'B', 'G'}) EXPECT_EQ(count_keys(meta_, type), 0u) << type;
}

// The loop is free between them, however much is removed at once and whoever shares it.
TEST_F(FileDataTest, removals_of_shared_blocks_come_in_small_transactions) {
  constexpr uint64_t kChunks = 250, kCopies = 10, kChunk_bytes = 4 * kMiB;
  constexpr size_t kMutationsMax = 1500;
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(64 * kKiB, 1)).ok());
  for (uint64_t i = 1; i < kChunks; ++i) {
    ASSERT_TRUE(rig_->clone(kIno, i * kChunk_bytes, kIno, 0, 64 * kKiB).ok());
  }
  for (uint64_t i = 1; i < kCopies; ++i) {
    ASSERT_TRUE(rig_->make_inode(kIno + i).ok());
    ASSERT_TRUE(rig_->clone(kIno + i, 0, kIno, 0, rig_->inode(kIno).size).ok());
  }
  ASSERT_EQ(count_keys(meta_, 'C'), kChunks * kCopies);
  rig_->run();
  for (uint64_t i = 1; i < kCopies; ++i) ASSERT_TRUE(rig_->remove(kIno + i).ok());
  rig_->run();
  EXPECT_LE(rig_->largest_background, kMutationsMax);
  EXPECT_EQ(count_keys(meta_, 'C'), kChunks);
  EXPECT_EQ(count_keys(meta_, 'G'), 0u);
  expect_counted(meta_);
  ASSERT_TRUE(rig_->remove(kIno).ok());
  rig_->run();
  EXPECT_EQ(blocks_.list()->size(), 0u);
  for (char type : {'C', 'B', 'G'}) EXPECT_EQ(count_keys(meta_, type), 0u) << type;
}

TEST_F(FileDataTest, a_boot_removes_blocks_that_nothing_names) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(1 * kMiB, 1)).ok());
  ASSERT_TRUE(rig_->write(kIno, 4 * kMiB, pattern(1 * kMiB, 2)).ok());
  rig_.reset();
  blocks_.crash(UINT64_MAX);
  EXPECT_EQ(blocks_.list()->size(), 2u);
  restart();
  rig_->data().start_recovery();
  rig_->run();
  EXPECT_EQ(blocks_.list()->size(), 1u);
  expect_content(pattern(1 * kMiB, 1));
}

TEST_F(FileDataTest, deferred_writes_are_applied_when_they_are_too_many) {
  FileDataRig::Tuning tuning;
  tuning.deferred_memory_max_bytes = 20 * kKiB;
  restart(tuning);
  std::string expected = pattern(1 * kMiB, 1);
  ASSERT_TRUE(rig_->write_durably(kIno, 0, expected).ok());
  for (size_t i = 0; i < 16; ++i) {
    const std::string text = pattern(4 * kKiB, static_cast<uint32_t>(i + 10));
    expected.replace(i * 64 * kKiB + 100, text.size(), text);
    ASSERT_TRUE(rig_->write_durably(kIno, i * 64 * kKiB + 100, text).ok());
  }
  rig_->run();
  EXPECT_LE(count_keys(meta_, 'W'), 5u);
  expect_content(expected);
  crash();
  expect_content(expected);
}

TEST_F(FileDataTest, a_write_of_a_whole_block_hides_a_deferred_one) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(64 * kKiB, 1)).ok());
  ASSERT_TRUE(rig_->write_durably(kIno, 10, "deferred").ok());
  EXPECT_EQ(count_keys(meta_, 'W'), 1u);
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(64 * kKiB, 2)).ok());
  EXPECT_EQ(count_keys(meta_, 'W'), 0u);
  expect_content(pattern(64 * kKiB, 2));
}

TEST_F(FileDataTest, a_rotten_block_is_EIO_and_the_rest_is_readable) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(256 * kKiB, 1)).ok());
  ChunkRecord chunk = chunk_record(0);
  blocks_.damage(chunk.block, chunk.entries[1].slot * 64 * kKiB + 77);
  EXPECT_EQ(rig_->read(kIno, 0, 256 * kKiB).error(), Errno(EIO));
  EXPECT_EQ(rig_->read(kIno, 64 * kKiB, 1).error(), Errno(EIO));
  EXPECT_TRUE(rig_->read(kIno, 0, 64 * kKiB).ok());
  EXPECT_TRUE(rig_->read(kIno, 128 * kKiB, 128 * kKiB).ok());
}

TEST_F(FileDataTest, a_damaged_record_is_EUCLEAN) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(256 * kKiB, 1)).ok());
  Txn txn;
  txn.put(chunk_key(kIno, 0), "rubbish");
  ASSERT_TRUE(commit_one(meta_, txn).ok());
  restart();
  EXPECT_EQ(rig_->read(kIno, 0, 10).error(), Errno(EUCLEAN));
  EXPECT_EQ(rig_->write(kIno, 0, "x"), Errno(EUCLEAN));
}

TEST_F(FileDataTest, errors_of_arguments) {
  EXPECT_EQ(rig_->write(kIno, kFileSizeMax_bytes, "x"), Errno(EFBIG));
  EXPECT_EQ(rig_->write(kIno, UINT64_MAX, "x"), Errno(EFBIG));
  EXPECT_EQ(rig_->truncate(kIno, kFileSizeMax_bytes + 1), Errno(EFBIG));
  EXPECT_TRUE(rig_->truncate(kIno, kFileSizeMax_bytes).ok());
  EXPECT_TRUE(rig_->write_durably(kIno, kFileSizeMax_bytes - 1, "x").ok());
  EXPECT_EQ(*rig_->read(kIno, kFileSizeMax_bytes - 1, 10), "x");
  EXPECT_EQ(*rig_->read(kIno, UINT64_MAX, 10), "");
  EXPECT_EQ(rig_->write(99, 0, "x"), Errno(ESTALE));
  EXPECT_EQ(rig_->read(99, 0, 1).error(), Errno(ESTALE));
  EXPECT_EQ(rig_->extents(99, 0, 1, 1).error(), Errno(ESTALE));
}

TEST_F(FileDataTest, a_full_disk_fails_the_write_and_nothing_else) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(1 * kMiB, 1)).ok());
  ASSERT_TRUE(rig_->write(kIno, 0, "pending").ok());
  block_plan_.fail_at(1, Errno(ENOSPC));
  EXPECT_EQ(rig_->write(kIno, 0, pattern(1 * kMiB, 2)), Errno(ENOSPC));
  EXPECT_EQ(rig_->data().verifier_count(), 0u);
  ASSERT_TRUE(rig_->commit(kIno).ok());
  expect_content("pending" + pattern(1 * kMiB, 1).substr(7));
}

class AskedBlockStore final : public MemoryBlockStore {
 public:
  BlockSpace space() const override {
    ++asked;
    return {.total_bytes = uint64_t{1} << 40, .free_bytes = free_bytes};
  }
  uint64_t free_bytes = uint64_t{1} << 30;
  mutable int asked = 0;
};

TEST(FileDataSpace, the_disk_is_asked_for_its_space_after_failures_but_not_by_each_write) {
  MemoryMetaStore meta;
  AskedBlockStore disk;
  FaultPlan plan;
  FaultyBlockStore blocks(disk, plan);
  FileDataRig rig(meta, blocks);
  ASSERT_TRUE(rig.make_inode(kIno).ok());
  for (uint64_t i = 0; i < 20; ++i) {
    ASSERT_TRUE(rig.write_durably(kIno, i * kMiB, pattern(1 * kMiB, 1)).ok());
  }
  EXPECT_EQ(disk.asked, 1);
  EXPECT_EQ(rig.data().recent_space().free_bytes, disk.free_bytes - 20 * kMiB);
  disk.free_bytes = 2 * kMiB;
  plan.fail_at(1, Errno(ENOSPC));
  EXPECT_EQ(rig.write(kIno, 0, pattern(1 * kMiB, 2)), Errno(ENOSPC));
  EXPECT_EQ(rig.write(kIno, 0, pattern(3 * kMiB, 2)), Errno(ENOSPC)) << "it does not fit";
  EXPECT_EQ(rig.write(kIno, 0, pattern(1 * kMiB, 2)), Errno());
  disk.free_bytes = uint64_t{1} << 30;
  EXPECT_EQ(rig.write(kIno, 0, pattern(3 * kMiB, 2)), Errno()) << "there is room again";
}

TEST_F(FileDataTest, a_failed_sync_fails_every_write_since_the_last_good_one) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(1 * kMiB, 1)).ok());
  ASSERT_TRUE(rig_->write(kIno, 0, pattern(1 * kMiB, 2)).ok());
  std::vector<Errno> results;
  auto store = [&](Result<DataChange> change) {
    results.push_back(rig_->store(std::move(change)));
  };
  block_plan_.fail_at(1, Errno(EIO));
  rig_->data().commit(kIno, store);
  rig_->data().write(kIno, 2 * kMiB, as_bytes("small"), [](Result<WriteReply>) {});
  rig_->data().commit(kIno, store);
  rig_->run();
  EXPECT_EQ(results, (std::vector<Errno>{Errno(EIO), Errno(EIO)}));
  EXPECT_EQ(rig_->data().verifier_count(), 1u);
  EXPECT_FALSE(rig_->data().has_pending(kIno));
  expect_content(pattern(1 * kMiB, 1));
  // It is not tried again: the next commit has nothing to do with it.
  const uint64_t calls = block_plan_.calls();
  EXPECT_TRUE(rig_->commit(kIno).ok());
  EXPECT_EQ(block_plan_.calls(), calls);
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(1 * kMiB, 3)).ok());
  crash();
  expect_content(pattern(1 * kMiB, 3));
}

TEST_F(FileDataTest, a_write_under_way_while_a_sync_fails_fails_too) {
  ASSERT_TRUE(rig_->write(kIno, 0, pattern(1 * kMiB, 1)).ok());
  block_plan_.fail_at(2, Errno(EIO));  // the write, then the sync
  Errno commit_error, write_error;
  const std::string text = pattern(64 * kKiB, 2);
  rig_->data().write(kIno, 2 * kMiB, as_bytes(text),
                     [&](Result<WriteReply> reply) { write_error = reply.error(); });
  rig_->data().commit(kIno, [&](Result<DataChange> change) { commit_error = change.error(); });
  ASSERT_EQ(rig_->pool().waiting(), 2u);
  // The commit's job ends first.
  block_plan_.fail_at(1, Errno(EIO));
  rig_->pool().step(1);
  rig_->run();
  EXPECT_EQ(commit_error, Errno(EIO));
  EXPECT_EQ(write_error, Errno(EIO));
}

TEST_F(FileDataTest, a_failed_transaction_leaves_the_old_content) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(1 * kMiB, 1)).ok());
  ASSERT_TRUE(rig_->write(kIno, 0, pattern(2 * kMiB, 2)).ok());
  meta_plan_.fail_at(1, Errno(ENOSPC));
  EXPECT_EQ(rig_->commit(kIno), Errno(ENOSPC));
  EXPECT_EQ(rig_->data().verifier_count(), 1u);
  expect_content(pattern(1 * kMiB, 1));
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(2 * kMiB, 3)).ok());
  expect_content(pattern(2 * kMiB, 3));
  crash();
  expect_content(pattern(2 * kMiB, 3));
}

TEST_F(FileDataTest, a_change_that_is_dropped_counts_as_failed) {
  ASSERT_TRUE(rig_->write(kIno, 0, "lost").ok());
  rig_->data().commit(kIno, [](Result<DataChange> change) { EXPECT_TRUE(change.ok()); });
  rig_->run();
  EXPECT_EQ(rig_->data().verifier_count(), 1u);
  EXPECT_FALSE(rig_->data().has_pending(kIno));
}

TEST_F(FileDataTest, commits_run_one_after_the_other_and_cover_what_came_before) {
  std::vector<DataChange> changes;
  auto keep = [&](Result<DataChange> change) {
    ASSERT_TRUE(change.ok());
    changes.push_back(std::move(change).value());
  };
  ASSERT_TRUE(rig_->write(kIno, 0, "one").ok());
  rig_->data().commit(kIno, keep);
  ASSERT_TRUE(rig_->write(kIno, 3, "two").ok());
  rig_->data().commit(kIno, keep);
  rig_->data().commit(kIno, keep);
  rig_->run();
  ASSERT_EQ(changes.size(), 1u);  // the second waits for the first to settle
  EXPECT_EQ(changes[0].size(), 3u);
  ASSERT_TRUE(rig_->store(std::move(changes[0])).ok());
  rig_->run();
  ASSERT_EQ(changes.size(), 2u);
  EXPECT_EQ(changes[1].size(), 6u);
  ASSERT_TRUE(rig_->store(std::move(changes[1])).ok());
  rig_->run();
  ASSERT_EQ(changes.size(), 3u);
  EXPECT_TRUE(changes[2].empty());
  expect_content("onetwo");
}

TEST_F(FileDataTest, held_writes_go_with_their_own_commit_and_no_other) {
  for (size_t size : {4 * kKiB, 200 * kKiB}) {
    const std::string old = pattern(size, 1), mine = pattern(size, 2), more = pattern(100, 3);
    ASSERT_TRUE(rig_->write_durably(kIno, 0, old).ok());
    auto held = std::make_shared<HeldWrites>();
    ASSERT_TRUE(rig_->write(kIno, 0, mine, held).ok());
    ASSERT_TRUE(rig_->write(kIno, 50, more, held).ok()) << "over what it has written before";
    ASSERT_TRUE(rig_->write(kIno, 1 * kMiB, "end").ok());
    ASSERT_TRUE(rig_->commit(kIno).ok());
    std::string content = old;
    content.resize(1 * kMiB);
    expect_content(content + "end");
    EXPECT_EQ(rig_->data().pending_end(kIno), size);
    ASSERT_TRUE(rig_->commit(kIno, held).ok());
    content.replace(0, size, mine).replace(50, more.size(), more);
    expect_content(content + "end");
    EXPECT_FALSE(rig_->data().has_pending(kIno));
    crash();
    expect_content(content + "end");
    ASSERT_TRUE(rig_->truncate(kIno, 0).ok());
  }
}

// Neither waits for the other for good: an edit comes after all of what was held before it.
TEST_F(FileDataTest, edits_and_overlapping_writes_wait_for_the_commit_of_what_is_held) {
  auto held = std::make_shared<HeldWrites>();
  ASSERT_TRUE(rig_->write(kIno, 0, "held", held).ok());
  std::optional<Errno> cut, over;  // answered
  rig_->data().write(kIno, 0, as_bytes("over"), [&](Result<WriteReply> r) { over = r.error(); });
  rig_->run();
  EXPECT_FALSE(over.has_value());
  rig_->data().truncate(kIno, 2, [&](Result<DataChange> r) { cut = rig_->store(std::move(r)); });
  rig_->run();
  EXPECT_FALSE(cut.has_value());
  ASSERT_TRUE(rig_->write(kIno, 4, " and more", held).ok());
  std::optional<DataChange> change;
  rig_->data().commit(
      kIno, [&](Result<DataChange> r) { change.emplace(std::move(r).value()); }, held);
  rig_->run();
  ASSERT_TRUE(change.has_value());
  EXPECT_EQ(change->size(), 13u);
  EXPECT_EQ(over, Errno());
  ASSERT_TRUE(rig_->store(std::move(*change)).ok());
  rig_->run();
  EXPECT_EQ(cut, Errno());
  expect_content("ov");
}

TEST_F(FileDataTest, what_is_held_is_lost_with_the_rest_and_its_commit_says_so) {
  auto held = std::make_shared<HeldWrites>();
  ASSERT_TRUE(rig_->write(kIno, 0, "first", held).ok());
  ASSERT_TRUE(rig_->write(kIno, 1 * kMiB, pattern(1 * kMiB, 1)).ok());
  block_plan_.fail_at(1, Errno(EIO));
  EXPECT_EQ(rig_->commit(kIno), Errno(EIO));
  EXPECT_FALSE(rig_->data().has_pending(kIno));
  EXPECT_EQ(rig_->commit(kIno, held), Errno(EIO));
  auto next = std::make_shared<HeldWrites>();
  ASSERT_TRUE(rig_->write(kIno, 0, "next", next).ok());
  EXPECT_TRUE(rig_->commit(kIno, next).ok());
  expect_content("next");
}

TEST_F(FileDataTest, writes_of_one_block_keep_their_order) {
  const std::string first = pattern(64 * kKiB, 1), second = pattern(64 * kKiB, 2);
  std::vector<int> order;
  rig_->data().write(kIno, 0, as_bytes(first), [&](Result<WriteReply>) { order.push_back(1); });
  rig_->data().write(kIno, 0, as_bytes(second), [&](Result<WriteReply>) { order.push_back(2); });
  EXPECT_EQ(rig_->pool().waiting(), 1u);
  rig_->run();
  EXPECT_EQ(order, (std::vector<int>{1, 2}));
  ASSERT_TRUE(rig_->commit(kIno).ok());
  expect_content(second);
}

TEST_F(FileDataTest, a_reader_keeps_its_slot_from_being_written) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(256 * kKiB, 1)).ok());
  std::string seen;
  rig_->data().read(kIno, 0, 256 * kKiB, [&](Result<DataBuffer> buffer) {
    ASSERT_TRUE(buffer.ok());
    seen.assign(buffer->span().begin(), buffer->span().end());
  });
  ASSERT_EQ(rig_->pool().waiting(), 1u);
  // Two overwrites and their commits while the reader's job waits.
  for (uint32_t round = 2; round <= 3; ++round) {
    const std::string text = pattern(256 * kKiB, round);
    Errno error(EAGAIN);
    rig_->data().write(kIno, 0, as_bytes(text),
                       [&](Result<WriteReply> reply) { error = reply.error(); });
    ASSERT_TRUE(rig_->pool().step(1));
    ASSERT_TRUE(error.ok());
    rig_->data().commit(kIno,
                        [&](Result<DataChange> change) { error = rig_->store(std::move(change)); });
    error = Errno(EAGAIN);
    ASSERT_TRUE(rig_->pool().step(1));
    ASSERT_TRUE(error.ok());
  }
  rig_->run();
  EXPECT_TRUE(seen == pattern(256 * kKiB, 1));
  expect_content(pattern(256 * kKiB, 3));
}

TEST(BlockFile, a_slot_with_very_many_readers_is_not_free) {
  BlockFile file(1, BlockFile::Presence::kPresent);
  const std::vector<uint16_t> mine = file.take(1);
  ASSERT_EQ(mine.size(), 1u);
  for (int i = 0; i < 65'535; ++i) ASSERT_TRUE(file.hold(mine[0]).ok());
  EXPECT_NE(file.take(1), mine);
  for (uint32_t i = 65'536; i < kSlotHoldersMax; ++i) (void)file.hold(mine[0]);
  EXPECT_EQ(file.hold(mine[0]).error(), Errno(ENFILE));
  for (uint32_t i = 0; i < kSlotHoldersMax; ++i) file.release(mine[0]);
  EXPECT_EQ(file.take(1), mine);
}

TEST_F(FileDataTest, a_block_that_is_read_is_not_removed) {
  ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(256 * kKiB, 1)).ok());
  bool read_ok = false;
  rig_->data().read(kIno, 0, 256 * kKiB, [&](Result<DataBuffer> buffer) { read_ok = buffer.ok(); });
  Errno error(EAGAIN);
  rig_->data().truncate(kIno, 0,
                        [&](Result<DataChange> change) { error = rig_->store(std::move(change)); });
  // Everything but the reader's job. A posted function goes first.
  for (int i = 0; i < 10 && error == Errno(EAGAIN); ++i) {
    rig_->post([] {});
    ASSERT_TRUE(rig_->step());
  }
  ASSERT_EQ(rig_->pool().waiting(), 1u);
  EXPECT_TRUE(error.ok());
  EXPECT_EQ(blocks_.list()->size(), 1u);
  rig_->run();
  EXPECT_TRUE(read_ok);
  EXPECT_EQ(blocks_.list()->size(), 0u);
}

TEST_F(FileDataTest, much_in_memory_asks_for_a_commit) {
  FileDataRig::Tuning tuning;
  tuning.pending_memory_max_bytes = 10 * kKiB;
  restart(tuning);
  ASSERT_TRUE(rig_->write(kIno, 0, pattern(4 * kKiB, 1)).ok());
  EXPECT_FALSE(rig_->commit_wanted());
  ASSERT_TRUE(rig_->write(kIno, 100 * kKiB, pattern(8 * kKiB, 1)).ok());
  EXPECT_TRUE(rig_->commit_wanted());
  ASSERT_TRUE(rig_->commit(kIno).ok());
  ASSERT_TRUE(rig_->write(kIno, 0, "x").ok());
  EXPECT_FALSE(rig_->commit_wanted());
}

TEST_F(FileDataTest, overwritten_slots_give_their_space_back) {
  for (uint32_t round = 0; round < 6; ++round) {
    ASSERT_TRUE(rig_->write_durably(kIno, 0, pattern(4 * kMiB, round)).ok());
    rig_->run();
    expect_content(pattern(4 * kMiB, round));
  }
  for (const BlockEntry& entry : chunk_record(0).entries) EXPECT_LT(entry.slot, 128);
}

TEST(DataBuffer, begins_a_cache_line_and_ends_in_zeros) {
  for (size_t size : {size_t{1}, size_t{13}, size_t{4'097}, size_t{65'536}, size_t{1'048'577}}) {
    // Some at a time, or the allocator might give each of them what happens to be aligned.
    std::vector<DataBuffer> buffers(8);
    for (DataBuffer& buffer : buffers) {
      buffer = DataBuffer(size);
      ASSERT_EQ(buffer.size(), size);
      EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
      std::fill(buffer.span().begin(), buffer.span().end(), uint8_t{0xff});
      for (size_t i = size; i % 8 != 0; ++i) EXPECT_EQ(buffer.data()[i], 0) << size;
    }
  }
  EXPECT_EQ(DataBuffer().data(), nullptr);
  EXPECT_EQ(DataBuffer(0).size(), 0u);
}

}  // namespace
}  // namespace myfs::server
