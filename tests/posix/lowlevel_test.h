// LowLevel: ApiTest with the test's directory as an inode.
#pragma once

#include <myfs/lowlevel.h>

#include <string>
#include <vector>

#include "tests/posix/api_test.h"

namespace myfs::test {

class LowLevel : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    if (task_ != nullptr) dir_ = inode(home());
  }

  static myfs_entry new_entry() {
    myfs_entry entry{};
    entry.size = sizeof entry;
    return entry;
  }
  // What a path leads to; null: the test failed.
  myfs_inode* inode(const std::string& path) {
    myfs_entry entry = new_entry();
    EXPECT_EQ(0, myfs_ll_open_path(task_, nullptr, path.c_str(), &entry)) << last_message();
    return entry.inode;
  }
  // A new file of the test's directory, or a directory.
  myfs_inode* file(const char* name, mode_t mode = 0644) {
    myfs_entry entry = new_entry();
    EXPECT_EQ(0, myfs_ll_mknod(dir_, nullptr, name, mode, 0, 0, &entry)) << last_message();
    return entry.inode;
  }
  myfs_inode* directory(const char* name, mode_t mode = 0755) {
    myfs_entry entry = new_entry();
    EXPECT_EQ(0, myfs_ll_mkdir(dir_, nullptr, name, mode, 0, &entry)) << last_message();
    return entry.inode;
  }
  int look_up(myfs_inode* dir, const char* name, const myfs_call* call = nullptr) {
    myfs_entry entry = new_entry();
    return myfs_ll_lookup(dir, call, name, &entry);
  }
  myfs_inode* child(myfs_inode* dir, const char* name) {
    myfs_entry entry = new_entry();
    EXPECT_EQ(0, myfs_ll_lookup(dir, nullptr, name, &entry)) << name << ": " << last_message();
    return entry.inode;
  }
  // Open; null: the test failed.
  myfs_file* open_inode(myfs_inode* inode, int flags = O_RDWR) {
    myfs_file* opened = nullptr;
    EXPECT_EQ(0, myfs_ll_open(inode, nullptr, flags, &opened)) << last_message();
    return opened;
  }
  static ssize_t write_at(myfs_file* to, const std::string& text, off_t offset) {
    const iovec from{const_cast<char*>(text.data()), text.size()};
    return myfs_ll_write(to, nullptr, &from, 1, offset);
  }
  static std::string read_at(myfs_file* from, size_t size, off_t offset) {
    std::string text(size, '?');
    const iovec to{text.data(), size};
    const ssize_t count = myfs_ll_read(from, nullptr, &to, 1, offset);
    if (count < 0) return error_text(count);
    text.resize(static_cast<size_t>(count));
    return text;
  }
  static struct stat attributes(myfs_inode* inode) {
    struct stat st {};
    EXPECT_EQ(0, myfs_ll_getattr(inode, nullptr, nullptr, &st, nullptr)) << last_message();
    return st;
  }
  static int set(myfs_inode* inode, unsigned valid, mode_t mode = 0, off_t length = 0,
                 const myfs_call* call = nullptr) {
    myfs_setattr attr{};
    attr.size = sizeof attr;
    attr.valid = valid;
    attr.mode = mode;
    attr.length = length;
    return myfs_ll_setattr(inode, call, nullptr, &attr, nullptr);
  }
  // The names of an open directory from `position` on, `step` at a time.
  static std::vector<std::string> names(myfs_file* dir, int step, int64_t position = 0) {
    std::vector<std::string> result;
    std::vector<myfs_dirent> entries(static_cast<size_t>(step));
    int count;
    while ((count = myfs_ll_readdir(dir, nullptr, position, entries.data(), step)) > 0) {
      for (int i = 0; i < count; ++i) {
        result.emplace_back(entries[static_cast<size_t>(i)].name);
        position = entries[static_cast<size_t>(i)].next;
      }
    }
    EXPECT_EQ(0, count) << last_message();
    return result;
  }

  myfs_inode* dir_ = nullptr;
};

}  // namespace myfs::test
