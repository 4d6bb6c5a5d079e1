// Lost writes of a mount of a scripted server, and the files that they are rescued to.
#include "sdk/netfs/lost_writes.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "sdk/mm/reclaim.h"
#include "tests/support/myfsd/temp_dir.h"
#include "tests/unit/netfs/mount_fixture.h"

namespace myfs::netfs {
namespace {

std::string text_of(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

class RescueTest : public testing::Test {
 protected:
  RescueTest() : runtime_(std::move(mm::Runtime::create({.limit_bytes = 8 << 20})).value()) {}

  LostPage page(uint64_t offset, std::string_view text) {
    mm::PageRef page = mm::alloc_page_nowait(*runtime_).value();
    page->fill(0, text.data(), text.size());
    return {offset, text.size(), std::move(page)};
  }
  std::vector<LostPage> two_ranges() {
    std::vector<LostPage> pages;
    pages.push_back(page(8192, "tail"));
    pages.push_back(page(0, std::string(4096, 'a')));
    pages.push_back(page(0, std::string(4096, 'b')));
    return pages;
  }
  LostWrites loss() {
    LostWrites lost;
    lost.mount = "myfs://host/";
    lost.path = "/name\xff";
    lost.ino = 7;
    lost.file_size = 8196;
    lost.error = Errno(ENOSPC);
    lost.why = "a write failed: ENOSPC";
    lost.when_ns = 1'700'000'000 * kNsPerSec;
    lost.set_pages(two_ranges());
    return lost;
  }

  test::TempDir dir_;
  std::unique_ptr<mm::Runtime> runtime_;
};

TEST_F(RescueTest, TheLastPageOfAnOffsetCountsAndNeighboursAreOneRange) {
  LostWrites lost = loss();
  EXPECT_EQ(lost.ranges_text(), "0+4096 8192+4");
  EXPECT_EQ(lost.size_bytes(), 4100u);
  char text[4100];
  EXPECT_EQ(lost.read(4000, text, sizeof text), 96u);
  EXPECT_EQ(text[0], 'b');
  EXPECT_EQ(lost.read(4096, text, sizeof text), 0u);
  EXPECT_EQ(lost.read(8194, text, sizeof text), 2u);
  std::vector<LostPage> pages = two_ranges();
  pages.push_back(page(4096, std::string(4096, 'c')));
  lost.set_pages(std::move(pages));
  EXPECT_EQ(lost.ranges_text(), "0+8196");
  EXPECT_EQ(lost.read(4000, text, sizeof text), 4100u);
  EXPECT_EQ(std::string_view(text + 96, 1), "c");
}

TEST_F(RescueTest, NothingIsOverwritten) {
  auto rescue = RescueDir::open(dir_.path());
  ASSERT_TRUE(rescue.ok());
  const std::string stem = dir_ / "lost-20231114T221320Z-i7";
  std::ofstream(stem + ".data") << "mine";
  std::ofstream(stem + "-2.json") << "mine, too";
  Result<std::string> saved = (*rescue)->save(loss());
  ASSERT_TRUE(saved.ok()) << thread_error_detail().message;
  EXPECT_EQ(*saved, stem + "-3.json");
  EXPECT_EQ(text_of(stem + ".data"), "mine");
  EXPECT_EQ(text_of(stem + "-2.json"), "mine, too");
  EXPECT_FALSE(std::filesystem::exists(stem + ".json"));
  EXPECT_FALSE(std::filesystem::exists(stem + "-2.data"));
  EXPECT_EQ(text_of(stem + "-3.data"), std::string(4096, 'b') + std::string(4096, '\0') + "tail");
  const auto json = nlohmann::json::parse(text_of(*saved));
  EXPECT_EQ(json["inode"], 7);
  EXPECT_EQ(json["path_hex"], "2f6e616d65ff");
  EXPECT_EQ(json["error"], "ENOSPC");
  EXPECT_EQ(json["time"], "2023-11-14T22:13:20Z");
  EXPECT_EQ(json["ranges"].size(), 2u);
  EXPECT_EQ(json["ranges"][1]["offset"], 8192);
  EXPECT_EQ(json["ranges"][1]["length"], 4);
}

class LossTest : public MountFixture {
 protected:
  struct Recorder final : LostWritesDesk::Handler {
    bool lost(const LostWrites& what) override {
      MutexLock lock(mutex);
      seen.push_back(what.path + " " + what.ranges_text() + " " + what.why);
      return true;
    }
    std::vector<std::string> all() {
      MutexLock lock(mutex);
      return seen;
    }
    Mutex mutex{LockRank::kUnranked};
    std::vector<std::string> seen ABSL_GUARDED_BY(mutex);
  };
  std::shared_ptr<Recorder> recorder_ = std::make_shared<Recorder>();
};

// Several WRITEs of it fail, one after the other.
TEST_F(LossTest, AFileThatCannotBeWrittenIsToldOfOnce) {
  mount();
  super().lost_writes().add(recorder_);
  const int fd = open("/f");
  ASSERT_TRUE(write(fd, std::string(8 << 20, 'x')).ok());
  server_.script([](rpc_test::Script& s) { s.errno_value = ENOSPC; });
  EXPECT_EQ(fsync(fd), Errno(ENOSPC));
  ASSERT_TRUE(eventually([&] { return !recorder_->all().empty(); }));
  server_.script([](rpc_test::Script& s) { s.errno_value = 0; });
  EXPECT_EQ(recorder_->all(), std::vector<std::string>{"/f 0+8388608 a write failed: ENOSPC"});
  EXPECT_EQ(super().counters().lost_bytes.value(), 8 << 20);
  EXPECT_TRUE(fsync(fd).ok());
}

TEST_F(LossTest, AnUnmountWaitsUntilItIsTold) {
  mount();
  super().lost_writes().add(recorder_);
  const int fd = open("/f");
  ASSERT_TRUE(write(fd, "text").ok());
  server_.script([](rpc_test::Script& s) { s.hold = true; });
  ASSERT_TRUE(task_->umount(within(100 * kNsPerMs), "/", false, true).ok());
  (void)task_->exit_files(patient());
  task_ = nullptr;
  EXPECT_EQ(recorder_->all().size(), 1u);
}

TEST_F(LossTest, WhatNobodyWouldReadIsNotKept) {
  mount(8 << 20);
  const int fd = open("/f");
  ASSERT_TRUE(write(fd, "text").ok());
  NetInode& file = inode(fd);
  const size_t before = memory_->arena().frames_touched();
  mm::PageRef page = file.mapping()->find_get_page(0);
  mm::Page* one = page.get();
  const uint32_t references = page->ref_count();
  file.note_lost({&one, 1}, 0, 4, Errno(EIO), "test");
  EXPECT_EQ(page->ref_count(), references);
  super().lost_writes().add(recorder_);
  file.note_lost({&one, 1}, 0, 4, Errno(EIO), "test");
  EXPECT_EQ(page->ref_count(), references + 1);
  file.report_losses();
  super().lost_writes().drain();
  EXPECT_EQ(page->ref_count(), references);
  EXPECT_EQ(memory_->arena().frames_touched(), before);
}

}  // namespace
}  // namespace myfs::netfs
