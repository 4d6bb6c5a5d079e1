// Network: endpoints, listening and connecting; the seam where a simulator puts its own wires.
// Kernel counterpart: socket(2), bind(2), listen(2), connect(2), getaddrinfo(3).
// Thread safety: Endpoint is a value; everything else only inside the loop of the port given.
// Owns / is owned by: a Listener closes its socket (and removes its unix path) when destroyed;
// promises of connect() may be dropped, which abandons the attempt.
#pragma once

#include <kj/async.h>
#include <kj/function.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "sdk/base/errno.h"
#include "sdk/base/limits.h"
#include "sdk/base/result.h"
#include "sdk/uv/event_port.h"
#include "sdk/uv/message_stream.h"

namespace myfs::uv_io {

struct Endpoint {
  enum class Kind : uint8_t { kTcp, kUnix };
  Kind kind = Kind::kTcp;
  std::string host;  // name, IPv4 or IPv6 address without brackets
  uint16_t port = kDefaultPort;
  std::string path;  // kUnix

  // "tcp:HOST:PORT", "tcp:[::1]:PORT", "tcp:HOST", "unix:PATH". EINVAL with an error detail that
  // says what is wrong.
  static Result<Endpoint> parse(std::string_view text);
  static Endpoint tcp(std::string host, uint16_t port);
  static Endpoint unix_path(std::string path);
  std::string text() const;  // what parse() reads
  bool operator==(const Endpoint&) const = default;
};

struct Connected {
  Errno error;                    // ETIMEDOUT, ECONNREFUSED, ENOENT, EHOSTUNREACH, ...
  std::string why;                // one sentence with the endpoint; empty on success
  kj::Own<MessageStream> stream;  // null on error
};

class Listener {
 public:
  virtual ~Listener() noexcept(false) = default;
  // As bound: port 0 has become a real one.
  virtual const Endpoint& endpoint() const = 0;
};

using AcceptFn = kj::Function<void(kj::Own<MessageStream>)>;

// Resolves and connects; ETIMEDOUT at `deadline_ns` (boottime_ns scale). All addresses of a name
// are tried in turn. Never throws and never rejects.
kj::Promise<Connected> connect(EventPort& port, const Endpoint& endpoint, int64_t deadline_ns);

// Serves `endpoint`. A unix path that nobody listens on is taken over; one that is served gives
// EADDRINUSE.
Result<kj::Own<Listener>> listen(EventPort& port, const Endpoint& endpoint, AcceptFn on_accept);

// Makes a stream of a connected stream socket, which it then owns.
kj::Own<MessageStream> wrap_socket(EventPort& port, int fd);

// A simulator's wires. Used instead of sockets by the threads that the simulator owns.
class Network {
 public:
  virtual ~Network() = default;
  virtual kj::Promise<Connected> connect(EventPort& port, const Endpoint& endpoint,
                                         int64_t deadline_ns) = 0;
  virtual Result<kj::Own<Listener>> listen(EventPort& port, const Endpoint& endpoint,
                                           AcceptFn on_accept) = 0;
};
void set_sim_network(Network* network);  // null: none

}  // namespace myfs::uv_io
