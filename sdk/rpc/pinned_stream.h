// PinnedStream: passes messages through and knows which of them refer to memory that is not their
// own.
// Kernel counterpart: xdr_buf pages with SOCK_ZEROCOPY completion (net/core/skbuff.c:
// msg_zerocopy_callback).
// Thread safety: only inside the loop.
// Owns / is owned by: owned by Connection, between the socket's stream and the TwoPartyVatNetwork.
// Invariants: (1) `on_release` runs exactly once for each pin, either when the message that refers
// to it was sent, or by release_all(), after which nothing refers to it any more.
#pragma once

#include <capnp/serialize-async.h>

#include <functional>

#include "absl/container/flat_hash_map.h"
#include "sdk/base/ref.h"
#include "sdk/rpc/call.h"

namespace myfs::rpc {

class PinnedStream final : public capnp::MessageStream {
 public:
  explicit PinnedStream(capnp::MessageStream& below) : below_(below) {}
  ~PinnedStream() { release_all(); }

  // The next message that has a segment which begins at `memory` holds `call`.
  void pin(const void* memory, Call& call);
  void release_all();

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd> fd_space, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word> scratch) override {
    return below_.tryReadMessage(fd_space, options, scratch);
  }
  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int> fds,
      kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override;
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override {
    return below_.writeMessages(messages);
  }
  kj::Maybe<int> getSendBufferSize() override { return below_.getSendBufferSize(); }
  kj::Promise<void> end() override { return below_.end(); }

 private:
  void release(const void* memory);

  capnp::MessageStream& below_;
  absl::flat_hash_map<const void*, Ref<Call>> pins_;
};

}  // namespace myfs::rpc
