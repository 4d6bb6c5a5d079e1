// READ over a wire: its answer refers to the buffer that was read, which lives as long as it must.
#include <gtest/gtest.h>
#include <kj/async-io.h>

#include <memory>
#include <optional>
#include <string>

#include "myfs/myfs.capnp.h"
#include "sdk/uv/message_stream.h"
#include "sdk/uv/pinned_network.h"
#include "server/rpc_handlers.h"
#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

constexpr size_t kSize_bytes = (1 << 20) + 5;

// A pipe that holds nothing: what one end writes is gone when the other has read it.
struct ServerEnd {
  ServerEnd(kj::Own<kj::AsyncIoStream> end, std::shared_ptr<uv_io::MessagePins> pins,
            capnp::Capability::Client bootstrap)
      : pipe(kj::mv(end)),
        stream(*pipe),
        network(stream, capnp::rpc::twoparty::Side::SERVER, uv_io::reader_options(), pins),
        rpc(capnp::makeRpcServer(network, kj::mv(bootstrap))) {}
  kj::Own<kj::AsyncIoStream> pipe;
  capnp::AsyncIoMessageStream stream;
  uv_io::PinnedNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
};
struct ClientEnd {
  explicit ClientEnd(kj::Own<kj::AsyncIoStream> end)
      : pipe(kj::mv(end)),
        network(*pipe, capnp::rpc::twoparty::Side::CLIENT, uv_io::reader_options()),
        rpc(capnp::makeRpcClient(network)) {}
  wire::Bootstrap::Client bootstrap() {
    capnp::MallocMessageBuilder message(8);
    auto vat = message.initRoot<capnp::rpc::twoparty::VatId>();
    vat.setSide(capnp::rpc::twoparty::Side::SERVER);
    return rpc.bootstrap(vat).castAs<wire::Bootstrap>();
  }
  kj::Own<kj::AsyncIoStream> pipe;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
};

using ReadPromise = capnp::RemotePromise<wire::DataService::ReadResults>;

class ReadReply : public testing::Test {
 protected:
  ~ReadReply() noexcept(true) override {
    disconnect();
    EXPECT_EQ(pins_->held(), 0u);
  }

  ReadPromise start_read(uint64_t off, size_t len) {
    auto request = data_->readRequest();
    auto node = request.initNode();
    node.setIno(file_.ino);
    node.setGen(file_.gen);
    node.setMac(file_.mac);
    request.setOff(off);
    request.setLen(static_cast<uint32_t>(len));
    return request.send();
  }
  template <typename Promise>
  auto wait(Promise promise) {
    for (int i = 0; i < 1000 && !promise.poll(scope_); ++i) rig_.settle();
    return promise.wait(scope_);
  }
  void SetUp() override {
    Client writer = rig_.login();
    Handle file = rig_.create(writer, writer.root.handle, "file").node.handle;
    for (size_t i = 0; i < kSize_bytes; ++i) content_ += static_cast<char>(i * 131 + (i >> 9));
    EXPECT_EQ(rig_.write(writer, file, 0, content_).error, 0);
    connect();
  }
  void connect() {
    Client client = rig_.login();  // another one each time: its token is good for one connection
    file_ = rig_.lookup(client, client.root.handle, {"file"}).nodes.at(0).handle;
    kj::TwoWayPipe pipe = kj::newTwoWayPipe();
    PeerInfo peer;
    peer.is_unix = true;
    server_end_.emplace(kj::mv(pipe.ends[0]), pins_, make_bootstrap(*rig_.shard, peer, pins_));
    client_end_.emplace(kj::mv(pipe.ends[1]));
    auto attach = client_end_->bootstrap().attachDataRequest();
    attach.setSessionId(client.session->id);
    attach.setToken({reinterpret_cast<const kj::byte*>(client.token.data()), client.token.size()});
    auto attached = wait(attach.send());
    ASSERT_EQ(attached.getErrno(), 0);
    data_.emplace(attached.getData());
  }
  void disconnect() {
    data_.reset();
    client_end_.reset();
    server_end_.reset();
    turn();
  }
  // Whatever can happen on the wire.
  void turn() {
    while (loop_.isRunnable()) loop_.run();
  }
  // The work of the pool and of the shard that came of it.
  void work() { rig_.settle(); }
  void expect_content(uint64_t off, size_t len) {
    auto response = wait(start_read(off, len));
    ASSERT_EQ(response.getErrno(), 0);
    auto data = response.getData();
    EXPECT_EQ(std::string(data.asChars().begin(), data.size()), content_.substr(off, len));
  }

  kj::EventLoop loop_;
  kj::WaitScope scope_{loop_};
  Rig rig_;
  Handle file_;
  std::string content_;
  std::shared_ptr<uv_io::MessagePins> pins_ = std::make_shared<uv_io::MessagePins>();
  std::optional<ServerEnd> server_end_;
  std::optional<ClientEnd> client_end_;
  std::optional<wire::DataService::Client> data_;
};

TEST_F(ReadReply, has_every_byte_of_every_size) {
  for (size_t size : {size_t{1}, uv_io::kSegmentByReference_bytes,
                      uv_io::kSegmentByReference_bytes + 1, size_t{100'003}, kSize_bytes}) {
    expect_content(0, size);
    expect_content(kSize_bytes - size, size);
    EXPECT_EQ(pins_->held(), 0u);
  }
}

TEST_F(ReadReply, refers_to_what_is_large_until_it_was_sent) {
  auto small = start_read(0, uv_io::kSegmentByReference_bytes);
  auto large = start_read(0, kSize_bytes);
  turn();
  work();
  EXPECT_EQ(pins_->held(), 0u);
  // One step at a time, since in the end all has been sent.
  size_t held = 0;
  while (loop_.isRunnable()) {
    loop_.run(1);
    held = std::max(held, pins_->held());
  }
  EXPECT_EQ(held, 1u);
  EXPECT_EQ(pins_->held(), 0u);
  EXPECT_EQ(wait(kj::mv(small)).getData().size(), uv_io::kSegmentByReference_bytes);
  EXPECT_EQ(wait(kj::mv(large)).getData().size(), kSize_bytes);
}

TEST_F(ReadReply, of_a_cancelled_call_is_let_go) {
  {
    auto promise = start_read(0, kSize_bytes);
    turn();  // the server has it, and waits for the pool
  }
  turn();  // the server knows that nobody wants it any more
  work();
  turn();
  EXPECT_EQ(pins_->held(), 0u);
  expect_content(3, kSize_bytes - 3);
}

TEST_F(ReadReply, after_the_end_of_the_connection_goes_nowhere) {
  auto promise = start_read(0, kSize_bytes);
  turn();
  server_end_.reset();
  work();
  turn();
  EXPECT_EQ(pins_->held(), 0u);
  EXPECT_THROW(wait(kj::mv(promise)), kj::Exception);
}

// Built, waiting, half sent: whatever it is when the connection ends.
TEST_F(ReadReply, is_let_go_with_the_connection) {
  for (int steps = 0;; ++steps) {
    auto promise = start_read(0, kSize_bytes);
    turn();
    work();
    while (loop_.isRunnable() && pins_->held() == 0) loop_.run(1);
    ASSERT_EQ(pins_->held(), 1u) << steps;
    for (int i = 0; i < steps; ++i) loop_.run(1);
    if (pins_->held() == 0) break;
    server_end_.reset();
    turn();
    EXPECT_EQ(pins_->held(), 0u) << steps;
    // All of it, or nothing.
    wait(promise.then(
        [&](capnp::Response<wire::DataService::ReadResults>&& response) {
          auto data = response.getData().asChars();
          EXPECT_EQ(std::string(data.begin(), data.size()), content_) << steps;
        },
        [](kj::Exception&&) {}));
    disconnect();
    connect();
  }
}

}  // namespace
}  // namespace myfs::server
