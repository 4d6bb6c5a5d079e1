#include "tests/sim/history.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace myfs::simtest {
namespace {

std::string span(Moment begin, Moment end) {
  return end == kNever ? absl::StrCat("[", begin, "..)") : absl::StrCat("[", begin, "..", end, "]");
}

}  // namespace

// ---- registers

// What a value's write and reads say of its time. The value was the register's at `first` and at
// `last`, in this order if first < last; else at some point between.
struct Register::Zone {
  uint64_t value;
  Moment first;  // the earliest end
  Moment last;   // the latest begin
  bool is_forward() const { return first < last; }
  std::string text() const {
    return absl::StrCat(value, is_forward() ? " from " : " within ", std::min(first, last), " to ",
                        std::max(first, last));
  }
};

size_t Register::begin_write(uint64_t value, Process process, Moment begin) {
  writes_.push_back({.value = value, .process = process, .begin = begin});
  return writes_.size() - 1;
}

std::vector<Register::Zone> Register::zones(Faults& faults) const {
  std::map<uint64_t, const Write*> by_value;
  for (const Write& write : writes_) by_value[write.value] = &write;
  std::map<uint64_t, Zone> zones;
  for (const Write& write : writes_) {
    if (write.sure) zones.emplace(write.value, Zone{write.value, write.end, write.begin});
  }
  // What may have been lost has happened if another process saw it.
  for (const Read& read : reads_) {
    auto found = by_value.find(read.value);
    if (found == by_value.end()) {
      faults.push_back(absl::StrCat(name_, ": a read ", span(read.begin, read.end), " shows ",
                                    read.value, ", which nobody has written"));
      continue;
    }
    const Write& write = *found->second;
    if (read.end < write.begin) {
      faults.push_back(absl::StrCat(name_, ": a read ", span(read.begin, read.end), " shows ",
                                    read.value, ", which is written later"));
    }
    if (!write.sure && read.process == write.process) continue;
    Zone& zone = zones.emplace(read.value, Zone{read.value, kNever, write.begin}).first->second;
    zone.first = std::min(zone.first, read.end);
  }
  for (const Read& read : reads_) {
    auto found = by_value.find(read.value);
    if (found == by_value.end()) continue;
    if (!found->second->sure && read.process == found->second->process) continue;
    Zone& zone = zones.at(read.value);
    zone.last = std::max(zone.last, read.begin);
  }
  std::vector<Zone> all;
  for (auto& [value, zone] : zones) all.push_back(zone);
  return all;
}

// Gibbons and Korach, Testing Shared Memories: with unique values a history of a register is
// linearizable if no two forward zones overlap and no backward zone lies within a forward one.
void Register::check(Faults& faults) const {
  std::vector<Zone> forward, backward;
  for (const Zone& zone : zones(faults)) (zone.is_forward() ? forward : backward).push_back(zone);
  std::sort(forward.begin(), forward.end(),
            [](const Zone& a, const Zone& b) { return a.first < b.first; });
  for (size_t i = 1; i < forward.size(); ++i) {
    if (forward[i].first < forward[i - 1].last) {
      faults.push_back(absl::StrCat(name_, ": stale: value ", forward[i - 1].text(), " and value ",
                                    forward[i].text()));
    }
  }
  for (const Zone& zone : backward) {
    auto after = std::upper_bound(forward.begin(), forward.end(), zone.last,
                                  [](Moment at, const Zone& f) { return at < f.first; });
    if (after == forward.begin()) continue;
    const Zone& around = *std::prev(after);
    if (around.first < zone.last && zone.first < around.last) {
      faults.push_back(
          absl::StrCat(name_, ": stale: value ", zone.text(), " in value ", around.text()));
    }
  }
}

// ---- truncated cells

size_t TruncatedCell::begin_write(uint64_t value, Process process, Moment begin) {
  writes_.push_back({.value = value, .process = process, .begin = begin});
  return writes_.size() - 1;
}

size_t TruncatedCell::begin_truncation(Moment begin) {
  truncations_.push_back({.begin = begin});
  return truncations_.size() - 1;
}

void TruncatedCell::check(Faults& faults) const {
  auto complain = [&](const Span& read, const char* what) {
    faults.push_back(absl::StrCat(name_, ": a read ", span(read.begin, read.end), " shows ",
                                  read.value, ": ", what));
  };
  for (const Span& read : reads_) {
    if (read.value == 0) {
      for (const Span& write : writes_) {
        if (!write.sure || write.end >= read.begin) continue;
        bool cut = std::any_of(truncations_.begin(), truncations_.end(), [&](const Span& t) {
          return t.end > write.begin && t.begin < read.end;
        });
        if (!cut) complain(read, "a write that nothing has cut off is not there");
      }
      continue;
    }
    auto write = std::find_if(writes_.begin(), writes_.end(),
                              [&](const Span& w) { return w.value == read.value; });
    if (write == writes_.end()) {
      complain(read, "nobody has written it");
      continue;
    }
    if (read.end < write->begin) complain(read, "it is written later");
    bool undone = std::any_of(truncations_.begin(), truncations_.end(), [&](const Span& t) {
      return t.begin > write->end && t.end < read.begin;
    });
    if (undone) complain(read, "it was cut off");
  }
}

// ---- appended records

size_t AppendLog::begin_append(uint64_t value, Process process, Moment begin) {
  appends_.push_back({.value = value, .process = process, .begin = begin});
  return appends_.size() - 1;
}

void AppendLog::check_read(const Read& read, const std::map<uint64_t, size_t>& by_value,
                           const std::map<uint64_t, size_t>& final_place, Faults& faults) const {
  auto complain = [&](uint64_t value, const char* what) {
    faults.push_back(absl::StrCat(name_, ": a read ", span(read.begin, read.end), ": record ",
                                  value, " ", what));
  };
  std::map<uint64_t, size_t> place;
  for (size_t i = 0; i < read.values.size(); ++i) {
    uint64_t value = read.values[i];
    if (value == 0) continue;
    auto known = by_value.find(value);
    if (known == by_value.end()) {
      complain(value, "was written by nobody");
      continue;
    }
    if (!place.emplace(value, i).second) complain(value, "is there twice");
    const Append& append = appends_[known->second];
    if (append.begin > read.end) complain(value, "is written later");
    if (!append.sure && append.process == read.process) continue;
    auto at = final_place.find(value);
    if (at == final_place.end()) {
      complain(value, "is gone at the end");
    } else if (at->second != i) {
      complain(value, "has moved at the end");
    }
  }
  for (const Append& append : appends_) {
    if (append.sure && append.end < read.begin && !place.contains(append.value)) {
      complain(append.value, "is missing");
    }
  }
}

void AppendLog::check(Faults& faults) const {
  if (reads_.empty()) return;
  std::map<uint64_t, size_t> by_value, final_place;
  for (size_t i = 0; i < appends_.size(); ++i) by_value[appends_[i].value] = i;
  const Read& final = reads_.back();
  for (size_t i = 0; i < final.values.size(); ++i) {
    if (final.values[i] != 0) final_place.emplace(final.values[i], i);
  }
  for (const Read& read : reads_) check_read(read, by_value, final_place, faults);
  // In the order of events: nothing that had ended comes behind what began later.
  std::vector<const Append*> sorted;
  for (const Append& append : appends_) {
    if (append.sure && final_place.contains(append.value)) sorted.push_back(&append);
  }
  std::sort(sorted.begin(), sorted.end(), [&](const Append* a, const Append* b) {
    return final_place.at(a->value) < final_place.at(b->value);
  });
  Moment latest_begin = 0;
  uint64_t before = 0;
  for (const Append* append : sorted) {
    if (append->end < latest_begin) {
      faults.push_back(absl::StrCat(name_, ": record ", append->value, " ",
                                    span(append->begin, append->end), " stands behind ", before,
                                    ", which began at ", latest_begin));
    }
    if (append->begin > latest_begin) {
      latest_begin = append->begin;
      before = append->value;
    }
  }
}

// ---- names

void Name::check(Faults& faults) const {
  for (const Event& seen : seen_) {
    const Event* last = nullptr;
    bool quiet = true;
    auto others = [&](auto visit) {
      for (size_t i = 0; i < changes_.size(); ++i) {
        if (i != seen.own) visit(changes_[i]);
      }
    };
    others([&](const Event& change) {
      if (change.begin > seen.end) return;
      if (change.end > seen.begin) {
        quiet = false;  // at the same time
      } else if (last == nullptr || change.end > last->end) {
        last = &change;
      }
    });
    if (!quiet || last == nullptr) continue;
    others([&](const Event& change) {
      if (&change != last && change.end < seen.begin && change.end > last->begin) quiet = false;
    });
    if (!quiet || last->ino == seen.ino) continue;
    bool both = last->ino != 0 && seen.ino != 0;
    if (both && (last->ino == kAnything || seen.ino == kAnything)) continue;
    auto text = [](uint64_t ino) {
      return ino == 0           ? std::string("nothing")
             : ino == kAnything ? std::string("something")
                                : absl::StrCat("inode ", ino);
    };
    faults.push_back(absl::StrCat(name_, ": ", seen.what, " ", span(seen.begin, seen.end), " saw ",
                                  text(seen.ino), ", but ", last->what, " ",
                                  span(last->begin, last->end), " had left ", text(last->ino)));
  }
}

// ---- locks

void LockUse::check(Faults& faults) const {
  std::vector<Use> sorted = uses_;
  std::sort(sorted.begin(), sorted.end(),
            [](const Use& a, const Use& b) { return a.from < b.from; });
  for (size_t i = 1; i < sorted.size(); ++i) {
    if (sorted[i].from >= sorted[i - 1].until) continue;
    faults.push_back(absl::StrCat(name_, ": held twice, ",
                                  span(sorted[i - 1].from, sorted[i - 1].until), " and ",
                                  span(sorted[i].from, sorted[i].until)));
  }
}

}  // namespace myfs::simtest
