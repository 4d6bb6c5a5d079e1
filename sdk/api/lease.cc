// Leases of applications and invalidations: <myfs/lease.h>.

#include <myfs/lease.h>

#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "sdk/api/call_scope.h"
#include "sdk/api/lowlevel_call.h"
#include "sdk/fs/file.h"
#include "sdk/fs/namei.h"
#include "sdk/netfs/app_lease.h"
#include "sdk/netfs/super.h"
#include "sdk/uv/fork_guard.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

constexpr size_t kPendingMax = 4096;  // inodes

class Watch;
// Whom this thread is telling.
thread_local const Watch* t_told = nullptr;

Result<Ref<fs::File>> leasable(const CallScope& scope, int fd) {
  RefPtr<fs::File> file = scope.task().files.fget(fd);
  if (!file || (file->f_mode & fs::File::kPath) != 0) return Errno(EBADF);
  if (!file->f_inode().is_regular()) {
    return fail(Errno(EINVAL), "leases are held on regular files");
  }
  return file.to_ref();
}

Result<int64_t> break_time_ns(const myfs_lease_options* options) {
  if (options != nullptr && options->size != sizeof(myfs_lease_options)) {
    return fail(Errno(EINVAL), "myfs_lease_options.size is wrong");
  }
  const int64_t ms = options != nullptr ? options->break_ms : 0;
  if (ms == 0) return netfs::kAppLeaseBreakMax_ns;
  if (ms < 0 || ms > netfs::kAppLeaseBreakMax_ns / kNsPerMs) {
    return fail(Errno(EINVAL), "lease: break_ms must be in 1..8000");
  }
  return ms * kNsPerMs;
}

int type_of(fs::LeaseParts parts) {
  if ((parts & fs::kLeaseW) != 0) return F_WRLCK;
  return (parts & fs::kLeaseR) != 0 ? F_RDLCK : F_UNLCK;
}

netfs::AppLease::Fn teller(myfs_lease_fn fn, void* context) {
  if (fn == nullptr) return [](const netfs::AppLease::Recall&) {};
  return [fn, context](const netfs::AppLease::Recall& recall) {
    const int64_t left_ns = std::max<int64_t>(recall.deadline_ns - boottime_ns(), 0);
    const myfs_lease_recall told{.size = sizeof told,
                                 .keep = type_of(recall.keep),
                                 .broken = recall.broken ? 1 : 0,
                                 .left_ms = recall.broken ? 0 : left_ns / kNsPerMs};
    fn(context, &told);
  };
}

// Collects what is told while others wait, and tells the application when nobody does.
class Watch final : public fs::CacheListener, public std::enable_shared_from_this<Watch> {
 public:
  Watch(netfs::Super& super, myfs_watch_fn fn, void* context)
      : super_(super), fn_(fn), context_(context) {}

  void invalidate(fs::Inode& inode, fs::LeaseParts parts) override {
    note(inode.i_ino, api::invalidated(inode, parts));
  }
  void invalidate_all() override { note(0, MYFS_INVAL_ATTR | MYFS_INVAL_NAMES | MYFS_INVAL_DATA); }
  // After it, it is called no more, but for the call that this is made from.
  void end() {
    MutexLock lock(mutex_);
    ended_ = true;
    if (t_told == this) return;
    while (running_) returned_.wait(mutex_);
  }

 private:
  void note(uint64_t ino, unsigned what) {
    if (what == 0) return;
    MutexLock lock(mutex_);
    if (pending_.size() >= kPendingMax && !pending_.contains(ino)) {
      pending_.clear();
      ino = 0;
      what = MYFS_INVAL_ATTR | MYFS_INVAL_NAMES | MYFS_INVAL_DATA;
    }
    pending_[ino] |= what;
    if (std::exchange(posted_, true)) return;
    super_.app_callbacks().post([self = shared_from_this()] { self->tell(); });
  }
  void tell() {
    MutexLock lock(mutex_);
    posted_ = false;
    std::map<uint64_t, unsigned> events = std::exchange(pending_, {});
    for (const auto& [ino, what] : events) {
      if (ended_) return;
      running_ = true;
      mutex_.unlock();
      const myfs_invalidation told{.size = sizeof told, .what = what, .ino = ino};
      t_told = this;
      fn_(context_, &told);
      t_told = nullptr;
      mutex_.lock();
      running_ = false;
      returned_.notify_all();
    }
  }

  netfs::Super& super_;  // lives as long as its super block
  const myfs_watch_fn fn_;
  void* const context_;
  Mutex mutex_{LockRank::kCall};
  CondVar returned_;
  std::map<uint64_t, unsigned> pending_ ABSL_GUARDED_BY(mutex_);
  bool posted_ ABSL_GUARDED_BY(mutex_) = false;
  bool running_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace

struct myfs_watch {
  const uv_io::ForkGuard fork_guard{};
  const Ref<fs::SuperBlock> sb;  // does not keep it from ending
  const std::shared_ptr<Watch> watch;
};

extern "C" {

int myfs_lease_x(myfs_task* task, const myfs_call* call, int fd, int type, myfs_lease_fn fn,
                 void* context, const myfs_lease_options* options) {
  CallScope scope(task, call, "lease");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(const Ref<fs::File> file, leasable(scope, fd));
    MYFS_ASSIGN(int64_t break_ns, break_time_ns(options));
    if (type == F_UNLCK) {
      netfs::drop_app_lease(netfs::net_inode(file->f_inode()), file->f_open_id);
      return ok_result();
    }
    if (type != F_RDLCK && type != F_WRLCK) {
      return fail(Errno(EINVAL), "lease: type must be F_RDLCK, F_WRLCK or F_UNLCK");
    }
    if (type == F_RDLCK ? !file->may_read() : !file->may_write()) return Errno(EBADF);
    if (fn == nullptr) break_ns = 0;
    fs::LeaseParts parts = fs::kLeaseR;
    if (type == F_WRLCK) parts |= fs::kLeaseW;
    return netfs::set_app_lease(scope.ctx(), *file, parts, break_ns, teller(fn, context));
  });
}
int myfs_lease(myfs_task* task, int fd, int type, myfs_lease_fn fn, void* context,
               const myfs_lease_options* options) {
  return myfs_lease_x(task, nullptr, fd, type, fn, context, options);
}

int myfs_lease_held(myfs_task* task, int fd) {
  CallScope scope(task, nullptr, "lease_held");
  return scope.run([&]() -> Result<int> {
    MYFS_ASSIGN(const Ref<fs::File> file, leasable(scope, fd));
    return type_of(netfs::app_lease_of(netfs::net_inode(file->f_inode()), file->f_open_id));
  });
}

int myfs_watch_invalidations_x(myfs_task* task, const myfs_call* call, const char* path,
                               myfs_watch_fn fn, void* context, myfs_watch** watch) {
  CallScope scope(task, call, "watch_invalidations");
  return scope.run([&]() -> Result<void> {
    if (fn == nullptr || watch == nullptr) return fail(Errno(EINVAL), "nobody would be told");
    MYFS_ASSIGN(const fs::At at, api::path_at(path));
    MYFS_ASSIGN(const fs::WalkResult found,
                fs::path_lookup(scope.ctx(), scope.task(), at, fs::LOOKUP_FOLLOW));
    fs::SuperBlock& sb = found.path.mnt->mnt_sb();
    std::unique_ptr<myfs_watch> made(new myfs_watch{
        .sb = Ref<fs::SuperBlock>(sb),
        .watch = std::make_shared<Watch>(static_cast<netfs::Super&>(sb.s_op()), fn, context)});
    sb.s_listeners.add(*made->watch);
    *watch = made.release();
    return ok_result();
  });
}
int myfs_watch_invalidations(myfs_task* task, const char* path, myfs_watch_fn fn, void* context,
                             myfs_watch** watch) {
  return myfs_watch_invalidations_x(task, nullptr, path, fn, context, watch);
}

int myfs_unwatch_invalidations(myfs_watch* watch) {
  if (watch == nullptr || !watch->fork_guard.same_process()) return 0;
  watch->sb->s_listeners.remove(*watch->watch);
  watch->watch->end();
  delete watch;
  return 0;
}

}  // extern "C"
