#include "sdk/mm/mmap_pages.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstring>
#include <string>

#include "sdk/base/error_detail.h"

namespace myfs::mm {

namespace {

// Mapped memory cannot be reclaimed: the rest is left to those who read and write.
constexpr size_t kShareOfBudget_num = 3, kShareOfBudget_den = 4;

Result<void> write_all(int fd, const std::byte* from, size_t size_bytes, uint64_t offset) {
  while (size_bytes != 0) {
    const ssize_t n = ::pwrite(fd, from, size_bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    // The system's memory, not a disk, is full.
    if (n <= 0) return Errno(n < 0 && errno != ENOSPC ? errno : ENOMEM);
    from += n;
    offset += static_cast<uint64_t>(n);
    size_bytes -= static_cast<size_t>(n);
  }
  return {};
}

// What lies behind the end reads as zeros.
Result<void> read_all(int fd, std::byte* to, size_t size_bytes, uint64_t offset) {
  while (size_bytes != 0) {
    const ssize_t n = ::pread(fd, to, size_bytes, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return Errno(errno);
    if (n == 0) {
      std::memset(to, 0, size_bytes);
      break;
    }
    to += n;
    offset += static_cast<uint64_t>(n);
    size_bytes -= static_cast<size_t>(n);
  }
  return {};
}

void punch(int fd, MmapRange range) {
  ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(range.from),
              static_cast<off_t>(range.size_bytes()));
}

// A piece of a memory file in our address space.
class Window {
 public:
  Window(int fd, uint64_t offset, size_t size_bytes)
      : size_bytes_(size_bytes),
        address_(::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
                        static_cast<off_t>(offset))) {}
  ~Window() {
    if (ok()) ::munmap(address_, size_bytes_);
  }
  Window(const Window&) = delete;
  Window& operator=(const Window&) = delete;
  bool ok() const { return address_ != MAP_FAILED; }
  uint64_t& word(size_t at) { return *reinterpret_cast<uint64_t*>(bytes() + at); }

 private:
  std::byte* bytes() { return static_cast<std::byte*>(address_); }
  const size_t size_bytes_;
  void* const address_;
};

uint64_t word_at(const std::byte* bytes) {
  static_assert(sizeof(uint64_t) == kMmapWord_bytes);
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

// `now`, with the bytes of `next` where it is still `before`.
uint64_t mix(uint64_t now, uint64_t before, uint64_t next) {
  uint64_t mixed = 0;
  for (unsigned shift = 0; shift < 64; shift += 8) {
    const uint64_t mask = uint64_t{0xff} << shift;
    mixed |= (((now ^ before) & mask) == 0 ? next : now) & mask;
  }
  return mixed;
}

// What the user stores meanwhile stays.
void merge_word(uint64_t& word, uint64_t before, uint64_t next, bool by_bytes) {
  std::atomic_ref<uint64_t> shared(word);
  uint64_t now = before, wanted = next;
  while (!shared.compare_exchange_weak(now, wanted, std::memory_order_acq_rel)) {
    if (now == before) continue;
    if (!by_bytes) return;
    wanted = mix(now, before, next);
  }
}

// Calls fn(from, to) for each run of neighbouring words, of `size_bytes`, that differs(at, length).
template <typename Differs, typename Fn>
void for_each_run(size_t size_bytes, Differs differs, Fn fn) {
  size_t begin = size_bytes;  // of a run; size_bytes: none
  for (size_t at = 0; at < size_bytes; at += kMmapWord_bytes) {
    const size_t length = std::min(kMmapWord_bytes, size_bytes - at);
    if (differs(at, length)) {
      begin = std::min(begin, at);
    } else if (begin != size_bytes) {
      fn(begin, at);
      begin = size_bytes;
    }
  }
  if (begin != size_bytes) fn(begin, size_bytes);
}

}  // namespace

Result<int> MmapPages::make_memfd(const char* name) {
  const int fd = ::memfd_create(name, MFD_CLOEXEC);
  if (fd < 0) return fail(Errno(errno), "no memory file for a mapping");
  return fd;
}

Result<void> MmapPages::open() {
  if (fd_ >= 0) return {};
  MYFS_ASSIGN(fd_, make_memfd("myfs-map"));
  const std::string name = "/proc/self/fd/" + std::to_string(fd_);
  read_fd_ = ::open(name.c_str(), O_RDONLY | O_CLOEXEC);
  if (read_fd_ >= 0) return {};
  const Errno error(errno);
  // Without /proc, mprotect(2) can make it writable; what is stored then is lost.
  if (error == Errno(ENOENT)) read_fd_ = ::dup(fd_);
  if (read_fd_ >= 0) return {};
  close();
  return fail(error, "no memory file for a mapping");
}

void MmapPages::close() {
  untrack();
  if (read_fd_ >= 0) ::close(read_fd_);
  if (fd_ >= 0) ::close(fd_);
  fd_ = read_fd_ = -1;
  uncharge(charged_bytes_);
  file_bytes_ = 0;
}

Result<void> MmapPages::charge(const CallContext& ctx, MmapRange range) {
  if (range.empty()) return {};
  const size_t bytes = range.size_bytes() * copies();
  const size_t room = budget_.limit() / kShareOfBudget_den * kShareOfBudget_num;
  if (bytes > room || budget_.used(MemClass::kMapped) > room - bytes) {
    return fail(Errno(ENOMEM), "the cache's budget has no room for the mapping");
  }
  MYFS_TRY(budget_.charge(ctx, MemClass::kMapped, bytes));
  charged_bytes_ += bytes;
  return {};
}

Result<void> MmapPages::track(const CallContext& ctx, std::span<const MmapRange> present) {
  if (tracks()) return {};
  MmapRange all;
  for (const MmapRange& range : present) all.to += range.size_bytes();
  MYFS_TRY(charge(ctx, all));
  Result<int> made = make_memfd("myfs-map-base");
  if (!made.ok()) {
    uncharge(all.to);
    return made.error();
  }
  base_fd_ = *made;
  Result<void> copied;
  std::vector<std::byte> buffer(kMmapChunk_bytes);
  for (const MmapRange& range : present) {
    for (uint64_t at = range.from; at < range.to && copied.ok(); at += kMmapChunk_bytes) {
      const size_t part = std::min<uint64_t>(kMmapChunk_bytes, range.to - at);
      copied = read_all(fd_, buffer.data(), part, at);
      if (copied.ok()) copied = write_all(base_fd_, buffer.data(), part, at);
    }
  }
  if (!copied.ok()) untrack();
  return copied;
}

void MmapPages::uncharge(size_t bytes) {
  assert(bytes <= charged_bytes_);
  charged_bytes_ -= bytes;
  budget_.uncharge(MemClass::kMapped, bytes);
}

void MmapPages::untrack() {
  if (!tracks()) return;
  ::close(base_fd_);
  base_fd_ = -1;
  uncharge(charged_bytes_ / 2);
}

Result<void> MmapPages::fill(uint64_t offset, std::span<const std::byte> content) {
  assert(offset % kPageSize_bytes == 0);
  if (tracks()) MYFS_TRY(write_all(base_fd_, content.data(), content.size(), offset));
  return write_all(fd_, content.data(), content.size(), offset);
}

Result<void> MmapPages::merge(uint64_t offset, std::span<const std::byte> content,
                              MmapRange written) {
  const size_t size = content.size();
  assert(offset % kPageSize_bytes == 0 && size % kPageSize_bytes == 0);
  std::vector<std::byte> before(size);
  MYFS_TRY(read_all(tracks() ? base_fd_ : fd_, before.data(), size, offset));
  if (std::memcmp(before.data(), content.data(), size) == 0) return {};
  if (!tracks()) return write_all(fd_, content.data(), size, offset);
  Window window(fd_, offset, size);
  if (!window.ok()) return fail(Errno(ENOMEM), "no addresses to look at a mapping");
  auto cuts = [&](uint64_t edge, size_t at) {
    return edge > offset + at && edge < offset + at + kMmapWord_bytes;
  };
  for (size_t at = 0; at < size; at += kMmapWord_bytes) {
    const uint64_t old = word_at(&before[at]), next = word_at(&content[at]);
    if (old == next) continue;
    const bool by_bytes = cuts(written.from, at) || cuts(written.to, at);
    merge_word(window.word(at), old, next, by_bytes);
  }
  return write_all(base_fd_, content.data(), size, offset);
}

void MmapPages::release(MmapRange range) {
  if (range.empty()) return;
  punch(fd_, range);
  if (tracks()) punch(base_fd_, range);
  uncharge(range.size_bytes() * copies());
}

Result<void> MmapPages::resize(uint64_t file_bytes, bool edge_present) {
  // What was stored beside the old end, or lay behind the new one, does not come back.
  const uint64_t edge = std::min(file_bytes_, file_bytes);
  const uint64_t edge_end = page_up(edge);
  file_bytes_ = file_bytes;
  if (edge_present && edge < edge_end) {
    const std::vector<std::byte> zeros(edge_end - edge);
    MYFS_TRY(write_all(fd_, zeros.data(), zeros.size(), edge));
    if (tracks()) MYFS_TRY(write_all(base_fd_, zeros.data(), zeros.size(), edge));
  }
  const auto length = static_cast<off_t>(length_bytes());
  if (::ftruncate(fd_, length) != 0) return Errno(errno);
  if (tracks() && ::ftruncate(base_fd_, length) != 0) return Errno(errno);
  return {};
}

Result<bool> MmapPages::stored_behind_end() const {
  if (!tracks() || file_bytes_ == length_bytes()) return false;
  std::vector<std::byte> tail(length_bytes() - file_bytes_);
  MYFS_TRY(read_all(fd_, tail.data(), tail.size(), file_bytes_));
  return std::any_of(tail.begin(), tail.end(), [](std::byte b) { return b != std::byte{0}; });
}

Result<std::vector<MmapPages::Change>> MmapPages::changes(MmapRange range) {
  std::vector<Change> found;
  range.to = std::min(range.to, file_bytes_);
  if (!tracks() || range.empty()) return found;
  assert(range.from % kMmapWord_bytes == 0 && range.size_bytes() <= kMmapChunk_bytes);
  const size_t size = range.size_bytes();
  std::vector<std::byte> base(size), stored(size);
  MYFS_TRY(read_all(base_fd_, base.data(), size, range.from));
  MYFS_TRY(read_all(fd_, stored.data(), size, range.from));
  if (std::memcmp(base.data(), stored.data(), size) == 0) return found;
  auto differs = [&](size_t at, size_t length) {
    return std::memcmp(&base[at], &stored[at], length) != 0;
  };
  for_each_run(size, differs, [&](size_t from, size_t to) {
    const auto first = stored.begin() + static_cast<ptrdiff_t>(from);
    found.push_back({range.from + from, {first, stored.begin() + static_cast<ptrdiff_t>(to)}});
  });
  return found;
}

Result<void> MmapPages::settle(const Change& change) {
  return write_all(base_fd_, change.bytes.data(), change.bytes.size(), change.offset);
}

}  // namespace myfs::mm
