#include "sdk/testing/trace.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace myfs::sim {

void Trace::add(int64_t now_ns, std::string_view thread, std::string_view what) {
  lines_.push_back(absl::StrCat(now_ns / 1000, ".", now_ns % 1000, " ",
                                absl::string_view(thread.data(), thread.size()), " ",
                                absl::string_view(what.data(), what.size())));
}

std::string Trace::text() const { return absl::StrCat(absl::StrJoin(lines_, "\n"), "\n"); }

uint64_t Trace::digest() const {
  uint64_t hash = 0xcbf29ce484222325;
  for (const std::string& line : lines_) {
    for (unsigned char c : line) hash = (hash ^ c) * 0x100000001b3;
    hash = (hash ^ '\n') * 0x100000001b3;
  }
  return hash;
}

}  // namespace myfs::sim
