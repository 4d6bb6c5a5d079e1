#include "sdk/rpc/client.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/nowait.h"
#include "sdk/rpc/client_impl.h"

namespace myfs::rpc {
namespace {

Result<void> check_options(const ClientOptions& options) {
  if (options.addresses.empty()) return fail(Errno(EINVAL), "no server address");
  if (options.data_connections < 1 || options.data_connections > kDataConnectionsMax) {
    return fail(Errno(EINVAL), absl::StrFormat("%d data connections: must be 1..%d",
                                               options.data_connections, kDataConnectionsMax));
  }
  return ok_result();
}

CredRef process_cred() {
  auto cred = std::make_shared<Cred>(Cred{geteuid(), getegid(), {}});
  int count = getgroups(0, nullptr);
  cred->groups.resize(static_cast<size_t>(std::max(count, 0)));
  count = getgroups(static_cast<int>(cred->groups.size()), cred->groups.data());
  cred->groups.resize(static_cast<size_t>(std::max(count, 0)));
  return cred;
}

}  // namespace

Result<void> Client::Impl::open(CallbackSink& sink, const CallContext& ctx) {
  MYFS_TRY(check_options(options_));
  int64_t deadline_ns = std::min(ctx.deadline_ns, deadline_after_ns(options_.connect_timeout_ns));
  bool ran = loop_.run_sync([&] {
    link_ = std::make_shared<Link>(loop_, options_, sink, admitter_);
    link_->open(deadline_ns);
  });
  if (!ran) return fail(Errno(ESHUTDOWN), "the I/O loop has stopped");
  std::shared_ptr<Link> link = link_;
  std::atomic<bool> cancelled{false};
  {
    CancelToken::Listener listener(ctx.cancel, [this, link, &cancelled] {
      cancelled.store(true, std::memory_order_release);
      loop_.post([link] { link->shut_down(); });
    });
    // The attempts keep to the deadline themselves and say more than "too late".
    int64_t last_ns = deadline_ns == kNoDeadline ? kNoDeadline : deadline_ns + kNsPerSec;
    (void)loop_.wait_for(link->ready, last_ns);
  }
  link.reset();
  if (cancelled.load(std::memory_order_acquire)) {
    return fail(Errno(EINTR), absl::StrCat("connecting to ", options_.addresses[0], " cancelled"));
  }
  Errno error = link_->ready.is_set() ? link_->open_error() : Errno(ETIMEDOUT);
  if (error.ok()) return ok_result();
  ErrorDetail& detail = thread_error_detail();
  detail = ErrorDetail{};
  detail.error = error;
  detail.server = link_->address();
  detail.operation = "connect";
  detail.message =
      link_->ready.is_set() ? link_->open_why() : absl::StrCat("no answer from ", detail.server);
  detail.retriable = error == Errno(ETIMEDOUT) || error == Errno(ECONNREFUSED);
  return error;
}

void Client::Impl::close(const CallContext& ctx) {
  if (closed_.exchange(true)) return;
  if (link_ == nullptr) return;
  admitter_->shut_down();
  bool has_session = false;
  (void)loop_.run_sync([&] { has_session = link_->leave(); });
  // The server may be out of reach: it then ends the session by itself.
  if (has_session) (void)call_admitted<CloseCall>(ctx, Nothing{}, Admission());
  (void)loop_.run_sync([this] { link_->shut_down(); });
}

void Client::Impl::tear_down() {
  closed_.store(true);
  admitter_->shut_down();
  // Destroyed inside the loop: what lives there dies there. References of posted functions die
  // before, being earlier in the queue.
  (void)loop_.run_sync([this] {
    if (link_ != nullptr) link_->shut_down();
    link_ = nullptr;
  });
}

int64_t Client::Impl::deadline(const CallContext& ctx) const {
  const Patience patience = this->patience();
  if (!patience.soft) return ctx.deadline_ns;
  return std::min(ctx.deadline_ns, deadline_after_ns(patience.timeout_ns));
}

Result<void> Client::Impl::admit_into(const CallContext& ctx, const AdmitArgs& args,
                                      Admission* out) {
  if (must_not_wait()) return refuse_to_wait();
  Result<Admission> admission = admitter_->try_admit(args);
  if (!admission.ok() && admission.error() == Errno(EAGAIN)) {
    admission = admitter_->admit(ctx, args, deadline(ctx));
  }
  if (!admission.ok()) return admission.error();
  *out = std::move(admission).value();
  return ok_result();
}

void Client::Impl::prepare(Call& call, const CallContext& ctx, Admission admission) {
  const bool maps = options_.server_cred && ctx.cred != nullptr;  // what is told has no caller
  call.cred = maps ? options_.server_cred(ctx.cred) : ctx.cred;
  if (call.changes && ctx.change != nullptr)
    call.change = RefPtr<PendingChange>::try_from(ctx.change);
  call.started_ns = boottime_ns();
  call.admission = std::move(admission);
}

void Client::Impl::submit(Ref<Call> call) {
  loop_.submit([link = link_, call = std::move(call)]() mutable { link->start(std::move(call)); });
}

void Client::Impl::post(Ref<Call> call) {
  loop_.post([link = link_, call = std::move(call)]() mutable { link->start(std::move(call)); });
}

Errno Client::Impl::wait(const CallContext& ctx, Ref<Call> call, Admission admission) {
  if (ctx.cancelled()) return fail(Errno(EINTR), "cancelled");
  prepare(*call, ctx, std::move(admission));
  const int64_t deadline_ns = call->deadline_ns = deadline(ctx);
  {
    CancelToken::Listener listener(ctx.cancel, [this, call] {
      loop_.post([link = link_, call] {
        if (!call->abandon()) return;
        call->error = Errno(EINTR);
        call->done.set();
        link->abandoned(*call);
      });
    });
    (void)loop_.call([link = link_, call]() mutable { link->start(std::move(call)); }, call->done,
                     deadline_ns);
  }
  if (!call->done.is_set()) {
    if (call->abandon())
      return give_up(*call, ctx.change, Errno(loop_.stopped() ? ESHUTDOWN : ETIMEDOUT));
    (void)loop_.wait_for(call->done, kNoDeadline);
  }
  if (call->error.ok()) return Errno();
  if (call->state() == Call::State::kAbandoned) return give_up(*call, ctx.change, call->error);
  thread_error_detail() = call->detail;
  return call->error;
}

Errno Client::Impl::give_up(Call& call, PendingChange* change, Errno error) {
  if (change != nullptr && call.changes) change->give_up();
  ErrorDetail& detail = thread_error_detail();
  detail = ErrorDetail{};
  detail.error = error;
  detail.server = link_->address();
  detail.operation = method_name(call.method);
  detail.in_doubt = call.maybe_executed();
  detail.retriable = !detail.in_doubt;
  detail.message =
      error == Errno(EINTR) ? "cancelled before the server answered" : link_->no_answer(call);
  if (error != Errno(EINTR)) {
    loop_.post([link = link_, held = Ref<Call>(call)] { link->abandoned(*held); });
  }
  return error;
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Client::~Client() {
  if (!impl_->same_process()) {
    (void)impl_.release();
    return;
  }
  impl_->tear_down();
}

Result<std::unique_ptr<Client>> Client::create(uv_io::Loop& loop, ClientOptions options,
                                               CallbackSink& sink, const CallContext& ctx) {
  if (options.cred == nullptr) options.cred = process_cred();
  std::unique_ptr<Client> client(new Client(std::make_unique<Impl>(loop, std::move(options))));
  MYFS_TRY(client->impl_->open(sink, ctx));
  return client;
}

void Client::close(const CallContext& ctx) { impl_->close(ctx); }
Patience Client::patience() const { return impl_->patience(); }
void Client::set_patience(const Patience& patience) { impl_->set_patience(patience); }
SessionInfo Client::session() const { return impl_->link().session(); }
uint64_t Client::incarnation() const { return impl_->link().incarnation(); }
uint32_t Client::max_io_bytes() const { return session().max_io_bytes; }

Result<Admission> Client::admit(const CallContext& ctx, const AdmitArgs& args) {
  Admission admission;
  MYFS_TRY(impl_->admit_into(ctx, args, &admission));
  return admission;
}

Result<Admission> Client::try_admit(const AdmitArgs& args) {
  return impl_->admitter().try_admit(args);
}

bool Client::wait_for(Event& event, int64_t deadline_ns) {
  return impl_->loop().wait_for(event, deadline_ns);
}

std::unique_ptr<QueuedAdmission> Client::queue_for_admission(const AdmitArgs& args, Waker& waker) {
  return impl_->admitter().queue(args, waker);
}

void Client::expect(int replies) { impl_->loop().expect(replies); }

ClientStats Client::stats() const {
  ClientStats stats;
  (void)impl_->loop().run_sync([&] { stats = impl_->link().stats(); });
  return stats;
}

std::vector<ActiveCall> Client::active_calls() const {
  std::vector<ActiveCall> calls;
  (void)impl_->loop().run_sync([&] { calls = impl_->link().active_calls(); });
  return calls;
}

void Client::break_connections() {
  (void)impl_->loop().run_sync([&] { impl_->link().break_connections("broken on request"); });
}

}  // namespace myfs::rpc
