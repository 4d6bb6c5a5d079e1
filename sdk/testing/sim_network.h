// SimNetwork: the wires of a simulation: messages arrive late by a seeded time, in order on one
// connection and in any order between connections; connections break in every way known.
// Kernel counterpart: net/sched/sch_netem.c on a loopback device, iptables for the rest.
// Thread safety: simulated threads only, which run one at a time.
// Owns / is owned by: owned by a test beside its Simulator; outlives every stream.
// Invariants: (1) what one end wrote before it ended arrives before the end, unless the connection
// breaks; (2) an end fails inside its own loop only; (3) what a partition keeps back is delivered
// late and never lost: below is TCP.
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

// How a connection breaks.
enum class Cut : uint8_t {
  kBoth,          // both ends learn it at once, what is under way is lost
  kLateToServer,  // the client's end learns it; the server's gets what is under way, much later
  kLateToClient,  // the other way round
  kHalfOpen,      // nothing arrives any more, and nobody is told
};

class SimStream;
class SimListener;
struct SimConnection;

class SimNetwork final : public uv_io::Network {
 public:
  SimNetwork(Simulator& simulator, SimNetworkOptions options)
      : simulator_(simulator), options_(options) {}
  ~SimNetwork() override;

  kj::Promise<uv_io::Connected> connect(uv_io::EventPort& port, const uv_io::Endpoint& endpoint,
                                        int64_t deadline_ns) override;
  Result<kj::Own<uv_io::Listener>> listen(uv_io::EventPort& port, const uv_io::Endpoint& endpoint,
                                          uv_io::AcceptFn on_accept) override;

  // Those that stand, oldest first, which have an end in `group`: their numbers.
  std::vector<uint32_t> connections(GroupId group) const;
  void cut(uint32_t connection, Cut how);
  void cut_all();
  // Each message of the connection takes so much longer.
  void slow_down(uint32_t connection, int64_t extra_ns);
  // Nothing reaches or leaves the group for so long, and nobody of it can connect.
  void isolate(GroupId group, int64_t duration_ns);
  // After Simulator::kill: its listeners are gone, its connections end for the others, or are half
  // open if its machine died with it.
  void died(GroupId group, bool machine_too);
  uint64_t messages() const { return messages_; }

 private:
  friend class SimStream;
  friend class SimListener;
  int64_t draw_delay_ns();
  // When what stands between the groups lets messages through; at most now if nothing does.
  int64_t passable_ns(GroupId a, GroupId b) const;
  SimConnection* find(uint32_t id) const;
  void break_end(SimStream* end, int64_t after_ns, const char* why);
  void forget_dead();
  kj::Promise<uv_io::Connected> try_connect(uv_io::SimEventPort& port, uv_io::Endpoint endpoint,
                                            int64_t deadline_ns);

  Simulator& simulator_;
  const SimNetworkOptions options_;
  std::map<std::string, SimListener*> listeners_;
  std::vector<std::shared_ptr<SimConnection>> connections_;  // in the order of their making
  std::map<GroupId, int64_t> isolated_until_ns_;
  uint32_t next_connection_ = 1;
  uint64_t messages_ = 0;
};

}  // namespace myfs::sim
