#include "sdk/uv/uv_message_stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>

#include "sdk/base/clock.h"
#include "sdk/base/errno.h"
#include "sdk/uv/socket_util.h"

namespace myfs::uv_io {
namespace {

constexpr int kVectorMax = 64;
constexpr size_t kTailWhileBody_bytes = 4 << 10;  // of the next message, received along with a body
constexpr int kReceivesPerTurn = 64;
constexpr size_t kBusySocket_bytes = 16
                                     << 10;  // a receive of that much: more is likely there already

kj::Exception disconnected(std::string_view what, int error = 0) {
  std::string text(what);
  if (error != 0) text.append(": ").append(std::string(Errno(error).text()));
  return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                       kj::heapString(text.data(), text.size()));
}

void bump(std::atomic<uint64_t>& counter, uint64_t by = 1) {
  // Only the driver writes: no locked instruction needed.
  counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
}

class ReceivedMessage final : public capnp::MessageReader {
 public:
  ReceivedMessage(capnp::ReaderOptions options, kj::Array<capnp::word> words,
                  kj::Array<kj::ArrayPtr<const capnp::word>> segments)
      : MessageReader(options), words_(kj::mv(words)), segments_(kj::mv(segments)) {}
  kj::ArrayPtr<const capnp::word> getSegment(kj::uint id) override {
    if (segments_.size() == 0) {
      if (id == 0) return words_;
      return nullptr;
    }
    if (id < segments_.size()) return segments_[id];
    return nullptr;
  }

 private:
  const kj::Array<capnp::word> words_;
  const kj::Array<kj::ArrayPtr<const capnp::word>> segments_;  // empty: one segment, all of words_
};

}  // namespace

// Ties a segment sent by reference to the promise that KJ keeps the message alive for.
class UvMessageStream::SegmentHold {
 public:
  SegmentHold(kj::PromiseFulfiller<void>& done, UvMessageStream& stream, const void* bytes,
              size_t size)
      : done_(done), stream_(&stream) {
    Chunk& chunk = stream.queue_.emplace_back();
    chunk.bytes = static_cast<const kj::byte*>(bytes);
    chunk.size = size;
    chunk.hold = this;
    stream.queue_bytes_ += size;
  }
  ~SegmentHold() {
    if (stream_ == nullptr) return;
    UvMessageStream& stream = *stream_;
    for (Chunk& chunk : stream.queue_) {
      if (chunk.hold == this) chunk.hold = nullptr;
    }
    stream_ = nullptr;
    stream.fail_sending(disconnected("a message was dropped while it was being sent"));
  }
  void sent() {
    stream_ = nullptr;
    done_.fulfill();
  }
  void failed(const kj::Exception& exception) {
    stream_ = nullptr;
    done_.reject(kj::cp(exception));
  }
  void orphan() { stream_ = nullptr; }

 private:
  kj::PromiseFulfiller<void>& done_;
  UvMessageStream* stream_;  // null once it needs no segment any more
};

UvMessageStream::UvMessageStream(UvEventPort& port, int fd)
    : port_(port),
      descriptor_(fd),
      fd_(fd),
      peer_text_(socket_peer_text(fd)),
      watcher_(port, fd, *this),
      stall_timer_(port, [this] { check_stall(); }),
      buffer_(kj::heapArray<kj::byte>(kReceiveBuffer_bytes)),
      options_(reader_options()) {
  tune_socket(fd);
  watcher_.arm(UV_READABLE);
}

UvMessageStream::~UvMessageStream() noexcept(false) {
  port_.forget(*this);
  // The reason of an end is often the last message: offered to the kernel, not waited for.
  if (send_failure_ == nullptr && !blocked_) flush();
  for (Chunk& chunk : queue_) {
    if (chunk.hold != nullptr) chunk.hold->orphan();
  }
}

PeerCredentials UvMessageStream::peer_credentials() const { return socket_credentials(fd_); }

std::string UvMessageStream::failure() const {
  KJ_IF_MAYBE (failure, receive_failure_) {
    return failure->getDescription().cStr();
  }
  return {};
}

void UvMessageStream::disconnect(std::string why) {
  kj::Exception exception = disconnected(why);
  ::shutdown(fd_, SHUT_RDWR);
  fail_sending(kj::cp(exception));
  fail_receiving(kj::mv(exception));
}

void UvMessageStream::on_ready(bool readable, bool writable) {
  if (writable) {
    blocked_ = false;
    watcher_.arm(watcher_.armed() & ~UV_WRITABLE);
    flush();
  }
  if (!readable) return;
  receive();
  offer_message();
  if (end_of_stream_ || receive_failure_ != nullptr) {
    watcher_.arm(watcher_.armed() & ~UV_READABLE);
  } else {
    // libuv stops a watcher that saw an error; and without a reader a full buffer must not be
    // reported again and again.
    bool full = buffer_end_ == buffer_.size() && buffer_begin_ == 0 && reader_ == nullptr;
    watcher_.arm(full ? watcher_.armed() & ~UV_READABLE : watcher_.armed() | UV_READABLE);
  }
}

// ---- receiving ----

void UvMessageStream::receive() {
  if (end_of_stream_ || receive_failure_ != nullptr) return;
  for (int i = 0; i < kReceivesPerTurn; ++i) {
    bool more = false;
    if (!receive_once(&more) || !more) return;
  }
}

// False: nothing came. *more: a body is still incomplete and the socket probably holds more of it.
bool UvMessageStream::receive_once(bool* more) {
  if (buffer_begin_ == buffer_end_) {
    buffer_begin_ = buffer_end_ = 0;
  } else if (buffer_begin_ > 0 && buffer_end_ > buffer_.size() / 2) {
    ::memmove(buffer_.begin(), buffer_.begin() + buffer_begin_, buffer_end_ - buffer_begin_);
    buffer_end_ -= buffer_begin_;
    buffer_begin_ = 0;
  }
  size_t room = buffer_.size() - buffer_end_;
  iovec vector[2];
  int count = 0;
  bool into_body = body_.active && body_.missing_bytes > 0;
  if (into_body) {
    vector[count++] = {body_.next, body_.missing_bytes};
    room = std::min(room, kTailWhileBody_bytes);
  }
  if (room > 0) vector[count++] = {buffer_.begin() + buffer_end_, room};
  if (count == 0) return false;
  msghdr message{};
  message.msg_iov = vector;
  message.msg_iovlen = static_cast<size_t>(count);
  bump(stats_.recv_calls);
  ssize_t received = ::recvmsg(fd_, &message, 0);
  if (received <= 0) {
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    end_of_stream_ = true;
    if (received < 0) fail_receiving(disconnected("receiving failed", errno));
    return false;
  }
  auto left = static_cast<size_t>(received);
  bump(stats_.bytes_in, left);
  if (into_body) {
    size_t part = std::min(left, body_.missing_bytes);
    body_.next += part;
    body_.missing_bytes -= part;
    left -= part;
    *more = body_.missing_bytes > 0 && static_cast<size_t>(received) >= kBusySocket_bytes;
  }
  buffer_end_ += left;
  return true;
}

// Reads the header of the next message from the buffer. False: not all of it is there, or it was
// refused.
bool UvMessageStream::begin_body() {
  size_t available = buffer_end_ - buffer_begin_;
  if (available < sizeof(uint32_t) * 2) return false;
  uint32_t table[kSegmentsMax + 2];
  ::memcpy(table, buffer_.begin() + buffer_begin_, sizeof(uint32_t));
  size_t count = size_t{table[0]} + 1;
  if (count > kSegmentsMax) {
    fail_receiving(disconnected("the peer does not speak this protocol: a message of " +
                                std::to_string(count) + " segments"));
    return false;
  }
  size_t header_bytes = ((count + 2) & ~size_t{1}) * sizeof(uint32_t);
  if (available < header_bytes) return false;
  ::memcpy(table, buffer_.begin() + buffer_begin_, header_bytes);
  size_t words = 0;
  for (size_t i = 0; i < count; ++i) words += table[1 + i];
  if (words > kMessageWireMax_bytes / sizeof(capnp::word)) {
    fail_receiving(disconnected("a message of " + std::to_string(words * sizeof(capnp::word)) +
                                " bytes is above the limit of " +
                                std::to_string(kMessageWireMax_bytes)));
    return false;
  }
  buffer_begin_ += header_bytes;
  body_.words = port_.words().take(words);
  body_.segments = nullptr;
  if (count > 1) {
    body_.segments = kj::heapArray<kj::ArrayPtr<const capnp::word>>(count);
    size_t at = 0;
    for (size_t i = 0; i < count; ++i) {
      body_.segments[i] = body_.words.slice(at, at + table[1 + i]);
      at += table[1 + i];
    }
  }
  body_.next = body_.words.asBytes().begin();
  body_.missing_bytes = words * sizeof(capnp::word);
  body_.active = true;
  return true;
}

void UvMessageStream::take_from_buffer() {
  size_t part = std::min(body_.missing_bytes, buffer_end_ - buffer_begin_);
  if (part == 0) return;
  ::memcpy(body_.next, buffer_.begin() + buffer_begin_, part);
  body_.next += part;
  body_.missing_bytes -= part;
  buffer_begin_ += part;
}

kj::Maybe<kj::Own<capnp::MessageReader>> UvMessageStream::next_message() {
  if (!body_.active && !begin_body()) return nullptr;
  take_from_buffer();
  if (body_.missing_bytes > 0) return nullptr;
  body_.active = false;
  bump(stats_.messages_in);
  return kj::Own<capnp::MessageReader>(
      kj::heap<ReceivedMessage>(options_, kj::mv(body_.words), kj::mv(body_.segments)));
}

// Gives the waiting reader what there is: a message, the failure or the end.
void UvMessageStream::offer_message() {
  if (reader_ == nullptr) {
    // The buffer alone would hold up a large body.
    if (body_.active) take_from_buffer();
    return;
  }
  ReadFulfiller reader;
  KJ_IF_MAYBE (waiting, reader_) {
    reader = kj::mv(*waiting);
  }
  reader_ = nullptr;
  if (receive_failure_ == nullptr) {
    KJ_IF_MAYBE (message, next_message()) {
      reader->fulfill(ReadResult(capnp::MessageReaderAndFds{kj::mv(*message), nullptr}));
      return;
    }
  }
  KJ_IF_MAYBE (failure, receive_failure_) {
    reader->reject(kj::cp(*failure));
  } else if (!end_of_stream_) {
    reader_ = kj::mv(reader);
  } else if (body_.active || buffer_begin_ != buffer_end_) {
    kj::Exception exception = disconnected("the connection ended within a message");
    reader->reject(kj::cp(exception));
    receive_failure_ = kj::mv(exception);
  } else {
    reader->fulfill(ReadResult(nullptr));
  }
}

void UvMessageStream::fail_receiving(kj::Exception&& exception) {
  if (receive_failure_ == nullptr) receive_failure_ = kj::mv(exception);
  if (reader_ != nullptr) offer_message();
}

kj::Promise<UvMessageStream::ReadResult> UvMessageStream::tryReadMessage(
    kj::ArrayPtr<kj::AutoCloseFd>, capnp::ReaderOptions options, kj::ArrayPtr<capnp::word>) {
  options_ = options;
  auto pair = kj::newPromiseAndFulfiller<ReadResult>();
  reader_ = kj::mv(pair.fulfiller);
  offer_message();
  if (reader_ != nullptr) watcher_.arm(watcher_.armed() | UV_READABLE);
  return kj::mv(pair.promise);
}

// ---- sending ----

void UvMessageStream::append_copy(const void* bytes, size_t size) {
  if (size == 0) return;
  if (queue_.empty() || queue_.back().hold != nullptr) {
    queue_.emplace_back().copied = std::move(spare_);
    spare_ = {};
  }
  Chunk& chunk = queue_.back();
  size_t sent = chunk.copied.size() - chunk.size;
  auto* first = static_cast<const kj::byte*>(bytes);
  chunk.copied.insert(chunk.copied.end(), first, first + size);
  chunk.bytes = chunk.copied.data() + sent;
  chunk.size += size;
  queue_bytes_ += size;
}

kj::Promise<void> UvMessageStream::append_reference(const void* bytes, size_t size) {
  return kj::newAdaptedPromise<void, SegmentHold>(*this, bytes, size);
}

kj::Promise<void> UvMessageStream::writeMessage(
    kj::ArrayPtr<const int>, kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  KJ_IF_MAYBE (failure, send_failure_) {
    return kj::cp(*failure);
  }
  if (segments.size() == 0 || segments.size() > kSegmentsMax) {
    return KJ_EXCEPTION(FAILED, "message of a bad number of segments", segments.size());
  }
  size_t words = 0;
  for (auto& segment : segments) words += segment.size();
  if (words > kMessageWireMax_bytes / sizeof(capnp::word)) {
    return KJ_EXCEPTION(FAILED, "message above the limit", words * sizeof(capnp::word));
  }
  uint32_t table[kSegmentsMax + 2];
  size_t count = segments.size();
  table[0] = static_cast<uint32_t>(count - 1);
  for (size_t i = 0; i < count; ++i) table[1 + i] = static_cast<uint32_t>(segments[i].size());
  size_t entries = (count + 2) & ~size_t{1};
  if (entries > count + 1) table[count + 1] = 0;
  append_copy(table, entries * sizeof(uint32_t));

  kj::Maybe<kj::Promise<void>> last_reference;
  for (auto& segment : segments) {
    auto bytes = segment.asBytes();
    if (bytes.size() <= kSegmentByReference_bytes) {
      append_copy(bytes.begin(), bytes.size());
      continue;
    }
    auto promise = append_reference(bytes.begin(), bytes.size());
    KJ_IF_MAYBE (earlier, last_reference) {
      // In order of the queue, but the earlier one must stay alive too.
      last_reference = earlier->then([p = kj::mv(promise)]() mutable { return kj::mv(p); });
    } else {
      last_reference = kj::mv(promise);
    }
  }
  bump(stats_.messages_out);
  port_.flush_soon(*this);
  if (queue_bytes_ >= kSendCoalesce_bytes && !blocked_) flush();
  if (queue_bytes_ > kSendQueueMax_bytes) {
    disconnect("the peer does not read: " + std::to_string(queue_bytes_) + " bytes are waiting");
  }
  KJ_IF_MAYBE (promise, last_reference) {
    return kj::mv(*promise);
  }
  KJ_IF_MAYBE (failure, send_failure_) {
    return kj::cp(*failure);
  }
  return kj::READY_NOW;
}

kj::Promise<void> UvMessageStream::writeMessages(
    kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) {
  auto promises = kj::heapArrayBuilder<kj::Promise<void>>(messages.size());
  for (auto& message : messages) promises.add(writeMessage(nullptr, message));
  return kj::joinPromises(promises.finish());
}

kj::Maybe<int> UvMessageStream::getSendBufferSize() {
  int size = 0;
  socklen_t length = sizeof size;
  if (::getsockopt(fd_, SOL_SOCKET, SO_SNDBUF, &size, &length) != 0) return nullptr;
  return size;
}

int UvMessageStream::gather(iovec* vector, int max) const {
  int count = 0;
  for (auto chunk = queue_.begin(); chunk != queue_.end() && count < max; ++chunk) {
    vector[count++] = {const_cast<kj::byte*>(chunk->bytes), chunk->size};
  }
  return count;
}

void UvMessageStream::consume(size_t sent_bytes) {
  queue_bytes_ -= sent_bytes;
  while (sent_bytes > 0) {
    Chunk& chunk = queue_.front();
    if (sent_bytes < chunk.size) {
      chunk.bytes += sent_bytes;
      chunk.size -= sent_bytes;
      return;
    }
    sent_bytes -= chunk.size;
    SegmentHold* hold = chunk.hold;
    if (hold == nullptr && chunk.copied.capacity() <= 2 * kSendCoalesce_bytes) {
      chunk.copied.clear();
      spare_ = std::move(chunk.copied);
    }
    queue_.pop_front();
    if (hold != nullptr) hold->sent();
  }
}

void UvMessageStream::flush() {
  while (queue_bytes_ > 0 && !blocked_ && send_failure_ == nullptr) {
    iovec vector[kVectorMax];
    msghdr message{};
    message.msg_iov = vector;
    message.msg_iovlen = static_cast<size_t>(gather(vector, kVectorMax));
    bump(stats_.send_calls);
    ssize_t sent = ::sendmsg(fd_, &message, MSG_NOSIGNAL);
    if (sent >= 0) {
      bump(stats_.bytes_out, static_cast<uint64_t>(sent));
      consume(static_cast<size_t>(sent));
    } else if (errno == EAGAIN || errno == ENOBUFS) {
      blocked_ = true;
      watcher_.arm(watcher_.armed() | UV_WRITABLE);
      if (!stall_timer_.armed()) {
        sent_at_check_ = stats_.bytes_out.load(std::memory_order_relaxed);
        stall_timer_.arm_after(kSendStallMax_ns);
      }
    } else if (errno != EINTR) {
      fail_sending(disconnected("sending failed", errno));
    }
  }
  if (queue_bytes_ == 0) finish_end();
}

void UvMessageStream::check_stall() {
  if (queue_bytes_ == 0 || send_failure_ != nullptr) return;
  uint64_t sent = stats_.bytes_out.load(std::memory_order_relaxed);
  if (sent == sent_at_check_) {
    disconnect("the peer does not read: nothing was accepted for " +
               std::to_string(kSendStallMax_ns / kNsPerSec) + " s");
    return;
  }
  sent_at_check_ = sent;
  stall_timer_.arm_after(kSendStallMax_ns);
}

void UvMessageStream::fail_sending(kj::Exception&& exception) {
  if (send_failure_ != nullptr) return;
  std::deque<Chunk> dropped;
  dropped.swap(queue_);
  queue_bytes_ = 0;
  stall_timer_.disarm();
  // What was cut off in the middle cannot be continued: the peer has to see an end.
  ::shutdown(fd_, SHUT_WR);
  for (Chunk& chunk : dropped) {
    if (chunk.hold != nullptr) chunk.hold->failed(exception);
  }
  send_failure_ = kj::mv(exception);
}

void UvMessageStream::finish_end() {
  stall_timer_.disarm();
  if (!end_wanted_) return;
  end_wanted_ = false;
  ::shutdown(fd_, SHUT_WR);
}

kj::Promise<void> UvMessageStream::end() {
  end_wanted_ = true;
  flush();
  return kj::READY_NOW;
}

}  // namespace myfs::uv_io
