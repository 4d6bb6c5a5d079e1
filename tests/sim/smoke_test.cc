// Two clients and a server, 200 operations: the same seed gives the same trace, in two processes.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <myfs/testing.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"

namespace {

constexpr int kClients = 2;
constexpr int kOperationsEach = 100;
constexpr int kNames = 6;

std::string g_self;  // path of this program

// One client's work on names that both clients use.
class Worker {
 public:
  Worker(myfs::sim::Simulation& simulation, int index)
      : simulation_(simulation), task_(simulation.client(index)), index_(index) {}

  void work() {
    for (int i = 0; i < kOperationsEach; ++i) {
      std::string what = step();
      simulation_.note(absl::StrCat("client ", index_, " ", what));
    }
  }

 private:
  std::string name() {
    uint64_t which = simulation_.random(kNames);
    return which < 2 ? absl::StrCat("/d", which) : absl::StrCat("/d", which % 2, "/f", which);
  }

  std::string step() {
    std::string path = name();
    switch (simulation_.random(8)) {
      case 0:
        return absl::StrCat("mkdir ", path, " = ", myfs_mkdir(task_, path.c_str(), 0755));
      case 1:
        return write_file(path);
      case 2:
        return read_file(path);
      case 3:
        return stat_file(path);
      case 4:
        return absl::StrCat("unlink ", path, " = ", myfs_unlink(task_, path.c_str()));
      case 5: {
        std::string to = name();
        return absl::StrCat("rename ", path, " ", to, " = ",
                            myfs_rename(task_, path.c_str(), to.c_str()));
      }
      case 6:
        return absl::StrCat("rmdir ", path, " = ", myfs_rmdir(task_, path.c_str()));
      default:
        return absl::StrCat("truncate ", path, " = ", myfs_truncate(task_, path.c_str(), 3));
    }
  }

  std::string write_file(const std::string& path) {
    int fd = myfs_open(task_, path.c_str(), O_CREAT | O_RDWR, 0644);
    if (fd < 0) return absl::StrCat("create ", path, " = ", fd);
    std::string bytes(1 + simulation_.random(10'000), static_cast<char>('a' + index_));
    auto offset = static_cast<off_t>(simulation_.random(5'000));
    ssize_t written = myfs_pwrite(task_, fd, bytes.data(), bytes.size(), offset);
    int closed = myfs_close(task_, fd);
    return absl::StrCat("write ", path, " at ", offset, " = ", written, ", close = ", closed);
  }

  std::string read_file(const std::string& path) {
    int fd = myfs_open(task_, path.c_str(), O_RDONLY, 0);
    if (fd < 0) return absl::StrCat("open ", path, " = ", fd);
    char buffer[20'000];
    ssize_t got = myfs_pread(task_, fd, buffer, sizeof buffer, 0);
    size_t sum = 0;
    for (ssize_t i = 0; i < got; ++i) sum = sum * 31 + static_cast<unsigned char>(buffer[i]);
    myfs_close(task_, fd);
    return absl::StrCat("read ", path, " = ", got, " sum ", sum);
  }

  std::string stat_file(const std::string& path) {
    struct stat status {};
    int result = myfs_stat(task_, path.c_str(), &status);
    return absl::StrCat("stat ", path, " = ", result, " mode ", status.st_mode, " size ",
                        status.st_size, " nlink ", status.st_nlink, " ino ", status.st_ino);
  }

  myfs::sim::Simulation& simulation_;
  myfs_task* const task_;
  const int index_;
};

// What a run prints: its trace, and how it ended.
int run_one(uint64_t seed) {
  myfs::sim::SimulationOptions options;
  options.seed = seed;
  options.clients = kClients;
  myfs::sim::Simulation simulation(options);
  int result = simulation.run([&] {
    for (int i = 0; i < kClients; ++i) {
      simulation.spawn(absl::StrCat("client", i),
                       [&simulation, i] { Worker(simulation, i).work(); });
    }
  });
  std::cout << simulation.trace() << "ended with " << result << "\n";
  std::cout.flush();
  ::_exit(result == 0 ? 0 : 1);
}

struct Outcome {
  int status = -1;
  std::string trace;
};

Outcome run_in_process(uint64_t seed) {
  Outcome outcome;
  std::string command = absl::StrCat("'", g_self, "' --seed ", seed);
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return outcome;
  char buffer[65536];
  size_t n;
  while ((n = ::fread(buffer, 1, sizeof buffer, pipe)) > 0) outcome.trace.append(buffer, n);
  outcome.status = ::pclose(pipe);
  return outcome;
}

size_t count_notes(const std::string& trace) {
  size_t count = 0;
  for (size_t at = 0; (at = trace.find(" note client ", at)) != std::string::npos; ++at) ++count;
  return count;
}

// The first line in which two traces differ, for the message.
std::string first_difference(const std::string& a, const std::string& b) {
  size_t at = 0;
  while (at < a.size() && at < b.size() && a[at] == b[at]) ++at;
  auto line_of = [&](const std::string& text) {
    size_t begin = text.rfind('\n', at == 0 ? 0 : at - 1);
    begin = begin == std::string::npos ? 0 : begin + 1;
    return text.substr(begin, text.find('\n', at) - begin);
  };
  return absl::StrCat("at byte ", at, ":\n  ", line_of(a), "\n  ", line_of(b));
}

TEST(Smoke, TheSameSeedGivesTheSameTraceInTwoProcesses) {
  for (uint64_t seed : {1, 2, 3}) {
    Outcome first = run_in_process(seed);
    ASSERT_EQ(first.status, 0) << "seed " << seed << "\n"
                               << first.trace.substr(
                                      first.trace.size() > 2000 ? first.trace.size() - 2000 : 0);
    EXPECT_EQ(count_notes(first.trace), size_t{kClients} * kOperationsEach);
    EXPECT_NE(first.trace.find("sends "), std::string::npos);
    EXPECT_NE(first.trace.find(" runs"), std::string::npos);
    Outcome second = run_in_process(seed);
    EXPECT_EQ(first.trace.size(), second.trace.size());
    EXPECT_TRUE(first.trace == second.trace)
        << "seed " << seed << ": " << first_difference(first.trace, second.trace);
  }
}

TEST(Smoke, DifferentSeedsDiffer) { EXPECT_NE(run_in_process(4).trace, run_in_process(5).trace); }

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && ::strcmp(argv[1], "--seed") == 0) {
    return run_one(std::strtoull(argv[2], nullptr, 10));
  }
  g_self = argv[0];
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
