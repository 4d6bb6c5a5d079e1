// Trace: what happened in a simulation, without anything that differs between two runs of one seed.
// Kernel counterpart: ftrace's ring buffer.
// Thread safety: none of its own; simulated threads run one at a time.
// Invariants: (1) no pointer, descriptor number or real time appears in it; (2) the digest covers
// everything that was ever added, whether it is kept or not; (3) text is made only when it is read.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace myfs::sim {

class Trace {
 public:
  enum class Kind : uint8_t {
    kRuns,
    kYields,  // at the place `text`
    kStarts,  // a: whom
    kExits,
    kSends,     // a: bytes, b: due
    kReceives,  // a: bytes
    kFault,     // text
    kNote,      // text
  };

  // `whole`: everything is kept; else the newest kRing events.
  explicit Trace(bool whole) : whole_(whole) {}

  // A number for a name, for add().
  uint32_t intern(std::string name);
  void add(int64_t now_ns, Kind kind, uint32_t who, uint64_t a = 0, uint64_t b = 0,
           std::string_view text = {});

  // One event a line: "<virtual us> <who> <what>".
  std::string text() const { return tail(UINT64_MAX); }
  std::string tail(uint64_t lines) const;
  uint64_t digest() const { return digest_; }
  uint64_t events() const { return events_; }

 private:
  static constexpr size_t kRing = 4096;
  struct Event {
    int64_t now_ns = 0;
    Kind kind = Kind::kNote;
    uint32_t who = 0;
    uint64_t a = 0;
    uint64_t b = 0;
    std::string text;
  };
  std::string line(const Event& event) const;
  void mix(uint64_t word) { digest_ = (digest_ ^ word) * 0x100000001b3; }

  const bool whole_;
  std::vector<std::string> names_;
  std::vector<Event> kept_;  // a ring unless whole_
  uint64_t events_ = 0;
  uint64_t digest_ = 0xcbf29ce484222325;
};

}  // namespace myfs::sim
