#include "sdk/rpc/admitter.h"

#include <algorithm>

#include "sdk/base/error_detail.h"
#include "sdk/base/limits.h"

namespace myfs::rpc {
namespace {

// What was never sent is not in doubt, whatever an earlier call has left in the record.
Errno not_admitted(Errno error, const char* message) {
  clear_error_detail();
  thread_error_detail().retriable = true;
  return fail(error, message);
}

}  // namespace

void Admission::give_back() {
  if (admitter_ == nullptr) return;
  std::shared_ptr<Admitter> admitter = std::move(admitter_);
  admitter_ = nullptr;
  admitter->give_back(*this);
}

uint16_t Admitter::free_slot_locked(const Pool& pool) const {
  for (uint16_t slot = pool.first_slot; slot < pool.end_slot; ++slot) {
    if (!slots_[slot].busy) return slot;
  }
  return kNoSlot;
}

Admitter::Lack Admitter::lack_locked(const Pool& pool, const AdmitArgs& args) const {
  if (pool.operations >= pool.operations_max) return kCredit;
  // What alone is larger than the whole credit is sent alone.
  if (pool.bytes != 0 && pool.bytes + args.bytes > pool.bytes_max) return kCredit;
  return args.changes && free_slot_locked(pool) == kNoSlot ? kSlot : kNothing;
}

void Admitter::take_locked(Pool& pool, bool reserved, const AdmitArgs& args, Admission* out) {
  ++pool.operations;
  pool.bytes += args.bytes;
  out->admitter_ = shared_from_this();
  out->bytes_ = args.bytes;
  out->reserved_ = reserved;
  out->incarnation_ = incarnation_;
  out->slot_ = kNoSlot;
  if (args.changes) {
    out->slot_ = free_slot_locked(pool);
    slots_[out->slot_].busy = true;
  }
}

bool Admitter::take_if_free_locked(const AdmitArgs& args, Admission* out) {
  if (lack_locked(normal_, args) == kNothing) {
    take_locked(normal_, false, args, out);
    return true;
  }
  if (args.urgency != Urgency::kRecall || lack_locked(reserve_, args) != kNothing) return false;
  take_locked(reserve_, true, args, out);
  return true;
}

void Admitter::tell_locked(Waiter& waiter) {
  if (waiter.waker != nullptr) {
    waiter.waker->wake();
  } else {
    waiter.event.set();
  }
}

void Admitter::enter_locked(Waiter& waiter) {
  waiters_.push_back(&waiter);
  if (waiter.args.urgency == Urgency::kRecall) ++recall_waiters_;
}

void Admitter::leave_locked(Waiter& waiter) {
  waiters_.remove(&waiter);
  if (waiter.args.urgency == Urgency::kRecall) --recall_waiters_;
}

void Admitter::serve_locked() {
  bool slots_out = false;
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    Waiter& waiter = **it;
    bool may_pass = waiter.args.urgency == Urgency::kRecall || !slots_out || !waiter.args.changes;
    if (may_pass && take_if_free_locked(waiter.args, &waiter.admission)) {
      waiter.granted = true;
      it = waiters_.erase(it);
      if (waiter.args.urgency == Urgency::kRecall) --recall_waiters_;
      tell_locked(waiter);
      continue;
    }
    ++it;
    if (waiter.args.urgency == Urgency::kRecall) continue;
    if (lack_locked(normal_, waiter.args) == kCredit) {
      // Nobody of normal urgency may overtake, or large requests would starve.
      if (recall_waiters_ == 0) return;
      while (it != waiters_.end() && (*it)->args.urgency != Urgency::kRecall) ++it;
      continue;
    }
    slots_out = true;
  }
}

Result<Admission> Admitter::try_admit(const AdmitArgs& args) {
  Admission admission;
  MutexLock lock(mutex_);
  if (shut_down_) return Errno(ESHUTDOWN);
  bool queue = std::any_of(waiters_.begin(), waiters_.end(),
                           [&](Waiter* w) { return w->args.urgency == args.urgency; });
  if (queue || !take_if_free_locked(args, &admission)) return Errno(EAGAIN);
  return admission;
}

Result<Admission> Admitter::admit(const CallContext& ctx, const AdmitArgs& args,
                                  int64_t deadline_ns) {
  if (ctx.cancelled()) return not_admitted(Errno(EINTR), "cancelled");
  Waiter waiter;
  waiter.args = args;
  {
    MutexLock lock(mutex_);
    if (shut_down_) return Errno(ESHUTDOWN);
    bool queue = std::any_of(waiters_.begin(), waiters_.end(), [&](Waiter* w) {
      return w->args.urgency == args.urgency && (w->args.changes == args.changes || !args.changes);
    });
    if (!queue && take_if_free_locked(args, &waiter.admission)) return std::move(waiter.admission);
    enter_locked(waiter);
    serve_locked();
  }
  {
    CancelToken::Listener listener(ctx.cancel, [&waiter] { waiter.event.set(); });
    (void)waiter.event.wait_until(deadline_ns);
  }
  MutexLock lock(mutex_);
  if (waiter.granted) return std::move(waiter.admission);
  leave_locked(waiter);
  if (shut_down_) return Errno(ESHUTDOWN);
  serve_locked();
  if (ctx.cancelled())
    return not_admitted(Errno(EINTR), "cancelled while waiting for its turn to be sent");
  return not_admitted(Errno(ETIMEDOUT),
                      "no room to send within the deadline: earlier calls are unanswered");
}

class Admitter::Place final : public QueuedAdmission {
 public:
  Place(Admitter& admitter, const AdmitArgs& args) : admitter_(admitter.shared_from_this()) {
    waiter_.args = args;
  }
  ~Place() override {
    MutexLock lock(admitter_->mutex_);
    if (waiter_.granted) return;
    admitter_->leave_locked(waiter_);
    admitter_->serve_locked();
  }
  Result<Admission> take() override {
    MutexLock lock(admitter_->mutex_);
    if (waiter_.granted) return std::move(waiter_.admission);
    return Errno(admitter_->shut_down_ ? ESHUTDOWN : EAGAIN);
  }
  // Nobody is told of what is granted here: take() is asked next.
  void enter(Waker& waker) {
    MutexLock lock(admitter_->mutex_);
    waiter_.waker = &silent_;
    admitter_->enter_locked(waiter_);
    admitter_->serve_locked();
    waiter_.waker = &waker;
  }

 private:
  struct Silent final : Waker {
    void wake() override {}
  };
  const std::shared_ptr<Admitter> admitter_;
  Silent silent_;
  Waiter waiter_;
};

std::unique_ptr<QueuedAdmission> Admitter::queue(const AdmitArgs& args, Waker& waker) {
  auto place = std::make_unique<Place>(*this, args);
  place->enter(waker);
  return place;
}

void Admitter::open(uint64_t incarnation, uint16_t slots, uint64_t credit_bytes,
                    uint32_t max_io_bytes) {
  MutexLock lock(mutex_);
  incarnation_ = incarnation;
  slots_.assign(std::min(slots, kSlotsPerSession), Slot{});
  auto count = static_cast<uint16_t>(slots_.size());
  uint16_t reserved = std::min<uint16_t>(kReservedSlots, count - 1);
  normal_ = Pool{0, kOperationsMax, 0, std::min(credit_bytes, kCreditMax_bytes), reserved, count};
  reserve_ = Pool{0, kReservedOperations, 0, uint64_t{kReservedSlots} * max_io_bytes, 0, reserved};
  serve_locked();
}

void Admitter::shut_down() {
  MutexLock lock(mutex_);
  shut_down_ = true;
  for (Waiter* waiter : waiters_) tell_locked(*waiter);
}

Admitter::Slot* Admitter::slot_locked(const Admission& admission) {
  bool ours = admission.incarnation_ == incarnation_ && admission.slot_ < slots_.size();
  return ours ? &slots_[admission.slot_] : nullptr;
}

void Admitter::give_back(const Admission& admission) {
  MutexLock lock(mutex_);
  if (admission.incarnation_ != incarnation_) return;
  Pool& pool = admission.reserved_ ? reserve_ : normal_;
  --pool.operations;
  pool.bytes -= admission.bytes_;
  if (Slot* slot = slot_locked(admission); slot != nullptr) slot->busy = false;
  serve_locked();
}

uint64_t Admitter::take_slot_seq(const Admission& admission) {
  MutexLock lock(mutex_);
  Slot* slot = slot_locked(admission);
  return slot == nullptr ? 0 : ++slot->seq;
}

void Admitter::untake_slot_seq(const Admission& admission) {
  MutexLock lock(mutex_);
  if (Slot* slot = slot_locked(admission); slot != nullptr && slot->seq > 0) --slot->seq;
}

void Admitter::set_slot_seq(const Admission& admission, uint64_t seq) {
  MutexLock lock(mutex_);
  if (Slot* slot = slot_locked(admission); slot != nullptr) slot->seq = seq;
}

void Admitter::adopt_slot_seqs(const std::vector<uint64_t>& seqs) {
  MutexLock lock(mutex_);
  for (size_t i = 0; i < slots_.size() && i < seqs.size(); ++i) {
    if (!slots_[i].busy) slots_[i].seq = seqs[i];
  }
}

Admitter::Usage Admitter::usage() const {
  MutexLock lock(mutex_);
  Usage usage;
  usage.operations = normal_.operations + reserve_.operations;
  usage.bytes = normal_.bytes + reserve_.bytes;
  usage.slots = static_cast<uint32_t>(
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& s) { return s.busy; }));
  usage.waiting = waiters_.size();
  return usage;
}

}  // namespace myfs::rpc
