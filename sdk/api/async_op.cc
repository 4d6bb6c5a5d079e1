#include "sdk/api/async_op.h"

#include <algorithm>

#include "sdk/base/clock.h"
#include "sdk/base/limits.h"

namespace myfs::api {

OwnedCall::OwnedCall(const myfs_call* call) {
  if (call == nullptr) return;
  cancel = call->cancel;
  if (call->deadline_ms > 0) {
    const int64_t ms = std::min<int64_t>(call->deadline_ms, INT64_MAX / kNsPerMs);
    deadline_ns = deadline_after_ns(ms * kNsPerMs);
  }
  if (call->cred == nullptr) return;
  has_cred = true;
  cred = *call->cred;
  if (cred.groups != nullptr) groups.assign(cred.groups, cred.groups + cred.ngroups);
  cred.groups = groups.data();
}

CallOp::CallOp(const myfs_async& queue, const myfs_op& op, const char* name, CallFn fn,
               fs::PinnedFds pins)
    : CallOp(queue, op, name, std::move(fn), std::move(pins), OwnedCall(op.call)) {}

CallOp::CallOp(const myfs_async& queue, const myfs_op& op, const char* name, CallFn fn,
               fs::PinnedFds pins, OwnedCall call)
    : Op(*queue.queue, own_.token, call.deadline_ns),
      task_(queue.task),
      name_(name),
      done_(op.done),
      context_(op.context),
      fn_(std::move(fn)),
      pins_(std::move(pins)),
      call_(std::move(call)) {}

void CallOp::hook() {
  if (call_.cancel != nullptr) listener_.emplace(&call_.cancel->token, [this] { cancel(); });
}

void CallOp::set_result(int64_t result) {
  result_ = result;
  if (result < 0) detail_ = std::make_unique<ErrorDetail>(std::move(thread_error_detail()));
}

void CallOp::run() {
  myfs_call call{sizeof(myfs_call), call_.has_cred ? &call_.cred : nullptr, 0, &own_};
  if (call_.deadline_ns != kNoDeadline) {
    const int64_t left_ns = call_.deadline_ns - boottime_ns();
    call.deadline_ms = std::max<int64_t>((left_ns + kNsPerMs - 1) / kNsPerMs, 1);
  }
  const fs::PinnedFds::Scope scope(pins_);
  set_result(fn_(task_, &call));
}

void CallOp::unhook() {
  listener_.reset();
  pins_.drop();
}

bool CallOp::try_unhook() {
  listener_.reset();
  return pins_.drop_unless_last();
}

void CallOp::end(Errno error) {
  clear_error_detail();
  ErrorDetail& detail = thread_error_detail();
  detail.error = error;
  detail.operation = name_;
  detail.retriable = true;
  detail.message =
      error == Errno(ECANCELED) ? "cancelled before it was done" : "not done within the deadline";
  set_result(-error.value());
}

void CallOp::deliver() {
  clear_error_detail();
  if (detail_ != nullptr) thread_error_detail() = std::move(*detail_);
  done_(context_, result_);
}

Submission::Submission(myfs_async* queue, const myfs_op* op) : queue_(queue), op_(op) {
  clear_error_detail();
  if (queue == nullptr || op == nullptr) {
    error_ = fail(Errno(EINVAL), "the queue or the operation is null");
  } else if (!queue->fork_guard.same_process()) {
    error_ = fail(Errno(ESTALE), "the queue belongs to the parent process");
  } else if (op->size != sizeof(myfs_op) || op->done == nullptr) {
    error_ = fail(Errno(EINVAL), "myfs_op: a wrong size, or no callback");
  } else if (op->call != nullptr &&
             (op->call->size != sizeof(myfs_call) ||
              (op->call->cred != nullptr && (op->call->cred->size != sizeof(myfs_cred) ||
                                             op->call->cred->ngroups > kGroupsMax)))) {
    error_ = fail(Errno(EINVAL), "myfs_op.call: a wrong size");
  } else if (op->call != nullptr && op->call->deadline_ms < 0) {
    error_ = fail(Errno(EINVAL), "myfs_op.call: deadline_ms must be >= 0");
  } else {
    error_ = queue->queue->enter();
    entered_ = error_.ok();
    if (error_ == Errno(ESTALE)) error_ = fail(error_, "the queue or its task has ended");
    if (error_ == Errno(EAGAIN)) error_ = fail(error_, "the queue is full: serve it first");
  }
}

int Submission::over(const char* name, int64_t result) {
  if (op_->at_once != nullptr) {
    *op_->at_once = result;
    return 1;
  }
  auto op = std::make_unique<CallOp>(*queue_, *op_, name, CallFn(),
                                     fs::PinnedFds(queue_->task->task.files));
  op->set_result(result);
  queue_->queue->completed(std::move(op));
  return 0;
}

int Submission::start(std::unique_ptr<CallOp> op) {
  op->hook();
  queue_->queue->start(std::move(op));
  return 0;
}

}  // namespace myfs::api
