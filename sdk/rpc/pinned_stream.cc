#include "sdk/rpc/pinned_stream.h"

#include <utility>

namespace myfs::rpc {

void PinnedStream::pin(const void* memory, Call& call) {
  auto [it, inserted] = pins_.try_emplace(memory, Ref<Call>(call));
  if (inserted) call.pinned();
}

void PinnedStream::release(const void* memory) {
  auto it = pins_.find(memory);
  if (it == pins_.end()) return;
  Ref<Call> call = std::move(it->second);
  pins_.erase(it);
  call->unpinned();
}

void PinnedStream::release_all() {
  auto pins = std::exchange(pins_, {});
  for (auto& [memory, call] : pins) call->unpinned();
}

kj::Promise<void> PinnedStream::writeMessage(
    kj::ArrayPtr<const int> fds, kj::ArrayPtr<const kj::ArrayPtr<const capnp::word>> segments) {
  const void* pinned = nullptr;
  if (!pins_.empty()) {
    for (auto& segment : segments) {
      if (pins_.contains(segment.begin())) pinned = segment.begin();
    }
  }
  auto written = below_.writeMessage(fds, segments);
  if (pinned == nullptr) return written;
  return written.then([this, pinned] { release(pinned); });
}

}  // namespace myfs::rpc
