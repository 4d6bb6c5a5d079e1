// PinnedNetwork: a two-party network whose messages may refer to memory that is not their own. It
// holds that memory as long as it can still be sent, and no longer.
// Kernel counterpart: MSG_ZEROCOPY with its completions (net/core/skbuff.c: struct ubuf_info).
// Thread safety: only inside the loop, where owners are released too.
// Owns / is owned by: owned by who owns the connection; outlives the RPC system on it and dies
// before the stream. MessagePins is counted: whoever builds messages may outlive the network.
// Invariants: (1) what is pinned is released once: when all of the message was given to the stream
// below and that needs it no more, when the message is dropped unsent (a call that was cancelled
// gets no answer), or with the network; (2) nothing below reads it after that.
#pragma once

#include <capnp/rpc-twoparty.h>
#include <kj/async.h>

#include <memory>
#include <unordered_map>
#include <utility>
#include <vector>

namespace myfs::uv_io {

using PinOwner = std::shared_ptr<const void>;

class PinnedNetwork;

// What the messages of one network refer to.
class MessagePins {
 public:
  // Finds the message that is made while it lives, by getResults() or a request; none is, if the
  // connection has gone or the peer is in this process.
  class Watch {
   public:
    explicit Watch(MessagePins& pins) : pins_(pins) { pins_.newest_ = nullptr; }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    // Whether such a message is there; then it holds `owner`, until it needs the segment that
    // begins at `memory` no more. False: `owner` is not held, so `memory` must be copied.
    bool pin(const void* memory, PinOwner owner);

   private:
    MessagePins& pins_;
  };

  // Held in all: by messages that are built, that wait to be sent and that are being sent.
  size_t held() const { return held_; }

 private:
  friend class PinnedNetwork;
  // One owner; counts while it lives.
  class Pin {
   public:
    Pin(std::shared_ptr<MessagePins> pins, const void* memory, PinOwner owner)
        : pins_(std::move(pins)), memory_(memory), owner_(std::move(owner)) {
      ++pins_->held_;
    }
    Pin(Pin&& other) noexcept = default;
    ~Pin() {
      if (pins_ != nullptr) --pins_->held_;
    }
    const void* memory() const { return memory_; }

   private:
    std::shared_ptr<MessagePins> pins_;  // null: moved away
    const void* memory_;
    PinOwner owner_;
  };
  class Message;

  Message* newest_ = nullptr;
  size_t held_ = 0;
};

class PinnedNetwork final : public capnp::TwoPartyVatNetworkBase {
 public:
  PinnedNetwork(capnp::MessageStream& stream, capnp::rpc::twoparty::Side side,
                capnp::ReaderOptions options, std::shared_ptr<MessagePins> pins);
  ~PinnedNetwork() noexcept(false);

  // As those of TwoPartyVatNetwork.
  kj::Promise<void> onDisconnect() { return network_.onDisconnect(); }
  size_t getCurrentQueueSize() { return network_.getCurrentQueueSize(); }
  kj::Maybe<kj::Own<Connection>> connect(capnp::rpc::twoparty::VatId::Reader vat) override;
  kj::Promise<kj::Own<Connection>> accept() override;

 private:
  friend class MessagePins;
  class PinnedConnection;
  // Takes over the pins of each message that is written.
  class Stream final : public capnp::MessageStream {
   public:
    explicit Stream(capnp::MessageStream& below) : below_(below) {}
    kj::Promise<kj::Maybe<capnp::MessageReaderAndFds>> tryReadMessage(
        kj::ArrayPtr<kj::AutoCloseFd> fd_space, capnp::ReaderOptions options,
        kj::ArrayPtr<capnp::word> scratch) override {
      return below_.tryReadMessage(fd_space, options, scratch);
    }
    kj::Promise<void> writeMessage(
        kj::ArrayPtr<const int> fds,
        kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) override;
    kj::Promise<void> writeMessages(
        kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) override;
    kj::Maybe<int> getSendBufferSize() override { return below_.getSendBufferSize(); }
    kj::Promise<void> end() override { return below_.end(); }

    // Of messages that were sent, until the network writes them.
    std::unordered_multimap<const void*, MessagePins::Pin> waiting;

   private:
    capnp::MessageStream& below_;
  };

  std::shared_ptr<MessagePins> pins_;
  Stream stream_;
  capnp::TwoPartyVatNetwork network_;
};

}  // namespace myfs::uv_io
