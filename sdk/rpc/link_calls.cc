// The calls of a Link: sending, sending again, answers, deadlines of asynchronous calls, silent
// connections.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sdk/base/clock.h"
#include "sdk/base/log.h"
#include "sdk/rpc/errno_map.h"
#include "sdk/rpc/link.h"

namespace myfs::rpc {

void Link::list(Ref<Call> call) {
  call->listed = true;
  call->prev = last_call_;
  call->next = nullptr;
  (last_call_ != nullptr ? last_call_->next : first_call_) = call.get();
  last_call_ = call.leak();
  ++calls_listed_;
  if (!tick_.armed()) tick_.arm_after(kTick_ns);
}

void Link::unlist(Call& call) {
  if (!std::exchange(call.listed, false)) return;
  (call.prev != nullptr ? call.prev->next : first_call_) = call.next;
  (call.next != nullptr ? call.next->prev : last_call_) = call.prev;
  call.next = call.prev = nullptr;
  call.channel = nullptr;
  --calls_listed_;
  Ref<Call> dropped(&call, Ref<Call>::Adopt{});
}

void Link::start(Ref<Call> call) {
  if (call->state() != Call::State::kPending) return;
  Call& started = *call;
  list(std::move(call));
  if (closing_) return end_call(started, Errno(ESHUTDOWN), "the mount was closed", false);
  if (have_session_ && !admit_to_session(started)) return;
  Channel* channel = channel_for(started);
  if (channel != nullptr) send(started, *channel);
}

// Gives the call its place in the present session. False: it has ended, since it speaks of another
// one.
bool Link::admit_to_session(Call& call) {
  uint64_t now = incarnation();
  bool ours = (call.incarnation == 0 || call.incarnation == now) && call.handles_of(now);
  if (ours && call.changes) {
    call.op.slot_seq = admitter_->take_slot_seq(call.admission);
    call.op.slot = call.admission.slot();
    MutexLock lock(mutex_);
    call.op.epoch = info_.epoch;
    ours = call.op.slot_seq != 0;
  }
  if (ours) {
    call.incarnation = now;
    return true;
  }
  end_call(call, kSessionLost, "the session that the call belongs to has ended", false);
  return false;
}

Channel* Link::channel_for(const Call& call) {
  if (!control_.up()) return nullptr;
  if (call.lane == Lane::kControl) return &control_;
  // Not absl::Hash, which differs from process to process: a simulation must repeat.
  size_t wanted = (call.ino * 0x9e3779b97f4a7c15 >> 32) % data_.size();
  Channel& affine = *data_[wanted];
  if (affine.up()) return &affine;
  if (affine.state == ConnectionState::kIdle) connect_data(affine);
  for (auto& channel : data_) {
    if (channel->up()) return channel.get();
  }
  return data_over_control(affine);
}

// Write-back must get on, or recalls do not, also when the server takes no further connection.
Channel* Link::data_over_control(const Channel& wanted) {
  const int64_t tried_ns = boottime_ns() - wanted.connecting_since_ns;
  if (wanted.failures < kDataAttempts && tried_ns < kDataPatience_ns) return nullptr;
  if (control_.connection->has_data()) return &control_;
  attach_control();
  return nullptr;
}

void Link::send(Call& call, Channel& channel) {
  uint32_t transmission = call.transmissions.fetch_add(1, std::memory_order_relaxed) + 1;
  if (transmission == 1) {
    ++calls_[static_cast<size_t>(call.method)];
  } else {
    ++resent_;
  }
  call.channel = &channel;
  call.sent_ns = boottime_ns();
  Connection& connection = *channel.connection;
  auto sent = kj::evalNow([&] { return call.transmit(connection, *this); });
  if (!call.changes) sent = call.canceler.wrap(kj::mv(sent));
  connection.tasks().add(
      sent.catch_([this, held = Ref<Call>(call), transmission](kj::Exception&& exception) {
        transmission_failed(*held, transmission, kj::mv(exception));
      }));
}

void Link::send_waiting() {
  each_call([this](Call& call) {
    if (call.channel != nullptr || call.final_reply) return;
    if (!have_session_) return;
    if (call.incarnation != incarnation() && !admit_to_session(call)) return;
    if (Channel* channel = channel_for(call); channel != nullptr) send(call, *channel);
  });
}

void Link::requeue(Channel& channel) {
  for (Call* call = first_call_; call != nullptr; call = call->next) {
    if (call->channel != &channel) continue;
    call->channel = nullptr;
    // Whatever the old connection still brings is not this call's answer.
    if (!call->final_reply) call->transmissions.fetch_add(1, std::memory_order_relaxed);
  }
}

void Link::transmission_failed(Call& call, uint32_t transmission, kj::Exception&& exception) {
  if (!call.listed || call.final_reply ||
      transmission != call.transmissions.load(std::memory_order_relaxed)) {
    return;
  }
  Mapped mapped = map_exception(exception);
  Channel* channel = call.channel;
  if (mapped.trouble == Trouble::kBroken) {
    if (channel != nullptr) broken(*channel, mapped.text);
    return;
  }
  if (mapped.trouble == Trouble::kBackOff) {
    call.channel = nullptr;
    uint32_t doublings = std::min<uint32_t>(call.backoffs++, 7);
    tasks_->add(
        loop_.timer().afterDelay((kOverloadBackoff_ns << doublings) * kj::NANOSECONDS).then([this] {
          send_waiting();
        }));
    return;
  }
  // A call that the server does not know was not executed: its number was never used.
  bool unknown = mapped.error == Errno(EOPNOTSUPP);
  if (unknown && call.changes) admitter_->untake_slot_seq(call.admission);
  end_call(call, mapped.error, std::move(mapped.text), call.changes && !unknown);
}

void Link::answered(Call& call, Errno error) {
  if (!call.listed) return;
  call.final_reply = true;
  if (call.state() == Call::State::kAnswered) {
    if (error == Errno(EPROTO)) call.detail.message = "the server's answer is malformed";
    call.pending_error = error;
  }
  bool stale = error == Errno(ESTALE) && have_session_ && call.incarnation == incarnation();
  if (stale && call.method != Method::kRenew && control_.up()) {
    call.channel = nullptr;
    stale_.emplace_back(call);
    return verify_session();
  }
  finish(call);
  if (stale && call.method == Method::kRenew) end_dead_session("the server does not know it");
}

// Ends a call without an answer of the server's.
void Link::end_call(Call& call, Errno error, std::string why, bool in_doubt) {
  if (call.final_reply) return;
  call.final_reply = true;
  if (call.claim()) {
    call.detail.message = std::move(why);
    call.detail.in_doubt = in_doubt;
    call.pending_error = error;
  }
  finish(call);
}

// The final reply is there. Delivered now, or when no message refers to the caller's memory any
// more.
void Link::finish(Call& call) {
  Ref<Call> held(call);
  if (call.is_pinned() && (call.borrows() || call.delivery_due)) {
    call.delivery_due = true;
    return;
  }
  unlist(call);
  call.admission = Admission();
  if (call.state() == Call::State::kAbandoned && !call.asynchronous) {
    if (call.change) sink_.on_settled(std::move(call.change).to_ref(), std::move(call.unheard));
    return;
  }
  if (!call.pending_error.ok()) {
    call.detail.error = call.pending_error;
    call.detail.server = control_.address;
    call.detail.operation = method_name(call.method);
    call.detail.retriable = call.pending_error == kSessionLost;
  }
  call.deliver(call.pending_error);
}

void Link::released(Call& call) {
  if (!std::exchange(call.delivery_due, false)) return;
  if (call.final_reply) return finish(call);
  call.deliver(call.pending_error);  // expired; the call itself goes on with its own copy
}

void Link::abandoned(Call& call) {
  if (!call.listed || call.final_reply || call.maybe_executed()) return;
  if (call.changes && call.incarnation == incarnation() && call.op.slot_seq != 0) {
    admitter_->untake_slot_seq(call.admission);
  }
  call.final_reply = true;
  Ref<Call> held(call);
  finish(call);
  call.canceler.cancel("the caller gave up");
}

void Link::expire_calls(int64_t now_ns) {
  for (size_t i = stale_.size(); i-- > 0;) {
    if (now_ns < stale_[i]->deadline_ns) continue;
    Ref<Call> call = std::move(stale_[i]);
    stale_.erase(stale_.begin() + static_cast<ptrdiff_t>(i));
    call->pending_error = Errno(ETIMEDOUT);
    call->detail.message = no_answer(*call);
    call->detail.in_doubt = call->sent_again();
    finish(*call);
  }
  each_call([&](Call& call) {
    if (!call.asynchronous || now_ns < call.deadline_ns || !call.abandon()) return;
    call.pending_error = Errno(ETIMEDOUT);
    call.detail.message = no_answer(call);
    call.detail.in_doubt = call.maybe_executed();
    if (!call.maybe_executed()) return abandoned(call);
    // The call lives on for its slot's sake; the caller's memory must not.
    Channel* channel = call.channel;
    bool pinned = call.is_pinned() && call.borrows();
    call.own_payload();
    if (!pinned) return call.deliver(call.pending_error);
    call.delivery_due = true;
    if (channel != nullptr) broken(*channel, "a write was not taken in time");
  });
}

void Link::report_blocked(int64_t now_ns) {
  for (Call* call = first_call_; call != nullptr; call = call->next) {
    if (call->reported || now_ns - call->started_ns < kBlockedReport_ns) continue;
    call->reported = true;
    log(LogLevel::kWarning, "%s: %s of inode %d has waited for %d s%s", control_.address,
        std::string(method_name(call->method)), call->ino, (now_ns - call->started_ns) / kNsPerSec,
        control_.up() ? "" : ": the server is not connected");
  }
}

// Who has unanswered calls and hears nothing asks; who is not answered then is dead.
void Link::check_silence(Channel& channel, int64_t now_ns) {
  if (!channel.up()) return;
  Connection& connection = *channel.connection;
  // What the kernel takes at once may go nowhere; what waits and gets fewer has somewhere to go.
  uint64_t bytes = connection.stats().bytes_in.load(std::memory_order_relaxed);
  if (connection.is_sending()) {
    bytes += connection.stats().bytes_out.load(std::memory_order_relaxed);
  }
  bool waits = false;
  for (Call* call = first_call_; call != nullptr && !waits; call = call->next) {
    waits = call->channel == &channel;
  }
  if (bytes != channel.seen_bytes || !waits) {
    channel.seen_bytes = bytes;
    channel.progress_ns = now_ns;
    channel.pinged = channel.pinged && waits;
    return;
  }
  int64_t silence_ns = now_ns - channel.progress_ns;
  int64_t patience_ns =
      std::max<int64_t>(kSilenceMin_ns, int64_t{session().term_ms} * kNsPerMs / 8);
  if (silence_ns < patience_ns) return;
  if (channel.pinged) return broken(channel, "the server is silent");
  channel.pinged = true;
  channel.progress_ns = now_ns;
  // A connection that broke a moment ago throws instead of failing.
  auto answered = kj::evalNow([&]() -> kj::Promise<void> {
    return channel.control ? connection.session().pingRequest().send().ignoreResult()
                           : connection.data().pingRequest().send().ignoreResult();
  });
  connection.tasks().add(answered
                             .then([&channel, attempt = channel.attempt] {
                               if (attempt == channel.attempt) channel.pinged = false;
                             })
                             .catch_([](kj::Exception&&) {}));
}

void Link::check_connecting(int64_t now_ns) {
  for (auto& channel : data_) {
    const bool slow = channel->state == ConnectionState::kConnecting &&
                      now_ns - channel->connecting_since_ns >= kDataPatience_ns;
    if (slow) return send_waiting();
  }
}

void Link::tick() {
  if (calls_listed_ == 0 || closing_) return;
  tick_.arm_after(kTick_ns);
  int64_t now_ns = boottime_ns();
  expire_calls(now_ns);
  report_blocked(now_ns);
  check_silence(control_, now_ns);
  for (auto& channel : data_) check_silence(*channel, now_ns);
  check_connecting(now_ns);
}

}  // namespace myfs::rpc
