// MountFixture: a task with a fake server's file system at "/".
#pragma once

#include <fcntl.h>

#include <memory>
#include <string>
#include <string_view>

#include "sdk/fs/open.h"
#include "sdk/fs/read_write.h"
#include "sdk/fs/stat.h"
#include "sdk/fs/task.h"
#include "sdk/mm/runtime.h"
#include "sdk/netfs/super.h"
#include "tests/unit/rpc/client_fixture.h"

namespace myfs::netfs {

class MountFixture : public rpc_test::ClientFixture {
 protected:
  MountFixture() {
    ctx_.cred = options_.cred = std::make_shared<const Cred>();
    server_.script([](rpc_test::Script& s) { s.grants = true; });
  }
  void TearDown() override {
    server_.release_held();
    if (task_ == nullptr) return;
    (void)task_->exit_files(patient());
    EXPECT_TRUE(task_->umount(patient(), "/", true).ok());
    task_ = nullptr;
  }
  // `memory`: how much all caches of this mount may take; 0: as usual.
  void mount(size_t memory_bytes = 0) {
    MountOptions options;
    options.client = options_;
    if (memory_bytes != 0) {
      memory_ = std::move(mm::Runtime::create({.limit_bytes = memory_bytes})).value();
      options.runtime = memory_.get();
    }
    auto mounted = Super::mount(*loop_, options, patient());
    ASSERT_TRUE(mounted.ok()) << mounted.error().name();
    super_ = static_cast<Super*>(&(*mounted)->s_op());
    task_ = std::make_unique<fs::TaskStruct>(ctx_.cred);
    ASSERT_TRUE(task_->mount(patient(), std::move(*mounted), "/", false).ok());
  }
  Super& super() { return *super_; }

  // The descriptor, or -errno.
  int open(std::string_view path, uint32_t flags = O_RDWR | O_CREAT | O_EXCL) {
    Result<int> fd = fs::vfs_open(patient(), *task_, {AT_FDCWD, path}, flags, 0644);
    return fd.ok() ? *fd : -fd.error().value();
  }
  Errno write(int fd, std::string_view text, int64_t offset = 0) {
    return fs::vfs_pwrite(patient(), *task_, fd, text.data(), text.size(), offset).error();
  }
  std::string read(int fd, size_t count, int64_t offset = 0) {
    std::string text(count, '?');
    Result<size_t> got = fs::vfs_pread(patient(), *task_, fd, text.data(), count, offset);
    return got.ok() ? text.substr(0, *got) : std::string(got.error().name());
  }
  Errno fsync(int fd) { return fs::vfs_fsync(patient(), *task_, fd, false).error(); }
  Errno close(int fd) { return fs::vfs_close(patient(), *task_, fd).error(); }
  NetInode& inode(int fd) { return net_inode(task_->files.fget(fd)->f_inode()); }
  uint64_t ino(int fd) { return inode(fd).i_ino; }

  std::unique_ptr<mm::Runtime> memory_;
  std::unique_ptr<fs::TaskStruct> task_;
  Super* super_ = nullptr;
};

}  // namespace myfs::netfs
