#include "sdk/uv/socket_util.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/types.h>

namespace myfs::uv_io {
namespace {

constexpr int kUnixBuffer_bytes = 2 << 20;

}  // namespace

bool socket_is_unix(int fd) {
  int domain = 0;
  socklen_t length = sizeof domain;
  return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_UNIX;
}

std::string socket_peer_text(int fd) {
  if (socket_is_unix(fd)) {
    PeerCredentials peer = socket_credentials(fd);
    return "unix:uid=" + std::to_string(peer.uid) + ",pid=" + std::to_string(peer.pid);
  }
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  char text[INET6_ADDRSTRLEN] = "?";
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return "tcp:?";
  if (address.ss_family == AF_INET) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
    ::inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text);
    return std::string("tcp:") + text + ":" + std::to_string(ntohs(v4->sin_port));
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
  ::inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text);
  return std::string("tcp:[") + text + "]:" + std::to_string(ntohs(v6->sin6_port));
}

PeerCredentials socket_credentials(int fd) {
  PeerCredentials peer;
  if (!socket_is_unix(fd)) return peer;
  ucred cred{};
  socklen_t length = sizeof cred;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) != 0) return peer;
  peer.is_unix = true;
  peer.uid = cred.uid;
  peer.gid = cred.gid;
  peer.pid = cred.pid;
  std::vector<gid_t> groups(64);
  length = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
  int status = ::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length);
  if (status != 0 && length > groups.size() * sizeof(gid_t)) {
    groups.resize(length / sizeof(gid_t));
    status = ::getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &length);
  }
  if (status == 0) {
    groups.resize(length / sizeof(gid_t));
    peer.groups.assign(groups.begin(), groups.end());
  }
  return peer;
}

void tune_socket(int fd) {
  if (socket_is_unix(fd)) {
    int bytes = kUnixBuffer_bytes;
    if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0) {
      ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    }
    return;
  }
  int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  unsigned timeout_ms = kTcpUserTimeout_ms;
  ::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof timeout_ms);
  // USER_TIMEOUT alone says nothing about who is gone while nothing is sent to him.
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kTcpKeepaliveIdle_s, sizeof kTcpKeepaliveIdle_s);
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kTcpKeepaliveInterval_s,
               sizeof kTcpKeepaliveInterval_s);
}

}  // namespace myfs::uv_io
