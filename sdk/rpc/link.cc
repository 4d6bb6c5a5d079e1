#include "sdk/rpc/link.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "sdk/base/clock.h"
#include "sdk/base/log.h"
#include "sdk/base/random.h"

namespace myfs::rpc {
namespace {

std::string uuid_bytes() {
  auto uuid = random_uuid();
  return std::string(reinterpret_cast<const char*>(uuid.data()), uuid.size());
}

}  // namespace

Link::Link(uv_io::Loop& loop, ClientOptions options, CallbackSink& sink,
           std::shared_ptr<Admitter> admitter)
    : loop_(loop),
      options_(std::move(options)),
      sink_(sink),
      admitter_(std::move(admitter)),
      client_uuid_(uuid_bytes()),
      tick_(loop.port(), [this] { tick(); }),
      renewal_(loop.port(), [this] { renew(); }),
      tasks_(kj::heap<kj::TaskSet>(*this)) {
  control_.control = true;
  for (int i = 0; i < options_.data_connections; ++i) data_.push_back(std::make_unique<Channel>());
  each_channel([this](Channel& channel) { channel.address = options_.addresses[0]; });
  MutexLock lock(mutex_);
  address_ = options_.addresses[0];
}

Link::~Link() { shut_down(); }

void Link::open(int64_t deadline_ns) {
  open_deadline_ns_ = deadline_ns;
  connect_control();
}

void Link::open_finished(Errno error, std::string why) {
  if (std::exchange(opened_, true)) return;
  open_error_ = error;
  open_why_ = std::move(why);
  ready.set();
}

bool Link::leave() {
  leaving_ = true;
  return have_session_;
}

void Link::shut_down() {
  if (std::exchange(closing_, true)) return;
  tick_.disarm();
  renewal_.disarm();
  tasks_ = nullptr;
  each_channel([](Channel& channel) {
    ++channel.attempt;
    channel.state = ConnectionState::kClosed;
    channel.connection = nullptr;
  });
  settle_stale(Errno(ESHUTDOWN));
  each_call([this](Call& call) {
    end_call(call, Errno(ESHUTDOWN), "the mount was closed", call.maybe_executed());
  });
  open_finished(Errno(ESHUTDOWN), "closed");
}

void Link::break_connections(std::string why) {
  each_channel([&](Channel& channel) {
    if (channel.up()) broken(channel, why);
  });
}

void Link::taskFailed(kj::Exception&& exception) {
  log(LogLevel::kError, "%s: %s", control_.address, exception.getDescription().cStr());
}

SessionInfo Link::session() const {
  MutexLock lock(mutex_);
  return info_;
}

std::string Link::address() const {
  MutexLock lock(mutex_);
  return address_;
}

std::string Link::no_answer(const Call& call) const {
  const bool unsent = call.transmissions.load(std::memory_order_relaxed) == 0;
  MutexLock lock(mutex_);
  if (call.lane == Lane::kData && unsent && !data_trouble_.empty()) {
    return absl::StrCat("no data connection to ", address_, ": ", data_trouble_);
  }
  return absl::StrCat("no answer from ", address_, " before the deadline");
}

ClientStats Link::stats() const {
  ClientStats stats;
  auto add = [&stats](const Channel& channel) {
    ConnectionStats one;
    one.address = channel.address;
    one.state = channel.state;
    one.control = channel.control;
    one.bytes_in = channel.bytes_in;
    one.bytes_out = channel.bytes_out;
    one.connects = channel.connects;
    one.last_error = channel.last_error;
    if (channel.connection.get() != nullptr) {
      one.bytes_in += channel.connection->stats().bytes_in.load(std::memory_order_relaxed);
      one.bytes_out += channel.connection->stats().bytes_out.load(std::memory_order_relaxed);
    }
    stats.connections.push_back(std::move(one));
  };
  add(control_);
  for (const auto& channel : data_) add(*channel);
  stats.calls = calls_;
  stats.in_flight = calls_listed_;
  stats.resent = resent_;
  stats.reconnects = reconnects_;
  stats.sessions_lost = sessions_lost_;
  stats.sessions_reclaimed = sessions_reclaimed_;
  stats.session_id = session().session_id;
  return stats;
}

std::vector<ActiveCall> Link::active_calls() const {
  std::vector<ActiveCall> calls;
  for (const Call* call = first_call_; call != nullptr; call = call->next) {
    calls.push_back(ActiveCall{call->method, call->ino, call->started_ns,
                               call->state() == Call::State::kAbandoned});
  }
  return calls;
}

}  // namespace myfs::rpc
