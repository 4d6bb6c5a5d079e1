// Broken connections, replay in slots, lost sessions, soft mounts.
#include <gtest/gtest.h>

#include "sdk/base/limits.h"
#include "tests/unit/rpc/client_fixture.h"

namespace myfs::rpc_test {
namespace {

using RecoveryTest = ClientFixture;
using rpc::Urgency;

TEST_F(RecoveryTest, BoundAgainCallsGoOn) {
  ASSERT_TRUE(open().ok());
  server_.break_connections();
  EXPECT_TRUE(lookup(patient()).ok());
  EXPECT_EQ(server_.binds, 1);
  EXPECT_EQ(server_.logins, 1);
  EXPECT_EQ(server_.held_grants, 1u);
  EXPECT_TRUE(sink_.wait_for("rebound 1"));
  EXPECT_EQ(client_->stats().reconnects, 1u);
  EXPECT_EQ(client_->incarnation(), 1u);
}

TEST_F(RecoveryTest, ChangeIsExecutedOnceOverABreak) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.break_after_execute = true; });
  auto made = create(patient());
  ASSERT_TRUE(made.ok()) << made.error().name();
  EXPECT_TRUE(made->replayed);
  EXPECT_EQ(server_.executed, 1);
  EXPECT_EQ(server_.replayed, 1);
  EXPECT_EQ(client_->stats().resent, 1u);
  EXPECT_TRUE(create(patient()).ok());
  EXPECT_EQ(server_.executed, 2);
}

TEST_F(RecoveryTest, AnAbandonedChangeIsStillReplayed) {
  server_.script([](Script& s) { s.slots = 3; });
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.hold = true; });
  EXPECT_EQ(create(within(50 * kNsPerMs)).error(), Errno(ETIMEDOUT));
  server_.script([](Script& s) { s.hold = false; });
  server_.break_connections();
  EXPECT_TRUE(create(patient()).ok());  // needs the one slot, hence the replayed answer
  EXPECT_EQ(server_.replayed, 1);
  EXPECT_EQ(server_.executed, 2);
}

TEST_F(RecoveryTest, ServersSlotNumbersCount) {
  ASSERT_TRUE(open().ok());
  EXPECT_TRUE(create(patient()).ok());
  client_->break_connections();
  for (int i = 0; i < 20; ++i) EXPECT_TRUE(create(patient()).ok());
  EXPECT_EQ(server_.executed, 21);
}

TEST_F(RecoveryTest, LostSessionStartsANewOne) {
  ASSERT_TRUE(open().ok());
  rpc::Handle old = handle(1);
  server_.script([](Script& s) { s.bind_errno = ESTALE; });
  server_.break_connections();
  ASSERT_TRUE(sink_.wait_for("started 2"));
  EXPECT_EQ(sink_.seen(), (std::vector<std::string>{"started 1", "lost", "started 2"}));
  EXPECT_EQ(client_->incarnation(), 2u);
  EXPECT_EQ(client_->session().epoch, 1002u);
  EXPECT_EQ(client_->lookup(patient(), {.dir = old, .names = {"a"}}).error(), rpc::kSessionLost);
  EXPECT_TRUE(lookup(patient()).ok());
  EXPECT_TRUE(create(patient()).ok());
  EXPECT_EQ(client_->stats().sessions_lost, 1u);
}

// By it the server knows what comes late of a connection that was given up.
TEST_F(RecoveryTest, EachLoginAndBindHasAHigherNumber) {
  ASSERT_TRUE(open().ok());
  EXPECT_EQ(server_.last_number, 1u);
  server_.break_connections();
  ASSERT_TRUE(eventually([&] { return client_->stats().reconnects == 1; }));
  EXPECT_EQ(server_.last_number, 2u);
  server_.script([](Script& s) { s.bind_errno = EAGAIN; });
  server_.break_connections();
  ASSERT_TRUE(eventually([&] { return client_->stats().reconnects == 2; }));
  EXPECT_EQ(server_.last_number, 4u) << "the session was bound in the second attempt";
  EXPECT_EQ(client_->stats().sessions_lost, 0u);
  server_.script([](Script& s) { s.bind_errno = ESTALE; });
  server_.break_connections();
  ASSERT_TRUE(sink_.wait_for("started 2"));
  EXPECT_EQ(server_.last_number, 6u);
}

TEST_F(RecoveryTest, CallsInFlightWhenTheSessionIsLost) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.hold = true; });
  Errno change, query;
  bool in_doubt = false, query_in_doubt = true;
  {
    Thread changer("changer", [&] {
      change = create(patient()).error();
      in_doubt = thread_error_detail().in_doubt;
    });
    Thread querier("querier", [&] {
      query = lookup(patient()).error();
      query_in_doubt = thread_error_detail().in_doubt;
    });
    ASSERT_TRUE(eventually([&] { return server_.held.load() == 2; }));
    server_.script([](Script& s) {
      s.bind_errno = ESTALE;
      s.hold = false;
    });
    server_.break_connections();
  }
  EXPECT_EQ(change, Errno(EIO));
  EXPECT_TRUE(in_doubt);
  EXPECT_EQ(query, rpc::kSessionLost);
  EXPECT_FALSE(query_in_doubt);
}

TEST_F(RecoveryTest, StaleRenewEndsTheSession) {
  server_.script([](Script& s) {
    s.term_ms = 300;
    s.renew_stale = true;
  });
  ASSERT_TRUE(open().ok());
  ASSERT_TRUE(sink_.wait_for("started 2"));
  ASSERT_TRUE(sink_.wait_for("renewed 300"));
  EXPECT_EQ(server_.last_epoch, 1002u);
}

TEST_F(RecoveryTest, RenewalIsTriedAgain) {
  server_.script([](Script& s) {
    s.term_ms = 300;
    s.renew_silent = true;
  });
  ASSERT_TRUE(open().ok());
  ASSERT_TRUE(eventually([&] { return server_.renews >= 2; }));
  server_.script([](Script& s) { s.renew_silent = false; });
  ASSERT_TRUE(sink_.wait_for("renewed 300"));
  EXPECT_EQ(client_->incarnation(), 1u);
}

TEST_F(RecoveryTest, ABoundSessionIsRenewed) {
  server_.script([](Script& s) { s.term_ms = 300; });
  ASSERT_TRUE(open().ok());
  server_.break_connections();
  ASSERT_TRUE(eventually([&] { return server_.binds >= 1; }));
  const int renews = server_.renews;
  EXPECT_TRUE(eventually([&] { return server_.renews > renews + 1; }));
}

TEST_F(RecoveryTest, EstaleOfANodeIsNotEstaleOfTheSession) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.errno_value = ESTALE; });
  EXPECT_EQ(lookup(patient()).error(), Errno(ESTALE));
  EXPECT_EQ(client_->incarnation(), 1u);
  server_.script([](Script& s) { s.renew_stale = true; });
  EXPECT_EQ(lookup(patient()).error(), rpc::kSessionLost);
  server_.script([](Script& s) { s.errno_value = 0; });
  ASSERT_TRUE(sink_.wait_for("started 2"));
  EXPECT_TRUE(lookup(patient()).ok());
  EXPECT_EQ(client_->stats().in_flight, 0u);
}

// ---- servers that were begun anew

using Log = std::vector<std::string>;

rpc::ReclaimPart part(size_t leases, size_t opens, size_t locks) {
  rpc::ReclaimPart part;
  for (size_t i = 0; i < leases; ++i) part.leases.push_back({.node = {.ino = 10 + i}, .parts = 1});
  for (size_t i = 0; i < opens; ++i) part.opens.push_back({.node = {.ino = 10}, .open = {i + 1}});
  for (size_t i = 0; i < locks; ++i) part.locks.push_back({.node = {.ino = 10}, .ticket = i});
  return part;
}

TEST_F(RecoveryTest, ARestartedServerIsToldBeforeAnythingElseIsSent) {
  sink_.parts = {part(2, 0, 0), part(0, 1, 3)};
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.hold = true; });
  Errno change;
  {
    Thread changer("changer", [&] { change = create(patient()).error(); });
    ASSERT_TRUE(eventually([&] { return server_.held.load() == 1; }));
    (void)server_.order();
    server_.script([](Script& s) {
      s.boot_verifier = 43;
      s.hold = false;
    });
    server_.break_connections();
  }
  EXPECT_TRUE(change.ok()) << change.name();
  ASSERT_TRUE(create(patient()).ok());
  EXPECT_EQ(server_.order(),
            (Log{"bind", "reclaim 2 0 0", "reclaim 0 1 3", "reclaim 0 0 0 last", "change"}));
  EXPECT_EQ(server_.replayed, 1);
  EXPECT_EQ(sink_.seen(), (Log{"started 1", "reclaim", "reclaimed 2 0", "reclaim on",
                               "reclaimed 0 3", "reclaim on", "reclaimed 0 0", "resumed"}));
  EXPECT_EQ(client_->incarnation(), 1u);
  EXPECT_EQ(client_->stats().sessions_reclaimed, 1u);
  EXPECT_EQ(client_->session().boot_verifier, 43u);
  server_.break_connections();
  ASSERT_TRUE(sink_.wait_for("rebound 1")) << "it knows this server";
}

TEST_F(RecoveryTest, AReclaimThatBreaksOffBeginsWithABind) {
  sink_.parts = {part(1, 0, 0)};
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) {
    s.boot_verifier = 43;
    s.break_reclaim = 3;
  });
  server_.break_connections();
  ASSERT_TRUE(create(patient()).ok());
  const Log told{"bind", "reclaim 1 0 0"};
  Log expected;
  for (int i = 0; i < 4; ++i) expected.insert(expected.end(), told.begin(), told.end());
  expected.insert(expected.end(), {"reclaim 0 0 0 last", "change"});
  EXPECT_EQ(server_.order(), expected);
  EXPECT_EQ(client_->stats().sessions_lost, 0u);
}

TEST_F(RecoveryTest, TheLeaseCountsFromTheBindThatWasReclaimed) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) {
    s.boot_verifier = 43;
    s.reclaim_silent = true;
  });
  server_.break_connections();
  ASSERT_TRUE(eventually([&] { return server_.reclaims.load() == 1; }));
  const int64_t bound_ns = boottime_ns();
  EXPECT_EQ(sink_.resumed_at_ns, 0);
  EXPECT_EQ(create(within(50 * kNsPerMs)).error(), Errno(ETIMEDOUT)) << "nothing else is sent";
  EXPECT_EQ(server_.executed, 0);
  server_.script([](Script& s) { s.reclaim_silent = false; });
  server_.break_connections();
  ASSERT_TRUE(sink_.wait_for("resumed"));
  EXPECT_GT(sink_.resumed_at_ns, bound_ns) << "the first one came to nothing";
}

TEST_F(RecoveryTest, AReclaimThatIsNotAnsweredIsTriedAgain) {
  options_.connect_timeout_ns = 200 * kNsPerMs;
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) {
    s.boot_verifier = 43;
    s.reclaim_silent = true;
  });
  server_.break_connections();
  ASSERT_TRUE(eventually([&] { return server_.reclaims.load() >= 2; }));
  server_.script([](Script& s) { s.reclaim_silent = false; });
  ASSERT_TRUE(create(patient()).ok());
  EXPECT_EQ(client_->incarnation(), 1u);
}

TEST_F(RecoveryTest, AReclaimThatIsRefusedEndsTheSession) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) {
    s.boot_verifier = 43;
    s.reclaim_errno = EPROTO;
  });
  server_.break_connections();
  ASSERT_TRUE(sink_.wait_for("started 2"));
  EXPECT_EQ(sink_.seen(), (Log{"started 1", "reclaim", "lost", "started 2"}));
  EXPECT_TRUE(create(patient()).ok());
}

// Whether it was the node's or the session's is told by the bind.
TEST_F(RecoveryTest, AnEstaleOutlivesItsConnection) {
  ASSERT_TRUE(open().ok());
  for (int32_t bind_errno : {0, ESTALE}) {
    server_.script([](Script& s) {
      s.errno_value = ESTALE;
      s.renew_silent = true;
    });
    const int renews = server_.renews.load();
    Errno error;
    {
      Thread caller("caller", [&] { error = lookup(patient()).error(); });
      ASSERT_TRUE(eventually([&] { return server_.renews.load() > renews; }));
      server_.script([&](Script& s) {
        s.renew_silent = false;
        s.bind_errno = bind_errno;
      });
      server_.break_connections();
    }
    EXPECT_EQ(error, bind_errno == 0 ? Errno(ESTALE) : rpc::kSessionLost);
  }
}

// The slot that knows what came of it has gone with the session.
TEST_F(RecoveryTest, AChangeThatWasSentTwiceIsInDoubtOnceItsSessionIsRefused) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) {
    s.break_after_execute = true;
    s.errno_value = ESTALE;  // to what is sent again
    s.renew_stale = true;
  });
  EXPECT_EQ(create(patient()).error(), Errno(EIO));
  EXPECT_TRUE(thread_error_detail().in_doubt);
  EXPECT_EQ(server_.executed, 1);
  ASSERT_TRUE(sink_.wait_for("started 2"));
}

TEST_F(RecoveryTest, AChangeThatWasSentTwiceIsInDoubtAtItsDeadline) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) {
    s.break_after_execute = true;
    s.errno_value = ESTALE;
    s.renew_silent = true;
  });
  EXPECT_EQ(create(within(100 * kNsPerMs)).error(), Errno(ETIMEDOUT));
  EXPECT_TRUE(thread_error_detail().in_doubt);
}

TEST_F(RecoveryTest, AnEstaleThatNobodyExplainsEndsAtTheDeadline) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) {
    s.errno_value = ESTALE;
    s.renew_silent = true;
  });
  EXPECT_EQ(lookup(within(50 * kNsPerMs)).error(), Errno(ETIMEDOUT));
  EXPECT_EQ(client_->stats().in_flight, 0u);
}

TEST_F(RecoveryTest, AnEvictedClientStartsANewSession) {
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.renew_stale = true; });
  server_.call_back([](wire::ClientCallback::Client& client) {
    auto request = client.evictedRequest();
    request.setWhy("too slow");
    return request.send().ignoreResult();
  });
  ASSERT_TRUE(sink_.wait_for("started 2"));
  EXPECT_EQ(sink_.seen(),
            (std::vector<std::string>{"started 1", "evicted too slow", "lost", "started 2"}));
}

TEST_F(RecoveryTest, ABrokenDataConnectionIsReplacedAlone) {
  server_.set_content("content");
  ASSERT_TRUE(open().ok());
  char buffer[8] = {};
  iovec span{buffer, 7};
  ASSERT_TRUE(client_->read(patient(), {.node = handle(), .len = 7}, rpc::Buffers(&span, 1)).ok());
  EXPECT_EQ(std::string(buffer), "content");
  int attaches = server_.attaches;
  server_.break_data_connections();
  ASSERT_TRUE(client_->read(patient(), {.node = handle(), .len = 7}, rpc::Buffers(&span, 1)).ok());
  EXPECT_EQ(server_.binds, 0);
  EXPECT_GT(server_.attaches, attaches);
}

class DataRefusedTest : public ClientFixture {
 protected:
  DataRefusedTest() {
    options_.connector = [this]() -> Result<int> {
      if (left_-- <= 0) return Errno(ECONNREFUSED);
      return server_.connect();
    };
  }
  std::string read(const CallContext& ctx) {
    char buffer[7];
    iovec span{buffer, sizeof buffer};
    auto reply = client_->read(ctx, {.node = handle(), .len = 7}, rpc::Buffers(&span, 1));
    return reply.ok() ? std::string(buffer, reply->count) : std::string(reply.error().name());
  }
  bool up(bool control) {
    for (const auto& connection : client_->stats().connections) {
      const bool is_up = connection.state == rpc::ConnectionState::kUp;
      if (is_up && connection.control == control) return true;
    }
    return false;
  }
  std::atomic<int> left_{1'000'000};  // so many connections are taken
};

TEST_F(DataRefusedTest, DataGoesOverTheControlConnectionUntilThereIsAnother) {
  ASSERT_TRUE(open().ok());
  left_ = 0;
  std::string text = "content";
  iovec span{text.data(), text.size()};
  auto written = client_->write(patient(), {.node = handle()}, rpc::Buffers(&span, 1));
  ASSERT_TRUE(written.ok()) << written.error().name() << thread_error_detail().message;
  EXPECT_EQ(read(patient()), "content");
  EXPECT_FALSE(up(false));
  EXPECT_EQ(server_.connections, 1);
  left_ = 1'000'000;
  ASSERT_TRUE(eventually([&] { return up(false); }));
  EXPECT_EQ(server_.attaches, 2);
  EXPECT_EQ(read(patient()), "content");
}

TEST_F(DataRefusedTest, AfterABreakTheControlConnectionIsAttachedAnew) {
  server_.set_content("content");
  ASSERT_TRUE(open().ok());
  left_ = 0;
  ASSERT_EQ(read(patient()), "content");
  EXPECT_EQ(server_.attaches, 1);
  server_.break_connections();
  ASSERT_TRUE(eventually([&] { return !up(true); }));
  left_ = 1;  // no data connection is tried before the session is bound again
  EXPECT_EQ(read(patient()), "content");
  EXPECT_EQ(server_.binds, 1);
  EXPECT_EQ(server_.attaches, 2);
  EXPECT_FALSE(up(false));
}

// Told while there is no session: it speaks of the one that has ended, whose numbers mean something
// else in the next.
TEST_F(DataRefusedTest, WhatIsToldOfAnEndedSessionIsNotSentInTheNext) {
  ASSERT_TRUE(open().ok());
  left_ = 1;  // to be told that the session is unknown
  server_.script([](Script& s) { s.bind_errno = ESTALE; });
  server_.break_connections();
  ASSERT_TRUE(sink_.wait_for("lost"));
  client_->release({{11, 1, 1, 0}}, {}, 1);
  client_->ack({.recall_id = 1, .ino = 11, .incarnation = 1});
  ASSERT_EQ(client_->stats().sessions_lost, 1u);  // both have been started
  left_ = 1'000'000;
  ASSERT_TRUE(sink_.wait_for("started 2"));
  ASSERT_TRUE(client_->ping(patient()).ok());
  EXPECT_EQ(server_.releases, 0);
  EXPECT_EQ(server_.acks, 0);
  client_->release({{11, 1, 1, 0}}, {}, 2);
  EXPECT_TRUE(eventually([&] { return server_.releases == 1; }));
  EXPECT_TRUE(eventually([&] { return client_->active_calls().empty(); }));
}

TEST_F(DataRefusedTest, AConnectionThatIsNotAnsweredIsNotWaitedForLong) {
  options_.connect_timeout_ns = 3600 * kNsPerSec;
  server_.set_content("content");
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.silent_hello = true; });
  EXPECT_EQ(read(patient()), "content");
}

TEST_F(DataRefusedTest, WhereNothingTakesDataTheCauseIsNamed) {
  server_.set_content("content");
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.attach_errno = EMFILE; });
  EXPECT_EQ(read(within(300 * kNsPerMs)), "ETIMEDOUT");
  EXPECT_NE(thread_error_detail().message.find("refused a data connection"), std::string::npos)
      << thread_error_detail().message;
  EXPECT_FALSE(thread_error_detail().in_doubt);
  server_.script([](Script& s) { s.attach_errno = 0; });
  EXPECT_EQ(read(patient()), "content");
}

TEST_F(RecoveryTest, SoftGivesUpHardWaits) {
  options_.soft = true;
  options_.timeout_ns = 100 * kNsPerMs;
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.hold = true; });
  EXPECT_EQ(lookup(ctx_).error(), Errno(ETIMEDOUT));
  server_.release_held();
  EXPECT_TRUE(lookup(ctx_).ok());
}

TEST_F(RecoveryTest, HardWaitsUntilTheServerIsBack) {
  std::atomic<bool> reachable{true};
  options_.connector = [&]() -> Result<int> {
    if (!reachable) return Errno(ECONNREFUSED);
    return server_.connect();
  };
  ASSERT_TRUE(open().ok());
  reachable = false;
  server_.break_connections();
  EXPECT_EQ(lookup(within(200 * kNsPerMs)).error(), Errno(ETIMEDOUT));
  Event begun;
  Errno error(EIO);
  {
    Thread caller("caller", [&] {
      begun.set();
      error = lookup(patient()).error();
    });
    begun.wait();
    reachable = true;
  }
  EXPECT_TRUE(error.ok());
}

TEST_F(RecoveryTest, SoftAsynchronousWriteTimesOutAndFreesThePages) {
  options_.soft = true;
  options_.timeout_ns = 100 * kNsPerMs;
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.hold = true; });
  auto pages = std::make_unique<uint64_t[]>(8192);
  iovec span{pages.get(), 65'536};
  auto admission = client_->admit(ctx_, {65'536, true, Urgency::kNormal});
  ASSERT_TRUE(admission.ok());
  Event done;
  Errno error;
  client_->write_async(ctx_, {.node = handle()}, rpc::Buffers(&span, 1), std::move(*admission),
                       [&](Result<rpc::WriteReply> reply) {
                         error = reply.error();
                         done.set();
                       });
  ASSERT_TRUE(done.wait_until(boottime_ns() + kPatience_ns));
  EXPECT_EQ(error, Errno(ETIMEDOUT));
  pages = nullptr;
  // The call lives on for its slot and is replayed from its own copy.
  server_.break_connections();
  server_.release_held();
  EXPECT_TRUE(eventually([&] { return client_->active_calls().empty(); }));
  EXPECT_EQ(server_.executed, 1);
}

TEST_F(RecoveryTest, ASilentServerIsAskedAndReplaced) {
  server_.script([](Script& s) { s.term_ms = 1'000; });
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.hold = s.renew_silent = true; });  // pings too
  Errno error(EIO);
  {
    Thread caller("caller", [&] { error = lookup(patient()).error(); });
    ASSERT_TRUE(eventually([&] { return server_.pings.load() >= 1; }));
    ASSERT_TRUE(eventually([&] { return server_.binds.load() >= 1; }));
    server_.release_held();
  }
  EXPECT_TRUE(error.ok()) << error.name();
}

}  // namespace
}  // namespace myfs::rpc_test
