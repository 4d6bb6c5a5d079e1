// Calls, answers, deadlines, bad servers.
#include "sdk/rpc/client.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sdk/base/limits.h"
#include "sdk/rpc/auth.h"
#include "tests/unit/rpc/client_fixture.h"

namespace myfs::rpc_test {
namespace {

using ClientTest = ClientFixture;
using rpc::Admission;
using rpc::Urgency;

TEST_F(ClientTest, LogsInWithProofAndLearnsTheSession) {
  options_.secret = "the secret";
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(client_->session().session_id, 1u);
  EXPECT_EQ(client_->session().root.handle.ino, 1u);
  EXPECT_EQ(client_->session().root.handle.session, 1u);
  EXPECT_EQ(client_->incarnation(), 1u);
  EXPECT_EQ(client_->max_io_bytes(), 4u << 20);
  EXPECT_EQ(sink_.server_time, 12'345);
  EXPECT_EQ(server_.last_client.size(), 16u);
  EXPECT_EQ(server_.last_proof,
            rpc::login_proof("the secret", server_.last_challenge, server_.last_client));
}

TEST_F(ClientTest, CallsAnswer) {
  ASSERT_TRUE(open().ok());
  auto found = lookup(patient());
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->nodes.size(), 2u);
  EXPECT_EQ(found->nodes[1].handle, (rpc::Handle{101, 1, 1, 707}));
  EXPECT_TRUE(found->nodes[1].has_attr);
  auto made = create(patient());
  ASSERT_TRUE(made.ok());
  EXPECT_FALSE(made->replayed);
  EXPECT_EQ(made->node.handle.ino, 201u);
  ASSERT_TRUE(client_->ping(patient()).ok());
  auto stats = client_->stats();
  EXPECT_EQ(stats.calls[static_cast<size_t>(rpc::Method::kLookup)], 1u);
  EXPECT_EQ(stats.calls[static_cast<size_t>(rpc::Method::kCreate)], 1u);
  EXPECT_EQ(stats.connections[0].state, rpc::ConnectionState::kUp);
  EXPECT_GT(stats.connections[0].bytes_in, 0u);
  EXPECT_EQ(stats.in_flight, 0u);
}

TEST_F(ClientTest, TheSessionIsRenewedUnasked) {
  server_.script([](Script& s) { s.term_ms = 300; });
  const int64_t begin_ns = boottime_ns();
  ASSERT_TRUE(open().ok());
  ASSERT_TRUE(sink_.wait_for("renewed 300"));
  const int64_t first_ns = sink_.renewed_at_ns;
  EXPECT_GE(first_ns, begin_ns + 100 * kNsPerMs);
  EXPECT_EQ(server_.last_epoch, 1001u);
  ASSERT_TRUE(eventually([&] { return sink_.renewed_at_ns.load() > first_ns; }));
  EXPECT_GE(sink_.renewed_at_ns, first_ns + 100 * kNsPerMs);
}

TEST_F(ClientTest, ServersErrnoComesThroughWithDetail) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.errno_value = EACCES; });
  EXPECT_EQ(lookup(patient()).error(), Errno(EACCES));
  EXPECT_EQ(thread_error_detail().operation, "lookup");
  EXPECT_EQ(thread_error_detail().server, "unix:/fake");
  EXPECT_EQ(create(patient()).error(), Errno(EACCES));
  EXPECT_FALSE(thread_error_detail().in_doubt);
}

TEST_F(ClientTest, QueryGivesUpAtItsDeadlineAndIsCancelledAtTheServer) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.hold = true; });
  EXPECT_EQ(lookup(within(50 * kNsPerMs)).error(), Errno(ETIMEDOUT));
  EXPECT_FALSE(thread_error_detail().in_doubt);
  EXPECT_TRUE(eventually([&] { return server_.cancelled.load() == 1; }));
  EXPECT_EQ(client_->active_calls().size(), 0u);
  server_.release_held();
  EXPECT_TRUE(lookup(patient()).ok());
}

TEST_F(ClientTest, AbandonedChangeKeepsItsSlotUntilTheReply) {
  server_.script([](Script& s) { s.slots = 3; });  // one for normal calls
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.hold = true; });
  EXPECT_EQ(create(within(50 * kNsPerMs)).error(), Errno(ETIMEDOUT));
  EXPECT_TRUE(thread_error_detail().in_doubt);
  ASSERT_EQ(client_->active_calls().size(), 1u);
  EXPECT_TRUE(client_->active_calls()[0].abandoned);
  // No slot: it is never sent, hence not in doubt.
  EXPECT_EQ(create(within(50 * kNsPerMs)).error(), Errno(ETIMEDOUT));
  EXPECT_FALSE(thread_error_detail().in_doubt);
  EXPECT_EQ(server_.executed, 1);
  server_.release_held();
  EXPECT_TRUE(create(patient()).ok());
  EXPECT_EQ(server_.executed, 2);
  EXPECT_EQ(client_->active_calls().size(), 0u);
}

TEST_F(ClientTest, CancelEndsAWait) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.hold = true; });
  CancelToken token;
  CallContext ctx = patient();
  ctx.cancel = &token;
  Thread canceller("cancel", [&] {
    EXPECT_TRUE(eventually([&] { return server_.held.load() == 1; }));
    token.cancel();
  });
  EXPECT_EQ(create(ctx).error(), Errno(EINTR));
  EXPECT_TRUE(thread_error_detail().in_doubt);
  EXPECT_EQ(create(ctx).error(), Errno(EINTR));  // cancelled before it began
  server_.release_held();
}

TEST_F(ClientTest, OverloadIsWaitedOut) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.overloaded = 3; });
  EXPECT_TRUE(create(patient()).ok());
  EXPECT_EQ(server_.executed, 1);
}

TEST_F(ClientTest, UnknownCallIsEopnotsuppAndSpendsNoNumber) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.unimplemented = true; });
  EXPECT_EQ(create(patient()).error(), Errno(EOPNOTSUPP));
  server_.script([](Script& s) { s.unimplemented = false; });
  EXPECT_TRUE(create(patient()).ok());  // the fake server refuses a gap in a slot
}

TEST_F(ClientTest, FailureInsideTheServerIsEio) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.throw_failed = true; });
  EXPECT_EQ(lookup(patient()).error(), Errno(EIO));
  EXPECT_NE(thread_error_detail().message.find("broken inside"), std::string::npos);
}

TEST_F(ClientTest, NonsenseIsEproto) {
  ASSERT_TRUE(open().ok());
  auto with = [&](auto fault) {
    server_.script(fault);
    Errno error = lookup(patient()).error();
    server_.script([](Script& s) { s.bad_nsec = s.many_nodes = s.bad_errno = false; });
    return error;
  };
  EXPECT_EQ(with([](Script& s) { s.bad_nsec = true; }), Errno(EPROTO));
  EXPECT_EQ(with([](Script& s) { s.many_nodes = true; }), Errno(EPROTO));
  EXPECT_EQ(with([](Script& s) { s.bad_errno = true; }), Errno(EPROTO));
  server_.script([](Script& s) { s.bad_name = true; });
  EXPECT_EQ(client_->readdir(patient(), {.dir = handle(1)}).error(), Errno(EPROTO));
  server_.script([](Script& s) { s.bad_name = false; });
  EXPECT_TRUE(client_->readdir(patient(), {.dir = handle(1)}).ok());
}

TEST_F(ClientTest, HandleOfAnotherSessionIsNotSent) {
  ASSERT_TRUE(open().ok());
  rpc::Handle stale{5, 1, 99, 35};
  EXPECT_EQ(client_->getattr(patient(), {.node = stale}).error(), rpc::kSessionLost);
  EXPECT_EQ(server_.queries, 0);
}

TEST_F(ClientTest, CallbacksReachTheSink) {
  server_.script([](Script& s) { s.recall_before_login_reply = true; });
  ASSERT_TRUE(open().ok());
  ASSERT_TRUE(sink_.wait_for("recall 5"));
  EXPECT_EQ(sink_.seen()[0], "started 1");  // the early recall came after it
  server_.call_back([](wire::ClientCallback::Client& client) {
    auto request = client.recallRequest();
    auto items = request.initItems(2);
    items[0].setIno(11);
    items[1].setIno(12);
    return request.send().ignoreResult();
  });
  EXPECT_TRUE(sink_.wait_for("recall 12"));
  server_.call_back([](wire::ClientCallback::Client& client) {
    auto request = client.glimpseRequest();
    request.setIno(13);
    return request.send().ignoreResult();
  });
  EXPECT_TRUE(sink_.wait_for("glimpse 13"));
  server_.call_back([](wire::ClientCallback::Client& client) {
    auto request = client.trimRequest();
    request.setLeases(14);
    return request.send().ignoreResult();
  });
  EXPECT_TRUE(sink_.wait_for("trim 14"));
  client_->ack({.recall_id = 1, .ino = 11, .incarnation = 1});
  client_->release({{11, 1, 1, 0}, {12, 1, 1, 0}}, {}, 1);
  EXPECT_TRUE(eventually([&] { return server_.acks == 1 && server_.releases == 2; }));
  client_->ack({.recall_id = 1, .ino = 11, .incarnation = 77});  // of no session that lives
  ASSERT_TRUE(client_->ping(patient()).ok());
  EXPECT_EQ(server_.acks, 1);
}

TEST_F(ClientTest, CloseIsOrderlyAndFinal) {
  ASSERT_TRUE(open().ok());
  client_->close(patient());
  EXPECT_EQ(server_.closed, 1);
  EXPECT_EQ(lookup(patient()).error(), Errno(ESHUTDOWN));
  EXPECT_EQ(client_->admit(patient(), {}).error(), Errno(ESHUTDOWN));
}

TEST_F(ClientTest, ClosingAnswersEveryCompletion) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.hold = true; });
  std::string page(4096, 'p');
  iovec span{page.data(), page.size()};
  Event done;
  Errno error;
  auto admission = client_->admit(patient(), {4096, false, Urgency::kNormal});
  ASSERT_TRUE(admission.ok());
  client_->read_async(patient(), {.node = handle(), .len = 4096}, rpc::Buffers(&span, 1),
                      std::move(*admission), [&](Result<rpc::ReadReply> reply) {
                        error = reply.error();
                        done.set();
                      });
  ASSERT_TRUE(eventually([&] { return server_.held.load() == 1; }));
  client_ = nullptr;
  EXPECT_TRUE(done.is_set());
  EXPECT_EQ(error, Errno(ESHUTDOWN));
}

TEST_F(ClientTest, UnreachableServerIsNamedWithTheReason) {
  options_.connector = nullptr;
  options_.addresses = {"unix:/nonexistent/myfs.sock", "tcp:127.0.0.1:1"};
  options_.connect_timeout_ns = 5 * kNsPerSec;
  EXPECT_EQ(open(), Errno(ECONNREFUSED)) << thread_error_detail().message;
  EXPECT_NE(thread_error_detail().message.find("127.0.0.1"), std::string::npos);
  EXPECT_EQ(thread_error_detail().server, "tcp:127.0.0.1:1");
  EXPECT_EQ(thread_error_detail().operation, "connect");
  options_.addresses = {"127.0.0.1:1"};
  EXPECT_EQ(open(), Errno(ECONNREFUSED));
  options_.addresses = {"/nonexistent/myfs.sock"};
  EXPECT_EQ(open(), Errno(ENOENT));
  EXPECT_NE(thread_error_detail().message.find("/nonexistent/myfs.sock"), std::string::npos);
}

TEST_F(ClientTest, SilentServerTimesOut) {
  server_.script([](Script& s) { s.silent_hello = true; });
  options_.connect_timeout_ns = 200 * kNsPerMs;
  int64_t begin = boottime_ns();
  EXPECT_EQ(open(), Errno(ETIMEDOUT));
  EXPECT_LT(boottime_ns() - begin, kPatience_ns);
  EXPECT_NE(thread_error_detail().message.find("unix:/fake"), std::string::npos);
}

TEST_F(ClientTest, ConnectingCanBeCancelled) {
  server_.script([](Script& s) { s.silent_hello = true; });
  CancelToken token;
  ctx_.cancel = &token;
  Thread canceller("cancel", [&] {
    EXPECT_TRUE(eventually([&] { return server_.connections.load() == 1; }));
    token.cancel();
  });
  EXPECT_EQ(open(), Errno(EINTR));
}

TEST_F(ClientTest, OtherVersionIsEprotonosupport) {
  server_.script([](Script& s) { s.version = 2; });
  EXPECT_EQ(open(), Errno(EPROTONOSUPPORT));
  EXPECT_NE(thread_error_detail().message.find("version 2"), std::string::npos);
}

TEST_F(ClientTest, GarbageIsEproto) {
  int peer = -1;
  options_.connector = [&peer]() -> Result<int> {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return Errno(errno);
    const char kText[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
    EXPECT_EQ(write(ends[1], kText, sizeof kText), static_cast<ssize_t>(sizeof kText));
    peer = ends[1];
    return ends[0];
  };
  EXPECT_EQ(open(), Errno(EPROTO));
  EXPECT_NE(thread_error_detail().message.find("does not speak"), std::string::npos);
  ::close(peer);
}

TEST_F(ClientTest, RefusedLoginIsTheServersErrno) {
  server_.script([](Script& s) { s.login_errno = EACCES; });
  EXPECT_EQ(open(), Errno(EACCES));
  EXPECT_NE(thread_error_detail().message.find("not you"), std::string::npos);
}

TEST_F(ClientTest, ManyThreadsShareOneClient) {
  ASSERT_TRUE(open().ok());
  std::vector<Thread> threads;
  std::atomic<int> good{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back("caller", [&] {
      for (int i = 0; i < 50; ++i) {
        if (lookup(patient()).ok() && create(patient()).ok()) ++good;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(good, 400);
  EXPECT_EQ(server_.executed, 400);
}

}  // namespace
}  // namespace myfs::rpc_test
