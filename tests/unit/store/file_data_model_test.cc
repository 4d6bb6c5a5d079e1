// Random operations on a few files, against strings, with reboots in between; on every engine.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

#include "tests/unit/store/file_data_rig.h"

namespace myfs::server {
namespace {

constexpr size_t kFileMax = 9 << 20;
constexpr uint64_t kFiles = 3;

struct Engine {
  const char* name;
  std::function<std::unique_ptr<MetaEngine>()> meta;
  std::function<std::unique_ptr<BlockEngine>()> blocks;
  int steps;
};

class RandomOperations : public testing::TestWithParam<Engine> {
 protected:
  void boot() {
    rig_.reset();
    meta_->reopen();
    blocks_->reopen();
    FileDataRig::Tuning tuning;
    tuning.deferred_memory_max_bytes = 50'000;
    tuning.cached_chunks_max = 3;
    tuning.random_order = true;
    ASSERT_NO_FATAL_FAILURE(expect_counted(meta_->store()));
    rig_ = std::make_unique<FileDataRig>(meta_->store(), blocks_->store(), tuning);
    ASSERT_TRUE(rig_->created());
    rig_->data().start_recovery();
  }

  static uint64_t random_offset() {
    uint64_t limit = random_below(3) == 0 ? kFileMax : random_below(2) == 0 ? 300'000 : 6'000;
    uint64_t offset = random_below(limit);
    return random_below(3) == 0 ? offset & ~uint64_t{0xffff} : offset;
  }
  static size_t random_size(uint64_t offset) {
    size_t limit = random_below(4) == 0 ? 1 << 20 : random_below(2) == 0 ? 140'000 : 5'000;
    return 1 + random_below(std::min<size_t>(limit, kFileMax - offset));
  }

  void write(uint64_t ino) {
    uint64_t offset = random_offset();
    std::string text = pattern(random_size(offset), static_cast<uint32_t>(random_below(1 << 30)));
    ASSERT_TRUE(rig_->write(ino, offset, text).ok());
    std::string& pending = pending_[ino];
    if (pending.size() < offset + text.size()) pending.resize(offset + text.size());
    pending.replace(offset, text.size(), text);
  }
  // Other commits in between bring none of it.
  void write_held(uint64_t ino) {
    auto held = std::make_shared<HeldWrites>();
    std::string after = pending_[ino];
    for (uint64_t left = 1 + random_below(4); left != 0; --left) {
      const uint64_t offset = random_offset();
      const std::string text =
          pattern(random_size(offset), static_cast<uint32_t>(random_below(1 << 30)));
      ASSERT_TRUE(rig_->write(ino, offset, text, held).ok());
      if (after.size() < offset + text.size()) after.resize(offset + text.size());
      after.replace(offset, text.size(), text);
      if (random_below(2) == 0) continue;
      ASSERT_TRUE(rig_->commit(ino).ok());
      committed_[ino] = pending_[ino];
      ASSERT_NO_FATAL_FAILURE(check(ino));
    }
    ASSERT_TRUE(rig_->commit(ino, held).ok());
    committed_[ino] = pending_[ino] = after;
  }
  void clone(uint64_t ino) {
    constexpr uint64_t kBlock = kBlockSize_bytes;
    const uint64_t source = 1 + random_below(kFiles);
    const std::string& from = pending_[source];
    std::string& to = pending_[ino];
    if (from.empty()) return;
    const uint64_t source_offset = random_below(from.size() / kBlock + 1) * kBlock;
    const uint64_t offset = random_below(kFileMax / 2 / kBlock) * kBlock;
    uint64_t length = std::min<uint64_t>(from.size() - source_offset, random_size(0) + kBlock);
    length = std::min(length, kFileMax - offset);
    if (source_offset + length < from.size() || offset + length < to.size()) {
      length -= length % kBlock;
    }
    const uint64_t apart = source_offset < offset ? offset - source_offset : source_offset - offset;
    if (length == 0 || (source == ino && apart < length + kBlock)) return;
    ASSERT_TRUE(rig_->clone(ino, offset, source, source_offset, length).ok());
    committed_[source] = from;
    const std::string text = from.substr(source_offset, length);
    if (to.size() < offset + length) to.resize(offset + length);
    to.replace(offset, length, text);
    committed_[ino] = to;
    ++clones_;
  }
  void change(uint64_t ino) {
    std::string& pending = pending_[ino];
    switch (random_below(4)) {
      case 0: {
        uint64_t size = random_offset();
        ASSERT_TRUE(rig_->truncate(ino, size).ok());
        pending.resize(size);
        break;
      }
      case 1: {
        uint64_t from = random_offset(), to = from + random_size(from);
        ASSERT_TRUE(rig_->punch(ino, from, to).ok());
        for (size_t i = from; i < std::min(to, pending.size()); ++i) pending[i] = '\0';
        break;
      }
      default:
        ASSERT_TRUE(rig_->commit(ino).ok());
    }
    committed_[ino] = pending;
  }
  void check(uint64_t ino) {
    const std::string& expected = committed_[ino];
    ASSERT_EQ(rig_->inode(ino).size, expected.size());
    uint64_t offset = random_below(expected.size() + 10);
    size_t length = 1 + random_below(400'000);
    auto part = rig_->read(ino, offset, length);
    ASSERT_TRUE(part.ok()) << part.error().name();
    ASSERT_TRUE(*part == (offset < expected.size() ? expected.substr(offset, length) : ""));
  }

  std::unique_ptr<MetaEngine> meta_ = GetParam().meta();
  std::unique_ptr<BlockEngine> blocks_ = GetParam().blocks();
  std::unique_ptr<FileDataRig> rig_;
  std::map<uint64_t, std::string> committed_, pending_;
  int clones_ = 0;
};

TEST_P(RandomOperations, match_strings) {
  ASSERT_NO_FATAL_FAILURE(boot());
  for (uint64_t ino = 1; ino <= kFiles; ++ino) {
    ASSERT_TRUE(rig_->make_inode(ino).ok());
    committed_[ino] = pending_[ino] = "";
  }
  for (int i = 0; i < GetParam().steps; ++i) {
    SCOPED_TRACE(i);
    uint64_t ino = 1 + random_below(kFiles);
    switch (random_below(10)) {
      case 9:
        ASSERT_NO_FATAL_FAILURE(write_held(ino));
        break;
      case 8:
        ASSERT_NO_FATAL_FAILURE(clone(ino));
        break;
      case 0:
      case 1:
      case 2:
        ASSERT_NO_FATAL_FAILURE(write(ino));
        break;
      case 3:
      case 4:
        ASSERT_NO_FATAL_FAILURE(change(ino));
        break;
      default:
        ASSERT_NO_FATAL_FAILURE(check(ino));
    }
    if (random_below(100) == 0) {
      ASSERT_NO_FATAL_FAILURE(boot());
      pending_ = committed_;
    }
  }
  EXPECT_GT(clones_, GetParam().steps / 40);
  for (uint64_t ino = 1; ino <= kFiles; ++ino) {
    ASSERT_TRUE(*rig_->read_all(ino) == committed_[ino]);
    ASSERT_TRUE(rig_->remove(ino).ok());
  }
  rig_->run();
  for (char type : {'C', 'B', 'W', 'G'}) {
    EXPECT_EQ(count_keys(meta_->store(), type), 0u) << type;
  }
  ASSERT_NO_FATAL_FAILURE(boot());
  rig_->run();
  EXPECT_EQ(blocks_->store().list()->size(), 0u);
}

INSTANTIATE_TEST_SUITE_P(
    Engines, RandomOperations,
    testing::Values(Engine{"memory", [] { return std::make_unique<MemoryMetaEngine>(); },
                           [] { return std::make_unique<MemoryBlockEngine>(); }, 1'500},
                    Engine{"rocks_and_files", [] { return std::make_unique<RocksMetaEngine>(); },
                           [] { return std::make_unique<FileBlockEngine>(8); }, 300}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace myfs::server
