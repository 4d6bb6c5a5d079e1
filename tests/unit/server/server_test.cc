#include "server/server.h"

#include <capnp/rpc-twoparty.h>
#include <gtest/gtest.h>
#include <kj/async-io.h>
#include <sys/resource.h>

#include <atomic>
#include <memory>

#include "myfs/myfs.capnp.h"
#include "server/store/memory_block_store.h"
#include "server/store/memory_meta_store.h"

namespace myfs::server {
namespace {

class IgnoredCallback final : public wire::ClientCallback::Server {};

// One connection to a server in this process.
class Caller {
 public:
  Caller(kj::AsyncIoContext& io, Server& server)
      : io_(io),
        stream_(io.lowLevelProvider->wrapSocketFd(*server.connect_local(),
                                                  kj::LowLevelAsyncIoProvider::TAKE_OWNERSHIP)),
        rpc_(*stream_),
        bootstrap_(rpc_.bootstrap().castAs<wire::Bootstrap>()) {}
  int hello() {
    auto request = bootstrap_.helloRequest();
    request.setVersion(kProtocolVersion);
    return request.send().wait(io_.waitScope).getErrno();
  }
  int login() {
    auto request = bootstrap_.loginRequest();
    request.initClient(16);
    request.setCallback(wire::ClientCallback::Client(kj::heap<IgnoredCallback>()));
    auto answer = request.send().wait(io_.waitScope);
    session_ = answer.getSession();
    return answer.getErrno();
  }
  void await_end() { rpc_.onDisconnect().wait(io_.waitScope); }

 private:
  kj::AsyncIoContext& io_;
  kj::Own<kj::AsyncIoStream> stream_;
  capnp::TwoPartyClient rpc_;
  wire::Bootstrap::Client bootstrap_;
  wire::Session::Client session_ = nullptr;
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
  auto io = kj::setupAsyncIo();
  auto talker = std::make_unique<Caller>(io, **server);
  auto client = std::make_unique<Caller>(io, **server);
  ASSERT_EQ(talker->hello(), 0);
  ASSERT_EQ(client->hello(), 0);
  ASSERT_EQ(client->login(), 0);
  now_ns += kSessionlessMax_ns;
  (*server)->sweep_now();
  EXPECT_EQ(talker->hello(), 0) << "it has time yet";
  now_ns += 1;
  (*server)->sweep_now();
  talker->await_end();
  EXPECT_EQ(client->hello(), 0);
  now_ns += 2 * kSessionlessMax_ns;
  (*server)->sweep_now();
  EXPECT_EQ(client->hello(), 0) << "its session lives";
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
