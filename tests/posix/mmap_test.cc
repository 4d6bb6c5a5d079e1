// mmap, msync, munmap: errnos, what the client itself sees, what another client sees and when.

#include <myfs/async.h>
#include <myfs/lowlevel.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <myfs/myfs.hpp>

#include <cstring>
#include <fstream>
#include <functional>
#include <future>
#include <vector>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

constexpr size_t kPage = 4096;
constexpr off_t kSizeMax = (off_t{1} << 54) - 1;
constexpr int kReadWrite = PROT_READ | PROT_WRITE;

std::string text_of(size_t size, uint32_t seed) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>('a' + (i * 31 + i / 999 + seed) % 26);
  return text;
}

class Mmap : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    make_file("f", text_of(3 * kPage + 100, 1));
    fd_ = open("f", O_RDWR);
  }
  void* map_at(void* hint, size_t length, int prot, int flags, int fd, off_t offset = 0) {
    void* address = nullptr;
    int r = myfs_mmap(task_, hint, length, prot, flags, fd, offset, &address);
    EXPECT_EQ(0, r) << last_message();
    return address;
  }
  char* map(size_t length, int prot = kReadWrite, int flags = MAP_SHARED, off_t offset = 0) {
    return static_cast<char*>(map_at(nullptr, length, prot, flags, fd_, offset));
  }
  int error_of(size_t length, int prot, int flags, int fd, off_t offset = 0) {
    void* address = nullptr;
    int r = myfs_mmap(task_, nullptr, length, prot, flags, fd, offset, &address);
    EXPECT_EQ(nullptr, address);
    return r;
  }
  void unmap(void* address, size_t length) {
    EXPECT_EQ(0, myfs_munmap(task_, address, length)) << last_message();
  }
  void sync(void* address, size_t length, int flags = MS_SYNC) {
    EXPECT_EQ(0, myfs_msync(task_, address, length, flags)) << last_message();
  }
  // The file as another client sees it.
  std::string seen_elsewhere(const char* name = "f") {
    return Client(server_->url()).get(home() + "/" + name);
  }
  uint64_t mapped_bytes() {
    std::string json(64 << 10, '\0');
    ssize_t n = myfs_stats_json(task_, json.data(), json.size());
    EXPECT_GT(n, 0);
    const size_t at = json.find("\"mapped\":");
    return at == std::string::npos ? UINT64_MAX : std::stoull(json.substr(at + 9));
  }
  int fd_ = -1;
};

// --- errnos

TEST_F(Mmap, mmap_EBADF) {
  EXPECT_EQ(-EBADF, error_of(kPage, PROT_READ, MAP_SHARED, 99));
  EXPECT_EQ(-EBADF, error_of(kPage, PROT_READ, MAP_SHARED, -1));
  EXPECT_EQ(-EBADF, error_of(kPage, PROT_READ, MAP_SHARED, open("f", O_PATH)));
}

TEST_F(Mmap, mmap_EACCES) {
  int write_only = open("f", O_WRONLY), read_only = open("f", O_RDONLY);
  EXPECT_EQ(-EACCES, error_of(kPage, PROT_READ, MAP_SHARED, write_only));
  EXPECT_EQ(-EACCES, error_of(kPage, PROT_WRITE, MAP_SHARED, write_only));
  EXPECT_EQ(-EACCES, error_of(kPage, PROT_READ, MAP_PRIVATE, write_only));
  EXPECT_EQ(-EACCES, error_of(kPage, kReadWrite, MAP_SHARED, read_only));
  unmap(map_at(nullptr, kPage, kReadWrite, MAP_PRIVATE, read_only), kPage);
  void* shared = map_at(nullptr, kPage, PROT_READ, MAP_SHARED, read_only);
  EXPECT_EQ(-1, ::mprotect(shared, kPage, kReadWrite));
  EXPECT_EQ(EACCES, errno);
  unmap(shared, kPage);
}

TEST_F(Mmap, mmap_EINVAL) {
  EXPECT_EQ(-EINVAL, error_of(0, PROT_READ, MAP_SHARED, fd_));
  EXPECT_EQ(-EINVAL, error_of(kPage, PROT_READ, MAP_SHARED, fd_, 1));
  EXPECT_EQ(-EINVAL, error_of(kPage, PROT_READ, MAP_SHARED, fd_, -off_t{kPage}));
  EXPECT_EQ(-EINVAL, error_of(kPage, PROT_READ, 0, fd_));
  EXPECT_EQ(-EINVAL, error_of(kPage, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, fd_));
  EXPECT_EQ(-EINVAL, error_of(kPage, 0x4000, MAP_SHARED, fd_));
  EXPECT_EQ(-EINVAL, myfs_mmap(task_, nullptr, kPage, PROT_READ, MAP_SHARED, fd_, 0, nullptr));
}

TEST_F(Mmap, mmap_EOPNOTSUPP) {
  EXPECT_EQ(-EOPNOTSUPP, error_of(kPage, PROT_READ, MAP_SHARED_VALIDATE | MAP_SYNC, fd_));
  unmap(map(kPage, PROT_READ, MAP_SHARED_VALIDATE), kPage);
}

TEST_F(Mmap, mmap_ENODEV) {
  make_dir("d");
  EXPECT_EQ(-ENODEV, error_of(kPage, PROT_READ, MAP_SHARED, open("d", O_RDONLY)));
  EXPECT_EQ(-EACCES, error_of(kPage, kReadWrite, MAP_SHARED, open("d", O_RDONLY)));
}

TEST_F(Mmap, mmap_EOVERFLOW) {
  const off_t last = (kSizeMax + 1) - off_t{kPage};
  EXPECT_EQ(-EOVERFLOW, error_of(2 * kPage, PROT_READ, MAP_SHARED, fd_, last));
  EXPECT_EQ(-EOVERFLOW,
            error_of(kPage, PROT_READ, MAP_SHARED, fd_, INT64_MAX / off_t{kPage} * off_t{kPage}));
  unmap(map(kPage, PROT_READ, MAP_SHARED, last), kPage);
}

TEST_F(Mmap, mmap_ENOMEM) {
  EXPECT_EQ(-ENOMEM, error_of(SIZE_MAX - kPage + 1, PROT_READ, MAP_SHARED, fd_));
  EXPECT_EQ(-ENOMEM, error_of(size_t{1} << 50, PROT_READ, MAP_SHARED, fd_)) << "no addresses";
  myfs_stats stats{};
  stats.size = sizeof stats;
  ASSERT_EQ(0, myfs_get_stats(task_, &stats));
  const auto big = static_cast<off_t>(stats.memory_budget_bytes);
  ASSERT_EQ(0, myfs_ftruncate(task_, fd_, big));
  EXPECT_EQ(-ENOMEM, error_of(static_cast<size_t>(big), PROT_READ, MAP_SHARED, fd_));
  EXPECT_EQ(0u, mapped_bytes());
  unmap(map(kPage), kPage);
}

TEST_F(Mmap, mmap_EEXIST) {
  char* there = map(kPage);
  void* address = nullptr;
  EXPECT_EQ(-EEXIST, myfs_mmap(task_, there, kPage, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE,
                               fd_, 0, &address));
  unmap(there, kPage);
  void* again = map_at(there, kPage, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd_);
  EXPECT_EQ(there, again);
  unmap(again, kPage);
}

TEST_F(Mmap, mmap_EMFILE) {
  rlimit before;
  ASSERT_EQ(0, ::getrlimit(RLIMIT_NOFILE, &before));
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &none));
  const int result = error_of(kPage, PROT_READ, MAP_SHARED, fd_);
  ASSERT_EQ(0, ::setrlimit(RLIMIT_NOFILE, &before));
  EXPECT_EQ(-EMFILE, result);
  unmap(map(kPage), kPage);
}

TEST_F(Mmap, msync_EINVAL) {
  char* at = map(kPage);
  EXPECT_EQ(-EINVAL, myfs_msync(task_, at + 1, kPage, MS_SYNC));
  EXPECT_EQ(-EINVAL, myfs_msync(task_, at, kPage, MS_SYNC | MS_ASYNC));
  EXPECT_EQ(-EINVAL, myfs_msync(task_, at, kPage, 8));
  EXPECT_EQ(0, myfs_msync(task_, at, 0, MS_SYNC));
  unmap(at, kPage);
}

TEST_F(Mmap, msync_ENOMEM) {
  char* at = map(3 * kPage);
  std::memcpy(at + 2 * kPage, "after the gap", 13);
  unmap(at + kPage, kPage);
  EXPECT_EQ(-ENOMEM, myfs_msync(task_, at, 3 * kPage, MS_SYNC));
  EXPECT_EQ("after the gap", seen_elsewhere().substr(2 * kPage, 13)) << "what is mapped is done";
  sync(at, kPage);
  sync(at + 2 * kPage, kPage);
  unmap(at, 3 * kPage);
  EXPECT_EQ(-ENOMEM, myfs_msync(task_, at, kPage, MS_SYNC));
}

TEST_F(Mmap, munmap_EINVAL) {
  char* at = map(kPage);
  EXPECT_EQ(-EINVAL, myfs_munmap(task_, at + 1, kPage));
  EXPECT_EQ(-EINVAL, myfs_munmap(task_, at, 0));
  EXPECT_EQ(-EINVAL, myfs_munmap(task_, at, SIZE_MAX));
  unmap(at, kPage);
  unmap(at, kPage);  // nothing is there, and nothing happens
}

#if !defined(__SANITIZE_THREAD__)  // which ends a process that has no mapping left for it
TEST_F(Mmap, munmap_ENOMEM) {
  char* at = map(3 * kPage);
  at[kPage] = '!';
  // As many mappings as the process may have, and no more of ours.
  std::ifstream limit("/proc/sys/vm/max_map_count");
  size_t max = 0;
  ASSERT_TRUE(limit >> max);
  const size_t pages = 2 * max;
  auto* many = static_cast<char*>(::mmap(nullptr, pages * kPage, PROT_NONE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  ASSERT_NE(MAP_FAILED, many);
  for (size_t i = 0; i < pages && ::mprotect(many + i * kPage, kPage, PROT_READ) == 0; i += 2) {
  }
  const int result = myfs_munmap(task_, at + kPage, kPage);
  ASSERT_EQ(0, ::munmap(many, pages * kPage));
  EXPECT_EQ(-ENOMEM, result);
  EXPECT_EQ('!', at[kPage]) << "nothing has happened";
  unmap(at + kPage, kPage);
  EXPECT_EQ("!", seen_elsewhere().substr(kPage, 1));
  unmap(at, 3 * kPage);
  EXPECT_EQ(0u, mapped_bytes());
}
#endif

// --- within the client

TEST_F(Mmap, ShowsTheFile) {
  const std::string text = text_of(3 * kPage + 100, 1);
  char* all = map(4 * kPage, PROT_READ);
  EXPECT_EQ(text, std::string(all, text.size()));
  EXPECT_EQ(std::string(kPage - 100, '\0'), std::string(all + text.size(), kPage - 100));
  char* part = map(kPage, PROT_READ, MAP_PRIVATE, 2 * kPage);
  EXPECT_EQ(text.substr(2 * kPage, kPage), std::string(part, kPage));
  EXPECT_EQ(4 * kPage, mapped_bytes()) << "shared by the mappings";
  unmap(all, 4 * kPage);
  EXPECT_EQ(kPage, mapped_bytes());
  unmap(part, kPage);
  EXPECT_EQ(0u, mapped_bytes());
}

TEST_F(Mmap, BehindTheEndIsSigbus) {
  char* at = map(8 * kPage, PROT_READ);
  volatile char byte = at[4 * kPage - 1];
  EXPECT_EQ('\0', byte);
  const auto touch = [&](size_t offset) {
    struct sigaction action {};  // sanitizers have a handler of their own
    action.sa_handler = SIG_DFL;
    ::sigaction(SIGBUS, &action, nullptr);
    byte = at[offset];
  };
  EXPECT_EXIT(touch(4 * kPage), testing::KilledBySignal(SIGBUS), "");
  ASSERT_EQ(0, myfs_ftruncate(task_, fd_, kPage));
  EXPECT_EXIT(touch(kPage), testing::KilledBySignal(SIGBUS), "");
  pwrite(fd_, "longer", 5 * kPage);
  EXPECT_EQ('l', at[5 * kPage]);
  EXPECT_EQ('\0', at[2 * kPage]);
  EXPECT_EXIT(touch(6 * kPage), testing::KilledBySignal(SIGBUS), "");
  unmap(at, 8 * kPage);
}

TEST_F(Mmap, StoresAreSeenByReadAndOtherMappings) {
  char* at = map(2 * kPage);
  char* other = map(kPage, PROT_READ, MAP_SHARED, kPage);
  EXPECT_EQ(text_of(8, 1 + 31 * 8), pread(fd_, 8, 8));  // cached, and hit
  std::memcpy(at + 10, "stored", 6);
  at[kPage] = '!';
  EXPECT_EQ('!', other[0]);
  EXPECT_EQ("stored", pread(fd_, 6, 10));
  EXPECT_EQ("ored", pread(open("f", O_RDONLY), 4, 12));
  EXPECT_EQ(std::string("!") + text_of(3 * kPage, 1)[kPage + 1], pread(fd_, 2, kPage));
  unmap(other, kPage);
  unmap(at, 2 * kPage);
}

// Pages of the cache may go, mapped memory does not.
TEST_F(Mmap, ReadingManyFilesSeesStores) {
  char* at = map(kPage);
  std::memcpy(at, "stored", 6);
  ASSERT_EQ(0, myfs_posix_fadvise(task_, fd_, 0, 0, POSIX_FADV_DONTNEED));
  stat("f");
  std::string text(6, '?');
  myfs_read_entry entry{"f", text.data(), text.size(), 0};
  EXPECT_EQ(1, myfs_open_read_close_many(task_, &entry, 1)) << last_message();
  EXPECT_EQ(6, entry.result);
  EXPECT_EQ("stored", text);
  unmap(at, kPage);
}

TEST_F(Mmap, SyncByInodeWritesStores) {
  myfs_entry entry{};
  entry.size = sizeof entry;
  ASSERT_EQ(0, myfs_ll_open_path(task_, nullptr, "f", &entry)) << last_message();
  myfs_file* file = nullptr;
  ASSERT_EQ(0, myfs_ll_open(entry.inode, nullptr, O_RDONLY, &file)) << last_message();
  char* at = map(kPage);
  std::memcpy(at, "stored", 6);
  EXPECT_EQ(0, myfs_ll_fsync(file, nullptr, 0)) << last_message();
  EXPECT_EQ("stored", seen_elsewhere().substr(0, 6));
  EXPECT_EQ(0, myfs_ll_release(file));
  unmap(at, kPage);
}

TEST_F(Mmap, WritesAreSeenAndKeepTheirOrder) {
  char* at = map(2 * kPage);
  pwrite(fd_, "written", 100);
  EXPECT_EQ("written", std::string(at + 100, 7));
  std::memcpy(at + 200, "first", 5);
  pwrite(fd_, "later", 200);
  EXPECT_EQ("later", std::string(at + 200, 5)) << "the later one counts";
  EXPECT_EQ("later", pread(fd_, 5, 200));
  std::memcpy(at + 200, "again", 5);
  EXPECT_EQ("again", pread(fd_, 5, 200));
  unmap(at, 2 * kPage);
  EXPECT_EQ("again", content("f").substr(200, 5));
}

TEST_F(Mmap, OtherChangesAreSeen) {
  char* at = map(4 * kPage, PROT_READ);
  ASSERT_EQ(0, myfs_fallocate(task_, fd_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 10, 20));
  EXPECT_EQ(std::string(20, '\0'), std::string(at + 10, 20));
  off_t from = 50, to = kPage;
  ASSERT_EQ(10, myfs_copy_file_range(task_, fd_, &from, fd_, &to, 10, 0));
  EXPECT_EQ(std::string(at + 50, 10), std::string(at + kPage, 10));
  ASSERT_EQ(0, myfs_ftruncate(task_, fd_, 5));
  EXPECT_EQ(std::string(20, '\0'), std::string(at + 5, 20));
  ASSERT_EQ(0, myfs_ftruncate(task_, fd_, 2 * kPage));
  EXPECT_EQ('\0', at[kPage]);
  make_file("f", "cut and new");
  EXPECT_EQ("cut and new", std::string(at));
  unmap(at, 4 * kPage);
}

TEST_F(Mmap, PrivateStoresStayPrivate) {
  char* at = map(kPage, kReadWrite, MAP_PRIVATE);
  std::memcpy(at, "mine", 4);
  EXPECT_EQ(text_of(4, 1), pread(fd_, 4, 0));
  sync(at, kPage, MS_SYNC | MS_INVALIDATE);
  EXPECT_EQ("mine", std::string(at, 4));
  unmap(at, kPage);
  EXPECT_EQ(text_of(4, 1), seen_elsewhere().substr(0, 4));
}

TEST_F(Mmap, StoresBesideTheEndAreDropped) {
  make_file("short", "0123456789");
  fd_ = open("short", O_RDWR);
  char* at = map(kPage);
  std::memcpy(at + 8, "abcdef", 6);
  sync(at, kPage);
  EXPECT_EQ("01234567ab", content("short"));
  pwrite(fd_, "x", 20);
  EXPECT_EQ(std::string("01234567ab") + std::string(10, '\0') + "x", content("short"));
  EXPECT_EQ('\0', at[12]);
  unmap(at, kPage);
}

TEST_F(Mmap, PartsAreUnmapped) {
  char* at = map(3 * kPage);
  for (size_t page = 0; page < 3; ++page) at[page * kPage] = static_cast<char>('0' + page);
  unmap(at + kPage, kPage);
  EXPECT_EQ("1", seen_elsewhere().substr(kPage, 1));
  at[1] = '+';
  at[2 * kPage + 1] = '+';
  EXPECT_EQ(4 * kPage, mapped_bytes());  // two pages, and what they were
  unmap(at, 3 * kPage);
  const std::string now = seen_elsewhere();
  EXPECT_EQ("0+", now.substr(0, 2));
  EXPECT_EQ("2+", now.substr(2 * kPage, 2));
}

TEST_F(Mmap, FixedReplacesAndWrites) {
  char* at = map(2 * kPage);
  at[0] = '!';
  EXPECT_EQ(at, map_at(at, kPage, PROT_READ, MAP_SHARED | MAP_FIXED, fd_, 2 * kPage));
  EXPECT_EQ(text_of(3 * kPage, 1).substr(2 * kPage, 10), std::string(at, 10));
  EXPECT_EQ("!", seen_elsewhere().substr(0, 1));
  unmap(at, 2 * kPage);
}

// Several threads take one mapping away, each a part of it.
TEST_F(Mmap, PartsAreUnmappedAtATime) {
  char* at = map(4 * kPage);
  ASSERT_EQ(0, myfs_freeze(task_, "/")) << last_message();
  at[0] = '!';
  auto first = std::async(std::launch::async, [&] { return myfs_munmap(task_, at, kPage); });
  // Not the first one's page any more; it waits with what was stored there.
  const myfs_call brief{sizeof brief, nullptr, 1, nullptr};
  while (myfs_msync_x(task_, &brief, at, kPage, MS_ASYNC) != -ENOMEM) {
  }
  unmap(at + kPage, 3 * kPage);
  ASSERT_EQ(0, myfs_thaw(task_, "/"));
  EXPECT_EQ(0, first.get());
  EXPECT_EQ(0u, mapped_bytes());
  EXPECT_EQ("!", pread(fd_, 1, 0));
  EXPECT_EQ("!", seen_elsewhere().substr(0, 1));
}

// While it waits with what was stored in the old mapping the addresses are the new one's.
TEST_F(Mmap, FixedLeavesNoHole) {
  char* at = map(kPage);
  ASSERT_EQ(0, myfs_freeze(task_, "/")) << last_message();
  at[0] = '!';
  auto mapped = std::async(std::launch::async, [&] {
    return map_at(at, kPage, PROT_READ, MAP_SHARED | MAP_FIXED, fd_, 2 * kPage);
  });
  auto is_free = [&] {
    void* taken =
        ::mmap(at, kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (taken == MAP_FAILED) return false;
    ::munmap(taken, kPage);
    return true;
  };
  const char expected = text_of(3 * kPage, 1)[2 * kPage];
  char there = '\0';
  const iovec here{&there, 1}, mapping{at, 1};
  bool hole = false;
  while (!hole && there != expected) {
    hole = is_free();
    (void)::process_vm_readv(::getpid(), &here, 1, &mapping, 1, 0);
  }
  EXPECT_FALSE(hole);
  EXPECT_EQ(text_of(1, 1), seen_elsewhere().substr(0, 1));
  ASSERT_EQ(0, myfs_thaw(task_, "/"));
  EXPECT_EQ(at, mapped.get());
  EXPECT_EQ("!", seen_elsewhere().substr(0, 1));
  unmap(at, kPage);
  EXPECT_EQ(0u, mapped_bytes());
}

// What somebody has taken away without us is replaced as MAP_FIXED does.
TEST_F(Mmap, AddressesThatCameBackAreMappedAnew) {
  char* at = map(2 * kPage);
  at[0] = '!';
  ASSERT_EQ(0, ::munmap(at, 2 * kPage));
  EXPECT_EQ(at, map_at(at, 2 * kPage, kReadWrite, MAP_SHARED | MAP_FIXED_NOREPLACE, fd_, kPage));
  EXPECT_EQ("!", seen_elsewhere().substr(0, 1));
  at[1] = '+';
  unmap(at, 2 * kPage);
  EXPECT_EQ("+", seen_elsewhere().substr(kPage + 1, 1));
  EXPECT_EQ(0u, mapped_bytes());
}

TEST_F(Mmap, OutlivesTheDescriptorAndTheName) {
  char* at = map(kPage);
  close(fd_);
  ASSERT_EQ(0, myfs_unlink(task_, "f"));
  at[0] = '!';
  sync(at, kPage, MS_SYNC | MS_INVALIDATE);
  EXPECT_EQ('!', at[0]);
  unmap(at, kPage);
}

TEST_F(Mmap, UmountIsBusy) {
  make_dir("m");
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), "m", nullptr)) << last_message();
  fd_ = open(("m" + home() + "/f").c_str(), O_RDWR);
  char* at = map(kPage);
  char* other = map(kPage, PROT_READ);
  close(fd_);
  EXPECT_EQ(-EBUSY, myfs_umount(task_, "m", 0));
  EXPECT_EQ(0, myfs_umount(task_, "m", MNT_DETACH)) << last_message();
  at[0] = '!';
  sync(at, kPage);
  EXPECT_EQ("!", seen_elsewhere().substr(0, 1));
  unmap(at, kPage);
  EXPECT_EQ(text_of(8, 1).substr(1), std::string(other + 1, 7));
  unmap(other, kPage);
}

TEST_F(Mmap, ForcedUmountLeavesTheMemory) {
  make_dir("m");
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), "m", nullptr)) << last_message();
  fd_ = open(("m" + home() + "/f").c_str(), O_RDWR);
  char* at = map(kPage);
  at[0] = '!';
  EXPECT_EQ(0, myfs_umount(task_, "m", MNT_FORCE)) << last_message();
  EXPECT_EQ('!', at[0]);
  EXPECT_EQ(-ENOTCONN, myfs_msync(task_, at, kPage, MS_SYNC));
  EXPECT_EQ(-ENOTCONN, myfs_munmap(task_, at, kPage));
  EXPECT_EQ(0u, mapped_bytes());
  myfs_close(task_, fd_);
}

// --- freezing

constexpr myfs_call kBrief{sizeof kBrief, nullptr, 50, nullptr};

TEST_F(Mmap, FreezingWritesStores) {
  char* at = map(2 * kPage);
  std::memcpy(at + kPage, "before", 6);
  ASSERT_EQ(0, myfs_freeze(task_, "/")) << last_message();
  EXPECT_EQ("before", seen_elsewhere().substr(kPage, 6));
  ASSERT_EQ(0, myfs_thaw(task_, "/"));
  unmap(at, 2 * kPage);
}

TEST_F(Mmap, StoresWaitForTheThaw) {
  char* at = map(2 * kPage);
  ASSERT_EQ(0, myfs_freeze(task_, "/")) << last_message();
  std::memcpy(at, "frozen", 6);
  EXPECT_EQ(-ETIMEDOUT, myfs_msync_x(task_, &kBrief, at, kPage, MS_SYNC));
  EXPECT_EQ(-ETIMEDOUT, myfs_fsync_x(task_, &kBrief, fd_));
  EXPECT_EQ(-ETIMEDOUT, myfs_sync_file_range_x(task_, &kBrief, fd_, 0, 0, 0));
  EXPECT_EQ(-ETIMEDOUT, myfs_syncfs_x(task_, &kBrief, fd_));
  EXPECT_EQ(-ETIMEDOUT, myfs_sync_x(task_, &kBrief));
  EXPECT_EQ("frozen", pread(fd_, 6, 0)) << "looking is free";
  EXPECT_EQ(text_of(6, 1), seen_elsewhere().substr(0, 6));
  ASSERT_EQ(0, myfs_thaw(task_, "/"));
  sync(at, kPage);
  EXPECT_EQ("frozen", seen_elsewhere().substr(0, 6));
  unmap(at, 2 * kPage);
}

TEST_F(Mmap, WhoStoredNothingDoesNotWaitForTheThaw) {
  char* at = map(2 * kPage);
  ASSERT_EQ(0, myfs_freeze(task_, "/")) << last_message();
  EXPECT_EQ(0, myfs_msync_x(task_, &kBrief, at, kPage, MS_SYNC)) << last_message();
  EXPECT_EQ(0, myfs_fsync_x(task_, &kBrief, fd_)) << last_message();
  EXPECT_EQ(0, myfs_munmap_x(task_, &kBrief, at, 2 * kPage)) << last_message();
  ASSERT_EQ(0, myfs_thaw(task_, "/"));
}

TEST_F(Mmap, TheEndOfATaskThatIsFrozenWrites) {
  char* at = map(kPage);
  ASSERT_EQ(0, myfs_freeze(task_, "/")) << last_message();
  std::memcpy(at, "last", 4);
  ASSERT_EQ(0, myfs_task_destroy(task_)) << last_message();
  task_ = nullptr;
  EXPECT_EQ("last", seen_elsewhere().substr(0, 4));
}

TEST_F(Mmap, EndsWithTheTask) {
  auto* at = static_cast<char*>(map_at(nullptr, kPage, kReadWrite, MAP_SHARED, fd_));
  std::memcpy(at, "last", 4);
  ASSERT_EQ(0, myfs_task_destroy(task_)) << last_message();
  task_ = nullptr;
  EXPECT_EQ("last", seen_elsewhere().substr(0, 4));
}

TEST_F(Mmap, OwnsItselfInCxx) {
  auto task = myfs::Task::open(server_->url());
  ASSERT_TRUE(task) << task.error().message();
  auto file = task->open_file(home() + "/f", O_RDWR);
  ASSERT_TRUE(file) << file.error().message();
  {
    auto mapping = file->mmap(2 * kPage, kReadWrite, MAP_SHARED, kPage);
    ASSERT_TRUE(mapping) << mapping.error().message();
    std::memcpy(mapping->data(), "from C++", 8);
    EXPECT_TRUE(mapping->sync(MS_SYNC, 0, kPage));
    EXPECT_EQ("from C++", content("f").substr(kPage, 8));
    std::memcpy(mapping->data() + kPage, "by itself", 9);
    myfs::Mapping moved = std::move(*mapping);
    EXPECT_EQ(2 * kPage, moved.bytes().size());
  }
  EXPECT_EQ("by itself", content("f").substr(2 * kPage, 9));
  auto mapping = file->mmap(kPage, PROT_READ, MAP_PRIVATE);
  ASSERT_TRUE(mapping);
  EXPECT_TRUE(mapping->unmap());
  EXPECT_EQ(EINVAL, file->mmap(kPage, PROT_READ, 0).error().value());
}

// --- between clients

class MmapOfTwo : public Mmap {
 protected:
  void SetUp() override {
    Mmap::SetUp();
    other_ = std::make_unique<Client>(server_->url());
    other_fd_ = other_->open(home() + "/f", O_RDWR);
    ASSERT_GE(other_fd_, 0);
  }
  void TearDown() override {
    other_.reset();
    Mmap::TearDown();
  }
  std::string other_reads(size_t size, off_t offset) {
    std::string text(size, '?');
    EXPECT_EQ(static_cast<ssize_t>(size),
              myfs_pread(*other_, other_fd_, text.data(), size, offset));
    return text;
  }
  void other_writes(const std::string& text, off_t offset) {
    EXPECT_EQ(static_cast<ssize_t>(text.size()),
              myfs_pwrite(*other_, other_fd_, text.data(), text.size(), offset));
  }
  std::unique_ptr<Client> other_;
  int other_fd_ = -1;
};

TEST_F(MmapOfTwo, StoresAreSeenAfterEachOfTheCallsThatWrite) {
  char* at = map(2 * kPage);
  int number = 0;
  auto store = [&] {
    const std::string text = "stored " + std::to_string(++number);
    std::memcpy(at + kPage - 3, text.data(), text.size());
    EXPECT_NE(text, other_reads(text.size(), kPage - 3)) << "written by itself";
    return text;
  };
  std::string text = store();
  sync(at, 2 * kPage, MS_SYNC);
  EXPECT_EQ(text, other_reads(text.size(), kPage - 3));
  text = store();
  sync(at, 2 * kPage, MS_ASYNC);
  EXPECT_EQ(text, other_reads(text.size(), kPage - 3));
  text = store();
  EXPECT_EQ(0, myfs_fsync(task_, fd_));
  EXPECT_EQ(text, other_reads(text.size(), kPage - 3));
  text = store();
  EXPECT_EQ(0, myfs_sync(task_));
  EXPECT_EQ(text, other_reads(text.size(), kPage - 3));
  text = store();
  EXPECT_EQ(0, myfs_syncfs(task_, fd_));
  EXPECT_EQ(text, other_reads(text.size(), kPage - 3));
  text = store();
  unmap(at, 2 * kPage);
  EXPECT_EQ(text, other_reads(text.size(), kPage - 3));
}

// There is no memory for the pages that the file has got: those that are there go on.
TEST_F(MmapOfTwo, GrowthBeyondTheBudgetLosesNoStores) {
  myfs_stats stats{};
  stats.size = sizeof stats;
  ASSERT_EQ(0, myfs_get_stats(task_, &stats));
  const size_t big = stats.memory_budget_bytes;
  ASSERT_EQ(0, myfs_ftruncate(task_, fd_, 100));
  char* at = map(big);
  ASSERT_EQ(0, myfs_ftruncate(*other_, other_fd_, static_cast<off_t>(big)));
  std::memcpy(at, "one", 3);
  EXPECT_EQ(0, myfs_msync(task_, at, big, MS_SYNC)) << last_message();
  EXPECT_EQ("one", other_reads(3, 0));
  pwrite(fd_, "two", 10);
  EXPECT_EQ("two", std::string(at + 10, 3));
  std::memcpy(at + 20, "three", 5);
  EXPECT_EQ(0, myfs_fsync(task_, fd_)) << last_message();
  EXPECT_EQ("three", other_reads(5, 20));
  char* again = map(kPage);
  std::memcpy(again + 200, "behind the old end", 18);
  EXPECT_EQ(-ENOMEM, myfs_msync(task_, at, big, MS_INVALIDATE));
  unmap(at, big);
  EXPECT_EQ("behind the old end", other_reads(18, 200));
  unmap(again, kPage);
}

// Of tasks that share the mount, each syncs what the other has stored.
TEST_F(MmapOfTwo, SyncIsOfAllTasksOfTheClient) {
  char* at = map(kPage);
  myfs_task* copy = nullptr;
  ASSERT_EQ(0, myfs_task_clone(task_, nullptr, &copy)) << last_message();
  const int fd = myfs_open(copy, "f", O_RDONLY, 0);
  ASSERT_GE(fd, 0);
  std::memcpy(at, "first", 5);
  EXPECT_EQ(0, myfs_syncfs(copy, fd));
  EXPECT_EQ("first", other_reads(5, 0));
  std::memcpy(at, "again", 5);
  EXPECT_EQ(0, myfs_sync(copy));
  EXPECT_EQ("again", other_reads(5, 0));
  EXPECT_EQ(0, myfs_task_destroy(copy));
  unmap(at, kPage);
}

TEST_F(MmapOfTwo, WhatIsMappedAnewIsFresh) {
  char* old = map(kPage, PROT_READ);
  other_writes("from elsewhere", 0);
  EXPECT_EQ(text_of(8, 1), std::string(old, 8)) << "changed without having been asked";
  char* fresh = map(kPage, PROT_READ);
  EXPECT_EQ("from elsewhere", std::string(fresh, 14));
  EXPECT_EQ("from elsewhere", std::string(old, 14)) << "they share the memory";
  unmap(old, kPage);
  unmap(fresh, kPage);
}

TEST_F(MmapOfTwo, InvalidateShowsWhatOthersWrote) {
  char* at = map(4 * kPage, PROT_READ);
  other_writes("one", 10);
  other_writes("two", 2 * kPage + 10);
  sync(at, kPage, MS_INVALIDATE);
  EXPECT_EQ("one", std::string(at + 10, 3));
  sync(at, 4 * kPage, MS_INVALIDATE);
  EXPECT_EQ("two", std::string(at + 2 * kPage + 10, 3));
  ASSERT_EQ(0, myfs_ftruncate(*other_, other_fd_, 12));
  sync(at, 4 * kPage, MS_INVALIDATE);
  EXPECT_EQ(std::string("on\0\0", 4), std::string(at + 10, 4));
  other_writes(std::string(kPage, 'g'), kPage);
  sync(at, 4 * kPage, MS_INVALIDATE);
  EXPECT_EQ(std::string(kPage, 'g'), std::string(at + kPage, kPage));
  unmap(at, 4 * kPage);
}

// Both store into one page; neither overwrites the other's words with what they were.
TEST_F(MmapOfTwo, WordsOfBothStay) {
  void* address = nullptr;
  ASSERT_EQ(0, myfs_mmap(*other_, nullptr, kPage, kReadWrite, MAP_SHARED, other_fd_, 0, &address));
  auto* theirs = static_cast<char*>(address);
  char* mine = map(kPage);
  std::memset(mine + 64, 'M', 8);
  std::memset(theirs + 72, 'T', 8);
  std::memset(theirs + 56, 'T', 8);
  sync(mine, kPage);
  EXPECT_EQ(0, myfs_msync(*other_, theirs, kPage, MS_SYNC | MS_INVALIDATE));
  sync(mine, kPage, MS_SYNC | MS_INVALIDATE);
  const std::string both = "TTTTTTTTMMMMMMMMTTTTTTTT";
  EXPECT_EQ(both, std::string(mine + 56, 24));
  EXPECT_EQ(both, std::string(theirs + 56, 24));
  EXPECT_EQ(both, seen_elsewhere().substr(56, 24));
  unmap(mine, kPage);
  EXPECT_EQ(0, myfs_munmap(*other_, theirs, kPage));
}

// A word of which a part is stored and a part is written keeps both.
TEST_F(MmapOfTwo, AWriteNextToAStoreInOneWordStays) {
  char* mine = map(kPage);
  std::memset(mine, '0', kPage);
  sync(mine, kPage);
  mine[7] = 'A';
  ASSERT_EQ(4, myfs_pwrite(task_, fd_, "BBBB", 4, 0));
  EXPECT_EQ("BBBB000A", std::string(mine, 8));
  sync(mine, kPage);
  EXPECT_EQ("BBBB000A", seen_elsewhere().substr(0, 8));
  unmap(mine, kPage);
}

TEST_F(MmapOfTwo, StoresSurviveAnInvalidate) {
  char* at = map(2 * kPage);
  std::memcpy(at, "mine, not written", 17);
  other_writes("in vain", 4);
  other_writes("theirs", 100);
  char* second = map(2 * kPage, PROT_READ);  // brings the file in again
  EXPECT_EQ("mine, not written", std::string(at, 17));
  EXPECT_EQ("theirs", std::string(at + 100, 6));
  unmap(second, 2 * kPage);
  unmap(at, 2 * kPage);
  EXPECT_EQ("mine, not written", other_reads(17, 0));
  EXPECT_EQ("theirs", other_reads(6, 100));
}

TEST_F(MmapOfTwo, WhatOthersCutDoesNotComeBack) {
  char* at = map(3 * kPage);
  at[0] = '!';
  at[2 * kPage] = '!';
  ASSERT_EQ(0, myfs_ftruncate(*other_, other_fd_, 5));
  sync(at, 3 * kPage, MS_ASYNC);
  EXPECT_EQ("!" + text_of(5, 1).substr(1), seen_elsewhere());
  unmap(at, 3 * kPage);
  EXPECT_EQ(5, stat("f").st_size);
}

// In the last page memory reaches further than the file did; when that has grown since, the process
// may store there.
TEST_F(MmapOfTwo, StoresWhereOthersMadeTheFileLongerStay) {
  auto reads = [this](off_t offset, size_t size) {
    std::string text(size, '?');
    EXPECT_EQ(static_cast<ssize_t>(size), myfs_pread(task_, fd_, text.data(), size, offset));
    return text;
  };
  const std::vector<std::function<void(char*)>> ways = {
      [](char*) {},
      [this](char* at) { sync(at, kPage); },
      [this](char* at) { sync(at, kPage, MS_INVALIDATE); },
      [this](char*) { EXPECT_EQ(0, myfs_fsync(task_, fd_)); },
      [this](char*) { unmap(map(kPage, PROT_READ), kPage); },
      [this](char*) { pwrite(fd_, "x", 3 * kPage); },
      [this](char*) { EXPECT_EQ(0, myfs_ftruncate(task_, fd_, 3 * kPage)); },
      [this](char*) { EXPECT_EQ(0, myfs_ftruncate(task_, fd_, 250)); },
      [&](char*) { EXPECT_EQ("mine", reads(200, 4)); },
  };
  for (size_t i = 0; i < ways.size(); ++i) {
    SCOPED_TRACE(i);
    ASSERT_EQ(0, myfs_ftruncate(task_, fd_, 100));
    char* at = map(kPage);
    other_writes("abc", 100);
    other_writes("theirs", 294);
    std::memcpy(at + 103, "X", 1);
    std::memcpy(at + 200, "mine", 4);
    std::memcpy(at + 304, "behind the end", 14);
    ways[i](at);
    unmap(at, kPage);
    EXPECT_EQ("abcX", other_reads(4, 100));
    EXPECT_EQ("mine", other_reads(4, 200));
    if (i != 7) {
      EXPECT_EQ("theirs", other_reads(6, 294));
    }
    if (i == 5 || i == 6) {
      EXPECT_EQ(std::string(14, '\0'), other_reads(14, 304));
    } else {
      EXPECT_EQ(i == 7 ? 250 : 300, stat("f").st_size);
    }
  }
}

TEST_F(MmapOfTwo, LargeFilesArePatchedExactly) {
  const size_t size = (3 << 20) + 777;
  std::string expected = text_of(size, 5);
  make_file("big", expected);
  fd_ = open("big", O_RDWR);
  char* at = map(size);
  EXPECT_EQ(expected, std::string(at, size));
  uint64_t x = 88172645463325252;
  for (int i = 0; i < 500; ++i) {
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    const size_t where = x % size, length = std::min<size_t>(x >> 40 & 0x1fff, size - where);
    std::memset(at + where, static_cast<int>('A' + i % 26), length);
    std::memset(expected.data() + where, static_cast<int>('A' + i % 26), length);
  }
  sync(at, size);
  EXPECT_EQ(expected, seen_elsewhere("big"));
  unmap(at, size);
}

// Suites of their own: the server is killed.
using MmapLost = Mmap;

TEST_F(MmapLost, msync_EIO) {
  char* at = map(kPage);
  at[0] = '!';
  sync(at, kPage, MS_ASYNC);
  restart_server();
  EXPECT_EQ(-EIO, myfs_msync(task_, at, kPage, MS_SYNC));
  EXPECT_EQ(0, myfs_msync(task_, at, kPage, MS_SYNC)) << last_message();
  unmap(at, kPage);
}

TEST_F(MmapLost, munmap_EIO) {
  char* at = map(kPage);
  at[0] = '!';
  sync(at, kPage, MS_ASYNC);
  restart_server();
  EXPECT_EQ(-EIO, myfs_munmap(task_, at, kPage));
  EXPECT_EQ(0u, mapped_bytes());
}

// What is still in memory only is not lost with the server.
TEST_F(MmapLost, StoresOutliveTheServer) {
  char* at = map(kPage);
  std::memcpy(at, "kept", 4);
  restart_server();
  make_dir("d");  // asks the server, so the old session is known to have ended
  sync(at, kPage, MS_SYNC);
  EXPECT_EQ("kept", seen_elsewhere().substr(0, 4));
  unmap(at, kPage);
}

}  // namespace
}  // namespace myfs::test
