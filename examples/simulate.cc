// Two simulated clients of one simulated server read and write a register while connections are
// cut, and what they were told is checked. A frame for tests of crash paths of your own.
//
// simulate [SEED]     the same seed gives the same execution
#include <fcntl.h>
#include <myfs/linearizability.h>
#include <myfs/testing.h>

#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

using myfs::lin::Recorder;
using myfs::sim::Simulation;

// 20 times: reads the register, or writes what nobody else writes.
void work(Simulation& simulation, Recorder& recorder, int client) {
  myfs_task* task = simulation.client(client);
  const std::string name = "client" + std::to_string(client);
  int fd = myfs_open(task, "/cell", O_RDWR | O_SYNC, 0);
  for (int i = 0; i < 20; ++i) {
    if (simulation.random(2) == 0) {
      std::string bytes(4, '.');
      uint64_t id = recorder.invoke(name, "register:cell", {"read"});
      ssize_t n = myfs_pread(task, fd, bytes.data(), bytes.size(), 0);
      if (n < 0) {
        recorder.without_effect(id);
      } else {
        recorder.returned(id, {bytes.substr(0, static_cast<size_t>(n))});
      }
    } else {
      std::string bytes = std::to_string(client * 100 + i + 1000);
      uint64_t id = recorder.invoke(name, "register:cell", {"write", bytes});
      ssize_t n = myfs_pwrite(task, fd, bytes.data(), bytes.size(), 0);
      if (n == 4) {
        recorder.returned(id, {"ok"});
      } else {
        recorder.unknown(id, "failed");
      }
    }
    if (simulation.random(10) == 0) simulation.cut_connections();
  }
  myfs_close(task, fd);
}

}  // namespace

int main(int argc, char** argv) {
  myfs::sim::SimulationOptions options;
  options.seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  Simulation simulation(options);
  Recorder recorder;
  int result = simulation.run([&] {
    myfs_close(simulation.client(0), myfs_creat(simulation.client(0), "/cell", 0644));
    for (int client = 0; client < options.clients; ++client) {
      simulation.spawn("client" + std::to_string(client),
                       [&, client] { work(simulation, recorder, client); });
    }
  });
  if (result < 0) std::printf("seed %llu: error %d\n", (unsigned long long)options.seed, -result);
  myfs::lin::CheckResult checked = myfs::lin::check(recorder.history());
  bool good = checked.outcome == myfs::lin::Outcome::kLinearizable;
  std::printf("%zu operations: %s\n%s", checked.operations, good ? "linearizable" : "wrong",
              checked.report.c_str());
  return result == 0 && good ? 0 : 1;
}
