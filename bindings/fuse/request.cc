#include "bindings/fuse/request.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>

#include <utility>

#include "bindings/fuse/calls.h"

namespace bridge {

namespace {

// A token of this thread's: made once, and again after it was fired.
struct ThreadCancel {
  ~ThreadCancel() { Calls::all().drop(token); }
  void renew() {
    Calls::all().drop(token);
    token = Calls::all().make();
  }
  myfs_cancel* token = Calls::all().make();
};
thread_local ThreadCancel thread_cancel;

// The kernel interrupts a request for every signal, also for one that its caller handles and goes
// on after. A file system call does not end for such: only a thread that is being killed gives up.
bool is_dying(pid_t thread) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/status", thread);
  FILE* file = fopen(path, "re");
  if (file == nullptr) return true;
  char line[256];
  unsigned long long pending = 0;
  while (fgets(line, sizeof line, file) != nullptr) {
    if (sscanf(line, "SigPnd: %llx", &pending) == 1) break;
  }
  fclose(file);
  return (pending & (1ULL << (SIGKILL - 1))) != 0;
}

}  // namespace

Request::Request(fuse_req_t req, Interrupt interrupt)
    : req_(req),
      bridge_(*static_cast<Bridge*>(fuse_req_userdata(req))),
      since_(bridge_.lease_cache ? bridge_.lease_cache->moment() : 0),
      interrupt_(interrupt) {
  const fuse_ctx* ctx = fuse_req_ctx(req);
  umask_ = ctx->umask;
  // Root may do everything whatever its groups.
  if (ctx->uid != 0) {
    groups_.resize(64);
    int count = fuse_req_getgroups(req, static_cast<int>(groups_.size()), groups_.data());
    if (count > static_cast<int>(groups_.size())) {
      groups_.resize(static_cast<size_t>(count));
      count = fuse_req_getgroups(req, count, groups_.data());
    }
    // Whoever has died meanwhile hears no answer.
    if (count >= 0 && static_cast<size_t>(count) <= groups_.size()) {
      groups_.resize(static_cast<size_t>(count));
    } else {
      groups_.clear();
    }
  }
  cred_ = {.size = sizeof cred_,
           .uid = ctx->uid,
           .gid = ctx->gid,
           .groups = groups_.data(),
           .ngroups = groups_.size()};
  call_ = {.size = sizeof call_, .cred = &cred_, .deadline_ms = 0, .cancel = thread_cancel.token};
  fuse_req_interrupt_func(req, &Request::interrupted, this);
}

Request::~Request() {
  if (req_ != nullptr) error(-EIO);
}

void Request::interrupted(fuse_req_t req, void* self) {
  auto* request = static_cast<Request*>(self);
  if (request->interrupt_ == Interrupt::kDeath && !is_dying(fuse_req_ctx(req)->pid)) return;
  request->fired_.store(true);
  myfs_cancel_fire(request->call_.cancel);
}

fuse_req_t Request::end() {
  fuse_req_interrupt_func(req_, nullptr, nullptr);
  if (fired_.load()) thread_cancel.renew();
  return std::exchange(req_, nullptr);
}

myfs_inode* Request::node(fuse_ino_t ino) {
  myfs_inode* inode = bridge_.nodes.find(ino);
  if (inode == nullptr) error(-ESTALE);
  return inode;
}

void Request::error(int result) {
  // Who is interrupted expects to hear so.
  fuse_reply_err(end(), result == -ECANCELED ? EINTR : -result);
}

fuse_entry_param Request::to_param(const myfs_entry& entry, fuse_ino_t ino,
                                   LeaseCache::Window& window, fuse_ino_t dir,
                                   const char* name) const {
  fuse_entry_param param{};
  param.ino = ino;
  param.generation = entry.generation;
  param.attr = entry.attr;
  param.attr_timeout = window.timeout(entry.keep_attr_ms);
  param.entry_timeout = window.name_timeout(dir, name, entry.keep_name_ms);
  return param;
}

void Request::entry(const myfs_entry& entry, fuse_ino_t dir, const char* name) {
  const fuse_ino_t ino = bridge_.nodes.add(entry);
  LeaseCache::Window answers = window();
  const fuse_entry_param param = to_param(entry, ino, answers, dir, name);
  // An answer that nobody takes tells the kernel nothing.
  if (fuse_reply_entry(end(), &param) != 0) bridge_.nodes.forget(ino, 1);
}

void Request::no_entry(const myfs_entry& entry, fuse_ino_t dir, const char* name) {
  LeaseCache::Window answers = window();
  fuse_entry_param param{};
  param.entry_timeout = answers.name_timeout(dir, name, entry.keep_name_ms);
  if (param.entry_timeout == 0) return error(-ENOENT);
  fuse_reply_entry(end(), &param);
}

void Request::attr(const struct stat& attr, int64_t keep_ms) {
  LeaseCache::Window answers = window();
  fuse_reply_attr(end(), &attr, answers.timeout(keep_ms));
}

void Request::open(std::unique_ptr<FileHandle> file, fuse_file_info* info) {
  FileHandle* const kept = bridge_.handles.keep(std::move(file));
  info->fh = reinterpret_cast<uint64_t>(kept);
  if (fuse_reply_open(end(), info) != 0) bridge_.handles.drop(kept);
}

void Request::create(const myfs_entry& entry, fuse_ino_t dir, const char* name,
                     std::unique_ptr<FileHandle> file, fuse_file_info* info) {
  FileHandle* const kept = bridge_.handles.keep(std::move(file));
  info->fh = reinterpret_cast<uint64_t>(kept);
  const fuse_ino_t ino = bridge_.nodes.add(entry);
  LeaseCache::Window answers = window();
  const fuse_entry_param param = to_param(entry, ino, answers, dir, name);
  if (fuse_reply_create(end(), &param, info) == 0) return;
  bridge_.nodes.forget(ino, 1);
  bridge_.handles.drop(kept);
}

bool Request::buffer(const void* data, size_t size) {
  return fuse_reply_buf(end(), static_cast<const char*>(data), size) == 0;
}
void Request::readlink(const char* target) { fuse_reply_readlink(end(), target); }
void Request::written(size_t count) { fuse_reply_write(end(), count); }
void Request::length(size_t size) { fuse_reply_xattr(end(), size); }
void Request::offset(int64_t offset) { fuse_reply_lseek(end(), offset); }

void Request::lock(const struct flock& lock) { fuse_reply_lock(end(), &lock); }

void Request::statfs(const struct statfs& stat) {
  struct statvfs out = {};
  out.f_bsize = static_cast<unsigned long>(stat.f_bsize);
  out.f_frsize = static_cast<unsigned long>(stat.f_frsize);
  out.f_blocks = stat.f_blocks;
  out.f_bfree = stat.f_bfree;
  out.f_bavail = stat.f_bavail;
  out.f_files = stat.f_files;
  out.f_ffree = stat.f_ffree;
  out.f_favail = stat.f_ffree;
  out.f_namemax = static_cast<unsigned long>(stat.f_namelen);
  fuse_reply_statfs(end(), &out);
}

}  // namespace bridge
