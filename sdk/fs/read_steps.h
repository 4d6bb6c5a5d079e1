// ReadSteps: a read at a given offset by steps, for who does not wait in a thread.
// Kernel counterpart: io_read() with IOCB_NOWAIT and IOCB_WAITQ (io_uring/rw.c).  Differs: takes no
// i_rwsem; see mm::FilemapRead.
// Thread safety: one thread at a time; the Waker may be called meanwhile.
// Lock rank: as mm::FilemapRead.
// Owns / is owned by: by the operation, which holds the open file (PinnedFds) for longer: so
// letting go of this never ends it.
// Invariants: (1) what it returns was true under one R lease, held from the first step to the last;
// (2) without that lease, or if it is lost, it says kBlocked and the call is made anew by a thread.
#pragma once

#include <sys/uio.h>

#include <optional>
#include <vector>

#include "sdk/base/waker.h"
#include "sdk/fs/read_write.h"
#include "sdk/mm/filemap_read.h"

namespace myfs::fs {

class ReadSteps {
 public:
  using Progress = mm::FilemapRead::Progress;

  // After vfs_readv_hit had no answer. The memory that `to` names stays until the object is gone.
  // EBADF; EIO: the locks on it were lost.
  static Result<std::unique_ptr<ReadSteps>> begin(const TaskStruct& task, int fd, IoVec to,
                                                  uint64_t offset, Waker& waker);
  Progress step();
  // After kDone. As vfs_readv.
  Result<size_t> result() const { return read_->result(); }

 private:
  ReadSteps(Ref<File> file, IoVec to, uint64_t offset, Waker& waker);

  const Ref<File> file_;
  const std::vector<iovec> to_;
  const uint64_t offset_;
  Waker& waker_;
  LeaseWord::Sample sample_ = 0;
  std::optional<mm::FilemapRead> read_;
};

}  // namespace myfs::fs
