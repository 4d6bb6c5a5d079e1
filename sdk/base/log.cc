#include "sdk/base/log.h"

#include <unistd.h>

#include <atomic>
#include <utility>

#include "sdk/base/sync.h"

namespace myfs {
namespace {

constexpr std::string_view kNames[] = {"error", "warning", "info", "debug"};

std::atomic<LogLevel> g_level{LogLevel::kWarning};

struct Sink {
  Mutex mutex{LockRank::kLog};
  LogSink sink ABSL_GUARDED_BY(mutex);
};
Sink& sink() {
  static Sink* const instance = new Sink;  // logging goes on during exit()
  return *instance;
}

}  // namespace

void set_log_level(LogLevel level) { g_level.store(level, std::memory_order_relaxed); }
LogLevel log_level() { return g_level.load(std::memory_order_relaxed); }

bool parse_log_level(std::string_view text, LogLevel* level) {
  for (int i = 0; i < 4; ++i) {
    if (text != kNames[i]) continue;
    *level = static_cast<LogLevel>(i);
    return true;
  }
  return false;
}

void set_log_sink(LogSink new_sink) {
  MutexLock lock(sink().mutex);
  sink().sink = std::move(new_sink);
}

void log_line(LogLevel level, std::string_view line) {
  MutexLock lock(sink().mutex);
  if (sink().sink) {
    sink().sink(level, line);
    return;
  }
  std::string text = "myfs: ";
  text.append(kNames[static_cast<int>(level)]).append(": ").append(line).append("\n");
  // A lost log line is the one loss that has nowhere to be reported.
  [[maybe_unused]] ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace myfs
