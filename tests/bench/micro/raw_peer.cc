#include "tests/bench/micro/raw_peer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace myfs::bench {

namespace {

constexpr size_t kPayloadMax_bytes = 1 << 20;

struct Request {
  uint64_t send_bytes;
  uint64_t reply_bytes;
  std::array<char, 48> padding;
};
static_assert(sizeof(Request) == 64);

char* buffer() {
  static char* const memory = static_cast<char*>(std::calloc(1, kPayloadMax_bytes));
  return memory;
}

bool send_all(int fd, const void* data, size_t size) {
  for (const char* p = static_cast<const char*>(data); size > 0;) {
    ssize_t n = ::send(fd, p, size, MSG_NOSIGNAL);
    if (n <= 0) return false;
    p += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

bool receive_all(int fd, void* data, size_t size) {
  for (char* p = static_cast<char*>(data); size > 0;) {
    ssize_t n = ::recv(fd, p, size, 0);
    if (n <= 0) return false;
    p += n;
    size -= static_cast<size_t>(n);
  }
  return true;
}

[[noreturn]] void serve(int fd) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  Request request;
  while (receive_all(fd, &request, sizeof request)) {
    if (!receive_all(fd, buffer(), request.send_bytes)) break;
    if (!send_all(fd, buffer(), request.reply_bytes)) break;
  }
  ::_exit(0);
}

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::exit(1);
}

void make_pair(RawPeer::Kind kind, int ends[2]) {
  if (kind == RawPeer::Kind::kUnix) {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) give_up("socketpair");
    return;
  }
  int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  ends[0] = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::bind(listener, generic, length) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, generic, &length) != 0 || ::connect(ends[0], generic, length) != 0) {
    give_up("raw TCP peer");
  }
  ends[1] = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  if (ends[1] < 0) give_up("accept");
  ::close(listener);
  int on = 1;
  for (int end : {ends[0], ends[1]}) {
    ::setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
}

}  // namespace

RawPeer::RawPeer(Kind kind) {
  int ends[2];
  make_pair(kind, ends);
  child_ = ::fork();
  if (child_ < 0) give_up("fork");
  if (child_ == 0) {
    ::close(ends[0]);
    serve(ends[1]);
  }
  ::close(ends[1]);
  fd_ = ends[0];
}

RawPeer::~RawPeer() {
  ::close(fd_);
  // Others forked later may hold the socket open.
  ::kill(child_, SIGKILL);
  ::waitpid(child_, nullptr, 0);
}

bool RawPeer::request(size_t send_bytes, size_t reply_bytes) {
  Request request{send_bytes, reply_bytes, {}};
  return send_all(fd_, &request, sizeof request) &&
         (send_bytes == 0 || send_all(fd_, buffer(), send_bytes));
}

bool RawPeer::read_reply(size_t reply_bytes) { return receive_all(fd_, buffer(), reply_bytes); }

}  // namespace myfs::bench
