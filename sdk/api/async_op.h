// CallOp: a call of the C interface as an asynchronous operation; Submission: the way in.
// Kernel counterpart: io_req_prep and io_issue_sqe (io_uring): one table for all calls.
// Thread safety: as async::Op.
// Owns / is owned by: as async::Op. Owns copies of all arguments but buffers and places for
// results.
// Invariants: (1) what waits is made by the synchronous function itself, on a worker: so both mean
// the same; (2) descriptors mean the files that they named at the submission (fs::PinnedFds), which
// are held until the end; (3) the cancel token of the user fires the operation's own, which also
// ends it when its queue or task ends.
#pragma once

#include <sys/uio.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "sdk/api/async_queue.h"
#include "sdk/api/call_scope.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/nowait.h"
#include "sdk/fs/pinned_fds.h"

namespace myfs::api {

using CallFn = std::function<int64_t(myfs_task*, const myfs_call*)>;

// A myfs_call that outlives the submission.
struct OwnedCall {
  explicit OwnedCall(const myfs_call* call);
  // What it refers to moves with it.
  OwnedCall(OwnedCall&&) = default;
  bool has_cred = false;
  myfs_cred cred{};
  std::vector<gid_t> groups;
  int64_t deadline_ns = kNoDeadline;
  myfs_cancel* cancel = nullptr;
};

class CallOp : public async::Op {
 public:
  // `pins`: of the descriptors that `fn` names.
  CallOp(const myfs_async& queue, const myfs_op& op, const char* name, CallFn fn,
         fs::PinnedFds pins);
  ~CallOp() override = default;

  // It is over: the calling thread's last call was this one.
  void set_result(int64_t result);
  // From here on the user's token reaches it.
  void hook();

 protected:
  Progress step() override { return Progress::kBlocked; }
  void run() final;
  void end(Errno error) override;
  void unhook() override;
  bool try_unhook() override;
  void deliver() final;

  myfs_task* task() const { return task_; }
  const char* name() const { return name_; }
  const fs::PinnedFds& pins() const { return pins_; }

 private:
  CallOp(const myfs_async& queue, const myfs_op& op, const char* name, CallFn fn,
         fs::PinnedFds pins, OwnedCall call);

  myfs_task* const task_;
  const char* const name_;
  const myfs_done done_;
  void* const context_;
  CallFn fn_;
  fs::PinnedFds pins_;
  const OwnedCall call_;
  myfs_cancel own_;
  std::optional<CancelToken::Listener> listener_;
  int64_t result_ = 0;
  std::unique_ptr<ErrorDetail> detail_;
};

class Submission {
 public:
  Submission(myfs_async* queue, const myfs_op* op);
  ~Submission() {
    if (entered_) queue_->queue->leave();
  }
  Submission(const Submission&) = delete;
  Submission& operator=(const Submission&) = delete;

  bool ok() const { return error_.ok(); }
  int error() const { return -error_.value(); }
  myfs_task* task() const { return queue_->task; }
  const myfs_call* call() const { return op_->call; }
  const myfs_async& queue() const { return *queue_; }
  const myfs_op& op() const { return *op_; }
  fs::PinnedFds pins() const { return fs::PinnedFds(queue_->task->task.files); }

  // The results of a submission.
  int over(const char* name, int64_t result);
  int start(std::unique_ptr<CallOp> op);

 private:
  myfs_async* const queue_;
  const myfs_op* const op_;
  bool entered_ = false;
  Errno error_;
};

// --- copies of arguments

class OwnedText {
 public:
  explicit OwnedText(const char* text) {
    if (text != nullptr) text_ = text;
  }
  const char* get() const { return text_.has_value() ? text_->c_str() : nullptr; }

 private:
  std::optional<std::string> text_;
};

class OwnedTimes {
 public:
  explicit OwnedTimes(const timespec* times) {
    if (times != nullptr) times_ = {times[0], times[1]};
  }
  const timespec* get() const { return times_.has_value() ? times_->data() : nullptr; }

 private:
  std::optional<std::array<timespec, 2>> times_;
};

// With whatever follows the part that this version knows.
class OwnedHow {
 public:
  explicit OwnedHow(const myfs_open_how* how) {
    if (how == nullptr) return;
    const auto* bytes = reinterpret_cast<const char*>(how);
    bytes_.emplace(bytes, bytes + std::max(how->size, sizeof how->size));
  }
  const myfs_open_how* get() const {
    return bytes_.has_value() ? reinterpret_cast<const myfs_open_how*>(bytes_->data()) : nullptr;
  }

 private:
  std::optional<std::vector<char>> bytes_;
};

// A descriptor that a call works on: what it names is settled by the submission.
struct Fd {
  int fd;
  operator int() const { return fd; }
};

template <typename T>
T own(fs::PinnedFds&, T value) {
  return value;
}
inline int own(fs::PinnedFds& pins, Fd fd) { return pins.pin(fd); }
inline OwnedText own(fs::PinnedFds&, const char* text) { return OwnedText(text); }
inline OwnedTimes own(fs::PinnedFds&, const timespec* times) { return OwnedTimes(times); }
inline OwnedHow own(fs::PinnedFds&, const myfs_open_how* how) { return OwnedHow(how); }
template <typename T>
T borrow(const T& value) {
  return value;
}
inline const char* borrow(const OwnedText& text) { return text.get(); }
inline const timespec* borrow(const OwnedTimes& times) { return times.get(); }
inline const myfs_open_how* borrow(const OwnedHow& how) { return how.get(); }

// --- the table's rows

// Whether it may be over without asking a server.
enum class Way : uint8_t { kCacheFirst, kWorker };

// Fn: of a task, a call and `args`.
template <auto Fn, typename... Args>
int submit(myfs_async* queue, const myfs_op* op, const char* name, Way way, Args... args) {
  Submission submission(queue, op);
  if (!submission.ok()) return submission.error();
  if (way == Way::kCacheFirst) {
    NoWaitScope scope;
    const int64_t result = Fn(submission.task(), submission.call(), args...);
    if (!scope.refused()) return submission.over(name, result);
    submission.task()->operations.add(-1);  // it comes again
  }
  fs::PinnedFds pins = submission.pins();
  auto owned = std::make_tuple(own(pins, args)...);
  CallFn fn = [owned = std::move(owned)](myfs_task* task, const myfs_call* call) -> int64_t {
    return std::apply([&](const auto&... own_args) { return Fn(task, call, borrow(own_args)...); },
                      owned);
  };
  return submission.start(
      std::make_unique<CallOp>(submission.queue(), *op, name, std::move(fn), std::move(pins)));
}

}  // namespace myfs::api
