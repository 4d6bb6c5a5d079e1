#include "sdk/uv/network.h"

#include <sys/un.h>

#include <atomic>
#include <charconv>

#include "sdk/base/error_detail.h"
#include "sdk/base/sync.h"
#include "sdk/uv/uv_connect.h"
#include "sdk/uv/uv_event_port.h"
#include "sdk/uv/uv_listener.h"
#include "sdk/uv/uv_message_stream.h"

namespace myfs::uv_io {
namespace {

std::atomic<Network*> g_sim_network{nullptr};

Network* sim_network() {
  return sim_hooks() != nullptr ? g_sim_network.load(std::memory_order_acquire) : nullptr;
}

Errno bad_endpoint(std::string_view text, const char* why) {
  return fail(Errno(EINVAL), "endpoint \"" + std::string(text) + "\": " + why);
}

Result<uint16_t> parse_port(std::string_view whole, std::string_view text) {
  unsigned value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value > 65535) {
    return bad_endpoint(whole, "the port must be a number in 0..65535");
  }
  return static_cast<uint16_t>(value);
}

}  // namespace

Endpoint Endpoint::tcp(std::string host, uint16_t port) {
  Endpoint endpoint;
  endpoint.host = std::move(host);
  endpoint.port = port;
  return endpoint;
}

Endpoint Endpoint::unix_path(std::string path) {
  Endpoint endpoint;
  endpoint.kind = Kind::kUnix;
  endpoint.path = std::move(path);
  return endpoint;
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
  if (text.starts_with("unix:")) {
    std::string_view path = text.substr(5);
    if (path.empty()) return bad_endpoint(text, "the path is missing");
    if (path.size() >= sizeof(sockaddr_un{}.sun_path)) {
      return bad_endpoint(text, "the path of a unix socket has at most 107 bytes");
    }
    return unix_path(std::string(path));
  }
  if (!text.starts_with("tcp:")) {
    return bad_endpoint(text, "must be tcp:HOST:PORT or unix:PATH");
  }
  std::string_view rest = text.substr(4);
  std::string_view host, port_text;
  if (rest.starts_with('[')) {
    size_t close = rest.find(']');
    if (close == std::string_view::npos) return bad_endpoint(text, "']' is missing");
    host = rest.substr(1, close - 1);
    port_text = rest.substr(close + 1);
    if (!port_text.empty() && !port_text.starts_with(':')) {
      return bad_endpoint(text, "':' expected after ']'");
    }
  } else {
    size_t colon = rest.find(':');
    if (colon != std::string_view::npos && rest.find(':', colon + 1) != std::string_view::npos) {
      return bad_endpoint(text, "an IPv6 address stands in brackets: tcp:[::1]:7460");
    }
    host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port_text = rest.substr(colon);
  }
  if (host.empty()) return bad_endpoint(text, "the host is missing");
  uint16_t port = kDefaultPort;
  if (!port_text.empty()) {
    MYFS_ASSIGN(port, parse_port(text, port_text.substr(1)));
  }
  return tcp(std::string(host), port);
}

std::string Endpoint::text() const {
  if (kind == Kind::kUnix) return "unix:" + path;
  bool v6 = host.find(':') != std::string::npos;
  return "tcp:" + (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

void set_sim_network(Network* network) { g_sim_network.store(network, std::memory_order_release); }

kj::Promise<Connected> connect(EventPort& port, const Endpoint& endpoint, int64_t deadline_ns) {
  if (Network* network = sim_network(); network != nullptr) {
    return network->connect(port, endpoint, deadline_ns);
  }
  return uv_connect(static_cast<UvEventPort&>(port), endpoint, deadline_ns);
}

Result<kj::Own<Listener>> listen(EventPort& port, const Endpoint& endpoint, AcceptFn on_accept) {
  if (Network* network = sim_network(); network != nullptr) {
    return network->listen(port, endpoint, kj::mv(on_accept));
  }
  return uv_listen(static_cast<UvEventPort&>(port), endpoint, kj::mv(on_accept));
}

kj::Own<MessageStream> wrap_socket(EventPort& port, int fd) {
  return kj::heap<UvMessageStream>(static_cast<UvEventPort&>(port), fd);
}

}  // namespace myfs::uv_io
