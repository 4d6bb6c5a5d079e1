#include "examples/tree/work.h"

#include <unistd.h>

#include <cstdio>
#include <thread>

#include "examples/tree/entry.h"

namespace tree {
namespace {

constexpr int kBarWidth = 40;
constexpr int64_t kDrawEvery_ms = 250;

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Progress::Progress(std::string title, const Totals& totals, uint64_t expected_entries)
    : title_(std::move(title)),
      totals_(totals),
      expected_(expected_entries),
      terminal_(::isatty(STDERR_FILENO) == 1),
      start_(std::chrono::steady_clock::now()) {}

Progress::~Progress() {
  if (terminal_) std::fprintf(stderr, "\r\033[K");
}

void Progress::tick() {
  if (!terminal_) return;
  double seconds = seconds_since(start_);
  auto now_ms = static_cast<int64_t>(seconds * 1000);
  int64_t due = next_draw_ms_.load(std::memory_order_relaxed);
  if (now_ms < due || !next_draw_ms_.compare_exchange_strong(due, now_ms + kDrawEvery_ms)) return;
  draw(seconds);
}

void Progress::draw(double seconds) {
  uint64_t done = totals_.entries.load();
  double part = expected_ == 0 ? 0 : static_cast<double>(done) / static_cast<double>(expected_);
  if (part > 1) part = 1;
  std::string bar(static_cast<size_t>(part * kBarWidth), '=');
  bar.resize(kBarWidth, ' ');
  std::fprintf(stderr, "\r%s [%s] %3.0f %%  %llu entries  %.1f MB  %.0f s\033[K", title_.c_str(),
               bar.c_str(), part * 100, static_cast<unsigned long long>(done),
               static_cast<double>(totals_.bytes.load()) / 1e6, seconds);
}

void Progress::finish() {
  double seconds = seconds_since(start_);
  if (terminal_) std::fprintf(stderr, "\r\033[K");
  double megabytes = static_cast<double>(totals_.bytes.load()) / 1e6;
  std::printf("%s: %llu entries, %.1f MB in %.2f s: %.1f MB/s, %.0f ops/s\n", title_.c_str(),
              static_cast<unsigned long long>(totals_.entries.load()), megabytes, seconds,
              megabytes / seconds, static_cast<double>(totals_.operations.load()) / seconds);
  std::fflush(stdout);
}

void run_parallel(size_t count, unsigned threads, const std::function<void(size_t)>& job) {
  std::atomic<size_t> next{0};
  auto body = [&] {
    for (size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) job(i);
  };
  std::vector<std::thread> pool;
  for (unsigned i = 1; i < threads; ++i) pool.emplace_back(body);
  body();
  for (std::thread& thread : pool) thread.join();
}

void complain(Totals* totals, const std::string& path, const char* what,
              const std::string& reason) {
  totals->failures.fetch_add(1);
  std::fprintf(stderr, "myfs-tree: %s: %s: %s\n", printable(path).c_str(), what, reason.c_str());
}

}  // namespace tree
