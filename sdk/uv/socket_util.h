// Socket helpers: options and identities of stream sockets.
// Kernel counterpart: getsockopt(SO_PEERCRED, SO_PEERGROUPS), tcp(7).
// Thread safety: all.
#pragma once

#include <string>

#include "sdk/uv/message_stream.h"

namespace myfs::uv_io {

bool socket_is_unix(int fd);
// "tcp:192.0.2.1:34567", "unix:uid=1000,pid=77"
std::string socket_peer_text(int fd);
PeerCredentials socket_credentials(int fd);
// TCP: NODELAY, USER_TIMEOUT, KEEPALIVE. Unix: room for the largest message where the kernel
// permits.
void tune_socket(int fd);

}  // namespace myfs::uv_io
