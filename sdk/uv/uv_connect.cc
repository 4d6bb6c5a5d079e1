#include "sdk/uv/uv_connect.h"

#include <errno.h>
#include <kj/io.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "sdk/base/clock.h"
#include "sdk/uv/uv_message_stream.h"
#include "sdk/uv/uv_timer.h"

namespace myfs::uv_io {
namespace {

constexpr int64_t kAttemptMax_ns = 10 * kNsPerSec;  // of one address when others are left
constexpr int64_t kAttemptMin_ns = 500 * kNsPerMs;
constexpr int64_t kBacklogRetry_ns = 10 * kNsPerMs;  // a unix listener whose queue is full

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

class ConnectOperation;

// Outlives the operation if that is abandoned while a pool thread still resolves.
struct NameLookup {
  uv_getaddrinfo_t request;
  ConnectOperation* operation = nullptr;
};

class ConnectOperation final : private FdWatcher::Client {
 public:
  ConnectOperation(kj::PromiseFulfiller<Connected>& fulfiller, UvEventPort& port,
                   const Endpoint& endpoint, int64_t deadline_ns)
      : fulfiller_(fulfiller),
        port_(port),
        endpoint_(endpoint),
        deadline_ns_(deadline_ns),
        timer_(port, [this] { on_timer(); }) {
    if (endpoint_.kind == Endpoint::Kind::kUnix) {
      use_unix_address();
    } else {
      resolve();
    }
  }
  ~ConnectOperation() {
    if (lookup_ != nullptr) {
      lookup_->operation = nullptr;
      uv_cancel(reinterpret_cast<uv_req_t*>(&lookup_->request));
    }
  }

 private:
  void use_unix_address() {
    Address address;
    auto* un = reinterpret_cast<sockaddr_un*>(&address.storage);
    if (endpoint_.path.size() >= sizeof un->sun_path) {
      finish(ENAMETOOLONG, "the path of a unix socket has at most 107 bytes");
      return;
    }
    un->sun_family = AF_UNIX;
    ::memcpy(un->sun_path, endpoint_.path.c_str(), endpoint_.path.size() + 1);
    address.length = sizeof *un;
    addresses_.push_back(address);
    try_next();
  }

  void resolve() {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV | AI_NUMERICHOST;
    std::string service = std::to_string(endpoint_.port);
    addrinfo* found = nullptr;
    if (::getaddrinfo(endpoint_.host.c_str(), service.c_str(), &hints, &found) == 0) {
      take_addresses(found);
      ::freeaddrinfo(found);
      try_next();
      return;
    }
    hints.ai_flags = AI_NUMERICSERV | AI_ADDRCONFIG;
    lookup_ = new NameLookup;
    lookup_->operation = this;
    lookup_->request.data = lookup_;
    // The pool's threads inherit the driver's signal mask: all blocked.
    int status = uv_getaddrinfo(port_.uv(), &lookup_->request, on_resolved, endpoint_.host.c_str(),
                                service.c_str(), &hints);
    if (status != 0) {
      delete lookup_;
      lookup_ = nullptr;
      finish(-status, "name look-up could not be started");
      return;
    }
    timer_.arm_at(deadline_ns_);
  }

  static void on_resolved(uv_getaddrinfo_t* request, int status, addrinfo* found) {
    auto* lookup = static_cast<NameLookup*>(request->data);
    ConnectOperation* operation = lookup->operation;
    delete lookup;
    if (operation != nullptr) {
      operation->lookup_ = nullptr;
      operation->timer_.disarm();
      if (status == 0) operation->take_addresses(found);
    }
    if (found != nullptr) uv_freeaddrinfo(found);
    if (operation == nullptr) return;
    if (status != 0) {
      operation->finish(EHOSTUNREACH,
                        std::string("the name cannot be resolved: ") + uv_strerror(status));
    } else {
      operation->try_next();
    }
  }

  void take_addresses(const addrinfo* found) {
    for (; found != nullptr; found = found->ai_next) {
      if (found->ai_addrlen > sizeof(sockaddr_storage)) continue;
      Address address;
      ::memcpy(&address.storage, found->ai_addr, found->ai_addrlen);
      address.length = found->ai_addrlen;
      addresses_.push_back(address);
    }
  }

  void try_next() {
    while (true) {
      watcher_ = nullptr;
      fd_ = nullptr;
      timer_.disarm();
      if (next_ == addresses_.size()) {
        finish(last_error_ != 0 ? last_error_ : EHOSTUNREACH, "");
        return;
      }
      if (boottime_ns() >= deadline_ns_) {
        finish(ETIMEDOUT, "");
        return;
      }
      if (attempt()) return;
      ++next_;
    }
  }

  // True: under way or finished. False: this address failed with last_error_.
  bool attempt() {
    const Address& address = addresses_[next_];
    int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
      last_error_ = errno;
      return false;
    }
    fd_ = kj::AutoCloseFd(fd);
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address.storage), address.length) == 0) {
      succeed();
      return true;
    }
    if (errno == EAGAIN && endpoint_.kind == Endpoint::Kind::kUnix) {
      retry_ = true;
      timer_.arm_at(std::min(deadline_ns_, boottime_ns() + kBacklogRetry_ns));
      return true;
    }
    if (errno != EINPROGRESS) {
      last_error_ = errno;
      return false;
    }
    watcher_ = kj::heap<FdWatcher>(port_, fd, static_cast<FdWatcher::Client&>(*this));
    watcher_->arm(UV_WRITABLE);
    int64_t until_ns = deadline_ns_;
    size_t left = addresses_.size() - next_;
    if (left > 1) {
      int64_t share_ns = kAttemptMax_ns;
      if (deadline_ns_ != kNoDeadline) {
        share_ns = (deadline_ns_ - boottime_ns()) / static_cast<int64_t>(left);
      }
      share_ns = std::clamp(share_ns, kAttemptMin_ns, kAttemptMax_ns);
      until_ns = std::min(deadline_ns_, boottime_ns() + share_ns);
    }
    timer_.arm_at(until_ns);
    return true;
  }

  void on_ready(bool, bool) override {
    int error = 0;
    socklen_t length = sizeof error;
    if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
    if (error == 0) {
      watcher_ = nullptr;
      succeed();
      return;
    }
    last_error_ = error;
    ++next_;
    try_next();
  }

  void on_timer() {
    if (boottime_ns() >= deadline_ns_) {
      finish(ETIMEDOUT, lookup_ != nullptr ? "the name look-up took too long" : "");
      return;
    }
    if (retry_) {
      retry_ = false;
    } else {
      last_error_ = ETIMEDOUT;
      ++next_;
    }
    try_next();
  }

  void succeed() {
    timer_.disarm();
    int fd = fd_.release();
    fulfiller_.fulfill(Connected{Errno(), "", kj::heap<UvMessageStream>(port_, fd)});
  }

  void finish(int error, const std::string& detail) {
    watcher_ = nullptr;
    fd_ = nullptr;
    timer_.disarm();
    std::string why = "cannot connect to " + endpoint_.text() + ": ";
    why += detail.empty() ? std::string(Errno(error).text()) : detail;
    fulfiller_.fulfill(Connected{Errno(error), std::move(why), {}});
  }

  kj::PromiseFulfiller<Connected>& fulfiller_;
  UvEventPort& port_;
  const Endpoint endpoint_;
  const int64_t deadline_ns_;
  Timer timer_;
  NameLookup* lookup_ = nullptr;
  std::vector<Address> addresses_;
  size_t next_ = 0;
  int last_error_ = 0;
  bool retry_ = false;
  kj::AutoCloseFd fd_;
  kj::Own<FdWatcher> watcher_;
};

}  // namespace

kj::Promise<Connected> uv_connect(UvEventPort& port, const Endpoint& endpoint,
                                  int64_t deadline_ns) {
  return kj::newAdaptedPromise<Connected, ConnectOperation>(port, endpoint, deadline_ns);
}

}  // namespace myfs::uv_io
