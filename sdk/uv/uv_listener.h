// uv_listen: serves an endpoint with a listening socket.
// Kernel counterpart: listen(2), accept4(2).
// Thread safety: only inside the loop.
#pragma once

#include "sdk/uv/network.h"
#include "sdk/uv/uv_event_port.h"

namespace myfs::uv_io {

// As listen() of network.h, over sockets.
Result<kj::Own<Listener>> uv_listen(UvEventPort& port, const Endpoint& endpoint,
                                    AcceptFn on_accept);

}  // namespace myfs::uv_io
