#include "sdk/fs/readdir.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/fs/fs_fixture.h"

namespace myfs::fs {
namespace {

using ::testing::ElementsAre;
using ::testing::IsSupersetOf;

using NumberAndType = std::pair<uint64_t, int>;

class ReaddirTest : public FsFixture {
 protected:
  ReaddirTest() {
    EXPECT_EQ(mkdir("/d"), 0);
    for (char c = 'a'; c <= 'j'; ++c) EXPECT_EQ(create(path(c)), 0);
    fd = open("/d", O_RDONLY | O_DIRECTORY);
  }
  static std::string path(char c) { return std::string("/d/") + c; }
  // The next entry; false at the end.
  bool next(std::string* name, int64_t* position) {
    bool first = true;
    Result<size_t> taken = vfs_readdir(root, task, fd, [&](const DirEntry& entry) {
      if (!std::exchange(first, false)) return false;
      *name = entry.name;
      *position = entry.d_off;
      return true;
    });
    EXPECT_TRUE(taken.ok());
    return taken.ok() && *taken == 1;
  }
  int64_t seek(int64_t position) { return *vfs_lseek(root, task, fd, position, SEEK_SET); }
  int fd = -1;
};

TEST_F(ReaddirTest, every_entry_once_in_every_batch_size) {
  const std::vector<std::string> all = {".", "..", "a", "b", "c", "d",
                                        "e", "f",  "g", "h", "i", "j"};
  for (size_t batch : {1, 2, 3, 5, 12, 100}) {
    for (bool warm : {false, true}) {
      if (!warm) ramfs->revoke_everything();
      seek(0);
      EXPECT_EQ(readdir(fd, batch), all) << batch << (warm ? " warm" : " cold");
    }
  }
}

TEST_F(ReaddirTest, numbers_and_types) {
  ASSERT_EQ(symlink("x", "/d/l"), 0);
  ASSERT_EQ(mkdir("/d/sub"), 0);
  for (int round = 0; round < 2; ++round) {
    seek(0);
    std::map<std::string, NumberAndType> seen;
    Result<size_t> taken = Errno(EIO);
    do {
      taken = vfs_readdir(root, task, fd, [&](const DirEntry& entry) {
        seen[std::string(entry.name)] = {entry.d_ino, entry.d_type};
        return true;
      });
    } while (taken.ok() && *taken > 0);
    EXPECT_EQ(seen["."], NumberAndType(ino("/d"), DT_DIR));
    EXPECT_EQ(seen[".."], NumberAndType(ino("/"), DT_DIR));
    EXPECT_EQ(seen["a"], NumberAndType(ino("/d/a"), DT_REG));
    EXPECT_EQ(seen["sub"], NumberAndType(ino("/d/sub"), DT_DIR));
    EXPECT_EQ(seen["l"].second, DT_LNK);
    EXPECT_EQ(seen.size(), 14u);
  }
}

TEST_F(ReaddirTest, dotdot_of_the_root_is_itself) {
  std::vector<uint64_t> numbers;
  int top = open("/", O_RDONLY);
  ASSERT_TRUE(vfs_readdir(root, task, top, [&](const DirEntry& entry) {
                numbers.push_back(entry.d_ino);
                return numbers.size() < 2;
              }).ok());
  EXPECT_THAT(numbers, ElementsAre(kRootIno, kRootIno));
}

TEST_F(ReaddirTest, the_second_reading_asks_nobody) {
  ramfs->revoke_everything();
  EXPECT_EQ(readdir(fd).size(), 12u);
  EXPECT_EQ(stat("/d"), 0);
  int before = ramfs->calls.total();
  EXPECT_EQ(list("/d").size(), 12u);
  EXPECT_EQ(ramfs->calls.total(), before);
  Kstat found;
  for (char c = 'a'; c <= 'j'; ++c) EXPECT_EQ(stat(path(c), &found), 0);
  EXPECT_EQ(ramfs->calls.total(), before) << "the entries brought their attributes";
}

TEST_F(ReaddirTest, positions_lead_back_to_the_same_entry) {
  std::vector<std::pair<std::string, int64_t>> seen;
  std::string name;
  int64_t position;
  while (next(&name, &position)) seen.emplace_back(name, position);
  ASSERT_EQ(seen.size(), 12u);
  EXPECT_EQ(seen[0].second, 1);
  EXPECT_EQ(seen[1].second, 2);
  for (bool warm : {true, false}) {
    if (!warm) ramfs->revoke_everything();
    for (size_t i = 0; i + 1 < seen.size(); ++i) {
      EXPECT_EQ(seek(seen[i].second), seen[i].second);
      ASSERT_TRUE(next(&name, &position));
      EXPECT_EQ(name, seen[i + 1].first);
      EXPECT_EQ(position, seen[i + 1].second);
      EXPECT_EQ(*vfs_lseek(root, task, fd, 0, SEEK_CUR), position);
    }
    seek(seen.back().second);
    EXPECT_FALSE(next(&name, &position));
  }
  EXPECT_EQ(errno_of(vfs_lseek(root, task, fd, -1, SEEK_SET)), EINVAL);
  EXPECT_EQ(errno_of(vfs_lseek(root, task, fd, 0, SEEK_END)), EINVAL);
}

TEST_F(ReaddirTest, what_stays_is_seen_once_whatever_else_changes) {
  for (bool cold : {true, false}) {
    if (cold) ramfs->revoke_everything();
    seek(0);
    std::multiset<std::string> seen;
    std::string name;
    int64_t position;
    for (int i = 0; next(&name, &position); ++i) {
      seen.insert(name);
      if (i == 4) {  // already seen
        EXPECT_EQ(unlink("/d/a"), 0);
      }
      if (i == 5) {  // not yet seen
        EXPECT_EQ(unlink("/d/i"), 0);
      }
      if (i == 6) {
        EXPECT_EQ(create("/d/new"), 0);
      }
      if (i == 7) ramfs->remote_create("/d/remote", S_IFREG | 0644);
    }
    for (const char* stays : {"b", "c", "d", "e", "f", "g", "h", "j"}) {
      EXPECT_EQ(seen.count(stays), 1u) << stays;
    }
    EXPECT_EQ(seen.count("i"), 0u);
    for (const char* undo : {"/d/new", "/d/remote"}) EXPECT_EQ(unlink(undo), 0);
    EXPECT_EQ(create("/d/a"), 0);
    EXPECT_EQ(create("/d/i"), 0);
  }
}

TEST_F(ReaddirTest, rewinding_shows_the_present) {
  EXPECT_EQ(readdir(fd).size(), 12u);
  ramfs->remote_create("/d/remote", S_IFREG | 0644);
  ASSERT_EQ(create("/d/own"), 0);
  seek(0);
  EXPECT_THAT(readdir(fd), IsSupersetOf({"remote", "own", "a", "j"}));
  ASSERT_EQ(unlink("/d/own"), 0);
  seek(0);
  EXPECT_EQ(readdir(fd).size(), 13u);
}

TEST_F(ReaddirTest, reading_on_after_the_first_pages_were_read_by_seeking) {
  // A listing that did not begin at the start is never kept.
  seek(5);
  readdir(fd);
  int before = ramfs->calls.readdir;
  EXPECT_EQ(list("/d").size(), 12u);
  EXPECT_GT(ramfs->calls.readdir, before);
}

TEST_F(ReaddirTest, errors) {
  int file = open("/d/a", O_RDONLY);
  EXPECT_THAT(readdir(file), ElementsAre("errno 20"));
  EXPECT_THAT(readdir(99), ElementsAre("errno 9"));
  ASSERT_EQ(mkdir("/gone"), 0);
  int gone = open("/gone", O_RDONLY);
  ASSERT_EQ(rmdir("/gone"), 0);
  EXPECT_THAT(readdir(gone), ElementsAre("errno 2"));
}

}  // namespace
}  // namespace myfs::fs
