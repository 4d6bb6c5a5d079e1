// Tasks and mounts.

#include <sys/mount.h>

#include <algorithm>

#include "sdk/api/call_scope.h"
#include "sdk/api/client.h"
#include "sdk/base/callback_thread.h"
#include "sdk/fs/read_write.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

Result<void> check_options(const myfs_mount_options* options) {
  if (options == nullptr || options->size == sizeof(myfs_mount_options)) return {};
  return fail(Errno(EINVAL), "myfs_mount_options.size is wrong");
}

// The end of a mount waits for what it has called.
Result<void> refuse_in_callback() {
  return fail(Errno(EDEADLK), "called from a function that the mount's end would wait for");
}

// What cannot be written in time is lost, and nobody waits for that server any longer.
Result<void> sync_or_shut_down(CallContext ctx, fs::TaskStruct& task) {
  Result<void> first;
  for (const Ref<fs::SuperBlock>& sb : task.nsproxy->super_blocks()) {
    ctx.deadline_ns = deadline_after_ns(kUmountTimeout_ns);
    Result<void> synced = fs::sync_filesystem(ctx, *sb);
    if (!synced.ok() && synced.error() == Errno(ETIMEDOUT)) {
      synced = fail(Errno(EIO), "the server did not take in time what was unwritten");
      // Other tasks may have it, too.
      if (sb->mount_count() == task.nsproxy->count(*sb)) sb->s_op().shutdown(ctx);
    }
    if (first.ok()) first = synced;
  }
  return first;
}

}  // namespace

extern "C" {

int myfs_task_create(const myfs_cred* cred, myfs_task** task) {
  clear_error_detail();
  if (task == nullptr) return -EINVAL;
  auto who = api::make_cred(cred);
  if (!who.ok()) return -who.error().value();
  *task = new myfs_task(*std::move(who));
  return 0;
}

int myfs_task_destroy(myfs_task* task) {
  if (task == nullptr) return 0;
  // The parent's: threads, locks and sockets in it are not ours to touch.
  if (!task->fork_guard.same_process()) return 0;
  if (CallbackThread::inside()) {
    CallScope scope(task, nullptr, "task_destroy");
    return scope.run([] { return refuse_in_callback(); });
  }
  int result = 0;
  task->queues->close();
  {
    CallScope scope(task, nullptr, "task_destroy");
    CallContext ctx = scope.ctx();
    ctx.deadline_ns = deadline_after_ns(kUmountTimeout_ns);
    result = scope.run([&] { return fs::exit_mmap(ctx, scope.task()); });
    const int synced = scope.run([&] { return sync_or_shut_down(ctx, scope.task()); });
    if (result == 0) result = synced;
    ctx.deadline_ns = deadline_after_ns(kUmountTimeout_ns);
    const int closed = scope.run([&] { return scope.task().exit_files(ctx); });
    if (result == 0) result = closed;
    const int released = scope.run([&] { return task->lowlevel.close_all(ctx); });
    if (result == 0) result = released;
  }
  delete task;
  return result;
}

int myfs_mount_x(myfs_task* task, const myfs_call* call, const char* url, const char* at,
                 const myfs_mount_options* options) {
  CallScope scope(task, call, "mount");
  return scope.run([&]() -> Result<void> {
    if (url == nullptr || at == nullptr) return fail(Errno(EINVAL), "the URL or path is null");
    MYFS_TRY(check_options(options));
    const char* text = options != nullptr && options->options != nullptr ? options->options : "";
    return api::mount_url(scope.ctx(), api::process_runtime(), task->task, task->clients, url, at,
                          text);
  });
}
int myfs_mount(myfs_task* task, const char* url, const char* at,
               const myfs_mount_options* options) {
  return myfs_mount_x(task, nullptr, url, at, options);
}

int myfs_umount_x(myfs_task* task, const myfs_call* call, const char* at, int flags) {
  CallScope scope(task, call, "umount");
  return scope.run([&]() -> Result<void> {
    if (at == nullptr) return fail(Errno(EINVAL), "the path is null");
    if ((flags & ~(MNT_FORCE | MNT_DETACH)) != 0) {
      return fail(Errno(EINVAL), "umount: flags must be 0, MNT_FORCE, MNT_DETACH");
    }
    if (CallbackThread::inside()) return refuse_in_callback();
    CallContext ctx = scope.ctx();
    ctx.deadline_ns = std::min(ctx.deadline_ns, deadline_after_ns(kUmountTimeout_ns));
    return scope.task().umount(ctx, at, (flags & MNT_DETACH) != 0, (flags & MNT_FORCE) != 0);
  });
}
int myfs_umount(myfs_task* task, const char* at, int flags) {
  return myfs_umount_x(task, nullptr, at, flags);
}

int myfs_open_url(const char* url, const myfs_mount_options* options, myfs_task** task) {
  clear_error_detail();
  if (task == nullptr) return -EINVAL;
  if (auto good = check_options(options); !good.ok()) return -good.error().value();
  if (url == nullptr) return -EINVAL;
  auto who = api::task_cred(url, options);
  if (!who.ok()) return -who.error().value();
  auto* made = new myfs_task(*std::move(who));
  int result = 0;
  result = myfs_mount(made, url, "/", options);
  if (result < 0) {
    // Keeps the description of the failure: an empty task ends without calls.
    delete made;
    return result;
  }
  *task = made;
  return 0;
}

}  // extern "C"
