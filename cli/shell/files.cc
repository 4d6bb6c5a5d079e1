// Commands on content: cat, head, tail, write, cp, touch, truncate.

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "cli/shell/copy.h"
#include "cli/shell/format.h"
#include "cli/shell/shell.h"

namespace shell {
namespace {

constexpr uint64_t kDefaultLines = 10;

// Calls `sink` with each piece; `sink` returns false to stop.
int read_all(Shell& shell, const Args& args, const std::string& path, off_t from,
             const std::function<bool(std::string_view)>& sink) {
  auto file = shell.task().open_file(path, O_RDONLY, 0, shell.call());
  if (!file) return shell.fail(args, path, file.error());
  std::vector<std::byte> buffer(kCopyBuffer_bytes);
  while (!shell.interrupted()) {
    auto n = file->pread(buffer, from, shell.call());
    if (!n) return shell.fail(args, path, n.error());
    if (*n == 0) return 0;
    from += static_cast<off_t>(*n);
    if (!sink({reinterpret_cast<const char*>(buffer.data()), *n})) return 0;
  }
  return 1;
}

bool print(std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
}

int run_cat(Shell& shell, const Args& args) {
  int status = 0;
  for (const std::string& path : args.words) {
    int result = read_all(shell, args, path, 0, print);
    if (result != 0) status = result;
  }
  return status;
}

// "head [-n N] FILE..." arrives as words; returns the index of the first file, or 0 if the count is
// wrong.
size_t take_count(const Args& args, uint64_t* count) {
  *count = kDefaultLines;
  if (!args.has('n')) return SIZE_MAX;
  return args.words.size() >= 2 && parse_size(args.words[0], count) ? 1 : 0;
}

int wrong_count(const Args& args) {
  std::fprintf(stderr, "%s: -n %s: must be a number of lines\n", args.command.c_str(),
               args.words[0].c_str());
  return 2;
}

int run_head(Shell& shell, const Args& args) {
  uint64_t count = 0;
  size_t first = take_count(args, &count);
  if (first == 0) return wrong_count(args);
  int status = 0;
  for (size_t i = first == SIZE_MAX ? 0 : first; i < args.words.size(); ++i) {
    uint64_t left = count;
    int result = read_all(shell, args, args.words[i], 0, [&](std::string_view text) {
      size_t end = 0;
      while (left > 0 && end < text.size()) {
        size_t newline = text.find('\n', end);
        end = newline == std::string_view::npos ? text.size() : newline + 1;
        if (newline != std::string_view::npos) --left;
      }
      return print(text.substr(0, end)) && left > 0;
    });
    if (result != 0) status = result;
  }
  return status;
}

// Where the last `count` lines begin, found from the end backwards.
myfs::Result<off_t> start_of_tail(Shell& shell, myfs::File& file, uint64_t count) {
  auto st = file.stat(shell.call());
  if (!st) return st.error();
  std::vector<std::byte> buffer(kCopyBuffer_bytes);
  off_t end = st->st_size;
  bool last_byte = true;
  while (end > 0) {
    auto want = static_cast<size_t>(std::min<off_t>(end, static_cast<off_t>(buffer.size())));
    auto n = file.pread({buffer.data(), want}, end - static_cast<off_t>(want), shell.call());
    if (!n) return n.error();
    if (*n == 0) return off_t{0};
    for (size_t i = *n; i > 0; --i) {
      // A newline at the very end ends the last line, it does not begin one.
      bool newline = buffer[i - 1] == std::byte{'\n'} && !last_byte;
      last_byte = false;
      if (newline && count-- <= 1) return end - static_cast<off_t>(want) + static_cast<off_t>(i);
    }
    end -= static_cast<off_t>(want);
  }
  return off_t{0};
}

int run_tail(Shell& shell, const Args& args) {
  uint64_t count = 0;
  size_t first = take_count(args, &count);
  if (first == 0) return wrong_count(args);
  int status = 0;
  for (size_t i = first == SIZE_MAX ? 0 : first; i < args.words.size(); ++i) {
    const std::string& path = args.words[i];
    auto file = shell.task().open_file(path, O_RDONLY, 0, shell.call());
    if (!file) {
      status = shell.fail(args, path, file.error());
      continue;
    }
    if (count == 0) continue;
    auto start = start_of_tail(shell, *file, count);
    int result =
        start ? read_all(shell, args, path, *start, print) : shell.fail(args, path, start.error());
    if (result != 0) status = result;
  }
  return status;
}

int run_write(Shell& shell, const Args& args) {
  const std::string& path = args.words[0];
  int flags = O_WRONLY | O_CREAT | (args.has('a') ? O_APPEND : O_TRUNC);
  auto file = shell.task().open_file(path, flags, 0666, shell.call());
  if (!file) return shell.fail(args, path, file.error());
  std::string text;
  for (size_t i = 1; i < args.words.size(); ++i) text += (i > 1 ? " " : "") + args.words[i];
  text += '\n';
  size_t done = 0;
  while (done < text.size()) {
    auto n = file->write(std::string_view(text).substr(done), shell.call());
    if (!n) return shell.fail(args, path, n.error());
    done += *n;
  }
  auto closed = file->close(shell.call());
  return closed ? 0 : shell.fail(args, path, closed.error());
}

int run_touch(Shell& shell, const Args& args) {
  int status = 0;
  for (const std::string& path : args.words) {
    timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    auto touched = shell.task().utimens(path, now, 0, shell.call());
    if (!touched && touched.error().value() == ENOENT) {
      auto made = shell.task().open_file(path, O_WRONLY | O_CREAT, 0666, shell.call());
      if (made) continue;
      status = shell.fail(args, path, made.error());
    } else if (!touched) {
      status = shell.fail(args, path, touched.error());
    }
  }
  return status;
}

int run_truncate(Shell& shell, const Args& args) {
  uint64_t size = 0;
  if (!parse_size(args.words[0], &size)) {
    std::fprintf(stderr, "truncate: %s: must be a size such as 0, 100, 4K, 1M\n",
                 args.words[0].c_str());
    return 2;
  }
  int status = 0;
  for (size_t i = 1; i < args.words.size(); ++i) {
    auto done = shell.task().truncate(args.words[i], static_cast<off_t>(size), shell.call());
    if (!done) status = shell.fail(args, args.words[i], done.error());
  }
  return status;
}

}  // namespace

void add_file_commands(std::vector<Command>& table) {
  table.insert(
      table.end(),
      {{"cat", "", 1, -1, "cat FILE...", "print files", run_cat},
       {"head", "n", 1, -1, "head [-n LINES] FILE...", "print first lines (default 10)", run_head},
       {"tail", "n", 1, -1, "tail [-n LINES] FILE...", "print last lines (default 10)", run_tail},
       {"write", "a", 1, -1, "write [-a] FILE TEXT...",
        "write the words and a newline to a file; -a appends", run_write},
       {"touch", "", 1, -1, "touch FILE...", "set the times to now; make missing files", run_touch},
       {"truncate", "", 2, -1, "truncate SIZE FILE...", "set the size (K, M, G)", run_truncate}});
}

}  // namespace shell
