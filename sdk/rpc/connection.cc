#include "sdk/rpc/connection.h"

#include <utility>

#include "sdk/base/log.h"
#include "sdk/rpc/callback_server.h"

namespace myfs::rpc {
namespace {

wire::Bootstrap::Client bootstrap_of(capnp::RpcSystem<capnp::rpc::twoparty::VatId>& rpc) {
  capnp::MallocMessageBuilder message(8);
  auto vat = message.initRoot<capnp::rpc::twoparty::VatId>();
  vat.setSide(capnp::rpc::twoparty::Side::SERVER);
  return rpc.bootstrap(vat).castAs<wire::Bootstrap>();
}

}  // namespace

Connection::Connection(kj::Own<uv_io::MessageStream> stream)
    : stream_(kj::mv(stream)),
      pinned_(*stream_),
      network_(pinned_, capnp::rpc::twoparty::Side::CLIENT, uv_io::reader_options()),
      rpc_(capnp::makeRpcClient(network_)),
      bootstrap_(bootstrap_of(rpc_)),
      tasks_(*this) {}

Connection::~Connection() noexcept(false) { stream_->disconnect("the connection was closed here"); }

void Connection::set_session(wire::Session::Client session) {
  // Calls may be sent to a promised capability, which saves the round trip.
  meta_ = session.metaRequest().send().getService();
  session_ = kj::mv(session);
}

wire::ClientCallback::Client Connection::export_callback(kj::Own<CallbackServer> callback) {
  callback_server_ = callback.get();
  wire::ClientCallback::Client client = kj::mv(callback);
  callback_ = client;
  return client;
}

void Connection::taskFailed(kj::Exception&& exception) {
  log(LogLevel::kError, "a call's bookkeeping failed: %s", exception.getDescription().cStr());
}

}  // namespace myfs::rpc
