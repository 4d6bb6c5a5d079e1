// KeptNames: the names that the kernel may keep, so that it can be told to forget those of a
// directory.
// Thread safety: none; LeaseCache::names_mutex_ guards it.
// Owns / is owned by: part of LeaseCache.
// Invariants: (1) what was added less than `life` ago is there, unless it was taken; (2) what was
// added more than three times `life` ago goes with the next addition.
#pragma once

#include <chrono>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "bindings/fuse/fuse_api.h"

namespace bridge {

class KeptNames {
 public:
  using Clock = std::chrono::steady_clock;
  using Names = std::unordered_set<std::string>;

  KeptNames(Clock::duration life, size_t max) : life_(life), max_(max) {}

  // False: there are too many, it must not be kept.
  bool add(fuse_ino_t dir, const char* name, Clock::time_point now) {
    if (now - since_ > life_) {
      // Those that are younger than `life_`, if there are any, are all among young_.
      old_ = now - since_ > 2 * life_ ? Generation{} : std::move(young_);
      young_ = {};
      since_ = now;
    }
    if (young_.count + old_.count >= max_) return false;
    if (young_.of[dir].insert(name).second) ++young_.count;
    return true;
  }
  Names take(fuse_ino_t dir) {
    Names taken = take_from(young_, dir);
    taken.merge(take_from(old_, dir));
    return taken;
  }

 private:
  struct Generation {
    std::unordered_map<fuse_ino_t, Names> of;
    size_t count = 0;
  };
  static Names take_from(Generation& names, fuse_ino_t dir) {
    auto found = names.of.find(dir);
    if (found == names.of.end()) return {};
    Names taken = std::move(found->second);
    names.count -= taken.size();
    names.of.erase(found);
    return taken;
  }

  Clock::duration life_;
  size_t max_;
  Clock::time_point since_{};  // that young_ began
  Generation young_, old_;
};

}  // namespace bridge
