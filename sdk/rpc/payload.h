// Payload: the bytes of a write on their way out, as one piece of memory that Cap'n Proto can refer
// to.
// Kernel counterpart: struct xdr_buf with its pages (include/linux/sunrpc/xdr.h).  Differs: one
// piece; spans that do not lie one behind the other are gathered by a copy.
// Thread safety: as a value; what a message refers to must not change.
// Owns / is owned by: by its call. Borrowed memory belongs to the caller until the call's
// completion.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "sdk/rpc/data_calls.h"

namespace myfs::rpc {

class Payload {
 public:
  Payload() = default;
  // Refers to `spans` if they are one aligned piece that is worth it, else copies.
  static Payload borrow(Buffers spans);
  static Payload copy(Buffers spans);

  std::string_view bytes() const { return {data_, size_}; }
  size_t size() const { return size_; }
  bool borrowed() const { return size_ != 0 && owned_ == nullptr; }
  // Whether a message refers to the bytes instead of holding a copy.
  bool by_reference() const;
  // Copies what was borrowed, so that the lender is free.
  void own();

 private:
  void gather(Buffers spans, size_t size);

  const char* data_ = nullptr;
  size_t size_ = 0;
  std::unique_ptr<uint64_t[]> owned_;
};

size_t total_bytes(Buffers spans);

}  // namespace myfs::rpc
