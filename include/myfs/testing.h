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
// Clients and the server can be stopped for a time and be killed at any point of scheduling,
// connections can break in several ways, the disk can be slow, full, failing, and forgets in a
// power cut what was not synced.
//
// A process runs one simulation: threads that MyFS keeps for the life of a process belong to it,
// and so does what a killed client or server leaves behind, which is never freed. After a run that
// has killed something end the process with _exit(2). Run several seeds in several processes.
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
#include <vector>

namespace myfs::sim {

struct SimulationDisk {
  int64_t write_max_ns = 100'000;  // the longest that a write takes
  int64_t sync_max_ns = 500'000;   // of a sync or commit
  uint64_t slow_one_in = 0;        // a sync or commit takes up to slow_extra_ns more; 0: never
  int64_t slow_extra_ns = 200'000'000;
  uint64_t commit_fails_one_in = 0;  // with EIO; 0: never
  uint64_t sync_fails_one_in = 0;    // with EIO, and forgets what it should have synced
};

struct SimulationOptions {
  uint64_t seed = 1;
  int clients = 2;                       // 1..64
  size_t client_memory_bytes = 8 << 20;  // page cache of each client
  std::string mount_options;             // as for myfs_mount
  int64_t lease_term_ns = 20'000'000'000;
  int32_t clock_slip_max_ppm = 0;  // each client's and server's clock goes wrong by up to so much
  int64_t delay_min_ns = 20'000;   // of a message
  int64_t delay_jitter_ns = 200'000;
  uint64_t slow_one_in = 50;  // one message in so many takes slow_extra_ns more; 0: none
  int64_t slow_extra_ns = 5'000'000;
  // Where another thread may be chosen, it is so often: at messages, at the release of a lock, at a
  // look at the clock. 0: never.
  uint64_t switch_one_in = 4;
  uint64_t unlock_one_in = 0;
  uint64_t look_one_in = 0;
  SimulationDisk disk;
  bool whole_trace = true;  // false: only the newest events are kept; the digest is the same
};

// How a connection breaks.
enum class SimulationCut : uint8_t {
  kBoth,          // both ends learn it at once, what is under way is lost
  kLateToServer,  // the client's end learns it; the server's gets what is under way, much later
  kLateToClient,  // the other way round
  kHalfOpen,      // nothing arrives any more, and nobody is told
};

// A place in the code of MyFS that runs rarely, and how often it has run in this process.
struct SimulationProbe {
  std::string name;
  uint64_t count = 0;
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

  // The task of client `index`, with credentials uid 0. Owned by the simulation. Another one after
  // the client was started again.
  myfs_task* client(int index);
  // Starts a simulated thread; run() joins those that are left when the body returns. Nothing stops
  // or kills it.
  void spawn(std::string name, std::function<void()> body);
  // The same for a thread of a client's process, which stops and dies with it.
  void spawn_in(int client, std::string name, std::function<void()> body);
  // Waits for all; those that were killed count as ended.
  void join_all();

  // --- clients
  // Stops all threads of the client [SIGSTOP], or one that is drawn, for so long.
  void stop_client(int index, int64_t duration_ns);
  void stop_client_thread(int index, int64_t duration_ns);
  // Kills it at whatever point it is. `machine_too`: nobody tells the server.
  void crash_client(int index, bool machine_too);
  bool client_lives(int index) const;
  // How often the client that lives has lost its session. (myfs_get_stats is of no use in a
  // simulation: it tells of the process, which stands for many.)
  uint64_t sessions_lost(int index);
  // A new process in the place of one that was killed. 0 or -errno of its mount.
  int start_client(int index);
  // Unmounts all that live. 0 or the first -errno.
  int stop_clients();

  // --- server
  void stop_server(int64_t duration_ns);
  void stop_server_thread(int64_t duration_ns);
  // Kills it. `power_cut`: the machine, too: the clients are not told, and the disk loses what was
  // not synced.
  void crash_server(bool power_cut);
  // Orderly. 0 or -errno.
  int shutdown_server();
  // On the same disk. 0 or -errno.
  int start_server();
  bool server_lives() const;
  // What the server that runs knows of its clients.
  struct ServerState {
    uint64_t sessions = 0;
    uint64_t leases = 0;
    uint64_t evictions = 0;
  };
  ServerState server_state();

  // --- network
  // Cuts every connection that stands now.
  void cut_connections();
  // Cuts one of the client's that is drawn.
  void cut_connection(int client, SimulationCut how);
  // Each message of one of the client's connections takes so much longer.
  void slow_connection(int client, int64_t extra_ns);
  // No message reaches or leaves it for so long.
  void isolate_client(int index, int64_t duration_ns);
  void isolate_server(int64_t duration_ns);

  // --- disk
  void set_disk(const SimulationDisk& disk);
  // Nothing new fits until it is false again.
  void set_disk_full(bool full);
  // Whether the stores of a server that does not run say the same thing everywhere; adds what is
  // wrong to `report`.
  bool check_disk(std::string* report);

  // A number in [0, bound), from the seed.
  uint64_t random(uint64_t bound);
  // The simulated clock.
  int64_t now_ns() const;
  // Lets `duration_ns` pass.
  void sleep(int64_t duration_ns);
  // Adds a line to the trace: an operation and its result.
  void note(std::string_view line);

  // Points of scheduling, messages and notes, one a line; the newest `lines` of what is kept.
  std::string trace(uint64_t lines = UINT64_MAX) const;
  uint64_t digest() const;
  uint64_t switches() const;
  uint64_t messages() const;
  // Tells on stderr which thread waits for what.
  void report();
  // All of the program, sorted by name.
  static std::vector<SimulationProbe> probes();

 private:
  struct Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace myfs::sim
