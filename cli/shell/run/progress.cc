#include "cli/shell/run/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>

#include "cli/shell/text/format.h"

namespace shell {
namespace {

constexpr int64_t kSecond_ns = 1'000'000'000, kRedraw_ns = 100'000'000;
constexpr size_t kBarWidth = 20, kShortestName = 8;

int64_t steady_ns() {
  return std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
}

size_t terminal_columns() {
  winsize size{};
  bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  return known ? size.ws_col : 80;
}

std::string minutes(double seconds) {
  auto whole = static_cast<long long>(std::min(seconds, 359'999.0));
  char text[32];
  if (whole >= 3600) {
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60,
                  whole % 60);
  } else {
    std::snprintf(text, sizeof text, "%lld:%02lld", whole / 60, whole % 60);
  }
  return text;
}

std::string bar(uint64_t percent) {
  size_t full = kBarWidth * percent / 100;
  std::string text = "[" + std::string(full, '=');
  if (full < kBarWidth) text += ">" + std::string(kBarWidth - full - 1, ' ');
  return text + "]";
}

}  // namespace

void Progress::expect(uint64_t items, uint64_t bytes) {
  expected_items_ += items;
  expected_bytes_ += bytes;
}

double Progress::rate(int64_t now_ns) const {
  double seconds = static_cast<double>(now_ns - start_ns_) / kSecond_ns;
  return seconds <= 0 ? 0 : static_cast<double>(bytes_) / seconds;
}

std::string Progress::line(int64_t now_ns, size_t columns) const {
  std::string figures;
  if (expected_bytes_ > 0) {
    // A file may have grown since it was counted.
    uint64_t all = std::max(expected_bytes_, bytes_);
    uint64_t percent =
        static_cast<uint64_t>(static_cast<double>(bytes_) * 100.0 / static_cast<double>(all));
    char number[16];
    std::snprintf(number, sizeof number, "%3u%%", static_cast<unsigned>(percent));
    figures =
        std::string(number) + " " + bar(percent) + " " + human_size(bytes_) + "/" + human_size(all);
    double speed = rate(now_ns);
    if (speed >= 1) {
      figures += " " + human_size(static_cast<uint64_t>(speed)) + "/s " +
                 minutes(static_cast<double>(all - bytes_) / speed);
    }
  } else {
    figures = std::to_string(items_);
    if (expected_items_ > 0) figures += "/" + std::to_string(expected_items_);
  }
  std::string name = name_;
  for (char& c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  size_t others = verb_.size() + figures.size() + 2;
  size_t room = columns > others + kShortestName ? columns - others : kShortestName;
  if (name.size() > room) name = "..." + name.substr(name.size() - room + 3);
  return (verb_ + " " + name + " " + figures).substr(0, columns);
}

std::string Progress::summary(int64_t now_ns) const {
  double seconds = static_cast<double>(now_ns - start_ns_) / kSecond_ns;
  std::string text = verb_ + ": " + std::to_string(items_) +
                     (items_ == 1 ? " file, " : " files, ") + human_size(bytes_) + " in " +
                     minutes(seconds);
  double speed = rate(now_ns);
  if (speed >= 1) text += ", " + human_size(static_cast<uint64_t>(speed)) + "/s";
  return text;
}

ProgressBar::ProgressBar(const std::string& verb)
    : shown_(::isatty(STDERR_FILENO) == 1), progress_(verb, steady_ns()) {}

void ProgressBar::draw() {
  if (!shown_) return;
  int64_t now = steady_ns();
  if (now < next_ns_) return;
  next_ns_ = now + kRedraw_ns;
  show(now);
}

// The last column stays free: a terminal would go on to the next line.
void ProgressBar::show(int64_t now_ns) {
  std::string text = progress_.line(now_ns, terminal_columns() - 1);
  size_t width = text.size();
  if (width < width_) text.append(width_ - width, ' ');
  std::fprintf(stderr, "\r%s", text.c_str());
  width_ = width;
}

void ProgressBar::clear() {
  if (width_ == 0) return;
  std::fprintf(stderr, "\r%s\r", std::string(width_, ' ').c_str());
  width_ = 0;
  next_ns_ = 0;
}

void ProgressBar::finish() {
  if (!shown_) return;
  int64_t now = steady_ns();
  show(now);
  clear();
  std::fprintf(stderr, "%s\n", progress_.summary(now).c_str());
}

}  // namespace shell
