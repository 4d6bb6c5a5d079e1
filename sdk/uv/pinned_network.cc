#include "sdk/uv/pinned_network.h"

namespace myfs::uv_io {

class MessagePins::Message final : public capnp::OutgoingRpcMessage {
 public:
  Message(std::shared_ptr<MessagePins> pins, PinnedNetwork::Stream& stream,
          kj::Own<capnp::OutgoingRpcMessage> below)
      : pins_(std::move(pins)), stream_(stream), below_(kj::mv(below)) {
    pins_->newest_ = this;
  }
  ~Message() noexcept(false) {
    if (pins_->newest_ == this) pins_->newest_ = nullptr;
  }

  void pin(const void* memory, PinOwner owner) {
    own_.emplace_back(pins_, memory, std::move(owner));
  }

  capnp::AnyPointer::Builder getBody() override { return below_->getBody(); }
  void setFds(kj::Array<int> fds) override { below_->setFds(kj::mv(fds)); }
  size_t sizeInWords() override { return below_->sizeInWords(); }
  // From now on the message below lives on its own, until it was written.
  void send() override {
    below_->send();
    for (Pin& pin : own_) {
      const void* memory = pin.memory();
      stream_.waiting.emplace(memory, std::move(pin));
    }
    own_.clear();
  }

 private:
  const std::shared_ptr<MessagePins> pins_;
  PinnedNetwork::Stream& stream_;
  kj::Own<capnp::OutgoingRpcMessage> below_;
  std::vector<Pin> own_;  // die before the message below, which does not look at its segments then
};

bool MessagePins::Watch::pin(const void* memory, PinOwner owner) {
  if (pins_.newest_ == nullptr) return false;
  pins_.newest_->pin(memory, std::move(owner));
  return true;
}

class PinnedNetwork::PinnedConnection final : public Connection {
 public:
  PinnedConnection(PinnedNetwork& network, kj::Own<Connection> below)
      : network_(network), below_(kj::mv(below)) {}

  kj::Own<capnp::RpcFlowController> newStream() override { return below_->newStream(); }
  capnp::rpc::twoparty::VatId::Reader getPeerVatId() override { return below_->getPeerVatId(); }
  kj::Own<capnp::OutgoingRpcMessage> newOutgoingMessage(kj::uint first_segment_words) override {
    return kj::heap<MessagePins::Message>(network_.pins_, network_.stream_,
                                          below_->newOutgoingMessage(first_segment_words));
  }
  kj::Promise<kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>> receiveIncomingMessage() override {
    return below_->receiveIncomingMessage();
  }
  kj::Promise<void> shutdown() override { return below_->shutdown(); }

 private:
  PinnedNetwork& network_;
  kj::Own<Connection> below_;
};

PinnedNetwork::PinnedNetwork(capnp::MessageStream& stream, capnp::rpc::twoparty::Side side,
                             capnp::ReaderOptions options, std::shared_ptr<MessagePins> pins)
    : pins_(std::move(pins)), stream_(stream), network_(stream_, side, options) {}

PinnedNetwork::~PinnedNetwork() noexcept(false) = default;

kj::Maybe<kj::Own<PinnedNetwork::Connection>> PinnedNetwork::connect(
    capnp::rpc::twoparty::VatId::Reader vat) {
  return network_.connect(vat).map([this](kj::Own<Connection>&& below) -> kj::Own<Connection> {
    return kj::heap<PinnedConnection>(*this, kj::mv(below));
  });
}

kj::Promise<kj::Own<PinnedNetwork::Connection>> PinnedNetwork::accept() {
  return network_.accept().then([this](kj::Own<Connection>&& below) -> kj::Own<Connection> {
    return kj::heap<PinnedConnection>(*this, kj::mv(below));
  });
}

kj::Promise<void> PinnedNetwork::Stream::writeMessage(
    kj::ArrayPtr<const int> fds, kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  std::vector<MessagePins::Pin> pins;
  // What a message owns comes first; what it refers to has segments of its own.
  for (size_t i = 1; i < segments.size() && !waiting.empty(); ++i) {
    auto found = waiting.find(segments[i].begin());
    if (found == waiting.end()) continue;
    pins.push_back(std::move(waiting.extract(found).mapped()));
  }
  auto written = below_.writeMessage(fds, segments);
  if (pins.empty()) return written;
  // Written, failed or dropped by the network: the stream below lets go of the segments first.
  return written.attach(std::move(pins));
}

kj::Promise<void> PinnedNetwork::Stream::writeMessages(
    kj::ArrayPtr<kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>>> messages) {
  auto promises = kj::heapArrayBuilder<kj::Promise<void>>(messages.size());
  for (auto& message : messages) promises.add(writeMessage(nullptr, message));
  return kj::joinPromises(promises.finish());
}

}  // namespace myfs::uv_io
