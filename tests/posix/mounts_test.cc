// The mount table of a task: bind, move, propagation, attributes, copies, and unmounting in every
// state.

#include <sys/mount.h>

#include <chrono>
#include <future>
#include <thread>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

class Mounts : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    make_dir("a");
    make_dir("a/in");
    make_file("a/file", "of a");
    make_dir("b");
    make_file("f", "plain");
  }
  int mount(const char* at) { return myfs_mount(task_, server_->url().c_str(), at, nullptr); }
  int make(uint64_t propagation, const char* at, unsigned flags = 0) {
    const myfs_mount_attr attr{sizeof attr, 0, 0, propagation};
    return myfs_mount_setattr(task_, at, flags, &attr);
  }
  int read_only(const char* at, bool value, unsigned flags = 0) {
    const uint64_t bit = MOUNT_ATTR_RDONLY;
    const myfs_mount_attr attr{sizeof attr, value ? bit : 0, value ? 0 : bit, 0};
    return myfs_mount_setattr(task_, at, flags, &attr);
  }
  std::string mountinfo(myfs_task* task) {
    const ssize_t size = myfs_mountinfo(task, nullptr, 0);
    EXPECT_GT(size, 0);
    std::string text(static_cast<size_t>(size), '\0');
    EXPECT_EQ(size, myfs_mountinfo(task, text.data(), text.size()));
    return text;
  }
};

TEST_F(Mounts, bind_ShowsADirectoryTwice) {
  ASSERT_EQ(0, myfs_bind(task_, "a", "b", 0)) << last_message();
  EXPECT_EQ("of a", content("b/file"));
  EXPECT_EQ(stat("a/file").st_ino, stat("b/file").st_ino);
  EXPECT_EQ(stat("a").st_dev, stat("b").st_dev);
  EXPECT_EQ(-EXDEV, myfs_rename(task_, "a/file", "b/moved"));
  EXPECT_EQ(0, myfs_rename(task_, "b/file", "b/moved"));
  EXPECT_EQ("of a", content("a/moved"));
  EXPECT_EQ(0, myfs_umount(task_, "b", 0)) << last_message();
  EXPECT_EQ("<ENOENT>", content("b/moved"));
}

TEST_F(Mounts, bind_OfAFile) {
  ASSERT_EQ(0, myfs_bind(task_, "a/file", "f", 0)) << last_message();
  EXPECT_EQ("of a", content("f"));
  EXPECT_EQ(-EBUSY, myfs_unlink(task_, "f"));
  EXPECT_EQ(0, myfs_umount(task_, "f", 0)) << last_message();
  EXPECT_EQ("plain", content("f"));
}

TEST_F(Mounts, bind_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_bind(task_, nullptr, "b", 0));
  EXPECT_EQ(-EINVAL, myfs_bind(task_, "a", nullptr, 0));
  EXPECT_EQ(-EINVAL, myfs_bind(task_, "a", "b", MS_NOSUID));
  ASSERT_EQ(0, mount("a"));
  ASSERT_EQ(0, make(MS_UNBINDABLE, "a"));
  EXPECT_EQ(-EINVAL, myfs_bind(task_, "a", "b", 0));
  EXPECT_EQ(0, myfs_umount(task_, "a", 0));
}

TEST_F(Mounts, bind_ENOTDIR) {
  EXPECT_EQ(-ENOTDIR, myfs_bind(task_, "a", "f", 0));
  EXPECT_EQ(-ENOTDIR, myfs_bind(task_, "f", "a", 0));
}

TEST_F(Mounts, bind_OfAPathThatIsNone) {
  EXPECT_EQ(-ENOENT, myfs_bind(task_, "none", "b", 0));
  EXPECT_EQ(-ENOENT, myfs_bind(task_, "a", "none", 0));
}

// Shared mounts that are bound onto themselves double with each bind.
TEST_F(Mounts, bind_ENOSPC) {
  ASSERT_EQ(0, myfs_bind(task_, "a", "a", 0));
  ASSERT_EQ(0, make(MS_SHARED, "a"));
  int last = 0;
  for (int i = 0; i < 20 && last == 0; ++i) last = myfs_bind(task_, "a", "a/in", MS_REC);
  EXPECT_EQ(-ENOSPC, last) << last_message();
  EXPECT_EQ("of a", content("a/file"));
  EXPECT_EQ(0, myfs_umount(task_, "a", MNT_DETACH)) << last_message();
  EXPECT_EQ("of a", content("a/file"));
}

TEST_F(Mounts, bind_OfATree) {
  ASSERT_EQ(0, mount("a/in"));
  const std::string inner = "in" + home() + "/f";
  ASSERT_EQ(0, myfs_bind(task_, "a", "b", MS_REC)) << last_message();
  EXPECT_EQ("plain", content(("b/" + inner).c_str()));
  EXPECT_EQ(-EBUSY, myfs_umount(task_, "b", 0));
  EXPECT_EQ(-EBUSY, myfs_umount(task_, "b", MNT_FORCE));
  EXPECT_EQ(0, myfs_umount(task_, "b", MNT_DETACH)) << last_message();
  EXPECT_EQ("plain", content(("a/" + inner).c_str()));
  EXPECT_EQ(0, myfs_umount(task_, "a/in", 0)) << last_message();
}

TEST_F(Mounts, move_mount_MovesWhatIsMounted) {
  ASSERT_EQ(0, mount("a"));
  ASSERT_EQ(0, myfs_move_mount(task_, "a", "b")) << last_message();
  EXPECT_EQ("of a", content("a/file"));
  EXPECT_EQ("plain", content(("b" + home() + "/f").c_str()));
  EXPECT_EQ(0, myfs_umount(task_, "b", 0)) << last_message();
}

TEST_F(Mounts, move_mount_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_move_mount(task_, "a", "b"));
  EXPECT_EQ(-EINVAL, myfs_move_mount(task_, "/", "b"));
  EXPECT_EQ(-EINVAL, myfs_move_mount(task_, nullptr, "b"));
}

TEST_F(Mounts, move_mount_ELOOP) {
  ASSERT_EQ(0, mount("a"));
  EXPECT_EQ(-ELOOP, myfs_move_mount(task_, "a", ("a" + home()).c_str()));
  EXPECT_EQ(0, myfs_umount(task_, "a", 0));
}

TEST_F(Mounts, move_mount_EINVAL_OfADirectoryOntoAFile) {
  ASSERT_EQ(0, mount("a"));
  EXPECT_EQ(-EINVAL, myfs_move_mount(task_, "a", "f"));
  EXPECT_EQ(0, myfs_umount(task_, "a", 0));
  ASSERT_EQ(0, myfs_bind(task_, "a/file", "f", 0));
  EXPECT_EQ(-EINVAL, myfs_move_mount(task_, "f", "b"));
  EXPECT_EQ(0, myfs_umount(task_, "f", 0));
}

// A third of all that there may be at least, for the places of five peers.
TEST_F(Mounts, move_mount_ENOSPC) {
  ASSERT_EQ(0, myfs_bind(task_, "a", "a", 0));
  make_dir("a/many");
  make_dir("a/many/in");
  ASSERT_EQ(0, myfs_bind(task_, "a/many", "a/many", 0));
  ASSERT_EQ(0, make(MS_SHARED, "a/many"));
  int last = 0;
  for (int i = 0; i < 20 && last == 0; ++i) {
    last = myfs_bind(task_, "a/many", "a/many/in", MS_REC);
  }
  ASSERT_EQ(-ENOSPC, last);
  make_dir("b/at");
  ASSERT_EQ(0, myfs_bind(task_, "b", "b", 0));
  ASSERT_EQ(0, make(MS_SHARED, "b"));
  for (const char* peer : {"p1", "p2", "p3", "p4"}) {
    make_dir(peer);
    ASSERT_EQ(0, myfs_bind(task_, "b", peer, 0));
  }
  EXPECT_EQ(-ENOSPC, myfs_move_mount(task_, "a", "b/at"));
  EXPECT_EQ("of a", content("a/file"));
  EXPECT_EQ(0, myfs_umount(task_, "a", MNT_DETACH)) << last_message();
}

TEST_F(Mounts, task_clone_ENOSPC) {
  ASSERT_EQ(0, myfs_bind(task_, "a", "a", 0));
  ASSERT_EQ(0, make(MS_SHARED, "a"));
  int last = 0;
  for (int i = 0; i < 20 && last == 0; ++i) last = myfs_bind(task_, "a", "a/in", MS_REC);
  ASSERT_EQ(-ENOSPC, last);
  std::vector<myfs_task*> copies;
  myfs_task* copy = nullptr;
  for (last = 0; copies.size() < 20;) {
    last = myfs_task_clone(task_, nullptr, &copy);
    if (last != 0) break;
    copies.push_back(copy);
  }
  EXPECT_EQ(-ENOSPC, last) << "they count together";
  for (myfs_task* each : copies) EXPECT_EQ(0, myfs_task_destroy(each));
  ASSERT_EQ(0, myfs_umount(task_, "a", MNT_DETACH)) << last_message();
  EXPECT_EQ(0, myfs_task_clone(task_, nullptr, &copy)) << last_message();
  EXPECT_EQ(0, myfs_task_destroy(copy));
}

TEST_F(Mounts, mount_setattr_EINVAL) {
  EXPECT_EQ(-EINVAL, read_only("a", true)) << "no mount";
  EXPECT_EQ(-EINVAL, make(MS_SHARED | MS_PRIVATE, "/"));
  EXPECT_EQ(-EINVAL, make(MS_SHARED, "/", AT_EMPTY_PATH));
  EXPECT_EQ(-EINVAL, myfs_mount_setattr(task_, "/", 0, nullptr));
  myfs_mount_attr attr{};
  EXPECT_EQ(-EINVAL, myfs_mount_setattr(task_, "/", 0, &attr));
  attr = {sizeof attr, MOUNT_ATTR_NOEXEC, 0, 0};
  EXPECT_EQ(-EINVAL, myfs_mount_setattr(task_, "/", 0, &attr));
  attr = {sizeof attr, MOUNT_ATTR_RDONLY, MOUNT_ATTR_RDONLY, 0};
  EXPECT_EQ(-EINVAL, myfs_mount_setattr(task_, "/", 0, &attr));
}

TEST_F(Mounts, mount_setattr_EBUSY) {
  ASSERT_EQ(0, myfs_bind(task_, "a", "b", 0));
  int fd = open("b/file", O_WRONLY);
  EXPECT_EQ(-EBUSY, read_only("b", true));
  write(fd, "still");
  close(fd);
  ASSERT_EQ(0, read_only("b", true)) << last_message();
  EXPECT_EQ(-EROFS, myfs_open(task_, "b/file", O_WRONLY, 0));
  EXPECT_EQ(-EROFS, myfs_mkdir(task_, "b/x", 0755));
  EXPECT_EQ(-EROFS, myfs_chmod(task_, "b/file", 0600));
  EXPECT_EQ(-EROFS, myfs_unlink(task_, "b/file"));
  EXPECT_EQ(-EROFS, myfs_setxattr(task_, "b/file", "user.x", "1", 1, 0, 0));
  EXPECT_EQ(0, myfs_chmod(task_, "a/file", 0600));
  ASSERT_EQ(0, read_only("b", false));
  EXPECT_EQ(0, myfs_mkdir(task_, "b/x", 0755));
  EXPECT_EQ(0, myfs_umount(task_, "b", 0)) << last_message();
}

TEST_F(Mounts, task_clone_IsAPrivateCopy) {
  ASSERT_EQ(0, mount("a"));
  ASSERT_EQ(0, myfs_chdir(task_, ("a" + home()).c_str()));
  myfs_task* copy = nullptr;
  ASSERT_EQ(0, myfs_task_clone(task_, nullptr, &copy)) << last_message();
  ASSERT_EQ(0, myfs_chdir(task_, home().c_str()));
  EXPECT_EQ(-EINVAL, myfs_task_clone(task_, nullptr, nullptr));
  EXPECT_EQ(0, myfs_umount(task_, "a", 0)) << last_message();
  struct stat st;
  EXPECT_EQ(0, myfs_stat(copy, "f", &st)) << last_message();
  EXPECT_EQ(0, myfs_stat(copy, (home() + "/a" + home() + "/f").c_str(), &st)) << last_message();
  EXPECT_EQ(-ENOENT, myfs_stat(task_, ("a" + home() + "/f").c_str(), &st));
  myfs_stats mine{}, its{};
  mine.size = its.size = sizeof mine;
  ASSERT_EQ(0, myfs_get_stats(task_, &mine));
  ASSERT_EQ(0, myfs_get_stats(copy, &its));
  EXPECT_LT(mine.connections, its.connections);
  EXPECT_EQ(0, myfs_task_destroy(copy)) << last_message();
  EXPECT_EQ("plain", content("f"));
}

// What the other task holds goes on when the first one ends.
TEST_F(Mounts, task_clone_OutlivesItsOriginal) {
  myfs_task* copy = nullptr;
  ASSERT_EQ(0, myfs_task_clone(task_, nullptr, &copy));
  EXPECT_EQ(0, myfs_task_destroy(task_));
  task_ = copy;
  EXPECT_EQ("plain", content("f"));
}

TEST_F(Mounts, task_clone_EINVAL) {
  myfs_cred bad{};
  myfs_task* copy = nullptr;
  EXPECT_EQ(-EINVAL, myfs_task_clone(task_, &bad, &copy));
  // An id of -1 is none.
  const gid_t none = static_cast<gid_t>(-1);
  bad = {sizeof bad, static_cast<uid_t>(-1), 0, nullptr, 0};
  EXPECT_EQ(-EINVAL, myfs_task_clone(task_, &bad, &copy));
  bad = {sizeof bad, 0, none, nullptr, 0};
  EXPECT_EQ(-EINVAL, myfs_task_clone(task_, &bad, &copy));
  bad = {sizeof bad, 0, 0, &none, 1};
  EXPECT_EQ(-EINVAL, myfs_task_clone(task_, &bad, &copy));
  EXPECT_EQ(-EINVAL, myfs_task_clone(nullptr, nullptr, &copy));
}

TEST_F(Mounts, mountinfo_ERANGE) {
  char few[4];
  EXPECT_EQ(-ERANGE, myfs_mountinfo(task_, few, sizeof few));
  EXPECT_EQ(-EINVAL, myfs_mountinfo(task_, nullptr, 100));
}

TEST_F(Mounts, mountinfo_TellsOfEach) {
  make_dir("with space");
  ASSERT_EQ(0, myfs_bind(task_, "a", "with space", 0));
  ASSERT_EQ(0, make(MS_SHARED, "with space"));
  ASSERT_EQ(0, read_only("with space", true));
  const std::string text = mountinfo(task_);
  EXPECT_NE(std::string::npos,
            text.find(" " + home() + "/a " + home() + "/with\\040space ro shared:"))
      << text;
  EXPECT_NE(std::string::npos, text.find(" / / rw - myfs " + server_->url())) << text;
  EXPECT_EQ(0, myfs_umount(task_, "with space", 0));
}

// --- unmounting in every state

TEST_F(Mounts, umount_LeavesTheOtherMountsOfAFileSystem) {
  ASSERT_EQ(0, myfs_bind(task_, "a", "b", 0));
  int fd = open("b/file", O_RDONLY);
  ASSERT_EQ(0, myfs_umount(task_, "b", MNT_FORCE)) << last_message();
  EXPECT_EQ("of a", pread(fd, 100, 0)) << "another mount shows it";
  close(fd);
  EXPECT_EQ("of a", content("a/file"));
}

TEST_F(Mounts, umount_ByForceEndsTheLastMount) {
  ASSERT_EQ(0, mount("b"));
  const std::string inner = "b" + home();
  int fd = open((inner + "/f").c_str(), O_RDONLY);
  ASSERT_EQ(0, myfs_umount(task_, "b", MNT_FORCE)) << last_message();
  char c;
  EXPECT_EQ(-ENOTCONN, myfs_pread(task_, fd, &c, 1, 0));
  (void)myfs_close(task_, fd);
}

// A call that waits for the server when its mount is forced away.
TEST_F(Mounts, umount_ByForceEndsACallInFlight) {
  MyfsdProcess other(*dir_ / "other");
  ASSERT_TRUE(other.start()) << other.output();
  ASSERT_EQ(0, myfs_mount(task_, other.url().c_str(), "b", nullptr));
  other.send_signal(SIGSTOP);
  std::future<int> waits =
      std::async(std::launch::async, [&] { return myfs_mkdir(task_, "b/x", 0755); });
  myfs_stats stats{};
  stats.size = sizeof stats;
  do {
    ASSERT_EQ(0, myfs_get_stats(task_, &stats));
  } while (stats.active_calls == 0);
  EXPECT_EQ(-EBUSY, myfs_umount(task_, "b", 0));
  EXPECT_EQ(0, myfs_umount(task_, "b", MNT_FORCE)) << last_message();
  EXPECT_EQ(-ENOTCONN, waits.get());
  other.send_signal(SIGCONT);
}

// With MNT_DETACH it goes on, and so does the file.
TEST_F(Mounts, umount_LazilyLetsACallInFlightFinish) {
  MyfsdProcess other(*dir_ / "lazy");
  ASSERT_TRUE(other.start()) << other.output();
  ASSERT_EQ(0, myfs_mount(task_, other.url().c_str(), "b", nullptr));
  int fd = open("b/file");
  other.send_signal(SIGSTOP);
  std::future<int> waits =
      std::async(std::launch::async, [&] { return myfs_mkdir(task_, "b/x", 0755); });
  myfs_stats stats{};
  stats.size = sizeof stats;
  do {
    ASSERT_EQ(0, myfs_get_stats(task_, &stats));
  } while (stats.active_calls == 0);
  EXPECT_EQ(0, myfs_umount(task_, "b", MNT_DETACH)) << last_message();
  other.send_signal(SIGCONT);
  EXPECT_EQ(0, waits.get());
  write(fd, "later");
  close(fd);
  Client after(other.url());
  EXPECT_EQ("later", after.get("/file"));
  EXPECT_EQ(0, after.find("/x"));
}

// The session ends with the last who uses it: then another server can have the directory.
TEST_F(Mounts, umount_LazilyEndsTheSessionWithItsLastUser) {
  const std::string data = *dir_ / "lazy_end";
  ASSERT_EQ(0, myfs_mount(task_, ("embedded:" + data).c_str(), "b", nullptr)) << last_message();
  int fd = open("b/file");
  ASSERT_EQ(0, myfs_umount(task_, "b", MNT_DETACH)) << last_message();
  write(fd, "later");
  MyfsdProcess early(data);
  EXPECT_FALSE(early.start()) << "it is in use";
  close(fd);
  MyfsdProcess next(data);
  ASSERT_TRUE(next.start()) << next.output();
  EXPECT_EQ("later", Client(next.url()).get("/file"));
}

TEST_F(Mounts, mount_x_TakesCredentialsDeadlineAndCancel) {
  MyfsdProcess other(*dir_ / "twins");
  ASSERT_TRUE(other.start()) << other.output();
  const std::string url = other.url();
  myfs_cancel* cancel = myfs_cancel_create();
  myfs_call call{sizeof call, nullptr, 0, cancel};
  myfs_cancel_fire(cancel);
  EXPECT_EQ(-ECANCELED, myfs_mount_x(task_, &call, url.c_str(), "b", nullptr));
  EXPECT_EQ(-ECANCELED, myfs_umount_x(task_, &call, "/", 0));
  myfs_cancel_destroy(cancel);
  // Whoever may not search the way there mounts nothing there.
  make_dir("closed", 0700);
  make_dir("closed/in");
  EXPECT_EQ(-EACCES, myfs_mount_x(task_, user(), url.c_str(), "closed/in", nullptr));
  other.send_signal(SIGSTOP);
  call = {sizeof call, nullptr, 100, nullptr};
  EXPECT_EQ(-ETIMEDOUT, myfs_mount_x(task_, &call, url.c_str(), "b", nullptr));
  other.send_signal(SIGCONT);
  call.deadline_ms = 10'000;
  ASSERT_EQ(0, myfs_mount_x(task_, &call, url.c_str(), "b", nullptr)) << last_message();
  int fd = open("b/file");
  write(fd, "unwritten");
  close(fd);
  other.send_signal(SIGSTOP);
  call.deadline_ms = 100;
  EXPECT_EQ(-ETIMEDOUT, myfs_umount_x(task_, &call, "b", 0));
  other.send_signal(SIGCONT);
  call.deadline_ms = 10'000;
  EXPECT_EQ(0, myfs_umount_x(task_, &call, "b", 0)) << last_message();
}

// --- freeze, remount

TEST_F(Mounts, remount_EINVAL) {
  const std::pair<const char*, std::vector<std::string>> table[] = {
      {"rsize=1M", {"rsize", "cannot be changed", "write_policy"}},
      {"uid=3", {"uid", "cannot be changed"}},
      {"connections=3", {"connections", "cannot be changed"}},
      {"colour=red", {"colour", "unknown"}},
      {"timeout=1ms", {"timeout=1ms", "100ms..1h"}},
      {"ro,rw", {"contradicts"}},
  };
  for (const auto& [options, words] : table) {
    EXPECT_EQ(-EINVAL, myfs_remount(task_, "/", options)) << options;
    const std::string said = last_message();
    for (const std::string& word : words) EXPECT_NE(std::string::npos, said.find(word)) << said;
  }
  EXPECT_EQ(-EINVAL, myfs_remount(task_, "a", "ro")) << "no mount";
  EXPECT_EQ(-EINVAL, myfs_remount(task_, "/", nullptr));
  EXPECT_EQ(-EINVAL, myfs_remount(task_, nullptr, "ro"));
}

TEST_F(Mounts, remount_EBUSY) {
  int fd = open("f", O_RDWR);
  EXPECT_EQ(-EBUSY, myfs_remount(task_, "/", "ro"));
  write(fd, "goes on");
  close(fd);
  ASSERT_EQ(0, myfs_remount(task_, "/", "ro")) << last_message();
  EXPECT_EQ(-EROFS, myfs_mkdir(task_, "x", 0755));
  EXPECT_EQ(-EROFS, myfs_open(task_, "f", O_RDWR, 0));
  ASSERT_EQ(0, myfs_remount(task_, "/", "rw")) << last_message();
  EXPECT_EQ(0, myfs_mkdir(task_, "x", 0755));
}

// A mount that began read-only can be written to afterwards.
TEST_F(Mounts, remount_OfAReadOnlyMount) {
  ASSERT_EQ(0, myfs_mount(task_, (server_->url() + "?ro").c_str(), "b", nullptr));
  const std::string inner = "b" + home() + "/f";
  EXPECT_EQ(-EROFS, myfs_open(task_, inner.c_str(), O_RDWR, 0));
  ASSERT_EQ(0, myfs_remount(task_, "b", "rw")) << last_message();
  int fd = open(inner.c_str(), O_RDWR);
  write(fd, "PLAIN");
  close(fd);
  EXPECT_EQ("PLAIN", content("f"));
  EXPECT_EQ(0, myfs_umount(task_, "b", 0));
}

TEST_F(Mounts, remount_EROFS) {
  MyfsdProcess other(*dir_ / "exported", {"--export", "/:ro"});
  ASSERT_TRUE(other.start()) << other.output();
  ASSERT_EQ(0, myfs_mount(task_, other.url().c_str(), "b", nullptr)) << last_message();
  EXPECT_EQ(-EROFS, myfs_remount(task_, "b", "rw"));
  EXPECT_EQ(0, myfs_umount(task_, "b", 0));
}

TEST_F(Mounts, remount_ShowsInTheOptions) {
  ASSERT_EQ(0, mount("b"));
  const auto line = [&] {
    const std::string text = mountinfo(task_);
    const size_t at = text.find(" " + home() + "/b ");
    return at == text.npos ? text : text.substr(at, text.find('\n', at) - at);
  };
  EXPECT_NE(std::string::npos, line().find("rw,hard,timeout=30000ms")) << line();
  EXPECT_NE(std::string::npos, line().find("write_policy=async")) << line();
  ASSERT_EQ(0, myfs_remount(task_, "b", "soft,timeout=300ms,write_policy=sync,cache_timeout=0"));
  EXPECT_NE(std::string::npos, line().find("rw,soft,timeout=300ms")) << line();
  EXPECT_NE(std::string::npos, line().find("write_policy=sync")) << line();
  EXPECT_NE(std::string::npos, line().find("cache_timeout=0ms")) << line();
  ASSERT_EQ(0, myfs_remount(task_, "b", "hard"));
  EXPECT_NE(std::string::npos, line().find("rw,hard,timeout=300ms")) << line();
  EXPECT_EQ(0, myfs_umount(task_, "b", 0));
}

// `soft` begins with the next call.
TEST_F(Mounts, remount_MakesCallsImpatient) {
  MyfsdProcess other(*dir_ / "slow");
  ASSERT_TRUE(other.start()) << other.output();
  ASSERT_EQ(0, myfs_mount(task_, other.url().c_str(), "b", nullptr));
  ASSERT_EQ(0, myfs_remount(task_, "b", "soft,timeout=200ms")) << last_message();
  other.send_signal(SIGSTOP);
  EXPECT_EQ(-ETIMEDOUT, myfs_mkdir(task_, "b/x", 0755));
  other.send_signal(SIGCONT);
  EXPECT_EQ(0, myfs_umount(task_, "b", MNT_DETACH)) << last_message();
}

TEST_F(Mounts, freeze_EBUSY) {
  ASSERT_EQ(0, myfs_freeze(task_, "f")) << last_message();
  EXPECT_EQ(-EBUSY, myfs_freeze(task_, "/"));
  EXPECT_EQ(0, myfs_thaw(task_, "/"));
}

TEST_F(Mounts, thaw_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_thaw(task_, "/"));
  EXPECT_EQ(-EINVAL, myfs_thaw(task_, nullptr));
  EXPECT_EQ(-EINVAL, myfs_freeze(task_, nullptr));
}

TEST_F(Mounts, freeze_HoldsUpThisClientOnly) {
  int fd = open("f", O_RDWR);
  write(fd, "before");
  ASSERT_EQ(0, myfs_freeze(task_, "/")) << last_message();
  const myfs_call brief{sizeof brief, nullptr, 50, nullptr};
  EXPECT_EQ(-ETIMEDOUT, myfs_write_x(task_, &brief, fd, "x", 1));
  EXPECT_EQ(-ETIMEDOUT, myfs_mkdir_x(task_, &brief, "x", 0755));
  EXPECT_EQ("before", content("f"));
  Client other(server_->url());
  EXPECT_EQ("before", other.get(home() + "/f"));
  EXPECT_EQ(0, other.put(home() + "/other", "made"));
  EXPECT_EQ("made", content("other"));
  ASSERT_EQ(0, myfs_thaw(task_, "/"));
  write(fd, "!");
  close(fd);
  EXPECT_EQ("before!", content("f"));
}

// Somebody cancelled a freeze that waits: the changes go on.
TEST_F(Mounts, freeze_ETIMEDOUT) {
  MyfsdProcess other(*dir_ / "frozen");
  ASSERT_TRUE(other.start()) << other.output();
  ASSERT_EQ(0, myfs_mount(task_, other.url().c_str(), "b", nullptr));
  other.send_signal(SIGSTOP);
  std::future<int> waits =
      std::async(std::launch::async, [&] { return myfs_mkdir(task_, "b/x", 0755); });
  myfs_stats stats{};
  stats.size = sizeof stats;
  do {
    ASSERT_EQ(0, myfs_get_stats(task_, &stats));
  } while (stats.active_calls == 0);
  const myfs_call brief{sizeof brief, nullptr, 50, nullptr};
  EXPECT_EQ(-ETIMEDOUT, myfs_freeze_x(task_, &brief, "b"));
  other.send_signal(SIGCONT);
  EXPECT_EQ(0, waits.get());
  EXPECT_EQ(0, myfs_mkdir(task_, "b/y", 0755));
  EXPECT_EQ(0, myfs_umount(task_, "b", 0)) << last_message();
}

TEST_F(Mounts, freeze_ECANCELED) {
  myfs_cancel* cancel = myfs_cancel_create();
  myfs_cancel_fire(cancel);
  const myfs_call cancelled{sizeof cancelled, nullptr, 0, cancel};
  EXPECT_EQ(-ECANCELED, myfs_freeze_x(task_, &cancelled, "/"));
  myfs_cancel_destroy(cancel);
  EXPECT_EQ(-EINVAL, myfs_thaw(task_, "/"));
}

// A mount that ends while it is frozen thaws: who has a file of it goes on.
TEST_F(Mounts, freeze_EndsWithTheMount) {
  ASSERT_EQ(0, mount("b"));
  const std::string inner = "b" + home() + "/f";
  int fd = open(inner.c_str(), O_RDWR);
  ASSERT_EQ(0, myfs_freeze(task_, "b"));
  ASSERT_EQ(0, myfs_umount(task_, "b", MNT_DETACH)) << last_message();
  write(fd, "PLAIN");
  close(fd);
  EXPECT_EQ("PLAIN", content("f"));
}

}  // namespace
}  // namespace myfs::test
