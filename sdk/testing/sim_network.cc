#include "sdk/testing/sim_network.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <deque>

#include "absl/strings/str_cat.h"
#include "sdk/base/clock.h"
#include "sdk/base/error_detail.h"

namespace myfs::sim {

using uv_io::SimEventPort;

namespace {

constexpr int64_t kLateMax_ns = 5 * kNsPerSec;  // of an old connection's bytes
constexpr int64_t kUserTimeout_ns = uv_io::kTcpUserTimeout_ms * kNsPerMs;
constexpr int64_t kKeepalive_ns = 2 * kUserTimeout_ns;  // until a silent peer counts as dead

// One direction of a connection.
struct Wire {
  struct Packet {
    int64_t due_ns;
    kj::Array<capnp::word> words;
    kj::Array<kj::ArrayPtr<const capnp::word>> segments;
    bool end;
  };
  std::deque<Packet> packets;
  int64_t newest_due_ns = 0;
  SimEventPort* receiver = nullptr;  // null once the receiving end is gone
  bool closed = false;               // takes nothing more
};

class SimMessage final : public capnp::MessageReader {
 public:
  SimMessage(capnp::ReaderOptions options, Wire::Packet packet)
      : MessageReader(options), packet_(kj::mv(packet)) {}
  kj::ArrayPtr<const capnp::word> getSegment(kj::uint id) override {
    if (id < packet_.segments.size()) return packet_.segments[id];
    return nullptr;
  }

 private:
  const Wire::Packet packet_;
};

kj::Exception disconnected(const std::string& why) {
  return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                       kj::heapString(why.data(), why.size()));
}

enum Side : uint8_t { kClient, kServer };

}  // namespace

struct SimConnection {
  uint32_t id = 0;
  std::string endpoint;
  GroupId groups[2] = {kWorld, kWorld};
  SimStream* ends[2] = {nullptr, nullptr};
  Wire to[2];  // kClient: towards the client
  bool half_open = false;
  int64_t extra_ns = 0;
};

class SimStream final : public uv_io::MessageStream, private SimEventPort::Source {
 public:
  SimStream(SimNetwork& network, SimEventPort& port, std::shared_ptr<SimConnection> connection,
            Side side, bool is_unix)
      : network_(network),
        port_(port),
        connection_(std::move(connection)),
        side_(side),
        in_(connection_->to[side]),
        out_(connection_->to[side == kClient ? kServer : kClient]),
        name_(
            absl::StrCat("connection ", connection_->id, side == kClient ? " client" : " server")),
        is_unix_(is_unix),
        trace_name_(network.simulator_.trace().intern(name_)) {
    in_.receiver = &port_;
    connection_->ends[side_] = this;
    port_.add_source(*this);
  }
  ~SimStream() noexcept(false) override {
    connection_->ends[side_] = nullptr;
    port_.remove_source(*this);
    in_.receiver = nullptr;
    send_end();
    network_.forget_dead();
  }

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd>, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word>) override {
    if (!failure_.empty()) return disconnected(failure_);
    options_ = options;
    auto pair = kj::newPromiseAndFulfiller<kj::Maybe<capnp::MessageReaderAndFds>>();
    reader_ = kj::mv(pair.fulfiller);
    return kj::mv(pair.promise);
  }

  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int>,
      kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override {
    if (!failure_.empty()) return disconnected(failure_);
    sim_yield_point("send");
    size_t words = 0;
    for (auto& segment : segments) words += segment.size();
    Wire::Packet packet{0, kj::heapArray<capnp::word>(words),
                        kj::heapArray<kj::ArrayPtr<const capnp::word>>(segments.size()), false};
    size_t at = 0;
    for (size_t i = 0; i < segments.size(); ++i) {
      if (segments[i].size() > 0) {
        std::memcpy(packet.words.begin() + at, segments[i].begin(), segments[i].asBytes().size());
      }
      packet.segments[i] = packet.words.slice(at, at + segments[i].size());
      at += segments[i].size();
    }
    size_t bytes = words * sizeof(capnp::word);
    stats_.messages_out.fetch_add(1, std::memory_order_relaxed);
    stats_.bytes_out.fetch_add(bytes, std::memory_order_relaxed);
    ++network_.messages_;
    send(kj::mv(packet));
    network_.simulator_.trace().add(network_.simulator_.now_ns(), Trace::Kind::kSends, trace_name_,
                                    bytes, static_cast<uint64_t>(out_.newest_due_ns));
    return kj::READY_NOW;
  }
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override {
    auto promises = kj::heapArrayBuilder<kj::Promise<void>>(messages.size());
    for (auto& message : messages) promises.add(writeMessage(nullptr, message));
    return kj::joinPromises(promises.finish());
  }
  kj::Maybe<int> getSendBufferSize() override { return nullptr; }
  kj::Promise<void> end() override {
    send_end();
    return kj::READY_NOW;
  }

  const uv_io::StreamStats& stats() const override { return stats_; }
  uv_io::PeerCredentials peer_credentials() const override {
    uv_io::PeerCredentials peer;
    peer.is_unix = is_unix_;
    if (!is_unix_) return peer;
    peer.uid = ::geteuid();
    peer.gid = ::getegid();
    peer.pid = 1;
    return peer;
  }
  const std::string& peer_text() const override { return name_; }
  std::string failure() const override { return failure_; }
  size_t send_queue_bytes() const override { return 0; }
  void disconnect(std::string why) override {
    if (!failure_.empty()) return;
    failure_ = std::move(why);
    in_.packets.clear();
    send_end();
    if (reader_ != nullptr) take_reader()->reject(disconnected(failure_));
  }

  // From any thread: disconnect() inside the loop, at that time of the world.
  void fail_at(int64_t at_ns, const char* why) {
    if (at_ns >= fail_at_ns_) return;
    fail_at_ns_ = at_ns;
    fail_why_ = why;
    port_.kick();
  }

 private:
  using ReadFulfiller = kj::Own<kj::PromiseFulfiller<kj::Maybe<capnp::MessageReaderAndFds>>>;

  ReadFulfiller take_reader() {
    ReadFulfiller reader;
    KJ_IF_MAYBE (waiting, reader_) {
      reader = kj::mv(*waiting);
    }
    reader_ = nullptr;
    return reader;
  }

  void send(Wire::Packet packet) {
    Simulator& simulator = network_.simulator_;
    if (connection_->half_open) {
      // Whoever listens there now does not know the connection, and says so.
      bool answered = network_.listeners_.contains(connection_->endpoint) &&
                      simulator.is_dead(connection_->groups[side_ == kClient ? kServer : kClient]);
      fail_at(simulator.now_ns() + (answered ? network_.draw_delay_ns() : kUserTimeout_ns),
              answered ? "connection reset by peer" : "the peer does not answer");
      return;
    }
    if (out_.closed || out_.receiver == nullptr) return;
    int64_t due_ns = simulator.now_ns() + network_.draw_delay_ns() + connection_->extra_ns;
    out_.newest_due_ns = std::max(out_.newest_due_ns, due_ns);
    packet.due_ns = out_.newest_due_ns;
    out_.packets.push_back(kj::mv(packet));
    out_.receiver->kick();
  }
  void send_end() {
    send(Wire::Packet{0, nullptr, nullptr, true});
    out_.closed = true;
  }

  // SimEventPort::Source. Times are the world's here.
  void take_in(int64_t) override {
    const int64_t now_ns = network_.simulator_.now_ns();
    if (fail_at_ns_ <= now_ns) {
      fail_at_ns_ = kNoDeadline;
      disconnect(fail_why_);
    }
    if (reader_ == nullptr || in_.packets.empty() || in_.packets.front().due_ns > now_ns) return;
    int64_t passable_ns = network_.passable_ns(connection_->groups[0], connection_->groups[1]);
    if (passable_ns > now_ns) {
      in_.packets.front().due_ns = passable_ns + network_.draw_delay_ns();
      in_.newest_due_ns = std::max(in_.newest_due_ns, in_.packets.front().due_ns);
      return;
    }
    if (in_.packets.front().end) {
      take_reader()->fulfill(kj::Maybe<capnp::MessageReaderAndFds>(nullptr));
      return;
    }
    Wire::Packet packet = kj::mv(in_.packets.front());
    in_.packets.pop_front();
    size_t bytes = packet.words.size() * sizeof(capnp::word);
    stats_.messages_in.fetch_add(1, std::memory_order_relaxed);
    stats_.bytes_in.fetch_add(bytes, std::memory_order_relaxed);
    network_.simulator_.trace().add(now_ns, Trace::Kind::kReceives, trace_name_, bytes);
    take_reader()->fulfill(kj::Maybe<capnp::MessageReaderAndFds>(
        capnp::MessageReaderAndFds{kj::heap<SimMessage>(options_, kj::mv(packet)), nullptr}));
  }
  int64_t next_ns() const override {
    int64_t next_ns = fail_at_ns_;
    if (reader_ != nullptr && !in_.packets.empty()) {
      next_ns = std::min(next_ns, in_.packets.front().due_ns);
    }
    return network_.simulator_.to_local(next_ns);
  }

  SimNetwork& network_;
  SimEventPort& port_;
  const std::shared_ptr<SimConnection> connection_;
  const Side side_;
  Wire& in_;
  Wire& out_;
  const std::string name_;
  const bool is_unix_;
  const uint32_t trace_name_;
  uv_io::StreamStats stats_;
  capnp::ReaderOptions options_;
  kj::Maybe<ReadFulfiller> reader_;
  std::string failure_;
  int64_t fail_at_ns_ = kNoDeadline;
  const char* fail_why_ = "";
};

class SimListener final : public uv_io::Listener, private SimEventPort::Source {
 public:
  SimListener(SimNetwork& network, SimEventPort& port, uv_io::Endpoint endpoint,
              uv_io::AcceptFn on_accept)
      : group(network.simulator_.group()),
        network_(network),
        port_(port),
        endpoint_(std::move(endpoint)),
        on_accept_(kj::mv(on_accept)) {
    network_.listeners_[endpoint_.text()] = this;
    port_.add_source(*this);
  }
  ~SimListener() noexcept(false) override {
    port_.remove_source(*this);
    for (auto& connection : waiting_) {
      network_.break_end(connection->ends[kClient], 0, "connection reset by peer");
    }
    network_.listeners_.erase(endpoint_.text());
  }
  const uv_io::Endpoint& endpoint() const override { return endpoint_; }

  // The calling end of a new connection; ours is made when our loop next looks.
  kj::Own<uv_io::MessageStream> accept_from(SimEventPort& caller) {
    auto connection = std::make_shared<SimConnection>();
    connection->id = network_.next_connection_++;
    connection->endpoint = endpoint_.text();
    connection->groups[kClient] = network_.simulator_.group();
    connection->groups[kServer] = group;
    connection->to[kServer].receiver = &port_;
    network_.connections_.push_back(connection);
    auto stream = kj::heap<SimStream>(network_, caller, connection, kClient, is_unix());
    waiting_.push_back(std::move(connection));
    port_.kick();
    return stream;
  }

  const GroupId group;

 private:
  bool is_unix() const { return endpoint_.kind == uv_io::Endpoint::Kind::kUnix; }
  void take_in(int64_t) override {
    std::vector<std::shared_ptr<SimConnection>> accepted;
    accepted.swap(waiting_);
    for (auto& connection : accepted) {
      on_accept_(kj::heap<SimStream>(network_, port_, std::move(connection), kServer, is_unix()));
    }
  }
  int64_t next_ns() const override { return waiting_.empty() ? kNoDeadline : 0; }

  SimNetwork& network_;
  SimEventPort& port_;
  const uv_io::Endpoint endpoint_;
  uv_io::AcceptFn on_accept_;
  std::vector<std::shared_ptr<SimConnection>> waiting_;
};

SimNetwork::~SimNetwork() = default;

int64_t SimNetwork::draw_delay_ns() {
  SimRandom& random = simulator_.world_random();
  int64_t delay_ns = options_.delay_min_ns;
  if (options_.delay_jitter_ns > 0) {
    delay_ns += static_cast<int64_t>(random.below(static_cast<uint64_t>(options_.delay_jitter_ns)));
  }
  if (options_.slow_one_in > 0 && random.one_in(options_.slow_one_in)) {
    delay_ns += options_.slow_extra_ns;
  }
  return delay_ns;
}

int64_t SimNetwork::passable_ns(GroupId a, GroupId b) const {
  int64_t passable_ns = 0;
  for (GroupId group : {a, b}) {
    auto found = isolated_until_ns_.find(group);
    if (found != isolated_until_ns_.end()) passable_ns = std::max(passable_ns, found->second);
  }
  return passable_ns;
}

// ---- connecting ----

kj::Promise<uv_io::Connected> SimNetwork::connect(uv_io::EventPort& port,
                                                  const uv_io::Endpoint& endpoint,
                                                  int64_t deadline_ns) {
  auto& sim_port = static_cast<SimEventPort&>(port);
  int64_t at_ns = std::min(deadline_ns, simulator_.to_local(simulator_.now_ns() + draw_delay_ns()));
  return port.timer().atTime(uv_io::kj_time(at_ns)).then([this, &sim_port, endpoint, deadline_ns] {
    return try_connect(sim_port, endpoint, deadline_ns);
  });
}

kj::Promise<uv_io::Connected> SimNetwork::try_connect(SimEventPort& port, uv_io::Endpoint endpoint,
                                                      int64_t deadline_ns) {
  auto found = listeners_.find(endpoint.text());
  GroupId peer = found == listeners_.end() ? kWorld : found->second->group;
  int64_t passable_ns = this->passable_ns(simulator_.group(), peer);
  int64_t now_ns = simulator_.to_local(simulator_.now_ns());
  if (passable_ns > simulator_.now_ns() && deadline_ns > now_ns) {
    int64_t again_ns = std::min(deadline_ns, simulator_.to_local(passable_ns + draw_delay_ns()));
    return port.timer().atTime(uv_io::kj_time(again_ns)).then([this, &port, endpoint, deadline_ns] {
      return try_connect(port, endpoint, deadline_ns);
    });
  }
  if (passable_ns > simulator_.now_ns()) {
    return uv_io::Connected{
        Errno(ETIMEDOUT), "cannot connect to " + endpoint.text() + ": timed out", {}};
  }
  if (found == listeners_.end()) {
    return uv_io::Connected{
        Errno(ECONNREFUSED), "cannot connect to " + endpoint.text() + ": connection refused", {}};
  }
  return uv_io::Connected{Errno(), "", found->second->accept_from(port)};
}

Result<kj::Own<uv_io::Listener>> SimNetwork::listen(uv_io::EventPort& port,
                                                    const uv_io::Endpoint& endpoint,
                                                    uv_io::AcceptFn on_accept) {
  if (listeners_.contains(endpoint.text())) {
    return fail(Errno(EADDRINUSE), "cannot listen on " + endpoint.text() + ": in use");
  }
  return kj::Own<uv_io::Listener>(
      kj::heap<SimListener>(*this, static_cast<SimEventPort&>(port), endpoint, kj::mv(on_accept)));
}

// ---- faults ----

SimConnection* SimNetwork::find(uint32_t id) const {
  for (const auto& connection : connections_) {
    if (connection->id == id) return connection.get();
  }
  return nullptr;
}

void SimNetwork::forget_dead() {
  std::erase_if(connections_, [](const std::shared_ptr<SimConnection>& connection) {
    return connection->ends[kClient] == nullptr && connection->ends[kServer] == nullptr;
  });
}

std::vector<uint32_t> SimNetwork::connections(GroupId group) const {
  std::vector<uint32_t> ids;
  for (const auto& connection : connections_) {
    bool stands = connection->ends[0] != nullptr && connection->ends[1] != nullptr &&
                  !connection->half_open && !connection->to[0].closed && !connection->to[1].closed;
    if (stands && (connection->groups[0] == group || connection->groups[1] == group)) {
      ids.push_back(connection->id);
    }
  }
  return ids;
}

void SimNetwork::break_end(SimStream* end, int64_t after_ns, const char* why) {
  if (end != nullptr) end->fail_at(simulator_.now_ns() + after_ns, why);
}

void SimNetwork::cut(uint32_t id, Cut how) {
  SimConnection* connection = find(id);
  if (connection == nullptr) return;
  auto close = [&](Side to) { connection->to[to].closed = true; };
  // The end at `side` learns now; what is on its way to the other one comes later, then the end.
  auto late = [&](Side side) {
    Side other = side == kClient ? kServer : kClient;
    Wire& wire = connection->to[other];
    SimRandom& random = simulator_.world_random();
    auto extra_ns = random.one_in(2) ? 0 : static_cast<int64_t>(random.below(kLateMax_ns));
    for (Wire::Packet& packet : wire.packets) packet.due_ns += extra_ns;
    wire.newest_due_ns = std::max(wire.newest_due_ns, simulator_.now_ns()) + extra_ns;
    if (!wire.closed) {
      wire.packets.push_back(Wire::Packet{wire.newest_due_ns, nullptr, nullptr, true});
    }
    close(kClient);
    close(kServer);
    break_end(connection->ends[side], 0, "the connection was cut");
    if (wire.receiver != nullptr) wire.receiver->kick();
  };
  switch (how) {
    case Cut::kBoth:
      for (Side side : {kClient, kServer}) {
        close(side);
        break_end(connection->ends[side], 0, "the connection was cut");
      }
      break;
    case Cut::kLateToServer:
      late(kClient);
      break;
    case Cut::kLateToClient:
      late(kServer);
      break;
    case Cut::kHalfOpen:
      connection->half_open = true;
      for (Side side : {kClient, kServer}) {
        connection->to[side].packets.clear();
        break_end(connection->ends[side], kKeepalive_ns, "the peer does not answer");
      }
      break;
  }
}

void SimNetwork::cut_all() {
  std::vector<uint32_t> ids;
  ids.reserve(connections_.size());
  for (const auto& connection : connections_) ids.push_back(connection->id);
  for (uint32_t id : ids) cut(id, Cut::kBoth);
}

void SimNetwork::slow_down(uint32_t id, int64_t extra_ns) {
  if (SimConnection* connection = find(id); connection != nullptr) connection->extra_ns = extra_ns;
}

void SimNetwork::isolate(GroupId group, int64_t duration_ns) {
  int64_t& until_ns = isolated_until_ns_[group];
  until_ns = std::max(until_ns, simulator_.now_ns() + duration_ns);
}

void SimNetwork::died(GroupId group, bool machine_too) {
  std::erase_if(listeners_, [&](const auto& entry) { return entry.second->group == group; });
  for (const auto& connection : connections_) {
    for (Side side : {kClient, kServer}) {
      if (connection->groups[side] != group) continue;
      Side other = side == kClient ? kServer : kClient;
      connection->to[side].receiver = nullptr;
      if (machine_too) {
        cut(connection->id, Cut::kHalfOpen);
      } else {
        cut(connection->id, other == kServer ? Cut::kLateToServer : Cut::kLateToClient);
      }
      connection->ends[side] = nullptr;
    }
  }
  forget_dead();
}

}  // namespace myfs::sim
