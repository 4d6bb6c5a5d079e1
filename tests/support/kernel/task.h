// KernelTask: what stands for a myfs_task where the calls of <myfs/myfs.h> are made of system
// calls: a real task of the kernel, with descriptors, root, working directory, umask and ids of its
// own.
// Kernel counterpart: task_struct. A group of threads shares its fs_struct and files_struct and
// nobody else does; calls run on them, one thread a call, so calls that wait hold up no others.
// Thread safety: all of it. Owns / is owned by: owns its threads, and through them everything that
// is open. Needs root: chroot, and ids of others.
#pragma once

#include <myfs/myfs.h>

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace myfs::test {

// A directory where the file system of the URL is to be found, mounted by the first who asks. Of
// the options only a sole "?ro" counts.
std::string kernel_root_of(const std::string& url);
// Unmounts all of them.
void end_kernel_roots();

}  // namespace myfs::test

struct myfs_task {
  // cred null: the process's own.
  myfs_task(const std::string& root, const myfs_cred* cred);
  ~myfs_task();

  // What `fn` returns, or -errno if that is -1; with the ids of `call`.
  int64_t run(const myfs_call* call, const std::function<int64_t()>& fn);

  // A path of this task, for other tasks.
  std::string path_of(const std::string& path);
  // What there is at `root` of the process; at "/" it becomes the task's root. 0 or -errno.
  int mount(const std::string& root, const std::string& at);

 private:
  struct Job {
    const std::function<int64_t()>* fn;
    const myfs_cred* cred;
    int64_t result = 0;
    bool done = false;
  };
  void lead(const std::string& root);
  void work();

  std::vector<gid_t> groups_;
  myfs_cred cred_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job*> jobs_;
  int idle_ = 0;
  bool wants_thread_ = false, ends_ = false;
  std::vector<std::thread> workers_;  // made by the leader
  std::thread leader_;
};
