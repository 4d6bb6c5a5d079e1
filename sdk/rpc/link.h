// Link: what a Client is inside the loop: its channels, its session, its unanswered calls; keeps
// them alive through breaks.
// Kernel counterpart: the state manager (fs/nfs/nfs4state.c) with xprt_connect (net/sunrpc/xprt.c).
// Thread safety: only inside the loop, except where said.
// Lock rank: kSession for the copy of SessionInfo.
// Owns / is owned by: owned by Client, destroyed inside the loop; owns channels and their
// connections; a reference to each unanswered call.
// Invariants: (1) a call is in the list from start() to its final reply, with `channel` null while
// it waits to be sent; (2) a Connection is destroyed from the top of the loop only (retire); (3) a
// continuation of an earlier attempt of a channel is recognised by its attempt number and does
// nothing; (4) nothing is sent for a session before login was answered, or bind and the last of the
// reclaims that its answer asked for.
#pragma once

#include <kj/async.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "sdk/base/sync.h"
#include "sdk/rpc/admitter.h"
#include "sdk/rpc/call.h"
#include "sdk/rpc/client.h"
#include "sdk/rpc/handshake.h"
#include "sdk/uv/loop.h"
#include "sdk/uv/uv_timer.h"

namespace myfs::rpc {

inline constexpr int64_t kReconnectFirst_ns = 20'000'000;  // doubled with each failure,
inline constexpr int64_t kReconnectMax_ns =
    2'000'000'000;  // up to this, half to one and a half times it
inline constexpr int64_t kShortLife_ns =
    1'000'000'000;  // who broke sooner is reconnected after a pause
inline constexpr int64_t kOverloadBackoff_ns = 10'000'000;
inline constexpr int64_t kBlockedReport_ns = 5'000'000'000;  // a call that waits longer is logged
inline constexpr int64_t kTick_ns = 250'000'000;             // between looks at unanswered calls
inline constexpr int64_t kSilenceMin_ns = 1'000'000'000;  // a silent connection is asked no earlier
// So much is tried before data goes over the control connection.
inline constexpr uint32_t kDataAttempts = 2;
inline constexpr int64_t kRenewRetry_ns = 100'000'000;  // after a renewal that failed
inline constexpr int64_t kDataPatience_ns = 1'000'000'000;

// A place for one connection after another.
class Channel {
 public:
  bool control = false;
  ConnectionState state = ConnectionState::kIdle;
  kj::Own<Connection> connection;
  uint64_t attempt = 0;
  uint32_t failures = 0;
  std::string address;
  std::string last_error;
  uint64_t connects = 0;
  uint64_t bytes_in = 0;  // of dead connections
  uint64_t bytes_out = 0;
  uint64_t seen_bytes = 0;  // at the last tick
  int64_t up_since_ns = 0;
  int64_t connecting_since_ns = 0;
  int64_t progress_ns = 0;
  bool pinged = false;

  bool up() const { return state == ConnectionState::kUp; }
};

class Link final : public CallOwner, public kj::TaskSet::ErrorHandler {
 public:
  Link(uv_io::Loop& loop, ClientOptions options, CallbackSink& sink,
       std::shared_ptr<Admitter> admitter);
  ~Link();

  // Begins to connect; `ready` is set when the first login has succeeded or failed for good.
  void open(int64_t deadline_ns);
  // No session is begun from here on. Returns whether there is one to be closed.
  bool leave();
  // Breaks everything; every call ends with ESHUTDOWN.
  void shut_down();

  void start(Ref<Call> call);
  // The caller has abandoned it.
  void abandoned(Call& call);
  void break_connections(std::string why);

  ClientStats stats() const;
  std::vector<ActiveCall> active_calls() const;

  Event ready;
  // Valid once `ready` is set.
  Errno open_error() const { return open_error_; }
  const std::string& open_why() const { return open_why_; }

  // Any thread.
  SessionInfo session() const;
  uint64_t incarnation() const { return incarnation_.load(std::memory_order_acquire); }
  std::string address() const;
  // What a caller is told whose time is up.
  std::string no_answer(const Call& call) const;

 private:
  // link_connect.cc: channels and the session.
  void connect_control();
  void control_greeted(Greeting greeting, int64_t deadline_ns);
  void logged_in(LoginResult result, int64_t server_time_ns);
  void bound(LoginResult result);
  void reclaim_next(bool begin);
  void reclaimed(const ReclaimPart& part, ReclaimResult result);
  void resume(LoginResult result);
  void control_up();
  void came_up(Channel& channel);
  void control_failed(Errno error, std::string why);
  void session_lost(std::string why);
  void drop_data_connections(const std::string& why);
  // Keeps the session alive. At a third of the term after the newest request that did.
  void arm_renewal(int64_t sent_ns, uint32_t term_ms);
  void renew();
  void renewed(const Result<RenewReply>& reply);
  // Asks whether the session lives: ESTALE may mean the node or the session.
  void verify_session();
  void end_dead_session(std::string why);
  void settle_stale(Errno error);
  void reconcile_slots(const std::vector<uint64_t>& seqs);
  void connect_data(Channel& channel);
  kj::Promise<Outcome> attach(Channel& channel, int64_t deadline_ns);
  void data_done(Channel& channel, Outcome outcome);
  // Data over the control connection: while none of its own is to be had.
  void attach_control();
  void note_data_trouble(const std::string& why);
  void broken(Channel& channel, std::string why);
  void drop_connection(Channel& channel, const std::string& why);
  void watch(Channel& channel);
  void retry_later(Channel& channel);
  void open_finished(Errno error, std::string why);
  Identity identity(const Greeting& greeting);

  // link_calls.cc: calls.
  bool admit_to_session(Call& call);
  Channel* channel_for(const Call& call);
  Channel* data_over_control(const Channel& wanted);
  void send(Call& call, Channel& channel);
  void send_waiting();
  void requeue(Channel& channel);
  void transmission_failed(Call& call, uint32_t transmission, kj::Exception&& exception);
  void answered(Call& call, Errno error) override;
  void released(Call& call) override;
  void end_call(Call& call, Errno error, std::string why, bool in_doubt);
  void finish(Call& call);
  void list(Ref<Call> call);
  void unlist(Call& call);
  void tick();
  void expire_calls(int64_t now_ns);
  void report_blocked(int64_t now_ns);
  void check_silence(Channel& channel, int64_t now_ns);
  void check_connecting(int64_t now_ns);
  template <typename Visit>
  void each_call(Visit visit);
  template <typename Visit>
  void each_channel(Visit visit);
  void taskFailed(kj::Exception&& exception) override;

  uv_io::Loop& loop_;
  const ClientOptions options_;
  CallbackSink& sink_;
  const std::shared_ptr<Admitter> admitter_;
  const std::string client_uuid_;

  Channel control_;
  std::vector<std::unique_ptr<Channel>> data_;
  size_t address_index_ = 0;
  bool have_session_ = false;
  bool leaving_ = false;
  bool closing_ = false;
  bool opened_ = false;
  size_t addresses_tried_ = 0;
  int64_t open_deadline_ns_ = kNoDeadline;
  Errno open_error_;
  std::string open_why_;
  std::string data_token_;
  bool control_attaching_ = false;
  bool verifying_ = false;
  LoginResult bound_;  // answered by a server that was begun anew, until all is reclaimed
  std::vector<Ref<Call>> stale_;  // answered ESTALE; delivered when it is known what that meant

  Call* first_call_ = nullptr;  // in order of start
  Call* last_call_ = nullptr;
  size_t calls_listed_ = 0;
  std::array<uint64_t, kMethodCount> calls_{};
  uint64_t resent_ = 0;
  uint64_t reconnects_ = 0;
  uint64_t sessions_lost_ = 0;
  uint64_t sessions_reclaimed_ = 0;

  uv_io::Timer tick_;
  uv_io::Timer renewal_;
  kj::Own<kj::TaskSet> tasks_;

  std::atomic<uint64_t> incarnation_{0};
  uint64_t handshakes_ = 0;  // logins and binds so far
  mutable Mutex mutex_{LockRank::kSession};
  SessionInfo info_ ABSL_GUARDED_BY(mutex_);
  std::string address_ ABSL_GUARDED_BY(mutex_);
  std::string data_trouble_ ABSL_GUARDED_BY(mutex_);  // why no data connection is up; empty: one is
};

// `visit` may end any call.
template <typename Visit>
void Link::each_call(Visit visit) {
  std::vector<Ref<Call>> calls;
  calls.reserve(calls_listed_);
  for (Call* call = first_call_; call != nullptr; call = call->next) calls.emplace_back(*call);
  for (Ref<Call>& call : calls) {
    if (call->listed) visit(*call);
  }
}

template <typename Visit>
void Link::each_channel(Visit visit) {
  visit(control_);
  for (auto& channel : data_) visit(*channel);
}

}  // namespace myfs::rpc
