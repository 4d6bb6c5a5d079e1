// The machine stops at every write, sync and commit of a change; afterwards the file is as before
// or as after, and no block is anybody else's.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "server/store/faulty_store.h"
#include "tests/unit/store/file_data_rig.h"

namespace myfs::server {
namespace {

constexpr uint64_t kIno = 10, kNeighbour = 11, kCopy = 12;
constexpr size_t kKiB = 1024, kMiB = 1024 * 1024;

struct Case {
  const char* name;
  std::function<Errno(FileDataRig&)> before;
  std::function<Errno(FileDataRig&)> change;
  size_t deferred_max = 16 << 20;
};

class CrashEverywhere : public testing::TestWithParam<Case> {
 protected:
  struct World {
    MemoryMetaStore meta;
    MemoryBlockStore blocks;
    FaultPlan plan;
    FaultyMetaStore faulty_meta{meta, plan};
    FaultyBlockStore faulty_blocks{blocks, plan};
    FileDataRig::Tuning tuning;
    std::unique_ptr<FileDataRig> rig;

    void boot() {
      rig = std::make_unique<FileDataRig>(faulty_meta, faulty_blocks, tuning);
      ASSERT_TRUE(rig->created());
      rig->data().start_recovery();
      rig->run();
    }
  };

  void prepare(World& world) {
    world.tuning.deferred_memory_max_bytes = GetParam().deferred_max;
    world.boot();
    ASSERT_TRUE(world.rig->make_inode(kIno).ok());
    ASSERT_TRUE(world.rig->make_inode(kNeighbour).ok());
    ASSERT_TRUE(world.rig->write_durably(kNeighbour, 0, pattern(100 * kKiB, 99)).ok());
    ASSERT_TRUE(GetParam().before(*world.rig).ok());
    world.rig->run();
  }
};

TEST_P(CrashEverywhere, old_or_new_and_never_EIO) {
  World clean;
  prepare(clean);
  const std::string old_content = *clean.rig->read_all(kIno);
  ASSERT_TRUE(GetParam().change(*clean.rig).ok());
  clean.rig->run();
  const std::string new_content = *clean.rig->read_all(kIno);

  int old_seen = 0, new_seen = 0;
  bool finished = false;
  for (int64_t point = 1; !finished; ++point) {
    for (bool executed : {false, true}) {
      for (uint64_t seed : {uint64_t{0}, uint64_t{1}, uint64_t{2}, UINT64_MAX}) {
        SCOPED_TRACE(testing::Message()
                     << "point " << point << " executed " << executed << " seed " << seed);
        World world;
        prepare(world);
        world.plan.crash_at(point, executed);
        Errno told = GetParam().change(*world.rig);
        if (told.ok()) world.rig->run();
        finished = !world.plan.crashed();
        world.rig.reset();
        world.plan.heal();
        world.meta.crash();
        world.blocks.crash(seed);
        world.boot();
        expect_counted(world.meta);
        const bool copied = world.rig->inode(kCopy).nlink != 0;
        auto expect_copy = [&] {
          ASSERT_TRUE(!copied || *world.rig->read_all(kCopy) == pattern(300 * kKiB, 1));
        };
        ASSERT_NO_FATAL_FAILURE(expect_copy());
        auto content = world.rig->read_all(kIno);
        ASSERT_TRUE(content.ok()) << content.error().name();
        if (told.ok()) {
          ASSERT_TRUE(*content == new_content);
        }
        ASSERT_TRUE(*content == old_content || *content == new_content);
        ++(*content == new_content ? new_seen : old_seen);
        ASSERT_TRUE(*world.rig->read_all(kNeighbour) == pattern(100 * kKiB, 99));
        // What is left over is neither in the way nor visible.
        ASSERT_TRUE(world.rig->truncate(kIno, 0).ok());
        ASSERT_TRUE(world.rig->truncate(kIno, 6 * kMiB).ok());
        ASSERT_TRUE(*world.rig->read_all(kIno) == std::string(6 * kMiB, '\0'));
        ASSERT_TRUE(world.rig->write_durably(kIno, 64 * kKiB, pattern(64 * kKiB, 5)).ok());
        world.rig->run();
        std::string expected(6 * kMiB, '\0');
        expected.replace(64 * kKiB, 64 * kKiB, pattern(64 * kKiB, 5));
        ASSERT_TRUE(*world.rig->read_all(kIno) == expected);
        ASSERT_NO_FATAL_FAILURE(expect_copy());
        ASSERT_TRUE(*world.rig->read_all(kNeighbour) == pattern(100 * kKiB, 99));
        expect_counted(world.meta);
        ASSERT_EQ(world.blocks.list()->size(), count_keys(world.meta, 'B'));
        ASSERT_EQ(count_keys(world.meta, 'G'), 0u);
      }
    }
  }
  if (old_content != new_content) {
    EXPECT_GT(old_seen, 0);
    EXPECT_GT(new_seen, 0);
  }
}

Errno nothing(FileDataRig&) { return Errno(); }
std::function<Errno(FileDataRig&)> put(uint64_t offset, size_t size, uint32_t seed) {
  return [=](FileDataRig& rig) { return rig.write_durably(kIno, offset, pattern(size, seed)); };
}

// A file that shares all it has with kIno.
Errno make_copy(FileDataRig& rig) {
  if (Errno error = put(0, 300 * kKiB, 1)(rig); !error.ok()) return error;
  if (auto made = rig.make_inode(kCopy); !made.ok()) return made.error();
  return rig.clone(kCopy, 0, kIno, 0, 300 * kKiB);
}
// The same, where kIno has it from the copy.
Errno become_copy(FileDataRig& rig) {
  if (auto made = rig.make_inode(kCopy); !made.ok()) return made.error();
  Errno error = rig.write_durably(kCopy, 0, pattern(300 * kKiB, 1));
  return error.ok() ? rig.clone(kIno, 0, kCopy, 0, 300 * kKiB) : error;
}

INSTANTIATE_TEST_SUITE_P(
    Changes, CrashEverywhere,
    testing::Values(
        Case{"overwrite_of_4k", put(0, 300 * kKiB, 1), put(68 * kKiB, 4 * kKiB, 2)},
        Case{"overwrite_of_4k_applied", put(0, 300 * kKiB, 1), put(68 * kKiB, 4 * kKiB, 2), 0},
        Case{"overwrite_of_whole_blocks", put(0, 300 * kKiB, 1), put(0, 192 * kKiB, 2)},
        Case{"overwrite_across_blocks", put(0, 300 * kKiB, 1), put(50'000, 100'000, 2)},
        Case{"inline_to_chunk", put(0, 3'000, 1), put(2'000, 100 * kKiB, 2)},
        Case{"inline_to_deferred", put(0, 3'000, 1), put(3'000, 5'000, 2)},
        Case{"first_write", nothing, put(0, 5 * kMiB, 1)},
        Case{"sparse_write", put(0, 100 * kKiB, 1), put(9 * kMiB + 5, 70 * kKiB, 2)},
        Case{"append", put(0, 100 * kKiB, 1), put(100 * kKiB, 40 * kKiB, 2)},
        Case{"shrink", put(0, 5 * kMiB, 1),
             [](FileDataRig& rig) { return rig.truncate(kIno, 100'001); }},
        Case{"shrink_applied", put(0, 5 * kMiB, 1),
             [](FileDataRig& rig) { return rig.truncate(kIno, 100'001); }, 0},
        Case{"shrink_to_nothing", put(0, 5 * kMiB, 1),
             [](FileDataRig& rig) { return rig.truncate(kIno, 0); }},
        Case{"shrink_of_inline", put(0, 3'000, 1),
             [](FileDataRig& rig) { return rig.truncate(kIno, 1'000); }},
        Case{
            "clone_of_a_range", put(0, 300 * kKiB, 1),
            [](FileDataRig& rig) { return rig.clone(kIno, 128 * kKiB, kNeighbour, 0, 64 * kKiB); }},
        Case{"clone_to_the_end", put(0, 50 * kKiB, 1),
             [](FileDataRig& rig) { return rig.clone(kIno, 0, kNeighbour, 0, 100 * kKiB); }},
        Case{"clone_to_another_chunk", put(0, 300 * kKiB, 1),
             [](FileDataRig& rig) { return rig.clone(kIno, 5 * kMiB, kIno, 0, 300 * kKiB); }},
        Case{"write_to_a_clone", become_copy, put(0, 128 * kKiB, 2)},
        Case{"patch_of_a_clone", become_copy, put(70'000, 9'000, 2)},
        Case{"patch_of_a_clone_applied", become_copy, put(70'000, 9'000, 2), 0},
        Case{"write_to_what_was_cloned", make_copy, put(0, 128 * kKiB, 2)},
        Case{"patch_of_what_was_cloned", make_copy, put(70'000, 9'000, 2)},
        Case{"shrink_of_a_clone", become_copy,
             [](FileDataRig& rig) { return rig.truncate(kIno, 0); }},
        Case{"shrink_of_what_was_cloned", make_copy,
             [](FileDataRig& rig) { return rig.truncate(kIno, 100'001); }},
        Case{"punch_of_what_was_cloned", make_copy,
             [](FileDataRig& rig) { return rig.punch(kIno, 0, 4 * kMiB); }},
        Case{"punch", put(0, 5 * kMiB, 1),
             [](FileDataRig& rig) { return rig.punch(kIno, 100'000, 4 * kMiB + 100'000); }}),
    [](const auto& info) { return info.param.name; });

TEST(FaultEverywhere, any_failing_call_is_an_error_or_harmless_and_a_retry_succeeds) {
  for (int error : {ENOSPC, EIO}) {
    bool fired = true;
    for (int64_t point = 1; fired; ++point) {
      SCOPED_TRACE(testing::Message() << "point " << point << " errno " << error);
      MemoryMetaStore meta;
      MemoryBlockStore blocks;
      FaultPlan plan;
      FaultyMetaStore faulty_meta(meta, plan);
      FaultyBlockStore faulty_blocks(blocks, plan);
      FileDataRig rig(faulty_meta, faulty_blocks);
      ASSERT_TRUE(rig.make_inode(kIno).ok());
      ASSERT_TRUE(rig.write_durably(kIno, 0, pattern(300 * kKiB, 1)).ok());
      plan.fail_at(point, Errno(error));
      std::string expected = pattern(300 * kKiB, 1);
      auto attempt = [&](uint64_t offset, const std::string& text) {
        if (Errno told = rig.write_durably(kIno, offset, text); !told.ok()) {
          EXPECT_EQ(told, Errno(error));
          ASSERT_TRUE(*rig.read_all(kIno) == expected);
          ASSERT_TRUE(rig.write_durably(kIno, offset, text).ok());
        }
        if (expected.size() < offset + text.size()) expected.resize(offset + text.size());
        expected.replace(offset, text.size(), text);
        ASSERT_TRUE(*rig.read_all(kIno) == expected);
      };
      attempt(0, pattern(128 * kKiB, 2));
      attempt(70'000, pattern(30'000, 3));
      attempt(5, "small");
      attempt(5 * kMiB, pattern(100 * kKiB, 4));
      if (!rig.truncate(kIno, 200'000).ok()) {
        ASSERT_TRUE(*rig.read_all(kIno) == expected);
        ASSERT_TRUE(rig.truncate(kIno, 200'000).ok());
      }
      rig.run();
      expected.resize(200'000);
      ASSERT_TRUE(*rig.read_all(kIno) == expected);
      fired = plan.fired();
    }
  }
}

}  // namespace
}  // namespace myfs::server
