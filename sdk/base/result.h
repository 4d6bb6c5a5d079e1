// Result: a value or an Errno, the return type of everything that can fail.
// Kernel counterpart: ERR_PTR / IS_ERR (include/linux/err.h).  Differs: any value type, checked by
// the compiler. Thread safety: as that of T. Invariants: (1) an error is never Errno{0}; (2)
// value() is called only when ok().
#pragma once

#include <cassert>
#include <new>
#include <type_traits>
#include <utility>

#include "sdk/base/errno.h"

namespace myfs {

template <typename T>
class [[nodiscard]] Result {
  static_assert(!std::is_reference_v<T>, "return a pointer or a Ref");

 public:
  using value_type = T;

  Result(Errno error) : error_(error) { assert(!error.ok()); }  // implicit: return Errno(ENOENT);
  template <typename U = T>
  requires(std::is_constructible_v<T, U&&> && !std::is_same_v<std::decay_t<U>, Result> &&
           !std::is_same_v<std::decay_t<U>, Errno>) Result(U&& value)
      : error_() {  // implicit: return value;
    ::new (&storage_.value) T(std::forward<U>(value));
  }
  Result(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) : error_(other.error_) {
    if (ok()) ::new (&storage_.value) T(std::move(other.storage_.value));
  }
  Result(const Result& other) requires std::is_copy_constructible_v<T> : error_(other.error_) {
    if (ok()) ::new (&storage_.value) T(other.storage_.value);
  }
  Result& operator=(Result&& other) noexcept {
    if (this != &other) {
      this->~Result();
      ::new (this) Result(std::move(other));
    }
    return *this;
  }
  ~Result() {
    if (ok()) storage_.value.~T();
  }

  bool ok() const { return error_.ok(); }
  explicit operator bool() const { return ok(); }
  Errno error() const { return error_; }  // Errno{0} when ok

  T& value() & {
    assert(ok());
    return storage_.value;
  }
  const T& value() const& {
    assert(ok());
    return storage_.value;
  }
  T&& value() && {
    assert(ok());
    return std::move(storage_.value);
  }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  template <typename U>
  T value_or(U&& fallback) const& {
    return ok() ? storage_.value : static_cast<T>(std::forward<U>(fallback));
  }

 private:
  union Storage {
    Storage() {}
    ~Storage() {}
    T value;
  };
  Storage storage_;
  Errno error_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;
  Result() = default;
  Result(Errno error)
      : error_(error) {}  // NB: Errno{0} is success here, so errno-style results convert
  bool ok() const { return error_.ok(); }
  explicit operator bool() const { return ok(); }
  Errno error() const { return error_; }

 private:
  Errno error_;
};

inline Result<void> ok_result() { return {}; }

}  // namespace myfs

#define MYFS_CONCAT_INNER(a, b) a##b
#define MYFS_CONCAT(a, b) MYFS_CONCAT_INNER(a, b)

// MYFS_TRY(expr): returns the error of a Result from the calling function, else goes on.
#define MYFS_TRY(expr)                                         \
  do {                                                         \
    if (auto myfs_try_ = (expr); !myfs_try_.ok()) [[unlikely]] \
      return myfs_try_.error();                                \
  } while (0)

// MYFS_ASSIGN(decl, expr): as MYFS_TRY, and binds the value:  MYFS_ASSIGN(auto inode, iget(ino));
#define MYFS_ASSIGN(decl, expr) MYFS_ASSIGN_INNER(MYFS_CONCAT(myfs_try_, __LINE__), decl, expr)
#define MYFS_ASSIGN_INNER(tmp, decl, expr) \
  auto tmp = (expr);                       \
  if (!tmp.ok()) [[unlikely]]              \
    return tmp.error();                    \
  decl = std::move(tmp).value()
