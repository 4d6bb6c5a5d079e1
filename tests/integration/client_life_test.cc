// What happens to the process of a client, and to its network: fork, signals, cancelled threads,
// several servers, silence; and what is left at the server when it goes in order.

#include <myfs/lease.h>
#include <myfs/lost_writes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/wait.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/integration/two_clients.h"
#include "tests/support/myfsd/tcp_proxy.h"

namespace myfs::test {
namespace {

using Clock = std::chrono::steady_clock;

uint16_t port_of(const std::string& address) {
  return static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
}

class ClientLife : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(server_.start()) << server_.output(); }
  // By way of `ports` of the loopback.
  std::string url(const std::vector<uint16_t>& ports) const {
    std::string hosts;
    for (const uint16_t port : ports) {
      hosts += (hosts.empty() ? "" : ",") + ("127.0.0.1:" + std::to_string(port));
    }
    return "myfs://" + hosts + "/?secret_file=" + server_.secret_path();
  }
  uint16_t port() const { return port_of(server_.tcp_address()); }

  TempDir dir_;
  MyfsdProcess server_{dir_ / "data", kTcp};
};

// --- fork

// Threads that use `client`, each on files of its own, until they are told to stop.
class Load {
 public:
  explicit Load(Client& client) : client_(client) {
    for (int i = 0; i < kThreads; ++i) threads_.emplace_back([this, i] { run(i); });
  }
  ~Load() { stop(); }
  void stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  uint64_t rounds() const { return rounds_; }
  void wait_for_more(uint64_t count) {
    const uint64_t until = rounds_ + count;
    while (rounds_ < until) std::this_thread::yield();
  }

 private:
  static constexpr int kThreads = 3;
  void run(int i) {
    const std::string path = "/load" + std::to_string(i);
    for (uint64_t n = 0; !stop_; ++n) {
      const std::string text = pattern(1000 + n % 5000, n);
      EXPECT_EQ(0, client_.put(path, text)) << last_message();
      EXPECT_EQ(text, client_.get(path));
      EXPECT_EQ(-ENOENT, client_.find(path + "." + std::to_string(n)));
      ++rounds_;
    }
  }
  Client& client_;
  std::atomic<bool> stop_{false};
  std::atomic<uint64_t> rounds_{0};
  std::vector<std::thread> threads_;
};

// In a child: what it inherited is refused, harmless to end, and leaves exit() alone.
[[noreturn]] void end_as_child(myfs_task* task, int fd, myfs_watch* watch,
                               myfs_lost_listener* listener) {
  struct stat st;
  char byte;
  bool good = myfs_stat(task, "/load0", &st) == -ESTALE;
  good &= myfs_unwatch_invalidations(watch) == 0;
  good &= myfs_off_lost_writes(listener) == 0;
  good &= myfs_lease(task, fd, F_UNLCK, nullptr, nullptr, nullptr) == -ESTALE;
  good &= myfs_pread(task, fd, &byte, 1, 0) == -ESTALE;
  good &= myfs_close(task, fd) == -ESTALE;
  good &= myfs_task_destroy(task) == 0;
  std::exit(good ? 0 : 1);  // with all destructors and handlers
}

void fork_under_load(Client& client) {
  constexpr int kChildren = 20;
  ASSERT_EQ(0, client.put("/before", "before"));
  const int fd = client.open("/before");
  myfs_watch* watch = nullptr;
  myfs_lost_listener* listener = nullptr;
  ASSERT_EQ(0, myfs_watch_invalidations(
                   client, "/", [](void*, const myfs_invalidation*) {}, nullptr, &watch));
  ASSERT_EQ(0,
            myfs_on_lost_writes(
                client, "/", [](void*, const myfs_lost_writes*) { return 0; }, nullptr, &listener));
  ASSERT_EQ(0, myfs_lease(client, fd, F_RDLCK, nullptr, nullptr, nullptr)) << last_message();
  Load load(client);
  for (int i = 0; i < kChildren; ++i) {
    load.wait_for_more(2);
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) end_as_child(client, fd, watch, listener);
    int status = -1;
    ASSERT_EQ(child, ::waitpid(child, &status, 0));
    ASSERT_EQ(0, status) << "child " << i;
  }
  load.wait_for_more(2);
  load.stop();
  EXPECT_EQ("before", client.get(fd));
  EXPECT_EQ(F_RDLCK, myfs_lease_held(client, fd));
  EXPECT_EQ(0, myfs_unwatch_invalidations(watch));
  EXPECT_EQ(0, myfs_off_lost_writes(listener));
  EXPECT_EQ(0, myfs_close(client, fd));
  EXPECT_EQ(0u, client.stats().sessions_lost);
  EXPECT_EQ(0u, client.stats().reconnects);
}

TEST_F(ClientLife, AForkUnderLoadDisturbsNobody) {
  Client client(server_.url());
  fork_under_load(client);
}

// --- signals and cancelled threads

sigjmp_buf g_out;
void jump_out(int) { ::siglongjmp(g_out, 1); }
std::atomic<int> g_handled{0};
void count(int) { ++g_handled; }

class Handler {
 public:
  Handler(int number, void (*function)(int)) : number_(number) {
    struct sigaction action {};
    action.sa_handler = function;
    EXPECT_EQ(0, ::sigaction(number_, &action, &before_));
  }
  ~Handler() { EXPECT_EQ(0, ::sigaction(number_, &before_, nullptr)); }

 private:
  const int number_;
  struct sigaction before_ {};
};

class Interrupted : public ClientLife {
 protected:
  // Until a call waits for the silent server, its thread asleep.
  void wait_until_asleep(Client& client, std::atomic<pid_t>& thread) {
    while (thread == 0 || client.stats().active_calls == 0) std::this_thread::yield();
    const std::string file = "/proc/self/task/" + std::to_string(thread) + "/stat";
    for (;;) {
      std::string text;
      std::getline(std::ifstream(file), text);
      const size_t name_end = text.rfind(')');
      if (name_end != std::string::npos && text[name_end + 2] == 'S') return;
      std::this_thread::yield();
    }
  }
  // One that asks the server.
  static int ask(Client& client) {
    struct statfs st;
    return myfs_statfs(client, "/", &st);
  }
};

TEST_F(Interrupted, HandlersRunAndCallsGoOn) {
  const Handler handler(SIGUSR1, &count);
  Client client(server_.url());
  g_handled = 0;
  std::atomic<bool> stop{false};
  std::thread caller([&] {
    while (!stop) {
      EXPECT_EQ(0, ask(client));
      EXPECT_EQ(0, client.put("/f", "text"));
    }
  });
  for (int seen = 0; seen < 500; seen = g_handled) {
    ASSERT_EQ(0, ::pthread_kill(caller.native_handle(), SIGUSR1));
    while (g_handled == seen) std::this_thread::yield();
  }
  stop = true;
  caller.join();
}

// The call is left for good; the loop is nobody's property.
TEST_F(Interrupted, AThreadThatJumpsOutOfACallKeepsNobodyFromTheLoop) {
  const Handler handler(SIGUSR1, &jump_out);
  TcpProxy proxy(port());
  Client client(url({proxy.port()}));
  for (int round = 0; round < 10; ++round) {
    ASSERT_EQ(0, ask(client));
    proxy.stall(true);
    std::atomic<pid_t> id{0};
    std::atomic<bool> jumped{false};
    std::thread caller([&] {
      if (sigsetjmp(g_out, 1) == 0) {
        id = ::gettid();
        (void)ask(client);
      } else {
        jumped = true;
      }
    });
    wait_until_asleep(client, id);
    ASSERT_EQ(0, ::pthread_kill(caller.native_handle(), SIGUSR1));
    caller.join();
    EXPECT_TRUE(jumped);
    proxy.stall(false);
  }
  EXPECT_EQ(0, ask(client)) << last_message();
  EXPECT_EQ(0, client.put("/f", "text"));
  EXPECT_EQ("text", client.get("/f"));
  EXPECT_EQ(0u, client.stats().sessions_lost);
}

// A blocking handler keeps its own thread.
TEST_F(Interrupted, AHandlerThatWaitsForAnotherCallGetsIt) {
  static Client* used = nullptr;
  static std::atomic<int> answer{1};
  const Handler handler(SIGUSR1, [](int) {
    std::thread other([] { answer = ask(*used); });
    other.join();
  });
  TcpProxy proxy(port());
  Client client(url({proxy.port()})), direct(server_.url());
  used = &direct;
  proxy.stall(true);
  std::atomic<pid_t> id{0};
  std::thread caller([&] {
    id = ::gettid();
    EXPECT_EQ(0, ask(client));
  });
  wait_until_asleep(client, id);
  ASSERT_EQ(0, ::pthread_kill(caller.native_handle(), SIGUSR1));
  while (answer == 1) std::this_thread::yield();
  proxy.stall(false);
  caller.join();
  EXPECT_EQ(0, answer);
}

// A cancelled thread ends its call, then itself.
TEST_F(Interrupted, ACancelledThreadLeavesTheLoopToOthers) {
  TcpProxy proxy(port());
  Client client(url({proxy.port()}));
  for (int round = 0; round < 10; ++round) {
    proxy.stall(true);
    static std::atomic<pid_t> id;
    static std::atomic<int> result;
    id = 0;
    result = 1;
    pthread_t thread;
    auto body = [](void* of) -> void* {
      id = ::gettid();
      result = ask(*static_cast<Client*>(of));
      ::pthread_testcancel();
      return nullptr;
    };
    ASSERT_EQ(0, ::pthread_create(&thread, nullptr, body, &client));
    wait_until_asleep(client, id);
    ASSERT_EQ(0, ::pthread_cancel(thread));
    proxy.stall(false);
    void* end = nullptr;
    ASSERT_EQ(0, ::pthread_join(thread, &end));
    EXPECT_EQ(PTHREAD_CANCELED, end);
    EXPECT_EQ(0, result);
    EXPECT_EQ(0, ask(client));
  }
  EXPECT_EQ(0u, client.stats().sessions_lost);
}

// --- servers and silence

TEST_F(ClientLife, AddressesAreTriedInTurn) {
  uint16_t nobody;
  {
    TcpProxy gone(port());
    nobody = gone.port();
  }
  auto first = std::make_unique<TcpProxy>(port());
  TcpProxy second(port());
  Client client(url({nobody, first->port(), second.port()}));
  ASSERT_EQ(0, client.put("/f", "first"));
  const int fd = client.open("/f", O_RDWR);
  EXPECT_LT(0u, first->forwarded());
  EXPECT_EQ(0u, second.forwarded());
  first.reset();
  ASSERT_EQ(5, myfs_pwrite(client, fd, "other", 5, 0));
  EXPECT_EQ(0, myfs_fsync(client, fd)) << last_message();
  EXPECT_LT(0u, second.forwarded());
  EXPECT_EQ(0, myfs_close(client, fd));
  EXPECT_EQ("other", client.get("/f"));
  EXPECT_EQ(0u, client.stats().sessions_lost);
  EXPECT_LT(0u, client.stats().reconnects);
}

TEST_F(ClientLife, SoftGivesUpAfterTimeoutAndHardWaits) {
  TcpProxy proxy(port());
  Client soft(url({proxy.port()}) + "&soft&timeout=300ms"), hard(url({proxy.port()}));
  proxy.stall(true);
  const auto begin = Clock::now();
  struct statfs st;
  EXPECT_EQ(-ETIMEDOUT, myfs_statfs(soft, "/", &st));
  myfs_error error{};
  error.size = sizeof error;
  ASSERT_EQ(0, myfs_last_error(&error));
  EXPECT_EQ(0, error.in_doubt) << "a query changes nothing";
  EXPECT_EQ(-ETIMEDOUT, myfs_mkdir(soft, "/d", 0755));
  ASSERT_EQ(0, myfs_last_error(&error));
  EXPECT_EQ(1, error.in_doubt);
  EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(600));
  std::atomic<bool> over{false};
  std::thread waiting([&] {
    EXPECT_EQ(0, myfs_mkdir(hard, "/hard", 0755)) << last_message();
    over = true;
  });
  while (hard.stats().active_calls == 0) std::this_thread::yield();
  // As long as that of another one whose patience has an end.
  EXPECT_EQ(-ETIMEDOUT, myfs_statfs(soft, "/", &st));
  EXPECT_FALSE(over);
  proxy.stall(false);
  waiting.join();
  Client fresh(server_.url());
  EXPECT_EQ(0, fresh.find("/hard"));
  // What was in doubt has happened, or not; it is one of both for everybody.
  while (soft.find("/d") == -ETIMEDOUT) std::this_thread::yield();
  EXPECT_EQ(fresh.find("/d"), soft.find("/d"));
}

// --- the orderly end

TEST_F(ClientLife, WhoUnmountsInOrderKeepsNoLease) {
  constexpr int kFiles = 50;
  Client stays(server_.url());
  auto told = [&] {
    std::vector<char> buffer(1 << 20);
    EXPECT_LT(0, myfs_stats_json(stays, buffer.data(), buffer.size()));
    return nlohmann::json::parse(buffer.data())["mounts"][0]["server"];
  };
  const auto name = [](int i) { return "/f" + std::to_string(i); };
  for (int i = 0; i < kFiles; ++i) ASSERT_EQ(0, stays.put(name(i), "old"));
  {
    Client leaves(server_.url());
    for (int i = 0; i < kFiles; ++i) {
      ASSERT_EQ("old", leaves.get(name(i)));
      ASSERT_EQ(0, leaves.put(name(i), "new"));
    }
    EXPECT_LT(kFiles, leaves.stats().leases);
    EXPECT_EQ(2, told()["sessions"]);
    EXPECT_EQ(0, leaves.end());
  }
  const nlohmann::json before = told();
  EXPECT_EQ(1, before["sessions"]);
  EXPECT_GE(stays.stats().leases, before["leases"].get<uint64_t>());
  for (int i = 0; i < kFiles; ++i) {
    EXPECT_EQ("new", stays.get(name(i)));
    ASSERT_EQ(0, stays.put(name(i), "mine"));
  }
  EXPECT_EQ(before["recalls"], told()["recalls"]) << "somebody had to be asked";
}

}  // namespace
}  // namespace myfs::test
