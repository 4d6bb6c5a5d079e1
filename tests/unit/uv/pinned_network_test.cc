// Memory that messages refer to: sent whole, released once, in every way in which a call can end.
#include "sdk/uv/pinned_network.h"

#include <capnp/orphan.h>

#include <deque>
#include <utility>
#include <vector>

#include "sdk/base/clock.h"
#include "tests/unit/uv/rig.h"

namespace myfs::uv_io {
namespace {

constexpr int64_t kPatience_ns = 20 * kNsPerSec;

uint64_t word_at(size_t index, uint64_t seed) { return index * 0x9e3779b97f4a7c15u + seed; }

// Recognisable memory, which nobody may send any more once it is gone.
struct Block {
  Block(size_t words, uint64_t seed) : content(words) {
    for (size_t i = 0; i < words; ++i) content[i] = word_at(i, seed);
    ++alive;
  }
  ~Block() {
    std::fill(content.begin(), content.end(), 0xeeeeeeeeeeeeeeee);
    --alive;
  }
  std::vector<uint64_t> content;
  inline static std::atomic<int> alive{0};
};

// Answers a ping of N bytes with N words by reference; their seed is N.
class BlockService final : public echo::Echo::Server {
 public:
  explicit BlockService(std::shared_ptr<MessagePins> pins) : pins_(std::move(pins)) {}

  // Inside the loop. What a ping waits for before and after it makes its answer.
  std::deque<kj::Promise<void>> before, after;
  std::atomic<int> asked{0}, built{0}, refused{0};

 protected:
  kj::Promise<void> ping(PingContext context) override {
    ++asked;
    return next(before).then([this, context]() mutable {
      build(context);
      return next(after);
    });
  }
  kj::Promise<void> never(NeverContext) override { return kj::READY_NOW; }

 private:
  static kj::Promise<void> next(std::deque<kj::Promise<void>>& gates) {
    if (gates.empty()) return kj::READY_NOW;
    kj::Promise<void> gate = kj::mv(gates.front());
    gates.pop_front();
    return gate;
  }
  void build(PingContext& context) {
    const size_t words = context.getParams().getPayload().size();
    auto block = std::make_shared<Block>(words, words);
    MessagePins::Watch watch(*pins_);
    auto results = context.getResults(capnp::MessageSize{16, 0});
    capnp::Data::Reader bytes(reinterpret_cast<const kj::byte*>(block->content.data()), words * 8);
    if (watch.pin(bytes.begin(), block)) {
      auto orphanage = capnp::Orphanage::getForMessageContaining(results);
      results.adoptPayload(orphanage.referenceExternalData(bytes));
    } else {
      ++refused;
      results.setPayload(bytes);
    }
    ++built;
  }

  const std::shared_ptr<MessagePins> pins_;
};

struct PinnedEnd {
  PinnedEnd(EventPort& port, int fd, std::shared_ptr<MessagePins> pins,
            capnp::Capability::Client bootstrap)
      : stream(wrap_socket(port, fd)),
        network(*stream, Side::SERVER, reader_options(), std::move(pins)),
        rpc(capnp::makeRpcServer(network, kj::mv(bootstrap))) {}
  kj::Own<MessageStream> stream;
  PinnedNetwork network;
  Rpc rpc;
};

class PinnedNetworkTest : public testing::Test {
 protected:
  PinnedNetworkTest() {
    int fds[2];
    make_pair(fds);
    Loop::Options options;
    options.mode = Loop::Mode::kOwnThread;
    server_loop_ = std::move(Loop::create(options).value());
    client_loop_ = std::move(Loop::create(options).value());
    server_loop_->run_sync([&] {
      auto service = kj::heap<BlockService>(pins_);
      service_ = service.get();
      echo::Echo::Client client(kj::mv(service));
      kept_ = std::make_unique<echo::Echo::Client>(client);
      server_ = std::make_unique<PinnedEnd>(server_loop_->port(), fds[0], pins_, kj::mv(client));
    });
    client_loop_->run_sync([&] {
      client_.reset(new RpcEnd(client_loop_->port(), fds[1]));
      echo_ = std::make_unique<echo::Echo::Client>(client_->bootstrap());
    });
  }
  ~PinnedNetworkTest() override {
    client_loop_->run_sync([&] {
      calls_.clear();
      echo_.reset();
      client_.reset();
    });
    client_loop_->stop();
    server_loop_->run_sync([&] {
      server_.reset();
      kept_.reset();
    });
    server_loop_->stop();
    EXPECT_EQ(Block::alive, 0);
    EXPECT_EQ(pins_->held(), 0u);
  }

  // Sends a ping that is answered by `words` words; see good_ and bad_.
  void send(size_t words) {
    client_loop_->run_sync([&] {
      auto request = echo_->pingRequest();
      request.initPayload(static_cast<kj::uint>(words));
      calls_.push_back(request.send()
                           .then(
                               [this, words](capnp::Response<echo::Echo::PingResults>&& response) {
                                 ++(is_block(response.getPayload(), words) ? good_ : bad_);
                               },
                               [this](kj::Exception&&) { ++failed_; })
                           .eagerlyEvaluate(nullptr));
    });
  }
  static bool is_block(capnp::Data::Reader bytes, size_t words) {
    if (bytes.size() != words * 8) return false;
    for (size_t i = 0; i < words; ++i) {
      uint64_t word;
      std::memcpy(&word, bytes.begin() + i * 8, 8);
      if (word != word_at(i, words)) return false;
    }
    return true;
  }
  template <typename Condition>
  static bool eventually(Condition condition) {
    int64_t deadline = boottime_ns() + kPatience_ns;
    while (!condition()) {
      if (boottime_ns() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }
  // A promise for the service and what fulfils it, inside the server's loop.
  kj::Own<kj::PromiseFulfiller<void>> add_gate(std::deque<kj::Promise<void>> BlockService::*where) {
    kj::Own<kj::PromiseFulfiller<void>> fulfiller;
    server_loop_->run_sync([&] {
      auto pair = kj::newPromiseAndFulfiller<void>();
      (service_->*where).push_back(kj::mv(pair.promise));
      fulfiller = kj::mv(pair.fulfiller);
    });
    return fulfiller;
  }
  void open(kj::Own<kj::PromiseFulfiller<void>>& gate) {
    server_loop_->run_sync([&] {
      gate->fulfill();
      gate = nullptr;
    });
  }
  size_t held() {
    size_t count = 0;
    server_loop_->run_sync([&] { count = pins_->held(); });
    return count;
  }

  std::shared_ptr<MessagePins> pins_ = std::make_shared<MessagePins>();
  std::unique_ptr<Loop> server_loop_, client_loop_;
  BlockService* service_ = nullptr;
  std::unique_ptr<echo::Echo::Client> kept_;  // the service outlives the connection
  std::unique_ptr<PinnedEnd> server_;
  std::unique_ptr<RpcEnd> client_;
  std::unique_ptr<echo::Echo::Client> echo_;
  std::deque<kj::Promise<void>> calls_;
  std::atomic<int> good_{0}, bad_{0}, failed_{0};
};

TEST_F(PinnedNetworkTest, AnswersOfEverySizeArriveAndAreReleased) {
  int sent = 0;
  for (size_t words :
       {size_t{1}, size_t{1000}, size_t{1024}, size_t{1025}, size_t{100'000}, kIoMax_bytes / 8}) {
    send(words);
    ++sent;
    ASSERT_TRUE(eventually([&] { return good_ + bad_ + failed_ == sent; }));
  }
  EXPECT_EQ(good_, sent);
  EXPECT_EQ(service_->refused, 0);
  EXPECT_TRUE(eventually([&] { return Block::alive == 0; }));
  EXPECT_EQ(held(), 0u);
}

TEST_F(PinnedNetworkTest, ManyAnswersAtOnce) {
  for (size_t i = 0; i < 48; ++i) send((128 << 10) + i);
  ASSERT_TRUE(eventually([&] { return good_ + bad_ + failed_ == 48; }));
  EXPECT_EQ(good_, 48);
  EXPECT_TRUE(eventually([&] { return Block::alive == 0; }));
}

// The allocator gives the same memory again.
TEST_F(PinnedNetworkTest, ManyAnswersOneAfterTheOther) {
  for (int i = 1; i <= 20; ++i) {
    send(128 << 10);
    ASSERT_TRUE(eventually([&] { return good_ == i && Block::alive == 0; }));
  }
}

TEST_F(PinnedNetworkTest, ReleasedWhenSentAndNotWhenRead) {
  auto gate = add_gate(&BlockService::before);
  send(2'000);
  ASSERT_TRUE(eventually([&] { return service_->asked == 1; }));
  Event resume, stopped;
  client_loop_->post([&] {
    stopped.set();
    resume.wait();
  });
  stopped.wait();
  open(gate);
  EXPECT_TRUE(eventually([&] { return service_->built == 1 && Block::alive == 0; }));
  EXPECT_EQ(good_, 0);
  resume.set();
  EXPECT_TRUE(eventually([&] { return good_ == 1; }));
}

TEST_F(PinnedNetworkTest, ACancelledCallReleasesItsAnswerUnsent) {
  auto gate = add_gate(&BlockService::before);
  send(100'000);
  ASSERT_TRUE(eventually([&] { return service_->asked == 1; }));
  client_loop_->run_sync([&] { calls_.clear(); });
  send(1);  // behind the cancellation: once it is answered, that was heard
  ASSERT_TRUE(eventually([&] { return good_ == 1; }));
  const uint64_t before = server_->stream->stats().bytes_out;
  open(gate);
  EXPECT_TRUE(eventually([&] { return service_->built == 2 && Block::alive == 0; }));
  EXPECT_EQ(service_->refused, 0);
  EXPECT_EQ(held(), 0u);
  send(1'000);
  EXPECT_TRUE(eventually([&] { return good_ == 2; }));
  EXPECT_LT(server_->stream->stats().bytes_out - before, 100'000u);
}

TEST_F(PinnedNetworkTest, AConnectionThatEndsBetweenBuildingAndSending) {
  auto gate = add_gate(&BlockService::after);
  send(100'000);
  ASSERT_TRUE(eventually([&] { return service_->built == 1; }));
  EXPECT_EQ(held(), 1u);
  server_loop_->run_sync([&] { server_.reset(); });
  open(gate);
  EXPECT_TRUE(eventually([&] { return Block::alive == 0; }));
  EXPECT_EQ(held(), 0u);
  EXPECT_TRUE(eventually([&] { return failed_ == 1; }));
}

TEST_F(PinnedNetworkTest, AConnectionThatEndsBeforeTheAnswerIsBuilt) {
  auto gate = add_gate(&BlockService::before);
  send(100'000);
  ASSERT_TRUE(eventually([&] { return service_->asked == 1; }));
  server_loop_->run_sync([&] { server_.reset(); });
  open(gate);
  EXPECT_TRUE(eventually([&] { return service_->built == 1; }));
  EXPECT_EQ(service_->refused, 1);
  EXPECT_TRUE(eventually([&] { return Block::alive == 0; }));
}

// Some are half sent then, some queued in the stream, some in the network.
class AnUnreadConnection : public PinnedNetworkTest {
 protected:
  static constexpr int kCalls = 12;
  // Asks for more than the socket takes while the client stands still until `resume_`.
  void fill() {
    std::vector<kj::Own<kj::PromiseFulfiller<void>>> gates;
    for (int i = 0; i < kCalls; ++i) gates.push_back(add_gate(&BlockService::before));
    for (int i = 0; i < kCalls; ++i) send(128 << 10);
    ASSERT_TRUE(eventually([&] { return service_->asked == kCalls; }));
    Event stopped;
    client_loop_->post([&] {
      stopped.set();
      resume_.wait();
    });
    stopped.wait();
    for (auto& gate : gates) open(gate);
    ASSERT_TRUE(eventually([&] { return service_->built == kCalls; }));
    ASSERT_GE(held(), 4u);
    ASSERT_EQ(held(), static_cast<size_t>(Block::alive));
  }
  Event resume_;
};

TEST_F(AnUnreadConnection, IsSentWholeInTheEnd) {
  fill();
  resume_.set();
  EXPECT_TRUE(eventually([&] { return good_ + bad_ + failed_ == kCalls; }));
  EXPECT_EQ(good_, kCalls);
  EXPECT_TRUE(eventually([&] { return Block::alive == 0; }));
}

TEST_F(AnUnreadConnection, ReleasesEverythingWhenItIsDropped) {
  fill();
  server_loop_->run_sync([&] { server_.reset(); });
  EXPECT_EQ(Block::alive, 0);
  EXPECT_EQ(held(), 0u);
  resume_.set();
  EXPECT_TRUE(eventually([&] { return good_ + bad_ + failed_ == kCalls; }));
  EXPECT_EQ(bad_, 0);
}

TEST_F(AnUnreadConnection, ReleasesEverythingWhenSendingFails) {
  fill();
  server_loop_->run_sync([&] { server_->stream->disconnect("test"); });
  EXPECT_TRUE(eventually([&] { return Block::alive <= kCalls - 1; }));
  resume_.set();
  EXPECT_TRUE(eventually([&] { return good_ + bad_ + failed_ == kCalls; }));
  EXPECT_EQ(bad_, 0);
  server_loop_->run_sync([&] { server_.reset(); });
  EXPECT_EQ(Block::alive, 0);
}

TEST(MessagePins, WithoutAMessageNothingIsHeld) {
  MessagePins pins;
  MessagePins::Watch watch(pins);
  auto block = std::make_shared<Block>(10, 1);
  EXPECT_FALSE(watch.pin(block->content.data(), block));
  EXPECT_EQ(block.use_count(), 1);
  EXPECT_EQ(pins.held(), 0u);
}

TEST_F(PinnedNetworkTest, AMessageMadeEarlierIsNotTaken) {
  auto gate = add_gate(&BlockService::after);
  send(1'000);
  ASSERT_TRUE(eventually([&] { return service_->built == 1; }));
  server_loop_->run_sync([&] {
    MessagePins::Watch watch(*pins_);
    auto block = std::make_shared<Block>(10, 1);
    EXPECT_FALSE(watch.pin(block->content.data(), block));
  });
  open(gate);
  EXPECT_TRUE(eventually([&] { return good_ == 1; }));
}

}  // namespace
}  // namespace myfs::uv_io
