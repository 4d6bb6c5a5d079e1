// CallScope: one call of the C interface: checks the task, makes the CallContext, turns the Result
// into the return value.
// Kernel counterpart: the system call entry (SYSCALL_DEFINE).
// Thread safety: lives on one thread's stack.
// Invariants: (1) without `call` it allocates nothing and writes nothing that threads share but a
// sharded counter; (2) a failure
// leaves thread_error_detail() describing this call and no earlier one.
#pragma once

#include <cstdint>
#include <utility>

#include "sdk/api/task.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/result.h"
#include "sdk/fs/namei.h"

namespace myfs::api {

class CallScope {
 public:
  CallScope(myfs_task* task, const myfs_call* call, const char* operation)
      : task_(task), operation_(operation) {
    clear_error_detail();
    if (task == nullptr) [[unlikely]] {
      error_ = fail(Errno(EINVAL), "the task is null");
    } else if (!task->fork_guard.same_process()) [[unlikely]] {
      error_ = fail(Errno(ESTALE), "the task belongs to the parent process");
    } else {
      if (call != nullptr) [[unlikely]] {
        apply(*call);
      } else {
        context_.cred = task->cred;
      }
      if (error_.ok()) [[likely]]
        task->operations.add();
    }
  }
  CallScope(const CallScope&) = delete;
  CallScope& operator=(const CallScope&) = delete;

  bool ok() const { return error_.ok(); }
  const CallContext& ctx() const { return context_; }
  fs::TaskStruct& task() const { return task_->task; }

  // Runs `fn` unless the call is wrong already; its Result becomes the C return value: -errno, or
  // the value (void: 0).
  template <typename Fn>
  auto run(Fn&& fn) {
    using R = typename decltype(fn())::value_type;
    if constexpr (std::is_void_v<R>) {
      if (!ok()) return static_cast<int>(failed(error_));
      auto result = fn();
      return result.ok() ? 0 : static_cast<int>(failed(result.error()));
    } else {
      using Out = std::conditional_t<std::is_same_v<R, int>, int, int64_t>;
      if (!ok()) return static_cast<Out>(failed(error_));
      auto result = fn();
      if (!result.ok()) return static_cast<Out>(failed(result.error()));
      return static_cast<Out>(*result);
    }
  }

  // -errno of a call that failed with `error`; completes thread_error_detail().
  static int64_t failure(Errno error, const char* operation, bool cancelled);

 private:
  void apply(const myfs_call& call);
  int64_t failed(Errno error) const;  // -errno; completes the error detail

  myfs_task* const task_;
  const char* const operation_;
  Errno error_;
  CallContext context_;
};

// A credential object for `cred`; equal ones are shared. EINVAL: more than kGroupsMax groups, wrong
// size.
Result<CredRef> make_cred(const myfs_cred* cred);
// The process's effective ids and groups.
CredRef process_cred();

// EINVAL with a detail for a null path.
Result<fs::At> path_at(const char* path, int dirfd = AT_FDCWD);

}  // namespace myfs::api
