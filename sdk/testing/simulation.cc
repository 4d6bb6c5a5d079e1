#include <myfs/testing.h>

#include <vector>

#include "absl/strings/str_cat.h"
#include "sdk/api/client.h"
#include "sdk/api/runtime.h"
#include "sdk/api/task.h"
#include "sdk/base/clock.h"
#include "sdk/mm/runtime.h"
#include "sdk/testing/sim_network.h"
#include "sdk/testing/simulator.h"
#include "server/server.h"
#include "server/store/memory_block_store.h"
#include "server/store/memory_meta_store.h"

namespace myfs::sim {
namespace {

constexpr char kServerPath[] = "/sim/myfs.sock";

Simulator::Options simulator_options(const SimulationOptions& options) {
  Simulator::Options result;
  result.seed = options.seed;
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

// One client: memory, loop and task of its own, as if it were a process.
struct SimClient {
  std::unique_ptr<mm::Runtime> memory;
  std::unique_ptr<api::Runtime> runtime;
  myfs_task* task = nullptr;
};

}  // namespace

struct Simulation::Impl {
  explicit Impl(const SimulationOptions& given)
      : options(given),
        simulator(simulator_options(given)),
        network(simulator, network_options(given)),
        random(given.seed ^ 0x7e57) {}

  Result<void> start_server() {
    server::ServerOptions server_options;
    server_options.meta = &meta;
    server_options.blocks = &blocks;
    server_options.listen.push_back(uv_io::Endpoint::unix_path(kServerPath));
    MYFS_ASSIGN(server, server::Server::create(std::move(server_options)));
    return ok_result();
  }

  Result<void> add_client() {
    SimClient& client = clients.emplace_back();
    mm::RuntimeOptions memory_options;
    memory_options.limit_bytes = options.client_memory_bytes;
    MYFS_ASSIGN(client.memory, mm::Runtime::create(memory_options));
    client.runtime = std::make_unique<api::Runtime>(client.memory.get());
    client.task = new myfs_task(std::make_shared<const Cred>());
    CallContext ctx{client.task->cred};
    ctx.deadline_ns = deadline_after_ns(60 * kNsPerSec);
    return api::mount_url(ctx, *client.runtime, client.task->task, client.task->clients,
                          absl::StrCat("myfs+unix:", kServerPath), "/", "");
  }

  Errno stop() {
    Errno result;
    for (SimClient& client : clients) {
      if (client.task != nullptr) {
        int error = myfs_umount(client.task, "/", 0);
        if (error < 0 && result.ok()) result = Errno(-error);
        myfs_task_destroy(client.task);
      }
      client.runtime.reset();
      client.memory.reset();
    }
    clients.clear();
    if (server != nullptr) {
      Errno error = server->shutdown();
      if (result.ok()) result = error;
      server.reset();
    }
    return result;
  }

  const SimulationOptions options;
  Simulator simulator;
  SimNetwork network;
  SimRandom random;
  server::MemoryMetaStore meta;
  server::MemoryBlockStore blocks;
  std::unique_ptr<server::Server> server;
  std::vector<SimClient> clients;
  std::vector<Thread> threads;
};

Simulation::Simulation(const SimulationOptions& options) : impl_(std::make_unique<Impl>(options)) {}

Simulation::~Simulation() = default;

int Simulation::run(const std::function<void()>& body) {
  Errno result;
  uv_io::set_sim_network(&impl_->network);
  impl_->simulator.run([&] {
    Result<void> started = impl_->start_server();
    for (int i = 0; started.ok() && i < impl_->options.clients; ++i) {
      started = impl_->add_client();
    }
    result = started.error();
    if (result.ok()) {
      body();
      join_all();
    }
    Errno stopped = impl_->stop();
    if (result.ok()) result = stopped;
  });
  uv_io::set_sim_network(nullptr);
  return -result.value();
}

myfs_task* Simulation::client(int index) { return impl_->clients[static_cast<size_t>(index)].task; }

void Simulation::spawn(std::string name, std::function<void()> body) {
  impl_->threads.emplace_back(std::move(name), std::move(body));
}

void Simulation::join_all() {
  for (Thread& thread : impl_->threads) thread.join();
  impl_->threads.clear();
}

uint64_t Simulation::random(uint64_t bound) { return impl_->random.below(bound); }
int64_t Simulation::now_ns() const { return impl_->simulator.now_ns(); }

void Simulation::sleep(int64_t duration_ns) {
  Event never;
  (void)never.wait_until(impl_->simulator.now_ns() + duration_ns);
}

void Simulation::cut_connections() { impl_->network.cut_all(); }

void Simulation::note(std::string_view line) {
  impl_->simulator.trace().add(impl_->simulator.now_ns(), "note", line);
}

std::string Simulation::trace() const { return impl_->simulator.trace().text(); }
uint64_t Simulation::digest() const { return impl_->simulator.trace().digest(); }

}  // namespace myfs::sim
