#include "cli/shell/text/time_parser.h"

#include <charconv>
#include <optional>

namespace shell {
namespace {

// Reads one text from left to right; after a mismatch every question is answered by no.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  bool good() const { return good_; }
  bool at_end() const { return rest_.empty(); }
  bool next_is(char c) const { return good_ && !rest_.empty() && rest_[0] == c; }
  bool take(char c) {
    if (!next_is(c)) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool take(std::string_view word) {
    if (!good_ || rest_.substr(0, word.size()) != word) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  void need(char c) { good_ = take(c); }
  void fail() { good_ = false; }

  // Exactly so many digits, in a range.
  int digits(size_t count, int lowest, int highest) {
    int value = 0;
    if (!good_ || rest_.size() < count) return fail(), 0;
    for (char c : rest_.substr(0, count)) {
      if (c < '0' || c > '9') return fail(), 0;
      value = value * 10 + (c - '0');
    }
    rest_.remove_prefix(count);
    if (value < lowest || value > highest) fail();
    return value;
  }

  int64_t number() {
    int64_t value = 0;
    auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) return fail(), 0;
    rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
    return value;
  }

  // ".789": nanoseconds; what lies below them is cut.
  long fraction() {
    if (!take('.')) return 0;
    long value = 0, unit = 100'000'000;
    bool any = false;
    while (!rest_.empty() && rest_[0] >= '0' && rest_[0] <= '9') {
      value += (rest_[0] - '0') * unit;
      unit /= 10;
      any = true;
      rest_.remove_prefix(1);
    }
    if (!any) fail();
    return value;
  }

 private:
  std::string_view rest_;
  bool good_ = true;
};

// Seconds east of Greenwich; no value: nothing is said.
std::optional<long> zone(Reader& in) {
  in.take(' ');
  if (in.take('Z') || in.take("UTC")) return 0;
  bool west = in.next_is('-');
  if (!in.take('+') && !in.take('-')) return std::nullopt;
  long hours = in.digits(2, 0, 23);
  in.take(':');
  long seconds = (hours * 60 + in.digits(2, 0, 59)) * 60;
  return west ? -seconds : seconds;
}

bool same_day(const tm& a, const tm& b) {
  return a.tm_year == b.tm_year && a.tm_mon == b.tm_mon && a.tm_mday == b.tm_mday;
}

bool parse_date(Reader in, timespec* time) {
  tm date{};
  date.tm_year = in.digits(4, 0, 9999) - 1900;
  in.need('-');
  date.tm_mon = in.digits(2, 1, 12) - 1;
  in.need('-');
  date.tm_mday = in.digits(2, 1, 31);
  date.tm_isdst = -1;
  std::optional<long> offset;
  long nanoseconds = 0;
  if (!in.at_end()) {
    if (!in.take('T')) in.need(' ');
    date.tm_hour = in.digits(2, 0, 23);
    in.need(':');
    date.tm_min = in.digits(2, 0, 59);
    if (in.take(':')) {
      date.tm_sec = in.digits(2, 0, 59);
      nanoseconds = in.fraction();
    }
    if (!in.at_end()) {
      offset = zone(in);
      if (!offset) in.fail();
    }
  }
  if (!in.good() || !in.at_end()) return false;
  // A day that does not exist becomes another one.
  tm checked = date;
  time->tv_sec = offset ? ::timegm(&checked) - *offset : ::mktime(&checked);
  time->tv_nsec = nanoseconds;
  return same_day(checked, date);
}

}  // namespace

bool parse_time(std::string_view text, const timespec& now, timespec* time) {
  Reader in(text);
  if (text == "now") {
    *time = now;
    return true;
  }
  if (!in.take('@')) return parse_date(in, time);
  bool negative = in.next_is('-');
  time->tv_sec = in.number();
  time->tv_nsec = in.fraction();
  if (negative && time->tv_nsec > 0) {
    time->tv_sec -= 1;
    time->tv_nsec = 1'000'000'000 - time->tv_nsec;
  }
  return in.good() && in.at_end();
}

}  // namespace shell
