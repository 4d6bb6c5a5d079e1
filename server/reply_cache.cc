#include "server/reply_cache.h"

#include <cassert>
#include <utility>

namespace myfs::server {
namespace {

// A client sends a call again when its connection is another one: whoever waited for the answer
// over the old ones has gone. Each holds its message.
constexpr size_t kAttachedMax = 4;

}  // namespace

ReplyCache::Begun ReplyCache::begin(const Op& op, uint64_t hash, Attach attach) {
  if (op.slot >= slots_.size()) return {.error = Errno(EPROTO), .outcome = {}};
  Slot& slot = slots_[op.slot];
  if (op.slot_seq < slot.seq || op.slot_seq == 0) return {.error = Errno(EALREADY), .outcome = {}};
  if (op.slot_seq == slot.seq && slot.state != State::kFree) {
    if (slot.hash != hash) return {.error = Errno(EPROTO), .outcome = {}};
    if (slot.state == State::kDone)
      return {.error = {}, .verdict = Verdict::kReplay, .outcome = slot.outcome};
    slot.attached.push_back(std::move(attach));
    if (slot.attached.size() > kAttachedMax) {
      Attach oldest = std::move(slot.attached.front());
      slot.attached.erase(slot.attached.begin());
      oldest(Outcome{.error = EALREADY});
    }
    return {.error = {}, .verdict = Verdict::kAttached, .outcome = {}};
  }
  if (slot.state == State::kExecuting) return {.error = Errno(EPROTO), .outcome = {}};
  slot.state = State::kExecuting;
  slot.seq = op.slot_seq;
  slot.hash = hash;
  return {};
}

void ReplyCache::finish(const Op& op, const Outcome& outcome) {
  Slot& slot = slots_[op.slot];
  assert(slot.state == State::kExecuting && slot.seq == op.slot_seq);
  slot.state = State::kDone;
  slot.outcome = outcome;
  auto attached = std::exchange(slot.attached, {});
  for (Attach& attach : attached) attach(outcome);
}

void ReplyCache::take_back(const Op& op, const Outcome& outcome) {
  Slot& slot = slots_[op.slot];
  assert(slot.state == State::kExecuting && slot.seq == op.slot_seq);
  // The call before has been answered for good, or this one had not come.
  slot.state = State::kFree;
  --slot.seq;
  auto attached = std::exchange(slot.attached, {});
  for (Attach& attach : attached) attach(outcome);
}

std::vector<uint64_t> ReplyCache::seqs() const {
  std::vector<uint64_t> seqs;
  seqs.reserve(slots_.size());
  for (const Slot& slot : slots_) seqs.push_back(slot.seq);
  return seqs;
}

void ReplyCache::restore(uint16_t slot, uint64_t seq, uint64_t hash, const Outcome& outcome) {
  if (slot >= slots_.size()) return;
  slots_[slot] =
      Slot{.state = State::kDone, .seq = seq, .hash = hash, .outcome = outcome, .attached = {}};
}

}  // namespace myfs::server
