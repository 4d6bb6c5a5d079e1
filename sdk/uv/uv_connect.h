// uv_connect: resolves a name and connects, within a deadline, without a thread of its own.
// Kernel counterpart: connect(2), getaddrinfo(3).
// Thread safety: only inside the loop.
#pragma once

#include "sdk/uv/network.h"
#include "sdk/uv/uv_event_port.h"

namespace myfs::uv_io {

// As connect() of network.h, over sockets.
kj::Promise<Connected> uv_connect(UvEventPort& port, const Endpoint& endpoint, int64_t deadline_ns);

}  // namespace myfs::uv_io
