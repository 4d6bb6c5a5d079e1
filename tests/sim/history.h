// History: what a campaign's clients did and saw, and the checks of it at the end.
//
// A moment is a number from one counter that every begin and every end of an operation draws: since
// one simulated thread runs at a time their order is the order of events. Checks are made when all
// is over, because only then it is known whether a write that stayed in a cache was made durable
// (its fsync or close succeeded: it is `sure`) or may have gone with its session.
//
// Thread safety: simulated threads, which run one at a time.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace myfs::simtest {

using Moment = uint64_t;
inline constexpr Moment kNever = UINT64_MAX;
// A client's process: another one after a crash.
using Process = uint32_t;

class Clock {
 public:
  Moment tick() { return ++now_; }
  Moment now() const { return now_; }

 private:
  Moment now_ = 0;
};

using Faults = std::vector<std::string>;  // what a check found, one line each

// A register: writes of unique values and reads. Linearizable, with the initial value 0.
class Register {
 public:
  explicit Register(std::string name) : name_(std::move(name)) {
    writes_.push_back({.value = 0, .begin = 0, .end = 0, .sure = true});
  }
  // Returns the write's index.
  size_t begin_write(uint64_t value, Process process, Moment begin);
  void end_write(size_t write, Moment end) { writes_[write].end = end; }
  void make_sure(size_t write) { writes_[write].sure = true; }
  void read(uint64_t value, Process process, Moment begin, Moment end) {
    reads_.push_back({value, process, begin, end});
  }
  void check(Faults& faults) const;

 private:
  struct Write {
    uint64_t value = 0;
    Process process = 0;
    Moment begin = 0;
    Moment end = kNever;
    bool sure = false;
  };
  struct Read {
    uint64_t value = 0;
    Process process = 0;
    Moment begin = 0;
    Moment end = 0;
  };
  struct Zone;
  std::vector<Zone> zones(Faults& faults) const;
  std::string name_;
  std::vector<Write> writes_;
  std::vector<Read> reads_;
};

// Cells of a file that is truncated to nothing and grows again: a cell shows a write that no
// truncation has followed, or zeros.
class TruncatedCell {
 public:
  explicit TruncatedCell(std::string name) : name_(std::move(name)) {}
  size_t begin_write(uint64_t value, Process process, Moment begin);
  void end_write(size_t write, Moment end) { writes_[write].end = end; }
  void make_sure(size_t write) { writes_[write].sure = true; }
  size_t begin_truncation(Moment begin);
  // kNever: nobody knows whether it happened.
  void end_truncation(size_t truncation, Moment end) { truncations_[truncation].end = end; }
  void read(uint64_t value, Process process, Moment begin, Moment end) {
    reads_.push_back({value, process, begin, end});
  }
  void check(Faults& faults) const;

 private:
  struct Span {
    uint64_t value = 0;
    Process process = 0;
    Moment begin = 0;
    Moment end = kNever;
    bool sure = false;
  };
  std::string name_;
  std::vector<Span> writes_, truncations_, reads_;
};

// A file to which records are appended: each is there once, in the order of events.
class AppendLog {
 public:
  explicit AppendLog(std::string name) : name_(std::move(name)) {}
  size_t begin_append(uint64_t value, Process process, Moment begin);
  void end_append(size_t append, Moment end) { appends_[append].end = end; }
  void make_sure(size_t append) { appends_[append].sure = true; }
  // The whole file. Value 0: a hole.
  void read(std::vector<uint64_t> values, Process process, Moment begin, Moment end) {
    reads_.push_back({std::move(values), process, begin, end});
  }
  // The last read is the final content.
  void check(Faults& faults) const;

 private:
  struct Append {
    uint64_t value = 0;
    Process process = 0;
    Moment begin = 0;
    Moment end = kNever;
    bool sure = false;
  };
  struct Read {
    std::vector<uint64_t> values;
    Process process = 0;
    Moment begin = 0;
    Moment end = 0;
  };
  void check_read(const Read& read, const std::map<uint64_t, size_t>& by_value,
                  const std::map<uint64_t, size_t>& final_place, Faults& faults) const;
  std::string name_;
  std::vector<Append> appends_;
  std::vector<Read> reads_;
};

// One name: what changed it and what was seen of it. A thing seen while nothing changed must be
// what the last change has left.
class Name {
 public:
  explicit Name(std::string name) : name_(std::move(name)) {}
  // A change begins. Until its end is known, which it never is if its process dies, it may happen
  // or not.
  size_t begin(Moment begin, const char* what) {
    changes_.push_back({kAnything, begin, kNever, what, kNone});
    return changes_.size() - 1;
  }
  // Now the name leads to inode `ino`; 0: to none. Before it led to `before`, as who changed it was
  // told.
  void changed(size_t change, uint64_t before, uint64_t ino, Moment end) {
    Event& event = changes_[change];
    event.ino = ino;
    event.end = end;
    seen_.push_back({before, event.begin, end, event.what, change});
  }
  // The same where nobody was told what was there before.
  void replaced(size_t change, uint64_t ino, Moment end) {
    changes_[change].ino = ino;
    changes_[change].end = end;
  }
  // It did not happen.
  void refused(size_t change) { changes_[change].begin = kNever; }
  void seen(uint64_t ino, Moment begin, Moment end, const char* what) {
    seen_.push_back({ino, begin, end, what, kNone});
  }
  static constexpr uint64_t kAnything = UINT64_MAX;  // some inode, it is not known which
  void check(Faults& faults) const;

 private:
  struct Event {
    uint64_t ino;
    Moment begin;
    Moment end;
    const char* what;
    size_t own;  // the change by which it was seen
  };
  static constexpr size_t kNone = SIZE_MAX;
  std::string name_;
  std::vector<Event> changes_, seen_;
};

// A lock that one holds at a time.
class LockUse {
 public:
  explicit LockUse(std::string name) : name_(std::move(name)) {}
  // Held for certain between the two.
  void held(Process process, Moment from, Moment until) { uses_.push_back({process, from, until}); }
  void check(Faults& faults) const;

 private:
  struct Use {
    Process process;
    Moment from;
    Moment until;
  };
  std::string name_;
  std::vector<Use> uses_;
};

}  // namespace myfs::simtest
