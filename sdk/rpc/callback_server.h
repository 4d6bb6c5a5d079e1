// CallbackServer: takes the server's unasked calls from one connection, decodes them and hands them
// to the sink.
// Kernel counterpart: fs/nfs/callback_xdr.c.
// Thread safety: only inside the loop.
// Owns / is owned by: owned by its capability, which its Connection keeps alive; borrows the sink.
// Invariants: (1) nothing reaches the sink before open(), that is before the sink knows the
// session; what comes earlier is kept, in order, up to kEarlyMax; (2) a malformed callback reaches
// the sink not at all and fails at the server.
#pragma once

#include <functional>
#include <utility>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "myfs/myfs.capnp.h"
#include "sdk/rpc/callback.h"

namespace myfs::rpc {

class CallbackServer final : public wire::ClientCallback::Server {
 public:
  // `on_evicted` runs after the sink's.
  CallbackServer(CallbackSink& sink, std::function<void()> on_evicted)
      : sink_(sink), on_evicted_(std::move(on_evicted)) {}
  void open();
  // The connection is no longer the session's: nothing comes through any more.
  void shut() { shut_ = true; }

 protected:
  kj::Promise<void> recall(RecallContext context) override;
  kj::Promise<void> glimpse(GlimpseContext context) override;
  kj::Promise<void> lockGranted(LockGrantedContext context) override;
  kj::Promise<void> trim(TrimContext context) override;
  kj::Promise<void> evicted(EvictedContext context) override;
  kj::Promise<void> changed(ChangedContext context) override;

 private:
  static constexpr size_t kEarlyMax = 1'024;
  using Delivery = absl::AnyInvocable<void(CallbackSink&)>;
  void hand_over(Delivery delivery);

  CallbackSink& sink_;
  const std::function<void()> on_evicted_;
  bool open_ = false;
  bool shut_ = false;
  std::vector<Delivery> early_;
};

}  // namespace myfs::rpc
