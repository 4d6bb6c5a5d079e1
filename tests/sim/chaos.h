// Chaos: what goes wrong in a campaign's run. Each seed draws which kinds of faults there are, so
// that some runs have one kind only and others all of them.
//
// Thread safety: simulated threads, which run one at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>

#include "tests/sim/workload.h"

namespace myfs::simtest {

enum FaultKind : uint32_t {
  kCut = 1 << 0,
  kHalfOpen = 1 << 1,
  kIsolateClient = 1 << 2,
  kIsolateServer = 1 << 3,
  kStopClient = 1 << 4,
  kStopThread = 1 << 5,
  kStopServer = 1 << 6,
  kCrashClient = 1 << 7,
  kCrashServer = 1 << 8,
  kPowerCut = 1 << 9,
  kRestart = 1 << 10,
  kSlowLink = 1 << 11,
  kSlowDisk = 1 << 12,
  kFailingDisk = 1 << 13,
  kFullDisk = 1 << 14,
  kClockSlip = 1 << 15,
  kAllFaults = (1 << 16) - 1,
};

// One run, drawn from its seed.
struct Plan {
  uint64_t seed = 0;
  uint32_t faults = 0;  // FaultKind
  int clients = 2;
  int threads = 2;  // of each client
  uint64_t operations = 5000;
  uint64_t operations_per_fault = 100;
  sim::SimulationOptions options;
  sim::SimulationDisk disk;  // while there is chaos
  Weights weights;

  // Whether a session may end against its client's will.
  bool may_lose_sessions() const {
    // One end of a cut connection may learn it only seconds later.
    if ((faults & kCut) != 0 && options.lease_term_ns < 10'000'000'000) return true;
    return (faults & ~uint32_t{kCut | kCrashClient | kSlowDisk | kFailingDisk | kFullDisk |
                               kClockSlip}) != 0;
  }
  std::string text() const;
};

Plan draw_plan(uint64_t seed, uint64_t operations, uint32_t allowed);

class Chaos {
 public:
  // `start_workers` starts the threads of a client's new process.
  Chaos(Shared& shared, const Plan& plan, std::function<void(int client)> start_workers)
      : shared_(shared), plan_(plan), start_workers_(std::move(start_workers)) {}
  // Until the workers are done.
  void work();
  // Everything that was killed runs again.
  void heal();
  uint64_t crashed_clients() const { return crashed_clients_; }
  uint64_t faults() const { return faults_; }

 private:
  uint64_t draw(uint64_t bound) { return shared_.simulation.random(bound); }
  int64_t up_to(int64_t duration_ns) {
    return 1 + static_cast<int64_t>(draw(static_cast<uint64_t>(duration_ns)));
  }
  // Terms of a lease, up to `tenths` of it.
  int64_t terms(int64_t tenths) { return up_to(plan_.options.lease_term_ns / 10 * tenths); }
  void strike();
  void strike_client(FaultKind kind, int client);
  void strike_server(FaultKind kind);
  void await_progress();
  void start_server();

  Shared& shared_;
  const Plan& plan_;
  const std::function<void(int client)> start_workers_;
  uint64_t crashed_clients_ = 0;
  uint64_t faults_ = 0;
};

}  // namespace myfs::simtest
