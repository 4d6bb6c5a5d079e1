// The errnos of the groups [task], [path], [change] and [call].

#include <sys/mount.h>
#include <sys/wait.h>

#include <thread>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

using Path = ApiTest;

TEST_F(Path, task_EINVAL) {
  struct stat st;
  EXPECT_EQ(-EINVAL, myfs_stat(nullptr, "/", &st));
  EXPECT_EQ(-EINVAL, myfs_stat(task_, nullptr, &st));
  EXPECT_EQ(-EINVAL, myfs_stat(task_, "/", nullptr));
  myfs_call wrong{};
  EXPECT_EQ(-EINVAL, myfs_stat_x(task_, &wrong, "/", &st));
}

TEST_F(Path, task_ESTALE) {
  pid_t child = ::fork();
  if (child == 0) {
    struct stat st;
    bool stale = myfs_stat(task_, "/", &st) == -ESTALE && myfs_task_destroy(task_) == 0;
    ::_exit(stale ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(child, ::waitpid(child, &status, 0));
  EXPECT_EQ(0, status);
  struct stat st;
  EXPECT_EQ(0, myfs_stat(task_, "/", &st));
}

TEST_F(Path, task_EBADF) {
  struct stat st;
  char byte;
  EXPECT_EQ(-EBADF, myfs_fstat(task_, 77, &st));
  EXPECT_EQ(-EBADF, myfs_fstat(task_, -1, &st));
  EXPECT_EQ(-EBADF, myfs_fstat(task_, 65536, &st));
  EXPECT_EQ(-EBADF, myfs_read(task_, 77, &byte, 1));
  EXPECT_EQ(-EBADF, myfs_close(task_, 77));
  EXPECT_EQ(-EBADF, myfs_fsync(task_, 77));
  EXPECT_EQ(-EBADF, myfs_ftruncate(task_, 77, 0));
  EXPECT_EQ(-EBADF, myfs_fchmod(task_, 77, 0));
  EXPECT_EQ(-EBADF, myfs_fchdir(task_, 77));
  EXPECT_EQ(-EBADF, myfs_lseek(task_, 77, 0, SEEK_SET));
}

TEST_F(Path, task_create_EINVAL) {
  myfs_cred wrong{};
  myfs_task* task = nullptr;
  EXPECT_EQ(-EINVAL, myfs_task_create(&wrong, &task));
  EXPECT_EQ(-EINVAL, myfs_task_create(nullptr, nullptr));
}

TEST_F(Path, path_ENOENT) {
  struct stat st;
  EXPECT_EQ(-ENOENT, myfs_stat(task_, "missing", &st));
  EXPECT_EQ(-ENOENT, myfs_stat(task_, "missing/below", &st));
  EXPECT_EQ(-ENOENT, myfs_stat(task_, "", &st));
  EXPECT_EQ(-ENOENT, myfs_open(task_, "missing", O_RDONLY, 0));
  EXPECT_EQ(-ENOENT, myfs_mkdir(task_, "missing/dir", 0755));
  ASSERT_EQ(0, myfs_symlink(task_, "nowhere", "dangling"));
  EXPECT_EQ(-ENOENT, myfs_stat(task_, "dangling", &st));
  myfs_error error{};
  error.size = sizeof error;
  ASSERT_EQ(0, myfs_last_error(&error));
  EXPECT_EQ(ENOENT, error.error);
  EXPECT_STREQ("stat", error.operation);
}

TEST_F(Path, path_ENOTDIR) {
  make_file("file");
  struct stat st;
  EXPECT_EQ(-ENOTDIR, myfs_stat(task_, "file/below", &st));
  EXPECT_EQ(-ENOTDIR, myfs_stat(task_, "file/", &st));
  EXPECT_EQ(-ENOTDIR, myfs_stat(task_, "file/.", &st));
  EXPECT_EQ(-ENOTDIR, myfs_chdir(task_, "file"));
  EXPECT_EQ(-ENOTDIR, myfs_rmdir(task_, "file"));
  EXPECT_EQ(-ENOTDIR, myfs_open(task_, "file", O_RDONLY | O_DIRECTORY, 0));
}

TEST_F(Path, path_EACCES) {
  make_dir("closed", 0700);
  make_file("closed/file");
  ASSERT_EQ(0, myfs_chmod(task_, "closed", 0));
  struct stat st;
  if (::geteuid() == 0) {
    EXPECT_EQ(0, myfs_stat(task_, "closed/file", &st));
  }
  EXPECT_EQ(-EACCES, myfs_stat_x(task_, user(), "closed/file", &st));
  EXPECT_EQ(-EACCES, myfs_open_x(task_, user(), "closed", O_RDONLY, 0));
  EXPECT_EQ(-EACCES, myfs_chdir_x(task_, user(), "closed"));
  ASSERT_EQ(0, myfs_chmod(task_, "closed", 0555));
  EXPECT_EQ(-EACCES, myfs_mkdir_x(task_, user(), "closed/new", 0755));
  EXPECT_EQ(-EACCES, myfs_unlink_x(task_, user(), "closed/file"));
  ASSERT_EQ(0, myfs_chmod(task_, "closed/file", 0));
  EXPECT_EQ(-EACCES, myfs_open_x(task_, user(), "closed/file", O_RDONLY, 0));
  EXPECT_EQ(-EACCES, myfs_truncate_x(task_, user(), "closed/file", 0));
}

TEST_F(Path, path_ELOOP) {
  ASSERT_EQ(0, myfs_symlink(task_, "b", "a"));
  ASSERT_EQ(0, myfs_symlink(task_, "a", "b"));
  struct stat st;
  EXPECT_EQ(-ELOOP, myfs_stat(task_, "a", &st));
  EXPECT_EQ(-ELOOP, myfs_open(task_, "a", O_RDONLY, 0));
  EXPECT_EQ(-ELOOP, myfs_open(task_, "a", O_RDONLY | O_NOFOLLOW, 0));
  EXPECT_EQ(0, myfs_lstat(task_, "a", &st));
  // 40 links are followed, 41 are not.
  make_file("l0");
  for (int i = 1; i <= 41; ++i) {
    std::string target = "l" + std::to_string(i - 1), name = "l" + std::to_string(i);
    ASSERT_EQ(0, myfs_symlink(task_, target.c_str(), name.c_str()));
  }
  EXPECT_EQ(0, myfs_stat(task_, "l40", &st));
  EXPECT_EQ(-ELOOP, myfs_stat(task_, "l41", &st));
}

TEST_F(Path, path_ENAMETOOLONG) {
  struct stat st;
  std::string good(255, 'n'), bad(256, 'n');
  make_file(good.c_str());
  EXPECT_EQ(0, myfs_stat(task_, good.c_str(), &st));
  EXPECT_EQ(-ENAMETOOLONG, myfs_stat(task_, bad.c_str(), &st));
  EXPECT_EQ(-ENAMETOOLONG, myfs_mkdir(task_, bad.c_str(), 0755));
  EXPECT_EQ(-ENAMETOOLONG, myfs_symlink(task_, "x", bad.c_str()));
  std::string path(4095, '/');
  EXPECT_EQ(0, myfs_stat(task_, path.c_str(), &st));
  path.push_back('/');
  EXPECT_EQ(-ENAMETOOLONG, myfs_stat(task_, path.c_str(), &st));
  EXPECT_EQ(-ENAMETOOLONG, myfs_symlink(task_, std::string(4096, 't').c_str(), "link"));
  EXPECT_EQ(0, myfs_symlink(task_, std::string(4095, 't').c_str(), "link"));
}

TEST_F(Path, path_EINVAL) {
  make_file("file");
  timespec times[2] = {{0, 1'000'000'000}, {0, 0}};
  EXPECT_EQ(-EINVAL, myfs_utimens(task_, "file", times, 0));
  EXPECT_EQ(-EINVAL, myfs_truncate(task_, "file", -1));
}

TEST_F(Path, change_EROFS) {
  make_file("file");
  myfs_task* reader = nullptr;
  ASSERT_EQ(0, myfs_open_url((server_->url() + "?ro").c_str(), nullptr, &reader));
  std::string file = "/change_EROFS/file", other = "/change_EROFS/other";
  struct stat st;
  EXPECT_EQ(0, myfs_stat(reader, file.c_str(), &st));
  EXPECT_EQ(-EROFS, myfs_open(reader, file.c_str(), O_WRONLY, 0));
  EXPECT_EQ(-EROFS, myfs_open(reader, other.c_str(), O_WRONLY | O_CREAT, 0644));
  EXPECT_EQ(-EROFS, myfs_mkdir(reader, other.c_str(), 0755));
  EXPECT_EQ(-EROFS, myfs_unlink(reader, file.c_str()));
  EXPECT_EQ(-EROFS, myfs_chmod(reader, file.c_str(), 0600));
  EXPECT_EQ(-EROFS, myfs_rename(reader, file.c_str(), other.c_str()));
  EXPECT_EQ(-EROFS, myfs_truncate(reader, file.c_str(), 0));
  EXPECT_EQ(-EROFS, myfs_utimens(reader, file.c_str(), nullptr, 0));
  EXPECT_EQ(0, myfs_task_destroy(reader));
}

TEST_F(Path, access_EROFS) {
  make_file("file");
  myfs_task* reader = nullptr;
  ASSERT_EQ(0, myfs_open_url((server_->url() + "?ro").c_str(), nullptr, &reader));
  EXPECT_EQ(-EROFS, myfs_access(reader, "/access_EROFS/file", W_OK));
  EXPECT_EQ(0, myfs_access(reader, "/access_EROFS/file", R_OK));
  EXPECT_EQ(0, myfs_task_destroy(reader));
}

TEST_F(Path, change_EPERM) {
  make_file("file");
  if (::geteuid() == 0) {
    EXPECT_EQ(-EPERM, myfs_chmod_x(task_, user(), "file", 0777));
    timespec times[2] = {{1, 0}, {1, 0}};
    EXPECT_EQ(-EPERM, myfs_utimens_x(task_, user(), "file", times, 0));
  }
  EXPECT_EQ(-EPERM, myfs_chown_x(task_, user(), "file", 4242, static_cast<gid_t>(-1)));
}

TEST_F(Path, access_EACCES) {
  make_file("file");
  ASSERT_EQ(0, myfs_chmod(task_, "file", 0444));
  EXPECT_EQ(0, myfs_access_x(task_, user(), "file", R_OK));
  EXPECT_EQ(-EACCES, myfs_access_x(task_, user(), "file", W_OK));
  EXPECT_EQ(-EACCES, myfs_access_x(task_, user(), "file", R_OK | X_OK));
}

TEST_F(Path, access_EINVAL) { EXPECT_EQ(-EINVAL, myfs_access(task_, "/", 8)); }

TEST_F(Path, statx_EINVAL) {
  struct statx out;
  EXPECT_EQ(-EINVAL, myfs_statx(task_, "/", 1 << 30, STATX_ALL, &out));
  EXPECT_EQ(-EINVAL, myfs_statx(task_, "/", 0, STATX__RESERVED, &out));
  EXPECT_EQ(0, myfs_statx(task_, "/", AT_STATX_FORCE_SYNC, STATX_ALL, &out));
}

TEST_F(Path, utimens_EINVAL) {
  timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
  EXPECT_EQ(-EINVAL, myfs_utimens(task_, "/", times, AT_EMPTY_PATH));
  EXPECT_EQ(0, myfs_utimens(task_, ".", times, 0));
}

TEST_F(Path, call_ECANCELED) {
  myfs_cancel* cancel = myfs_cancel_create();
  myfs_call call{sizeof(myfs_call), nullptr, 0, cancel};
  struct stat st;
  EXPECT_EQ(0, myfs_stat_x(task_, &call, "/", &st));
  myfs_cancel_fire(cancel);
  EXPECT_EQ(-ECANCELED, myfs_stat_x(task_, &call, "/", &st));
  myfs_cancel_destroy(cancel);
}

// A server that has been stopped answers nothing: a waiting call ends by its token.
TEST_F(Path, call_ECANCELED_WhileItWaits) {
  server_->send_signal(SIGSTOP);
  myfs_cancel* cancel = myfs_cancel_create();
  myfs_call call{sizeof(myfs_call), nullptr, 0, cancel};
  std::thread waiter([&] {
    struct stat st;
    EXPECT_EQ(-ECANCELED, myfs_stat_x(task_, &call, "/never/asked/before", &st));
  });
  myfs_stats stats{};
  stats.size = sizeof stats;
  while (myfs_get_stats(task_, &stats) == 0 && stats.active_calls == 0) std::this_thread::yield();
  myfs_cancel_fire(cancel);
  waiter.join();
  server_->send_signal(SIGCONT);
  myfs_cancel_destroy(cancel);
}

TEST_F(Path, call_ETIMEDOUT) {
  server_->send_signal(SIGSTOP);
  myfs_call call{sizeof(myfs_call), nullptr, 50, nullptr};
  struct stat st;
  EXPECT_EQ(-ETIMEDOUT, myfs_stat_x(task_, &call, "/never/asked/before/either", &st));
  EXPECT_EQ(-ETIMEDOUT, myfs_mkdir_x(task_, &call, "in-doubt", 0755));
  myfs_error error{};
  error.size = sizeof error;
  ASSERT_EQ(0, myfs_last_error(&error));
  EXPECT_EQ(1, error.in_doubt);
  server_->send_signal(SIGCONT);
  EXPECT_EQ(-ENOENT, myfs_stat(task_, "/never/asked/before/either", &st));
}

TEST_F(Path, last_error_EINVAL) {
  myfs_error error{};
  EXPECT_EQ(-EINVAL, myfs_last_error(&error));
  EXPECT_EQ(-EINVAL, myfs_last_error(nullptr));
}

TEST_F(Path, get_stats_EINVAL) {
  myfs_stats stats{};
  EXPECT_EQ(-EINVAL, myfs_get_stats(task_, &stats));
  EXPECT_EQ(-EINVAL, myfs_get_stats(task_, nullptr));
}

TEST_F(Path, server_operations_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_server_operations(task_, "/", nullptr));
  EXPECT_EQ(-EINVAL, myfs_server_operations_x(task_, nullptr, "/", nullptr));
}

}  // namespace
}  // namespace myfs::test
