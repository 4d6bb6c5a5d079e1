#include "sdk/base/call_context.h"

#include <utility>

namespace myfs {

void CancelToken::cancel() {
  cancelled_.store(true, std::memory_order_release);
  mutex_.lock_nested();  // a token that another one fires, which is its user's
  for (Listener* listener = listeners_; listener != nullptr; listener = listener->next_) {
    listener->fn_();
  }
  mutex_.unlock();
}

CancelToken::Listener::Listener(CancelToken* token, std::function<void()> fn)
    : token_(token), fn_(std::move(fn)) {
  if (token_ == nullptr) return;
  MutexLock lock(token_->mutex_);
  next_ = token_->listeners_;
  if (next_ != nullptr) next_->prev_ = this;
  token_->listeners_ = this;
  if (token_->cancelled()) fn_();
}

CancelToken::Listener::~Listener() {
  if (token_ == nullptr) return;
  MutexLock lock(token_->mutex_);
  if (prev_ != nullptr) {
    prev_->next_ = next_;
  } else {
    token_->listeners_ = next_;
  }
  if (next_ != nullptr) next_->prev_ = prev_;
}

}  // namespace myfs
