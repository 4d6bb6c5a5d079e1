#include "server/space_gauge.h"

#include <algorithm>
#include <utility>

namespace myfs::server {

SpaceGauge::SpaceGauge(const BlockStore& store, uint64_t reserve_bytes, Clock clock)
    : store_(store), reserve_bytes_(reserve_bytes), clock_(std::move(clock)) {}

BlockSpace SpaceGauge::ask() {
  known_ = store_.space();
  known_.free_bytes -= std::min(known_.free_bytes, reserve_bytes_);
  known_until_ns_ = clock_() + kSpaceStale_ns;
  return known_;
}

BlockSpace SpaceGauge::recent() {
  const bool known = known_until_ns_ != 0 && clock_() < known_until_ns_;
  return known && known_.free_bytes >= kSpaceTight_bytes ? known_ : ask();
}

void SpaceGauge::take(uint64_t bytes) { known_.free_bytes -= std::min(known_.free_bytes, bytes); }

}  // namespace myfs::server
