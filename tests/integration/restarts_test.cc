// The server is killed again and again below its clients, who go on: what was acknowledged is
// there, byte for byte, and the store is sound each time. Every fifth time a client of another
// process dies with it, so that the others wait until the grace is over. 10 times, 200 times with
// MYFS_LONG=1. What a caller has waited for the server's return is printed.

#include <gmock/gmock.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "tests/integration/load.h"
#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {
namespace {

using testing::IsEmpty;

std::string g_self;  // path of this program

bool is_long() {
  const char* length = std::getenv("MYFS_LONG");
  return length != nullptr && std::string(length) == "1";
}

// ---- A client that dies

std::string content_of(int number) {
  std::string text;
  for (int i = 0; i < 1 + number % 400; ++i) text += std::to_string(number + i) + ";";
  return text;
}

// Makes one file after the other, and tells the number of each that was closed without an error.
int run_client(const std::string& url, const std::string& dir, int first) {
  Client client(url);
  for (int number = first;; ++number) {
    const int result =
        client.put(dir + "/" + std::to_string(number), content_of(number), O_TRUNC | O_EXCL);
    if (result < 0) std::cout << "error " << error_text(result) << std::endl;
    if (result == 0) std::cout << number << std::endl;
  }
}

class MortalClient {
 public:
  MortalClient(std::string url, std::string dir) : url_(std::move(url)), dir_(std::move(dir)) {
    launch();
  }
  ~MortalClient() { die(); }

  // Waits until it has made another file since the call, or ends.
  void wait_for_one() {
    std::unique_lock lock(mutex_);
    const size_t before = acknowledged_.size();
    changed_.wait(lock, [&] { return acknowledged_.size() > before || ended_; });
  }
  void die() {
    if (!reader_.joinable()) return;
    program_->kill(SIGKILL);
    reader_.join();
    program_->wait();
    ++next_;  // that one may be there, or not
  }
  void launch() {
    program_ = std::make_unique<Program>();
    ended_ = false;
    ASSERT_TRUE(program_->start({g_self, "--client", url_, dir_, std::to_string(next_)}));
    reader_ = std::thread([this] { read(); });
  }
  std::vector<std::string> errors() const { return errors_; }
  std::vector<std::string> verify(Client& client) const {
    std::vector<std::string> differences;
    for (int number : acknowledged_) {
      const std::string path = dir_ + "/" + std::to_string(number), found = client.get(path);
      if (found != content_of(number)) differences.push_back(path + ": " + found.substr(0, 40));
    }
    return differences;
  }

 private:
  void read() {
    for (std::string line; program_->receive(&line);) {
      std::lock_guard lock(mutex_);
      if (line.rfind("error", 0) == 0) {
        errors_.push_back(line);
      } else {
        acknowledged_.push_back(std::stoi(line));
        next_ = acknowledged_.back() + 1;
      }
      changed_.notify_all();
    }
    std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  const std::string url_, dir_;
  std::unique_ptr<Program> program_;
  std::thread reader_;
  int next_ = 0;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  std::vector<int> acknowledged_;
  std::vector<std::string> errors_;
};

// ---- What callers wait

class Waits {
 public:
  // From before `begin`, which begins a server, until a change that waits for it was answered.
  void measure(const std::string& kind, Client& client, const std::function<void()>& begin) {
    const std::string name = "/probe" + std::to_string(count_++);
    const auto at = std::chrono::steady_clock::now();
    begin();
    EXPECT_EQ(0, myfs_mkdir(client, name.c_str(), 0755)) << last_message();
    seconds_[kind].push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - at).count());
  }
  void print(const std::string& title) const {
    std::cout << title << ": seconds until a change was answered\n";
    for (const auto& [kind, all] : seconds_) {
      double sum = 0;
      for (double seconds : all) sum += seconds;
      std::cout << "  " << kind << ": " << all.size() << " times, " << sum / all.size()
                << " on average, " << *std::max_element(all.begin(), all.end()) << " at most\n";
    }
  }

 private:
  int count_ = 0;
  std::map<std::string, std::vector<double>> seconds_;
};

// ---- The tests

// Who has kept his session has lost nothing, not even what no fsync had followed.
void expect_no_loss(Client& client, const Load& load) {
  if (client.stats().sessions_lost == 0) {
    EXPECT_EQ(0u, load.lost());
  }
}

struct Plan {
  std::vector<std::string> arguments;
  int kills = 0;
  int client_dies_every = 1;  // so many kills
  std::string title;
};

// Each transport: the server can tell that a process of its own machine has ended, and waits for a
// client over TCP only.
void kill_again_and_again(const Plan& plan) {
  TempDir dir;
  std::vector<std::string> arguments = kTcp;
  arguments.insert(arguments.end(), plan.arguments.begin(), plan.arguments.end());
  MyfsdProcess server(dir / "data", arguments);
  ASSERT_TRUE(server.start()) << server.output();
  Client one(server.url()), two(server.tcp_url()), probe(server.url());
  for (const char* name : {"/one", "/two", "/mortal"}) ASSERT_EQ(0, myfs_mkdir(one, name, 0755));
  Load first(one, "/one", 0), second(two, "/two", 3);
  MortalClient mortal(server.tcp_url(), "/mortal");
  Waits waits;
  auto start = [&] { ASSERT_TRUE(server.start()) << server.output(); };
  for (int round = 0; round < plan.kills && !testing::Test::HasFailure(); ++round) {
    // The moment differs from round to round.
    EXPECT_TRUE(first.wait_for(1 + static_cast<uint64_t>(round) * 37 % 50));
    EXPECT_TRUE(second.wait_for(1 + static_cast<uint64_t>(round) * 53 % 20));
    mortal.wait_for_one();
    const bool dies = round % plan.client_dies_every == plan.client_dies_every - 1;
    if (dies) mortal.die();
    server.kill9();
    expect_clean(server);
    waits.measure(dies ? "a client died with the server" : "all clients came back", probe, start);
    if (dies) mortal.launch();
  }
  first.stop();
  second.stop();
  mortal.die();
  EXPECT_EQ(0, server.terminate()) << server.output();
  expect_clean(server);
  waits.measure("the server was stopped in order", probe, start);
  waits.print(plan.title);
  std::cout << "  " << first.acknowledged() + second.acknowledged() << " calls, "
            << one.stats().sessions_lost + two.stats().sessions_lost << " sessions lost\n";
  expect_no_loss(one, first);
  expect_no_loss(two, second);
  EXPECT_THAT(first.errors(), IsEmpty());
  EXPECT_THAT(second.errors(), IsEmpty());
  EXPECT_THAT(mortal.errors(), IsEmpty());
  // A client's own view, another's, and that of one who comes when no session of before is left.
  EXPECT_THAT(first.verify(one), IsEmpty());
  EXPECT_THAT(second.verify(one), IsEmpty());
  server.kill9();
  ASSERT_TRUE(server.start(kForgetSessions)) << server.output();
  Client fresh(server.url());
  EXPECT_THAT(first.verify(fresh), IsEmpty());
  EXPECT_THAT(second.verify(fresh), IsEmpty());
  EXPECT_THAT(mortal.verify(fresh), IsEmpty());
}

TEST(Restarts, NothingAcknowledgedIsLostWhenTheServerDiesAgainAndAgain) {
  kill_again_and_again({.arguments = {"--lease-term", "1"},
                        .kills = is_long() ? 200 : 10,
                        .client_dies_every = 5,
                        .title = "--lease-term 1, a grace of 2.01 s"});
}

TEST(Restarts, NothingAcknowledgedIsLostWithTheDefaultTerm) {
  kill_again_and_again({.arguments = {},
                        .kills = is_long() ? 5 : 2,
                        .client_dies_every = is_long() ? 1 : 3,
                        .title = "the default term, a grace of 21.2 s"});
}

}  // namespace
}  // namespace myfs::test

int main(int argc, char** argv) {
  if (argc == 5 && std::string(argv[1]) == "--client")
    return myfs::test::run_client(argv[2], argv[3], std::atoi(argv[4]));
  myfs::test::g_self = argv[0];
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
