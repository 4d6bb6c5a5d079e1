#include "sdk/api/runtime.h"

#include <utility>

namespace myfs::api {

Result<std::shared_ptr<uv_io::Loop>> Runtime::loop(int64_t spin_ns) {
  {
    MutexLock lock(mutex_);
    if (auto found = loops_[spin_ns].lock()) return found;
  }
  // Made outside of the lock: it starts a thread. Two at once: the second is dropped again.
  uv_io::Loop::Options options;
  options.spin_ns = spin_ns;
  MYFS_ASSIGN(std::unique_ptr<uv_io::Loop> made, uv_io::Loop::create(options));
  std::shared_ptr<uv_io::Loop> loop = std::move(made);
  MutexLock lock(mutex_);
  if (auto found = loops_[spin_ns].lock()) return found;
  loops_[spin_ns] = loop;
  return loop;
}

Runtime& process_runtime() {
  static Runtime* const runtime = new Runtime;  // tasks may end during exit()
  return *runtime;
}

}  // namespace myfs::api
