// SimNetwork: the wires of a simulation: messages arrive late by a seeded time, in order on one
// connection and in any order between connections.
// Kernel counterpart: net/sched/sch_netem.c on a loopback device.
// Thread safety: simulated threads only, which run one at a time.
// Owns / is owned by: owned by a test beside its Simulator; outlives every stream.
// Invariants: (1) what one end wrote before it ended arrives before the end; (2) a cut connection
// delivers nothing more, and both ends learn it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sdk/testing/simulator.h"
#include "sdk/uv/network.h"
#include "sdk/uv/sim_event_port.h"

namespace myfs::sim {

struct SimNetworkOptions {
  int64_t delay_min_ns = 20'000;
  int64_t delay_jitter_ns = 200'000;
  uint64_t slow_one_in = 50;  // one message in so many is slow
  int64_t slow_extra_ns = 5'000'000;
};

class SimStream;
class SimListener;

class SimNetwork final : public uv_io::Network {
 public:
  SimNetwork(Simulator& simulator, SimNetworkOptions options)
      : simulator_(simulator), options_(options) {}

  kj::Promise<uv_io::Connected> connect(uv_io::EventPort& port, const uv_io::Endpoint& endpoint,
                                        int64_t deadline_ns) override;
  Result<kj::Own<uv_io::Listener>> listen(uv_io::EventPort& port, const uv_io::Endpoint& endpoint,
                                          uv_io::AcceptFn on_accept) override;

  // Cuts every connection that stands now.
  void cut_all();
  uint64_t messages() const { return messages_; }

 private:
  friend class SimStream;
  friend class SimListener;
  int64_t draw_delay_ns();

  Simulator& simulator_;
  const SimNetworkOptions options_;
  std::map<std::string, SimListener*> listeners_;
  std::vector<SimStream*> streams_;  // in the order of their making
  uint32_t next_connection_ = 1;
  uint64_t messages_ = 0;
};

}  // namespace myfs::sim
