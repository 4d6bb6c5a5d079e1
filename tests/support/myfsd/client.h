// Client: a task on a server, with the calls that tests make again and again. Failures show as
// text:
// "<ENOENT>".
#pragma once

#include <gtest/gtest.h>
#include <myfs/myfs.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/myfsd/process.h"

namespace myfs::test {

inline std::string error_text(int64_t result) {
  const char* name = ::strerrorname_np(static_cast<int>(-result));
  return std::string("<") + (name != nullptr ? name : "?") + ">";
}

// What the calling thread's last failure was, for messages of tests.
inline std::string last_message() {
  myfs_error error{};
  error.size = sizeof error;
  myfs_last_error(&error);
  return std::string(error.operation) + ": " + error.message + " (" + error.cause + ")";
}

class Client {
 public:
  explicit Client(const std::string& url, const std::string& options = {}) {
    myfs_mount_options o{sizeof o, options.c_str(), nullptr};
    int result = myfs_open_url(url.c_str(), &o, &task_);
    EXPECT_EQ(0, result) << url << ": " << last_message();
  }
  ~Client() {
    if (task_ == nullptr) return;
    EXPECT_EQ(0, end()) << last_message();
  }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  operator myfs_task*() const { return task_; }
  // Ends the task; the result of myfs_task_destroy.
  int end() { return myfs_task_destroy(std::exchange(task_, nullptr)); }

  int open(const std::string& path, int flags = O_RDONLY, mode_t mode = 0644) {
    return myfs_open(task_, path.c_str(), flags, mode);
  }
  // Creates or truncates, writes, closes. 0 or -errno.
  int put(const std::string& path, const std::string& content, int more_flags = O_TRUNC) {
    int fd = open(path, O_WRONLY | O_CREAT | more_flags);
    if (fd < 0) return fd;
    ssize_t n = myfs_write(task_, fd, content.data(), content.size());
    int closed = myfs_close(task_, fd);
    if (n < 0) return static_cast<int>(n);
    return n == static_cast<ssize_t>(content.size()) ? closed : -EIO;
  }
  std::string get(const std::string& path) {
    int fd = open(path);
    if (fd < 0) return error_text(fd);
    std::string text = get(fd);
    int closed = myfs_close(task_, fd);
    return closed < 0 ? error_text(closed) : text;
  }
  // From the beginning to the end, whatever the position.
  std::string get(int fd) {
    std::string text;
    std::vector<char> buffer(256 << 10);
    while (true) {
      ssize_t n =
          myfs_pread(task_, fd, buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
      if (n < 0) return error_text(n);
      if (n == 0) return text;
      text.append(buffer.data(), static_cast<size_t>(n));
    }
  }
  // Sorted names without "." and "..".
  std::vector<std::string> list(const std::string& path) {
    myfs_dir* dir = nullptr;
    int result = myfs_opendir(task_, path.c_str(), &dir);
    if (result < 0) return {error_text(result)};
    std::vector<std::string> names;
    myfs_dirent entry;
    while ((result = myfs_readdir(dir, &entry)) == 1) {
      std::string name(entry.name, entry.name_length);
      if (name != "." && name != "..") names.push_back(name);
    }
    if (result < 0) names.push_back(error_text(result));
    EXPECT_EQ(0, myfs_closedir(dir));
    std::sort(names.begin(), names.end());
    return names;
  }
  // Of the name itself. All zeros and a failed test if there is none.
  struct stat stat(const std::string& path) {
    struct stat st {};
    int result = myfs_lstat(task_, path.c_str(), &st);
    EXPECT_EQ(0, result) << path << ": " << error_text(result) << " " << last_message();
    return st;
  }
  // 0 or -errno of looking a name up.
  int find(const std::string& path) {
    struct stat st;
    return myfs_lstat(task_, path.c_str(), &st);
  }
  myfs_stats stats() {
    myfs_stats stats{};
    stats.size = sizeof stats;
    EXPECT_EQ(0, myfs_get_stats(task_, &stats));
    return stats;
  }
  uint64_t server_operations() {
    uint64_t operations = 0;
    EXPECT_EQ(0, myfs_server_operations(task_, "/", &operations)) << last_message();
    return operations;
  }

 private:
  myfs_task* task_ = nullptr;
};

// The store of a server that does not run.
inline void expect_clean(const MyfsdProcess& server) {
  ProgramResult fsck = server.fsck();
  EXPECT_EQ(0, fsck.status) << fsck.out << fsck.err;
}

}  // namespace myfs::test
