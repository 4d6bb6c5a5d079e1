// Input: the bytes of one run as a row of choices. When they are used up every choice is 0.
// Kernel counterpart: none.
// Thread safety: one thread.
// Owns / is owned by: borrows the bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <string>

namespace myfs::fuzz {

class Input {
 public:
  Input(const uint8_t* data, size_t size) : next_(data), left_(size) {}

  bool empty() const { return left_ == 0; }
  size_t left() const { return left_; }
  uint8_t byte() {
    if (left_ == 0) return 0;
    --left_;
    return *next_++;
  }
  // [0, bound); bound 1..65536.
  uint32_t below(uint32_t bound) {
    if (bound <= 1) return 0;
    uint32_t value = byte();
    if (bound > 256) value |= static_cast<uint32_t>(byte()) << 8;
    return value % bound;
  }
  // A choice that most bytes, and 0, decide with no.
  bool rarely() { return byte() >= 232; }
  bool sometimes() { return byte() >= 192; }
  uint64_t word() {
    uint64_t value = 0;
    for (int i = 0; i < 8; ++i) value |= static_cast<uint64_t>(byte()) << (8 * i);
    return value;
  }
  std::string bytes(size_t size) {
    size = std::min(size, left_);
    std::string out(reinterpret_cast<const char*>(next_), size);
    next_ += size;
    left_ -= size;
    return out;
  }
  template <typename Container>
  auto& pick(Container& from) {
    return from[below(static_cast<uint32_t>(std::min<size_t>(std::size(from), 65536)))];
  }

 private:
  const uint8_t* next_;
  size_t left_;
};

}  // namespace myfs::fuzz
