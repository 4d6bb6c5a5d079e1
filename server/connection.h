// Connection: one peer: its stream and the RPC system on it.
// Kernel counterpart: struct svc_xprt (net/sunrpc/svc_xprt.c).
// Thread safety: the server's loop only.
// Owns / is owned by: owned by Server, which is asked by `on_end` to drop it, never from inside
// one of its own promises.
// Invariants: (1) dies in the order RPC system, network, stream; (2) on_end runs at most once.
#pragma once

#include <capnp/rpc.h>
#include <kj/async.h>

#include <functional>
#include <memory>
#include <string>

#include "sdk/uv/message_stream.h"
#include "sdk/uv/pinned_network.h"
#include "server/peer.h"

namespace myfs::server {

class Connection {
 public:
  // `pins`: through which the capabilities refer to what they do not copy. `door`: by what sessions
  // know it.
  Connection(int64_t now_ns, kj::Own<uv_io::MessageStream> stream,
             std::shared_ptr<uv_io::MessagePins> pins, std::shared_ptr<PeerConnection> door,
             capnp::Capability::Client bootstrap, std::function<void()> on_end);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  uv_io::MessageStream& stream() { return *stream_; }
  int64_t since_ns() const { return since_ns_; }
  const PeerConnection* door() const { return door_.get(); }
  // Since when no session speaks over it, as far as that was noted.
  int64_t sessionless_since_ns() const { return sessionless_since_ns_; }
  void note_session(int64_t now_ns) { sessionless_since_ns_ = now_ns; }
  // Bytes of messages that wait to be sent, here and in the stream.
  size_t reply_queue_bytes() {
    return network_.getCurrentQueueSize() + stream_->send_queue_bytes();
  }

 private:
  const int64_t since_ns_;
  const std::shared_ptr<PeerConnection> door_;
  int64_t sessionless_since_ns_;
  kj::Own<uv_io::MessageStream> stream_;
  uv_io::PinnedNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
  kj::Promise<void> end_;
};

PeerInfo peer_info(const uv_io::MessageStream& stream);

}  // namespace myfs::server
