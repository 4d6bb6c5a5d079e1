// Four client processes on shared registers, logs, names and locks, while clients and the server
// are killed and connections are cut, delayed and stopped: what all of them were told must be
// linearizable. 1000 operations a client, 10 000 with MYFS_LONG=1.
//
// What is promised, and therefore recorded as an operation:
//   - Names and locks: the call itself. Nobody sees what is not durable, so a result that was
//     returned, or that somebody else was shown, outlives a crash of the server.
//   - Bytes: a write together with the fsync, O_SYNC or close that makes it durable; it returns
//     with that. In between it may be in the cache of its writer alone, and is lost with a crash of
//     either side; but others are shown it only after it was written back and made durable, so
//     whatever they have read stays. Its writer would read it before, so a client reads none of its
//     own bytes until then.
//   - Unknown outcomes: a write that failed with EIO; another change that failed in doubt; what
//     was under way when its client was killed. A change that failed otherwise has had no effect,
//     and `in_doubt` of myfs_last_error() is believed.
//   - link(2) by path is two operations in POSIX, a look-up and the link of what was found; so it
//     is recorded as these two.
//   - A listing of a small directory is one moment, which POSIX does not ask for.
//   - Locks go with the session, which outlives a crash of the server: at an unknown time after the
//     client has died or was cut off; or at any time, as often as a client that was too slow to
//     renew its lease, or to come back while it was waited for, says that it has lost its session.

#include <gmock/gmock.h>
#include <myfs/linearizability.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <thread>

#include "tests/integration/recording_client.h"
#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/tcp_proxy.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {
namespace {

using ::testing::IsEmpty;

constexpr int kClients = 4;
constexpr int kKilled = 2;       // the client that is killed again and again
constexpr int kPartitioned = 3;  // the client behind the proxy

constexpr char kFailed[] = "linearizability-failed.history";  // in the working directory

std::string g_self;  // path of this program

int operations_each() {
  const char* length = std::getenv("MYFS_LONG");
  return length != nullptr && std::string(length) == "1" ? 10'000 : 1000;
}

// ---- A client process ----

struct ClientArguments {
  std::string url, name, history;
  int first = 0, operations = 0;

  std::vector<std::string> command() const {
    return {
        g_self, "--client", url, name, history, std::to_string(first), std::to_string(operations)};
  }
};

// Tells on stdout "at N" before operation N, "lost" for each session, and "error TEXT".
int run_client(const ClientArguments& arguments) {
  std::unique_ptr<lin::Recorder> recorder;
  if (lin::Recorder::open(arguments.history, &recorder) != 0) return 1;
  Client client(arguments.url);
  auto seed = std::hash<std::string>()(arguments.name);
  RecordingClient worker(client, *recorder, arguments.name, seed);
  size_t told = 0;
  uint64_t lost = 0;
  auto tell_lost = [&] {
    for (const uint64_t now = client.stats().sessions_lost; lost < now; ++lost) {
      std::cout << "lost" << std::endl;
    }
  };
  for (int i = arguments.first; i < arguments.operations; ++i) {
    std::cout << "at " << i << std::endl;
    worker.step(i);
    tell_lost();
    for (; told < worker.errors().size(); ++told) {
      std::cout << "error " << worker.errors()[told] << std::endl;
    }
  }
  if (recorder->error() != 0) std::cout << "error the history cannot be written" << std::endl;
  // What was lost is told once to each open file, the last time at its close.
  int result = worker.end();
  return result == 0 || result == -EIO ? 0 : 1;
}

// ---- All of them, and the server ----

class Cluster {
 public:
  explicit Cluster(int operations)
      : operations_(operations),
        server_(dir_ / "data", {"--listen", "tcp:127.0.0.1:0", "--lease-term", "1"}) {}
  ~Cluster() {
    for (Member& member : members_) {
      member.program.kill(SIGKILL);
      if (member.reader.joinable()) member.reader.join();
    }
  }

  void start() {
    ASSERT_TRUE(server_.start()) << server_.output();
    std::string address = server_.tcp_address();
    proxy_ = std::make_unique<TcpProxy>(
        static_cast<uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
    {
      Client client(server_.url());
      lin::Recorder unused;
      RecordingClient maker(client, unused, "maker", 0);
      ASSERT_TRUE(maker.make_objects()) << ::testing::PrintToString(maker.errors());
    }
    std::string by_proxy = "myfs://127.0.0.1:" + std::to_string(proxy_->port()) +
                           "/?connections=4&secret_file=" + server_.secret_path();
    const std::string urls[] = {server_.url(), server_.tcp_url(), server_.url(), by_proxy};
    for (int i = 0; i < kClients; ++i) {
      members_[i].arguments.url = urls[i];
      launch(i);
    }
  }

  // Waits until the clients have done `count` operations more than now in all, without those of
  // `but`; or are at their end.
  void wait_for(int count, int but = -1) {
    std::unique_lock lock(mutex_);
    int goal = total(but) + count;
    changed_.wait(lock, [&] { return total(but) >= goal || ended(but); });
  }
  bool ended() {
    std::lock_guard lock(mutex_);
    return ended(-1);
  }

  void kill_client() {
    Member& member = members_[kKilled];
    {
      std::lock_guard lock(mutex_);
      if (member.ended) return;
      member.killed = true;
    }
    forget_locks(kKilled, faults_);
    member.program.kill(SIGKILL);
    member.reader.join();
    member.program.wait();
    launch(kKilled);
  }

  void kill_server() {
    server_.kill9();
    ASSERT_TRUE(server_.start()) << server_.output();
  }

  // Nothing goes to the client or comes from it, while the others do `count` operations.
  void partition(int count, bool with_restart) {
    forget_locks(kPartitioned, faults_);
    proxy_->stall(true);
    wait_for(count, kPartitioned);
    if (with_restart) kill_server();
    wait_for(count, kPartitioned);
    proxy_->stall(false);
  }

  TcpProxy& proxy() { return *proxy_; }

  // Everybody has done what he had to; then the server dies once more.
  void finish() {
    for (Member& member : members_) {
      member.reader.join();
      EXPECT_EQ(0, member.program.wait()) << member.arguments.name;
    }
    server_.kill9();
    ProgramResult fsck = server_.fsck();
    EXPECT_EQ(0, fsck.status) << fsck.out << fsck.err;
    ASSERT_TRUE(server_.start()) << server_.output();
    Client client(server_.url());
    RecordingClient last(client, last_, "last", 0);
    last.query_all(logs_for(operations_));
    EXPECT_THAT(last.errors(), IsEmpty());
    EXPECT_THAT(errors_, IsEmpty());
  }

  // What all of them have recorded.
  lin::History history() {
    lin::History all = faults_.history();
    for (const std::string& file : files_) {
      std::string why;
      EXPECT_EQ(0, lin::read_history(file, &all, &why)) << file << " " << why;
    }
    for (lin::Operation& operation : last_.history().operations) {
      all.operations.push_back(std::move(operation));
    }
    for (const lin::Operation& operation : losses_.history().operations) {
      auto lost = lost_.find(operation.client);
      if (lost != lost_.end()) all.operations.insert(all.operations.end(), lost->second, operation);
    }
    return all;
  }

 private:
  struct Member {
    ClientArguments arguments;
    Program program;
    std::thread reader;
    int at = 0;  // operations done
    bool killed = false;
    bool ended = false;  // by itself
  };

  int total(int but) const {
    int sum = 0;
    for (int i = 0; i < kClients; ++i) sum += i == but ? 0 : members_[i].at;
    return sum;
  }
  bool ended(int but) const {
    bool all = true;
    for (int i = 0; i < kClients; ++i) all = all && (i == but || members_[i].ended);
    return all;
  }

  // The client of this place, or the next one in its place.
  void launch(int place) {
    Member& member = members_[place];
    member.arguments.name = "c" + std::to_string(place) + std::string(1, 'a' + lives_[place]++);
    member.arguments.history = dir_ / (member.arguments.name + ".history");
    member.arguments.first = member.at;
    member.arguments.operations = operations_;
    member.killed = false;
    files_.push_back(member.arguments.history);
    forget_locks(place, losses_);
    ASSERT_TRUE(member.program.start(member.arguments.command()));
    member.reader = std::thread([this, &member] { read(&member); });
  }

  void read(Member* member) {
    for (std::string line; member->program.receive(&line);) {
      std::lock_guard lock(mutex_);
      if (line.rfind("at ", 0) == 0) {
        member->at = std::stoi(line.substr(3));
      } else if (line == "lost") {
        ++lost_[member->arguments.name];
      } else {
        errors_.push_back(line);
      }
      changed_.notify_all();
    }
    std::lock_guard lock(mutex_);
    member->ended = !member->killed;
    changed_.notify_all();
  }

  // Records that the client's locks may go from now on.
  void forget_locks(int place, lin::Recorder& recorder) {
    const std::string& name = members_[place].arguments.name;
    for (int i = 0; i < kLocks; ++i) {
      (void)recorder.invoke(name, "lock:" + std::to_string(i), {"die", name});
    }
  }

  const int operations_;
  TempDir dir_;
  MyfsdProcess server_;
  std::unique_ptr<TcpProxy> proxy_;
  lin::Recorder faults_, last_;
  lin::Recorder losses_;  // of locks, since the beginning of each client
  std::vector<std::string> files_;
  int lives_[kClients] = {};

  std::mutex mutex_;
  std::condition_variable changed_;
  Member members_[kClients];
  std::vector<std::string> errors_;
  std::map<std::string, size_t> lost_;  // sessions, by client
};

// ---- The tests ----

void faults(Cluster& cluster) {
  const int pause = 150;
  for (int round = 0; !cluster.ended() && !::testing::Test::HasFatalFailure(); ++round) {
    cluster.wait_for(pause);
    cluster.proxy().delay(round % 3, round % 2);
    cluster.proxy().cut();
    cluster.wait_for(pause);
    cluster.kill_client();
    cluster.wait_for(pause);
    cluster.kill_server();
    cluster.wait_for(pause);
    cluster.partition(pause, round % 2 == 1);
    cluster.wait_for(4 * pause);
  }
}

std::string counts(const lin::History& history) {
  std::map<std::string, std::pair<int, int>> by_type;
  for (const lin::Operation& operation : history.operations) {
    auto& [all, open] = by_type[operation.object.substr(0, operation.object.find(':'))];
    ++all;
    open += operation.open();
  }
  std::string text;
  for (const auto& [type, count] : by_type) {
    text +=
        type + " " + std::to_string(count.first) + " (" + std::to_string(count.second) + " open) ";
  }
  return text;
}

// The check would see it: what the last client has read is replaced by what was there before, or
// by nothing.
void expect_noticed(const lin::History& history, const std::string& type) {
  lin::History changed = history;
  for (lin::Operation& operation : changed.operations) {
    if (operation.client != "last" || operation.result.empty()) continue;
    if (operation.object.rfind(type, 0) != 0) continue;
    operation.result.pop_back();
    if (type == "register") operation.result = {""};
    if (type == "names") operation.result.pop_back();
    lin::CheckResult result = lin::check(changed);
    EXPECT_EQ(lin::Outcome::kNotLinearizable, result.outcome) << type;
    EXPECT_EQ(operation.object, result.object);
    return;
  }
  ADD_FAILURE() << "the last client has read no " << type;
}

TEST(Linearizability, WhatClientsAreToldUnderFaultsHasAnOrder) {
  using Clock = std::chrono::steady_clock;
  auto seconds = [](Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
  };
  Cluster cluster(operations_each());
  auto begin = Clock::now();
  ASSERT_NO_FATAL_FAILURE(cluster.start());
  ASSERT_NO_FATAL_FAILURE(faults(cluster));
  ASSERT_NO_FATAL_FAILURE(cluster.finish());
  double took = seconds(begin);
  lin::History history = cluster.history();
  begin = Clock::now();
  lin::CheckResult result = lin::check(history);
  std::cout << counts(history) << "in " << took << " s; checked in " << seconds(begin) << " s, "
            << result.objects << " objects, " << result.steps << " steps, " << result.peak_bytes
            << " bytes\n";
  if (result.outcome != lin::Outcome::kLinearizable) {
    std::ofstream(kFailed) << lin::to_text(history);
    FAIL() << result.report << "the history is in " << kFailed;
  }
  for (const char* type : {"register", "log", "names"}) expect_noticed(history, type);
}

}  // namespace
}  // namespace myfs::test

int main(int argc, char** argv) {
  using myfs::test::ClientArguments;
  if (argc == 7 && std::string(argv[1]) == "--client") {
    ClientArguments arguments{argv[2], argv[3], argv[4], std::atoi(argv[5]), std::atoi(argv[6])};
    return myfs::test::run_client(arguments);
  }
  myfs::test::g_self = argv[0];
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
