// Simulation: a MyFS server and some clients inside one process, under a seeded scheduler and a
// clock that jumps: the same seed gives the same execution, byte for byte.
//
// The code is the real one: the server with in-memory stores, the clients behind <myfs/myfs.h>.
// Threads are real ones of which one runs at a time; the network delays messages and lets those of
// different connections overtake each other. What a test draws from random() and what it does
// repeats as well, as long as it does not ask the real world (time, pointers, thread ids).
//
// Link MyFS::testing (libmyfs-testing.so) instead of MyFS::myfs: it has all of libmyfs, and the
// clients are in it. <myfs/history.h> records what they are told, on the simulated clock, and
// <myfs/linearizability.h> checks it.
//
// A process runs one simulation: threads that MyFS keeps for the life of a process belong to it.
// Run several seeds in several processes.
//
// Thread safety: everything only from simulated threads (the body of run() and those of spawn()),
// but the constructor, run(), trace() and digest(), which the process's own thread calls.
#pragma once

#include <myfs/myfs.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace myfs::sim {

struct SimulationOptions {
  uint64_t seed = 1;
  int clients = 2;                       // 1..64
  size_t client_memory_bytes = 8 << 20;  // page cache of each client
  int64_t delay_min_ns = 20'000;         // of a message
  int64_t delay_jitter_ns = 200'000;
  uint64_t slow_one_in = 50;  // one message in so many takes slow_extra_ns more; 0: none
  int64_t slow_extra_ns = 5'000'000;
};

class MYFS_API Simulation {
 public:
  explicit Simulation(const SimulationOptions& options);
  ~Simulation();
  Simulation(const Simulation&) = delete;
  Simulation& operator=(const Simulation&) = delete;

  // Starts the server, mounts the clients at "/", runs `body` as a simulated thread, unmounts and
  // stops. Returns 0 or -errno of what failed outside of `body`. At most once in a process.
  int run(const std::function<void()>& body);

  // The task of client `index`, with credentials uid 0. Owned by the simulation.
  myfs_task* client(int index);
  // Starts a simulated thread; run() joins those that are left when the body returns.
  void spawn(std::string name, std::function<void()> body);
  void join_all();

  // A number in [0, bound), from the seed.
  uint64_t random(uint64_t bound);
  // The simulated clock.
  int64_t now_ns() const;
  // Lets `duration_ns` pass.
  void sleep(int64_t duration_ns);
  // Cuts every connection that stands now.
  void cut_connections();
  // Adds a line to the trace: an operation and its result.
  void note(std::string_view line);

  // Points of scheduling, messages and notes, one a line.
  std::string trace() const;
  uint64_t digest() const;

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace myfs::sim
