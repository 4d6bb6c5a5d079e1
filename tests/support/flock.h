// flock_range: a struct flock as fcntl(F_SETLK) takes it; what is not given is zero
// (fcntl_locking(2)).
#pragma once

#include <fcntl.h>
#include <unistd.h>

namespace myfs::test {

inline struct flock flock_range(int type, off_t start = 0, off_t length = 0,
                                int whence = SEEK_SET) {
  struct flock lock {};
  lock.l_type = static_cast<short>(type);
  lock.l_whence = static_cast<short>(whence);
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

}  // namespace myfs::test
