// What one client has cached changes at once when another one changes it: for every kind of change.

#include <linux/openat2.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include <filesystem>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

using Names = std::vector<std::string>;

class Coherence : public TwoClients {
 protected:
  void SetUp() override {
    TwoClients::SetUp();
    ASSERT_EQ(0, myfs_mkdir(a(), home().c_str(), 0755)) << last_message();
  }
  static std::string home() { return "/home"; }
  static std::string at(const std::string& name) { return home() + "/" + name; }
};
MYFS_ON_BOTH_TRANSPORTS(Coherence);

TEST_P(Coherence, ANameThatWasMissingAppears) {
  std::string file = at("f");
  for (int i = 0; i < 3; ++i) EXPECT_EQ(-ENOENT, b().find(file));
  EXPECT_EQ(Names{}, b().list(home()));
  ASSERT_EQ(0, a().put(file, "new"));
  EXPECT_EQ(0, b().find(file));
  EXPECT_EQ("new", b().get(file));
  EXPECT_EQ(Names{"f"}, b().list(home()));
}

TEST_P(Coherence, EveryKindOfNewNameAppears) {
  auto missing = [&](const char* name) { EXPECT_EQ(-ENOENT, b().find(at(name))); };
  auto present = [&](const char* name, mode_t type) {
    EXPECT_EQ(type, b().stat(at(name)).st_mode & S_IFMT) << name;
  };
  for (const char* name : {"dir", "link", "fifo", "hard", "moved", "made"}) missing(name);
  EXPECT_EQ(2u, b().stat(home()).st_nlink);
  ASSERT_EQ(0, myfs_mkdir(a(), at("dir").c_str(), 0755));
  present("dir", S_IFDIR);
  EXPECT_EQ(3u, b().stat(home()).st_nlink);
  ASSERT_EQ(0, myfs_symlink(a(), "target", at("link").c_str()));
  present("link", S_IFLNK);
  ASSERT_EQ(0, myfs_mknod(a(), at("fifo").c_str(), S_IFIFO | 0600, 0));
  present("fifo", S_IFIFO);
  ASSERT_EQ(0, a().put(at("made"), "text"));
  present("made", S_IFREG);
  EXPECT_EQ(1u, b().stat(at("made")).st_nlink);
  ASSERT_EQ(0, myfs_link(a(), at("made").c_str(), at("hard").c_str()));
  present("hard", S_IFREG);
  EXPECT_EQ(2u, b().stat(at("made")).st_nlink);
  ASSERT_EQ(0, myfs_rename(a(), at("made").c_str(), at("moved").c_str()));
  present("moved", S_IFREG);
  missing("made");
  EXPECT_EQ((Names{"dir", "fifo", "hard", "link", "moved"}), b().list(home()));
}

// What the renamer's own cache has under the old name may be long out of date.
TEST_P(Coherence, ARenameMovesWhatIsThereNotWhatWas) {
  ASSERT_EQ(0, a().put(at("old"), "old"));
  ASSERT_EQ(0, a().put(at("new"), "new"));
  EXPECT_EQ("old", b().get(at("old")));
  ASSERT_EQ(0, myfs_rename(a(), at("new").c_str(), at("old").c_str()));
  ASSERT_EQ(0, myfs_rename(b(), at("old").c_str(), at("moved").c_str()));
  EXPECT_EQ("new", b().get(at("moved")));
  // A name that was missing.
  EXPECT_EQ(-ENOENT, b().find(at("f")));
  ASSERT_EQ(0, a().put(at("f"), "text"));
  ASSERT_EQ(0, myfs_rename(b(), at("f").c_str(), at("g").c_str()));
  EXPECT_EQ("text", b().get(at("g")));
  // Exchanged.
  ASSERT_EQ(0, a().put(at("x"), "x"));
  ASSERT_EQ(0, a().put(at("y"), "y"));
  EXPECT_EQ("xy", b().get(at("x")) + b().get(at("y")));
  ASSERT_EQ(0, myfs_rename2(a(), at("x").c_str(), at("y").c_str(), 2));
  ASSERT_EQ(0, myfs_rename2(b(), at("x").c_str(), at("y").c_str(), 2));
  EXPECT_EQ("xy", b().get(at("x")) + b().get(at("y")));
}

TEST_P(Coherence, ARemovalKillsWhatIsThereNotWhatWas) {
  ASSERT_EQ(0, myfs_mkdir(a(), at("d").c_str(), 0755));
  EXPECT_EQ(Names{}, b().list(at("d")));
  ASSERT_EQ(0, myfs_rename(a(), at("d").c_str(), at("kept").c_str()));
  ASSERT_EQ(0, myfs_mkdir(a(), at("d").c_str(), 0755));
  ASSERT_EQ(0, myfs_rmdir(b(), at("d").c_str()));
  EXPECT_EQ(0, b().put(at("kept/f"), "text"));
}

// Nobody has it open, but both have it cached, one of them with what the server lacks.
TEST_P(Coherence, TheSpaceOfAFileThatOthersHaveCachedIsFreed) {
  const std::string text(size_t{1} << 20, 'x');
  const auto blocks = [&] {
    uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(server_.data_dir())) {
      if (entry.path().string().find("blocks") != std::string::npos && entry.is_regular_file())
        bytes += entry.file_size();
    }
    return bytes;
  };
  const uint64_t before = blocks();
  ASSERT_EQ(0, a().put(at("read"), text));
  const int written = a().open(at("written"), O_RDWR | O_CREAT);
  ASSERT_EQ(static_cast<ssize_t>(text.size()),
            myfs_pwrite(a(), written, text.data(), text.size(), 0));
  ASSERT_EQ(0, myfs_fsync(a(), written));
  ASSERT_EQ(1, myfs_pwrite(a(), written, "y", 1, 0));
  ASSERT_EQ(0, myfs_close(a(), written));
  EXPECT_EQ(text, b().get(at("read")));
  EXPECT_GE(blocks(), before + 2 * text.size());
  ASSERT_EQ(0, myfs_unlink(a(), at("read").c_str()));
  ASSERT_EQ(0, myfs_unlink(b(), at("written").c_str()));
  struct statfs stat;
  while (blocks() > before) ASSERT_EQ(0, myfs_statfs(b(), "/", &stat));
  EXPECT_EQ(0, myfs_sync(a()));
}

// The name is not cached any more, so O_CREAT finds the file at the server.
TEST_P(Coherence, ATruncationByAnOpenThatMayCreateCutsWhatIsCachedHere) {
  const int fd = b().open(at("f"), O_WRONLY | O_CREAT);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(8, myfs_write(b(), fd, "unwritten", 8));
  ASSERT_EQ(0, a().put(at("other"), ""));
  ASSERT_EQ(0, myfs_rename(a(), at("other").c_str(), at("another").c_str()));
  const int cut = b().open(at("f"), O_RDWR | O_CREAT | O_TRUNC);
  ASSERT_GE(cut, 0);
  EXPECT_EQ(0, b().stat(at("f")).st_size);
  EXPECT_EQ("", b().get(cut));
  EXPECT_EQ(0, myfs_close(b(), fd));
  EXPECT_EQ(0, myfs_close(b(), cut));
  EXPECT_EQ("", a().get(at("f")));
}

// Set by utimens: until something is written, whoever has the file open for writing, and whoever
// asks; then it is the time of the write.
TEST_P(Coherence, ATimeToComeStaysUntilAWrite) {
  ASSERT_EQ(0, a().put(at("f"), ""));
  const timespec times[2] = {{1, 0}, {4'000'000'000, 7}};
  ASSERT_EQ(0, myfs_utimens(a(), at("f").c_str(), times, 0));
  const int fd = a().open(at("f"), O_WRONLY);
  ASSERT_GE(fd, 0);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(4'000'000'000, b().stat(at("f")).st_mtim.tv_sec);
  ASSERT_EQ(1, myfs_write(a(), fd, "x", 1));
  EXPECT_LT(a().stat(at("f")).st_mtim.tv_sec, 4'000'000'000);
  EXPECT_LT(b().stat(at("f")).st_mtim.tv_sec, 4'000'000'000);
  ASSERT_EQ(0, myfs_close(a(), fd));
  EXPECT_LT(b().stat(at("f")).st_mtim.tv_sec, 4'000'000'000);
}

TEST_P(Coherence, ANameThatWasThereGoes) {
  ASSERT_EQ(0, a().put(at("f"), "text"));
  ASSERT_EQ(0, myfs_mkdir(a(), at("d").c_str(), 0755));
  EXPECT_EQ("text", b().get(at("f")));
  EXPECT_EQ((Names{"d", "f"}), b().list(home()));
  EXPECT_EQ(3u, b().stat(home()).st_nlink);
  ASSERT_EQ(0, myfs_unlink(a(), at("f").c_str()));
  EXPECT_EQ(-ENOENT, b().find(at("f")));
  EXPECT_EQ("<ENOENT>", b().get(at("f")));
  EXPECT_EQ(Names{"d"}, b().list(home()));
  ASSERT_EQ(0, myfs_rmdir(a(), at("d").c_str()));
  EXPECT_EQ(-ENOENT, b().find(at("d")));
  EXPECT_EQ(2u, b().stat(home()).st_nlink);
  EXPECT_EQ(Names{}, b().list(home()));
}

TEST_P(Coherence, RenameOverAFileShowsTheOther) {
  ASSERT_EQ(0, a().put(at("f"), "old"));
  EXPECT_EQ("old", b().get(at("f")));
  uint64_t old = b().stat(at("f")).st_ino;
  ASSERT_EQ(0, a().put(at("tmp"), "newer"));
  ASSERT_EQ(0, myfs_rename(a(), at("tmp").c_str(), at("f").c_str()));
  EXPECT_EQ("newer", b().get(at("f")));
  EXPECT_NE(old, b().stat(at("f")).st_ino);
  EXPECT_EQ(-ENOENT, b().find(at("tmp")));
}

TEST_P(Coherence, ADirectoryMovesWithAllBelow) {
  for (const char* dir : {"d", "d/e", "other"}) {
    ASSERT_EQ(0, myfs_mkdir(a(), at(dir).c_str(), 0755));
  }
  ASSERT_EQ(0, a().put(at("d/e/f"), "text"));
  EXPECT_EQ("text", b().get(at("d/e/f")));
  ASSERT_EQ(0, myfs_chdir(b(), at("d/e").c_str()));
  ASSERT_EQ(0, myfs_rename(a(), at("d/e").c_str(), at("other/g").c_str()));
  EXPECT_EQ("<ENOENT>", b().get(at("d/e/f")));
  EXPECT_EQ("text", b().get(at("other/g/f")));
  EXPECT_EQ("text", b().get("f")) << "the working directory moves along";
  EXPECT_EQ(b().stat(at("other")).st_ino, b().stat("..").st_ino);
  char cwd[256];
  ASSERT_LT(0, myfs_getcwd(b(), cwd, sizeof cwd));
  EXPECT_EQ(at("other/g"), cwd);
}

TEST_P(Coherence, ExchangeShowsBoth) {
  ASSERT_EQ(0, a().put(at("f"), "one"));
  ASSERT_EQ(0, a().put(at("g"), "two"));
  EXPECT_EQ("one", b().get(at("f")));
  EXPECT_EQ("two", b().get(at("g")));
  ASSERT_EQ(0, myfs_rename2(a(), at("f").c_str(), at("g").c_str(), 2));
  EXPECT_EQ("two", b().get(at("f")));
  EXPECT_EQ("one", b().get(at("g")));
}

TEST_P(Coherence, ASymbolicLinkThatWasReplacedLeadsElsewhere) {
  ASSERT_EQ(0, a().put(at("f"), "one"));
  ASSERT_EQ(0, a().put(at("g"), "two"));
  ASSERT_EQ(0, myfs_symlink(a(), "f", at("l").c_str()));
  EXPECT_EQ("one", b().get(at("l")));
  ASSERT_EQ(0, myfs_unlink(a(), at("l").c_str()));
  ASSERT_EQ(0, myfs_symlink(a(), "g", at("l").c_str()));
  EXPECT_EQ("two", b().get(at("l")));
}

TEST_P(Coherence, Attributes) {
  ASSERT_EQ(0, a().put(at("f"), "12345"));
  EXPECT_EQ(5, b().stat(at("f")).st_size);
  ASSERT_EQ(0, myfs_chmod(a(), at("f").c_str(), 0600));
  EXPECT_EQ(0600u, b().stat(at("f")).st_mode & 07777);
  timespec times[2] = {{11, 1}, {12, 2}};
  ASSERT_EQ(0, myfs_utimens(a(), at("f").c_str(), times, 0));
  EXPECT_EQ(12, b().stat(at("f")).st_mtim.tv_sec);
  EXPECT_EQ(2, b().stat(at("f")).st_mtim.tv_nsec);
  ASSERT_EQ(0, myfs_truncate(a(), at("f").c_str(), 2));
  EXPECT_EQ(2, b().stat(at("f")).st_size);
  ASSERT_EQ(0, myfs_truncate(a(), at("f").c_str(), 100'000));
  EXPECT_EQ(100'000, b().stat(at("f")).st_size);
  EXPECT_NE(12, b().stat(at("f")).st_mtim.tv_sec);
  ASSERT_EQ(0, myfs_chmod(a(), home().c_str(), 0711));
  EXPECT_EQ(0711u, b().stat(home()).st_mode & 07777);
}

TEST_P(Coherence, OwnersAndWhatTheyMayDo) {
  ASSERT_EQ(0, a().put(at("f"), "text"));
  if (::geteuid() == 0) {
    EXPECT_EQ(0u, b().stat(at("f")).st_uid);
    ASSERT_EQ(0, myfs_chown(a(), at("f").c_str(), 1000, 1001));
    EXPECT_EQ(1000u, b().stat(at("f")).st_uid);
    EXPECT_EQ(1001u, b().stat(at("f")).st_gid);
    // Permission is checked from the new attributes, for callers that B answers from its cache.
    myfs_cred cred{sizeof cred, 1000, 1000, nullptr, 0};
    myfs_call call{sizeof call, &cred, 0, nullptr};
    ASSERT_EQ(0, myfs_access_x(b(), &call, at("f").c_str(), W_OK));
    ASSERT_EQ(0, myfs_chmod(a(), at("f").c_str(), 0444));
    EXPECT_EQ(-EACCES, myfs_access_x(b(), &call, at("f").c_str(), W_OK));
    EXPECT_EQ(-EACCES, myfs_open_x(b(), &call, at("f").c_str(), O_WRONLY, 0));
    ASSERT_EQ(0, myfs_chmod(a(), home().c_str(), 0700));
    EXPECT_EQ(-EACCES, myfs_access_x(b(), &call, at("f").c_str(), R_OK));
  } else {
    EXPECT_EQ(0, myfs_access(b(), at("f").c_str(), W_OK));
    ASSERT_EQ(0, myfs_chmod(a(), at("f").c_str(), 0444));
    EXPECT_EQ(-EACCES, myfs_access(b(), at("f").c_str(), W_OK));
  }
}

TEST_P(Coherence, ExtendedAttributes) {
  ASSERT_EQ(0, a().put(at("f"), ""));
  char value[16] = {};
  auto get = [&] { return myfs_getxattr(b(), at("f").c_str(), "user.a", value, sizeof value, 0); };
  EXPECT_EQ(-ENODATA, get());
  ASSERT_EQ(0, myfs_setxattr(a(), at("f").c_str(), "user.a", "one", 3, 0, 0));
  EXPECT_EQ(3, get());
  ASSERT_EQ(0, myfs_setxattr(a(), at("f").c_str(), "user.a", "three", 5, XATTR_REPLACE, 0));
  EXPECT_EQ(5, get());
  EXPECT_EQ("three", std::string(value, 5));
  EXPECT_EQ(7, myfs_listxattr(b(), at("f").c_str(), nullptr, 0, 0));
  ASSERT_EQ(0, myfs_removexattr(a(), at("f").c_str(), "user.a", 0));
  EXPECT_EQ(-ENODATA, get());
  EXPECT_EQ(0, myfs_listxattr(b(), at("f").c_str(), nullptr, 0, 0));
}

TEST_P(Coherence, ContentThatWasClosed) {
  std::string path = at("f");
  for (int i = 0; i < 20; ++i) {
    std::string text =
        "generation " + std::to_string(i) + std::string(static_cast<size_t>(i) * 997, 'x');
    Client& writer = i % 3 == 2 ? b() : a();
    Client& reader = i % 3 == 2 ? a() : b();
    ASSERT_EQ(0, writer.put(path, text));
    ASSERT_EQ(text, reader.get(path));
    ASSERT_EQ(static_cast<off_t>(text.size()), reader.stat(path).st_size);
  }
}

// write() has returned: no close, no fsync is needed for another client to see it.
TEST_P(Coherence, ContentThatIsStillInTheWritersCache) {
  int writer = a().open(at("f"), O_RDWR | O_CREAT);
  ASSERT_GE(writer, 0);
  int reader = b().open(at("f"));
  ASSERT_GE(reader, 0);
  for (int i = 0; i < 20; ++i) {
    std::string text = "line " + std::to_string(i) + "\n";
    ASSERT_EQ(static_cast<ssize_t>(text.size()),
              myfs_pwrite(a(), writer, text.data(), text.size(), i * 5000));
    std::string got(text.size(), '?');
    ASSERT_EQ(static_cast<ssize_t>(text.size()),
              myfs_pread(b(), reader, got.data(), got.size(), i * 5000));
    ASSERT_EQ(text, got);
    ASSERT_EQ(i * 5000 + static_cast<off_t>(text.size()), b().stat(at("f")).st_size);
  }
  EXPECT_EQ(0, myfs_close(a(), writer));
  EXPECT_EQ(0, myfs_close(b(), reader));
}

TEST_P(Coherence, TruncateByOpening) {
  ASSERT_EQ(0, a().put(at("f"), "old content"));
  int reader = b().open(at("f"));
  EXPECT_EQ("old content", b().get(reader));
  int writer = a().open(at("f"), O_WRONLY | O_TRUNC);
  ASSERT_GE(writer, 0);
  EXPECT_EQ("", b().get(reader));
  EXPECT_EQ(0, b().stat(at("f")).st_size);
  EXPECT_EQ(0, myfs_close(a(), writer));
  EXPECT_EQ(0, myfs_close(b(), reader));
}

TEST_P(Coherence, MtimeOfAWriteIsTheSameForBoth) {
  ASSERT_EQ(0, a().put(at("f"), "1"));
  for (int i = 0; i < 5; ++i) {
    int fd = a().open(at("f"), O_WRONLY);
    ASSERT_EQ(1, myfs_write(a(), fd, "2", 1));
    struct stat at_b = b().stat(at("f")), at_a = a().stat(at("f"));
    EXPECT_EQ(at_a.st_mtim.tv_sec, at_b.st_mtim.tv_sec);
    EXPECT_EQ(at_a.st_mtim.tv_nsec, at_b.st_mtim.tv_nsec);
    ASSERT_EQ(0, myfs_close(a(), fd));
    at_b = b().stat(at("f"));
    EXPECT_EQ(at_a.st_mtim.tv_nsec, at_b.st_mtim.tv_nsec) << "closing changes no time";
  }
}

TEST_P(Coherence, AListingThatWasCompleteIsNotBelievedAnyMore) {
  ASSERT_EQ(0, myfs_mkdir(a(), at("d").c_str(), 0755));
  for (int i = 0; i < 300; ++i) ASSERT_EQ(0, a().put(at("d/" + std::to_string(i)), ""));
  EXPECT_EQ(300u, b().list(at("d")).size());
  EXPECT_EQ(-ENOENT, b().find(at("d/new")));
  for (int i = 0; i < 20; ++i) {
    std::string name = at("d/new" + std::to_string(i));
    ASSERT_EQ(0, a().put(name, "x"));
    ASSERT_EQ(0, b().find(name));
    ASSERT_EQ(301u + static_cast<size_t>(i), b().list(at("d")).size());
  }
}

// Each in turn, in one directory: nobody ever sees an old state of it.
TEST_P(Coherence, PingPongOfNames) {
  Client* clients[] = {&a(), &b()};
  for (int i = 0; i < 100; ++i) {
    Client &one = *clients[i % 2], &two = *clients[1 - i % 2];
    std::string name = at("turn" + std::to_string(i));
    ASSERT_EQ(-ENOENT, two.find(name));
    ASSERT_EQ(0, one.put(name, std::to_string(i)));
    ASSERT_EQ(std::to_string(i), two.get(name));
    if (i == 0) continue;
    std::string last = at("turn" + std::to_string(i - 1));
    ASSERT_EQ(0, myfs_unlink(two, last.c_str()));
    ASSERT_EQ(-ENOENT, one.find(last));
    ASSERT_EQ(Names{"turn" + std::to_string(i)}, one.list(home()));
  }
}

// What B knows of a subtree is not lost by changes elsewhere, and not kept for what did change.
TEST_P(Coherence, OnlyOneOfManyFilesChanges) {
  for (int i = 0; i < 50; ++i) ASSERT_EQ(0, a().put(at(std::to_string(i)), "same"));
  for (int i = 0; i < 50; ++i) ASSERT_EQ("same", b().get(at(std::to_string(i))));
  ASSERT_EQ(0, a().put(at("17"), "other"));
  for (int i = 0; i < 50; ++i) {
    ASSERT_EQ(i == 17 ? "other" : "same", b().get(at(std::to_string(i))));
  }
}

// The upper bound of an option: attributes older than it are asked for again even under a lease;
// the data stay coherent in any case.
TEST_P(Coherence, WithCacheTimeoutZeroToo) {
  Client c(url(), "cache_timeout=0");
  ASSERT_EQ(0, a().put(at("f"), "one"));
  EXPECT_EQ("one", c.get(at("f")));
  ASSERT_EQ(0, a().put(at("f"), "three"));
  EXPECT_EQ(5, c.stat(at("f")).st_size);
  EXPECT_EQ("three", c.get(at("f")));
}

TEST_P(Coherence, StatChangesAfterChmod) {
  ASSERT_EQ(0, a().put("/f", "one"));
  EXPECT_EQ(0644u, b().stat("/f").st_mode & 07777);
  for (mode_t mode = 0600; mode < 0620; ++mode) {
    ASSERT_EQ(0, myfs_chmod(a(), "/f", mode));
    ASSERT_EQ(mode, b().stat("/f").st_mode & 07777);
  }
}

TEST_P(Coherence, SizeAndTimeOfAFileThatIsBeingWritten) {
  int fd = a().open("/f", O_RDWR | O_CREAT);
  ASSERT_GE(fd, 0);
  for (int i = 1; i <= 20; ++i) {
    ASSERT_EQ(4, myfs_write(a(), fd, "1234", 4));
    struct stat mine {};
    ASSERT_EQ(0, myfs_fstat(a(), fd, &mine));
    struct stat other = b().stat("/f");
    ASSERT_EQ(4 * i, mine.st_size);
    ASSERT_EQ(4 * i, other.st_size);
    ASSERT_EQ(mine.st_mtim.tv_sec, other.st_mtim.tv_sec);
    ASSERT_EQ(mine.st_mtim.tv_nsec, other.st_mtim.tv_nsec);
  }
  EXPECT_EQ(0, myfs_close(a(), fd));
}

TEST_P(Coherence, NegativeLookUpChanges) {
  for (int i = 0; i < 20; ++i) {
    std::string path = "/n" + std::to_string(i);
    ASSERT_EQ(-ENOENT, b().find(path));
    ASSERT_EQ(-ENOENT, b().find(path));
    ASSERT_EQ(0, a().put(path, "x"));
    ASSERT_EQ(0, b().find(path));
    ASSERT_EQ(0, myfs_unlink(a(), path.c_str()));
    ASSERT_EQ(-ENOENT, b().find(path));
  }
}

TEST_P(Coherence, NegativeLookUpInAListedDirectoryChanges) {
  ASSERT_EQ(0, myfs_mkdir(a(), "/d", 0777));
  ASSERT_EQ(0, a().put("/d/x", "1"));
  ASSERT_EQ(Names({"x"}), b().list("/d"));
  ASSERT_EQ(-ENOENT, b().find("/d/y"));  // known from the listing
  ASSERT_EQ(0, a().put("/d/y", "1"));
  EXPECT_EQ(0, b().find("/d/y"));
}

TEST_P(Coherence, ContentOfOpenFilesChangesWithoutCloseOrSync) {
  int wa = a().open("/f", O_RDWR | O_CREAT);
  ASSERT_GE(wa, 0);
  int rb = b().open("/f", O_RDONLY);
  ASSERT_GE(rb, 0);
  char buffer[16] = {};
  for (int i = 0; i < 50; ++i) {
    std::string text = pattern(16, i);
    ASSERT_EQ(16, myfs_pwrite(a(), wa, text.data(), 16, 8 * i));
    ASSERT_EQ(16, myfs_pread(b(), rb, buffer, 16, 8 * i));
    ASSERT_EQ(text, std::string(buffer, 16));
  }
  EXPECT_EQ(0, myfs_close(a(), wa));
  EXPECT_EQ(0, myfs_close(b(), rb));
}

TEST_P(Coherence, PathsChangeWhenADirectoryAboveMoves) {
  ASSERT_EQ(0, myfs_mkdir(a(), "/p", 0777));
  ASSERT_EQ(0, myfs_mkdir(a(), "/p/q", 0777));
  ASSERT_EQ(0, a().put("/p/q/f", "deep"));
  EXPECT_EQ("deep", b().get("/p/q/f"));
  ASSERT_EQ(0, myfs_rename(a(), "/p", "/r"));
  EXPECT_EQ(-ENOENT, b().find("/p/q/f"));
  EXPECT_EQ("deep", b().get("/r/q/f"));
  ASSERT_EQ(0, myfs_rename(a(), "/r/q", "/q"));
  EXPECT_EQ(-ENOENT, b().find("/r/q"));
  EXPECT_EQ("deep", b().get("/q/f"));
}

TEST_P(Coherence, DotDotFollowsADirectoryThatMoved) {
  ASSERT_EQ(0, myfs_mkdir(a(), "/p", 0777));
  ASSERT_EQ(0, myfs_mkdir(a(), "/q", 0777));
  ASSERT_EQ(0, myfs_mkdir(a(), "/p/d", 0777));
  ASSERT_EQ(0, a().put("/q/here", "x"));
  ASSERT_EQ(0, myfs_chdir(b(), "/p/d"));
  EXPECT_EQ(-ENOENT, b().find("../here"));
  ASSERT_EQ(0, myfs_rename(a(), "/p/d", "/q/d"));
  EXPECT_EQ(0, b().find("../here"));
}

// The directory gets another dentry, and so does the root above it.
TEST_P(Coherence, ADirectoryThatOthersMoveStaysBelowTheRoot) {
  for (const char* path : {"/jail", "/jail/a", "/jail/a/b"}) {
    ASSERT_EQ(0, myfs_mkdir(a(), path, 0777));
  }
  ASSERT_EQ(0, a().put("/x", "outside"));
  ASSERT_EQ(0, a().put("/jail/x", "inside"));
  ASSERT_EQ(0, myfs_chroot(b(), "/jail")) << last_message();
  ASSERT_EQ(0, myfs_chdir(b(), "/a/b"));
  ASSERT_EQ(0, myfs_rename(a(), "/jail/a/b", "/jail/b2"));
  EXPECT_EQ("inside", b().get("../../x"));
  EXPECT_EQ("inside", b().get("../../../x"));
  EXPECT_EQ("inside", b().get("/b2/../../x"));
  char cwd[64];
  EXPECT_EQ(4, myfs_getcwd(b(), cwd, sizeof cwd)) << last_message();
  EXPECT_STREQ("/b2", cwd);
  const int root = b().open("/", O_PATH | O_DIRECTORY);
  for (uint64_t resolve : {RESOLVE_BENEATH, RESOLVE_IN_ROOT}) {
    myfs_open_how how{sizeof how, O_RDONLY, 0, resolve};
    const int fd = myfs_openat2(b(), root, "b2/../x", &how);
    EXPECT_GE(fd, 0) << last_message();
    EXPECT_EQ("inside", b().get(fd));
    EXPECT_EQ(0, myfs_close(b(), fd));
  }
  EXPECT_EQ(0, myfs_close(b(), root));
}

TEST_P(Coherence, PermissionChanges) {
  ASSERT_EQ(0, myfs_mkdir(a(), "/d", 0755));
  ASSERT_EQ(0, a().put("/d/f", "x"));
  gid_t group = 4242;
  myfs_cred cred{};
  cred.size = sizeof cred;
  cred.uid = 4242;
  cred.gid = group;
  myfs_call call{};
  call.size = sizeof call;
  call.cred = &cred;
  struct stat st;
  ASSERT_EQ(0, myfs_stat_x(b(), &call, "/d/f", &st));
  ASSERT_EQ(0, myfs_chmod(a(), "/d", 0700));
  EXPECT_EQ(-EACCES, myfs_stat_x(b(), &call, "/d/f", &st));
  ASSERT_EQ(0, myfs_chmod(a(), "/d", 0755));
  EXPECT_EQ(0, myfs_stat_x(b(), &call, "/d/f", &st));
}

TEST_P(Coherence, LinkCountAndTargetOfANameChange) {
  ASSERT_EQ(0, a().put("/f", "x"));
  EXPECT_EQ(1u, b().stat("/f").st_nlink);
  ASSERT_EQ(0, myfs_link(a(), "/f", "/g"));
  EXPECT_EQ(2u, b().stat("/f").st_nlink);
  EXPECT_EQ(b().stat("/f").st_ino, b().stat("/g").st_ino);
  ASSERT_EQ(0, a().put("/h", "other"));
  ASSERT_EQ(0, myfs_rename(a(), "/h", "/g"));
  EXPECT_EQ(1u, b().stat("/f").st_nlink);
  EXPECT_EQ("other", b().get("/g"));
}

}  // namespace
}  // namespace myfs::test
