// The mount table of a task.

#include <fcntl.h>
#include <sys/mount.h>

#include <optional>
#include <utility>

#include "sdk/api/call_scope.h"
#include "sdk/api/mount_options.h"
#include "sdk/api/runtime.h"
#include "sdk/fs/proc_namespace.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

// What myfs_mount_attr asks for.
struct Change {
  std::optional<fs::Propagation> propagation;
  std::optional<bool> read_only;
};

Result<Change> to_change(const myfs_mount_attr* attr) {
  if (attr == nullptr) return fail(Errno(EINVAL), "the attributes are null");
  if (attr->size != sizeof(myfs_mount_attr)) {
    return fail(Errno(EINVAL), "myfs_mount_attr.size is wrong");
  }
  constexpr uint64_t kKnown = MOUNT_ATTR_RDONLY;
  if (((attr->attr_set | attr->attr_clr) & ~kKnown) != 0) {
    return fail(Errno(EINVAL), "attr_set, attr_clr: only MOUNT_ATTR_RDONLY is known");
  }
  if ((attr->attr_set & attr->attr_clr) != 0) {
    return fail(Errno(EINVAL), "an attribute is set and cleared");
  }
  Change change;
  if (attr->attr_set != 0) change.read_only = true;
  if (attr->attr_clr != 0) change.read_only = false;
  switch (attr->propagation) {
    case 0:
      break;
    case MS_PRIVATE:
      change.propagation = fs::Propagation::kPrivate;
      break;
    case MS_SHARED:
      change.propagation = fs::Propagation::kShared;
      break;
    case MS_SLAVE:
      change.propagation = fs::Propagation::kSlave;
      break;
    case MS_UNBINDABLE:
      change.propagation = fs::Propagation::kUnbindable;
      break;
    default:
      return fail(Errno(EINVAL),
                  "propagation: must be one of MS_PRIVATE, MS_SHARED, MS_SLAVE, MS_UNBINDABLE");
  }
  return change;
}

}  // namespace

extern "C" {

int myfs_bind_x(myfs_task* task, const myfs_call* call, const char* from, const char* at,
                unsigned long flags) {
  CallScope scope(task, call, "bind");
  return scope.run([&]() -> Result<void> {
    if ((flags & ~static_cast<unsigned long>(MS_REC)) != 0) {
      return fail(Errno(EINVAL), "bind: flags must be 0 or MS_REC");
    }
    MYFS_ASSIGN(const fs::At source, api::path_at(from));
    MYFS_ASSIGN(const fs::At place, api::path_at(at));
    return scope.task().bind(scope.ctx(), source, place, flags != 0);
  });
}
int myfs_bind(myfs_task* task, const char* from, const char* at, unsigned long flags) {
  return myfs_bind_x(task, nullptr, from, at, flags);
}

int myfs_move_mount_x(myfs_task* task, const myfs_call* call, const char* from, const char* at) {
  CallScope scope(task, call, "move_mount");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(const fs::At source, api::path_at(from));
    MYFS_ASSIGN(const fs::At place, api::path_at(at));
    return scope.task().move_mount(scope.ctx(), source, place);
  });
}
int myfs_move_mount(myfs_task* task, const char* from, const char* at) {
  return myfs_move_mount_x(task, nullptr, from, at);
}

int myfs_mount_setattr_x(myfs_task* task, const myfs_call* call, const char* at, unsigned flags,
                         const myfs_mount_attr* attr) {
  CallScope scope(task, call, "mount_setattr");
  return scope.run([&]() -> Result<void> {
    if ((flags & ~unsigned{AT_RECURSIVE}) != 0) {
      return fail(Errno(EINVAL), "mount_setattr: flags must be 0 or AT_RECURSIVE");
    }
    MYFS_ASSIGN(const Change change, to_change(attr));
    MYFS_ASSIGN(const fs::At place, api::path_at(at));
    return scope.task().mount_setattr(scope.ctx(), place, change.read_only, change.propagation,
                                      flags != 0);
  });
}
int myfs_mount_setattr(myfs_task* task, const char* at, unsigned flags,
                       const myfs_mount_attr* attr) {
  return myfs_mount_setattr_x(task, nullptr, at, flags, attr);
}

int myfs_remount_x(myfs_task* task, const myfs_call* call, const char* at, const char* options) {
  CallScope scope(task, call, "remount");
  return scope.run([&]() -> Result<void> {
    if (options == nullptr) return fail(Errno(EINVAL), "the options are null");
    MYFS_ASSIGN(const fs::At place, api::path_at(at));
    MYFS_ASSIGN(const api::OptionList list, api::parse_option_list(options, ','));
    std::optional<uint64_t> cache_size_bytes;
    MYFS_ASSIGN(const fs::Reconfigure change, api::parse_remount_options(list, &cache_size_bytes));
    MYFS_TRY(scope.task().remount(scope.ctx(), place, change));
    if (cache_size_bytes.has_value()) {
      api::process_runtime().memory().budget().set_limit(*cache_size_bytes);
    }
    return ok_result();
  });
}
int myfs_remount(myfs_task* task, const char* at, const char* options) {
  return myfs_remount_x(task, nullptr, at, options);
}

int myfs_freeze_x(myfs_task* task, const myfs_call* call, const char* path) {
  CallScope scope(task, call, "freeze");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(const fs::At at, api::path_at(path));
    return scope.task().freeze(scope.ctx(), at);
  });
}
int myfs_freeze(myfs_task* task, const char* path) { return myfs_freeze_x(task, nullptr, path); }

int myfs_thaw_x(myfs_task* task, const myfs_call* call, const char* path) {
  CallScope scope(task, call, "thaw");
  return scope.run([&]() -> Result<void> {
    MYFS_ASSIGN(const fs::At at, api::path_at(path));
    return scope.task().thaw(scope.ctx(), at);
  });
}
int myfs_thaw(myfs_task* task, const char* path) { return myfs_thaw_x(task, nullptr, path); }

int myfs_task_clone(myfs_task* task, const myfs_cred* cred, myfs_task** copy) {
  CallScope scope(task, nullptr, "task_clone");
  return scope.run([&]() -> Result<void> {
    if (copy == nullptr) return fail(Errno(EINVAL), "there is no place for the result");
    CredRef who = task->cred;
    if (cred != nullptr) {
      MYFS_ASSIGN(who, api::make_cred(cred));
    }
    MYFS_ASSIGN(auto scope_of_copy, fs::TaskStruct::copy_scope(scope.task()));
    *copy = new myfs_task(std::move(who), *task, std::move(scope_of_copy));
    return ok_result();
  });
}

ssize_t myfs_mountinfo(myfs_task* task, char* buffer, size_t size) {
  CallScope scope(task, nullptr, "mountinfo");
  return scope.run([&]() -> Result<size_t> {
    const std::string text = fs::show_mountinfo(scope.task());
    if (size == 0) return text.size();
    if (buffer == nullptr) return fail(Errno(EINVAL), "there is no buffer");
    if (text.size() > size) return Errno(ERANGE);
    return text.copy(buffer, size);
  });
}

}  // extern "C"
