// A Connection whose peer has gone.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sdk/base/clock.h"
#include "sdk/rpc/connection.h"
#include "sdk/uv/loop.h"
#include "sdk/uv/network.h"

namespace myfs::rpc {
namespace {

// The handshake asks the server's bootstrap object several times, with round trips in between.
TEST(Connection, AskedAfterThePeerHasGoneItFailsAndDoesNotThrow) {
  auto created = uv_io::Loop::create({});
  ASSERT_TRUE(created.ok());
  std::unique_ptr<uv_io::Loop> loop = std::move(created).value();
  int ends[2];
  ASSERT_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  ::close(ends[1]);
  kj::Own<Connection> connection;
  std::string seen;
  Event done;
  auto note = [&](const char* what) { return [&seen, what](auto&&) { seen += what; }; };
  auto ask = [&] { return connection->bootstrap().helloRequest().send().ignoreResult(); };
  loop->post([&] {
    connection = kj::heap<Connection>(uv_io::wrap_socket(loop->port(), ends[0]));
    loop->tasks().add(ask()
                          .catch_(note("first "))
                          .then([&] { return connection->on_disconnect(); })
                          .then([] { return kj::evalLater([] {}); })
                          .then(ask)
                          .catch_(note("second "))
                          .then([&] { done.set(); }));
  });
  EXPECT_TRUE(loop->wait_for(done, boottime_ns() + 20 * kNsPerSec));
  EXPECT_EQ("first second ", seen);
  EXPECT_TRUE(loop->run_sync([&] { EXPECT_NO_THROW(connection = nullptr); }));
}

}  // namespace
}  // namespace myfs::rpc
