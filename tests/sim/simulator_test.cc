#include "sdk/testing/simulator.h"

#include <gtest/gtest.h>

#include <atomic>

#include "absl/strings/str_cat.h"
#include "sdk/base/clock.h"
#include "sdk/base/random.h"
#include "sdk/testing/sim_disk.h"
#include "sdk/testing/sim_network.h"
#include "tests/unit/uv/rig.h"

namespace myfs::sim {
namespace {

Simulator::Options seeded(uint64_t seed) {
  Simulator::Options options;
  options.seed = seed;
  return options;
}

void pass(int64_t duration_ns) {
  Event never;
  (void)never.wait_until(boottime_ns() + duration_ns);
}

TEST(Simulator, TheClockJumpsWhenAllWait) {
  Simulator simulator(seeded(1));
  simulator.run([] {
    int64_t start_ns = boottime_ns();
    Event never;
    EXPECT_FALSE(never.wait_until(start_ns + 3600 * kNsPerSec));
    EXPECT_GE(boottime_ns() - start_ns, 3600 * kNsPerSec);
    EXPECT_LT(boottime_ns() - start_ns, 3601 * kNsPerSec);
  });
}

// Threads that count under a lock, with yields between; the order of the turns is the result.
std::string race(uint64_t seed) {
  Simulator simulator(seeded(seed));
  std::string order;
  simulator.run([&] {
    Mutex mutex(LockRank::kUnranked);
    std::vector<Thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back("racer", [&, t] {
        for (int i = 0; i < 10; ++i) {
          {
            MutexLock lock(mutex);
            order += absl::StrCat(t, " ");
            sim_yield_point("inside");
          }
          sim_yield_point("outside");
        }
      });
    }
    for (Thread& thread : threads) thread.join();
    order += absl::StrCat(random_u64() % 1000);
  });
  return order + simulator.trace().text();
}

TEST(Simulator, TheSameSeedGivesTheSameOrderAndAnotherSeedAnother) {
  std::string first = race(7);
  EXPECT_EQ(first, race(7));
  EXPECT_NE(first, race(8));
}

TEST(Simulator, CondVarsAndEventsHandOver) {
  Simulator simulator(seeded(3));
  int consumed = 0;
  simulator.run([&] {
    Mutex mutex(LockRank::kUnranked);
    CondVar changed;
    int stock = 0;
    Event finished;
    Thread consumer("consumer", [&] {
      MutexLock lock(mutex);
      while (consumed < 100) {
        while (stock == 0) changed.wait(mutex);
        --stock;
        ++consumed;
        changed.notify_all();
      }
      finished.set();
    });
    for (int i = 0; i < 100; ++i) {
      MutexLock lock(mutex);
      while (stock == 3) changed.wait(mutex);
      ++stock;
      changed.notify_all();
    }
    EXPECT_TRUE(finished.wait_until(boottime_ns() + kNsPerSec));
    consumer.join();
  });
  EXPECT_EQ(consumed, 100);
}

TEST(Simulator, AStoppedGroupDoesNotRunUntilItsTimeHasCome) {
  Simulator simulator(seeded(9));
  simulator.run([&] {
    const GroupId group = simulator.add_group("process", 0);
    int turns = 0;
    std::atomic<bool> over = false;
    Thread thread;
    simulator.as(group, [&] {
      thread = Thread("busy", [&] {
        for (; !over; ++turns) pass(kNsPerMs);
      });
    });
    pass(10 * kNsPerMs);
    EXPECT_GT(turns, 5);
    simulator.stop(group, kNsPerSec);
    const int before = turns;
    pass(kNsPerSec / 2);
    EXPECT_EQ(turns, before);
    EXPECT_TRUE(simulator.is_stopped(group));
    pass(kNsPerSec);
    EXPECT_GT(turns, before + 100);
    over = true;
    thread.join();
  });
}

TEST(Simulator, AKilledGroupNeverRunsAgainAndWhoJoinsItGoesOn) {
  // What is killed stays behind.
  auto* simulator = new Simulator(seeded(10));
  int turns = 0;
  simulator->run([&] {
    const GroupId group = simulator->add_group("process", 0);
    Thread thread;
    simulator->as(group, [&] {
      thread = Thread("busy", [&] {
        for (;; ++turns) pass(kNsPerMs);
      });
    });
    pass(10 * kNsPerMs);
    simulator->kill(group);
    const int before = turns;
    EXPECT_GT(before, 5);
    thread.join();
    pass(kNsPerSec);
    EXPECT_EQ(turns, before);
  });
}

TEST(Simulator, TheClockOfAGroupSlipsAndItsDeadlinesWithIt) {
  Simulator simulator(seeded(11));
  simulator.run([&] {
    const GroupId fast = simulator.add_group("fast", 10'000);
    simulator.as(fast, [&] {
      const int64_t world_ns = simulator.now_ns(), own_ns = boottime_ns();
      pass(100 * kNsPerSec);
      EXPECT_GE(boottime_ns() - own_ns, 100 * kNsPerSec);
      const int64_t passed_ns = simulator.now_ns() - world_ns;
      EXPECT_LT(passed_ns, 99'100 * kNsPerMs);
      EXPECT_GT(passed_ns, 98'900 * kNsPerMs);
    });
  });
}

TEST(SimDisk, APowerCutTakesNothingThatWasSyncedOrCommitted) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Simulator simulator(seeded(seed));
    SimDisk disk(simulator, SimDiskOptions());
    simulator.run([&] {
      SimDisk::View view = disk.mount();
      server::Txn txn;
      txn.put("key", "value");
      const server::Txn* batch = &txn;
      ASSERT_TRUE(view.meta->commit_batch({&batch, 1}, server::Durability::kDurable).ok());
      std::vector<uint8_t> bytes(8192, 1);
      const server::BlockId block = 7;
      ASSERT_TRUE(view.blocks->create(block).ok());
      ASSERT_TRUE(view.blocks->pwrite(block, 0, bytes).ok());
      ASSERT_TRUE(view.blocks->sync({&block, 1}).ok());
      std::fill(bytes.begin(), bytes.end(), uint8_t{2});
      ASSERT_TRUE(view.blocks->pwrite(block, 0, bytes).ok());
      disk.crash(true);
      EXPECT_EQ(view.blocks->pread(block, 0, bytes).error(), Errno(EIO)) << "of the old server";
      SimDisk::View next = disk.mount();
      EXPECT_EQ(next.meta->get("key").value(), "value");
      ASSERT_TRUE(next.blocks->pread(block, 0, bytes).ok());
      for (uint8_t byte : bytes) ASSERT_TRUE(byte == 1 || byte == 2);
    });
  }
}

TEST(SimulatorDeath, ADeadlockNamesSeedAndThreads) {
  EXPECT_DEATH(
      {
        Simulator simulator(seeded(42));
        simulator.run([] {
          Event never;
          never.wait();
        });
      },
      "seed 42.*all threads wait.*main#0");
}

// A server and two clients over simulated wires, each with a loop of its own.
std::string echo(uint64_t seed) {
  Simulator simulator(seeded(seed));
  SimNetwork network(simulator, SimNetworkOptions());
  uv_io::set_sim_network(&network);
  int answered = 0;
  simulator.run([&] {
    uv_io::Loop::Options options;
    options.mode = uv_io::Loop::Mode::kOwnThread;
    auto server = std::move(uv_io::Loop::create(options).value());
    std::vector<std::unique_ptr<uv_io::RpcEnd>> ends;
    kj::Own<uv_io::Listener> listener;
    auto endpoint = uv_io::Endpoint::unix_path("/sim");
    server->run_sync([&] {
      auto accept = [&](kj::Own<uv_io::MessageStream> stream) {
        ends.emplace_back(new uv_io::RpcEnd(
            kj::mv(stream), uv_io::echo::Echo::Client(kj::heap<uv_io::EchoService>())));
      };
      listener = uv_io::listen(server->port(), endpoint, kj::mv(accept)).value();
    });
    std::vector<Thread> threads;
    for (int c = 0; c < 2; ++c) {
      threads.emplace_back("client", [&] {
        uv_io::Loop::Options follow;
        auto loop = std::move(uv_io::Loop::create(follow).value());
        std::unique_ptr<uv_io::RpcEnd> end;
        Event connected;
        loop->call(
            [&] {
              loop->tasks().add(uv_io::connect(loop->port(), endpoint, kNoDeadline)
                                    .then([&](uv_io::Connected&& result) {
                                      ASSERT_TRUE(result.error.ok()) << result.why;
                                      end.reset(new uv_io::RpcEnd(kj::mv(result.stream)));
                                      connected.set();
                                    }));
            },
            connected, kNoDeadline);
        for (int i = 0; i < 20; ++i) {
          Event done;
          loop->call(
              [&] {
                loop->tasks().add(
                    end->bootstrap().pingRequest().send().ignoreResult().then([&] { done.set(); }));
              },
              done, kNoDeadline);
          ++answered;
        }
        loop->run_sync([&] { end.reset(); });
        loop->stop();
      });
    }
    for (Thread& thread : threads) thread.join();
    server->run_sync([&] {
      listener = nullptr;
      ends.clear();
    });
    server->stop();
  });
  uv_io::set_sim_network(nullptr);
  EXPECT_EQ(answered, 40);
  EXPECT_GE(network.messages(), 80u);
  return simulator.trace().text();
}

TEST(SimNetwork, RpcOverSimulatedWiresIsRepeatable) {
  std::string first = echo(11);
  EXPECT_EQ(first, echo(11));
  EXPECT_NE(first, echo(12));
}

TEST(SimNetwork, ACutEndsTheConnectionAndTheNextConnectWorks) {
  Simulator simulator(seeded(5));
  SimNetwork network(simulator, SimNetworkOptions());
  uv_io::set_sim_network(&network);
  simulator.run([&] {
    uv_io::Loop::Options options;
    options.mode = uv_io::Loop::Mode::kOwnThread;
    auto loop = std::move(uv_io::Loop::create(options).value());
    auto endpoint = uv_io::Endpoint::tcp("server", 7460);
    std::vector<kj::Own<uv_io::MessageStream>> streams;
    kj::Own<uv_io::Listener> listener;
    auto connect = [&] {
      Event done;
      Errno error;
      loop->post([&] {
        loop->tasks().add(uv_io::connect(loop->port(), endpoint, kNoDeadline)
                              .then([&](uv_io::Connected&& result) {
                                error = result.error;
                                if (error.ok()) streams.push_back(kj::mv(result.stream));
                                done.set();
                              }));
      });
      done.wait();
      return error;
    };
    EXPECT_EQ(connect(), Errno(ECONNREFUSED));
    loop->run_sync([&] {
      auto accept = [&](kj::Own<uv_io::MessageStream> s) { streams.push_back(kj::mv(s)); };
      listener = uv_io::listen(loop->port(), endpoint, kj::mv(accept)).value();
    });
    EXPECT_TRUE(connect().ok());
    loop->run_sync([&] { network.cut_all(); });
    pass(kNsPerMs);  // each end learns it in its own loop
    loop->run_sync([&] {
      EXPECT_EQ(streams.size(), 2u);
      for (auto& stream : streams) EXPECT_EQ(stream->failure(), "the connection was cut");
    });
    EXPECT_TRUE(connect().ok());
    loop->run_sync([&] {
      listener = nullptr;
      streams.clear();
    });
    loop->stop();
  });
  uv_io::set_sim_network(nullptr);
}

}  // namespace
}  // namespace myfs::sim
