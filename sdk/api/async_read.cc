// Asynchronous reads of file content: what the cache has at once, what is at an offset by steps,
// the rest on a worker.
#include <algorithm>

#include "sdk/api/async_op.h"
#include "sdk/fs/read_steps.h"

using namespace myfs;  // the facade's own rooms only
using api::CallOp;
using api::CallScope;
using api::Submission;

namespace {

constexpr int64_t kAtPosition = -1;

class ReadOp final : public CallOp {
 public:
  using CallOp::CallOp;

  // `fd`: of its pins. False: not by steps.
  bool begin(int fd, fs::IoVec to, int64_t offset) {
    const fs::PinnedFds::Scope scope(pins());
    auto steps = fs::ReadSteps::begin(task()->task, fd, to, static_cast<uint64_t>(offset), *this);
    if (!steps.ok()) return false;
    steps_ = std::move(steps).value();
    return true;
  }

 private:
  Progress step() override {
    if (steps_ == nullptr) return Progress::kBlocked;
    switch (steps_->step()) {
      case fs::ReadSteps::Progress::kParked:
        return Progress::kParked;
      case fs::ReadSteps::Progress::kBlocked:
        steps_.reset();
        return Progress::kBlocked;
      case fs::ReadSteps::Progress::kDone:
        break;
    }
    clear_error_detail();
    task()->operations.add();
    Result<size_t> result = steps_->result();
    if (result.ok()) {
      task()->bytes_read.add(static_cast<int64_t>(*result));
      set_result(static_cast<int64_t>(*result));
    } else {
      set_result(CallScope::failure(result.error(), name(), cancelled()));
    }
    return Progress::kDone;
  }
  void unhook() override {
    steps_.reset();
    CallOp::unhook();
  }
  bool try_unhook() override {
    steps_.reset();
    return CallOp::try_unhook();
  }

  std::unique_ptr<fs::ReadSteps> steps_;  // its file is among the pins
};

// The cache's answer, or that there can be none; false: it must be asked for.
bool read_at_once(const Submission& submission, const char* name, int fd, fs::IoVec to,
                  int64_t offset, int64_t* result) {
  bool missed = false;
  CallScope scope(submission.task(), submission.call(), name);
  *result = scope.run([&]() -> Result<size_t> {
    MYFS_ASSIGN(auto hit, fs::vfs_readv_hit(scope.task(), fd, to, offset));
    if (!hit.has_value() && fs::iov_length_bytes(to) == 0) hit = 0;
    missed = !hit.has_value();
    if (missed) return size_t{0};
    submission.task()->bytes_read.add(static_cast<int64_t>(*hit));
    return *hit;
  });
  if (missed) submission.task()->operations.add(-1);  // it comes again
  return !missed;
}

// `waiting`: of the task, the call and the descriptor.
template <typename Call>
int submit_read(myfs_async* queue, const myfs_op* op, const char* name, int fd, fs::IoVec to,
                int64_t offset, Call waiting) {
  Submission submission(queue, op);
  if (!submission.ok()) return submission.error();
  int64_t result;
  if (read_at_once(submission, name, fd, to, offset, &result)) {
    return submission.over(name, result);
  }
  fs::PinnedFds pins = submission.pins();
  const int pinned = pins.pin(fd);
  api::CallFn fn = [waiting = std::move(waiting), pinned](myfs_task* task, const myfs_call* call) {
    return waiting(task, call, pinned);
  };
  auto made =
      std::make_unique<ReadOp>(submission.queue(), *op, name, std::move(fn), std::move(pins));
  if (offset != kAtPosition && fs::iov_length_bytes(to) <= fs::kRwCountMax_bytes) {
    (void)made->begin(pinned, to, offset);
  }
  return submission.start(std::move(made));
}

// What is wrong with the arguments is for the synchronous call to say.
template <auto Fn, typename... Args>
int submit_wrong(myfs_async* queue, const myfs_op* op, const char* name, Args... args) {
  return api::submit<Fn>(queue, op, name, api::Way::kCacheFirst, args...);
}

bool good_buffer(const void* buffer, size_t size) { return buffer != nullptr || size == 0; }
bool good_vector(const iovec* iov, int count) {
  return count >= 0 && static_cast<size_t>(count) <= fs::kIovMax && (iov != nullptr || count == 0);
}
std::vector<iovec> copy_of(const iovec* iov, int count) { return {iov, iov + count}; }

}  // namespace

extern "C" {

int myfs_async_read(myfs_async* queue, const myfs_op* op, int fd, void* buffer, size_t size) {
  if (!good_buffer(buffer, size)) {
    return submit_wrong<myfs_read_x>(queue, op, "read", fd, buffer, size);
  }
  const iovec to{buffer, size};
  return submit_read(queue, op, "read", fd, fs::IoVec(&to, 1), kAtPosition,
                     [=](myfs_task* task, const myfs_call* call, int file) {
                       return myfs_read_x(task, call, file, buffer, size);
                     });
}

int myfs_async_pread(myfs_async* queue, const myfs_op* op, int fd, void* buffer, size_t size,
                     off_t offset) {
  if (!good_buffer(buffer, size) || offset < 0) {
    return submit_wrong<myfs_pread_x>(queue, op, "pread", fd, buffer, size, offset);
  }
  const iovec to{buffer, size};
  return submit_read(queue, op, "pread", fd, fs::IoVec(&to, 1), offset,
                     [=](myfs_task* task, const myfs_call* call, int file) {
                       return myfs_pread_x(task, call, file, buffer, size, offset);
                     });
}

int myfs_async_readv(myfs_async* queue, const myfs_op* op, int fd, const struct iovec* iov,
                     int count) {
  if (!good_vector(iov, count)) {
    return submit_wrong<myfs_readv_x>(queue, op, "readv", fd, iov, count);
  }
  return submit_read(
      queue, op, "readv", fd, fs::IoVec(iov, static_cast<size_t>(count)), kAtPosition,
      [to = copy_of(iov, count)](myfs_task* task, const myfs_call* call, int file) {
        return myfs_readv_x(task, call, file, to.data(), static_cast<int>(to.size()));
      });
}

int myfs_async_preadv(myfs_async* queue, const myfs_op* op, int fd, const struct iovec* iov,
                      int count, off_t offset) {
  if (!good_vector(iov, count) || offset < 0) {
    return submit_wrong<myfs_preadv_x>(queue, op, "preadv", fd, iov, count, offset);
  }
  return submit_read(
      queue, op, "preadv", fd, fs::IoVec(iov, static_cast<size_t>(count)), offset,
      [to = copy_of(iov, count), offset](myfs_task* task, const myfs_call* call, int file) {
        return myfs_preadv_x(task, call, file, to.data(), static_cast<int>(to.size()), offset);
      });
}

}  // extern "C"
