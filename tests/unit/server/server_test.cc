#include "server/server.h"

#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>

#include "myfs/myfs.capnp.h"
#include "server/store/memory_block_store.h"
#include "server/store/memory_meta_store.h"

namespace myfs::server {
namespace {

constexpr uint16_t kHello = 0, kLogin = 1;

// One connection to a server in this process: messages by hand, blocking.
class Caller {
 public:
  explicit Caller(Server& server) : fd_(*server.connect_local()) {
    timeval limit{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    capnp::MallocMessageBuilder bootstrap;
    bootstrap.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(0);
    capnp::writeMessageToFd(fd_, bootstrap);
  }
  ~Caller() { ::close(fd_); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  int hello() {
    using Call = wire::Bootstrap;
    return call<Call::HelloParams, Call::HelloResults>(
        kHello, [](auto params) { params.setVersion(kProtocolVersion); });
  }
  int login() {
    using Call = wire::Bootstrap;
    return call<Call::LoginParams, Call::LoginResults>(kLogin,
                                                       [](auto params) { params.initClient(16); });
  }
  // False: it has not hung up for 20 s.
  bool has_ended() {
    char buffer[4096];
    ssize_t n = 0;
    while ((n = ::recv(fd_, buffer, sizeof buffer, 0)) > 0) {
    }
    return n == 0 || errno == ECONNRESET;
  }

 private:
  template <typename Params, typename Results>
  int call(uint16_t method, const std::function<void(typename Params::Builder)>& fill) {
    uint32_t id = ++calls_;
    capnp::MallocMessageBuilder message;
    auto call = message.initRoot<capnp::rpc::Message>().initCall();
    call.setQuestionId(id);
    call.initTarget().initPromisedAnswer().setQuestionId(0);
    call.setInterfaceId(capnp::typeId<wire::Bootstrap>());
    call.setMethodId(method);
    fill(call.initParams().getContent().initAs<Params>());
    capnp::writeMessageToFd(fd_, message);
    for (;;) {
      capnp::StreamFdMessageReader answer(fd_);
      auto root = answer.getRoot<capnp::rpc::Message>();
      if (!root.isReturn() || root.getReturn().getAnswerId() != id) continue;
      return root.getReturn().getResults().getContent().getAs<Results>().getErrno();
    }
  }
  const int fd_;
  uint32_t calls_ = 0;
};

TEST(ServerConnections, go_when_they_have_no_session_for_long) {
  MemoryMetaStore meta;
  MemoryBlockStore blocks;
  std::atomic<int64_t> now_ns{1'000 * kNsPerSec};
  ServerOptions options;
  options.meta = &meta;
  options.blocks = &blocks;
  options.boottime = [&] { return now_ns.load(); };
  auto server = Server::create(std::move(options));
  ASSERT_TRUE(server.ok());
  Caller talker(**server), client(**server);
  ASSERT_EQ(talker.hello(), 0);
  ASSERT_EQ(client.hello(), 0);
  ASSERT_EQ(client.login(), 0);
  now_ns += kSessionlessMax_ns;
  (*server)->sweep_now();
  EXPECT_EQ(talker.hello(), 0) << "it has time yet";
  now_ns += 1;
  (*server)->sweep_now();
  EXPECT_TRUE(talker.has_ended());
  EXPECT_EQ(client.hello(), 0);
  now_ns += 2 * kSessionlessMax_ns;
  (*server)->sweep_now();
  EXPECT_EQ(client.hello(), 0) << "its session lives";
  EXPECT_TRUE((*server)->shutdown(0).ok());  // it answers no recall
}

TEST(ServerLimits, as_many_files_as_there_may_be) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit low = before;
  low.rlim_cur = 64;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &low), 0);
  raise_file_limit();
  rlimit after{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
}

}  // namespace
}  // namespace myfs::server
