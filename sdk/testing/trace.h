// Trace: what happened in a simulation, line by line, without anything that differs between two
// runs of one seed.
// Kernel counterpart: ftrace's ring buffer.
// Thread safety: none of its own; simulated threads run one at a time.
// Invariants: (1) no pointer, descriptor number or real time appears in a line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace myfs::sim {

class Trace {
 public:
  // "<virtual us> <thread> <what>"
  void add(int64_t now_ns, std::string_view thread, std::string_view what);
  const std::vector<std::string>& lines() const { return lines_; }
  std::string text() const;
  // FNV-1a of text(): short enough for a message.
  uint64_t digest() const;

 private:
  std::vector<std::string> lines_;
};

}  // namespace myfs::sim
