// Progress: how far a long command is, as one line of text; and the bar that shows the line on a
// terminal.
// Thread safety: the main thread alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

namespace shell {

// What is to be done, and what is done. Times are nanoseconds of any steady clock.
class Progress {
 public:
  Progress(std::string verb, int64_t start_ns) : verb_(std::move(verb)), start_ns_(start_ns) {}

  void expect(uint64_t items, uint64_t bytes);
  void begin(std::string name) { name_ = std::move(name); }
  void advance(uint64_t bytes) { bytes_ += bytes; }
  void item_done() { ++items_; }

  // "put a/b  45% [=====>     ] 1.2M/2.6M 600K/s 0:02"; without expected bytes "rm a/b 17/40", or
  // "rm a/b 17" if nothing is expected. At most `columns` wide, counted in bytes: the name gives
  // way.
  std::string line(int64_t now_ns, size_t columns) const;
  // "put: 3 files, 2.6M in 0:04, 650K/s".
  std::string summary(int64_t now_ns) const;

 private:
  double rate(int64_t now_ns) const;  // bytes a second

  const std::string verb_;
  const int64_t start_ns_;
  std::string name_;
  uint64_t items_ = 0, expected_items_ = 0;
  uint64_t bytes_ = 0, expected_bytes_ = 0;
};

// Draws a Progress on stderr if that is a terminal, ten times a second at most; otherwise does
// nothing. The line vanishes at the end.
class ProgressBar {
 public:
  explicit ProgressBar(const std::string& verb);
  ~ProgressBar() { clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  bool shown() const { return shown_; }
  Progress& progress() { return progress_; }
  void draw();
  // Takes the line away; somebody else is about to write. The next draw() brings it back.
  void clear();
  // Shows the last state and leaves a summary in its place.
  void finish();

 private:
  void show(int64_t now_ns);

  const bool shown_;
  Progress progress_;
  int64_t next_ns_ = 0;
  size_t width_ = 0;  // of the line that is on the terminal now
};

}  // namespace shell
