// Commands on times and sizes: touch, truncate.

#include <algorithm>
#include <cerrno>
#include <optional>

#include "cli/shell/shell.h"
#include "cli/shell/text/format.h"
#include "cli/shell/text/time_parser.h"

namespace shell {
namespace {

// The two times that a touch sets; false: *status tells why there are none.
bool take_times(Shell& shell, const Args& args, timespec (&times)[2], int* status) {
  times[0] = times[1] = {0, UTIME_NOW};
  if (const std::string* reference = args.value("r")) {
    auto st = shell.task().stat(*reference, shell.call());
    if (!st) {
      *status = shell.fail(args, *reference, st.error());
      return false;
    }
    times[0] = st->st_atim;
    times[1] = st->st_mtim;
  } else if (const std::string* date = args.value("d")) {
    timespec now;
    ::clock_gettime(CLOCK_REALTIME, &now);
    if (!parse_time(*date, now, &times[0])) {
      *status = shell.wrong(args, *date + ": must be a time such as 2026-11-21 04:05:06 or @0");
      return false;
    }
    times[1] = times[0];
  }
  if (args.has("a") && !args.has("m")) times[1] = {0, UTIME_OMIT};
  if (args.has("m") && !args.has("a")) times[0] = {0, UTIME_OMIT};
  return true;
}

int touch_one(Shell& shell, const Args& args, const std::string& path, const timespec (&times)[2]) {
  int flags = args.has("h") ? AT_SYMLINK_NOFOLLOW : 0;
  auto touched = shell.task().utimens(path, times, flags, shell.call());
  if (touched) return 0;
  bool missing = touched.error().value() == ENOENT;
  if (missing && args.has("c")) return 0;
  if (!missing || args.has("h")) return shell.fail(args, path, touched.error());
  auto made = shell.task().open_file(path, O_WRONLY | O_CREAT, 0666, shell.call());
  if (!made) return shell.fail(args, path, made.error());
  if (!args.has("d") && !args.has("r")) return 0;
  touched = shell.task().utimens(path, times, 0, shell.call());
  return touched ? 0 : shell.fail(args, path, touched.error());
}

int run_touch(Shell& shell, const Args& args) {
  timespec times[2];
  int status = 0;
  if (!take_times(shell, args, times, &status)) return status;
  for (const std::string& path : args.words) status |= touch_one(shell, args, path, times);
  return status;
}

// A size as truncate takes it: "10" sets, "+10" and "-10" change, "<10" and ">10" bound.
struct SizeChange {
  char how = '=';
  uint64_t size = 0;

  static std::optional<SizeChange> parse(std::string text) {
    SizeChange change;
    if (!text.empty() && std::string_view("+-<>").find(text[0]) != std::string_view::npos) {
      change.how = text[0];
      text.erase(0, 1);
    }
    if (!parse_size(text, &change.size)) return std::nullopt;
    return change;
  }
  // No value: beyond what a file can be.
  std::optional<uint64_t> apply(uint64_t old) const {
    switch (how) {
      case '+':
        if (size > INT64_MAX - old) return std::nullopt;
        return old + size;
      case '-':
        return old > size ? old - size : 0;
      case '<':
        return std::min(old, size);
      case '>':
        return std::max(old, size);
      default:
        return size;
    }
  }
};

int truncate_one(Shell& shell, const Args& args, const std::string& path,
                 const SizeChange& change) {
  int flags = O_WRONLY | (args.has("c") ? 0 : O_CREAT);
  auto file = shell.task().open_file(path, flags, 0666, shell.call());
  if (!file && args.has("c") && file.error().value() == ENOENT) return 0;
  if (!file) return shell.fail(args, path, file.error());
  auto st = file->stat(shell.call());
  if (!st) return shell.fail(args, path, st.error());
  auto size = change.apply(static_cast<uint64_t>(st->st_size));
  if (!size) return shell.fail_errno(args, path, EFBIG);
  auto done = file->truncate(static_cast<off_t>(*size), shell.call());
  if (!done) return shell.fail(args, path, done.error());
  auto closed = file->close(shell.call());
  return closed ? 0 : shell.fail(args, path, closed.error());
}

int run_truncate(Shell& shell, const Args& args) {
  SizeChange change;
  if (const std::string* reference = args.value("r")) {
    auto st = shell.task().stat(*reference, shell.call());
    if (!st) return shell.fail(args, *reference, st.error());
    change.size = static_cast<uint64_t>(st->st_size);
  } else {
    const std::string* text = args.value("s");
    auto parsed = text != nullptr ? SizeChange::parse(*text) : std::nullopt;
    if (!parsed) {
      return shell.wrong(args, (text != nullptr ? *text : "-s SIZE") +
                                   ": must be a size such as 0, 100, 4K, +1M or -1M");
    }
    change = *parsed;
  }
  int status = 0;
  for (const std::string& path : args.words) status |= truncate_one(shell, args, path, change);
  return status;
}

}  // namespace

void add_time_commands(std::vector<Command>& table) {
  table.push_back(
      {"touch",
       {{"a", "", "", "the time of access only"},
        {"m", "", "", "the time of modification only"},
        {"c", "no-create", "", "make no missing files"},
        {"d", "date", "TIME", "to this time"},
        {"r", "reference", "FILE", "to the times of FILE"},
        {"h", "no-dereference", "", "of a symbolic link itself"}},
       "FILE...",
       1,
       -1,
       Operands::kRemote,
       "set the times (default: to now); make missing files",
       "TIME: now, @SECONDS[.FRACTION] since 1970, YYYY-MM-DD, or that and HH:MM[:SS[.FRACTION]]\n"
       "behind a blank or T; at its end Z, UTC or +HH:MM, else it is local time.\n",
       run_touch});
  table.push_back(
      {"truncate",
       {{"s", "size", "SIZE", "to this size; K, M, G or T may follow the number"},
        {"r", "reference", "FILE", "to the size of FILE"},
        {"c", "no-create", "", "make no missing files"}},
       "FILE...",
       1,
       -1,
       Operands::kRemote,
       "set the size; make missing files",
       "+SIZE and -SIZE change it, '<SIZE' and '>SIZE' set no more and no less than that.\n",
       run_truncate});
}

}  // namespace shell
