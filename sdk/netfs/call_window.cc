#include "sdk/netfs/call_window.h"

#include <algorithm>
#include <cassert>

namespace myfs::netfs {

uint64_t CallWindow::begin() {
  answered_.push_back(false);
  return first_ + answered_.size() - 1;
}

void CallWindow::end(uint64_t number) {
  assert(number >= first_ && number - first_ < answered_.size());
  answered_[number - first_] = true;
  if (number != first_) return;
  while (!answered_.empty() && answered_.front()) {
    answered_.pop_front();
    ++first_;
  }
  forget_answered();
}

void CallWindow::remember(uint64_t ino, uint64_t seq) {
  if (answered_.empty() || seq == 0) return;  // no reply is on its way
  const uint64_t until = first_ + answered_.size();
  if (!entries_.contains(ino) && entries_.size() >= kRememberedSeqsMax) return make_grants_void();
  Entry& entry = entries_[ino];
  entry.seq = std::max(entry.seq, seq);
  entry.until = until;
  soonest_ = std::min(soonest_, until);
}

void CallWindow::make_grants_void() {
  void_below_.store(first_ + answered_.size(), std::memory_order_release);
}

void CallWindow::forget_answered() {
  if (first_ < soonest_) return;
  soonest_ = UINT64_MAX;
  for (auto it = entries_.begin(); it != entries_.end();) {
    if (it->second.until <= first_) {
      entries_.erase(it++);
    } else {
      soonest_ = std::min(soonest_, it->second.until);
      ++it;
    }
  }
}

uint64_t CallWindow::newest_seq(uint64_t ino) const {
  auto found = entries_.find(ino);
  return found == entries_.end() ? 0 : found->second.seq;
}

void CallWindow::clear() {
  entries_.clear();
  soonest_ = UINT64_MAX;
}

}  // namespace myfs::netfs
