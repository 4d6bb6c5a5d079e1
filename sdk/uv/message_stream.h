// MessageStream: a connection that carries Cap'n Proto messages, whatever is below it.
// Kernel counterpart: struct socket with SOCK_SEQPACKET semantics, SO_PEERCRED.
// Thread safety: counters any thread; everything else only inside the loop that the stream belongs
// to. Owns / is owned by: owned by whoever connected or accepted it; must outlive the
// TwoPartyVatNetwork above it and die before its EventPort. Invariants: (1) after the first failure
// every read and write fails with a DISCONNECTED exception that tells why; (2) what is queued for
// sending is bounded: a peer that does not read is disconnected, never buffered without end.
#pragma once

#include <capnp/serialize-async.h>

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "sdk/base/limits.h"

namespace myfs::uv_io {

inline constexpr size_t kReceiveBuffer_bytes = 64 << 10;
inline constexpr size_t kSendCoalesce_bytes = 256 << 10;  // queued bytes that are sent at once
inline constexpr size_t kSendQueueMax_bytes = 64 << 20;   // above it the peer does not read
inline constexpr int64_t kSendStallMax_ns =
    60'000'000'000;  // no byte accepted for that long: likewise
inline constexpr size_t kMessageWireMax_bytes = kMessageMax_bytes + (64 << 10);
inline constexpr size_t kSegmentsMax = 512;
inline constexpr size_t kSegmentByReference_bytes =
    8 << 10;  // segments above it are sent without a copy
inline constexpr int kTcpUserTimeout_ms = 30'000;
inline constexpr int kTcpKeepaliveIdle_s = 30, kTcpKeepaliveInterval_s = 5;

struct StreamStats {
  std::atomic<uint64_t> bytes_in{0};
  std::atomic<uint64_t> bytes_out{0};
  std::atomic<uint64_t> messages_in{0};
  std::atomic<uint64_t> messages_out{0};
  std::atomic<uint64_t> recv_calls{0};  // system calls
  std::atomic<uint64_t> send_calls{0};
};

// Who is at the other end, as far as the kernel vouches for it.
struct PeerCredentials {
  bool is_unix = false;  // false: nothing below is known
  uint32_t uid = 0;
  uint32_t gid = 0;
  int32_t pid = 0;
  std::vector<uint32_t> groups;
};

class MessageStream : public capnp::MessageStream {
 public:
  virtual ~MessageStream() noexcept(false) = default;
  virtual const StreamStats& stats() const = 0;
  virtual PeerCredentials peer_credentials() const = 0;
  // "tcp:192.0.2.1:34567", "unix:uid=1000,pid=77"
  virtual const std::string& peer_text() const = 0;
  // Fails both directions now; reads and writes report `why`. What was queued is dropped.
  virtual void disconnect(std::string why) = 0;
  // Why nothing can be received any more; empty while it can, and after an orderly end.
  virtual std::string failure() const = 0;
  // Bytes queued here and not yet accepted by the kernel.
  virtual size_t send_queue_bytes() const = 0;
};

// Options under which received messages are read: the whole of the largest message, once.
capnp::ReaderOptions reader_options();

}  // namespace myfs::uv_io
