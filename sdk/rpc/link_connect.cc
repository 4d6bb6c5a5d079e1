// The channels of a Link: connecting, logging in, binding anew, giving up.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sdk/base/clock.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/log.h"
#include "sdk/base/random.h"
#include "sdk/rpc/callback_server.h"
#include "sdk/rpc/errno_map.h"
#include "sdk/rpc/link.h"
#include "sdk/rpc/typed_call.h"

namespace myfs::rpc {

void Link::connect_control() {
  if (closing_ || (leaving_ && !have_session_)) return;
  uint64_t attempt = ++control_.attempt;
  control_.state = ConnectionState::kConnecting;
  control_.address = options_.addresses[address_index_];
  {
    MutexLock lock(mutex_);
    address_ = control_.address;
  }
  int64_t deadline_ns = deadline_after_ns(options_.connect_timeout_ns);
  if (!opened_) deadline_ns = std::min(deadline_ns, open_deadline_ns_);
  tasks_->add(greet(loop_.port(), control_.address, options_.connector, deadline_ns)
                  .then([this, attempt, deadline_ns](Greeting&& greeting) {
                    if (attempt != control_.attempt) return;
                    control_greeted(kj::mv(greeting), deadline_ns);
                  }));
}

Identity Link::identity(const Greeting& greeting) {
  Identity id;
  id.client = client_uuid_;
  id.secret = options_.secret;
  id.challenge = greeting.challenge;
  id.cred = *options_.cred;
  id.export_path = options_.export_path;
  id.read_only = options_.read_only;
  id.session_tag = static_cast<uint32_t>(incarnation());
  id.number = ++handshakes_;
  id.on_evicted = [this] { verify_session(); };
  return id;
}

void Link::control_greeted(Greeting greeting, int64_t deadline_ns) {
  if (!greeting.error.ok()) return control_failed(greeting.error, std::move(greeting.why));
  control_.connection = kj::mv(greeting.connection);
  ++control_.connects;
  uint64_t attempt = control_.attempt;
  Connection& connection = *control_.connection;
  Identity id = identity(greeting);
  if (have_session_) {
    tasks_->add(bind_session(loop_.port(), connection, id, session(), sink_.held_grants(), sink_,
                             deadline_ns)
                    .then([this, attempt](LoginResult&& result) {
                      if (attempt == control_.attempt) bound(kj::mv(result));
                    }));
    return;
  }
  if (leaving_) return drop_connection(control_, "the session has ended");
  ++id.session_tag;
  tasks_->add(login(loop_.port(), connection, id, sink_, deadline_ns)
                  .then([this, attempt, time_ns = greeting.server_time_ns](LoginResult&& result) {
                    if (attempt == control_.attempt) logged_in(kj::mv(result), time_ns);
                  }));
}

void Link::logged_in(LoginResult result, int64_t server_time_ns) {
  if (!result.error.ok()) {
    std::string why = absl::StrCat(
        control_.address,
        " refused the login: ", result.why.empty() ? std::string(result.error.text()) : result.why);
    return control_failed(result.error, std::move(why));
  }
  uint64_t incarnation = incarnation_.load(std::memory_order_relaxed) + 1;
  result.info.incarnation = incarnation;
  result.info.max_io_bytes =
      std::min<uint32_t>(result.info.max_io_bytes, static_cast<uint32_t>(kIoMax_bytes));
  {
    MutexLock lock(mutex_);
    info_ = result.info;
  }
  incarnation_.store(incarnation, std::memory_order_release);
  have_session_ = true;
  data_token_ = result.info.data_token;
  admitter_->open(incarnation, result.info.slots, result.info.credit_bytes,
                  result.info.max_io_bytes);
  sink_.on_session_started(result.info, result.sent_ns, server_time_ns);
  arm_renewal(result.sent_ns, result.info.term_ms);
  control_up();
}

void Link::bound(LoginResult result) {
  const SessionInfo old = session();
  if (result.error.ok() &&
      (result.info.session_id != old.session_id || result.info.epoch != old.epoch)) {
    result.error = Errno(ESTALE);
    result.why = "the server bound another session than the one asked for";
  }
  if (is_transient(result.error)) {
    return control_failed(result.error,
                          absl::StrCat(control_.address, " did not bind: ", result.why));
  }
  if (!result.error.ok()) {
    drop_connection(control_, "the session is unknown");
    session_lost(result.why.empty() ? std::string(result.error.text()) : result.why);
    return connect_control();
  }
  if (!result.reclaim) return resume(std::move(result));
  log(LogLevel::kInfo, "%s: the server was begun anew: reclaiming", control_.address);
  bound_ = std::move(result);
  reclaim_next(true);
}

void Link::resume(LoginResult result) {
  const SessionInfo old = session();
  ++reconnects_;
  SessionInfo info = result.info;
  info.incarnation = old.incarnation;
  if (info.secret.empty()) info.secret = old.secret;
  if (info.root.handle.ino == 0) info.root = old.root;
  info.max_io_bytes = old.max_io_bytes;
  {
    MutexLock lock(mutex_);
    info_ = info;
  }
  data_token_ = info.data_token;
  if (!info.slot_seqs.empty()) reconcile_slots(info.slot_seqs);
  if (result.reclaim) {
    sink_.on_resumed(info, result.sent_ns);
  } else {
    sink_.on_rebound(info, std::move(result.kept), result.grace, result.sent_ns);
  }
  arm_renewal(result.sent_ns, info.term_ms);
  settle_stale(Errno(ESTALE));
  control_up();
}

// The server's memory of slots may be shorter than ours, never longer: a number that it has not
// seen was not executed, so the call may take the number that it waits for.
void Link::reconcile_slots(const std::vector<uint64_t>& seqs) {
  admitter_->adopt_slot_seqs(seqs);
  each_call([&](Call& call) {
    if (!call.changes || call.incarnation != incarnation() || call.op.slot >= seqs.size()) return;
    uint64_t seen = seqs[call.op.slot];
    if (seen > call.op.slot_seq) {
      return end_call(call, Errno(EPROTO), "the server's slot is ahead of the call", true);
    }
    if (call.op.slot_seq > seen + 1) {
      call.op.slot_seq = seen + 1;
      admitter_->set_slot_seq(call.admission, call.op.slot_seq);
    }
  });
}

void Link::came_up(Channel& channel) {
  channel.state = ConnectionState::kUp;
  channel.failures = 0;
  channel.last_error.clear();
  channel.up_since_ns = channel.progress_ns = boottime_ns();
  watch(channel);
}

void Link::control_up() {
  came_up(control_);
  control_.connection->callback()->open();
  for (auto& channel : data_) {
    if (channel->state == ConnectionState::kWaiting) connect_data(*channel);
  }
  send_waiting();
  open_finished(Errno(), {});
}

void Link::control_failed(Errno error, std::string why) {
  drop_connection(control_, why);
  control_.last_error = why;
  address_index_ = (address_index_ + 1) % options_.addresses.size();
  if (!opened_) {
    ++addresses_tried_;
    bool busy = error == Errno(EAGAIN) || error == Errno(EBUSY);  // say, still recovering
    if (busy && boottime_ns() < open_deadline_ns_) return retry_later(control_);
    if (addresses_tried_ >= options_.addresses.size() || boottime_ns() >= open_deadline_ns_) {
      return open_finished(error, std::move(why));
    }
    return connect_control();
  }
  if (control_.failures == 0) {
    log(LogLevel::kWarning, "%s: reconnecting: %s", control_.address, why);
  }
  // One round over all addresses before the first pause.
  bool round_done = control_.failures + 1 >= options_.addresses.size();
  if (!round_done) {
    ++control_.failures;
    return connect_control();
  }
  retry_later(control_);
}

void Link::retry_later(Channel& channel) {
  channel.state = ConnectionState::kWaiting;
  uint32_t doublings = std::min<uint32_t>(channel.failures++, 16);
  // Who has a session must be back before the grace of a server that was begun anew ends.
  const int64_t quarter_ns = int64_t{session().term_ms} * kNsPerMs / 4;
  const int64_t most_ns = have_session_
                              ? std::clamp(quarter_ns, kReconnectFirst_ns, kReconnectMax_ns)
                              : kReconnectMax_ns;
  int64_t pause_ns = std::min(kReconnectFirst_ns << doublings, most_ns);
  pause_ns = pause_ns / 2 + static_cast<int64_t>(random_below(static_cast<uint64_t>(pause_ns)));
  uint64_t attempt = ++channel.attempt;
  tasks_->add(loop_.timer().afterDelay(pause_ns * kj::NANOSECONDS).then([this, &channel, attempt] {
    if (attempt != channel.attempt || closing_) return;
    channel.control ? connect_control() : connect_data(channel);
  }));
}

void Link::session_lost(std::string why) {
  if (!have_session_) return;
  have_session_ = false;
  ++sessions_lost_;
  data_token_.clear();
  if (leaving_) {
    each_call([this](Call& call) {
      end_call(call, Errno(ESHUTDOWN), "the mount was closed", call.maybe_executed());
    });
    return settle_stale(Errno(ESHUTDOWN));
  }
  log(LogLevel::kWarning, "%s: the session is lost: %s", control_.address, why);
  sink_.on_session_lost(why);
  each_call([&](Call& call) {
    if (call.incarnation != incarnation()) return;
    bool in_doubt = call.maybe_executed();
    end_call(call, in_doubt ? Errno(EIO) : kSessionLost,
             absl::StrCat("the session with the server ended: ", why), in_doubt);
  });
  settle_stale(kSessionLost);
}

void Link::arm_renewal(int64_t sent_ns, uint32_t term_ms) {
  renewal_.arm_at(sent_ns + int64_t{term_ms} * kNsPerMs / 3);
}

void Link::renew() {
  if (!have_session_) return;
  const SessionInfo info = session();
  auto call = make_ref<TypedCall<RenewCall>>(RenewArgs{info.epoch});
  call->asynchronous = true;
  call->incarnation = info.incarnation;
  call->started_ns = boottime_ns();
  call->deadline_ns = call->started_ns + int64_t{info.term_ms} * kNsPerMs / 3;
  call->completion = [this](const Result<RenewReply>& reply) { renewed(reply); };
  start(std::move(call));
}

void Link::renewed(const Result<RenewReply>& reply) {
  if (reply.ok()) {
    sink_.on_renewed(reply->term_ms, reply->sent_boottime_ns);
    return arm_renewal(reply->sent_boottime_ns, reply->term_ms);
  }
  // A new session is renewed from its login on.
  if (reply.error() != kSessionLost && !closing_) renewal_.arm_after(kRenewRetry_ns);
}

void Link::verify_session() {
  if (std::exchange(verifying_, true)) return;
  auto request = control_.connection->session().renewRequest();
  request.setEpoch(session().epoch);
  auto sent = kj::evalNow(
      [&] { return kj::Promise<capnp::Response<wire::Session::RenewResults>>(request.send()); });
  control_.connection->tasks().add(sent.then(
      [this, attempt = control_.attempt](capnp::Response<wire::Session::RenewResults>&& reply) {
        if (attempt != control_.attempt) return;
        verifying_ = false;
        if (reply.getErrno() == ESTALE) return end_dead_session("the server has ended it");
        settle_stale(Errno(ESTALE));
      },
      [](kj::Exception&&) {}));  // the connection is broken: the next bind tells
}

void Link::end_dead_session(std::string why) {
  if (!have_session_) return;
  drop_connection(control_, "the session is unknown");
  drop_data_connections("the session is unknown");
  session_lost(std::move(why));
  connect_control();
}

void Link::settle_stale(Errno error) {
  for (Ref<Call>& call : std::exchange(stale_, {})) {
    // The dead session refused the last transmission; it may have executed one before.
    call->detail.in_doubt = error != Errno(ESTALE) && call->sent_again();
    call->pending_error = error == kSessionLost && call->detail.in_doubt ? Errno(EIO) : error;
    if (call->detail.in_doubt) call->detail.message = "the session ended before it answered";
    finish(*call);
  }
}

void Link::watch(Channel& channel) {
  channel.connection->tasks().add(
      channel.connection->on_disconnect().then([this, &channel, attempt = channel.attempt] {
        if (attempt == channel.attempt) broken(channel, "the connection was lost");
      }));
}

void Link::drop_connection(Channel& channel, const std::string& why) {
  ++channel.attempt;
  channel.pinged = false;
  channel.state = ConnectionState::kWaiting;
  if (channel.control) verifying_ = control_attaching_ = false;
  if (channel.connection.get() == nullptr) return;
  kj::Own<Connection> connection = kj::mv(channel.connection);
  channel.bytes_in += connection->stats().bytes_in.load(std::memory_order_relaxed);
  channel.bytes_out += connection->stats().bytes_out.load(std::memory_order_relaxed);
  if (connection->callback() != nullptr) connection->callback()->shut();
  connection->disconnect(why);
  requeue(channel);
  // Not here: a continuation of one of its promises may be what runs now.
  tasks_->add(kj::evalLater([connection = kj::mv(connection)]() mutable { connection = nullptr; }));
}

void Link::broken(Channel& channel, std::string why) {
  if (closing_) return;
  log(LogLevel::kInfo, "%s: %s connection broken: %s", channel.address,
      channel.control ? "control" : "data", why);
  drop_connection(channel, why);
  channel.last_error = std::move(why);
  bool short_lived = boottime_ns() - channel.up_since_ns < kShortLife_ns;
  if (channel.control) {
    // bind makes the server close the session's other connections; what they carry is sent again
    // after it.
    drop_data_connections("the control connection is broken");
    return short_lived ? retry_later(channel) : connect_control();
  }
  channel.state = ConnectionState::kIdle;
  if (short_lived) retry_later(channel);
  send_waiting();
}

void Link::drop_data_connections(const std::string& why) {
  for (auto& channel : data_) {
    if (channel->state == ConnectionState::kIdle) continue;
    drop_connection(*channel, why);
    channel->state = ConnectionState::kWaiting;
  }
}

kj::Promise<Outcome> Link::attach(Channel& channel, int64_t deadline_ns) {
  uint64_t session_id = session().session_id;
  if (!data_token_.empty()) {
    return attach_data(loop_.port(), *channel.connection, session_id,
                       std::exchange(data_token_, {}), deadline_ns);
  }
  auto token = kj::evalNow([&] {
    return kj::Promise<capnp::Response<wire::Session::NewDataTokenResults>>(
        control_.connection->session().newDataTokenRequest().send());
  });
  return token.then(
      [this, &channel, session_id, deadline_ns, attempt = channel.attempt](
          capnp::Response<wire::Session::NewDataTokenResults>&& reply) -> kj::Promise<Outcome> {
        if (attempt != channel.attempt) return Outcome{Errno(ECONNRESET), "abandoned"};
        Errno error = to_errno(reply.getErrno());
        if (!error.ok()) return Outcome{error, "the server gave no token for a data connection"};
        return attach_data(loop_.port(), *channel.connection, session_id,
                           to_string(reply.getToken()), deadline_ns);
      },
      [](kj::Exception&& exception) -> kj::Promise<Outcome> {
        Mapped mapped = map_exception(exception);
        return Outcome{mapped.error, mapped.text};
      });
}

void Link::connect_data(Channel& channel) {
  uint64_t attempt = ++channel.attempt;
  if (closing_) return;
  if (!control_.up()) {
    channel.state = ConnectionState::kWaiting;
    return;
  }
  channel.state = ConnectionState::kConnecting;
  channel.address = control_.address;
  channel.connecting_since_ns = boottime_ns();
  int64_t deadline_ns = deadline_after_ns(options_.connect_timeout_ns);
  auto greeted = greet(loop_.port(), channel.address, options_.connector, deadline_ns);
  auto attached = greeted.then(
      [this, &channel, attempt, deadline_ns](Greeting&& greeting) -> kj::Promise<Outcome> {
        if (!greeting.error.ok()) return Outcome{greeting.error, std::move(greeting.why)};
        if (attempt != channel.attempt || !control_.up()) {
          return Outcome{Errno(ECONNRESET), "abandoned"};
        }
        channel.connection = kj::mv(greeting.connection);
        ++channel.connects;
        return attach(channel, deadline_ns);
      });
  tasks_->add(attached.then([this, &channel, attempt](Outcome&& outcome) {
    if (attempt == channel.attempt) data_done(channel, kj::mv(outcome));
  }));
}

void Link::data_done(Channel& channel, Outcome outcome) {
  if (!outcome.error.ok()) {
    drop_connection(channel, outcome.why);
    channel.last_error = std::move(outcome.why);
    log(LogLevel::kInfo, "%s: no data connection: %s", channel.address, channel.last_error);
    note_data_trouble(channel.last_error);
    retry_later(channel);
    return send_waiting();
  }
  came_up(channel);
  note_data_trouble({});
  send_waiting();
}

void Link::note_data_trouble(const std::string& why) {
  MutexLock lock(mutex_);
  data_trouble_ = why;
}

// What fails here is tried again when the next attempt at a data connection has failed, too.
void Link::attach_control() {
  if (std::exchange(control_attaching_, true)) return;
  const uint64_t attempt = control_.attempt;
  auto attached = attach(control_, deadline_after_ns(options_.connect_timeout_ns));
  tasks_->add(attached.then([this, attempt](Outcome&& outcome) {
    if (attempt != control_.attempt) return;
    control_attaching_ = false;
    if (!outcome.error.ok()) return note_data_trouble(outcome.why);
    log(LogLevel::kWarning, "%s: data goes over the control connection: there is no other",
        control_.address);
    note_data_trouble({});
    send_waiting();
  }));
}

}  // namespace myfs::rpc
