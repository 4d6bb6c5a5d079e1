// Commands on content: cat, head, tail, wc, write.

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>

#include "cli/shell/shell.h"
#include "cli/shell/text/format.h"
#include "cli/shell/tree/copy.h"

namespace shell {
namespace {

constexpr uint64_t kDefaultLines = 10;

// Calls `sink` with each piece; `sink` returns false to stop.
int read_all(Shell& shell, const Args& args, const std::string& path, off_t from,
             const std::function<bool(std::string_view)>& sink) {
  auto file = shell.task().open_file(path, O_RDONLY, 0, shell.call());
  if (!file) return shell.fail(args, path, file.error());
  std::vector<std::byte> buffer(kCopyBuffer_bytes);
  while (!shell.stopped()) {
    auto n = file->pread(buffer, from, shell.call());
    if (!n) return shell.fail(args, path, n.error());
    if (*n == 0) return 0;
    from += static_cast<off_t>(*n);
    if (!sink({reinterpret_cast<const char*>(buffer.data()), *n})) return 0;
  }
  return kFailed;
}

int run_cat(Shell& shell, const Args& args) {
  int status = 0;
  for (const std::string& path : args.words) {
    if (shell.stopped()) break;
    int result = read_all(shell, args, path, 0,
                          [&](std::string_view text) { return shell.out().write(text); });
    if (result != 0) status = result;
  }
  return status;
}

// What -n or -c says; the last one counts bytes.
struct Count {
  uint64_t number = kDefaultLines;
  bool bytes = false;
};

bool take_count(Shell& shell, const Args& args, Count* count, int* status) {
  const std::string* text = args.value("n");
  count->bytes = args.has("c");
  if (count->bytes) text = args.value("c");
  if (text == nullptr || parse_size(*text, &count->number)) return true;
  *status = shell.wrong(args, (count->bytes ? "-c " : "-n ") + *text + ": must be a number");
  return false;
}

// "==> f <==" before the text of each of several files.
void print_title(Shell& shell, const Args& args, size_t index) {
  if (args.words.size() < 2 || args.has("q")) return;
  shell.out().print("%s==> %s <==\n", index == 0 ? "" : "\n",
                    shell.out().shown(args.words[index]).c_str());
}

// The part of `text` that holds what is left of the count, which it takes off.
size_t take_head(std::string_view text, Count* left) {
  if (left->bytes) {
    auto length = static_cast<size_t>(std::min<uint64_t>(left->number, text.size()));
    left->number -= length;
    return length;
  }
  size_t end = 0;
  while (left->number > 0 && end < text.size()) {
    size_t newline = text.find('\n', end);
    end = newline == std::string_view::npos ? text.size() : newline + 1;
    if (newline != std::string_view::npos) --left->number;
  }
  return end;
}

int run_head(Shell& shell, const Args& args) {
  Count count;
  int status = 0;
  if (!take_count(shell, args, &count, &status)) return status;
  for (size_t i = 0; i < args.words.size() && !shell.stopped(); ++i) {
    print_title(shell, args, i);
    Count left = count;
    int result = read_all(shell, args, args.words[i], 0, [&](std::string_view text) {
      size_t end = take_head(text, &left);
      return shell.out().write(text.substr(0, end)) && left.number > 0;
    });
    if (result != 0) status = result;
  }
  return status;
}

// Where the last `count` lines begin, found from the end backwards.
myfs::Result<off_t> start_of_tail(Shell& shell, myfs::File& file, const Count& wanted) {
  auto st = file.stat(shell.call());
  if (!st) return st.error();
  off_t end = st->st_size;
  if (wanted.bytes) {
    return end - std::min<off_t>(end, static_cast<off_t>(wanted.number));
  }
  std::vector<std::byte> buffer(kCopyBuffer_bytes);
  uint64_t count = wanted.number;
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

int print_tail(Shell& shell, const Args& args, const std::string& path, const Count& count) {
  auto file = shell.task().open_file(path, O_RDONLY, 0, shell.call());
  if (!file) return shell.fail(args, path, file.error());
  if (count.number == 0) return 0;
  auto start = start_of_tail(shell, *file, count);
  if (!start) return shell.fail(args, path, start.error());
  return read_all(shell, args, path, *start,
                  [&](std::string_view text) { return shell.out().write(text); });
}

int run_tail(Shell& shell, const Args& args) {
  Count count;
  int status = 0;
  if (!take_count(shell, args, &count, &status)) return status;
  for (size_t i = 0; i < args.words.size() && !shell.stopped(); ++i) {
    print_title(shell, args, i);
    int result = print_tail(shell, args, args.words[i], count);
    if (result != 0) status = result;
  }
  return status;
}

struct WordCount {
  uint64_t lines = 0, words = 0, bytes = 0;
  bool in_word = false;

  void add(std::string_view text) {
    bytes += text.size();
    for (char c : text) {
      if (c == '\n') ++lines;
      bool blank = c == ' ' || (c >= '\t' && c <= '\r');
      if (!blank && !in_word) ++words;
      in_word = !blank;
    }
  }
};

void print_counts(Shell& shell, const Args& args, const WordCount& count, const std::string& name) {
  bool all = !args.has("l") && !args.has("w") && !args.has("c");
  std::string line;
  auto column = [&](const char* option, uint64_t number) {
    if (all || args.has(option)) line += std::to_string(number) + " ";
  };
  column("l", count.lines);
  column("w", count.words);
  column("c", count.bytes);
  shell.out().write(line + shell.out().shown(name) + "\n");
}

int run_wc(Shell& shell, const Args& args) {
  WordCount total;
  int status = 0;
  for (const std::string& path : args.words) {
    WordCount count;
    int result = read_all(shell, args, path, 0, [&](std::string_view text) {
      count.add(text);
      return true;
    });
    if (shell.stopped()) return result;
    if (result != 0) status = result;
    if (result != 0) continue;
    print_counts(shell, args, count, path);
    total.lines += count.lines;
    total.words += count.words;
    total.bytes += count.bytes;
  }
  if (args.words.size() > 1) print_counts(shell, args, total, "total");
  return status;
}

int run_write(Shell& shell, const Args& args) {
  const std::string& path = args.words[0];
  int flags = O_WRONLY | O_CREAT | (args.has("a") ? O_APPEND : O_TRUNC);
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

std::vector<Option> count_options(const char* which) {
  static const std::string lines[] = {"the first lines (default 10)",
                                      "the last lines (default 10)"};
  static const std::string bytes[] = {"the first bytes", "the last bytes"};
  size_t last = std::strcmp(which, "last") == 0 ? 1 : 0;
  return {{"n", "lines", "LINES", lines[last].c_str()},
          {"c", "bytes", "BYTES", bytes[last].c_str()},
          {"q", "quiet", "", "no title before each of several files"}};
}

}  // namespace

void add_file_commands(std::vector<Command>& table) {
  constexpr auto kRemote = Operands::kRemote;
  table.push_back({"cat", {}, "FILE...", 1, -1, kRemote, "print files", "", run_cat});
  table.push_back({"head", count_options("first"), "FILE...", 1, -1, kRemote,
                   "print the first lines of files", "Numbers may end in K, M, G or T.\n",
                   run_head});
  table.push_back({"tail", count_options("last"), "FILE...", 1, -1, kRemote,
                   "print the last lines of files", "Numbers may end in K, M, G or T.\n",
                   run_tail});
  table.push_back({"wc",
                   {{"l", "lines", "", "newlines"},
                    {"w", "words", "", "words between blanks"},
                    {"c", "bytes", "", "bytes"}},
                   "FILE...",
                   1,
                   -1,
                   kRemote,
                   "count lines, words and bytes",
                   "Without options all three.\n",
                   run_wc});
  table.push_back({"write",
                   {{"a", "append", "", "behind what is there"}},
                   "FILE [TEXT...]",
                   1,
                   -1,
                   Operands::kRemoteText,
                   "write the words and a newline to a file",
                   "",
                   run_write});
}

}  // namespace shell
