// Overlay: bytes and zeros that lie over one checksum block and hide what is below them.
// Kernel counterpart: none; a log-structured patch of one block.
// Thread safety: value; const access from several threads.
// Invariants: (1) extents ascend and are disjoint; (2) neighbours that touch differ in kind (bytes
// or zeros); (3) none is empty or reaches past kBlockSize_bytes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "server/records.h"

namespace myfs::server {

class Overlay {
 public:
  Overlay() = default;
  // Takes what DeferredRecord::decode() has checked.
  explicit Overlay(std::vector<OverlayExtent> extents) : extents_(std::move(extents)) {}

  void write(uint32_t offset, std::string_view bytes);
  void zero(uint32_t offset, uint32_t length);
  void lay(const Overlay& top);

  bool empty() const { return extents_.empty(); }
  const std::vector<OverlayExtent>& extents() const { return extents_; }
  size_t data_bytes() const;
  // End of the last byte that is not a hidden zero; 0: none.
  uint32_t data_end() const;
  // Whether every byte of [0, length) is hidden.
  bool covers(uint32_t length) const;
  // Over the first block.size() bytes of a checksum block.
  void apply(std::span<uint8_t> block) const;

 private:
  void insert(OverlayExtent extent);

  std::vector<OverlayExtent> extents_;
};

// Bytes of a block that need not be zero, with `base_length` of them below the overlay.
uint32_t effective_length(uint32_t base_length, const Overlay& overlay);

}  // namespace myfs::server
