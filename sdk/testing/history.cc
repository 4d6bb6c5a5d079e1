#include <myfs/history.h>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include "sdk/base/clock.h"
#include "sdk/base/sync.h"

namespace myfs::lin {
namespace {

constexpr std::string_view kHeader = "H myfs-history 1\n";
constexpr char kHex[] = "0123456789ABCDEF";

void append_word(std::string* line, std::string_view word) {
  line->push_back(' ');
  if (word.empty()) line->push_back('%');
  for (char c : word) {
    if (c > ' ' && c <= '~' && c != '%') {
      line->push_back(c);
      continue;
    }
    auto byte = static_cast<unsigned char>(c);
    line->push_back('%');
    line->push_back(kHex[byte >> 4]);
    line->push_back(kHex[byte & 15]);
  }
}

void append_words(std::string* line, const std::vector<std::string>& words) {
  for (const std::string& word : words) append_word(line, word);
}

std::string event(char kind, uint64_t number, int64_t time_ns) {
  std::string line(1, kind);
  line.append(" ").append(std::to_string(number));
  line.append(" ").append(std::to_string(time_ns));
  return line;
}

int digit(char c) {
  const char* at = std::find(kHex, kHex + 16, c);
  return at == kHex + 16 ? -1 : static_cast<int>(at - kHex);
}

std::optional<std::string> decode_word(std::string_view word) {
  if (word.empty()) return std::nullopt;
  std::string text;
  if (word == "%") return text;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '%') {
      text.push_back(word[i]);
      continue;
    }
    if (i + 2 >= word.size() || digit(word[i + 1]) < 0 || digit(word[i + 2]) < 0) {
      return std::nullopt;
    }
    text.push_back(static_cast<char>(digit(word[i + 1]) << 4 | digit(word[i + 2])));
    i += 2;
  }
  return text;
}

template <class Number>
bool parse_number(const std::string& word, Number* number) {
  const char* end = word.data() + word.size();
  auto parsed = std::from_chars(word.data(), end, *number);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

// What a killed process left in the middle of a line must not become part of the next one.
int drop_cut_line(int fd) {
  off_t size = ::lseek(fd, 0, SEEK_END), keep = size;
  if (size < 0) return -errno;
  for (char c = 0; keep > 0; --keep) {
    ssize_t n = ::pread(fd, &c, 1, keep - 1);
    if (n != 1) return n < 0 ? -errno : -EIO;
    if (c == '\n') break;
  }
  return keep == size || ::ftruncate(fd, keep) == 0 ? 0 : -errno;
}

// Reads lines; the operations of the newest header are found by their numbers.
class Parser {
 public:
  // False: *why is set.
  bool line(std::string_view text) {
    if (text == kHeader.substr(0, kHeader.size() - 1)) {
      begun_ = true;
      numbers_.clear();
      return true;
    }
    if (!begun_) return fail("no header before it");
    std::vector<std::string> words;
    for (size_t at = 0; at <= text.size();) {
      size_t end = std::min(text.find(' ', at), text.size());
      std::optional<std::string> word = decode_word(text.substr(at, end - at));
      if (!word.has_value()) return fail("a malformed word");
      words.push_back(*std::move(word));
      at = end + 1;
    }
    uint64_t number = 0;
    int64_t time_ns = 0;
    if (words.size() < 3 || words[0].size() != 1 || !parse_number(words[1], &number) ||
        !parse_number(words[2], &time_ns)) {
      return fail("no event, number and time");
    }
    return words[0] == "I" ? invocation(number, time_ns, words)
                           : ending(words[0][0], number, time_ns, words);
  }

  const std::string& why() const { return why_; }
  void add_to(History* history) {
    for (Recorded& recorded : operations_) {
      if (recorded.dropped) continue;
      history->operations.push_back(std::move(recorded.operation));
    }
  }

 private:
  struct Recorded {
    Operation operation;
    bool ended = false;
    bool dropped = false;
  };

  bool fail(std::string why) {
    why_ = std::move(why);
    return false;
  }

  bool invocation(uint64_t number, int64_t time_ns, const std::vector<std::string>& words) {
    if (words.size() < 6) return fail("an invocation without client, object or call");
    if (!numbers_.emplace(number, operations_.size()).second) return fail("a number used twice");
    Operation& operation = operations_.emplace_back().operation;
    operation.client = words[3];
    operation.object = words[4];
    operation.call.assign(words.begin() + 5, words.end());
    operation.invoked_ns = time_ns;
    return true;
  }

  bool ending(char kind, uint64_t number, int64_t time_ns, const std::vector<std::string>& words) {
    auto found = numbers_.find(number);
    if (found == numbers_.end()) return fail("the end of an operation that has not begun");
    Recorded& recorded = operations_[found->second];
    if (std::exchange(recorded.ended, true)) return fail("an operation that ends twice");
    Operation& operation = recorded.operation;
    if (time_ns < operation.invoked_ns || time_ns == kOpen) return fail("an end before its begin");
    if (kind == 'R') {
      operation.returned_ns = time_ns;
      operation.result.assign(words.begin() + 3, words.end());
    } else if (kind == 'U' && words.size() == 4) {
      operation.note = words[3];
    } else if (kind == 'N' && words.size() == 3) {
      recorded.dropped = true;
    } else {
      return fail("an event that is none");
    }
    return true;
  }

  bool begun_ = false;
  std::vector<Recorded> operations_;
  std::map<uint64_t, size_t> numbers_;
  std::string why_;
};

}  // namespace

struct Recorder::Impl {
  explicit Impl(int file_descriptor) : fd(file_descriptor) {}
  ~Impl() {
    if (fd >= 0) ::close(fd);
  }

  void write_locked(const std::string& line) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    if (fd < 0) {
      text += line;
      return;
    }
    ssize_t n = 0;
    do {
      n = ::write(fd, line.data(), line.size());
    } while (n < 0 && errno == EINTR);
    if (n == static_cast<ssize_t>(line.size()) || failure != 0) return;
    failure = n < 0 ? -errno : -EIO;
  }

  // The time is taken by the caller: before the call of an invocation, after that of an end.
  void add(std::string line) {
    line.push_back('\n');
    MutexLock lock(mutex);
    write_locked(line);
  }

  const int fd;  // -1: in memory
  mutable Mutex mutex{LockRank::kUnranked};
  uint64_t next ABSL_GUARDED_BY(mutex) = 0;
  int failure ABSL_GUARDED_BY(mutex) = 0;
  std::string text ABSL_GUARDED_BY(mutex);
};

Recorder::Recorder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {
  MutexLock lock(impl_->mutex);
  impl_->write_locked(std::string(kHeader));
}

Recorder::Recorder() : Recorder(std::make_unique<Impl>(-1)) {}
Recorder::~Recorder() = default;

int Recorder::open(const std::string& path, std::unique_ptr<Recorder>* recorder) {
  int fd = ::open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return -errno;
  auto impl = std::make_unique<Impl>(fd);
  int error = drop_cut_line(fd);
  if (error < 0) return error;
  std::unique_ptr<Recorder> opened(new Recorder(std::move(impl)));
  error = opened->error();
  if (error == 0) *recorder = std::move(opened);
  return error;
}

uint64_t Recorder::invoke(std::string_view client, std::string_view object,
                          const std::vector<std::string>& call) {
  int64_t time_ns = boottime_ns();
  std::string words;
  append_word(&words, client);
  append_word(&words, object);
  append_words(&words, call);
  words.push_back('\n');
  MutexLock lock(impl_->mutex);
  uint64_t number = impl_->next++;
  impl_->write_locked(event('I', number, time_ns) + words);
  return number;
}

void Recorder::returned(uint64_t number, const std::vector<std::string>& result) {
  std::string line = event('R', number, boottime_ns());
  append_words(&line, result);
  impl_->add(std::move(line));
}

void Recorder::unknown(uint64_t number, std::string_view note) {
  std::string line = event('U', number, boottime_ns());
  append_word(&line, note);
  impl_->add(std::move(line));
}

void Recorder::without_effect(uint64_t number) { impl_->add(event('N', number, boottime_ns())); }

int Recorder::error() const {
  MutexLock lock(impl_->mutex);
  return impl_->failure;
}

History Recorder::history() const {
  History history;
  MutexLock lock(impl_->mutex);
  parse_history(impl_->text, &history, nullptr);
  return history;
}

int parse_history(std::string_view text, History* history, std::string* why) {
  Parser parser;
  size_t number = 1;
  for (size_t at = 0; at < text.size(); ++number) {
    size_t end = text.find('\n', at);
    if (end == std::string_view::npos) break;  // cut off
    if (!parser.line(text.substr(at, end - at))) {
      if (why != nullptr) *why = "line " + std::to_string(number) + ": " + parser.why();
      return -EINVAL;
    }
    at = end + 1;
  }
  parser.add_to(history);
  return 0;
}

int read_history(const std::string& path, History* history, std::string* why) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -errno;
  std::string text;
  std::vector<char> buffer(256 << 10);
  ssize_t n = 0;
  while ((n = ::read(fd, buffer.data(), buffer.size())) != 0) {
    if (n < 0 && errno != EINTR) break;
    if (n > 0) text.append(buffer.data(), static_cast<size_t>(n));
  }
  int error = n < 0 ? -errno : 0;
  ::close(fd);
  return error != 0 ? error : parse_history(text, history, why);
}

std::string to_text(const History& history) {
  // At one time invocations come first, so that what touches is concurrent.
  std::vector<std::tuple<int64_t, bool, size_t>> events;
  for (size_t i = 0; i < history.operations.size(); ++i) {
    events.emplace_back(history.operations[i].invoked_ns, false, i);
    events.emplace_back(history.operations[i].returned_ns, true, i);
  }
  std::sort(events.begin(), events.end());
  std::string text(kHeader);
  for (const auto& [time_ns, ends, i] : events) {
    const Operation& operation = history.operations[i];
    if (ends && operation.open()) {
      if (operation.note.empty()) continue;
      text += event('U', i, operation.invoked_ns);
      append_word(&text, operation.note);
    } else if (ends) {
      text += event('R', i, time_ns);
      append_words(&text, operation.result);
    } else {
      text += event('I', i, time_ns);
      append_word(&text, operation.client);
      append_word(&text, operation.object);
      append_words(&text, operation.call);
    }
    text.push_back('\n');
  }
  return text;
}

std::string to_text(const Operation& operation) {
  std::string text;
  append_word(&text, operation.client);
  append_words(&text, operation.call);
  text += " ->";
  if (!operation.open()) {
    append_words(&text, operation.result);
  } else {
    text += operation.note.empty() ? " ?" : " ? (" + operation.note + ")";
  }
  return text.substr(1);
}

}  // namespace myfs::lin
