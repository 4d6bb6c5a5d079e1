#include "sdk/uv/network.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "sdk/base/clock.h"
#include "sdk/base/error_detail.h"
#include "sdk/uv/socket_util.h"
#include "tests/unit/uv/rig.h"

namespace myfs::uv_io {
namespace {

TEST(Endpoint, ParsesWhatItPrints) {
  for (const char* text : {"tcp:127.0.0.1:7460", "tcp:[::1]:1", "tcp:host.example:65535",
                           "unix:/tmp/a b", "unix:relative"}) {
    auto endpoint = Endpoint::parse(text);
    ASSERT_TRUE(endpoint.ok()) << text;
    EXPECT_EQ(endpoint->text(), text);
  }
  EXPECT_EQ(Endpoint::parse("tcp:h")->port, kDefaultPort);
}

TEST(Endpoint, RefusesTheRestWithAReason) {
  for (const char* text : {"", "tcp:", "unix:", "udp:x:1", "tcp:h:65536", "tcp:h:x",
                           "tcp:h:", "tcp:[::1", "tcp:::1:80", "tcp:[::1]80"}) {
    clear_error_detail();
    auto endpoint = Endpoint::parse(text);
    EXPECT_FALSE(endpoint.ok()) << text;
    EXPECT_EQ(endpoint.error(), Errno(EINVAL)) << text;
    EXPECT_THAT(thread_error_detail().message, testing::HasSubstr(text)) << text;
  }
  EXPECT_FALSE(Endpoint::parse("unix:" + std::string(108, 'x')).ok());
}

TEST(Socket, WhoIsGoneIsNoticedAlsoWhenNothingIsSent) {
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  tune_socket(fd);
  int on = 0, idle_s = 0;
  socklen_t size = sizeof on;
  EXPECT_EQ(::getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &size), 0);
  EXPECT_EQ(::getsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, &size), 0);
  EXPECT_NE(on, 0);
  EXPECT_EQ(idle_s, kTcpKeepaliveIdle_s);
  ::close(fd);
}

class NetworkTest : public testing::Test {
 protected:
  NetworkTest() {
    Loop::Options options;
    options.mode = Loop::Mode::kOwnThread;
    loop_ = std::move(Loop::create(options).value());
    char path[] = "/tmp/myfs-uv-XXXXXX";
    directory_ = ::mkdtemp(path);
  }
  ~NetworkTest() noexcept(true) override {
    loop_->run_sync([&] {
      listener_ = nullptr;
      accepted_ = nullptr;
      result_ = Connected();
    });
    loop_->stop();
    ::rmdir(directory_.c_str());
  }

  Errno listen_on(const Endpoint& endpoint) {
    Errno error;
    loop_->run_sync([&] {
      auto listener = listen(loop_->port(), endpoint, [this](kj::Own<MessageStream> stream) {
        accepted_ = kj::mv(stream);
        accepted_event_.set();
      });
      error = listener.error();
      if (listener.ok()) {
        listener_ = kj::mv(listener.value());
        bound_ = listener_->endpoint();
      }
    });
    return error;
  }
  Errno connect_to(const Endpoint& endpoint, int64_t timeout_ns = 5 * kNsPerSec) {
    Event done;
    loop_->post([&] {
      loop_->tasks().add(connect(loop_->port(), endpoint, deadline_after_ns(timeout_ns))
                             .then([&](Connected&& connected) {
                               result_ = kj::mv(connected);
                               done.set();
                             }));
    });
    EXPECT_TRUE(done.wait_until(deadline_after_ns(20 * kNsPerSec)));
    return result_.error;
  }

  std::unique_ptr<Loop> loop_;
  std::string directory_;
  kj::Own<Listener> listener_;
  Endpoint bound_;
  kj::Own<MessageStream> accepted_;
  Event accepted_event_;
  Connected result_;
};

TEST_F(NetworkTest, TcpByAddressAndByName) {
  ASSERT_TRUE(listen_on(Endpoint::tcp("127.0.0.1", 0)).ok());
  EXPECT_NE(bound_.port, 0);
  EXPECT_TRUE(connect_to(bound_).ok()) << result_.why;
  EXPECT_TRUE(accepted_event_.wait_until(deadline_after_ns(5 * kNsPerSec)));
  EXPECT_EQ(result_.stream->peer_text(), bound_.text());
  EXPECT_TRUE(connect_to(Endpoint::tcp("localhost", bound_.port)).ok()) << result_.why;
}

TEST_F(NetworkTest, UnixSocketIsOpenToAllAndRemovedAtTheEnd) {
  std::string path = directory_ + "/sock";
  ASSERT_TRUE(listen_on(Endpoint::unix_path(path)).ok());
  struct stat status;
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0666u);
  EXPECT_TRUE(connect_to(bound_).ok()) << result_.why;
  loop_->run_sync([&] { listener_ = nullptr; });
  EXPECT_NE(::stat(path.c_str(), &status), 0);
}

TEST_F(NetworkTest, AServedUnixPathIsRefusedAndADeadOneTakenOver) {
  std::string path = directory_ + "/sock";
  ASSERT_TRUE(listen_on(Endpoint::unix_path(path)).ok());
  kj::Own<Listener> first = kj::mv(listener_);
  EXPECT_EQ(listen_on(Endpoint::unix_path(path)), Errno(EADDRINUSE));
  // A server that was killed leaves its path behind.
  std::string dead = directory_ + "/dead";
  ASSERT_TRUE(listen_on(Endpoint::unix_path(dead)).ok());
  std::string kept = directory_ + "/kept";
  ASSERT_EQ(::link(dead.c_str(), kept.c_str()), 0);
  loop_->run_sync([&] { listener_ = nullptr; });
  EXPECT_TRUE(listen_on(Endpoint::unix_path(kept)).ok());
  loop_->run_sync([&] { first = nullptr; });
}

TEST_F(NetworkTest, RefusedConnectionsNameTheAddressAndTheReason) {
  ASSERT_TRUE(listen_on(Endpoint::tcp("127.0.0.1", 0)).ok());
  Endpoint gone = bound_;
  loop_->run_sync([&] { listener_ = nullptr; });
  EXPECT_EQ(connect_to(gone), Errno(ECONNREFUSED));
  EXPECT_THAT(result_.why, testing::HasSubstr(gone.text()));
  EXPECT_THAT(result_.why, testing::HasSubstr("refused"));
  EXPECT_EQ(connect_to(Endpoint::unix_path(directory_ + "/none")), Errno(ENOENT));
  EXPECT_EQ(connect_to(Endpoint::tcp("no-such-host.invalid", 1)), Errno(EHOSTUNREACH));
  EXPECT_THAT(result_.why, testing::HasSubstr("resolved"));
}

TEST_F(NetworkTest, ConnectEndsAtItsDeadline) {
  // A listening socket whose queue is full answers nothing.
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::string path = directory_ + "/full";
  sockaddr_storage raw{};
  raw.ss_family = AF_UNIX;
  ::memcpy(reinterpret_cast<char*>(&raw) + sizeof(sa_family_t), path.c_str(), path.size() + 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&raw), 110), 0);
  ASSERT_EQ(::listen(fd, 0), 0);
  Errno error;
  int64_t start_ns = boottime_ns();
  std::vector<Connected> kept;
  for (int i = 0; i < 5 && error.ok(); ++i) {
    error = connect_to(Endpoint::unix_path(path), 50 * kNsPerMs);
    kept.push_back(kj::mv(result_));
  }
  EXPECT_EQ(error, Errno(ETIMEDOUT));
  EXPECT_GE(boottime_ns() - start_ns, 50 * kNsPerMs);
  loop_->run_sync([&] { kept.clear(); });
  ::close(fd);
  ::unlink(path.c_str());
}

TEST_F(NetworkTest, AnAbandonedConnectLeavesNothingBehind) {
  loop_->run_sync([&] {
    // Dropped at once, also while the name is being looked up.
    auto a = connect(loop_->port(), Endpoint::tcp("localhost", 1), kNoDeadline);
    auto b = connect(loop_->port(), Endpoint::tcp("192.0.2.1", 9), kNoDeadline);
  });
}

}  // namespace
}  // namespace myfs::uv_io
