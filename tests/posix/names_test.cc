// Names: looking up, renaming, links, odd names, the working directory.

#include <set>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

using Rename = ApiTest;

TEST_F(Rename, MovesFilesAndDirectories) {
  make_dir("d");
  make_dir("e");
  make_file("f", "text");
  uint64_t file = stat("f").st_ino;
  ASSERT_EQ(0, myfs_rename(task_, "f", "d/g"));
  EXPECT_EQ("<ENOENT>", content("f"));
  EXPECT_EQ("text", content("d/g"));
  EXPECT_EQ(file, stat("d/g").st_ino);
  uint64_t up = stat("e").st_ino;
  ASSERT_EQ(0, myfs_rename(task_, "d", "e/d"));
  EXPECT_EQ("text", content("e/d/g"));
  EXPECT_EQ(up, stat("e/d/..").st_ino);
  EXPECT_EQ(3u, stat("e").st_nlink);
  EXPECT_EQ(3u, stat(".").st_nlink);
}

TEST_F(Rename, ReplacesAtomically) {
  make_file("a", "new");
  make_file("b", "old");
  int old = open("b", O_RDONLY);
  ASSERT_EQ(0, myfs_rename(task_, "a", "b"));
  EXPECT_EQ("new", content("b"));
  EXPECT_EQ("<ENOENT>", content("a"));
  EXPECT_EQ("old", pread(old, 10, 0));
  close(old);
  make_dir("x");
  make_dir("y");
  make_file("x/f");
  ASSERT_EQ(0, myfs_rename(task_, "x", "y"));
  EXPECT_EQ("content", content("y/f"));
}

// To a name of the same file: nothing happens (POSIX).
TEST_F(Rename, OfOneFileToItself) {
  make_file("a");
  ASSERT_EQ(0, myfs_link(task_, "a", "b"));
  EXPECT_EQ(0, myfs_rename(task_, "a", "b"));
  EXPECT_EQ(2u, stat("a").st_nlink);
  EXPECT_EQ(stat("a").st_ino, stat("b").st_ino);
  EXPECT_EQ(0, myfs_rename(task_, "a", "a"));
  EXPECT_EQ(0, myfs_rename(task_, "a", "./a"));
  EXPECT_EQ(-EEXIST, myfs_rename2(task_, "a", "b", 1));
}

TEST_F(Rename, Exchanges) {
  make_file("f", "file");
  make_dir("d");
  make_file("d/in", "inside");
  make_dir("other");
  ASSERT_EQ(0, myfs_rename2(task_, "f", "d", 2)) << last_message();
  EXPECT_EQ("file", content("d"));
  EXPECT_EQ("inside", content("f/in"));
  ASSERT_EQ(0, myfs_rename(task_, "f", "other/f"));
  ASSERT_EQ(0, myfs_rename2(task_, "d", "other/f", 2));
  EXPECT_EQ("file", content("other/f"));
  EXPECT_EQ("inside", content("d/in"));
  EXPECT_EQ(stat(".").st_ino, stat("d/..").st_ino);
  EXPECT_EQ(-ENOENT, myfs_rename2(task_, "d", "missing", 2));
  EXPECT_EQ(-EINVAL, myfs_rename2(task_, "other", "other/f", 2));
}

TEST_F(Rename, TrailingSlashes) {
  make_dir("d");
  make_file("f");
  EXPECT_EQ(0, myfs_rename(task_, "d/", "e/"));
  EXPECT_EQ(-ENOTDIR, myfs_rename(task_, "f/", "g"));
  EXPECT_EQ(-ENOTDIR, myfs_rename(task_, "f", "g/"));
  EXPECT_TRUE(S_ISDIR(stat("e").st_mode));
}

TEST_F(Rename, OfALinkAndNotItsTarget) {
  make_file("f");
  ASSERT_EQ(0, myfs_symlink(task_, "f", "l"));
  ASSERT_EQ(0, myfs_rename(task_, "l", "m"));
  EXPECT_TRUE(S_ISLNK(stat("m").st_mode));
  make_file("g", "other");
  ASSERT_EQ(0, myfs_rename(task_, "g", "m"));
  EXPECT_TRUE(S_ISREG(stat("m").st_mode));
  EXPECT_EQ("content", content("f"));
}

using Link = ApiTest;

TEST_F(Link, NamesOfOneFile) {
  make_file("a");
  ASSERT_EQ(0, myfs_link(task_, "a", "b"));
  make_dir("d");
  ASSERT_EQ(0, myfs_link(task_, "b", "d/c"));
  EXPECT_EQ(3u, stat("a").st_nlink);
  EXPECT_EQ(stat("a").st_ino, stat("d/c").st_ino);
  int fd = open("b", O_WRONLY);
  write(fd, "CON");
  close(fd);
  EXPECT_EQ("CONtent", content("d/c"));
  ASSERT_EQ(0, myfs_chmod(task_, "a", 0600));
  EXPECT_EQ(0600u, mode("b"));
  ASSERT_EQ(0, myfs_unlink(task_, "a"));
  EXPECT_EQ(2u, stat("b").st_nlink);
  ASSERT_EQ(0, myfs_unlink(task_, "b"));
  EXPECT_EQ("CONtent", content("d/c"));
  EXPECT_EQ(1u, stat("d/c").st_nlink);
}

TEST_F(Link, ChangesTheTimesThatItShould) {
  make_file("a");
  struct stat before = stat("a");
  ASSERT_EQ(0, myfs_link(task_, "a", "b"));
  struct stat after = stat("a");
  EXPECT_EQ(before.st_mtim.tv_nsec, after.st_mtim.tv_nsec);
  EXPECT_TRUE(before.st_ctim.tv_sec < after.st_ctim.tv_sec ||
              before.st_ctim.tv_nsec != after.st_ctim.tv_nsec);
}

TEST_F(Link, OfASymbolicLinkIsOneItself) {
  make_file("f");
  ASSERT_EQ(0, myfs_symlink(task_, "f", "l"));
  ASSERT_EQ(0, myfs_link(task_, "l", "m"));
  EXPECT_TRUE(S_ISLNK(stat("m").st_mode));
  EXPECT_EQ(2u, stat("l").st_nlink);
  EXPECT_EQ(1u, stat("f").st_nlink);
}

TEST_F(Link, CountOfDirectories) {
  make_dir("d");
  EXPECT_EQ(2u, stat("d").st_nlink);
  make_dir("d/a");
  make_dir("d/b");
  make_file("d/f");
  EXPECT_EQ(4u, stat("d").st_nlink);
  ASSERT_EQ(0, myfs_rmdir(task_, "d/a"));
  EXPECT_EQ(3u, stat("d").st_nlink);
}

using Symlink = ApiTest;

TEST_F(Symlink, TargetsOfAllLengths) {
  for (size_t length : {1u, 59u, 60u, 255u, 256u, 1000u, 4094u, 4095u}) {
    std::string target(length, 't'), name = "l" + std::to_string(length);
    ASSERT_EQ(0, myfs_symlink(task_, target.c_str(), name.c_str())) << length;
    EXPECT_EQ(static_cast<off_t>(length), stat(name.c_str()).st_size);
    std::string got(5000, '?');
    ASSERT_EQ(static_cast<ssize_t>(length),
              myfs_readlink(task_, name.c_str(), got.data(), got.size()));
    EXPECT_EQ(target, got.substr(0, length));
  }
}

TEST_F(Symlink, AreFollowedInTheMiddleAndAtTheEnd) {
  make_dir("d");
  make_dir("d/e");
  make_file("d/e/f", "found");
  ASSERT_EQ(0, myfs_symlink(task_, "d/e", "relative"));
  ASSERT_EQ(0, myfs_symlink(task_, (home() + "/d").c_str(), "absolute"));
  ASSERT_EQ(0, myfs_symlink(task_, "../e/f", "d/e/up"));
  ASSERT_EQ(0, myfs_symlink(task_, "relative/", "slash"));
  EXPECT_EQ("found", content("relative/f"));
  EXPECT_EQ("found", content("absolute/e/f"));
  EXPECT_EQ("found", content("d/e/up"));
  EXPECT_EQ("found", content("slash/up"));
  // ".." is taken where the link leads to.
  EXPECT_EQ("found", content("relative/../e/f"));
  EXPECT_EQ(stat("d").st_ino, stat("relative/..").st_ino);
}

TEST_F(Symlink, CallsThatDoNotFollow) {
  make_dir("d");
  make_file("d/f");
  ASSERT_EQ(0, myfs_symlink(task_, "d", "l"));
  EXPECT_TRUE(S_ISLNK(stat("l").st_mode));
  // A trailing slash follows.
  EXPECT_TRUE(S_ISDIR(stat("l/").st_mode));
  EXPECT_EQ(-ENOTDIR, myfs_rmdir(task_, "l"));
  EXPECT_EQ(-ENOTDIR, myfs_rmdir(task_, "l/"));
  EXPECT_EQ(-EEXIST, myfs_mkdir(task_, "l", 0755));
  ASSERT_EQ(0, myfs_unlink(task_, "l"));
  EXPECT_EQ("content", content("d/f"));
}

using Names = ApiTest;

TEST_F(Names, AreBytes) {
  const std::string names[] = {"\xff\xfe\x80", "\x01\n\t ", "caf\xe9", "\xc3\xa9",
                               "e\xcc\x81",    " ",         "-rf",     "...",
                               "a\\b",         "Case",      "case",    std::string(255, '\xee')};
  std::vector<std::string> expected(std::begin(names), std::end(names));
  make_dir("d");
  for (const std::string& name : names) {
    std::string path = "d/" + name;
    make_file(path.c_str(), name);
  }
  Client other(server_->url());
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(expected, other.list(home() + "/d"));
  for (const std::string& name : names) EXPECT_EQ(name, other.get(home() + "/d/" + name));
}

TEST_F(Names, SlashesAndDots) {
  make_dir("d");
  make_file("d/f");
  EXPECT_EQ("content", content("d//f"));
  EXPECT_EQ("content", content("./d/./f"));
  EXPECT_EQ("content", content("d/../d/f"));
  EXPECT_EQ("content", content((home() + "///d/f").c_str()));
  EXPECT_EQ(0, myfs_mkdir(task_, "e///", 0755));
  EXPECT_TRUE(S_ISDIR(stat("e/").st_mode));
  EXPECT_EQ(-ENOENT, myfs_unlink(task_, "missing/"));
  EXPECT_EQ(-ENOTDIR, myfs_unlink(task_, "d/f/"));
  EXPECT_EQ(stat("/").st_ino, stat("/..").st_ino);
  EXPECT_EQ(stat("/").st_ino, stat("/../../..").st_ino);
  // 4095 bytes of "./" with a name at the end.
  std::string path;
  while (path.size() < 4092) path += "./";
  path += "d/f";
  ASSERT_EQ(4095u, path.size());
  EXPECT_EQ("content", content(path.c_str()));
}

TEST_F(Names, DeepTreesAreReachedStepByStep) {
  std::string name(200, 'd');
  for (int depth = 0; depth < 30; ++depth) {
    ASSERT_EQ(0, myfs_mkdir(task_, name.c_str(), 0755));
    ASSERT_EQ(0, myfs_chdir(task_, name.c_str()));
  }
  make_file("bottom");
  EXPECT_EQ("content", content("bottom"));
  for (int depth = 0; depth < 15; ++depth) ASSERT_EQ(0, myfs_chdir(task_, ".."));
  char buffer[16384];
  EXPECT_EQ(static_cast<ssize_t>(home().size() + 15 * 201 + 1),
            myfs_getcwd(task_, buffer, sizeof buffer));
}

// As the system call: what is longer than a path can be is not told.
TEST_F(Names, getcwd_ENAMETOOLONG) {
  std::string name(250, 'd');
  char buffer[16384];
  for (int depth = 0; depth < 17; ++depth) {
    ASSERT_EQ(0, myfs_mkdir(task_, name.c_str(), 0755));
    ASSERT_EQ(0, myfs_chdir(task_, name.c_str()));
    ssize_t length = static_cast<ssize_t>(home().size()) + (depth + 1) * 251 + 1;
    EXPECT_EQ(length > 4096 ? -ENAMETOOLONG : length, myfs_getcwd(task_, buffer, sizeof buffer));
  }
  ASSERT_EQ(0, myfs_chdir(task_, "/"));
}

using Cwd = ApiTest;

TEST_F(Cwd, GetcwdTellsWhereWeAre) {
  char buffer[256];
  ASSERT_EQ(static_cast<ssize_t>(home().size() + 1), myfs_getcwd(task_, buffer, sizeof buffer));
  EXPECT_EQ(home(), buffer);
  make_dir("d");
  ASSERT_EQ(0, myfs_symlink(task_, "d", "l"));
  ASSERT_EQ(0, myfs_chdir(task_, "l"));
  ASSERT_LT(0, myfs_getcwd(task_, buffer, sizeof buffer));
  EXPECT_EQ(home() + "/d", buffer);
  // It moves with the directory.
  ASSERT_EQ(0, myfs_rename(task_, "../d", "../e"));
  ASSERT_LT(0, myfs_getcwd(task_, buffer, sizeof buffer));
  EXPECT_EQ(home() + "/e", buffer);
  ASSERT_EQ(0, myfs_chdir(task_, "/"));
  ASSERT_EQ(2, myfs_getcwd(task_, buffer, sizeof buffer));
  EXPECT_STREQ("/", buffer);
}

TEST_F(Cwd, IsOfTheTaskAlone) {
  Client other(server_->url());
  make_file("f");
  EXPECT_EQ("<ENOENT>", other.get("f"));
  ASSERT_EQ(0, myfs_chdir(other, home().c_str()));
  EXPECT_EQ("content", other.get("f"));
}

TEST_F(Cwd, OfADirectoryMovedAway) {
  make_dir("a");
  make_dir("a/b");
  make_dir("c");
  ASSERT_EQ(0, myfs_chdir(task_, "a/b"));
  ASSERT_EQ(0, myfs_rename(task_, (home() + "/a/b").c_str(), (home() + "/c/b").c_str()));
  make_file("f");
  EXPECT_EQ("content", content((home() + "/c/b/f").c_str()));
  EXPECT_EQ(stat((home() + "/c").c_str()).st_ino, stat("..").st_ino);
}

}  // namespace
}  // namespace myfs::test
