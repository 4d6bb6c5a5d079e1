// MyFS for C++20: leases of applications and invalidations, over <myfs/lease.h>.
#pragma once

#include <myfs/lease.h>
#include <myfs/myfs.hpp>

#include <functional>

namespace myfs {
inline namespace api_v0 {

// A lease on an open file, given back when it is destroyed. The File must outlive it.
class Lease {
 public:
  using Function = std::function<void(const myfs_lease_recall&)>;

  // type: F_RDLCK or F_WRLCK. break_ms: 1..8000; 0: 8000.
  static Result<Lease> take(const Task& task, const File& file, int type, Function function,
                            int64_t break_ms = 0, const Call& call = {}) {
    Lease made(task.get(), file.fd(), std::move(function));
    if (Result<void> set = made.set(type, break_ms, call); !set.ok()) return set.error();
    return made;
  }
  Lease(Lease&& other) noexcept
      : task_(other.task_),
        fd_(std::exchange(other.fd_, -1)),
        function_(std::move(other.function_)) {}
  Lease& operator=(Lease&& other) noexcept {
    std::swap(task_, other.task_);
    std::swap(fd_, other.fd_);
    std::swap(function_, other.function_);
    return *this;
  }
  // Not from within the function, which it destroys.
  ~Lease() {
    if (fd_ >= 0) myfs_lease(task_, fd_, F_UNLCK, nullptr, nullptr, nullptr);
  }

  // F_RDLCK, F_WRLCK or F_UNLCK; also from within the function.
  Result<void> set(int type, int64_t break_ms = 0, const Call& call = {}) {
    myfs_call c = call.c();
    const myfs_lease_options options{sizeof options, break_ms};
    return internal::check(
        myfs_lease_x(task_, &c, fd_, type, &Lease::recalled, function_.get(), &options));
  }
  Result<int> held() const {
    const int r = myfs_lease_held(task_, fd_);
    if (r < 0) return Error::last(-r);
    return r;
  }

 private:
  Lease(myfs_task* task, int fd, Function function)
      : task_(task), fd_(fd), function_(std::make_unique<Function>(std::move(function))) {}
  static void recalled(void* function, const myfs_lease_recall* recall) {
    (*static_cast<Function*>(function))(*recall);
  }

  myfs_task* task_;
  int fd_;
  std::unique_ptr<Function> function_;  // stays where it is
};

// Tells its function what becomes invalid in a mount, until it is destroyed.
class InvalidationWatch {
 public:
  using Function = std::function<void(const myfs_invalidation&)>;

  static Result<InvalidationWatch> create(const Task& task, const std::string& path,
                                          Function function, const Call& call = {}) {
    myfs_call c = call.c();
    InvalidationWatch made(std::move(function));
    const int r = myfs_watch_invalidations_x(task.get(), &c, path.c_str(), &InvalidationWatch::told,
                                             made.function_.get(), &made.watch_);
    if (r < 0) return Error::last(-r);
    return made;
  }
  InvalidationWatch(InvalidationWatch&& other) noexcept
      : function_(std::move(other.function_)), watch_(std::exchange(other.watch_, nullptr)) {}
  InvalidationWatch& operator=(InvalidationWatch&& other) noexcept {
    std::swap(function_, other.function_);
    std::swap(watch_, other.watch_);
    return *this;
  }
  // Not from within the function, which it destroys.
  ~InvalidationWatch() { myfs_unwatch_invalidations(watch_); }

 private:
  explicit InvalidationWatch(Function function)
      : function_(std::make_unique<Function>(std::move(function))) {}
  static void told(void* function, const myfs_invalidation* invalidation) {
    (*static_cast<Function*>(function))(*invalidation);
  }

  std::unique_ptr<Function> function_;  // stays where it is
  myfs_watch* watch_ = nullptr;
};

}  // namespace api_v0
}  // namespace myfs
