// Errno: a failure's kind, as the kernel counts them.
// Kernel counterpart: include/uapi/asm-generic/errno*.h.  Differs: a type of its own, so that a
// count is never taken for an error. Thread safety: immutable value.
#pragma once

#include <cerrno>
#include <compare>
#include <string_view>

namespace myfs {

class Errno {
 public:
  constexpr Errno() = default;  // "no error", value 0
  constexpr explicit Errno(int value) : value_(value) {}

  constexpr int value() const { return value_; }
  constexpr bool ok() const { return value_ == 0; }
  constexpr bool operator==(const Errno&) const = default;

  // "ENOENT", or "E?" for a number that Linux does not name. Static storage.
  std::string_view name() const;
  // "no such file or directory": for messages to people. Static storage.
  std::string_view text() const;

 private:
  int value_ = 0;
};

}  // namespace myfs
