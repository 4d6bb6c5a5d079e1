// The part of a Link that tells a server what the client held of the one before.
#include <utility>

#include "absl/strings/str_cat.h"
#include "sdk/base/clock.h"
#include "sdk/rpc/link.h"

namespace myfs::rpc {

void Link::reclaim_next(bool begin) {
  ReclaimPart part = sink_.next_reclaim(begin);
  auto answered = reclaim(loop_.port(), *control_.connection, part,
                          deadline_after_ns(options_.connect_timeout_ns));
  tasks_->add(answered.then(
      [this, attempt = control_.attempt, part = kj::mv(part)](ReclaimResult&& result) {
        if (attempt == control_.attempt) reclaimed(part, kj::mv(result));
      }));
}

// A break begins with a bind again: until then the server keeps what it was told, or forgets it.
void Link::reclaimed(const ReclaimPart& part, ReclaimResult result) {
  if (is_transient(result.error)) {
    return control_failed(result.error,
                          absl::StrCat(control_.address, " did not reclaim: ", result.why));
  }
  if (!result.error.ok()) {
    drop_connection(control_, "the session could not be reclaimed");
    session_lost(result.why.empty() ? std::string(result.error.text()) : result.why);
    return connect_control();
  }
  sink_.on_reclaimed(part, std::move(result.answer));
  if (!part.last) return reclaim_next(false);
  ++sessions_reclaimed_;
  resume(std::move(bound_));
}

}  // namespace myfs::rpc
