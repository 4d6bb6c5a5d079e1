#include <myfs/testing.h>

#include <iterator>
#include <map>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "sdk/api/client.h"
#include "sdk/api/runtime.h"
#include "sdk/api/task.h"
#include "sdk/base/clock.h"
#include "sdk/base/probe.h"
#include "sdk/mm/runtime.h"
#include "sdk/netfs/super.h"
#include "sdk/testing/sim_disk.h"
#include "sdk/testing/sim_network.h"
#include "sdk/testing/simulator.h"
#include "server/fsck.h"
#include "server/server.h"

namespace myfs::sim {
namespace {

constexpr char kServerHost[] = "server";

Simulator::Options simulator_options(const SimulationOptions& options) {
  Simulator::Options result;
  result.seed = options.seed;
  result.switch_one_in = options.switch_one_in;
  result.unlock_one_in = options.unlock_one_in;
  result.look_one_in = options.look_one_in;
  result.whole_trace = options.whole_trace;
  return result;
}

SimNetworkOptions network_options(const SimulationOptions& options) {
  SimNetworkOptions result;
  result.delay_min_ns = options.delay_min_ns;
  result.delay_jitter_ns = options.delay_jitter_ns;
  result.slow_one_in = options.slow_one_in;
  result.slow_extra_ns = options.slow_extra_ns;
  return result;
}

SimDiskOptions disk_options(const SimulationDisk& disk) {
  SimDiskOptions result;
  result.write_max_ns = disk.write_max_ns;
  result.sync_max_ns = disk.sync_max_ns;
  result.slow_one_in = disk.slow_one_in;
  result.slow_extra_ns = disk.slow_extra_ns;
  result.commit_fails_one_in = disk.commit_fails_one_in;
  result.sync_fails_one_in = disk.sync_fails_one_in;
  return result;
}

// One client: memory, loop and task of its own, as if it were a process.
struct SimClient {
  GroupId group = kWorld;
  bool lives = false;
  std::unique_ptr<mm::Runtime> memory;
  std::unique_ptr<api::Runtime> runtime;
  myfs_task* task = nullptr;
};

struct SimServer {
  GroupId group = kWorld;
  SimDisk::View view;
  std::unique_ptr<server::Server> server;  // first to go
};

}  // namespace

struct Simulation::Impl {
  explicit Impl(const SimulationOptions& given)
      : options(given),
        simulator(simulator_options(given)),
        network(simulator, network_options(given)),
        disk(simulator, disk_options(given.disk)),
        random(given.seed ^ 0x7e57),
        clients(static_cast<size_t>(given.clients)),
        fault_name(simulator.trace().intern("fault")),
        note_name(simulator.trace().intern("note")) {}

  GroupId new_group(std::string name) {
    int32_t slip = 0;
    if (options.clock_slip_max_ppm > 0) {
      auto range = static_cast<uint64_t>(options.clock_slip_max_ppm) * 2 + 1;
      slip =
          static_cast<int32_t>(simulator.world_random().below(range)) - options.clock_slip_max_ppm;
    }
    return simulator.add_group(std::move(name), slip);
  }

  Result<void> start_server() {
    server = std::make_unique<SimServer>();
    server->group = new_group("server");
    server->view = disk.mount();
    server::ServerOptions server_options;
    server_options.meta = server->view.meta.get();
    server_options.blocks = server->view.blocks.get();
    server_options.lease_term_ns = options.lease_term_ns;
    server_options.listen.push_back(uv_io::Endpoint::tcp(kServerHost, kDefaultPort));
    server_options.insecure_tcp = true;
    Errno error;
    simulator.as(server->group, [&] {
      auto made = server::Server::create(std::move(server_options));
      error = made.error();
      if (made.ok()) server->server = *std::move(made);
    });
    if (!error.ok()) server.reset();
    return error;
  }

  Errno shutdown_server() {
    Errno result;
    simulator.as(server->group, [&] {
      result = server->server->shutdown();
      server->server.reset();
    });
    server.reset();
    return result;
  }

  Result<void> start_client(size_t index) {
    SimClient& client = clients[index];
    client.group = new_group(absl::StrCat("client ", index));
    Result<void> result;
    simulator.as(client.group, [&] {
      result = mount_client(client);
      if (!result.ok()) free_client(client);
    });
    client.lives = result.ok();
    return result;
  }

  Result<void> mount_client(SimClient& client) {
    mm::RuntimeOptions memory_options;
    memory_options.limit_bytes = options.client_memory_bytes;
    MYFS_ASSIGN(client.memory, mm::Runtime::create(memory_options));
    client.runtime = std::make_unique<api::Runtime>(client.memory.get());
    client.task = new myfs_task(std::make_shared<const Cred>());
    CallContext ctx{client.task->cred};
    ctx.deadline_ns = deadline_after_ns(60 * kNsPerSec);
    return api::mount_url(ctx, *client.runtime, client.task->task, client.task->clients,
                          absl::StrCat("myfs://", kServerHost), "/", options.mount_options);
  }

  static void free_client(SimClient& client) {
    if (client.task != nullptr) myfs_task_destroy(client.task);
    client.task = nullptr;
    client.runtime.reset();
    client.memory.reset();
  }

  Errno stop_client(SimClient& client) {
    int error = 0;
    simulator.as(client.group, [&] {
      error = myfs_umount(client.task, "/", 0);
      free_client(client);
    });
    client.lives = false;
    return Errno(-error);
  }

  Errno stop_clients() {
    Errno result;
    for (SimClient& client : clients) {
      if (!client.lives) continue;
      Errno error = stop_client(client);
      if (result.ok()) result = error;
    }
    return result;
  }

  // Their threads would still use it.
  static void leak(SimClient& client) {
    (void)client.memory.release();
    (void)client.runtime.release();
    client.task = nullptr;
    client.lives = false;
  }

  void note_fault(const std::string& what) {
    simulator.trace().add(simulator.now_ns(), Trace::Kind::kFault, fault_name, 0, 0, what);
  }

  // One of the client's connections, or 0.
  uint32_t some_connection(int index) {
    std::vector<uint32_t> ids = network.connections(clients[static_cast<size_t>(index)].group);
    if (ids.empty()) return 0;
    // The oldest is the control connection more often than not: half of the time.
    SimRandom& dice = simulator.world_random();
    return dice.one_in(2) ? ids.front() : ids[dice.below(ids.size())];
  }

  const SimulationOptions options;
  Simulator simulator;
  SimNetwork network;
  SimDisk disk;
  SimRandom random;
  std::unique_ptr<SimServer> server;
  std::vector<SimClient> clients;
  std::vector<Thread> threads;
  const uint32_t fault_name;
  const uint32_t note_name;
};

Simulation::Simulation(const SimulationOptions& options) : impl_(std::make_unique<Impl>(options)) {}

Simulation::~Simulation() = default;

int Simulation::run(const std::function<void()>& body) {
  Errno result;
  uv_io::set_sim_network(&impl_->network);
  impl_->simulator.run([&] {
    Result<void> started = impl_->start_server();
    for (size_t i = 0; started.ok() && i < impl_->clients.size(); ++i) {
      started = impl_->start_client(i);
    }
    result = started.error();
    if (result.ok()) {
      body();
      join_all();
    }
    Errno stopped = impl_->stop_clients();
    if (result.ok()) result = stopped;
    if (server_lives()) stopped = impl_->shutdown_server();
    if (result.ok()) result = stopped;
  });
  uv_io::set_sim_network(nullptr);
  return -result.value();
}

myfs_task* Simulation::client(int index) { return impl_->clients[static_cast<size_t>(index)].task; }

void Simulation::spawn(std::string name, std::function<void()> body) {
  impl_->threads.emplace_back(std::move(name), std::move(body));
}

void Simulation::spawn_in(int client, std::string name, std::function<void()> body) {
  impl_->simulator.as(impl_->clients[static_cast<size_t>(client)].group,
                      [&] { spawn(std::move(name), std::move(body)); });
}

void Simulation::join_all() {
  // By index: the threads may spawn others.
  for (size_t i = 0; i < impl_->threads.size(); ++i) {
    Thread thread = std::move(impl_->threads[i]);
    thread.join();
  }
  impl_->threads.clear();
}

// ---- clients ----

void Simulation::stop_client(int index, int64_t duration_ns) {
  impl_->note_fault(
      absl::StrCat("client ", index, " is stopped for ", duration_ns / kNsPerMs, " ms"));
  impl_->simulator.stop(impl_->clients[static_cast<size_t>(index)].group, duration_ns);
}

void Simulation::stop_client_thread(int index, int64_t duration_ns) {
  impl_->note_fault(absl::StrCat("a thread of client ", index, " is stopped for ",
                                 duration_ns / kNsPerMs, " ms"));
  impl_->simulator.stop_one_thread(impl_->clients[static_cast<size_t>(index)].group, duration_ns,
                                   impl_->simulator.world_random());
}

void Simulation::crash_client(int index, bool machine_too) {
  SimClient& client = impl_->clients[static_cast<size_t>(index)];
  impl_->note_fault(absl::StrCat("client ", index, machine_too ? "'s machine" : "", " crashes"));
  impl_->simulator.kill(client.group);
  impl_->network.died(client.group, machine_too);
  Impl::leak(client);
}

bool Simulation::client_lives(int index) const {
  return impl_->clients[static_cast<size_t>(index)].lives;
}

uint64_t Simulation::sessions_lost(int index) {
  uint64_t lost = 0;
  for (const api::MountedClient& mounted : client(index)->clients->all()) {
    lost += mounted.super().client().stats().sessions_lost;
  }
  return lost;
}

int Simulation::start_client(int index) {
  impl_->note_fault(absl::StrCat("client ", index, " starts"));
  return -impl_->start_client(static_cast<size_t>(index)).error().value();
}

int Simulation::stop_clients() { return -impl_->stop_clients().value(); }

// ---- server ----

void Simulation::stop_server(int64_t duration_ns) {
  impl_->note_fault(absl::StrCat("the server is stopped for ", duration_ns / kNsPerMs, " ms"));
  impl_->simulator.stop(impl_->server->group, duration_ns);
}

void Simulation::stop_server_thread(int64_t duration_ns) {
  impl_->note_fault(
      absl::StrCat("a thread of the server is stopped for ", duration_ns / kNsPerMs, " ms"));
  impl_->simulator.stop_one_thread(impl_->server->group, duration_ns,
                                   impl_->simulator.world_random());
}

void Simulation::crash_server(bool power_cut) {
  impl_->note_fault(power_cut ? "the server's power is cut" : "the server crashes");
  impl_->simulator.kill(impl_->server->group);
  impl_->network.died(impl_->server->group, power_cut);
  impl_->disk.crash(power_cut);
  (void)impl_->server.release();  // its threads would still use it
}

int Simulation::shutdown_server() {
  impl_->note_fault("the server is shut down");
  return -impl_->shutdown_server().value();
}

int Simulation::start_server() {
  impl_->note_fault("the server starts");
  return -impl_->start_server().error().value();
}

Simulation::ServerState Simulation::server_state() {
  server::ShardStats stats = impl_->server->server->stats();
  return {.sessions = stats.sessions, .leases = stats.leases, .evictions = stats.evictions};
}

bool Simulation::server_lives() const { return impl_->server != nullptr; }

// ---- network ----

void Simulation::cut_connections() {
  impl_->note_fault("all connections are cut");
  impl_->network.cut_all();
}

void Simulation::cut_connection(int client, SimulationCut how) {
  static constexpr Cut kCuts[] = {Cut::kBoth, Cut::kLateToServer, Cut::kLateToClient,
                                  Cut::kHalfOpen};
  uint32_t id = impl_->some_connection(client);
  impl_->note_fault(absl::StrCat("connection ", id, " of client ", client, " is cut, kind ",
                                 static_cast<int>(how)));
  impl_->network.cut(id, kCuts[static_cast<size_t>(how)]);
}

void Simulation::slow_connection(int client, int64_t extra_ns) {
  uint32_t id = impl_->some_connection(client);
  impl_->note_fault(
      absl::StrCat("connection ", id, " gets slower by ", extra_ns / kNsPerUs, " us"));
  impl_->network.slow_down(id, extra_ns);
}

void Simulation::isolate_client(int index, int64_t duration_ns) {
  impl_->note_fault(
      absl::StrCat("client ", index, " is isolated for ", duration_ns / kNsPerMs, " ms"));
  impl_->network.isolate(impl_->clients[static_cast<size_t>(index)].group, duration_ns);
}

void Simulation::isolate_server(int64_t duration_ns) {
  impl_->note_fault(absl::StrCat("the server is isolated for ", duration_ns / kNsPerMs, " ms"));
  impl_->network.isolate(impl_->server->group, duration_ns);
}

// ---- disk ----

void Simulation::set_disk(const SimulationDisk& disk) {
  impl_->disk.set_options(disk_options(disk));
}

void Simulation::set_disk_full(bool full) {
  impl_->note_fault(full ? "the disk is full" : "the disk has room");
  impl_->disk.set_full(full);
}

bool Simulation::check_disk(std::string* report) {
  std::ostringstream out;
  bool clean =
      server::run_fsck(impl_->disk.meta(), impl_->disk.blocks(), out) == server::kFsckClean;
  if (!clean) *report += out.str();
  return clean;
}

// ---- the world ----

uint64_t Simulation::random(uint64_t bound) { return impl_->random.below(bound); }
int64_t Simulation::now_ns() const { return impl_->simulator.now_ns(); }

void Simulation::sleep(int64_t duration_ns) {
  Event never;
  Simulator& simulator = impl_->simulator;
  (void)never.wait_until(simulator.to_local(simulator.now_ns() + duration_ns));
}

void Simulation::note(std::string_view line) {
  impl_->simulator.trace().add(impl_->simulator.now_ns(), Trace::Kind::kNote, impl_->note_name, 0,
                               0, line);
}

std::string Simulation::trace(uint64_t lines) const { return impl_->simulator.trace().tail(lines); }
uint64_t Simulation::digest() const { return impl_->simulator.trace().digest(); }
uint64_t Simulation::switches() const { return impl_->simulator.switches(); }
uint64_t Simulation::messages() const { return impl_->network.messages(); }
void Simulation::report() { impl_->simulator.report(); }

std::vector<SimulationProbe> Simulation::probes() {
  std::map<std::string, uint64_t> counts;
  for (const Probe* probe : all_probes()) {
    counts[probe->name] += probe->count.load(std::memory_order_relaxed);
  }
  std::vector<SimulationProbe> probes;
  probes.reserve(counts.size());
  for (const auto& [name, count] : counts) probes.push_back({name, count});
  return probes;
}

}  // namespace myfs::sim
