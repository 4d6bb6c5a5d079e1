#include <capnp/message.h>
#include <fcntl.h>

#include <string>
#include <vector>

#include "sdk/base/clock.h"
#include "tests/unit/uv/rig.h"

namespace myfs::uv_io {
namespace {

class StreamTest : public testing::Test {
 protected:
  explicit StreamTest(int64_t spin_ns = kDefaultSpin_ns) {
    Loop::Options options;
    options.mode = Loop::Mode::kOwnThread;
    options.spin_ns = spin_ns;
    loop_ = std::move(Loop::create(options).value());
    make_pair(fds_);
    loop_->run_sync([&] { left_ = wrap_socket(loop_->port(), fds_[0]); });
  }
  ~StreamTest() noexcept(true) override {
    loop_->run_sync([&] { left_ = nullptr; });
    if (fds_[1] >= 0) ::close(fds_[1]);
  }

  // What the left end's next read gives: "message", "end" or the exception's description.
  std::string read_once() {
    Event done;
    std::string outcome;
    loop_->run_sync([&] {
      loop_->tasks().add(left_->tryReadMessage(nullptr, reader_options(), nullptr)
                             .then(
                                 [&](kj::Maybe<capnp::MessageReaderAndFds>&& message) {
                                   outcome = message == nullptr ? "end" : "message";
                                   done.set();
                                 },
                                 [&](kj::Exception&& exception) {
                                   EXPECT_EQ(exception.getType(),
                                             kj::Exception::Type::DISCONNECTED);
                                   outcome = exception.getDescription().cStr();
                                   done.set();
                                 }));
    });
    EXPECT_TRUE(done.wait_until(deadline_after_ns(10 * kNsPerSec)));
    return outcome;
  }
  void write_raw(const void* bytes, size_t size) {
    ASSERT_EQ(::write(fds_[1], bytes, size), static_cast<ssize_t>(size));
  }

  std::unique_ptr<Loop> loop_;
  int fds_[2];
  kj::Own<MessageStream> left_;
};

TEST_F(StreamTest, ReadsAMessageThatComesByteByByte) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<echo::Number>().setValue(77);
  auto words = capnp::messageToFlatArray(builder);
  auto bytes = words.asBytes();
  std::thread writer([&] {
    for (kj::byte b : bytes) write_raw(&b, 1);
  });
  EXPECT_EQ(read_once(), "message");
  writer.join();
  EXPECT_EQ(left_->stats().bytes_in, bytes.size());
  EXPECT_EQ(left_->stats().messages_in, 1u);
}

TEST_F(StreamTest, ReadsManyMessagesOfOneReceive) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<echo::Number>().setValue(1);
  auto words = capnp::messageToFlatArray(builder);
  std::string all;
  for (int i = 0; i < 100; ++i) {
    all.append(reinterpret_cast<const char*>(words.begin()), words.asBytes().size());
  }
  write_raw(all.data(), all.size());
  for (int i = 0; i < 100; ++i) ASSERT_EQ(read_once(), "message") << i;
  EXPECT_LE(left_->stats().recv_calls, 10u);
}

TEST_F(StreamTest, AnOrderlyEndIsNotAFailure) {
  ::close(fds_[1]);
  fds_[1] = -1;
  EXPECT_EQ(read_once(), "end");
}

TEST_F(StreamTest, AnEndWithinAMessageIsOne) {
  uint32_t header[2] = {0, 100};
  write_raw(header, sizeof header);
  ::close(fds_[1]);
  fds_[1] = -1;
  EXPECT_THAT(read_once(), testing::HasSubstr("within a message"));
  EXPECT_THAT(left_->failure(), testing::HasSubstr("within a message"));
}

TEST_F(StreamTest, TooManySegmentsAreRefused) {
  uint32_t header[2] = {kSegmentsMax, 1};
  write_raw(header, sizeof header);
  EXPECT_THAT(read_once(), testing::HasSubstr("does not speak this protocol"));
}

TEST_F(StreamTest, HttpIsRefused) {
  const char text[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
  write_raw(text, sizeof text - 1);
  EXPECT_THAT(read_once(), testing::HasSubstr("does not speak this protocol"));
}

TEST_F(StreamTest, AMessageAboveTheLimitIsRefusedBeforeItsBodyComes) {
  uint32_t header[2] = {0, static_cast<uint32_t>(kMessageWireMax_bytes / 8 + 1)};
  write_raw(header, sizeof header);
  EXPECT_THAT(read_once(), testing::HasSubstr("above the limit"));
}

TEST_F(StreamTest, TheLargestMessagePasses) {
  uint32_t header[2] = {0, static_cast<uint32_t>(kMessageWireMax_bytes / 8)};
  std::string body(kMessageWireMax_bytes, '\0');
  std::thread writer([&] {
    write_raw(header, sizeof header);
    size_t sent = 0;
    while (sent < body.size()) {
      ssize_t n = ::write(fds_[1], body.data() + sent, body.size() - sent);
      ASSERT_GT(n, 0);
      sent += static_cast<size_t>(n);
    }
  });
  EXPECT_EQ(read_once(), "message");
  writer.join();
}

TEST_F(StreamTest, SmallMessagesAreSentTogether) {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<echo::Number>().setValue(5);
  auto segments = builder.getSegmentsForOutput();
  loop_->run_sync([&] {
    for (int i = 0; i < 50; ++i) {
      loop_->tasks().add(left_->writeMessage(nullptr, segments));
    }
  });
  std::string all(50 * (8 + segments[0].size() * 8), '\0');
  ASSERT_EQ(::recv(fds_[1], all.data(), all.size(), MSG_WAITALL), static_cast<ssize_t>(all.size()));
  loop_->run_sync([] {});  // the counters follow the bytes
  EXPECT_EQ(left_->stats().messages_out, 50u);
  EXPECT_LE(left_->stats().send_calls, 2u);
  EXPECT_EQ(left_->stats().bytes_out, all.size());
}

class StreamTestWithoutSpin : public StreamTest {
 protected:
  StreamTestWithoutSpin() : StreamTest(0) {}
};

// What waits for a segment to be sent goes on when the kernel has taken it, which is the last thing
// that happens before the loop sleeps.
TEST_F(StreamTestWithoutSpin, GoesOnAfterASegmentThatWasSentBeforeASleep) {
  std::vector<capnp::word> words(2 * kSegmentByReference_bytes / sizeof(capnp::word));
  kj::ArrayPtr<const capnp::word> segment(words.data(), words.size());
  Event sent;
  loop_->run_sync([&] {
    loop_->tasks().add(
        left_->writeMessage(nullptr, kj::arrayPtr(&segment, 1)).then([&] { sent.set(); }));
  });
  EXPECT_TRUE(sent.wait_until(deadline_after_ns(10 * kNsPerSec)));
}

TEST_F(StreamTest, APeerThatDoesNotReadIsDisconnectedAtTheBound) {
  bool failed = false;
  std::vector<capnp::word> words(kSegmentByReference_bytes / sizeof(capnp::word));
  kj::ArrayPtr<const capnp::word> segment(words.data(), words.size());
  loop_->run_sync([&] {
    for (size_t queued = 0; queued < 2 * kSendQueueMax_bytes && !failed;
         queued += kSegmentByReference_bytes) {
      auto promise = left_->writeMessage(nullptr, kj::arrayPtr(&segment, 1));
      failed = left_->send_queue_bytes() == 0 && queued > kSendQueueMax_bytes / 2;
      loop_->tasks().add(promise.then([] {}, [](kj::Exception&&) {}));
    }
  });
  EXPECT_TRUE(failed);
  EXPECT_THAT(read_once(), testing::HasSubstr("does not read"));
}

TEST_F(StreamTest, KnowsTheCredentialsOfAUnixPeer) {
  loop_->run_sync([&] {
    PeerCredentials peer = left_->peer_credentials();
    EXPECT_TRUE(peer.is_unix);
    EXPECT_EQ(peer.uid, ::geteuid());
    EXPECT_EQ(peer.gid, ::getegid());
    EXPECT_EQ(peer.pid, ::getpid());
  });
  EXPECT_THAT(left_->peer_text(), testing::StartsWith("unix:uid="));
}

TEST_F(StreamTest, DisconnectFailsTheReaderWithItsReason) {
  Event done;
  std::string why;
  loop_->run_sync([&] {
    loop_->tasks().add(left_->tryReadMessage(nullptr, reader_options(), nullptr)
                           .then([&](auto&&) { done.set(); },
                                 [&](kj::Exception&& exception) {
                                   why = exception.getDescription().cStr();
                                   done.set();
                                 }));
    left_->disconnect("because of a test");
  });
  EXPECT_TRUE(done.wait_until(deadline_after_ns(10 * kNsPerSec)));
  EXPECT_EQ(why, "because of a test");
}

TEST(StreamRpc, BigMessagesPassBothWays) {
  Rig rig(Loop::Mode::kLeaderFollower);
  for (size_t size :
       {size_t{8} << 10, size_t{64} << 10, size_t{65} << 10, size_t{1} << 20, kMessageMax_bytes}) {
    ASSERT_EQ(rig.ping(size), static_cast<int64_t>(size));
  }
}

TEST(StreamRpc, BigAndSmallMessagesOfManyThreads) {
  Rig rig(Loop::Mode::kLeaderFollower);
  std::vector<std::thread> threads;
  std::atomic<int> wrong{0};
  for (size_t t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 40; ++i) {
        size_t size = t % 2 == 0 ? 1000 + i : (512 << 10) + t * 1000 + i;
        if (rig.ping(size) != static_cast<int64_t>(size)) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST(StreamRpc, AMessageAboveTheLimitFailsTheCallAndNotTheConnection) {
  Rig rig(Loop::Mode::kLeaderFollower);
  EXPECT_EQ(rig.ping(kMessageWireMax_bytes + 8), -1);
}

TEST(StreamRpc, FewSystemCallsPerCall) {
  Rig rig(Loop::Mode::kLeaderFollower);
  ASSERT_EQ(rig.ping(10), 10);
  const StreamStats& stats = rig.client->stream->stats();
  uint64_t sends = stats.send_calls, receives = stats.recv_calls;
  constexpr int kCalls = 200;
  for (int i = 0; i < kCalls; ++i) ASSERT_EQ(rig.ping(10), 10);
  // A call is one send; the release of its answer travels with the next one.
  EXPECT_LE(stats.send_calls - sends, kCalls * 2u);
  EXPECT_LE(stats.recv_calls - receives, kCalls * 2u);
}

}  // namespace
}  // namespace myfs::uv_io
