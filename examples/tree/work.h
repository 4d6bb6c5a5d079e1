// Work: jobs run by a few threads, counted for the progress bar and for the figures at the end.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tree {

struct Totals {
  std::atomic<uint64_t> entries{0};
  std::atomic<uint64_t> bytes{0};
  std::atomic<uint64_t> operations{0};  // calls of the file system
  std::atomic<uint64_t> failures{0};
};

// Shows "copy  [=====     ] 51 % ..." on stderr while it is a terminal, four times a second.
class Progress {
 public:
  Progress(std::string title, const Totals& totals, uint64_t expected_entries);
  ~Progress();
  // Draws if it is time to; any thread.
  void tick();
  // Prints "copy: 20123 entries, 345.6 MB in 4.21 s: 82.1 MB/s, 15234 ops/s" to stdout.
  void finish();

 private:
  void draw(double seconds);
  const std::string title_;
  const Totals& totals_;
  const uint64_t expected_;
  const bool terminal_;
  const std::chrono::steady_clock::time_point start_;
  std::atomic<int64_t> next_draw_ms_{0};
};

// Runs job(0) .. job(count - 1) on `threads` threads; returns when all have returned.
void run_parallel(size_t count, unsigned threads, const std::function<void(size_t)>& job);

// "name: what: reason" on stderr, and one more failure.
void complain(Totals* totals, const std::string& path, const char* what, const std::string& reason);

}  // namespace tree
