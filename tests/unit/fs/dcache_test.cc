#include "sdk/fs/dcache.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "sdk/base/rcu.h"
#include "tests/unit/fs/fs_fixture.h"

namespace myfs::fs {
namespace {

class DcacheTest : public FsFixture {
 protected:
  explicit DcacheTest(Ramfs::Options options = {}) : FsFixture(options) {}
  Dcache& dcache() { return ramfs->sb().s_dcache; }
};

class SmallDcacheTest : public DcacheTest {
 protected:
  static constexpr size_t kMax = 200, kUnused = 50;
  static Ramfs::Options small() {
    Ramfs::Options options;
    options.super.max_dentries = kMax;
    options.super.max_unused_inodes = kUnused;
    return options;
  }
  SmallDcacheTest() : DcacheTest(small()) {}
};

TEST_F(DcacheTest, names_hash_by_content) {
  EXPECT_EQ(d_hash_name("abc"), d_hash_name(std::string("xabc").substr(1)));
  EXPECT_NE(d_hash_name("abc"), d_hash_name("abd"));
  EXPECT_NE(d_hash_name("a"), d_hash_name(std::string_view("a\0", 2)));
  EXPECT_NE(d_hash_name("12345678"), d_hash_name("123456781"));
}

TEST_F(DcacheTest, growing_loses_nothing) {
  constexpr int kFiles = 5000;
  for (int i = 0; i < kFiles; ++i) ASSERT_EQ(create("/" + std::to_string(i)), 0);
  EXPECT_GE(dcache().size(), static_cast<size_t>(kFiles));
  int before = ramfs->calls.total();
  for (int i = 0; i < kFiles; ++i) ASSERT_EQ(stat("/" + std::to_string(i)), 0);
  EXPECT_EQ(ramfs->calls.total(), before);
}

TEST_F(DcacheTest, the_same_inode_keeps_its_dentry_over_a_new_lease) {
  ASSERT_EQ(mkdir("/d"), 0);
  ASSERT_EQ(chdir("/d"), 0);
  Path before = task.fs.pwd();
  ramfs->revoke_everything();
  ASSERT_EQ(chdir("/d"), 0);
  EXPECT_EQ(task.fs.pwd(), before);
}

TEST_F(DcacheTest, deep_paths_are_dropped_without_deep_recursion) {
  std::string path;
  for (int i = 0; i < 2000; ++i) {
    path += "/d";
    ASSERT_EQ(mkdir(path), 0);
  }
  EXPECT_EQ(stat(path), 0);
  dcache().shrink_all();
  rcu_barrier();
  EXPECT_EQ(dcache().size(), 0u);
  EXPECT_EQ(stat(path), 0);
}

TEST_F(SmallDcacheTest, the_limit_holds_and_what_was_used_of_late_stays) {
  ASSERT_EQ(create("/keep"), 0);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(create("/" + std::to_string(i)), 0);
    ASSERT_EQ(stat("/keep"), 0);
    ASSERT_LE(dcache().size(), kMax);
  }
  int before = ramfs->calls.total();
  EXPECT_EQ(stat("/keep"), 0);
  EXPECT_EQ(ramfs->calls.total(), before);
  EXPECT_EQ(stat("/0"), 0);
  EXPECT_EQ(ramfs->calls.total(), before + 1);
  EXPECT_LE(ramfs->sb().s_inodes.size(), kMax + kUnused + 40);
  EXPECT_GT(ramfs->calls.evict, 0);
}

TEST_F(SmallDcacheTest, negative_dentries_count_and_go) {
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(stat("/no" + std::to_string(i)), ENOENT);
  EXPECT_LE(dcache().size(), kMax);
}

TEST_F(SmallDcacheTest, open_files_and_the_cwd_are_not_dropped) {
  ASSERT_EQ(mkdir("/dir"), 0);
  ASSERT_EQ(chdir("/dir"), 0);
  ASSERT_EQ(create("f"), 0);
  int fd = open("f", O_RDWR);
  ASSERT_EQ(write(fd, "text"), 4);
  for (int i = 0; i < 1000; ++i) ASSERT_EQ(create("/" + std::to_string(i)), 0);
  int before = ramfs->calls.total();
  EXPECT_EQ(pread(fd, 4, 0), "text");
  EXPECT_EQ(stat("f"), 0);
  EXPECT_EQ(getcwd(), "/dir");
  EXPECT_EQ(ramfs->calls.total(), before);
  close(fd);
}

TEST_F(DcacheTest, evicted_inodes_come_back_with_their_number) {
  ASSERT_EQ(create("/f"), 0);
  uint64_t number = ino("/f");
  dcache().shrink_all();
  EXPECT_GT(ramfs->sb().s_inodes.shrink(10), 0u);
  EXPECT_EQ(ramfs->calls.evict, 1);
  EXPECT_EQ(ramfs->sb().s_inodes.ilookup(number).get(), nullptr);
  EXPECT_EQ(ino("/f"), number);
}

TEST_F(DcacheTest, a_deleted_inode_goes_with_its_last_user) {
  ASSERT_EQ(create("/f"), 0);
  int fd = open("/f", O_RDONLY);
  ASSERT_EQ(unlink("/f"), 0);
  EXPECT_EQ(ramfs->calls.evict, 0);
  ASSERT_EQ(close(fd), 0);
  EXPECT_EQ(ramfs->calls.evict, 1);
}

TEST_F(DcacheTest, the_budget_is_charged_and_given_back) {
  mm::Budget budget(size_t{1} << 30);
  Ramfs::Options options;
  options.super.budget = &budget;
  {
    TaskStruct other(root.cred);
    ASSERT_TRUE(other.mount(root, Ramfs::create(options, nullptr), "/", false).ok());
    for (int i = 0; i < 10; ++i) {
      const std::string name = "/" + std::to_string(i);
      ASSERT_EQ(errno_of(vfs_mkdir(root, other, {AT_FDCWD, name}, 0755)), 0);
    }
    EXPECT_EQ(budget.used(mm::MemClass::kDentries), 10 * Dcache::kBytesPerDentry);
    EXPECT_EQ(budget.used(mm::MemClass::kInodes), 11 * InodeCache::kBytesPerInode);
    budget.make_room(size_t{1} << 20);
    EXPECT_EQ(budget.used(mm::MemClass::kDentries), 0u);
  }
  EXPECT_EQ(budget.used(mm::MemClass::kInodes), 0u);
}

// --- threads ---

// Renames charge for what they change themselves, and not for what others do at the same time.
TEST_F(DcacheTest, the_budget_is_exact_with_renames_beside_other_changes) {
  mm::Budget budget(size_t{1} << 30);
  Ramfs::Options options;
  options.super.budget = &budget;
  TaskStruct other(root.cred);
  auto sb = Ramfs::create(options, nullptr);
  ASSERT_TRUE(other.mount(root, sb, "/", false).ok());
  auto make_dir = [&](const std::string& path) {
    return errno_of(vfs_mkdir(root, other, {AT_FDCWD, path}, 0755));
  };
  for (const char* dir : {"/a", "/b", "/a/x", "/c", "/d", "/e", "/f", "/f/g"})
    ASSERT_EQ(make_dir(dir), 0);
  std::atomic<int> wrong{0};
  auto renames = [&](const char* from, const char* to, unsigned flags) {
    for (int i = 0; i < 4000; ++i) {
      const char* one = i % 2 == 0 ? from : to;
      const char* two = i % 2 == 0 ? to : from;
      if (!vfs_rename(root, other, {AT_FDCWD, one}, {AT_FDCWD, two}, flags).ok()) ++wrong;
    }
  };
  // Negative ones, which come and go with no change of the file system.
  std::atomic<bool> stop{false};
  auto changes = [&](const std::string& dir) {
    for (int i = 0; !stop; ++i) {
      Kstat stat;
      const std::string name = dir + "/" + std::to_string(i % 50);
      if (vfs_stat(root, other, {AT_FDCWD, name}, 0, &stat).ok()) ++wrong;
      sb->s_dcache.shrink(1);
    }
  };
  std::vector<std::thread> threads;
  threads.emplace_back([&] { renames("/a/x", "/b/z", 0); });
  threads.emplace_back([&] { renames("/e", "/f/g", RENAME_EXCHANGE); });
  threads.emplace_back([&] { changes("/c"); });
  threads.emplace_back([&] { changes("/d"); });
  threads[0].join();
  threads[1].join();
  stop = true;
  threads[2].join();
  threads[3].join();
  EXPECT_EQ(wrong, 0);
  const size_t dentries = sb->s_dcache.size();
  EXPECT_EQ(budget.used(mm::MemClass::kDentries), dentries * Dcache::kBytesPerDentry);
}

// A name that is always somewhere is always found at one of its places, and never as something
// else.
TEST_F(DcacheTest, look_ups_during_renames) {
  ASSERT_EQ(mkdir("/p"), 0);
  ASSERT_EQ(mkdir("/q"), 0);
  ASSERT_EQ(create("/p/x"), 0);
  ASSERT_EQ(create("/p/stays"), 0);
  const uint64_t number = ino("/p/x"), stays = ino("/p/stays");
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};
  std::atomic<long> found{0};
  std::vector<std::thread> readers;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back([&, i] {
      while (!stop) {
        Kstat stat;
        const char* path = i % 2 == 0 ? "/p/x" : "/q/y";
        int error = this->stat(path, &stat);
        if (error != 0 && error != ENOENT) ++wrong;
        if (error == 0 && stat.ino != number) ++wrong;
        if (error == 0) ++found;
        if (this->stat("/p/stays", &stat) != 0 || stat.ino != stays) ++wrong;
      }
    });
  }
  for (int i = 0; i < 3000; ++i) {
    EXPECT_EQ(rename("/p/x", "/q/y"), 0);
    EXPECT_EQ(rename("/q/y", "/p/x"), 0);
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(wrong, 0);
  EXPECT_GT(found, 0);
}

// Creating, removing, forgetting, revoking and looking at the same few names.
TEST_F(DcacheTest, everything_at_once) {
  ASSERT_EQ(mkdir("/d"), 0);
  std::atomic<bool> stop{false};
  std::atomic<int> wrong{0};  // the last unexpected error
  std::vector<std::thread> threads;
  auto name_of = [](int i) { return "/d/" + std::to_string(i % 7); };
  threads.emplace_back([&] {
    for (int i = 0; !stop; ++i) {
      int error = create(name_of(i));
      if (error != 0 && error != EEXIST) wrong = error;
    }
  });
  threads.emplace_back([&] {
    for (int i = 0; !stop; i += 3) {
      int error = unlink(name_of(i));
      if (error != 0 && error != ENOENT) wrong = error;
    }
  });
  threads.emplace_back([&] {
    for (int i = 0; !stop; ++i) {
      int error = stat(name_of(i));
      if (error != 0 && error != ENOENT) wrong = error;
      error = rename(name_of(i), name_of(i + 1));
      if (error != 0 && error != ENOENT) wrong = error;
    }
  });
  threads.emplace_back([&] {
    while (!stop) {
      dcache().shrink(5);
      ramfs->sb().s_inodes.shrink(5);
      ramfs->revoke(ramfs->ino_of("/d"), kLeaseD);
    }
  });
  for (int i = 0; i < 2000; ++i) {
    std::vector<std::string> names = list("/d");
    // A name that goes and comes again during the scan may be seen twice.
    if (names.size() < 2 || names[0] != "." || names.back().size() > 2) wrong = EIO;
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
  // The cache and the truth agree when all is quiet.
  for (int i = 0; i < 7; ++i) {
    int error = stat(name_of(i));
    EXPECT_EQ(error, ramfs->ino_of(name_of(i)) != 0 ? 0 : ENOENT) << i;
  }
}

TEST_F(DcacheTest, renames_between_directories_do_not_deadlock) {
  for (const char* dir : {"/a", "/a/b", "/c"}) ASSERT_EQ(mkdir(dir), 0);
  auto shuttle = [&](const std::string& from, const std::string& to) {
    EXPECT_EQ(create(from), 0);
    for (int i = 0; i < 1000; ++i) {
      EXPECT_EQ(rename(from, to), 0);
      EXPECT_EQ(rename(to, from), 0);
    }
  };
  std::thread one([&] { shuttle("/a/1", "/a/b/1"); });
  std::thread two([&] { shuttle("/a/b/2", "/a/2"); });
  std::thread three([&] { shuttle("/c/3", "/a/3"); });
  std::thread four([&] {
    for (int i = 0; i < 1000; ++i) {
      EXPECT_EQ(mkdir("/a/b/m"), 0);
      EXPECT_EQ(rmdir("/a/b/m"), 0);
    }
  });
  one.join();
  two.join();
  three.join();
  four.join();
}

}  // namespace
}  // namespace myfs::fs
