#include "sdk/fs/read_steps.h"

#include <fcntl.h>

#include <memory>
#include <utility>

#include "sdk/fs/locks.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

ReadSteps::ReadSteps(Ref<File> file, IoVec to, uint64_t offset, Waker& waker)
    : file_(std::move(file)), to_(to.begin(), to.end()), offset_(offset), waker_(waker) {}

Result<std::unique_ptr<ReadSteps>> ReadSteps::begin(const TaskStruct& task, int fd, IoVec to,
                                                    uint64_t offset, Waker& waker) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file || !file->may_read()) return Errno(EBADF);
  if (locks_lost_slow(*file, task.lock_owner)) return Errno(EIO);
  return std::unique_ptr<ReadSteps>(new ReadSteps(std::move(file).to_ref(), to, offset, waker));
}

ReadSteps::Progress ReadSteps::step() {
  Inode& inode = file_->f_inode();
  const Validity& validity = inode.i_sb().s_validity;
  if (!read_.has_value()) {
    sample_ = inode.i_lease.sample();
    if ((inode.i_flags.load(std::memory_order_acquire) & Inode::kMappedStores) != 0 ||
        inode.content_in_doubt()) {
      return Progress::kBlocked;
    }
    if (inode.i_mapping == nullptr || (file_->f_flags() & O_DIRECT) != 0 ||
        (sample_ & kLeaseU) != 0 || !LeaseWord::covers(sample_, kLeaseR, validity)) {
      return Progress::kBlocked;
    }
    inode.i_sb().s_counters.read_misses.add();
    read_.emplace(*inode.i_mapping, file_->f_ra, offset_, to_, waker_);
  }
  const Progress progress = read_->step();
  if (progress != Progress::kDone) return progress;
  return inode.i_lease.still(sample_, kLeaseR) && validity.alive() ? progress : Progress::kBlocked;
}

}  // namespace myfs::fs
