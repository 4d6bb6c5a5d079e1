// RpcHandlers: the schema's interfaces on top of the shard.
// Kernel counterpart: fs/nfsd/nfs4proc.c.
// Thread safety: the shard's loop only.
// Owns / is owned by: the RPC system of a connection owns the bootstrap and what it handed out; all
// of it dies before the shard.
// Invariants: (1) an exception means transport trouble only and is never DISCONNECTED; (2) what
// changes something is never cancelled by a dropped promise; (3) a capability of a session refuses
// every call once another connection speaks for the session.
#pragma once

#include <capnp/capability.h>

#include <memory>

#include "sdk/uv/pinned_network.h"
#include "server/peer.h"
#include "server/shard.h"

namespace myfs::server {

// The only capability of a fresh connection. `pins`: of its network; null: there is none.
capnp::Capability::Client make_bootstrap(Shard& shard, PeerInfo peer,
                                         std::shared_ptr<uv_io::MessagePins> pins);

}  // namespace myfs::server
