// The page arena and pins of <myfs/lowlevel.h>: errnos, what a consumer sees of it, and when not.

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <atomic>
#include <string>
#include <vector>

#include "tests/posix/lowlevel_test.h"

namespace myfs::test {
namespace {

constexpr size_t kPage = 4096;

std::string text_of(size_t size, uint32_t seed) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>('a' + (i * 31 + i / 999 + seed) % 26);
  return text;
}

class Pages : public LowLevel {
 protected:
  void SetUp() override {
    LowLevel::SetUp();
    make_file("f", text_of(3 * kPage + 100, 1));
    file_ = open_inode(child(dir_, "f"));
    arena_fd_ = myfs_ll_arena(task_, &arena_bytes_);
    ASSERT_GE(arena_fd_, 0) << last_message();
    // As a process does that was handed the descriptor.
    arena_ = ::mmap(nullptr, arena_bytes_, PROT_READ, MAP_SHARED, arena_fd_, 0);
    ASSERT_NE(MAP_FAILED, arena_);
  }
  void TearDown() override {
    ::munmap(arena_, arena_bytes_);
    ::close(arena_fd_);
    myfs_ll_release(file_);
    LowLevel::TearDown();
  }
  // Bytes of the pages that were pinned last.
  std::string bytes() {
    std::string text;
    for (const myfs_page& page : pages_) {
      text.append(static_cast<const char*>(arena_) + page.arena_offset, page.length);
    }
    return text;
  }
  myfs_pin* pin(off_t offset, size_t size, size_t count = 16) {
    pages_.resize(count);
    myfs_pin* made = nullptr;
    const ssize_t n = myfs_ll_pin(file_, nullptr, offset, size, pages_.data(), count, &made);
    EXPECT_GT(n, 0) << last_message();
    pages_.resize(n > 0 ? static_cast<size_t>(n) : 0);
    return made;
  }
  static uint64_t pinned_bytes() {
    myfs_memory memory{};
    memory.size = sizeof memory;
    EXPECT_EQ(0, myfs_get_memory(&memory));
    return memory.pinned_bytes;
  }
  int error_of(myfs_file* file, off_t offset, size_t size) {
    myfs_page page;
    myfs_pin* made = nullptr;
    return static_cast<int>(myfs_ll_pin(file, nullptr, offset, size, &page, 1, &made));
  }

  myfs_file* file_ = nullptr;
  int arena_fd_ = -1;
  size_t arena_bytes_ = 0;
  void* arena_ = MAP_FAILED;
  std::vector<myfs_page> pages_;
};

TEST_F(Pages, ll_arena_EMFILE) {
  rlimit before;
  ASSERT_EQ(0, ::getrlimit(RLIMIT_NOFILE, &before));
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &none));
  size_t bytes = 0;
  const int result = myfs_ll_arena(task_, &bytes);
  ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &before));
  EXPECT_EQ(-EMFILE, result);
}

TEST_F(Pages, ArenaIsForReadingOnly) {
  struct stat st;
  ASSERT_EQ(0, ::fstat(arena_fd_, &st));
  EXPECT_EQ(0u, st.st_mode & 0222);
  EXPECT_EQ(MAP_FAILED, ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, arena_fd_, 0));
}

// A read brings what was stored, which is not in the cache.
TEST_F(Pages, AreNotToBeHadBehindAMappingThatMayBeStoredInto) {
  myfs_pin* before = pin(0, 1);
  ASSERT_NE(nullptr, before);
  int fd = open("f", O_RDWR);
  void* mapped = nullptr;
  ASSERT_EQ(0, myfs_mmap(task_, nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0, &mapped))
      << last_message();
  EXPECT_EQ(0, myfs_ll_pin_holds(before));
  EXPECT_EQ(-EAGAIN, error_of(file_, 0, 1));
  ASSERT_EQ(0, myfs_munmap(task_, mapped, kPage));
  close(fd);
  EXPECT_EQ(0, myfs_ll_unpin(before));
  myfs_pin* after = pin(0, 1);
  EXPECT_EQ(1, myfs_ll_pin_holds(after));
  EXPECT_EQ(0, myfs_ll_unpin(after));
}

TEST_F(Pages, ll_pin_EBADF) {
  myfs_file* write_only = open_inode(child(dir_, "f"), O_WRONLY);
  EXPECT_EQ(-EBADF, error_of(write_only, 0, 1));
  myfs_ll_release(write_only);
}

TEST_F(Pages, ll_pin_EISDIR) {
  myfs_file* dir = open_inode(directory("d"), O_RDONLY);
  EXPECT_EQ(-EISDIR, error_of(dir, 0, 1));
  myfs_ll_release(dir);
}

TEST_F(Pages, ll_pin_EINVAL) {
  EXPECT_EQ(-EINVAL, error_of(file_, -1, 1));
  EXPECT_EQ(-EINVAL, error_of(file_, 0, 0));
  EXPECT_EQ(-EINVAL, error_of(nullptr, 0, 1));
  myfs_pin* made = nullptr;
  EXPECT_EQ(-EINVAL, myfs_ll_pin(file_, nullptr, 0, 1, nullptr, 1, &made));
  EXPECT_EQ(-EINVAL, myfs_ll_pin_holds(nullptr));
  EXPECT_EQ(0, myfs_ll_unpin(nullptr));
}

TEST_F(Pages, ll_pin_ENOMEM) {
  ASSERT_EQ(0, myfs_set_memory_budget(16 << 20));
  constexpr size_t kTooMany = (4 << 20) / kPage + 1;
  int fd = open("big");
  ASSERT_EQ(0, myfs_ftruncate(task_, fd, 8 << 20));
  close(fd);
  myfs_file* big = open_inode(child(dir_, "big"), O_RDONLY);
  std::vector<myfs_page> pages(kTooMany);
  myfs_pin* made = nullptr;
  EXPECT_EQ(-ENOMEM, myfs_ll_pin(big, nullptr, 0, 8 << 20, pages.data(), kTooMany, &made));
  EXPECT_EQ(0u, pinned_bytes());
  EXPECT_EQ(static_cast<ssize_t>(kTooMany - 1),
            myfs_ll_pin(big, nullptr, 0, 8 << 20, pages.data(), kTooMany - 1, &made));
  EXPECT_EQ(4u << 20, pinned_bytes());
  EXPECT_EQ(0, myfs_ll_unpin(made));
  EXPECT_EQ(0u, pinned_bytes());
  myfs_ll_release(big);
  ASSERT_EQ(0, myfs_set_memory_budget(256 << 20));
}

TEST_F(Pages, ShowWhatAReadWouldBring) {
  myfs_pin* whole = pin(0, SIZE_MAX >> 12);
  ASSERT_NE(nullptr, whole);
  ASSERT_EQ(4u, pages_.size());
  EXPECT_EQ(100u, pages_[3].length);
  EXPECT_EQ(3 * kPage, pages_[3].offset);
  EXPECT_EQ(text_of(3 * kPage + 100, 1), bytes());
  EXPECT_EQ(1, myfs_ll_pin_holds(whole));
  myfs_pin* part = pin(kPage + 10, kPage, 1);
  EXPECT_EQ(text_of(3 * kPage, 1).substr(kPage, kPage), bytes());
  EXPECT_EQ(0, myfs_ll_unpin(part));
  EXPECT_EQ(0, myfs_ll_unpin(whole));
  myfs_page page;
  myfs_pin* none = nullptr;
  EXPECT_EQ(0, myfs_ll_pin(file_, nullptr, 4 * kPage, 1, &page, 1, &none)) << "behind the end";
  EXPECT_EQ(nullptr, none);
}

TEST_F(Pages, CannotBeMappedForWriting) {
  EXPECT_EQ(MAP_FAILED, ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, arena_fd_, 0));
  EXPECT_EQ(EACCES, errno);
  EXPECT_EQ(-1, ::mprotect(arena_, kPage, PROT_READ | PROT_WRITE));
  EXPECT_EQ(EACCES, errno);
}

TEST_F(Pages, KeepTheirBytesWhileTheFileGoesOn) {
  const std::string before = text_of(3 * kPage + 100, 1);
  myfs_pin* old = pin(0, 4 * kPage);
  const std::vector<myfs_page> old_pages = pages_;
  Client other(server_->url());
  ASSERT_EQ(0, other.put(home() + "/f", std::string(4 * kPage, 'n')));
  EXPECT_EQ(0, myfs_ll_pin_holds(old));
  EXPECT_EQ(before, bytes()) << "the frames serve something else";
  myfs_pin* fresh = pin(0, 4 * kPage);
  EXPECT_EQ(std::string(4 * kPage, 'n'), bytes());
  EXPECT_EQ(1, myfs_ll_pin_holds(fresh));
  pages_ = old_pages;
  EXPECT_EQ(before, bytes());
  EXPECT_EQ(0, myfs_ll_unpin(old));
  EXPECT_EQ(0, myfs_ll_unpin(fresh));
}

struct Heard {
  static void hear(void* context, const myfs_invalidation* what) {
    auto* heard = static_cast<Heard*>(context);
    if ((what->what & MYFS_INVAL_DATA) != 0) heard->data_of = what->ino;
  }
  std::atomic<uint64_t> data_of{0};
};

TEST_F(Pages, AListenerIsToldBeforeTheyAreOld) {
  Heard heard;
  myfs_listener* listener = nullptr;
  ASSERT_EQ(0, myfs_ll_listen(dir_, &Heard::hear, &heard, &listener));
  myfs_pin* held = pin(0, kPage);
  Client other(server_->url());
  const int fd = other.open(home() + "/f", O_WRONLY);
  ASSERT_EQ(1, myfs_pwrite(other, fd, "!", 1, 0));
  EXPECT_EQ(stat("f").st_ino, heard.data_of);
  EXPECT_EQ(0, myfs_ll_pin_holds(held));
  EXPECT_EQ(0, myfs_close(other, fd));
  EXPECT_EQ(0, myfs_ll_unpin(held));
  EXPECT_EQ(0, myfs_ll_unlisten(listener));
}

TEST_F(Pages, OutliveReclaim) {
  ASSERT_EQ(0, myfs_set_memory_budget(16 << 20));
  myfs_pin* held = pin(0, 4 * kPage);
  ASSERT_EQ(0, Client(server_->url()).put(home() + "/big", std::string(32 << 20, 'b')));
  EXPECT_EQ(std::string(1 << 20, 'b'), content("big"));
  myfs_file* big = open_inode(child(dir_, "big"), O_RDONLY);
  std::vector<char> buffer(1 << 20);
  const iovec to{buffer.data(), buffer.size()};
  for (off_t at = 0; at < 32 << 20; at += 1 << 20) {
    ASSERT_EQ(1 << 20, myfs_ll_read(big, nullptr, &to, 1, at));
  }
  EXPECT_EQ(text_of(3 * kPage + 100, 1), bytes());
  EXPECT_EQ(1, myfs_ll_pin_holds(held));
  EXPECT_EQ(0, myfs_ll_unpin(held));
  myfs_ll_release(big);
  ASSERT_EQ(0, myfs_set_memory_budget(256 << 20));
}

TEST_F(Pages, KeepTheMountBusy) {
  make_dir("m");
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), "m", nullptr)) << last_message();
  myfs_inode* there = inode("m" + home() + "/f");
  myfs_file* opened = open_inode(there, O_RDONLY);
  myfs_page page;
  myfs_pin* made = nullptr;
  ASSERT_EQ(1, myfs_ll_pin(opened, nullptr, 0, 1, &page, 1, &made));
  EXPECT_EQ(0, myfs_ll_release(opened));
  EXPECT_EQ(0, myfs_ll_forget(there, 1));
  EXPECT_EQ(-EBUSY, myfs_umount(task_, "m", 0));
  EXPECT_EQ(kPage, pinned_bytes());
  EXPECT_EQ(0, myfs_ll_unpin(made));
  EXPECT_EQ(0u, pinned_bytes());
  EXPECT_EQ(0, myfs_umount(task_, "m", 0)) << last_message();
}

}  // namespace
}  // namespace myfs::test
