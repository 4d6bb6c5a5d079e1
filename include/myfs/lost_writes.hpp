// MyFS for C++20: what was written and cannot be brought to the server any more, over
// <myfs/lost_writes.h>.
#pragma once

#include <myfs/lost_writes.h>
#include <myfs/myfs.hpp>

#include <functional>

namespace myfs {
inline namespace api_v0 {

// What was lost of one file, as long as the function that is told of it has not returned.
class LostWrites {
 public:
  explicit LostWrites(const myfs_lost_writes& lost) : lost_(lost) {}
  const myfs_lost_writes& get() const { return lost_; }
  std::string_view path() const { return lost_.path; }
  std::span<const myfs_lost_range> ranges() const { return {lost_.ranges, lost_.range_count}; }
  Result<size_t> read(std::span<std::byte> buffer, off_t offset) const {
    return internal::count(myfs_lost_read(lost_.reader, buffer.data(), buffer.size(), offset));
  }

 private:
  const myfs_lost_writes& lost_;
};

// Tells its function of the losses of a mount, until it is destroyed.
class LostWritesListener {
 public:
  // True: the bytes are taken care of.
  using Function = std::function<bool(const LostWrites&)>;

  static Result<LostWritesListener> create(const Task& task, const std::string& path,
                                           Function function, const Call& call = {}) {
    myfs_call c = call.c();
    LostWritesListener made(std::move(function));
    const int r = myfs_on_lost_writes_x(task.get(), &c, path.c_str(), &LostWritesListener::told,
                                        made.function_.get(), &made.listener_);
    if (r < 0) return Error::last(-r);
    return made;
  }
  LostWritesListener(LostWritesListener&& other) noexcept
      : function_(std::move(other.function_)), listener_(std::exchange(other.listener_, nullptr)) {}
  LostWritesListener& operator=(LostWritesListener&& other) noexcept {
    std::swap(function_, other.function_);
    std::swap(listener_, other.listener_);
    return *this;
  }
  // Not from within the function, which it destroys.
  ~LostWritesListener() { myfs_off_lost_writes(listener_); }

 private:
  explicit LostWritesListener(Function function)
      : function_(std::make_unique<Function>(std::move(function))) {}
  static int told(void* function, const myfs_lost_writes* lost) {
    return (*static_cast<Function*>(function))(LostWrites(*lost)) ? 0 : 1;
  }

  std::unique_ptr<Function> function_;  // stays where it is
  myfs_lost_listener* listener_ = nullptr;
};

}  // namespace api_v0
}  // namespace myfs
