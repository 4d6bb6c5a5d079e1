#include "server/server.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/container/flat_hash_set.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/log.h"
#include "server/connection.h"
#include "server/rpc_handlers.h"

namespace myfs::server {
namespace {

constexpr int64_t kSweepEvery_ns = 5 * kNsPerSec;
constexpr int64_t kComplaintEvery_ns = 10 * kNsPerSec;
constexpr mode_t kPrivateDirMode = 0700;
constexpr mode_t kDataDirMode = 0711;  // others reach the socket; all else is 0700 or 0600

}  // namespace

class Server::Door final : public PeerConnection {
 public:
  Door(Server& server, uint64_t id) : server_(server), id_(id) {}
  void disconnect(const std::string& why) override {
    auto it = server_.connections_.find(id_);
    if (it != server_.connections_.end()) it->second->stream().disconnect(why);
  }

 private:
  Server& server_;
  const uint64_t id_;
};

Result<void> make_data_dir(const std::string& dir) {
  if (::mkdir(dir.c_str(), kDataDirMode) == 0 || errno == EEXIST) return ok_result();
  return fail(Errno(errno),
              "cannot make the data directory " + dir + ": " + std::string(Errno(errno).text()));
}

void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0)
    log(LogLevel::kWarning, "the limit of open files stays: %s", Errno(errno).text());
}

Result<std::unique_ptr<Server>> Server::create(ServerOptions options) {
  std::unique_ptr<Server> server(new Server(std::move(options)));
  MYFS_TRY(server->open_stores());
  MYFS_TRY(server->start_shard());
  MYFS_TRY(server->start_listeners());
  return server;
}

Server::Server(ServerOptions options) : options_(std::move(options)) {}

Server::~Server() { (void)shutdown(); }

Result<void> Server::open_stores() {
  meta_ = options_.meta;
  blocks_ = options_.blocks;
  if (meta_ != nullptr && blocks_ != nullptr) return ok_result();
  const std::string& dir = options_.data_dir;
  MYFS_TRY(make_data_dir(dir));
  // RocksDB would make it readable for all.
  std::string meta_dir = dir + "/meta";
  if (::mkdir(meta_dir.c_str(), kPrivateDirMode) != 0 && errno != EEXIST) {
    return fail(Errno(errno), "cannot make " + meta_dir + ": " + std::string(Errno(errno).text()));
  }
  MYFS_ASSIGN(own_meta_, open_rocks_meta_store(dir, MetaStoreOptions()));
  MYFS_ASSIGN(own_blocks_, open_file_block_store(dir, BlockStoreOptions()));
  meta_ = own_meta_.get();
  blocks_ = own_blocks_.get();
  return ok_result();
}

Result<void> Server::start_shard() {
  uv_io::Loop::Options loop_options;
  loop_options.mode = uv_io::Loop::Mode::kOwnThread;
  loop_options.name = "myfsd-loop";
  loop_options.spin_ns = options_.spin_ns;
  MYFS_ASSIGN(loop_, uv_io::Loop::create(loop_options));
  PostFn post = [loop = loop_.get()](Job job) { loop->post(std::move(job)); };
  pool_ = std::make_unique<ThreadIoPool>(kIoThreads, post);
  commits_ = std::make_unique<ThreadCommitQueue>(*meta_, options_.durability, post);
  loop_->run_sync([this] {
    shard_timer_ = std::make_unique<uv_io::Timer>(loop_->port(), [this] { shard_->tick(); });
    sweep_timer_ = std::make_unique<uv_io::Timer>(loop_->port(), [this] { sweep(); });
  });

  ShardDeps deps;
  deps.meta = meta_;
  deps.blocks = blocks_;
  deps.pool = pool_.get();
  deps.commits = commits_.get();
  deps.post = post;
  deps.arm_timer = [this](int64_t deadline_ns) { shard_timer_->arm_at(deadline_ns); };
  ShardOptions shard_options;
  shard_options.term_ns = options_.lease_term_ns;
  shard_options.auth.secret = options_.secret;
  shard_options.auth.insecure_tcp = options_.insecure_tcp;
  shard_options.auth.server_uid = ::geteuid();
  shard_options.exports = options_.exports;
  shard_options.forget_sessions = options_.forget_sessions;
  shard_options.relaxed = options_.durability == Durability::kRelaxed;
  MYFS_ASSIGN(shard_, Shard::create(std::move(deps), std::move(shard_options)));
  loop_->run_sync([this] {
    shard_->start();
    sweep_timer_->arm_after(kSweepEvery_ns);
  });
  return ok_result();
}

Result<void> Server::start_listeners() {
  Errno error;
  ErrorDetail detail;
  loop_->run_sync([&] {
    for (const uv_io::Endpoint& endpoint : options_.listen) {
      bool tcp = endpoint.kind == uv_io::Endpoint::Kind::kTcp;
      if (tcp && options_.secret.empty() && !options_.insecure_tcp) {
        error = fail(Errno(EINVAL), "cannot listen on " + endpoint.text() +
                                        ": TCP needs a secret (--secret-file)");
      } else {
        auto listener =
            uv_io::listen(loop_->port(), endpoint,
                          [this](kj::Own<uv_io::MessageStream> stream) { accept(kj::mv(stream)); });
        error = listener.error();
        if (listener.ok()) {
          endpoints_.push_back((*listener)->endpoint());
          listeners_.push_back(kj::mv(*listener));
        }
      }
      if (!error.ok()) {
        detail = thread_error_detail();  // of the loop's thread
        return;
      }
    }
  });
  if (error.ok()) return ok_result();
  thread_error_detail() = detail;
  return error;
}

void Server::accept(kj::Own<uv_io::MessageStream> stream) {
  if (connections_.size() >= options_.connections_max) {
    int64_t now_ns = options_.boottime();
    if (now_ns >= next_complaint_ns_) {
      next_complaint_ns_ = now_ns + kComplaintEvery_ns;
      log(LogLevel::kWarning, "%s: refused: there are %d connections already", stream->peer_text(),
          connections_.size());
    }
    return;
  }
  uint64_t id = next_connection_++;
  log(LogLevel::kDebug, "%s: connected", stream->peer_text());
  auto pins = std::make_shared<uv_io::MessagePins>();
  PeerInfo peer = peer_info(*stream);
  auto door = std::make_shared<Door>(*this, id);
  peer.connection = door;
  auto bootstrap = make_bootstrap(*shard_, std::move(peer), pins);
  connections_.emplace(
      id, std::make_unique<Connection>(options_.boottime(), kj::mv(stream), pins, std::move(door),
                                       kj::mv(bootstrap), [this, id] { drop_connection(id); }));
}

// Not at once: it is asked for from inside a promise of the connection.
void Server::drop_connection(uint64_t id) {
  loop_->post([this, id] { connections_.erase(id); });
}

void Server::sweep() {
  int64_t now_ns = options_.boottime();
  absl::flat_hash_set<const PeerConnection*> in_session;
  for (const auto& [id, session] : shard_->sessions().all()) {
    for (const auto& known : session->connections) {
      if (auto alive = known.lock(); alive != nullptr) in_session.insert(alive.get());
    }
  }
  for (auto& [id, connection] : connections_) {
    uv_io::MessageStream& stream = connection->stream();
    if (in_session.contains(connection->door())) connection->note_session(now_ns);
    if (stream.stats().messages_in == 0 && now_ns - connection->since_ns() > kSilentMax_ns) {
      stream.disconnect("the peer has said nothing since it connected");
    } else if (now_ns - connection->sessionless_since_ns() > kSessionlessMax_ns) {
      stream.disconnect("the peer has no session");
    } else if (connection->reply_queue_bytes() > kReplyQueueMax_bytes) {
      stream.disconnect("the peer does not read: too many replies wait for it");
    }
  }
  sweep_timer_->arm_after(kSweepEvery_ns);
}

Result<int> Server::connect_local() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    return fail(Errno(errno), std::string("socketpair: ") + std::string(Errno(errno).text()));
  }
  bool ran = loop_->run_sync([&] { accept(uv_io::wrap_socket(loop_->port(), fds[0])); });
  if (ran) return fds[1];
  ::close(fds[0]);
  ::close(fds[1]);
  return Errno(ESHUTDOWN);
}

Errno Server::shutdown(int64_t limit_ns) {
  if (shut_down_) return Errno();
  shut_down_ = true;
  if (loop_ == nullptr) return Errno();
  Errno result;
  Event done;
  bool running = loop_->run_sync([&] {
    listeners_.clear();
    if (shard_ == nullptr) {
      done.set();
      return;
    }
    shard_->shutdown(limit_ns, [&](Errno error) {
      result = error;
      done.set();
    });
  });
  if (running) done.wait();
  loop_->run_sync([&] {
    connections_.clear();
    if (sweep_timer_ != nullptr) sweep_timer_->disarm();
    if (shard_timer_ != nullptr) shard_timer_->disarm();
  });
  if (commits_ != nullptr) commits_->stop();
  // The last report of the queue may still make the shard ask the pool for something.
  if (pool_ != nullptr) pool_->stop();
  loop_->run_sync([&] {
    shard_.reset();
    shard_timer_.reset();
    sweep_timer_.reset();
  });
  (void)loop_->stop();
  commits_.reset();
  pool_.reset();
  return result;
}

ShardStats Server::stats() {
  ShardStats stats;
  loop_->run_sync([&] { stats = shard_->stats(); });
  return stats;
}

void Server::sweep_now() {
  loop_->run_sync([&] {
    if (shard_ != nullptr) sweep();
  });
}

size_t Server::connection_count() {
  size_t count = 0;
  loop_->run_sync([&] { count = connections_.size(); });
  return count;
}

}  // namespace myfs::server
