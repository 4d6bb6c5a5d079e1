// MemoryStream: one end of a connection whose other end is the fuzzer: what is delivered is read,
// what is written is kept for the fuzzer to look at.
// Kernel counterpart: socketpair(2).
// Thread safety: one thread.
// Owns / is owned by: owned by the connection above it; the fuzzer refers to it while it stands.
#pragma once

#include <capnp/serialize.h>
#include <kj/async.h>

#include <deque>
#include <string>
#include <utility>

#include "sdk/uv/message_stream.h"

namespace myfs::fuzz {

// What both ends know of the wire; outlives the stream.
struct MemoryWire {
  std::deque<kj::Array<capnp::word>> to_stream;    // flat messages
  std::deque<kj::Array<capnp::word>> from_stream;  // likewise
  kj::Maybe<kj::Own<kj::PromiseFulfiller<kj::Maybe<capnp::MessageReaderAndFds>>>> reader;
  capnp::ReaderOptions options;
  std::string failure;
  bool hung_up = false;      // by the fuzzer
  bool stream_gone = false;  // the stream does not exist any more

  // Hands over the next message, or the end, if the stream waits for one. Whether it did.
  bool pump() {
    KJ_IF_MAYBE (waiting, reader) {
      if (to_stream.empty() && !hung_up) return false;
      auto fulfiller = kj::mv(*waiting);
      reader = nullptr;
      if (to_stream.empty()) {
        fulfiller->fulfill(nullptr);
        return true;
      }
      kj::Array<capnp::word> words = kj::mv(to_stream.front());
      to_stream.pop_front();
      try {
        auto message = kj::heap<capnp::FlatArrayMessageReader>(words, options);
        kj::Own<capnp::MessageReader> own = message.attach(kj::mv(words));
        fulfiller->fulfill(capnp::MessageReaderAndFds{kj::mv(own), nullptr});
      } catch (const kj::Exception&) {
        hung_up = true;  // what has no framing at all ends a real stream
        fulfiller->fulfill(nullptr);
      }
      return true;
    }
    return false;
  }
};

class MemoryStream final : public uv_io::MessageStream {
 public:
  MemoryStream(MemoryWire& wire, uv_io::PeerCredentials peer)
      : wire_(wire), peer_(std::move(peer)), text_("fuzz") {}
  ~MemoryStream() noexcept(false) override {
    wire_.stream_gone = true;
    wire_.reader = nullptr;
  }

  kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
      kj::ArrayPtr<kj::AutoCloseFd>, capnp::ReaderOptions options,
      kj::ArrayPtr<capnp::word>) override {
    if (!wire_.failure.empty()) return broken();
    auto pair = kj::newPromiseAndFulfiller<kj::Maybe<capnp::MessageReaderAndFds>>();
    wire_.options = options;
    wire_.reader = kj::mv(pair.fulfiller);
    return kj::mv(pair.promise);
  }
  kj::Promise<void> writeMessage(
      kj::ArrayPtr<const int>,
      kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override {
    if (!wire_.failure.empty()) return broken();
    if (!wire_.hung_up) wire_.from_stream.push_back(capnp::messageToFlatArray(segments));
    return kj::READY_NOW;
  }
  kj::Promise<void> writeMessages(
      kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override {
    for (auto& message : messages) (void)writeMessage(nullptr, message);
    return kj::READY_NOW;
  }
  kj::Maybe<int> getSendBufferSize() override { return nullptr; }
  kj::Promise<void> end() override { return kj::READY_NOW; }

  const uv_io::StreamStats& stats() const override { return stats_; }
  uv_io::PeerCredentials peer_credentials() const override { return peer_; }
  const std::string& peer_text() const override { return text_; }
  void disconnect(std::string why) override {
    if (!wire_.failure.empty()) return;
    wire_.failure = std::move(why);
    wire_.to_stream.clear();
    KJ_IF_MAYBE (waiting, wire_.reader) {
      (*waiting)->reject(broken());
      wire_.reader = nullptr;
    }
  }
  std::string failure() const override { return wire_.failure; }
  size_t send_queue_bytes() const override { return 0; }

 private:
  kj::Exception broken() const {
    return kj::Exception(kj::Exception::Type::DISCONNECTED, __FILE__, __LINE__,
                         kj::heapString(wire_.failure.data(), wire_.failure.size()));
  }

  MemoryWire& wire_;
  const uv_io::PeerCredentials peer_;
  const std::string text_;
  uv_io::StreamStats stats_;
};

}  // namespace myfs::fuzz
