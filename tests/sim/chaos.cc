#include "tests/sim/chaos.h"

#include <array>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace myfs::simtest {
namespace {

constexpr int kBootsMax = 20;
constexpr int64_t kMs = 1'000'000, kSecond = 1'000'000'000;
constexpr const char* kFaultNames[] = {
    "cut",         "half-open",    "isolate-client", "isolate-server", "stop-client", "stop-thread",
    "stop-server", "crash-client", "crash-server",   "power-cut",      "restart",     "slow-link",
    "slow-disk",   "failing-disk", "full-disk",      "clock-slip"};

// Draws for the plan alone, so that what a run does later does not depend on how it was drawn.
class Dice {
 public:
  explicit Dice(uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15 + 0x1234567) {}
  uint64_t draw(uint64_t bound) {
    state_ += 0x9e3779b97f4a7c15;
    uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % bound;
  }
  template <typename T, size_t n>
  T one_of(const T (&values)[n]) {
    return values[draw(n)];
  }

 private:
  uint64_t state_;
};

// One run in eight has no fault, two have one kind, four some, one all.
uint32_t draw_faults(Dice& dice, uint32_t allowed) {
  uint64_t how = dice.draw(8);
  if (how == 0) return 0;
  if (how == 1) return allowed;
  uint32_t faults = 0;
  if (how <= 3) {
    while (allowed != 0 && (faults & allowed) == 0) faults = uint32_t{1} << dice.draw(16);
    return faults & allowed;
  }
  for (uint32_t bit = 1; bit <= kClockSlip; bit <<= 1) {
    if (dice.draw(3) == 0) faults |= bit;
  }
  return faults & allowed;
}

}  // namespace

std::string Plan::text() const {
  std::string text =
      absl::StrCat(clients, " clients of ", threads, " threads, term ", options.lease_term_ns / kMs,
                   " ms, memory ", options.client_memory_bytes >> 10, " KiB, faults:");
  for (size_t i = 0; i < std::size(kFaultNames); ++i) {
    if ((faults >> i & 1) != 0) absl::StrAppend(&text, " ", kFaultNames[i]);
  }
  return text;
}

Plan draw_plan(uint64_t seed, uint64_t operations, uint32_t allowed) {
  Dice dice(seed);
  Plan plan;
  plan.seed = seed;
  plan.operations = operations;
  plan.faults = draw_faults(dice, allowed);
  plan.clients = static_cast<int>(2 + dice.draw(3));
  plan.threads = static_cast<int>(1 + dice.draw(2));
  plan.operations_per_fault = dice.one_of({50u, 100u, 300u});
  sim::SimulationOptions& options = plan.options;
  options.seed = seed;
  options.clients = plan.clients;
  options.client_memory_bytes = dice.one_of({size_t{512} << 10, size_t{1} << 20, size_t{8} << 20});
  options.lease_term_ns = dice.one_of({1 * kSecond, 2 * kSecond, 5 * kSecond, 20 * kSecond});
  options.delay_jitter_ns = dice.one_of({100'000, 500'000, 3'000'000});
  options.slow_one_in = dice.one_of({20u, 50u, 200u});
  options.unlock_one_in = dice.one_of({0u, 16u, 64u, 256u});
  options.look_one_in = dice.one_of({0u, 16u, 64u});
  options.mount_options = dice.one_of(
      {"", "connections=1", "connections=4", "wsize=4K", "wsize=8K,rsize=8K", "write_policy=sync"});
  if ((plan.faults & kClockSlip) != 0) options.clock_slip_max_ppm = 4000;
  if ((plan.faults & kSlowDisk) != 0) plan.disk.slow_one_in = 50;
  if ((plan.faults & kFailingDisk) != 0) {
    plan.disk.commit_fails_one_in = 300;
    plan.disk.sync_fails_one_in = 100;
  }
  return plan;
}

void Chaos::await_progress() {
  const uint64_t until = shared_.operations + 1 + draw(2 * plan_.operations_per_fault);
  const int64_t deadline_ns = shared_.simulation.now_ns() + 60 * kSecond;
  while (!shared_.over && shared_.operations < until && shared_.simulation.now_ns() < deadline_ns) {
    shared_.simulation.sleep(up_to(2 * kMs));
  }
}

void Chaos::work() {
  shared_.simulation.set_disk(plan_.disk);
  std::vector<FaultKind> kinds;
  for (uint32_t bit = 1; bit <= kClockSlip; bit <<= 1) {
    if ((plan_.faults & bit) != 0) kinds.push_back(static_cast<FaultKind>(bit));
  }
  while (!shared_.over && !kinds.empty()) {
    await_progress();
    if (shared_.over) break;
    ++faults_;
    FaultKind kind = kinds[draw(kinds.size())];
    constexpr uint32_t kOfServer =
        kIsolateServer | kStopServer | kCrashServer | kPowerCut | kRestart | kFullDisk;
    if ((kind & kOfServer) != 0) {
      strike_server(kind);
    } else {
      strike_client(kind, static_cast<int>(draw(static_cast<uint64_t>(plan_.clients))));
    }
  }
}

void Chaos::strike_client(FaultKind kind, int client) {
  sim::Simulation& simulation = shared_.simulation;
  if (!simulation.client_lives(client)) return;
  switch (kind) {
    case kCut:
      if (draw(4) == 0) return simulation.cut_connections();
      return simulation.cut_connection(client, static_cast<sim::SimulationCut>(draw(3)));
    case kHalfOpen:
      return simulation.cut_connection(client, sim::SimulationCut::kHalfOpen);
    case kIsolateClient:
      return simulation.isolate_client(client, terms(draw(3) == 0 ? 30 : 8));
    case kStopClient:
      return simulation.stop_client(client, terms(draw(3) == 0 ? 30 : 8));
    case kStopThread:
      if (draw(4) == 0) return simulation.stop_server_thread(up_to(kSecond));
      return simulation.stop_client_thread(client, terms(15));
    case kSlowLink:
      return simulation.slow_connection(client, up_to(100 * kMs));
    case kCrashClient: {
      simulation.crash_client(client, draw(2) == 0);
      ++crashed_clients_;
      simulation.sleep(terms(15));
      int error = simulation.start_client(client);
      for (int i = 0; error != 0 && i < kBootsMax; ++i) error = simulation.start_client(client);
      if (error == 0) return start_workers_(client);
      shared_.faults.push_back(absl::StrCat("client ", client, " does not start: ", error));
      return;
    }
    default:
      return;
  }
}

// A disk that fails may do so at the boot; not for ever.
void Chaos::start_server() {
  int error = shared_.simulation.start_server();
  for (int i = 0; error != 0 && i < kBootsMax && (plan_.faults & kFailingDisk) != 0; ++i) {
    error = shared_.simulation.start_server();
  }
  if (error != 0) shared_.faults.push_back(absl::StrCat("the server does not start: ", error));
}

void Chaos::strike_server(FaultKind kind) {
  sim::Simulation& simulation = shared_.simulation;
  switch (kind) {
    case kIsolateServer:
      return simulation.isolate_server(terms(15));
    case kStopServer:
      return simulation.stop_server(terms(15));
    case kCrashServer:
    case kPowerCut:
      simulation.crash_server(kind == kPowerCut);
      simulation.sleep(terms(15));
      return start_server();
    case kRestart: {
      int error = simulation.shutdown_server();
      bool excused = (plan_.faults & (kFailingDisk | kFullDisk)) != 0;
      if (error != 0 && !excused) {
        shared_.faults.push_back(absl::StrCat("the server does not stop in order: ", error));
      }
      simulation.sleep(terms(5));
      return start_server();
    }
    case kFullDisk:
      simulation.set_disk_full(true);
      simulation.sleep(up_to(kSecond));
      return simulation.set_disk_full(false);
    default:
      return;
  }
}

void Chaos::heal() {
  sim::Simulation& simulation = shared_.simulation;
  simulation.set_disk_full(false);
  simulation.set_disk({});
  simulation.sleep(5 * plan_.options.lease_term_ns);
  if (!simulation.server_lives()) start_server();
}

}  // namespace myfs::simtest
