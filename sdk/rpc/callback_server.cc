#include "sdk/rpc/callback_server.h"

#include <kj/debug.h>

#include <algorithm>
#include <utility>

#include "sdk/rpc/wire.h"

namespace myfs::rpc {
namespace {
constexpr size_t kWhyMax_bytes = 1'024;
}

void CallbackServer::open() {
  open_ = true;
  for (Delivery& delivery : std::exchange(early_, {})) delivery(sink_);
}

void CallbackServer::hand_over(Delivery delivery) {
  if (shut_) return;
  if (open_) return delivery(sink_);
  KJ_REQUIRE(early_.size() < kEarlyMax, "too many callbacks before the login was answered");
  early_.push_back(std::move(delivery));
}

kj::Promise<void> CallbackServer::recall(RecallContext context) {
  auto wire_items = context.getParams().getItems();
  KJ_REQUIRE(wire_items.size() <= kRecallItemsMax, "too many recalls in one call");
  std::vector<RecallItem> items(wire_items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    KJ_REQUIRE(decode(wire_items[i], &items[i]), "malformed recall");
  }
  hand_over(
      [items = std::move(items)](CallbackSink& sink) mutable { sink.on_recall(std::move(items)); });
  return kj::READY_NOW;
}

kj::Promise<void> CallbackServer::glimpse(GlimpseContext context) {
  auto params = context.getParams();
  hand_over([id = params.getGlimpseId(), ino = params.getIno()](CallbackSink& sink) {
    sink.on_glimpse(id, ino);
  });
  return kj::READY_NOW;
}

kj::Promise<void> CallbackServer::lockGranted(LockGrantedContext context) {
  auto params = context.getParams();
  hand_over([id = params.getLockId(), seq = params.getSeq()](CallbackSink& sink) {
    sink.on_lock_granted(id, seq);
  });
  return kj::READY_NOW;
}

kj::Promise<void> CallbackServer::trim(TrimContext context) {
  hand_over([n = context.getParams().getLeases()](CallbackSink& sink) { sink.on_trim(n); });
  return kj::READY_NOW;
}

kj::Promise<void> CallbackServer::evicted(EvictedContext context) {
  auto text = context.getParams().getWhy();
  std::string why(text.cStr(), std::min<size_t>(text.size(), kWhyMax_bytes));
  hand_over([this, why = std::move(why)](CallbackSink& sink) {
    sink.on_evicted(why);
    on_evicted_();
  });
  return kj::READY_NOW;
}

kj::Promise<void> CallbackServer::changed(ChangedContext context) {
  auto params = context.getParams();
  std::string name = to_string(params.getName());
  KJ_REQUIRE(name.empty() || is_component(name), "malformed name in a notification");
  hand_over([ino = params.getIno(), change = params.getChange(), mask = params.getMask(),
             name = std::move(name)](CallbackSink& sink) mutable {
    sink.on_changed(ino, change, mask, std::move(name));
  });
  return kj::READY_NOW;
}

}  // namespace myfs::rpc
