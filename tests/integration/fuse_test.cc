// myfs-fuse as a program: what the kernel's callers see of a mount, and of two mounts of one
// server.

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <myfs/myfs.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/flock.h"
#include "tests/support/myfsd/acl_bytes.h"
#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/program.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {
namespace {

constexpr long kFuseMagic = 0x65735546;

bool is_fuse(const std::string& path) {
  struct statfs stat;
  return ::statfs(path.c_str(), &stat) == 0 && stat.f_type == kFuseMagic;
}

class FuseMount {
 public:
  FuseMount(const std::string& url, const std::string& at, const std::string& options) : at_(at) {
    std::filesystem::create_directory(at);
    const std::string all = "allow_other" + (options.empty() ? "" : "," + options);
    EXPECT_TRUE(program_.start({bin("myfs-fuse"), "-f", "-o", all, url, at}));
    std::string line;
    EXPECT_TRUE(program_.receive(&line));
    EXPECT_EQ("myfs-fuse: mounted at " + at, line);
  }
  ~FuseMount() {
    if (ended_) return;
    EXPECT_EQ(0, end());
  }
  // SIGTERM; the exit status.
  int end(int signal_number = SIGTERM) {
    ended_ = true;
    program_.kill(signal_number);
    return program_.wait();
  }
  std::string operator/(const std::string& name) const { return at_ + "/" + name; }
  const std::string& path() const { return at_; }

 private:
  const std::string at_;
  Program program_;
  bool ended_ = false;
};

class Fuse : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    server_ = std::make_unique<MyfsdProcess>(dir_ / "data");
    ASSERT_TRUE(server_->start()) << server_->output();
    std::filesystem::permissions(dir_ / "", std::filesystem::perms{0755});  // for other users
    a_ = mount("a");
    b_ = mount("b");
  }
  void TearDown() override {
    b_.reset();
    a_.reset();
  }
  std::unique_ptr<FuseMount> mount(const std::string& name, const std::string& options = {}) {
    std::string all = GetParam();
    if (!options.empty()) all += all.empty() ? options : "," + options;
    return std::make_unique<FuseMount>(server_->url(), dir_ / name, all);
  }

  TempDir dir_;
  std::unique_ptr<MyfsdProcess> server_;
  std::unique_ptr<FuseMount> a_, b_;
};

INSTANTIATE_TEST_SUITE_P(, Fuse, testing::Values("", "lease_cache"), [](const auto& info) {
  return std::string(info.param).empty() ? std::string("plain") : std::string(info.param);
});

int put(const std::string& path, const std::string& text, int flags = O_TRUNC) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | flags, 0644);
  if (fd < 0) return -errno;
  const ssize_t count = ::write(fd, text.data(), text.size());
  ::close(fd);
  return count == static_cast<ssize_t>(text.size()) ? 0 : -EIO;
}

std::string read_fd(int fd) {
  std::string text(1 << 16, '?');
  const ssize_t count = ::pread(fd, text.data(), text.size(), 0);
  if (count < 0) return "<error>";
  text.resize(static_cast<size_t>(count));
  return text;
}

std::string get(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY);
  if (fd < 0) return "<error>";
  std::string text = read_fd(fd);
  ::close(fd);
  return text;
}

struct stat stat_of(const std::string& path) {
  struct stat st {};
  if (::lstat(path.c_str(), &st) != 0) st.st_ino = 0;
  return st;
}
bool exists(const std::string& path) { return stat_of(path).st_ino != 0; }
mode_t mode(const std::string& path) { return stat_of(path).st_mode & 07777; }

// What `fn` returns in a process of another user.
int as_user(uid_t uid, gid_t gid, const std::vector<gid_t>& groups,
            const std::function<int()>& fn) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (::setgroups(groups.size(), groups.data()) != 0 || ::setresgid(gid, gid, gid) != 0 ||
        ::setresuid(uid, uid, uid) != 0) {
      ::_exit(255);
    }
    ::_exit(fn());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return exit_status(status);
}

// Until the process waits in a system call for the kernel's request to be answered.
void wait_until_blocked(pid_t pid, long number = SYS_mkdir) {
  const std::string directory = "/proc/" + std::to_string(pid);
  const std::string call = std::to_string(number) + " ";
  while (get(directory + "/syscall").find(call) != 0) ::sched_yield();
}

int open_errno(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags);
  return fd < 0 ? errno : 0;
}

TEST_P(Fuse, each_change_of_a_name_is_seen_at_once_by_the_other_mount) {
  for (int round = 0; round < 50; ++round) {
    const std::string name = "n" + std::to_string(round % 3), to = "m" + std::to_string(round % 3);
    ASSERT_FALSE(exists(*b_ / name)) << round;
    ASSERT_EQ(0, put(*a_ / name, "x"));
    ASSERT_TRUE(exists(*b_ / name)) << round;
    ASSERT_EQ(0, ::rename((*a_ / name).c_str(), (*a_ / to).c_str()));
    ASSERT_FALSE(exists(*b_ / name)) << round;
    ASSERT_TRUE(exists(*b_ / to)) << round;
    ASSERT_EQ(0, ::unlink((*b_ / to).c_str()));
    ASSERT_FALSE(exists(*a_ / to)) << round;
  }
}

TEST_P(Fuse, each_change_of_attributes_is_seen_at_once_by_the_other_mount) {
  ASSERT_EQ(0, put(*a_ / "f", "x"));
  ASSERT_EQ(0, ::mkdir((*a_ / "d").c_str(), 0755));
  for (int round = 0; round < 50; ++round) {
    const mode_t mode_now = round % 2 == 0 ? 0600 : 0644;
    for (const char* name : {"f", "d"}) {
      FuseMount& from = round % 3 == 0 ? *b_ : *a_;
      FuseMount& to = round % 3 == 0 ? *a_ : *b_;
      (void)mode(to / name);
      ASSERT_EQ(0, ::chmod((from / name).c_str(), mode_now));
      ASSERT_EQ(mode_now, mode(to / name)) << round << name;
    }
    ASSERT_EQ(0, ::truncate((*a_ / "f").c_str(), round));
    ASSERT_EQ(round, stat_of(*b_ / "f").st_size);
  }
}

TEST_P(Fuse, each_write_is_seen_at_once_by_the_other_mount) {
  ASSERT_EQ(0, put(*a_ / "f", ""));
  const int fd_a = ::open((*a_ / "f").c_str(), O_RDWR);
  const int fd_b = ::open((*b_ / "f").c_str(), O_RDWR);
  for (int round = 0; round < 50; ++round) {
    const std::string text = "text" + std::to_string(round);
    const int from = round % 2 == 0 ? fd_a : fd_b, to = round % 2 == 0 ? fd_b : fd_a;
    ASSERT_EQ(static_cast<ssize_t>(text.size()), ::pwrite(from, text.data(), text.size(), 0));
    ASSERT_EQ(text, read_fd(to));
    struct stat st;
    ASSERT_EQ(0, ::fstat(to, &st));
    ASSERT_EQ(static_cast<off_t>(text.size()), st.st_size);
  }
  ::close(fd_a);
  ::close(fd_b);
}

TEST_P(Fuse, appends_of_two_mounts_do_not_overwrite_each_other) {
  ASSERT_EQ(0, put(*a_ / "f", ""));
  const int fd_a = ::open((*a_ / "f").c_str(), O_WRONLY | O_APPEND);
  const int fd_b = ::open((*b_ / "f").c_str(), O_WRONLY | O_APPEND);
  std::string expected;
  for (int round = 0; round < 20; ++round) {
    ASSERT_EQ(1, ::write(fd_a, "a", 1));
    ASSERT_EQ(1, ::write(fd_b, "b", 1));
    expected += "ab";
  }
  EXPECT_EQ(expected, get(*a_ / "f"));
  // fcntl changes the open file's way of writing.
  ASSERT_EQ(0, ::fcntl(fd_a, F_SETFL, 0));
  ASSERT_EQ(1, ::pwrite(fd_a, "A", 1, 0));
  EXPECT_EQ('A', get(*b_ / "f")[0]);
  ::close(fd_a);
  ::close(fd_b);
}

TEST_P(Fuse, uid_gid_and_groups_of_the_caller_decide) {
  ASSERT_EQ(0, put(*a_ / "f", "x"));
  ASSERT_EQ(0, ::chown((*a_ / "f").c_str(), 1000, 2000));
  ASSERT_EQ(0, ::chmod((*a_ / "f").c_str(), 0640));
  const std::string path = *a_ / "f";
  EXPECT_EQ(0, as_user(1000, 1000, {}, [&] { return open_errno(path, O_RDWR); }));
  EXPECT_EQ(EACCES, as_user(1001, 1001, {}, [&] { return open_errno(path, O_RDONLY); }));
  EXPECT_EQ(0, as_user(1001, 1001, {3000, 2000}, [&] { return open_errno(path, O_RDONLY); }));
  EXPECT_EQ(EACCES, as_user(1001, 2000, {}, [&] { return open_errno(path, O_RDWR); }));
  EXPECT_EQ(0, as_user(1001, 2000, {}, [&] { return ::access(path.c_str(), R_OK); }));
}

TEST_P(Fuse, a_directory_that_is_closed_to_a_user_is_closed_at_once) {
  ASSERT_EQ(0, ::mkdir((*a_ / "d").c_str(), 0755));
  ASSERT_EQ(0, put(*a_ / "d/f", "x"));
  const std::string path = *a_ / "d/f";
  EXPECT_EQ(0, as_user(1000, 1000, {}, [&] { return open_errno(path, O_RDONLY); }));
  ASSERT_EQ(0, ::chmod((*b_ / "d").c_str(), 0700));
  EXPECT_EQ(EACCES, as_user(1000, 1000, {}, [&] { return open_errno(path, O_RDONLY); }));
  EXPECT_EQ(EACCES, as_user(1000, 1000, {}, [&] {
              struct stat st;
              return ::stat(path.c_str(), &st) == 0 ? 0 : errno;
            }));
}

TEST_P(Fuse, who_writes_takes_privileges_away) {
  ASSERT_EQ(0, put(*a_ / "f", "x"));
  ASSERT_EQ(0, ::chmod((*a_ / "f").c_str(), 06777));
  const std::string path = *a_ / "f";
  EXPECT_EQ(06777u, mode(path));
  ASSERT_EQ(0, as_user(1000, 1000, {}, [&] { return put(path, "y", 0) == 0 ? 0 : 1; }));
  EXPECT_EQ(0777u, mode(path));
  EXPECT_EQ(0777u, mode(*b_ / "f"));
}

TEST_P(Fuse, the_umask_of_the_caller_counts) {
  const std::string path = *a_ / "f";
  const std::string dir = *a_ / "d";
  const mode_t old = ::umask(027);
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY, 0666);
  ::mkdir(dir.c_str(), 0777);
  ::umask(old);
  ::close(fd);
  EXPECT_EQ(0640u, mode(path));
  EXPECT_EQ(0750u, mode(dir));
}

TEST_P(Fuse, an_open_file_lives_on_without_a_name) {
  ASSERT_EQ(0, put(*a_ / "f", "text"));
  const int fd = ::open((*a_ / "f").c_str(), O_RDWR);
  ASSERT_EQ(0, ::unlink((*b_ / "f").c_str()));
  struct stat st;
  ASSERT_EQ(0, ::fstat(fd, &st));
  EXPECT_EQ(0u, st.st_nlink);
  EXPECT_EQ("text", read_fd(fd));
  EXPECT_EQ(5, ::pwrite(fd, "other", 5, 0));
  EXPECT_EQ(0, ::ftruncate(fd, 3));
  EXPECT_EQ("oth", read_fd(fd));
  EXPECT_EQ(0, ::close(fd));
  EXPECT_FALSE(exists(*a_ / "f"));
}

TEST_P(Fuse, opening_with_O_TRUNC_cuts_the_file_for_everybody) {
  ASSERT_EQ(0, put(*a_ / "f", "text"));
  const int fd = ::open((*b_ / "f").c_str(), O_RDONLY);
  EXPECT_EQ("text", read_fd(fd));
  ::close(::open((*a_ / "f").c_str(), O_WRONLY | O_TRUNC));
  EXPECT_EQ("", read_fd(fd));
  EXPECT_EQ(0, stat_of(*b_ / "f").st_size);
  ::close(fd);
}

TEST_P(Fuse, a_listing_is_whole_and_can_be_gone_back_in) {
  ASSERT_EQ(0, ::mkdir((*a_ / "d").c_str(), 0755));
  std::vector<std::string> expected{".", ".."};
  for (int i = 0; i < 300; ++i) {
    expected.push_back("file" + std::to_string(i));
    ASSERT_EQ(0, ::mknod((*a_ / ("d/" + expected.back())).c_str(), S_IFREG | 0644, 0));
  }
  std::sort(expected.begin(), expected.end());
  for (FuseMount* from : {a_.get(), b_.get()}) {
    DIR* dir = ::opendir((*from / "d").c_str());
    ASSERT_NE(nullptr, dir);
    std::vector<std::string> names;
    std::string after_ten;
    long ten = 0;
    while (const dirent* entry = ::readdir(dir)) {
      names.emplace_back(entry->d_name);
      if (names.size() == 10) ten = ::telldir(dir);
      if (names.size() == 11) after_ten = entry->d_name;
    }
    std::sort(names.begin(), names.end());
    EXPECT_EQ(expected, names);
    ::seekdir(dir, ten);
    const dirent* again = ::readdir(dir);
    EXPECT_EQ(after_ten, again != nullptr ? again->d_name : "<end>");
    ::closedir(dir);
  }
}

TEST_P(Fuse, mapped_files_are_read_and_written) {
  ASSERT_EQ(0, put(*a_ / "f", std::string(8192, 'x')));
  const int fd = ::open((*a_ / "f").c_str(), O_RDWR);
  void* map = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ASSERT_NE(MAP_FAILED, map) << strerror(errno);
  auto* bytes = static_cast<char*>(map);
  EXPECT_EQ('x', bytes[5000]);
  bytes[5000] = 'y';
  EXPECT_EQ(0, ::msync(map, 8192, MS_SYNC));
  EXPECT_EQ('y', get(*b_ / "f")[5000]);
  EXPECT_EQ(1, ::pwrite(fd, "z", 1, 5001));
  EXPECT_EQ('z', bytes[5001]);
  ::munmap(map, 8192);
  ::close(fd);
}

TEST_P(Fuse, what_a_mapping_holds_goes_to_its_place_however_the_file_is_open) {
  for (int flags : {O_APPEND, O_DIRECT}) {
    std::string expected(5000, 'x');
    ASSERT_EQ(0, put(*a_ / "f", expected));
    const int fd = ::open((*a_ / "f").c_str(), O_RDWR | flags);
    void* map = ::mmap(nullptr, expected.size(), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    ASSERT_NE(MAP_FAILED, map) << strerror(errno);
    auto* bytes = static_cast<char*>(map);
    bytes[0] = expected[0] = 'y';
    bytes[4999] = expected[4999] = 'z';
    EXPECT_EQ(0, ::msync(map, expected.size(), MS_SYNC)) << flags << strerror(errno);
    ::munmap(map, expected.size());
    ::close(fd);
    EXPECT_TRUE(expected == get(*b_ / "f")) << flags << ", " << stat_of(*b_ / "f").st_size;
  }
}

TEST_P(Fuse, the_x_bit_of_the_caller_decides_who_executes) {
  const std::string path = *a_ / "program";
  std::filesystem::copy_file("/bin/true", path);
  const auto run_as = [&](uid_t uid) {
    return as_user(uid, uid, {}, [&] {
      ::execl(path.c_str(), path.c_str(), nullptr);
      return errno;
    });
  };
  ASSERT_EQ(0, ::chmod(path.c_str(), 0754));
  EXPECT_EQ(0, run_as(0));
  EXPECT_EQ(EACCES, run_as(1000));
  ASSERT_EQ(0, ::chmod(path.c_str(), 0711));
  EXPECT_EQ(0, run_as(1000));
  EXPECT_EQ(EACCES, as_user(1000, 1000, {}, [&] { return open_errno(path, O_RDONLY); }));
}

TEST_P(Fuse, fcntl_changes_how_an_open_file_is_read_and_copied_to) {
  ASSERT_EQ(0, put(*a_ / "f", "0123456789"));
  const int from = ::open((*a_ / "f").c_str(), O_RDONLY | O_DIRECT);
  ASSERT_EQ(0, ::fcntl(from, F_SETFL, 0));
  char bytes[4] = {};
  EXPECT_EQ(3, ::pread(from, bytes, 3, 1)) << strerror(errno);
  EXPECT_STREQ("123", bytes);
  const int to = ::open((*a_ / "g").c_str(), O_RDWR | O_CREAT | O_APPEND, 0644);
  ASSERT_EQ(0, ::fcntl(to, F_SETFL, 0));
  off_t from_offset = 0, to_offset = 0;
  EXPECT_EQ(10, ::copy_file_range(from, &from_offset, to, &to_offset, 10, 0)) << strerror(errno);
  ASSERT_EQ(0, ::fcntl(to, F_SETFL, O_APPEND));
  EXPECT_EQ(3, ::pwrite(to, "end", 3, 0));
  EXPECT_EQ("0123456789end", get(*b_ / "g"));
  ::close(from);
  ::close(to);
}

TEST_P(Fuse, an_acl_that_closes_a_directory_counts_at_once) {
  ASSERT_EQ(0, ::mkdir((*a_ / "d").c_str(), 0755));
  ASSERT_EQ(0, put(*a_ / "d/f", "x"));
  ASSERT_EQ(0, put(*a_ / "g", "x"));
  const std::string path = *a_ / "d/f";
  const auto open_it = [&] {
    return as_user(1000, 1000, {}, [&] { return open_errno(path, O_RDONLY); });
  };
  (void)mode(*a_ / "g");
  EXPECT_EQ(0, open_it());
  const std::string list = acl_bytes({{1, 7}, {2, 0, 1000}, {4, 5}, {16, 7}, {32, 5}});
  ASSERT_EQ(0, ::setxattr((*a_ / "d").c_str(), kAclAccess, list.data(), list.size(), 0));
  // Let happen when the kernel has forgotten all that it was to forget before.
  ASSERT_EQ(0, ::chmod((*b_ / "g").c_str(), 0600));
  EXPECT_EQ(EACCES, open_it());
}

TEST_P(Fuse, extended_attributes_and_ranges) {
  ASSERT_EQ(0, put(*a_ / "f", std::string(1 << 20, 'x')));
  ASSERT_EQ(0, ::setxattr((*a_ / "f").c_str(), "user.a", "value", 5, 0));
  char value[16];
  EXPECT_EQ(5, ::getxattr((*b_ / "f").c_str(), "user.a", value, sizeof value));
  EXPECT_EQ(7, ::listxattr((*b_ / "f").c_str(), nullptr, 0));
  const int fd = ::open((*a_ / "f").c_str(), O_RDWR);
  EXPECT_EQ(0, ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 65536));
  EXPECT_EQ(std::string(65536, '\0'), read_fd(fd));
  EXPECT_EQ(65536, ::lseek(fd, 0, SEEK_DATA));
  off_t from = 65536, to = 0;
  EXPECT_EQ(65536, ::copy_file_range(fd, &from, fd, &to, 65536, 0)) << strerror(errno);
  EXPECT_EQ(std::string(65536, 'x'), read_fd(fd));
  ::close(fd);
}

TEST_P(Fuse, renames_of_directories_under_a_working_directory) {
  ASSERT_EQ(0, ::mkdir((*a_ / "d").c_str(), 0755));
  ASSERT_EQ(0, ::mkdir((*a_ / "d/e").c_str(), 0755));
  const int dir = ::open((*a_ / "d/e").c_str(), O_RDONLY | O_DIRECTORY);
  ASSERT_EQ(0, ::rename((*b_ / "d/e").c_str(), (*b_ / "moved").c_str()));
  const int fd = ::openat(dir, "f", O_CREAT | O_WRONLY, 0644);
  EXPECT_GE(fd, 0);
  ::close(fd);
  EXPECT_TRUE(exists(*b_ / "moved/f"));
  EXPECT_EQ(stat_of(*a_ / "moved").st_ino, stat_of(*b_ / "moved").st_ino);
  ::close(dir);
}

TEST_P(Fuse, a_signal_ends_the_mount_and_keeps_what_was_written) {
  for (int number : {SIGINT, SIGTERM, SIGHUP}) {
    auto mount_c = mount("c");
    const int fd = ::open((*mount_c / "f").c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0644);
    ASSERT_EQ(4, ::write(fd, "text", 4));
    EXPECT_EQ(0, mount_c->end(number));
    ::close(fd);
    EXPECT_FALSE(is_fuse(mount_c->path()));
    EXPECT_EQ("text", get(*a_ / "f"));
    ::unlink((*a_ / "f").c_str());
  }
}

TEST_P(Fuse, a_caller_that_is_killed_gives_up_while_the_server_is_silent) {
  const std::string path = *a_ / "new";
  server_->send_signal(SIGSTOP);
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(::mkdir(path.c_str(), 0755) == 0 ? 0 : errno);
  }
  wait_until_blocked(child);
  ASSERT_EQ(0, ::kill(child, SIGKILL));
  int status = 0;
  EXPECT_EQ(child, ::waitpid(child, &status, 0));
  EXPECT_EQ(128 + SIGKILL, exit_status(status));
  server_->send_signal(SIGCONT);
  EXPECT_EQ(0, put(*a_ / "f", "text"));
  EXPECT_EQ("text", get(*b_ / "f"));
}

TEST_P(Fuse, a_signal_that_its_caller_handles_does_not_end_a_call) {
  const std::string path = *a_ / "new";
  server_->send_signal(SIGSTOP);
  const pid_t child = ::fork();
  if (child == 0) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGUSR1, &action, nullptr);
    ::_exit(::mkdir(path.c_str(), 0755) == 0 ? 0 : errno);
  }
  wait_until_blocked(child);
  ASSERT_EQ(0, ::kill(child, SIGUSR1));
  server_->send_signal(SIGCONT);
  int status = 0;
  EXPECT_EQ(child, ::waitpid(child, &status, 0));
  EXPECT_EQ(0, exit_status(status));
  EXPECT_TRUE(exists(*b_ / "new"));
}

TEST_P(Fuse, a_read_only_mount_changes_nothing) {
  ASSERT_EQ(0, put(*a_ / "f", "text"));
  auto reader = mount("c", "ro");
  EXPECT_EQ("text", get(*reader / "f"));
  EXPECT_EQ(-EROFS, put(*reader / "g", "x"));
  EXPECT_EQ(-1, ::unlink((*reader / "f").c_str()));
  EXPECT_EQ(EROFS, errno);
}

// --- locks

constexpr unsigned kPatience_s = 30;

int set_lock(int fd, int cmd, int type, off_t start = 0, off_t length = 0) {
  struct flock lock = flock_range(type, start, length);
  return ::fcntl(fd, cmd, &lock) == 0 ? 0 : errno;
}
// The exit status of a process that does `fn`; it is killed if that takes too long.
int in_process(const std::function<int()>& fn) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kPatience_s);
    ::_exit(fn());
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return exit_status(status);
}
// Whether another process gets the lock, sooner or later.
int wait_in_process(const std::string& path, int cmd) {
  return in_process([&] { return set_lock(::open(path.c_str(), O_RDWR), cmd, F_WRLCK); });
}

class FuseLocks : public Fuse {
 protected:
  void SetUp() override {
    Fuse::SetUp();
    ASSERT_EQ(0, put(*a_ / "f", "text"));
    fd_a_ = ::open((*a_ / "f").c_str(), O_RDWR);
    fd_b_ = ::open((*b_ / "f").c_str(), O_RDWR);
  }
  void TearDown() override {
    ::close(fd_a_);
    ::close(fd_b_);
    Fuse::TearDown();
  }
  int fd_a_ = -1, fd_b_ = -1;
};
INSTANTIATE_TEST_SUITE_P(, FuseLocks, testing::Values(""), [](const auto&) { return "plain"; });

TEST_P(FuseLocks, a_process_and_the_other_mount_keep_one_another_out) {
  EXPECT_EQ(0, set_lock(fd_a_, F_SETLK, F_WRLCK, 0, 10));
  EXPECT_EQ(EAGAIN, set_lock(fd_b_, F_SETLK, F_RDLCK, 5, 10));
  EXPECT_EQ(0, set_lock(fd_b_, F_SETLK, F_WRLCK, 10, 10));
  struct flock found = flock_range(F_WRLCK);
  ASSERT_EQ(0, ::fcntl(fd_b_, F_GETLK, &found));
  EXPECT_EQ(F_WRLCK, found.l_type);
  EXPECT_EQ(0, found.l_start);
  EXPECT_EQ(10, found.l_len);
  EXPECT_EQ(::getpid(), found.l_pid);
  EXPECT_EQ(EAGAIN, in_process([&] { return set_lock(fd_a_, F_SETLK, F_WRLCK, 0, 1); }));
  EXPECT_EQ(0, set_lock(fd_a_, F_SETLK, F_UNLCK, 0, 10));
  EXPECT_EQ(0, set_lock(fd_b_, F_SETLK, F_RDLCK, 5, 10));
}

TEST_P(FuseLocks, any_close_by_the_process_gives_its_locks_up) {
  ASSERT_EQ(0, set_lock(fd_a_, F_SETLK, F_WRLCK));
  EXPECT_EQ(0, in_process([&] { return ::close(fd_a_); }));
  EXPECT_EQ(EAGAIN, set_lock(fd_b_, F_SETLK, F_WRLCK)) << "another process has closed it";
  ::close(::open((*a_ / "f").c_str(), O_RDONLY));
  EXPECT_EQ(0, set_lock(fd_b_, F_SETLK, F_WRLCK));
}

TEST_P(FuseLocks, the_end_of_a_process_gives_its_locks_up) {
  EXPECT_EQ(0, in_process([&] { return set_lock(fd_a_, F_SETLK, F_WRLCK); }));
  EXPECT_EQ(0, set_lock(fd_b_, F_SETLK, F_WRLCK));
}

TEST_P(FuseLocks, a_wait_ends_with_the_lock) {
  ASSERT_EQ(0, set_lock(fd_b_, F_SETLK, F_WRLCK));
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kPatience_s);
    ::_exit(set_lock(fd_a_, F_SETLKW, F_WRLCK));
  }
  wait_until_blocked(child, SYS_fcntl);
  EXPECT_EQ(0, set_lock(fd_b_, F_SETLK, F_UNLCK));
  int status = 0;
  EXPECT_EQ(child, ::waitpid(child, &status, 0));
  EXPECT_EQ(0, exit_status(status));
}

TEST_P(FuseLocks, locks_of_an_open_file_go_with_its_last_close) {
  ASSERT_EQ(0, set_lock(fd_a_, F_OFD_SETLK, F_WRLCK));
  EXPECT_EQ(EAGAIN, set_lock(fd_b_, F_OFD_SETLK, F_RDLCK));
  EXPECT_EQ(EAGAIN, set_lock(fd_b_, F_SETLK, F_RDLCK));
  const int again = ::open((*a_ / "f").c_str(), O_RDWR);
  EXPECT_EQ(EAGAIN, set_lock(again, F_OFD_SETLK, F_WRLCK)) << "another open file";
  ::close(again);
  const int copy = ::dup(fd_a_);
  ::close(fd_a_);
  EXPECT_EQ(EAGAIN, set_lock(fd_b_, F_OFD_SETLK, F_RDLCK)) << "it is open still";
  ::close(copy);
  EXPECT_EQ(0, wait_in_process(*b_ / "f", F_OFD_SETLKW));
  fd_a_ = ::open((*a_ / "f").c_str(), O_RDWR);
}

TEST_P(FuseLocks, what_others_close_takes_no_lock_away) {
  ASSERT_EQ(0, set_lock(fd_a_, F_OFD_SETLK, F_RDLCK, 0, 1));
  ASSERT_EQ(0, set_lock(fd_a_, F_SETLK, F_WRLCK, 5, 1));
  EXPECT_EQ(0, in_process([&] { return ::close(fd_a_); }));
  EXPECT_EQ(EAGAIN, set_lock(fd_b_, F_SETLK, F_WRLCK, 5, 1));
  EXPECT_EQ(EAGAIN, set_lock(fd_b_, F_SETLK, F_WRLCK, 0, 1));
}

TEST_P(FuseLocks, a_flock_goes_with_the_last_close) {
  ASSERT_EQ(0, ::flock(fd_a_, LOCK_EX));
  EXPECT_EQ(-1, ::flock(fd_b_, LOCK_SH | LOCK_NB));
  EXPECT_EQ(EWOULDBLOCK, errno);
  EXPECT_EQ(0, in_process([&] { return ::close(fd_a_); }));
  EXPECT_EQ(-1, ::flock(fd_b_, LOCK_SH | LOCK_NB));
  ::close(fd_a_);
  EXPECT_EQ(0, in_process([&] { return ::flock(fd_b_, LOCK_EX); }));
  fd_a_ = ::open((*a_ / "f").c_str(), O_RDWR);
}

TEST_P(FuseLocks, who_is_killed_while_he_closes_leaves_no_lock) {
  int ends[2];
  ASSERT_EQ(0, ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
  const std::string path = *a_ / "f";
  char byte = 0;
  const pid_t child = ::fork();
  if (child == 0) {
    // Else its end closes these, too, and waits for the server.
    ::close(fd_a_);
    ::close(fd_b_);
    const int fd = ::open(path.c_str(), O_RDWR);
    const bool done = set_lock(fd, F_SETLK, F_WRLCK) == 0 && ::write(fd, "more", 4) == 4;
    if (!done || ::write(ends[1], &byte, 1) != 1 || ::read(ends[1], &byte, 1) != 1) ::_exit(1);
    ::_exit(::close(fd));
  }
  ASSERT_EQ(1, ::read(ends[0], &byte, 1));
  server_->send_signal(SIGSTOP);
  ASSERT_EQ(1, ::write(ends[0], &byte, 1));
  wait_until_blocked(child, SYS_close);
  ASSERT_EQ(0, ::kill(child, SIGKILL));
  int status = 0;
  EXPECT_EQ(child, ::waitpid(child, &status, 0));
  server_->send_signal(SIGCONT);
  EXPECT_EQ(0, wait_in_process(*b_ / "f", F_SETLKW));
  for (int end : ends) ::close(end);
}

// --- the command

class FuseCommand : public testing::Test {
 protected:
  void SetUp() override {
    server_ = std::make_unique<MyfsdProcess>(dir_ / "data");
    ASSERT_TRUE(server_->start()) << server_->output();
    std::filesystem::create_directory(mountpoint());
  }
  std::string mountpoint() const { return dir_ / "mnt"; }

  TempDir dir_;
  std::unique_ptr<MyfsdProcess> server_;
};

TEST_F(FuseCommand, returns_when_the_mount_stands) {
  const ProgramResult result = run_program({bin("myfs-fuse"), server_->url(), mountpoint()});
  EXPECT_EQ(0, result.status) << result.err;
  EXPECT_TRUE(is_fuse(mountpoint()));
  EXPECT_EQ(0, put(mountpoint() + "/f", "text"));
  EXPECT_EQ(0, run_program({"fusermount3", "-u", mountpoint()}).status);
  EXPECT_FALSE(is_fuse(mountpoint()));
}

TEST_F(FuseCommand, names_what_is_wrong) {
  struct {
    std::vector<std::string> args;
    int status;
    const char* text;
  } const cases[] = {
      {{server_->url(), mountpoint(), "-o", "bogus"}, 2, "bogus"},
      {{server_->url(), mountpoint(), "-o", "allow_other,rsize=3"}, 2, "rsize"},
      {{server_->url(), mountpoint(), "-o", "writeback_cache"}, 2, "writeback_cache"},
      {{server_->url(), dir_ / "missing"}, 2, "No such file"},
      {{server_->url(), dir_ / "data/LOCK"}, 2, "LOCK"},
      {{"nonsense:", mountpoint()}, 2, "nonsense"},
      {{server_->url()}, 2, "MOUNTPOINT"},
      {{server_->url(), mountpoint(), "-x"}, 2, "-x"},
      {{"myfs+unix:" + (dir_ / "missing.sock"), mountpoint()}, 1, "missing.sock"},
  };
  for (const auto& each : cases) {
    for (const char* how : {"-f", ""}) {
      std::vector<std::string> command{bin("myfs-fuse")};
      if (*how != '\0') command.emplace_back(how);
      command.insert(command.end(), each.args.begin(), each.args.end());
      const ProgramResult result = run_program(command);
      EXPECT_EQ(each.status, result.status) << each.text << ": " << result.err;
      EXPECT_NE(std::string::npos, result.err.find(each.text)) << result.err;
    }
  }
}

TEST_F(FuseCommand, help_names_each_option) {
  const ProgramResult result = run_program({bin("myfs-fuse"), "--help"});
  EXPECT_EQ(0, result.status);
  for (const char* option : {"-f", "-d", "-o", "-V", "allow_other", "lease_cache", "ro", "fsname",
                             "nosuid", "URL", "MOUNTPOINT", "Exit status"}) {
    EXPECT_NE(std::string::npos, result.out.find(option)) << option;
  }
}

TEST_F(FuseCommand, says_what_to_do_where_the_device_is_missing) {
  const std::string hide = "mount -t tmpfs none /dev && exec \"$0\" \"$@\"";
  const ProgramResult result = run_program(
      {"unshare", "-m", "sh", "-c", hide, bin("myfs-fuse"), "-f", server_->url(), mountpoint()});
  EXPECT_EQ(1, result.status);
  EXPECT_NE(std::string::npos, result.err.find("/dev/fuse: No such file")) << result.err;
  EXPECT_NE(std::string::npos, result.err.find("modprobe fuse")) << result.err;
}

TEST_F(FuseCommand, a_write_that_is_asked_to_be_durable_outlives_the_bridge) {
  MyfsdProcess server(dir_ / "short", {"--lease-term", "1"});
  ASSERT_TRUE(server.start()) << server.output();
  struct {
    const char* options;
    int rwf;
  } const cases[] = {{"", RWF_DSYNC}, {"", RWF_SYNC}, {"sync", 0}};
  for (const auto& each : cases) {
    SCOPED_TRACE(std::string(each.options) + " " + std::to_string(each.rwf));
    FuseMount writer(server.url(), dir_ / "w", each.options);
    const int fd = ::open((writer / "f").c_str(), O_CREAT | O_WRONLY | O_TRUNC, 0644);
    char text[] = "text";
    const iovec part{text, 4};
    EXPECT_EQ(4, ::pwritev2(fd, &part, 1, 0, each.rwf)) << strerror(errno);
    EXPECT_EQ(128 + SIGKILL, writer.end(SIGKILL));
    ::close(fd);
    EXPECT_EQ(0, ::umount2(writer.path().c_str(), MNT_DETACH));
    const FuseMount reader(server.url(), dir_ / "r", "");
    EXPECT_EQ("text", get(reader / "f"));
  }
}

TEST_F(FuseCommand, a_signal_while_the_server_is_silent_names_what_is_left_behind) {
  Program program;
  const std::string run = "exec \"$0\" -f \"$1\" \"$2\" 2>\"$3\"";
  ASSERT_TRUE(program.start(
      {"sh", "-c", run, bin("myfs-fuse"), server_->url(), mountpoint(), dir_ / "said"}));
  std::string line;
  ASSERT_TRUE(program.receive(&line));
  const int fd = ::open((mountpoint() + "/f").c_str(), O_CREAT | O_WRONLY, 0644);
  ASSERT_EQ(1, ::write(fd, "a", 1));
  ASSERT_EQ(0, ::fsync(fd));
  ASSERT_EQ(4, ::write(fd, "text", 4));
  server_->send_signal(SIGSTOP);
  program.kill(SIGTERM);
  EXPECT_EQ(1, program.wait());
  const std::string said = get(dir_ / "said");
  EXPECT_NE(std::string::npos, said.find("left behind, in whole pages: 4096 bytes")) << said;
  EXPECT_NE(std::string::npos, said.find("lost what was written to /f")) << said;
  ::close(fd);
  server_->send_signal(SIGCONT);
}

// Nothing was written: nothing is lost.
TEST_F(FuseCommand, a_signal_ends_a_mount_whose_callers_wait_for_a_silent_server) {
  FuseMount mount(server_->url(), mountpoint(), "");
  const std::string path = mount / "new";
  server_->send_signal(SIGSTOP);
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(::mkdir(path.c_str(), 0755) == 0 ? 0 : errno);
  }
  wait_until_blocked(child);
  EXPECT_EQ(0, mount.end(SIGTERM));
  int status = 0;
  EXPECT_EQ(child, ::waitpid(child, &status, 0));
  EXPECT_NE(0, exit_status(status));
  EXPECT_FALSE(is_fuse(mountpoint()));
}

// The kernel's FUSE_TMPFILE.
TEST_P(Fuse, a_file_without_a_name_gets_one_by_link_unless_it_is_exclusive) {
  const int fd = ::open(a_->path().c_str(), O_TMPFILE | O_RDWR, 0640);
  ASSERT_GE(fd, 0) << ::strerror(errno);
  EXPECT_EQ(4, ::write(fd, "text", 4));
  struct stat st;
  ASSERT_EQ(0, ::fstat(fd, &st));
  EXPECT_EQ(0u, st.st_nlink);
  EXPECT_EQ(mode_t{S_IFREG | 0640}, st.st_mode);
  EXPECT_TRUE(std::filesystem::is_empty(a_->path()));
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  ASSERT_EQ(0, ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, (*a_ / "f").c_str(), AT_SYMLINK_FOLLOW))
      << ::strerror(errno);
  EXPECT_EQ("text", get(*b_ / "f"));
  EXPECT_EQ(0, ::close(fd));
  EXPECT_EQ("text", get(*a_ / "f"));

  const int exclusive = ::open(a_->path().c_str(), O_TMPFILE | O_RDWR | O_EXCL, 0600);
  ASSERT_GE(exclusive, 0);
  const std::string that = "/proc/self/fd/" + std::to_string(exclusive);
  EXPECT_EQ(-1, ::linkat(AT_FDCWD, that.c_str(), AT_FDCWD, (*a_ / "g").c_str(), AT_SYMLINK_FOLLOW));
  EXPECT_EQ(ENOENT, errno);
  EXPECT_EQ(0, ::close(exclusive));
}

// The kernel itself opens a FIFO, and asks nobody for permission unless it has to check all.
TEST_P(Fuse, a_kernel_that_checks_guards_fifos_by_mode_and_acl) {
  const auto checked = mount("c", "default_permissions");
  ASSERT_EQ(0, ::mkfifo((*checked / "p").c_str(), 0600));
  const auto open_as = [&](uid_t uid) {
    return as_user(uid, uid, {}, [&] {
      return ::open((*checked / "p").c_str(), O_RDWR | O_NONBLOCK) < 0 ? errno : 0;
    });
  };
  EXPECT_EQ(0, open_as(0));
  EXPECT_EQ(EACCES, open_as(1000));
  ASSERT_EQ(0, ::chmod((*a_ / "p").c_str(), 0666));  // through another mount
  EXPECT_EQ(0, open_as(1000));
  const std::string list = acl_bytes({{1, 6}, {2, 6, 1001}, {4, 0}, {16, 6}, {32, 0}});
  ASSERT_EQ(0, ::setxattr((*b_ / "p").c_str(), kAclAccess, list.data(), list.size(), 0));
  EXPECT_EQ(EACCES, open_as(1000));
  EXPECT_EQ(0, open_as(1001));
}

}  // namespace
}  // namespace myfs::test
