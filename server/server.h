// Server: one data directory served on some endpoints: stores, shard, loop, listeners, connections.
// Kernel counterpart: nfsd_svc and svc_serv (fs/nfsd/nfssvc.c).
// Thread safety: create, shutdown, connect_local, endpoints, stats: any thread but the loop's.
// Owns / is owned by: owned by main() or by the embedded entry points; owns everything below.
// Invariants: (1) what is below dies in this order: listeners, connections, shard, commit queue,
// pool, loop, stores; (2) a connection that fails takes nothing else with it; (3) connections are
// bounded by ServerOptions::connections_max, those that never speak by kSilentMax_ns and those that
// no session speaks over by kSessionlessMax_ns.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sdk/base/clock.h"
#include "sdk/base/limits.h"
#include "sdk/base/result.h"
#include "sdk/uv/loop.h"
#include "sdk/uv/network.h"
#include "sdk/uv/uv_timer.h"
#include "server/commit_queue.h"
#include "server/export.h"
#include "server/io_pool.h"
#include "server/shard.h"
#include "server/store/block_store.h"
#include "server/store/meta_store.h"

namespace myfs::server {

inline constexpr size_t kConnectionsMax = 16'384;
inline constexpr int64_t kSilentMax_ns = 30'000'000'000;  // from connecting to the first message
inline constexpr int64_t kSessionlessMax_ns = 30'000'000'000;
inline constexpr size_t kReplyQueueMax_bytes = 256 << 20;  // of one connection
inline constexpr int64_t kShutdownMax_ns = 30'000'000'000;
inline constexpr int kIoThreads = 4;

struct ServerOptions {
  std::string data_dir;  // empty: in-memory engines
  std::vector<uv_io::Endpoint> listen;
  Durability durability = Durability::kDurable;
  int64_t lease_term_ns = kDefaultLeaseTerm_ns;
  std::string secret;  // of TCP clients
  bool insecure_tcp = false;
  bool forget_sessions = false;  // of the last run: their clients have to log in anew
  std::vector<Export> exports;   // what may be mounted; none: everything
  int64_t spin_ns = kDefaultSpin_ns;
  size_t connections_max = kConnectionsMax;
  // Engines of the caller's, which outlive the server; null: opened in data_dir.
  MetaStore* meta = nullptr;
  BlockStore* blocks = nullptr;
  // The clock of the connections' limits.
  std::function<int64_t()> boottime = [] { return boottime_ns(); };
};

class Connection;

// Each connection and each file in use takes a descriptor, and the soft limit is for programs that
// call select(). What cannot be raised stays.
void raise_file_limit();

// Makes the directory, mode 0711, unless it is there.
Result<void> make_data_dir(const std::string& dir);

class Server {
 public:
  // Opens the directory, reads the store and serves. Blocks. The error's detail says what is wrong:
  // EBUSY another process serves the directory, EPROTONOSUPPORT a newer format, EADDRINUSE, EACCES,
  // EINVAL (TCP without a secret), ...
  static Result<std::unique_ptr<Server>> create(ServerOptions options);
  // shutdown(), if that has not been called.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // As bound.
  std::vector<uv_io::Endpoint> endpoints() const { return endpoints_; }
  // A connected socket to this server from inside the process; the caller's to close.
  Result<int> connect_local();
  // Recalls, flushes, marks the store clean, ends everything. The first failure. Idempotent.
  Errno shutdown(int64_t limit_ns = kShutdownMax_ns);
  ShardStats stats();
  size_t connection_count();
  // What happens every five seconds: connections past a limit are dropped.
  void sweep_now();

 private:
  class Door;  // of one connection, by its number
  explicit Server(ServerOptions options);
  Result<void> open_stores();
  Result<void> start_shard();
  Result<void> start_listeners();
  void accept(kj::Own<uv_io::MessageStream> stream);
  void drop_connection(uint64_t id);
  void sweep();

  const ServerOptions options_;
  std::unique_ptr<MetaStore> own_meta_;
  std::unique_ptr<BlockStore> own_blocks_;
  MetaStore* meta_ = nullptr;
  BlockStore* blocks_ = nullptr;
  std::unique_ptr<uv_io::Loop> loop_;
  std::unique_ptr<ThreadIoPool> pool_;
  std::unique_ptr<CommitQueue> commits_;
  // Inside the loop only:
  std::unique_ptr<uv_io::Timer> shard_timer_;
  std::unique_ptr<uv_io::Timer> sweep_timer_;
  std::unique_ptr<Shard> shard_;
  std::map<uint64_t, std::unique_ptr<Connection>> connections_;
  uint64_t next_connection_ = 1;
  int64_t next_complaint_ns_ = 0;
  std::vector<kj::Own<uv_io::Listener>> listeners_;

  std::vector<uv_io::Endpoint> endpoints_;
  bool shut_down_ = false;
};

}  // namespace myfs::server
