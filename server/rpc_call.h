// RpcCall: how a handler hands one call to the shard and turns the answer into its results.
// Kernel counterpart: nfsd_dispatch (fs/nfsd/nfssvc.c).
// Thread safety: the shard's loop only.
#pragma once

#include <kj/async.h>

#include <memory>
#include <utility>

#include "sdk/uv/pinned_network.h"
#include "server/rpc_codec.h"
#include "server/shard.h"

namespace myfs::server {

// What all capabilities of one session on one connection share.
struct Bound {
  Shard* shard = nullptr;
  SessionRef session{};
  uint64_t binding = 0;
  std::shared_ptr<uv_io::MessagePins> pins{};  // of the connection; null: everything is copied

  bool current() const { return session->live() && binding == session->binding; }
};

struct CallHead {
  Cred cred{};
  bool has_op = false;
  Op op{};
  uint64_t hash = 0;
  CallTraits traits{};
  bool needs_params = false;  // the body or `fill` refers to them
};

// `fill` writes a Reply, which it may take apart, into the results. The params stay readable until
// then if the head says so; else the message goes now: calls that wait are bounded in number, and
// each could bring megabytes that nobody reads.
template <typename Reply, typename Context, typename Fill>
kj::Promise<void> run_call(const Bound& bound, const CallHead& head, Context context,
                           typename TypedRequest<Reply>::Body body, Fill fill) {
  if (bound.binding != bound.session->binding)
    return KJ_EXCEPTION(DISCONNECTED, "the session was bound to another connection");
  if (!head.needs_params) context.releaseParams();
  auto paf = kj::newPromiseAndFulfiller<kj::Own<Reply>>();
  bound.shard->execute<Reply>(
      bound.session, head.cred, head.has_op ? &head.op : nullptr, head.hash, std::move(body),
      [fulfiller = kj::mv(paf.fulfiller)](Reply reply) mutable {
        fulfiller->fulfill(kj::heap<Reply>(kj::mv(reply)));
      },
      head.traits);
  return paf.promise.then([context, fill](kj::Own<Reply>&& reply) mutable {
    if (reply->error == kOverloaded)
      kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "too much of this session waits already"));
    fill(context, *reply);
  });
}

}  // namespace myfs::server
