#include "tests/support/myfsd/tcp_proxy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <list>
#include <vector>

namespace myfs::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kBufferedMax = 8 << 20;  // of one direction

[[noreturn]] void die(const char* what) {
  std::perror(what);
  std::abort();
}

sockaddr_in loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

// Bytes from one socket to the other.
struct Pipe {
  int from = -1, to = -1;
  std::deque<std::pair<Clock::time_point, std::string>> chunks;
  size_t buffered = 0;
  bool ended = false;  // nothing more comes

  bool wants_read() const { return !ended && buffered < kBufferedMax; }
  bool due(Clock::time_point now) const { return !chunks.empty() && chunks.front().first <= now; }

  // False: the connection is broken.
  bool read(Clock::time_point when) {
    char buffer[65536];
    ssize_t n = ::recv(from, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    ended = n == 0;
    if (n > 0) chunks.emplace_back(when, std::string(buffer, static_cast<size_t>(n)));
    buffered += static_cast<size_t>(n);
    return true;
  }
  // Adds what went on to *forwarded.
  bool write(Clock::time_point now, uint64_t* forwarded) {
    while (due(now)) {
      std::string& chunk = chunks.front().second;
      ssize_t n = ::send(to, chunk.data(), chunk.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (n < 0) return errno == EAGAIN || errno == EINTR;
      *forwarded += static_cast<uint64_t>(n);
      buffered -= static_cast<size_t>(n);
      chunk.erase(0, static_cast<size_t>(n));
      if (!chunk.empty()) return true;
      chunks.pop_front();
    }
    return true;
  }
  bool over() const { return ended && chunks.empty(); }
};

struct Connection {
  Pipe up, down;
  int extra_ms = 0;
};

}  // namespace

class TcpProxy::Loop {
 public:
  Loop(TcpProxy& proxy, uint16_t target) : proxy_(proxy), target_(target) {}
  ~Loop() {
    while (!connections_.empty()) end(connections_.begin());
  }

  void run() {
    uint64_t cuts = 0;
    while (true) {
      Wishes wishes;
      {
        std::lock_guard lock(proxy_.mutex_);
        proxy_.wishes_.forwarded = forwarded_;
        wishes = proxy_.wishes_;
      }
      if (wishes.end) return;
      if (wishes.cuts != cuts) {
        while (!connections_.empty()) end(connections_.begin());
        cuts = wishes.cuts;
      }
      wait(wishes);
      if (!wishes.stall) forward(wishes);
    }
  }

 private:
  void end(std::list<Connection>::iterator connection) {
    // A reset, so that both sides notice at once.
    linger reset{1, 0};
    for (int fd : {connection->up.from, connection->up.to}) {
      ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
      ::close(fd);
    }
    connections_.erase(connection);
  }

  void wait(const Wishes& wishes) {
    std::vector<pollfd> fds = {{proxy_.wake_, POLLIN, 0}};
    auto now = Clock::now(), next = Clock::time_point::max();
    if (!wishes.stall) fds.push_back({proxy_.listener_, POLLIN, 0});
    for (Connection& connection : connections_) {
      if (wishes.stall) break;
      for (Pipe* pipe : {&connection.up, &connection.down}) {
        if (pipe->wants_read()) fds.push_back({pipe->from, POLLIN, 0});
        if (pipe->due(now)) fds.push_back({pipe->to, POLLOUT, 0});
        if (!pipe->chunks.empty() && !pipe->due(now)) next = std::min(next, pipe->chunks[0].first);
      }
    }
    int timeout_ms = -1;
    if (next != Clock::time_point::max()) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(next - now).count();
      timeout_ms = static_cast<int>(left) + 1;
    }
    ::poll(fds.data(), fds.size(), timeout_ms);
    uint64_t ignored = 0;
    if ((fds[0].revents & POLLIN) != 0 && ::read(proxy_.wake_, &ignored, sizeof ignored) < 0) {
      die("eventfd");
    }
  }

  void forward(const Wishes& wishes) {
    accept(wishes);
    auto now = Clock::now();
    for (auto it = connections_.begin(); it != connections_.end();) {
      auto connection = it++;
      auto when = now + std::chrono::milliseconds(wishes.delay_ms + connection->extra_ms);
      bool good = true;
      for (Pipe* pipe : {&connection->up, &connection->down}) {
        if (pipe->wants_read()) good = good && pipe->read(when);
        good = good && pipe->write(now, &forwarded_);
      }
      if (!good || connection->up.over() || connection->down.over()) end(connection);
    }
  }

  void accept(const Wishes& wishes) {
    int client = ::accept4(proxy_.listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client < 0) return;
    int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(target_);
    if (::connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      ::close(client);
      ::close(server);
      return;
    }
    int on = 1;
    for (int fd : {client, server}) {
      ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    Connection& connection = connections_.emplace_back();
    connection.up.from = connection.down.to = client;
    connection.up.to = connection.down.from = server;
    connection.extra_ms = static_cast<int>(accepted_++ % 4) * wishes.per_connection_ms;
  }

  TcpProxy& proxy_;
  const uint16_t target_;
  std::list<Connection> connections_;
  uint64_t forwarded_ = 0;
  unsigned accepted_ = 0;
};

TcpProxy::TcpProxy(uint16_t port) {
  listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  sockaddr_in address = loopback(0);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (listener_ < 0 || wake_ < 0 || ::bind(listener_, generic, length) != 0 ||
      ::listen(listener_, 64) != 0 || ::getsockname(listener_, generic, &length) != 0) {
    die("TcpProxy");
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this, port] { Loop(*this, port).run(); });
}

TcpProxy::~TcpProxy() {
  {
    std::lock_guard lock(mutex_);
    wishes_.end = true;
  }
  wake();
  thread_.join();
  ::close(listener_);
  ::close(wake_);
}

void TcpProxy::wake() {
  uint64_t one = 1;
  if (::write(wake_, &one, sizeof one) < 0) die("eventfd");
}

void TcpProxy::cut() {
  {
    std::lock_guard lock(mutex_);
    ++wishes_.cuts;
  }
  wake();
}

void TcpProxy::stall(bool on) {
  {
    std::lock_guard lock(mutex_);
    wishes_.stall = on;
  }
  wake();
}

void TcpProxy::delay(int ms, int per_connection_ms) {
  {
    std::lock_guard lock(mutex_);
    wishes_.delay_ms = ms;
    wishes_.per_connection_ms = per_connection_ms;
  }
  wake();
}

uint64_t TcpProxy::forwarded() {
  std::lock_guard lock(mutex_);
  return wishes_.forwarded;
}

}  // namespace myfs::test
