// Log: rare, human-readable lines about what went wrong or changed state; never on a hit path.
// Kernel counterpart: printk levels.
// Thread safety: all. Lock rank: kLog (innermost).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "absl/strings/str_format.h"

namespace myfs {

enum class LogLevel : int { kError = 0, kWarning = 1, kInfo = 2, kDebug = 3 };

// Lines above this level are dropped. Default kWarning.
void set_log_level(LogLevel level);
LogLevel log_level();
// "error", "warning", "info", "debug"; false for anything else.
bool parse_log_level(std::string_view text, LogLevel* level);

// Replaces stderr as the sink; nullptr restores it. The sink is called under a leaf lock: it must
// not call MyFS.
using LogSink = std::function<void(LogLevel, std::string_view line)>;
void set_log_sink(LogSink sink);

void log_line(LogLevel level, std::string_view line);

template <typename... Args>
void log(LogLevel level, const absl::FormatSpec<Args...>& format, const Args&... args) {
  if (level <= log_level()) log_line(level, absl::StrFormat(format, args...));
}

}  // namespace myfs
