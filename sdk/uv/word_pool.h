// WordPool: memory of large received messages, used again instead of being given back to the
// system and faulted in anew, page by page, for each message.
// Kernel counterpart: page_pool of network drivers (net/core/page_pool.c).
// Thread safety: only inside the loop that it belongs to; so is the destruction of what it gave.
// Owns / is owned by: counted: the event port and every block that is out hold it.
// Invariants: (1) at most kPooled_bytes lie idle; (2) a block is of a size class, so that the next
// message of about the same size fits it.
#pragma once

#include <capnp/common.h>
#include <kj/array.h>
#include <kj/refcount.h>

#include <cstddef>
#include <vector>

namespace myfs::uv_io {

inline constexpr size_t kPooledMin_bytes = 32 << 10;  // smaller ones are malloc's business
inline constexpr size_t kPooled_bytes = 16 << 20;

class WordPool final : public kj::Refcounted {
 public:
  // Uninitialised words that come back by themselves.
  kj::Array<capnp::word> take(size_t words);

 private:
  class Return;
  void give_back(kj::Array<capnp::word> words);

  std::vector<kj::Array<capnp::word>> idle_;
  size_t idle_words_ = 0;
};

}  // namespace myfs::uv_io
