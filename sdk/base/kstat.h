// Kstat: all attributes of an inode, as one plain value.
// Kernel counterpart: struct kstat (include/linux/stat.h).  Differs: carries the change counter and
// the truncation record. Thread safety: a value.
#pragma once

#include <sys/stat.h>

#include <compare>
#include <cstdint>

namespace myfs {

struct Time {
  int64_t sec = 0;
  uint32_t nsec = 0;  // < 1e9
  auto operator<=>(const Time&) const = default;
  static Time from_ns(int64_t ns) {
    int64_t sec = ns / 1'000'000'000, nsec = ns % 1'000'000'000;
    return nsec < 0 ? Time{sec - 1, static_cast<uint32_t>(nsec + 1'000'000'000)}
                    : Time{sec, static_cast<uint32_t>(nsec)};
  }
};

struct Kstat {
  uint64_t ino = 0;
  uint32_t dev = 0;         // of the mount; given by the VFS, not by the file system
  uint32_t generation = 0;  // i_generation: tells two users of one number apart
  uint32_t mode = 0;        // with S_IFMT
  uint32_t nlink = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  uint64_t size = 0;
  uint64_t blocks = 0;  // of 512 bytes
  uint32_t blksize = 4096;
  uint32_t flags = 0;
  bool has_acl = false;  // the mode's bits do not say all of who may do what
  bool has_default_acl = false;
  Time atime, mtime, ctime, btime;
  uint64_t change = 0;  // rises with every change; high 16 bits: boot number of the server
  uint32_t trunc_gen =
      0;  // counts truncations; trunc_size: the smallest size since that count began
  uint64_t trunc_size = 0;

  bool is_dir() const { return S_ISDIR(mode); }
  bool is_regular() const { return S_ISREG(mode); }
  bool is_symlink() const { return S_ISLNK(mode); }
};

}  // namespace myfs
