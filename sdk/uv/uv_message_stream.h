// UvMessageStream: Cap'n Proto messages over a stream socket: one receive buffer in, one coalesced
// sendmsg out.
// Kernel counterpart: net/sunrpc/xprtsock.c (record marking over TCP).
// Thread safety: stats() any thread; the rest only inside the loop.
// Owns / is owned by: see MessageStream. Owns the descriptor.
// Invariants: (1) `body_` is either idle or has room for exactly the message whose header was read;
// (2) a message above
// kMessageWireMax_bytes or of more than kSegmentsMax segments is refused before memory is taken for
// it; (3) the queue holds whole messages except at its front, so what is sent is always cut at the
// right place; (4) a segment sent by reference is held by its SegmentHold; if that dies first, the
// stream fails, since the bytes are gone.
#pragma once

#include <kj/io.h>
#include <sys/uio.h>

#include <deque>
#include <string>
#include <vector>

#include "sdk/uv/message_stream.h"
#include "sdk/uv/uv_event_port.h"
#include "sdk/uv/uv_timer.h"

namespace myfs::uv_io {

class UvMessageStream final : public MessageStream,
                              private EventPort::FlushHook,
                              private FdWatcher::Client {
 public:
  // Takes the connected stream socket `fd`; sets it non-blocking, and for TCP NODELAY and
  // USER_TIMEOUT.
  UvMessageStream(UvEventPort& port, int fd);
  ~UvMessageStream() noexcept(false) override;

  // capnp::MessageStream
  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd> fd_space, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word> scratch) override;
  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int> fds,
      kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override;
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override;
  kj::Maybe<int> getSendBufferSize() override;
  kj::Promise<void> end() override;

  // MessageStream
  const StreamStats& stats() const override { return stats_; }
  PeerCredentials peer_credentials() const override;
  const std::string& peer_text() const override { return peer_text_; }
  void disconnect(std::string why) override;
  std::string failure() const override;
  size_t send_queue_bytes() const override { return queue_bytes_; }

 private:
  using ReadResult = kj::Maybe<capnp::MessageReaderAndFds>;
  using ReadFulfiller = kj::Own<kj::PromiseFulfiller<ReadResult>>;
  class SegmentHold;
  struct Chunk {
    std::vector<kj::byte> copied;
    const kj::byte* bytes = nullptr;  // what is left to send
    size_t size = 0;
    SegmentHold* hold = nullptr;  // non-null: `bytes` belongs to a message of KJ's
  };
  struct Body {
    kj::Array<capnp::word> words;
    kj::Array<kj::ArrayPtr<const capnp::word>> segments;
    kj::byte* next = nullptr;
    size_t missing_bytes = 0;
    bool active = false;
  };

  void on_ready(bool readable, bool writable) override;
  void flush() override;

  // Receiving.
  void receive();
  bool receive_once(bool* more);
  bool begin_body();
  void take_from_buffer();
  kj::Maybe<kj::Own<capnp::MessageReader>> next_message();
  void offer_message();
  void fail_receiving(kj::Exception&& exception);

  // Sending.
  void append_copy(const void* bytes, size_t size);
  kj::Promise<void> append_reference(const void* bytes, size_t size);
  int gather(iovec* vector, int max) const;
  void consume(size_t sent_bytes);
  void fail_sending(kj::Exception&& exception);
  void check_stall();
  void finish_end();

  UvEventPort& port_;
  const kj::AutoCloseFd descriptor_;  // closed after the watcher is gone
  const int fd_;
  std::string peer_text_;
  StreamStats stats_;
  FdWatcher watcher_;
  Timer stall_timer_;

  kj::Array<kj::byte> buffer_;
  size_t buffer_begin_ = 0;
  size_t buffer_end_ = 0;
  Body body_;
  bool end_of_stream_ = false;
  capnp::ReaderOptions options_;
  kj::Maybe<ReadFulfiller> reader_;
  kj::Maybe<kj::Exception> receive_failure_;

  std::deque<Chunk> queue_;
  size_t queue_bytes_ = 0;
  uint64_t sent_at_check_ = 0;
  std::vector<kj::byte> spare_;
  bool blocked_ = false;
  bool end_wanted_ = false;
  kj::Maybe<kj::Exception> send_failure_;
};

}  // namespace myfs::uv_io
