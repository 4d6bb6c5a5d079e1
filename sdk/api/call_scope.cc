#include "sdk/api/call_scope.h"

#include <unistd.h>

#include <algorithm>
#include <unordered_map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sdk/base/limits.h"

namespace myfs::api {
namespace {

// Credentials live as long as the process, so that a call may carry one without counting
// references: a counter that all threads of a task write would cost more than a stat. Beyond this
// many distinct ones they are counted.
constexpr size_t kSharedCredsMax = 4096;

struct CredHash {
  size_t operator()(const Cred& cred) const {
    size_t hash = cred.uid * 0x9e3779b97f4a7c15u + cred.gid;
    for (uint32_t group : cred.groups) hash = hash * 31 + group;
    return hash;
  }
};

CredRef share(Cred cred) {
  static Mutex mutex{LockRank::kFdTable};
  static auto* const known = new std::unordered_map<Cred, const Cred*, CredHash>;
  MutexLock lock(mutex);
  auto found = known->find(cred);
  if (found != known->end()) return CredRef(CredRef(), found->second);
  if (known->size() >= kSharedCredsMax) return std::make_shared<const Cred>(std::move(cred));
  const Cred* immortal = new Cred(cred);
  known->emplace(std::move(cred), immortal);
  return CredRef(CredRef(), immortal);
}

}  // namespace

Result<CredRef> make_cred(const myfs_cred* cred) {
  if (cred == nullptr) return process_cred();
  if (cred->size != sizeof(myfs_cred)) {
    return fail(Errno(EINVAL),
                absl::StrCat("myfs_cred.size=", cred->size, ": must be ", sizeof(myfs_cred)));
  }
  if (cred->ngroups > kGroupsMax || (cred->ngroups > 0 && cred->groups == nullptr)) {
    return fail(Errno(EINVAL),
                absl::StrCat("myfs_cred.ngroups=", cred->ngroups, ": must be 0..", kGroupsMax));
  }
  constexpr uint32_t kNone = UINT32_MAX;
  if (cred->uid == kNone || cred->gid == kNone ||
      std::find(cred->groups, cred->groups + cred->ngroups, kNone) !=
          cred->groups + cred->ngroups) {
    return fail(Errno(EINVAL), "myfs_cred: an id is 4294967295, which is none");
  }
  Cred value{cred->uid, cred->gid, {}};
  if (cred->ngroups > 0) value.groups.assign(cred->groups, cred->groups + cred->ngroups);
  return share(std::move(value));
}

CredRef process_cred() {
  Cred cred{::geteuid(), ::getegid(), {}};
  int count = ::getgroups(0, nullptr);
  if (count > 0) {
    std::vector<gid_t> groups(static_cast<size_t>(count));
    count = ::getgroups(count, groups.data());
    for (int i = 0; i < count; ++i) cred.groups.push_back(groups[static_cast<size_t>(i)]);
  }
  return share(std::move(cred));
}

Result<fs::At> path_at(const char* path, int dirfd) {
  if (path == nullptr) [[unlikely]]
    return fail(Errno(EINVAL), "the path is null");
  return fs::At{dirfd, path};
}

void CallScope::apply(const myfs_call& call) {
  if (call.size != sizeof(myfs_call)) {
    error_ = fail(Errno(EINVAL),
                  absl::StrCat("myfs_call.size=", call.size, ": must be ", sizeof(myfs_call)));
    return;
  }
  if (call.deadline_ms < 0) {
    error_ = fail(Errno(EINVAL),
                  absl::StrCat("myfs_call.deadline_ms=", call.deadline_ms, ": must be >= 0"));
    return;
  }
  context_.cred = task_->cred;
  if (call.cred != nullptr) {
    auto cred = make_cred(call.cred);
    if (!cred.ok()) {
      error_ = cred.error();
      return;
    }
    context_.cred = *std::move(cred);
  }
  if (call.deadline_ms > 0) {
    int64_t ms = call.deadline_ms < INT64_MAX / kNsPerMs ? call.deadline_ms : INT64_MAX / kNsPerMs;
    context_.deadline_ns = deadline_after_ns(ms * kNsPerMs);
  }
  if (call.cancel != nullptr) context_.cancel = &call.cancel->token;
  if (context_.cancelled()) error_ = fail(Errno(ECANCELED), "cancelled before it began");
}

int64_t CallScope::failed(Errno error) const {
  return failure(error, operation_, context_.cancelled());
}

int64_t CallScope::failure(Errno error, const char* operation, bool cancelled) {
  ErrorDetail& detail = thread_error_detail();
  // Rooms below count a cancelled wait as interrupted.
  if (error == Errno(EINTR) && cancelled) error = Errno(ECANCELED);
  // The file system was taken away below an open file or a call that waited.
  if (error == Errno(ESHUTDOWN)) error = Errno(ENOTCONN);
  detail.error = error;
  if (detail.operation.empty()) detail.operation = operation;
  return -static_cast<int64_t>(error.value());
}

}  // namespace myfs::api
