#include "server/connection.h"

#include "sdk/base/log.h"

namespace myfs::server {

Connection::Connection(int64_t now_ns, kj::Own<uv_io::MessageStream> stream,
                       std::shared_ptr<uv_io::MessagePins> pins,
                       std::shared_ptr<PeerConnection> door, capnp::Capability::Client bootstrap,
                       std::function<void()> on_end)
    : since_ns_(now_ns),
      door_(std::move(door)),
      sessionless_since_ns_(now_ns),
      stream_(kj::mv(stream)),
      network_(*stream_, capnp::rpc::twoparty::Side::SERVER, uv_io::reader_options(),
               std::move(pins)),
      rpc_(capnp::makeRpcServer(network_, kj::mv(bootstrap))),
      end_(network_.onDisconnect()
               .then([this, on_end = std::move(on_end)] {
                 std::string failure = stream_->failure();
                 if (!failure.empty()) {
                   log(LogLevel::kWarning, "%s: connection closed: %s", stream_->peer_text(),
                       failure);
                 } else {
                   log(LogLevel::kDebug, "%s: connection closed by the peer", stream_->peer_text());
                 }
                 on_end();
               })
               .eagerlyEvaluate(nullptr)) {}

PeerInfo peer_info(const uv_io::MessageStream& stream) {
  uv_io::PeerCredentials credentials = stream.peer_credentials();
  PeerInfo peer;
  peer.is_unix = credentials.is_unix;
  peer.uid = credentials.uid;
  peer.gid = credentials.gid;
  peer.pid = credentials.pid;
  peer.groups = std::move(credentials.groups);
  peer.address = stream.peer_text();
  return peer;
}

}  // namespace myfs::server
