// Listing directories: every entry once, positions, attributes with the names.

#include <dirent.h>
#include <linux/openat2.h>

#include <map>
#include <set>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

class Listing : public ApiTest {
 protected:
  void make_files(const std::string& dir, int count) {
    for (int i = 0; i < count; ++i) {
      int fd = myfs_creat(task_, (dir + "/" + name_of(i)).c_str(), 0644);
      ASSERT_GE(fd, 0) << last_message();
      ASSERT_EQ(0, myfs_close(task_, fd));
    }
  }
  static std::string name_of(int i) { return "entry-" + std::to_string(i); }
  myfs_dir* open_dir(const char* path) {
    myfs_dir* dir = nullptr;
    EXPECT_EQ(0, myfs_opendir(task_, path, &dir)) << last_message();
    return dir;
  }
  // At most `count` further names.
  static std::vector<std::string> next(myfs_dir* dir, size_t count = SIZE_MAX) {
    std::vector<std::string> names;
    myfs_dirent entry;
    int result = 1;
    while (names.size() < count && (result = myfs_readdir(dir, &entry)) == 1) {
      EXPECT_EQ(std::strlen(entry.name), entry.name_length);
      names.emplace_back(entry.name);
    }
    EXPECT_GE(result, 0) << last_message();
    return names;
  }
};

TEST_F(Listing, TellsNamesTypesAndNumbers) {
  make_dir("d");
  make_dir("d/dir");
  make_file("d/file");
  ASSERT_EQ(0, myfs_symlink(task_, "x", "d/link"));
  ASSERT_EQ(0, myfs_mknod(task_, "d/fifo", S_IFIFO | 0644, 0));
  ASSERT_EQ(0, myfs_mknod(task_, "d/socket", S_IFSOCK | 0644, 0));
  const std::map<std::string, int> types = {{".", DT_DIR},      {"..", DT_DIR},   {"dir", DT_DIR},
                                            {"file", DT_REG},   {"link", DT_LNK}, {"fifo", DT_FIFO},
                                            {"socket", DT_SOCK}};
  std::set<std::string> seen;
  myfs_dir* dir = open_dir("d");
  myfs_dirent entry;
  while (myfs_readdir(dir, &entry) == 1) {
    std::string name = entry.name;
    EXPECT_TRUE(seen.insert(name).second) << name;
    ASSERT_EQ(1u, types.count(name)) << name;
    EXPECT_EQ(types.at(name), entry.type) << name;
    EXPECT_EQ(stat(("d/" + name).c_str()).st_ino, entry.ino) << name;
  }
  EXPECT_EQ(types.size(), seen.size());
  EXPECT_EQ(0, myfs_readdir(dir, &entry)) << "the end stays the end";
  EXPECT_EQ(0, myfs_closedir(dir));
}

TEST_F(Listing, PlusBringsTheAttributesOfLstat) {
  make_dir("d");
  make_file("d/file", "12345");
  ASSERT_EQ(0, myfs_symlink(task_, "file", "d/link"));
  Client fresh(server_->url());
  myfs_dir* dir = nullptr;
  ASSERT_EQ(0, myfs_opendir(fresh, (home() + "/d").c_str(), &dir));
  myfs_dirent entry;
  struct stat st;
  int count = 0;
  while (myfs_readdirplus(dir, &entry, &st) == 1) {
    if (std::string(entry.name) == "..") continue;
    struct stat direct = stat((std::string("d/") + entry.name).c_str());
    EXPECT_EQ(direct.st_ino, st.st_ino) << entry.name;
    EXPECT_EQ(direct.st_mode, st.st_mode) << entry.name;
    EXPECT_EQ(direct.st_size, st.st_size) << entry.name;
    EXPECT_EQ(direct.st_nlink, st.st_nlink) << entry.name;
    EXPECT_EQ(direct.st_mtim.tv_nsec, st.st_mtim.tv_nsec) << entry.name;
    ++count;
  }
  EXPECT_EQ(3, count);
  EXPECT_EQ(0, myfs_closedir(dir));
}

TEST_F(Listing, OfManyEntriesComesOnceEach) {
  make_dir("d");
  make_files("d", 3000);
  for (const char* options : {"", "rsize=4K"}) {
    Client other(server_->url(), options);
    std::vector<std::string> names = other.list(home() + "/d");
    EXPECT_EQ(3000u, names.size());
    EXPECT_EQ(names.end(), std::adjacent_find(names.begin(), names.end()));
  }
}

// What is there throughout the scan comes exactly once, whatever else comes and goes.
TEST_F(Listing, UnderChangeKeepsWhatStays) {
  constexpr int kEntries = 1000;
  make_dir("d");
  make_files("d", kEntries);
  Client other(server_->url());
  myfs_dir* dir = open_dir("d");
  std::multiset<std::string> seen;
  for (int step = 0; step < kEntries; ++step) {
    for (const std::string& name : next(dir, 3)) seen.insert(name);
    // Odd ones go and new ones come, by the other client and by this one.
    std::string gone = home() + "/d/" + name_of(2 * step + 1);
    if (2 * step + 1 < kEntries) {
      ASSERT_EQ(
          0, step % 2 == 0 ? myfs_unlink(other, gone.c_str()) : myfs_unlink(task_, gone.c_str()));
    }
    std::string fresh = home() + "/d/new-" + std::to_string(step);
    ASSERT_EQ(0, step < 200 ? other.put(fresh, "") : 0);
  }
  for (const std::string& name : next(dir)) seen.insert(name);
  EXPECT_EQ(0, myfs_closedir(dir));
  for (int i = 0; i < kEntries; i += 2) EXPECT_EQ(1u, seen.count(name_of(i))) << name_of(i);
  for (const std::string& name : seen) EXPECT_EQ(1u, seen.count(name)) << name;
}

TEST_F(Listing, SeekdirGoesBackToAPosition) {
  make_dir("d");
  make_files("d", 300);
  myfs_dir* dir = open_dir("d");
  next(dir, 100);
  int64_t position = myfs_telldir(dir);
  std::vector<std::string> rest = next(dir);
  EXPECT_EQ(202u, rest.size());
  EXPECT_EQ(0, myfs_seekdir(dir, position));
  EXPECT_EQ(position, myfs_telldir(dir));
  EXPECT_EQ(rest, next(dir));
  EXPECT_EQ(0, myfs_seekdir(dir, 0));
  EXPECT_EQ(302u, next(dir).size());
  // Positions of entries are those of telldir, and hold for another stream too.
  EXPECT_EQ(0, myfs_seekdir(dir, 0));
  myfs_dirent entry;
  for (int i = 0; i < 50; ++i) ASSERT_EQ(1, myfs_readdir(dir, &entry));
  myfs_dir* second = open_dir("d");
  EXPECT_EQ(0, myfs_seekdir(second, entry.next));
  EXPECT_EQ(next(dir), next(second));
  EXPECT_EQ(0, myfs_closedir(second));
  EXPECT_EQ(0, myfs_closedir(dir));
}

TEST_F(Listing, PositionsOutliveTheServer) {
  make_dir("d");
  make_files("d", 300);
  myfs_dir* dir = open_dir("d");
  next(dir, 100);
  int64_t position = myfs_telldir(dir);
  std::vector<std::string> rest = next(dir);
  EXPECT_EQ(0, myfs_closedir(dir));
  ASSERT_EQ(0, myfs_sync(task_));
  restart_server();
  Client other(server_->url());
  ASSERT_EQ(0, myfs_opendir(other, (home() + "/d").c_str(), &dir));
  ASSERT_EQ(0, myfs_seekdir(dir, position));
  EXPECT_EQ(rest, next(dir));
  EXPECT_EQ(0, myfs_closedir(dir));
}

TEST_F(Listing, RewoundShowsWhatIsNew) {
  make_dir("d");
  myfs_dir* dir = open_dir("d");
  EXPECT_EQ(2u, next(dir).size());
  make_file("d/f");
  EXPECT_EQ(0, myfs_seekdir(dir, 0));
  EXPECT_EQ(3u, next(dir).size());
  EXPECT_EQ(0, myfs_closedir(dir));
}

TEST_F(Listing, OfItsDescriptor) {
  make_dir("d");
  make_file("d/f", "inside");
  myfs_dir* dir = open_dir("d");
  int fd = myfs_dirfd(dir);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(0, myfs_fchdir(task_, fd));
  EXPECT_EQ("inside", content("f"));
  EXPECT_EQ(0, myfs_closedir(dir));
  struct stat st;
  EXPECT_EQ(-EBADF, myfs_fstat(task_, fd, &st)) << "closedir closes its descriptor";
}

TEST_F(Listing, AfterRemovingEverything) {
  make_dir("d");
  make_files("d", 200);
  myfs_dir* dir = open_dir("d");
  int removed = 0;
  myfs_dirent entry;
  while (myfs_readdir(dir, &entry) == 1) {
    if (entry.name[0] == '.') continue;
    ASSERT_EQ(0, myfs_unlink(task_, (std::string("d/") + entry.name).c_str()));
    ++removed;
  }
  EXPECT_EQ(200, removed);
  EXPECT_EQ(0, myfs_closedir(dir));
  EXPECT_EQ(0, myfs_rmdir(task_, "d"));
}

// --- refresh, statistics

TEST_F(Listing, refresh_AsksAnew) {
  make_dir("d");
  make_file("d/f");
  EXPECT_EQ("content", content("d/f"));
  struct stat st;
  uint64_t before = 0, after = 0;
  ASSERT_EQ(0, myfs_stat(task_, "d/f", &st));
  ASSERT_EQ(0, myfs_server_operations(task_, "/", &before));
  ASSERT_EQ(0, myfs_stat(task_, "d/f", &st));
  ASSERT_EQ(0, myfs_refresh(task_, "d")) << last_message();
  ASSERT_EQ(0, myfs_server_operations(task_, "/", &after));
  EXPECT_GE(after, before + 2) << "attributes and names";
  // Afterwards the names are there: what is not among them is not asked for.
  myfs_open_how how{sizeof how, O_RDONLY, 0, RESOLVE_CACHED};
  EXPECT_EQ(-ENOENT, myfs_openat2(task_, AT_FDCWD, "d/none", &how));
}

TEST_F(Listing, refresh_ENOTDIR) {
  make_file("f");
  EXPECT_EQ(-ENOTDIR, myfs_refresh(task_, "f"));
  EXPECT_EQ(-ENOENT, myfs_refresh(task_, "none"));
}

TEST_F(Listing, refresh_EACCES) {
  make_dir("d", 0711);
  EXPECT_EQ(-EACCES, myfs_refresh_x(task_, user(), "d"));
}

TEST_F(Listing, dirstats_CountsWhatIsThere) {
  make_dir("d");
  make_dir("d/sub");
  make_file("d/f", "12345");
  make_file("d/sub/g", "123");
  ASSERT_EQ(0, myfs_link(task_, "d/f", "d/sub/again"));
  myfs_dirstat stat{};
  stat.size = sizeof stat;
  ASSERT_EQ(0, myfs_dirstats(task_, "d", 0, &stat)) << last_message();
  EXPECT_EQ(2u, stat.entries);
  EXPECT_EQ(1u, stat.subdirs);
  EXPECT_EQ(5u, stat.bytes);
  ASSERT_EQ(0, myfs_dirstats(task_, "d", 1, &stat)) << last_message();
  EXPECT_EQ(4u, stat.entries);
  EXPECT_EQ(1u, stat.subdirs);
  EXPECT_EQ(8u, stat.bytes) << "a file with two names counts once";
}

// What is written and has not gone to the server counts.
TEST_F(Listing, dirstats_KnowsWhatACacheHolds) {
  make_dir("d");
  int fd = open("d/f");
  write(fd, std::string(10'000, 'x'));
  myfs_dirstat stat{};
  stat.size = sizeof stat;
  ASSERT_EQ(0, myfs_dirstats(task_, "d", 1, &stat)) << last_message();
  EXPECT_EQ(10'000u, stat.bytes);
  close(fd);
}

TEST_F(Listing, dirstats_EINVAL) {
  myfs_dirstat stat{};
  EXPECT_EQ(-EINVAL, myfs_dirstats(task_, ".", 0, &stat));
  EXPECT_EQ(-EINVAL, myfs_dirstats(task_, ".", 0, nullptr));
  stat.size = sizeof stat;
  EXPECT_EQ(-EINVAL, myfs_dirstats(task_, ".", 2, &stat));
  EXPECT_EQ(-EINVAL, myfs_dirstats(task_, nullptr, 0, &stat));
}

TEST_F(Listing, dirstats_ENOTDIR) {
  make_file("f");
  myfs_dirstat stat{};
  stat.size = sizeof stat;
  EXPECT_EQ(-ENOTDIR, myfs_dirstats(task_, "f", 0, &stat));
}

TEST_F(Listing, dirstats_EACCES) {
  make_dir("d");
  make_dir("d/shut", 0700);
  myfs_dirstat stat{};
  stat.size = sizeof stat;
  EXPECT_EQ(0, myfs_dirstats_x(task_, user(), "d", 0, &stat)) << last_message();
  EXPECT_EQ(-EACCES, myfs_dirstats_x(task_, user(), "d", 1, &stat));
}

// Removed by another client, open here.
TEST_F(ApiTest, AnOpenDirectoryOutlivesItsRemoval) {
  make_dir("d");
  const int dir = open("d", O_RDONLY | O_DIRECTORY);
  ASSERT_GE(dir, 0);
  myfs_task* other = nullptr;
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &other)) << last_message();
  EXPECT_EQ(0, myfs_rmdir(other, (home() + "/d").c_str())) << last_message();
  EXPECT_EQ(0, myfs_fchmod(task_, dir, 0700)) << last_message();
  EXPECT_EQ(0, myfs_fsetxattr(task_, dir, "user.a", "x", 1, 0)) << last_message();
  const timespec times[2] = {{1, 0}, {2, 0}};
  EXPECT_EQ(0, myfs_futimens(task_, dir, times)) << last_message();
  struct stat st {};
  EXPECT_EQ(0, myfs_fstat(task_, dir, &st)) << last_message();
  EXPECT_EQ(S_IFDIR | 0700u, st.st_mode);
  EXPECT_EQ(0u, st.st_nlink);
  EXPECT_EQ(2, st.st_mtim.tv_sec);
  EXPECT_EQ(-ENOENT, myfs_mkdirat(task_, dir, "x", 0755));
  EXPECT_EQ(0, myfs_close(task_, dir)) << last_message();
  EXPECT_EQ(0, myfs_task_destroy(other)) << last_message();
}

}  // namespace
}  // namespace myfs::test
