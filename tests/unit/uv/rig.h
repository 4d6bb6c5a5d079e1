// Rig: a loop, a socket pair and two RPC ends on it, for the tests of the uv room.
#pragma once

#include <capnp/rpc-twoparty.h>
#include <gtest/gtest.h>

#include <sys/socket.h>
#include <tests/unit/uv/echo.capnp.h>
#include <unistd.h>

#include <atomic>
#include <memory>

#include "sdk/uv/loop.h"
#include "sdk/uv/network.h"
#include "sdk/uv/uv_message_stream.h"

namespace myfs::uv_io {

using Side = capnp::rpc::twoparty::Side;
using Rpc = capnp::RpcSystem<capnp::rpc::twoparty::VatId>;

// Answers ping with what it was sent, and counts.
class EchoService final : public echo::Echo::Server {
 public:
  std::atomic<int> pings{0};

 protected:
  kj::Promise<void> ping(PingContext context) override {
    ++pings;
    context.getResults().setPayload(context.getParams().getPayload());
    return kj::READY_NOW;
  }
  // Never answers; counts as long as it is not cancelled.
  kj::Promise<void> never(NeverContext context) override {
    context.allowCancellation();
    return kj::NEVER_DONE;
  }
};

// One RPC end on a descriptor. All inside the loop.
struct RpcEnd {
  explicit RpcEnd(kj::Own<MessageStream> connected)
      : stream(kj::mv(connected)),
        network(*stream, Side::CLIENT, reader_options()),
        rpc(capnp::makeRpcClient(network)) {}
  RpcEnd(kj::Own<MessageStream> connected, capnp::Capability::Client bootstrap)
      : stream(kj::mv(connected)),
        network(*stream, Side::SERVER, reader_options()),
        rpc(capnp::makeRpcServer(network, kj::mv(bootstrap))) {}
  RpcEnd(EventPort& port, int fd) : RpcEnd(wrap_socket(port, fd)) {}
  RpcEnd(EventPort& port, int fd, capnp::Capability::Client bootstrap)
      : RpcEnd(wrap_socket(port, fd), kj::mv(bootstrap)) {}

  echo::Echo::Client bootstrap() {
    capnp::MallocMessageBuilder message(8);
    auto vat = message.initRoot<capnp::rpc::twoparty::VatId>();
    vat.setSide(Side::SERVER);
    return rpc.bootstrap(vat).castAs<echo::Echo>();
  }

  kj::Own<MessageStream> stream;
  capnp::TwoPartyVatNetwork network;
  Rpc rpc;
};

inline void make_pair(int fds[2]) {
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
}

// A server loop with the echo service, and a client loop connected to it by a socket pair.
class Rig {
 public:
  explicit Rig(Loop::Mode client_mode, int64_t spin_ns = kDefaultSpin_ns) {
    int fds[2];
    make_pair(fds);
    Loop::Options options;
    options.mode = Loop::Mode::kOwnThread;
    options.spin_ns = spin_ns;
    options.name = "test-server";
    server_loop = std::move(Loop::create(options).value());
    options.mode = client_mode;
    options.name = "test-client";
    client_loop = std::move(Loop::create(options).value());
    server_loop->run_sync([&] {
      auto service = kj::heap<EchoService>();
      echo = service.get();
      server.reset(new RpcEnd(server_loop->port(), fds[0], echo::Echo::Client(kj::mv(service))));
    });
    client_loop->run_sync([&] {
      client.reset(new RpcEnd(client_loop->port(), fds[1]));
      service_client = std::make_unique<echo::Echo::Client>(client->bootstrap());
    });
  }
  ~Rig() {
    client_loop->run_sync([&] {
      service_client.reset();
      client.reset();
    });
    client_loop->stop();
    server_loop->run_sync([&] { server.reset(); });
    server_loop->stop();
  }

  // Sends `size` bytes, waits for the echo. Returns the length that came back, or -1.
  int64_t ping(size_t size, int64_t deadline_ns = kNoDeadline) {
    struct Call {
      Event done;
      int64_t result = -1;
    };
    auto call = std::make_shared<Call>();
    bool in_time = client_loop->call(
        [this, call, size] {
          auto request = service_client->pingRequest();
          auto payload = request.initPayload(static_cast<kj::uint>(size));
          if (size > 0) payload[size - 1] = 0x5a;
          client_loop->tasks().add(request.send().then(
              [call, size](capnp::Response<echo::Echo::PingResults>&& response) {
                auto echoed = response.getPayload();
                bool right = echoed.size() == size && (size == 0 || echoed[size - 1] == 0x5a);
                call->result = right ? static_cast<int64_t>(size) : -2;
                call->done.set();
              },
              [call](kj::Exception&&) { call->done.set(); }));
        },
        call->done, deadline_ns);
    return in_time ? call->result : -3;
  }

  std::unique_ptr<Loop> server_loop;
  std::unique_ptr<Loop> client_loop;
  std::unique_ptr<RpcEnd> server;
  std::unique_ptr<RpcEnd> client;
  std::unique_ptr<echo::Echo::Client> service_client;
  EchoService* echo = nullptr;
};

}  // namespace myfs::uv_io
