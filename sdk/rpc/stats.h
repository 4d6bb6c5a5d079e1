// What one server's connections did and do, for statistics and for the log of blocked calls.
// Thread safety: values.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/rpc/method.h"

namespace myfs::rpc {

enum class ConnectionState : uint8_t { kIdle, kConnecting, kUp, kWaiting, kClosed };

struct ConnectionStats {
  std::string address;  // of the server; of the last attempt while not up
  ConnectionState state = ConnectionState::kIdle;
  bool control = false;
  uint64_t bytes_in = 0;  // over all reconnects
  uint64_t bytes_out = 0;
  uint64_t connects = 0;
  std::string last_error;
};

struct ClientStats {
  std::vector<ConnectionStats> connections;
  std::array<uint64_t, kMethodCount> calls{};  // sent for the first time
  uint64_t in_flight = 0;
  uint64_t resent = 0;
  uint64_t reconnects = 0;  // of the control connection
  uint64_t sessions_lost = 0;
  uint64_t sessions_reclaimed = 0;  // from servers that were begun anew
  uint64_t session_id = 0;
};

struct ActiveCall {
  Method method = Method::kPing;
  uint64_t ino = 0;
  int64_t since_boottime_ns = 0;
  bool abandoned = false;  // nobody waits any more; its slot does
};

}  // namespace myfs::rpc
