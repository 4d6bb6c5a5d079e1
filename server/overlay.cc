#include "server/overlay.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace myfs::server {
namespace {

uint32_t end_of(const OverlayExtent& extent) { return extent.offset + extent.length; }

// The part of `extent` in [from, to).
OverlayExtent part(const OverlayExtent& extent, uint32_t from, uint32_t to) {
  OverlayExtent result{from, to - from, {}};
  if (!extent.data.empty()) result.data = extent.data.substr(from - extent.offset, to - from);
  return result;
}

}  // namespace

void Overlay::insert(OverlayExtent extent) {
  assert(extent.length > 0 && end_of(extent) <= kBlockSize_bytes);
  const uint32_t from = extent.offset, to = end_of(extent);
  auto first = std::lower_bound(extents_.begin(), extents_.end(), from,
                                [](const auto& e, uint32_t at) { return end_of(e) < at; });
  std::vector<OverlayExtent> kept;  // what replaces the extents that touch the new one
  OverlayExtent tail;
  auto last = first;
  for (; last != extents_.end() && last->offset <= to; ++last) {
    if (end_of(*last) > to) tail = part(*last, std::max(to, last->offset), end_of(*last));
    if (last->offset < from)
      kept.push_back(part(*last, last->offset, std::min(from, end_of(*last))));
  }
  auto push = [&kept](OverlayExtent next) {
    if (next.length == 0) return;
    if (!kept.empty() && end_of(kept.back()) == next.offset &&
        kept.back().data.empty() == next.data.empty()) {
      kept.back().length += next.length;
      kept.back().data.append(next.data);
      return;
    }
    kept.push_back(std::move(next));
  };
  push(std::move(extent));
  push(std::move(tail));
  auto at = extents_.erase(first, last);
  extents_.insert(at, std::make_move_iterator(kept.begin()), std::make_move_iterator(kept.end()));
}

void Overlay::write(uint32_t offset, std::string_view bytes) {
  if (bytes.empty()) return;
  insert({offset, static_cast<uint32_t>(bytes.size()), std::string(bytes)});
}

void Overlay::zero(uint32_t offset, uint32_t length) {
  if (length > 0) insert({offset, length, {}});
}

void Overlay::lay(const Overlay& top) {
  for (const OverlayExtent& extent : top.extents_) insert(extent);
}

size_t Overlay::data_bytes() const {
  size_t bytes = 0;
  for (const OverlayExtent& extent : extents_) bytes += extent.data.size();
  return bytes;
}

uint32_t Overlay::data_end() const {
  for (auto it = extents_.rbegin(); it != extents_.rend(); ++it) {
    if (!it->data.empty()) return end_of(*it);
  }
  return 0;
}

bool Overlay::covers(uint32_t length) const {
  uint32_t covered = 0;
  for (const OverlayExtent& extent : extents_) {
    if (extent.offset > covered) break;
    covered = end_of(extent);
  }
  return covered >= length;
}

void Overlay::apply(std::span<uint8_t> block) const {
  for (const OverlayExtent& extent : extents_) {
    if (extent.offset >= block.size()) break;
    size_t length = std::min<size_t>(extent.length, block.size() - extent.offset);
    if (extent.data.empty()) {
      std::memset(block.data() + extent.offset, 0, length);
    } else {
      std::memcpy(block.data() + extent.offset, extent.data.data(), length);
    }
  }
}

uint32_t effective_length(uint32_t base_length, const Overlay& overlay) {
  uint32_t length = std::max(base_length, overlay.data_end());
  const auto& extents = overlay.extents();
  for (auto it = extents.rbegin(); it != extents.rend(); ++it) {
    if (!it->data.empty() || end_of(*it) < length) break;
    length = std::min(length, it->offset);
  }
  return length;
}

}  // namespace myfs::server
