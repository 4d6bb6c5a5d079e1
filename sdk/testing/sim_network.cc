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
namespace {

using uv_io::SimEventPort;

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
  bool cut = false;
  bool ended = false;
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

}  // namespace

class SimStream final : public uv_io::MessageStream, private SimEventPort::Source {
 public:
  SimStream(SimNetwork& network, SimEventPort& port, std::shared_ptr<Wire> in,
            std::shared_ptr<Wire> out, std::string name, bool is_unix)
      : network_(network),
        port_(port),
        in_(std::move(in)),
        out_(std::move(out)),
        name_(std::move(name)),
        is_unix_(is_unix) {
    in_->receiver = &port_;
    port_.add_source(*this);
    network_.streams_.push_back(this);
  }
  ~SimStream() noexcept(false) override {
    std::erase(network_.streams_, this);
    port_.remove_source(*this);
    in_->receiver = nullptr;
    send_end();
  }

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd>, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word>) override {
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
    network_.simulator_.trace().add(
        network_.simulator_.now_ns(), name_,
        absl::StrCat("sends ", bytes, " bytes, due ", out_->newest_due_ns));
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
    in_->packets.clear();
    send_end();
    if (reader_ != nullptr) take_reader()->reject(disconnected(failure_));
  }
  void cut() {
    out_->cut = true;
    in_->cut = true;
    disconnect("the connection was cut");
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
    if (out_->cut || out_->ended || out_->receiver == nullptr) return;
    int64_t due_ns = network_.simulator_.now_ns() + network_.draw_delay_ns();
    out_->newest_due_ns = std::max(out_->newest_due_ns, due_ns);
    packet.due_ns = out_->newest_due_ns;
    out_->packets.push_back(kj::mv(packet));
    out_->receiver->kick();
  }
  void send_end() {
    send(Wire::Packet{0, nullptr, nullptr, true});
    out_->ended = true;
  }

  // SimEventPort::Source
  void take_in(int64_t now_ns) override {
    if (reader_ == nullptr || in_->packets.empty() || in_->packets.front().due_ns > now_ns) return;
    if (in_->packets.front().end) {
      take_reader()->fulfill(kj::Maybe<capnp::MessageReaderAndFds>(nullptr));
      return;
    }
    Wire::Packet packet = kj::mv(in_->packets.front());
    in_->packets.pop_front();
    size_t bytes = packet.words.size() * sizeof(capnp::word);
    stats_.messages_in.fetch_add(1, std::memory_order_relaxed);
    stats_.bytes_in.fetch_add(bytes, std::memory_order_relaxed);
    network_.simulator_.trace().add(network_.simulator_.now_ns(), name_,
                                    absl::StrCat("receives ", bytes, " bytes"));
    take_reader()->fulfill(kj::Maybe<capnp::MessageReaderAndFds>(
        capnp::MessageReaderAndFds{kj::heap<SimMessage>(options_, kj::mv(packet)), nullptr}));
  }
  int64_t next_ns() const override {
    if (reader_ == nullptr || in_->packets.empty()) return kNoDeadline;
    return in_->packets.front().due_ns;
  }

  SimNetwork& network_;
  SimEventPort& port_;
  const std::shared_ptr<Wire> in_;
  const std::shared_ptr<Wire> out_;
  const std::string name_;
  const bool is_unix_;
  uv_io::StreamStats stats_;
  capnp::ReaderOptions options_;
  kj::Maybe<ReadFulfiller> reader_;
  std::string failure_;
};

class SimListener final : public uv_io::Listener, private SimEventPort::Source {
 public:
  SimListener(SimNetwork& network, SimEventPort& port, uv_io::Endpoint endpoint,
              uv_io::AcceptFn on_accept)
      : network_(network),
        port_(port),
        endpoint_(std::move(endpoint)),
        on_accept_(kj::mv(on_accept)) {
    network_.listeners_[endpoint_.text()] = this;
    port_.add_source(*this);
  }
  ~SimListener() noexcept(false) override {
    port_.remove_source(*this);
    network_.listeners_.erase(endpoint_.text());
  }
  const uv_io::Endpoint& endpoint() const override { return endpoint_; }

  // The calling end of a new connection; ours is made when our loop next looks.
  kj::Own<uv_io::MessageStream> accept_from(SimEventPort& caller) {
    std::string name = absl::StrCat("connection ", network_.next_connection_++);
    auto up = std::make_shared<Wire>();
    auto down = std::make_shared<Wire>();
    up->receiver = &port_;
    bool is_unix = endpoint_.kind == uv_io::Endpoint::Kind::kUnix;
    auto stream = kj::heap<SimStream>(network_, caller, down, up, name + " client", is_unix);
    waiting_.push_back({up, down, name + " server"});
    port_.kick();
    return stream;
  }

 private:
  struct Waiting {
    std::shared_ptr<Wire> up, down;
    std::string name;
  };
  void take_in(int64_t) override {
    std::vector<Waiting> accepted;
    accepted.swap(waiting_);
    for (Waiting& one : accepted) {
      bool is_unix = endpoint_.kind == uv_io::Endpoint::Kind::kUnix;
      on_accept_(kj::heap<SimStream>(network_, port_, one.up, one.down, one.name, is_unix));
    }
  }
  int64_t next_ns() const override { return waiting_.empty() ? kNoDeadline : 0; }

  SimNetwork& network_;
  SimEventPort& port_;
  const uv_io::Endpoint endpoint_;
  uv_io::AcceptFn on_accept_;
  std::vector<Waiting> waiting_;
};

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

kj::Promise<uv_io::Connected> SimNetwork::connect(uv_io::EventPort& port,
                                                  const uv_io::Endpoint& endpoint, int64_t) {
  auto& sim_port = static_cast<SimEventPort&>(port);
  return port.timer()
      .atTime(uv_io::kj_time(boottime_ns() + draw_delay_ns()))
      .then([this, &sim_port, endpoint]() -> uv_io::Connected {
        auto found = listeners_.find(endpoint.text());
        if (found == listeners_.end()) {
          return {Errno(ECONNREFUSED),
                  "cannot connect to " + endpoint.text() + ": connection refused",
                  {}};
        }
        return {Errno(), "", found->second->accept_from(sim_port)};
      });
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

void SimNetwork::cut_all() {
  std::vector<SimStream*> streams = streams_;
  for (SimStream* stream : streams) stream->cut();
}

}  // namespace myfs::sim
