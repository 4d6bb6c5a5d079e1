#include "sdk/uv/uv_listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "sdk/base/clock.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/log.h"
#include "sdk/uv/uv_message_stream.h"

namespace myfs::uv_io {
namespace {

constexpr int kBacklog = 512;
constexpr int kAcceptsPerTurn = 32;
constexpr int64_t kComplaintEvery_ns = 10 * kNsPerSec;
constexpr mode_t kUnixSocketMode = 0666;  // who connects is known by SO_PEERCRED

class UvListener final : public Listener, private FdWatcher::Client {
 public:
  UvListener(UvEventPort& port, kj::AutoCloseFd fd, Endpoint endpoint, AcceptFn on_accept)
      : port_(port),
        fd_(kj::mv(fd)),
        endpoint_(std::move(endpoint)),
        on_accept_(kj::mv(on_accept)),
        reserve_(::open("/dev/null", O_RDONLY | O_CLOEXEC)),
        watcher_(port, fd_.get(), *this) {
    if (endpoint_.kind == Endpoint::Kind::kUnix) {
      struct stat status;
      if (::stat(endpoint_.path.c_str(), &status) == 0) inode_ = status.st_ino;
    }
    watcher_.arm(UV_READABLE);
  }
  ~UvListener() noexcept(false) override {
    if (reserve_ >= 0) ::close(reserve_);
    if (endpoint_.kind != Endpoint::Kind::kUnix) return;
    struct stat status;
    bool ours = ::stat(endpoint_.path.c_str(), &status) == 0 && status.st_ino == inode_;
    if (ours) ::unlink(endpoint_.path.c_str());
  }
  const Endpoint& endpoint() const override { return endpoint_; }

 private:
  void on_ready(bool, bool) override {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
      int fd = ::accept4(fd_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) {
        accepted(fd);
        continue;
      }
      if (errno == EINTR || errno == ECONNABORTED) continue;
      if (errno == EMFILE || errno == ENFILE) refuse_one();
      break;
    }
    watcher_.arm(UV_READABLE);
  }

  void accepted(int fd) {
    KJ_IF_MAYBE (exception, kj::runCatchingExceptions(
                                [&] { on_accept_(kj::heap<UvMessageStream>(port_, fd)); })) {
      log(LogLevel::kError, "a connection on %s was dropped: %s", endpoint_.text(),
          exception->getDescription().cStr());
    }
  }

  // Without a descriptor left a connection would wait in the queue for ever and keep the loop busy:
  // it is accepted by means of the reserve and closed, so that the peer knows.
  void refuse_one() {
    if (reserve_ >= 0) ::close(reserve_);
    int fd = ::accept4(fd_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) ::close(fd);
    reserve_ = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    int64_t now_ns = boottime_ns();
    if (now_ns < next_complaint_ns_) return;
    next_complaint_ns_ = now_ns + kComplaintEvery_ns;
    log(LogLevel::kError, "%s: no file descriptor left: a connection was refused",
        endpoint_.text());
  }

  UvEventPort& port_;
  const kj::AutoCloseFd fd_;
  const Endpoint endpoint_;
  AcceptFn on_accept_;
  int reserve_;
  ino_t inode_ = 0;
  int64_t next_complaint_ns_ = 0;
  FdWatcher watcher_;
};

Errno cannot_listen(const Endpoint& endpoint, int error, const char* what) {
  return fail(Errno(error),
              "cannot listen on " + endpoint.text() + ": " + what +
                  (error != 0 ? std::string(": ") + std::string(Errno(error).text()) : ""));
}

bool somebody_listens(const sockaddr_un& address) {
  kj::AutoCloseFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return true;
  }
  return errno == EAGAIN;
}

Result<int> bind_unix(const Endpoint& endpoint) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (endpoint.path.size() >= sizeof address.sun_path) {
    return cannot_listen(endpoint, ENAMETOOLONG, "bind");
  }
  ::memcpy(address.sun_path, endpoint.path.c_str(), endpoint.path.size() + 1);
  kj::AutoCloseFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return cannot_listen(endpoint, errno, "socket");
  auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(fd.get(), generic, sizeof address) != 0) {
    if (errno != EADDRINUSE) return cannot_listen(endpoint, errno, "bind");
    struct stat status;
    bool socket = ::stat(address.sun_path, &status) == 0 && S_ISSOCK(status.st_mode);
    if (!socket || somebody_listens(address)) return cannot_listen(endpoint, EADDRINUSE, "bind");
    ::unlink(address.sun_path);
    if (::bind(fd.get(), generic, sizeof address) != 0) {
      return cannot_listen(endpoint, errno, "bind");
    }
  }
  ::chmod(address.sun_path, kUnixSocketMode);
  if (::listen(fd.get(), kBacklog) != 0) return cannot_listen(endpoint, errno, "listen");
  return fd.release();
}

uint16_t bound_port(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<sockaddr_in&>(address).sin_port);
  return ntohs(reinterpret_cast<sockaddr_in6&>(address).sin6_port);
}

Result<int> bind_tcp(Endpoint& endpoint) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  std::string service = std::to_string(endpoint.port);
  const char* host = endpoint.host == "*" ? nullptr : endpoint.host.c_str();
  if (int status = ::getaddrinfo(host, service.c_str(), &hints, &found); status != 0) {
    return fail(Errno(EADDRNOTAVAIL),
                "cannot listen on " + endpoint.text() + ": " + ::gai_strerror(status));
  }
  int error = EADDRNOTAVAIL;
  int bound = -1;
  for (addrinfo* info = found; info != nullptr && bound < 0; info = info->ai_next) {
    kj::AutoCloseFd fd(::socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    int one = 1;
    if (fd.get() >= 0) ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd.get() < 0 || ::bind(fd.get(), info->ai_addr, info->ai_addrlen) != 0 ||
        ::listen(fd.get(), kBacklog) != 0) {
      error = errno;
      continue;
    }
    endpoint.port = bound_port(fd.get());
    bound = fd.release();
  }
  ::freeaddrinfo(found);
  if (bound < 0) return cannot_listen(endpoint, error, "bind");
  return bound;
}

}  // namespace

Result<kj::Own<Listener>> uv_listen(UvEventPort& port, const Endpoint& endpoint,
                                    AcceptFn on_accept) {
  Endpoint bound = endpoint;
  MYFS_ASSIGN(int fd, bound.kind == Endpoint::Kind::kUnix ? bind_unix(bound) : bind_tcp(bound));
  return kj::Own<Listener>(
      kj::heap<UvListener>(port, kj::AutoCloseFd(fd), std::move(bound), kj::mv(on_accept)));
}

}  // namespace myfs::uv_io
