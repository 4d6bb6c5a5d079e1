// Client::Impl: the thread-side half of Client: makes calls, waits for them, gives them up.
// Kernel counterpart: rpc_call_sync, rpc_wait_for_completion_task (net/sunrpc/clnt.c, sched.c).
// Thread safety: as Client.
// Lock rank: none of its own.
// Owns / is owned by: owned by Client; owns the Link, which lives and dies inside the loop.
#pragma once

#include <atomic>
#include <cassert>
#include <memory>
#include <type_traits>
#include <utility>

#include "sdk/base/clock.h"
#include "sdk/rpc/admitter.h"
#include "sdk/rpc/client.h"
#include "sdk/rpc/link.h"
#include "sdk/rpc/typed_call.h"
#include "sdk/uv/fork_guard.h"
#include "sdk/uv/loop.h"

namespace myfs::rpc {

class Client::Impl {
 public:
  Impl(uv_io::Loop& loop, ClientOptions options)
      : loop_(loop),
        options_(std::move(options)),
        soft_(options_.soft),
        timeout_ns_(options_.timeout_ns) {}

  Result<void> open(CallbackSink& sink, const CallContext& ctx);
  void close(const CallContext& ctx);
  void tear_down();
  bool same_process() const { return fork_guard_.same_process(); }

  // Waits for admission and for the reply.
  template <typename Type>
  Result<typename Type::Reply> call(const CallContext& ctx, typename Type::Args args,
                                    uint32_t bytes = 0, Urgency urgency = Urgency::kNormal) {
    Admission admission;
    MYFS_TRY(admit_into(ctx, AdmitArgs{bytes, Type::kChanges, urgency}, &admission));
    return call_admitted<Type>(ctx, std::move(args), std::move(admission));
  }
  // Waits for the reply.
  template <typename Type>
  Result<typename Type::Reply> call_admitted(const CallContext& ctx, typename Type::Args args,
                                             Admission admission) {
    auto made = make_ref<TypedCall<Type>>(std::move(args));
    Errno error = wait(ctx, made, std::move(admission));
    if (!error.ok()) return error;
    return std::move(made->reply);
  }
  // Sends and calls back; without a completion: sends and forgets.
  template <typename Type>
  void call_async(const CallContext& ctx, typename Type::Args args, Admission admission,
                  Completion<typename Type::Reply> done, bool to_the_end = false) {
    auto made = make_ref<TypedCall<Type>>(std::move(args));
    made->asynchronous = true;
    made->completion = std::move(done);
    if (!to_the_end) made->deadline_ns = deadline(ctx);
    prepare(*made, ctx, std::move(admission));
    submit(made);
  }
  // As call_async, of the session `incarnation` only, without waking the sender's thread: may be
  // called under LEAF locks.
  template <typename Type>
  void tell(typename Type::Args args, uint64_t incarnation) {
    assert(incarnation != 0);
    auto made = make_ref<TypedCall<Type>>(std::move(args));
    made->asynchronous = true;
    made->incarnation = incarnation;
    prepare(*made, CallContext{}, Admission());
    post(made);
  }

  Result<void> admit_into(const CallContext& ctx, const AdmitArgs& args, Admission* out);
  int64_t deadline(const CallContext& ctx) const;
  uv_io::Loop& loop() { return loop_; }
  Link& link() { return *link_; }
  Admitter& admitter() { return *admitter_; }
  const ClientOptions& options() const { return options_; }
  Patience patience() const {
    return {.soft = soft_.load(std::memory_order_relaxed),
            .timeout_ns = timeout_ns_.load(std::memory_order_relaxed)};
  }
  void set_patience(const Patience& patience) {
    timeout_ns_.store(patience.timeout_ns, std::memory_order_relaxed);
    soft_.store(patience.soft, std::memory_order_relaxed);
  }

 private:
  void prepare(Call& call, const CallContext& ctx, Admission admission);
  Errno wait(const CallContext& ctx, Ref<Call> call, Admission admission);
  Errno give_up(Call& call, PendingChange* change, Errno error);
  void submit(Ref<Call> call);
  void post(Ref<Call> call);

  uv_io::Loop& loop_;
  const ClientOptions options_;
  std::atomic<bool> soft_;
  std::atomic<int64_t> timeout_ns_;
  const uv_io::ForkGuard fork_guard_;
  const std::shared_ptr<Admitter> admitter_ = std::make_shared<Admitter>();
  std::shared_ptr<Link> link_;  // made and destroyed inside the loop
  std::atomic<bool> closed_{false};
};

}  // namespace myfs::rpc
