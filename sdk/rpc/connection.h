// Connection: one live connection to a server with the capabilities obtained over it; made, used,
// broken, never repaired.
// Kernel counterpart: struct rpc_xprt (net/sunrpc/xprt.c).
// Thread safety: only inside the loop.
// Owns / is owned by: owned by a Channel; owns stream, vat network, RPC system and the promises of
// calls sent over it.
// Invariants: (1) destroyed only from the top of the loop, never inside a continuation of one of
// its promises; (2) destruction goes tasks, capabilities, RPC system, network, pins, stream.
#pragma once

#include <capnp/rpc-twoparty.h>
#include <capnp/rpc.h>
#include <kj/async.h>

#include <string>

#include "myfs/myfs.capnp.h"
#include "sdk/rpc/pinned_stream.h"
#include "sdk/uv/message_stream.h"

namespace myfs::rpc {

class CallbackServer;

class Connection final : private kj::TaskSet::ErrorHandler {
 public:
  explicit Connection(kj::Own<uv_io::MessageStream> stream);
  ~Connection() noexcept(false);

  // Asked for once: a second question after the peer has gone would make the RPC system open the
  // dead network anew, which it answers with an exception, in its destructor too.
  wire::Bootstrap::Client& bootstrap() { return bootstrap_; }
  // Resolves when the peer is gone.
  kj::Promise<void> on_disconnect() { return network_.onDisconnect(); }
  void disconnect(std::string why) { stream_->disconnect(std::move(why)); }

  const uv_io::StreamStats& stats() const { return stream_->stats(); }
  // Whether something waits for the kernel to take it.
  bool is_sending() const { return stream_->send_queue_bytes() > 0; }
  PinnedStream& pins() { return pinned_; }
  kj::TaskSet& tasks() { return tasks_; }

  // Set by the handshake. Using one that is not there is a bug.
  wire::Session::Client& session() { return KJ_ASSERT_NONNULL(session_); }
  wire::MetadataService::Client& meta() { return KJ_ASSERT_NONNULL(meta_); }
  wire::DataService::Client& data() { return KJ_ASSERT_NONNULL(data_); }
  bool has_data() const { return data_ != nullptr; }
  void set_session(wire::Session::Client session);
  void set_data(wire::DataService::Client data) { data_ = kj::mv(data); }
  // The callback that this connection exports, kept alive by it.
  wire::ClientCallback::Client export_callback(kj::Own<CallbackServer> callback);
  CallbackServer* callback() { return callback_server_; }

 private:
  void taskFailed(kj::Exception&& exception) override;

  kj::Own<uv_io::MessageStream> stream_;
  PinnedStream pinned_;
  capnp::TwoPartyVatNetwork network_;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc_;
  wire::Bootstrap::Client bootstrap_;
  kj::Maybe<wire::ClientCallback::Client> callback_;
  CallbackServer* callback_server_ = nullptr;
  kj::Maybe<wire::Session::Client> session_;
  kj::Maybe<wire::MetadataService::Client> meta_;
  kj::Maybe<wire::DataService::Client> data_;
  kj::TaskSet tasks_;
};

}  // namespace myfs::rpc
