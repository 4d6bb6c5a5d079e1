// PeerInfo: what the listener knows of whoever connected, before a word is spoken.
// Kernel counterpart: struct ucred of SO_PEERCRED.
// Thread safety: immutable value; PeerConnection the server's loop only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace myfs::server {

// The connection that a call came over. It may be gone; then nothing happens.
class PeerConnection {
 public:
  virtual ~PeerConnection() = default;
  // Nothing that it has brought and that is not begun is heard any more.
  virtual void disconnect(const std::string& why) = 0;
};

struct PeerInfo {
  bool is_unix = false;  // the four below are the kernel's word; else they are empty
  uint32_t uid = 0;
  uint32_t gid = 0;
  int32_t pid = 0;
  std::vector<uint32_t> groups;
  std::string address;  // "tcp:192.0.2.1:34567", "unix:uid=1000,pid=77": for logs
  std::shared_ptr<PeerConnection> connection;  // null in tests
};

}  // namespace myfs::server
