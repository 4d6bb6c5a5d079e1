// RawPeer: a process at the other end of a plain blocking socket, which answers each request with
// as many bytes as it asks for: the limit that the wire and the scheduler set.
// Thread safety: one thread at a time.
#pragma once

#include <sys/types.h>

#include <cstddef>

namespace myfs::bench {

class RawPeer {
 public:
  enum class Kind { kUnix, kTcp };
  // Forks: to be made before the process has threads. Ends the process if it cannot.
  explicit RawPeer(Kind kind);
  ~RawPeer();
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;

  // A request of 64 bytes and `send_bytes` of payload; the answer has `reply_bytes` (at most 1
  // MiB).
  bool request(size_t send_bytes, size_t reply_bytes);
  bool read_reply(size_t reply_bytes);

 private:
  int fd_ = -1;
  pid_t child_ = -1;
};

}  // namespace myfs::bench
