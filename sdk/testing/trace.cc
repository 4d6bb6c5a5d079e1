#include "sdk/testing/trace.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace myfs::sim {

uint32_t Trace::intern(std::string name) {
  names_.push_back(std::move(name));
  return static_cast<uint32_t>(names_.size() - 1);
}

void Trace::add(int64_t now_ns, Kind kind, uint32_t who, uint64_t a, uint64_t b,
                std::string_view text) {
  mix(static_cast<uint64_t>(now_ns));
  mix(static_cast<uint64_t>(kind) << 32 | who);
  mix(a);
  mix(b);
  for (char c : text) mix(static_cast<unsigned char>(c));
  size_t at = whole_ ? events_ : events_ % kRing;
  ++events_;
  if (at >= kept_.size()) kept_.emplace_back();
  Event& event = kept_[at];
  event.now_ns = now_ns;
  event.kind = kind;
  event.who = who;
  event.a = a;
  event.b = b;
  event.text.assign(text);
}

std::string Trace::line(const Event& event) const {
  std::string line =
      absl::StrCat(event.now_ns / 1000, ".", event.now_ns % 1000, " ", names_[event.who], " ");
  switch (event.kind) {
    case Kind::kRuns:
      return line + "runs";
    case Kind::kYields:
      return line + "yields at " + event.text;
    case Kind::kStarts:
      return line + "starts " + names_[event.a];
    case Kind::kExits:
      return line + "exits";
    case Kind::kSends:
      return absl::StrCat(line, "sends ", event.a, " bytes, due ", event.b);
    case Kind::kReceives:
      return absl::StrCat(line, "receives ", event.a, " bytes");
    case Kind::kFault:
    case Kind::kNote:
      return line + event.text;
  }
  return line;
}

std::string Trace::tail(uint64_t lines) const {
  uint64_t count = std::min<uint64_t>(lines, kept_.size());
  std::string text;
  for (uint64_t i = events_ - count; i < events_; ++i) {
    text += line(kept_[whole_ ? i : i % kRing]);
    text += '\n';
  }
  return text;
}

}  // namespace myfs::sim
