#include "tests/support/kernel/task.h"

#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include "tests/support/myfsd/program.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {
namespace {

void must(bool good, const char* what) {
  if (good) return;
  std::perror(what);
  std::abort();
}

constexpr char kReadOnly[] = "?ro";
constexpr myfs_cred kRoot{sizeof(myfs_cred), 0, 0, nullptr, 0};
constexpr myfs_call kAsRoot{sizeof(myfs_call), &kRoot, 0, nullptr};

struct Root {
  TempDir dir;
  Program bridge;  // of a mount of MyFS

  std::string path() const { return dir / "root"; }
};

std::map<std::string, std::unique_ptr<Root>>& roots() {
  static auto* all = new std::map<std::string, std::unique_ptr<Root>>;
  return *all;
}

// Of the calling thread alone, which the C library's functions are not about. The saved user id
// stays, so that root can come back.
void become(uid_t uid, gid_t gid, const gid_t* groups, size_t count) {
  must(::syscall(SYS_setresuid, 0, 0, 0) == 0, "setresuid");
  must(::syscall(SYS_setgroups, count, groups) == 0, "setgroups");
  must(::syscall(SYS_setresgid, gid, gid, gid) == 0, "setresgid");
  must(::syscall(SYS_setresuid, uid, uid, 0) == 0, "setresuid");
}

}  // namespace

std::string kernel_root_of(const std::string& url) {
  const std::string name = url.substr(0, url.find('?'));
  const bool read_only = url == name + kReadOnly;
  const std::string original = read_only ? kernel_root_of(name) : "";
  std::unique_ptr<Root>& root = roots()[read_only ? url : name];
  if (root != nullptr) return root->path();
  root = std::make_unique<Root>();
  const std::string at = root->path();
  must(::chmod(root->dir.path().c_str(), 0755) == 0, "chmod");
  must(::mkdir(at.c_str(), 0755) == 0, "mkdir");
  if (std::string(std::getenv("MYFS_KERNEL")) == "tmpfs") {
    if (read_only) {
      must(::mount(original.c_str(), at.c_str(), nullptr, MS_BIND, nullptr) == 0, "bind");
      must(::mount(nullptr, at.c_str(), nullptr, MS_REMOUNT | MS_BIND | MS_RDONLY, nullptr) == 0,
           "mount read-only");
      return at;
    }
    must(::mount("tmpfs", at.c_str(), "tmpfs", 0, "size=4g,mode=755") == 0, "mount tmpfs");
    return at;
  }
  must(root->bridge.start(
           {bin("myfs-fuse"), "-f", "-o", read_only ? "allow_other,ro" : "allow_other", name, at}),
       "myfs-fuse");
  std::string line;
  if (!root->bridge.receive(&line) || line != "myfs-fuse: mounted at " + at) {
    std::fprintf(stderr, "myfs-fuse does not mount: '%s'\n", line.c_str());
    std::abort();
  }
  return at;
}

// The servers behind have been killed before.
void end_kernel_roots() {
  for (auto& [url, root] : roots()) {
    must(::umount2(root->path().c_str(), MNT_DETACH) == 0, "umount");
    if (root->bridge.pid() > 0) {
      root->bridge.kill(SIGKILL);
      root->bridge.wait();
    }
  }
  roots().clear();
}

}  // namespace myfs::test

using myfs::test::become;
using myfs::test::must;

myfs_task::myfs_task(const std::string& root, const myfs_cred* cred)
    : cred_{sizeof(myfs_cred), ::geteuid(), ::getegid(), nullptr, 0} {
  if (cred != nullptr) cred_ = *cred;
  if (cred_.ngroups > 0) groups_.assign(cred_.groups, cred_.groups + cred_.ngroups);
  cred_.groups = groups_.data();
  leader_ = std::thread([this, root] { lead(root); });
}

myfs_task::~myfs_task() {
  {
    std::unique_lock<std::mutex> lock(mutex_);
    ends_ = true;
  }
  changed_.notify_all();
  leader_.join();
  for (std::thread& worker : workers_) worker.join();
}

// Its threads share what it has taken for itself.
void myfs_task::lead(const std::string& root) {
  must(::unshare(CLONE_FS | CLONE_FILES) == 0, "unshare");
  must(::syscall(SYS_close_range, 0, ~0u, 0) == 0, "close_range");
  must(::chroot(root.c_str()) == 0 && ::chdir("/") == 0, "chroot");
  ::umask(022);
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return ends_ || wants_thread_; });
    if (ends_) return;
    wants_thread_ = false;
    workers_.emplace_back([this] { work(); });
  }
}

void myfs_task::work() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (true) {
    ++idle_;
    changed_.wait(lock, [this] { return ends_ || !jobs_.empty(); });
    --idle_;
    if (ends_) return;
    Job* job = std::exchange(jobs_.front(), nullptr);
    jobs_.pop_front();
    lock.unlock();
    const myfs_cred& cred = job->cred != nullptr ? *job->cred : cred_;
    become(cred.uid, cred.gid, cred.groups, cred.ngroups);
    errno = 0;
    const int64_t result = (*job->fn)();
    const int64_t told = result == -1 ? -errno : result;
    lock.lock();
    job->result = told;
    job->done = true;
    changed_.notify_all();
  }
}

std::string myfs_task::path_of(const std::string& path) {
  const int64_t thread = run(nullptr, [] { return ::gettid(); });
  const std::string place = !path.empty() && path[0] == '/' ? "/root/" : "/cwd/";
  return "/proc/self/task/" + std::to_string(thread) + place + path;
}

int myfs_task::mount(const std::string& root, const std::string& at) {
  if (at == "/") {
    return static_cast<int>(run(&myfs::test::kAsRoot, [&]() -> int64_t {
      return ::chroot(root.c_str()) == 0 ? ::chdir("/") : -1;
    }));
  }
  return ::mount(root.c_str(), path_of(at).c_str(), nullptr, MS_BIND, nullptr) == 0 ? 0 : -errno;
}

int64_t myfs_task::run(const myfs_call* call, const std::function<int64_t()>& fn) {
  Job job{&fn, call != nullptr ? call->cred : nullptr};
  std::unique_lock<std::mutex> lock(mutex_);
  jobs_.push_back(&job);
  if (idle_ < static_cast<int>(jobs_.size())) wants_thread_ = true;
  changed_.notify_all();
  changed_.wait(lock, [&] { return job.done; });
  return job.result;
}
