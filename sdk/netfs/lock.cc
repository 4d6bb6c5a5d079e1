#include "sdk/netfs/lock.h"

#include <algorithm>
#include <utility>

#include "sdk/base/error_detail.h"
#include "sdk/base/log.h"
#include "sdk/netfs/super.h"

namespace myfs::netfs {

rpc::LockRange wire_range(const fs::FileLock& lock) {
  const bool to_the_end = lock.fl_end == fs::kOffsetMax;
  return {.type = static_cast<rpc::LockType>(lock.fl_type),
          .start = lock.fl_start,
          .len = to_the_end ? 0 : lock.fl_end - lock.fl_start + 1,
          .owner = lock.fl_owner,
          .kind = static_cast<rpc::LockKind>(lock.fl_kind),
          .pid = lock.fl_pid};
}
static_assert(F_RDLCK == 0 && F_WRLCK == 1 && F_UNLCK == 2);

void take_range(const rpc::LockRange& from, fs::FileLock* to) {
  to->fl_type = static_cast<int16_t>(from.type);
  to->fl_kind = static_cast<fs::LockKind>(from.kind);
  to->fl_start = std::min(from.start, fs::kOffsetMax);
  const uint64_t room = fs::kOffsetMax - to->fl_start;
  to->fl_end = from.len == 0 || from.len - 1 >= room ? fs::kOffsetMax : from.start + from.len - 1;
  to->fl_pid = from.pid;
}

namespace {

constexpr int64_t kLook_ns = 50 * kNsPerMs;  // for a cancel, while another request is settled

bool lost_before(NetInode& inode, const fs::FileLock& lock) {
  if (inode.i_flctx() == nullptr) return false;
  const uint64_t task = lock.fl_kind == fs::LockKind::kPosix ? lock.fl_owner : 0;
  return inode.i_flctx()->lost(lock.fl_open_id, task);
}

}  // namespace

Result<void> NetFileOps::lock(const CallContext& ctx, fs::File& file, fs::LockCmd cmd,
                              fs::FileLock& lock) {
  NetInode& inode = net_inode(file.f_inode());
  if (cmd == fs::LockCmd::kGet) return super_.locks().get(ctx, inode, lock);
  return super_.locks().set(ctx, inode, opener_of(file), lock, cmd == fs::LockCmd::kSetWait);
}

// --- calls

Result<void> NetLocks::get(const CallContext& ctx, NetInode& inode, fs::FileLock& lock) {
  return super_.call(ctx, inode, [&](const rpc::Handle& handle, const Ticket&) -> Result<void> {
    MYFS_ASSIGN(const rpc::LockRange found,
                super_.client().lock_test(ctx, {.node = handle, .range = wire_range(lock)}));
    take_range(found, &lock);
    return {};
  });
}

Result<void> NetLocks::set(const CallContext& ctx, NetInode& inode, const rpc::Opener& opener,
                           const fs::FileLock& lock, bool wait) {
  const bool unlocks = lock.fl_type == F_UNLCK;
  if (!unlocks) MYFS_TRY(wait_settled(ctx, inode, lock));
  bool sent = false;
  Result<void> done = try_set(ctx, inode, opener, lock, wait, &sent);
  const bool hurried = done.error() == Errno(EINTR) || done.error() == Errno(ETIMEDOUT);
  if (unlocks && hurried && !sent) unlock_later(inode, opener, lock);
  return done;
}

Result<void> NetLocks::try_set(const CallContext& ctx, NetInode& inode, const rpc::Opener& opener,
                               const fs::FileLock& lock, bool wait, bool* sent) {
  const bool unlocks = lock.fl_type == F_UNLCK;
  if (unlocks && !server_has_to_unlock(inode, lock)) return {};
  auto ask_once = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
    // Another session than before: what was held is lost.
    if (unlocks && !server_has_to_unlock(inode, lock)) return {};
    if (!unlocks && lost_before(inode, lock)) {
      return fail(Errno(EIO), "a lock on the file was lost with the session");
    }
    return ask(ctx, make_ref<LockRequest>(inode, handle, opener, lock, ticket.generation), wait,
               sent);
  };
  Result<void> done = super_.call(ctx, inode, ask_once);
  if (!unlocks || done.error() != Errno(ESTALE)) return done;
  // The file is gone, and with it whoever could be in the way.
  inode.get_lock_context().lose(lock);
  (void)inode.get_lock_context().unlock_lost(lock);
  return {};
}

bool NetLocks::server_has_to_unlock(NetInode& inode, const fs::FileLock& lock) {
  MutexLock guard(mutex_);
  fs::FileLockContext* context = inode.i_flctx();
  const bool held = context != nullptr && context->unlock_lost(lock);
  return held || under_way_.contains(key_of(inode, lock));
}

// The call could not even be made: whoever closes a file does not try again.
void NetLocks::unlock_later(NetInode& inode, const rpc::Opener& opener, const fs::FileLock& lock) {
  const bool holds = inode.i_flctx() != nullptr && !inode.i_flctx()->held(lock).empty();
  MutexLock guard(mutex_);
  if (!holds && !under_way_.contains(key_of(inode, lock))) return;
  settle_later_locked(make_ref<LockRequest>(inode, rpc::Handle{}, opener, lock, uint16_t{0},
                                            LockRequest::State::kUnsent));
}

Result<void> NetLocks::ask(const CallContext& ctx, Ref<LockRequest> request, bool wait,
                           bool* sent) {
  MYFS_ASSIGN(rpc::Admission admission, super_.client().admit(ctx, {.changes = true}));
  const fs::FileLock& lock = request->lock;
  {
    MutexLock guard(mutex_);
    if (shut_) return Errno(ESHUTDOWN);
    asked_.insert(request.get());
    under_way_[key_of(request->net, lock)].push_back({lock.fl_start, lock.fl_end});
  }
  *sent = true;
  super_.client().lock_async(
      ctx,
      {.node = request->handle, .opener = request->opener, .range = wire_range(lock), .wait = wait},
      std::move(admission),
      [this, request](Result<rpc::LockReply> reply) { answered(*request, reply); });
  if (Errno why = wait_over(ctx, *request); !why.ok()) return withdraw(std::move(request), why);
  RefPtr<fs::Inode> dropped;
  MutexLock guard(mutex_);
  dropped = std::move(request->inode);
  return request->error;
}

// OK: it is over.
Errno NetLocks::wait_over(const CallContext& ctx, LockRequest& request) {
  const rpc::Patience patience = super_.client().patience();
  auto give_up = [&](Errno why) {
    MutexLock guard(mutex_);
    if (request.state == LockRequest::State::kOver) return Errno();
    request.given_up = true;
    return why;
  };
  while (true) {
    int64_t until_ns = ctx.deadline_ns;
    if (patience.soft) until_ns = std::min(until_ns, deadline_after_ns(patience.timeout_ns));
    {
      CancelToken::Listener listener(ctx.cancel, [&] { request.wake.set(); });
      (void)super_.client().wait_for(request.wake, until_ns);
    }
    if (ctx.cancelled()) return give_up(Errno(EINTR));
    if (request.wake.is_set()) return Errno();
    if (boottime_ns() >= ctx.deadline_ns) return give_up(Errno(ETIMEDOUT));
    if (boottime_ns() < until_ns) return give_up(Errno(ESHUTDOWN));
    // `soft`: a server that answers may let us wait.
    if (!request.answered.is_set()) return give_up(Errno(ETIMEDOUT));
    Errno alive = super_.client().ping(ctx).error();
    if (!alive.ok() && alive != rpc::kSessionLost) return give_up(alive);
  }
}

bool NetLocks::lost_since(const NetInode& inode, const fs::File& file, uint16_t generation) const {
  if (super_.validity().generation.load(std::memory_order_acquire) == generation) return false;
  return (inode.i_flags.load(std::memory_order_acquire) & fs::Inode::kLostLocks) != 0 &&
         inode.i_flctx()->lost_for_any(file.f_open_id);
}

// --- giving up

Errno NetLocks::withdraw(Ref<LockRequest> request, Errno why) {
  if (request->lock.fl_type != F_UNLCK) (void)drive(request, deadline_after_ns(kWithdraw_ns));
  RefPtr<fs::Inode> dropped;
  MutexLock guard(mutex_);
  const bool same_session =
      request->generation == super_.validity().generation.load(std::memory_order_acquire);
  const bool over = request->state == LockRequest::State::kOver;
  if (over) {
    const bool late = request->granted && request->lock.fl_type != F_UNLCK;
    if (late && same_session) record_locked(request->net, request->lock, request->seq);
    if (late) leave_locked(*request);
    dropped = std::move(request->inode);
    if (request->granted && same_session) return Errno();
  } else {
    settle_later_locked(request);
    if (shut_) dropped = std::move(request->inode);
  }
  ErrorDetail& detail = thread_error_detail();
  detail = ErrorDetail{};
  detail.error = why;
  detail.operation = "lock";
  detail.in_doubt = !over;
  detail.message = over ? "the wait for the lock was given up"
                        : "the server has not answered; what it grants will be given back";
  return why;
}

Errno NetLocks::await(Event& event, int64_t deadline_ns) {
  if (super_.client().wait_for(event, deadline_ns)) return {};
  return boottime_ns() >= deadline_ns ? Errno(ETIMEDOUT) : Errno(ESHUTDOWN);
}

Errno NetLocks::drive(Ref<LockRequest> request, int64_t deadline_ns) {
  if (Errno error = await(request->answered, deadline_ns); !error.ok()) return error;
  auto may_cancel = [&] {
    MutexLock guard(mutex_);
    return request->state == LockRequest::State::kQueued && !request->cancel_sent;
  };
  if (may_cancel()) {
    CallContext ctx = super_.background_ctx();
    ctx.deadline_ns = deadline_ns;
    MYFS_ASSIGN(rpc::Admission admission, super_.client().admit(ctx, {.changes = true}));
    {
      MutexLock guard(mutex_);
      if (request->state != LockRequest::State::kQueued) return {};
      request->cancel_sent = true;
    }
    super_.client().lock_cancel_async(
        super_.background_ctx(), request->handle, request->ticket, std::move(admission),
        [this, request](Result<uint64_t> seq) { cancelled(*request, seq); });
  }
  return await(request->over, deadline_ns);
}

size_t NetLocks::unsettled() {
  MutexLock guard(mutex_);
  return unsettled_.size();
}

size_t NetLocks::early_grants() {
  MutexLock guard(mutex_);
  return early_.size();
}

bool NetLocks::is_shut() {
  MutexLock guard(mutex_);
  return shut_;
}

// The last one of shut_down() may be settled still, and nobody begins another.
void NetLocks::settle_later_locked(Ref<LockRequest> request) {
  if (shut_) return;
  unsettled_.push_back(std::move(request));
  if (!std::exchange(settling_, true)) super_.worker().post([this] { settle_all(); });
}

Result<void> NetLocks::wait_settled(const CallContext& ctx, NetInode& inode,
                                    const fs::FileLock& lock) {
  const rpc::Patience patience = super_.client().patience();
  int64_t deadline_ns = ctx.deadline_ns;
  if (patience.soft) deadline_ns = std::min(deadline_ns, deadline_after_ns(patience.timeout_ns));
  while (true) {
    RefPtr<LockRequest> before;
    {
      MutexLock guard(mutex_);
      if (shut_) return Errno(ESHUTDOWN);
      for (const RefPtr<LockRequest>& request : unsettled_) {
        if (&request->net == &inode && request->lock.same_owner(lock)) before = request;
      }
    }
    if (!before) return {};
    const int64_t until_ns = std::min(deadline_ns, deadline_after_ns(kLook_ns));
    if (super_.client().wait_for(before->settled, until_ns)) continue;
    if (ctx.cancelled()) return Errno(EINTR);
    if (boottime_ns() >= deadline_ns) {
      return fail(Errno(ETIMEDOUT), "an earlier change of the owner's locks is not settled");
    }
    if (boottime_ns() < until_ns) return Errno(ESHUTDOWN);
  }
}

// One after the other on one worker, which may wait long: for a server that is away.
void NetLocks::settle_all() {
  while (true) {
    RefPtr<LockRequest> request;
    {
      MutexLock guard(mutex_);
      if (unsettled_.empty() || shut_) {
        settling_ = false;
        return;
      }
      request = unsettled_.front();
      in_work_ = request.get();
    }
    settle(Ref<LockRequest>(*request));
    RefPtr<fs::Inode> dropped;
    MutexLock guard(mutex_);
    in_work_ = nullptr;
    if (request->granted && request->lock.fl_type != F_UNLCK) leave_locked(*request);
    dropped = std::move(request->inode);
    std::erase_if(unsettled_, [&](const RefPtr<LockRequest>& entry) { return entry == request; });
    request->settled.set();
  }
}

void NetLocks::settle(Ref<LockRequest> request) {
  const fs::FileLock& lock = request->lock;
  const bool unlocks = lock.fl_type == F_UNLCK;
  bool unsent;
  {
    MutexLock guard(mutex_);
    unsent = request->state == LockRequest::State::kUnsent;
  }
  if (unsent) {
    bool sent = false;
    Errno error;
    do {
      error = try_set(super_.background_ctx(), request->net, request->opener, lock, false, &sent)
                  .error();
    } while (error == Errno(ETIMEDOUT) && !sent && !is_shut());
    return;
  }
  // `soft`: the caller was told; what is to be given back stays to be given back.
  while (drive(request, kNoDeadline) == Errno(ETIMEDOUT) && !is_shut()) {
  }
  // It went with the session, and whoever asked for it will not unlock it again.
  if (unlocks) (void)request->net.get_lock_context().unlock_lost(lock);
  if (!unlocks) give_back(*request);
}

void NetLocks::give_back(LockRequest& request) {
  uint64_t version = 0;
  while (true) {
    {
      MutexLock guard(mutex_);
      const bool held = request.state == LockRequest::State::kOver && request.granted;
      if (!held || shut_) return;
    }
    fs::FileLockContext& context = request.net.get_lock_context();
    const std::vector<fs::FileLock> pieces = context.held(request.lock, &version);
    if (!make_server_hold(request, pieces).ok()) return;  // the session has ended
    uint64_t now = 0;
    (void)context.held(request.lock, &now);
    if (now == version) return;
  }
}

Errno NetLocks::make_server_hold(LockRequest& request, const std::vector<fs::FileLock>& pieces) {
  auto put = [&](fs::FileLock lock) -> Errno {
    const Errno error = ask_patiently(request, lock);
    const bool taken = error == Errno(EAGAIN) || error == Errno(ENOLCK);
    if (!taken) return error;
    log(LogLevel::kWarning, "%s: a lock on %s was lost", super_.options().s_id,
        super_.path_of(request.net));
    request.net.get_lock_context().lose(lock);
    return {};
  };
  fs::FileLock gap = request.lock;
  gap.fl_type = F_UNLCK;
  uint64_t at = gap.fl_start;
  for (const fs::FileLock& piece : pieces) {
    gap.fl_start = at;
    gap.fl_end = piece.fl_start - 1;
    if (piece.fl_start > at) {
      if (Errno error = put(gap); !error.ok()) return error;
    }
    if (Errno error = put(piece); !error.ok()) return error;
    at = piece.fl_end + 1;
  }
  gap.fl_start = at;
  gap.fl_end = request.lock.fl_end;
  return at <= gap.fl_end ? put(gap) : Errno();
}

// Whatever becomes of callers and their `soft` time-outs.
Errno NetLocks::ask_patiently(const LockRequest& request, const fs::FileLock& lock) {
  struct Answer final : RefCounted<Answer> {
    Errno error;
    Event come;
  };
  rpc::Admission admission;
  Errno error;
  do {
    Result<rpc::Admission> admitted =
        super_.client().admit(super_.background_ctx(), {.changes = true});
    error = admitted.error();
    if (error.ok()) admission = *std::move(admitted);
  } while (error == Errno(ETIMEDOUT) && !is_shut());
  if (!error.ok()) return error;
  auto answer = make_ref<Answer>();
  super_.client().lock_async(
      super_.background_ctx(),
      {.node = request.handle, .opener = request.opener, .range = wire_range(lock)},
      std::move(admission), [answer](const Result<rpc::LockReply>& reply) {
        answer->error = reply.ok() ? reply->refused : reply.error();
        answer->come.set();
      });
  error = await(answer->come, kNoDeadline);
  return error.ok() ? answer->error : error;
}

// --- what the server says; on the loop

void NetLocks::note_holder_locked(NetInode& inode, bool holds) {
  if (holds) {
    holders_.insert(&inode);
  } else {
    holders_.erase(&inode);
  }
}

// Before leave_locked(): older answers may come as long as requests are under way.
void NetLocks::record_locked(NetInode& inode, fs::FileLock lock, uint64_t seq) {
  if (shut_) return;  // the inode may have gone
  lock.fl_seq = seq;
  auto under_way = under_way_.find(key_of(inode, lock));
  const auto& older =
      under_way == under_way_.end() ? std::vector<fs::LockSpan>() : under_way->second;
  note_holder_locked(inode, inode.get_lock_context().record(lock, older));
}

void NetLocks::leave_locked(const LockRequest& request) {
  auto under_way = under_way_.find(key_of(request.net, request.lock));
  std::vector<fs::LockSpan>& spans = under_way->second;
  auto mine = std::find_if(spans.begin(), spans.end(), [&](const fs::LockSpan& span) {
    return span.start == request.lock.fl_start && span.end == request.lock.fl_end;
  });
  spans.erase(mine);
  if (!shut_ && request.net.i_flctx() != nullptr) {
    note_holder_locked(request.net, request.net.i_flctx()->forget_unlocked(request.lock, spans));
  }
  if (spans.empty()) under_way_.erase(under_way);
}

// What was granted to one who would rather not have it stays under way until that is settled.
void NetLocks::end_locked(LockRequest& request, Errno error) {
  const bool wanted = !request.given_up || request.lock.fl_type == F_UNLCK;
  if (request.granted && wanted) record_locked(request.net, request.lock, request.seq);
  if (!request.granted || wanted) leave_locked(request);
  request.state = LockRequest::State::kOver;
  request.error = error;
  request.answered.set();
  request.over.set();
  request.wake.set();
}

void NetLocks::grant_locked(LockRequest& request, uint64_t seq) {
  request.granted = true;
  request.seq = seq;
  end_locked(request, Errno());
}

// Not what is being withdrawn: the answer to that tells.
void NetLocks::acknowledge(const LockRequest& request, uint64_t ticket) {
  if (!request.cancel_sent) super_.client().lock_granted(ticket, super_.client().incarnation());
}

void NetLocks::answered(LockRequest& request, const Result<rpc::LockReply>& reply) {
  MutexLock guard(mutex_);
  asked_.erase(&request);
  const bool same_session =
      request.generation == super_.validity().generation.load(std::memory_order_acquire);
  if (!same_session || !reply.ok()) {
    // Whatever became of it went with the session.
    Errno error = reply.ok() ? rpc::kSessionLost : reply.error();
    if (!same_session && error == Errno(EIO)) error = rpc::kSessionLost;
    end_locked(request, error);
  } else {
    const bool kept = reply->refused.ok() && !reply->queued;
    if (!kept && reply->seq != 0) {  // a flock of another type
      fs::FileLock gone = request.lock;
      gone.fl_type = F_UNLCK;
      record_locked(request.net, gone, reply->seq);
    }
    if (kept) {
      grant_locked(request, reply->seq);
    } else if (!reply->queued) {
      end_locked(request, reply->refused);
    } else if (shut_) {
      end_locked(request, Errno(ESHUTDOWN));
    } else {
      request.ticket = reply->lock_id;
      request.state = LockRequest::State::kQueued;
      if (auto early = early_.find(request.ticket); early != early_.end()) {
        const uint64_t seq = early->second;
        early_.erase(early);
        acknowledge(request, request.ticket);
        grant_locked(request, seq);
      } else {
        queued_[request.ticket] = RefPtr<LockRequest>::try_from(&request);
        request.answered.set();
      }
    }
  }
  if (!asked_.empty()) return;
  // Nobody has asked for these any more: they were heard before.
  for (const auto& [ticket, seq] : early_) {
    super_.client().lock_granted(ticket, super_.client().incarnation());
  }
  early_.clear();
}

void NetLocks::granted(uint64_t ticket, uint64_t seq) {
  MutexLock guard(mutex_);
  auto found = queued_.find(ticket);
  if (found == queued_.end()) {
    if (!asked_.empty()) {
      // More than a session may have are dropped, unacknowledged.
      if (early_.size() < kEarlyGrantsMax) early_[ticket] = seq;
    } else {
      super_.client().lock_granted(ticket, super_.client().incarnation());  // heard before
    }
    return;
  }
  RefPtr<LockRequest> request = std::move(found->second);
  queued_.erase(found);
  acknowledge(*request, ticket);
  grant_locked(*request, seq);
}

void NetLocks::cancelled(LockRequest& request, const Result<uint64_t>& granted_seq) {
  MutexLock guard(mutex_);
  if (request.state == LockRequest::State::kOver) return;
  queued_.erase(request.ticket);
  if (granted_seq.ok() && *granted_seq != 0) return grant_locked(request, *granted_seq);
  end_locked(request, granted_seq.ok() ? Errno(ECANCELED) : granted_seq.error());
}

void NetLocks::session_lost() {
  MutexLock guard(mutex_);
  for (NetInode* inode : holders_) inode->i_flctx()->lose_all();
  for (auto& [ticket, request] : queued_) end_locked(*request, rpc::kSessionLost);
  queued_.clear();
  early_.clear();
}

// What is to be given back goes with the session. That which a worker has in hand it drops itself.
void NetLocks::shut_down() {
  std::vector<RefPtr<fs::Inode>> dropped;
  {
    MutexLock guard(mutex_);
    shut_ = true;
    for (auto& [ticket, request] : queued_) end_locked(*request, Errno(ESHUTDOWN));
    queued_.clear();
    std::erase_if(unsettled_, [&](const RefPtr<LockRequest>& request) {
      mutex_.assert_held();
      if (request.get() == in_work_) return false;
      dropped.push_back(std::move(request->inode));
      request->settled.set();
      return true;
    });
  }
  for (RefPtr<fs::Inode>& inode : dropped) super_.put_later(std::move(inode));
}

void NetLocks::forget(NetInode& inode) {
  if (inode.i_flctx() == nullptr) return;
  MutexLock guard(mutex_);
  holders_.erase(&inode);
}

}  // namespace myfs::netfs
