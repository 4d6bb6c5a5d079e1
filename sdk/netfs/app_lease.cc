#include "sdk/netfs/app_lease.h"

#include <algorithm>

#include "sdk/base/callback_thread.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/nowait.h"
#include "sdk/fs/file.h"
#include "sdk/netfs/super.h"

namespace myfs::netfs {

namespace {

// How often what was acquired may be recalled before it is noted.
constexpr int kAttempts = 4;
constexpr LeaseParts kNothing = 0, kReading = fs::kLeaseR;

using Recall = AppLease::Recall;

// Whom this thread is telling.
thread_local const AppLease* t_told = nullptr;

void post(Super& super, std::shared_ptr<AppLease> lease, const Recall& recall) {
  super.app_callbacks().post([lease = std::move(lease), recall] { lease->tell(recall); });
}

template <typename Gone>
void break_locked(Super& super, AppLeases& app, Gone gone) {
  for (AppLeases::Holder& holder : app.holders) {
    if (holder.broken_told || !gone(holder)) continue;
    holder.lost = holder.broken_told = true;
    post(super, holder.lease, {.broken = true});
  }
  app.note_change();
}

// Recalls that nothing is in the way of any more; they stay on the list until they are begun, so
// that no new lease comes in their way.
std::vector<AppLeases::HeldOff> take_free_locked(AppLeases& app) {
  std::vector<AppLeases::HeldOff> free;
  for (AppLeases::HeldOff& one : app.held_off) {
    if (one.going || app.holds(one.item.parts)) continue;
    one.going = true;
    free.push_back(one);
  }
  return free;
}

// Changes the leases of `inode`, then lets go on what waited for them.
template <typename Change>
void change_leases(NetInode& inode, Change change) {
  std::vector<AppLeases::HeldOff> free;
  {
    MutexLock lock(inode.lease.mu);
    if (inode.lease.app == nullptr) return;
    change(*inode.lease.app);
    free = take_free_locked(*inode.lease.app);
  }
  for (const AppLeases::HeldOff& one : free) inode.super().recall_again(one.item, one.session);
}

void break_late(NetInode& inode);

// Not by a reference, which would keep the mount from ending.
void break_at(NetInode& inode, int64_t deadline_ns) {
  Super& super = inode.super();
  super.worker().post_at(deadline_ns, [&super, ino = inode.i_ino, generation = inode.i_generation] {
    RefPtr<fs::Inode> found = super.sb().s_inodes.ilookup(ino, generation);
    if (found) break_late(net_inode(*found));
  });
}

void break_late(NetInode& inode) {
  int64_t next_ns = kNoDeadline;
  change_leases(inode, [&](AppLeases& app) {
    const int64_t now_ns = boottime_ns();
    break_locked(inode.super(), app, [&](const AppLeases::Holder& holder) {
      return !holder.lost && holder.deadline_ns <= now_ns;
    });
    next_ns = app.next_deadline_ns();
  });
  if (next_ns != kNoDeadline) break_at(inode, next_ns);
}

// Tells those of `takes` what they have not been told yet.
template <typename Takes>
void recall_locked(NetInode& inode, AppLeases& app, LeaseParts keep, Takes takes) {
  bool first = false;
  for (AppLeases::Holder& holder : app.holders) {
    if (!takes(holder)) continue;
    const bool told = holder.deadline_ns != kNoDeadline;
    if (told && (holder.keep & ~keep) == 0) continue;
    holder.keep = told ? holder.keep & keep : keep;
    if (!told) holder.deadline_ns = deadline_after_ns(holder.break_ns);
    first |= !told;
    post(inode.super(), holder.lease, {.keep = holder.keep, .deadline_ns = holder.deadline_ns});
  }
  if (first) break_at(inode, app.next_deadline_ns());
}

}  // namespace

// --- AppLease

void AppLease::tell(const Recall& recall) {
  {
    MutexLock lock(mutex_);
    if (ended_) return;
    running_ = true;
    broken_ |= recall.broken;
  }
  t_told = this;
  fn_(recall);
  t_told = nullptr;
  MutexLock lock(mutex_);
  running_ = false;
  returned_.notify_all();
}

bool AppLease::end() {
  MutexLock lock(mutex_);
  ended_ = true;
  while (running_ && t_told != this) returned_.wait(mutex_);
  return broken_;
}

// --- AppLeases

AppLeases::Holder* AppLeases::find(uint64_t open_id) {
  auto found = std::find_if(holders.begin(), holders.end(),
                            [&](const Holder& holder) { return holder.open_id == open_id; });
  return found == holders.end() ? nullptr : &*found;
}

bool AppLeases::holds(LeaseParts parts) const {
  return std::any_of(holders.begin(), holders.end(),
                     [&](const Holder& holder) { return holder.takes(parts); });
}

bool AppLeases::recalled(LeaseParts parts, uint16_t generation) const {
  return std::any_of(held_off.begin(), held_off.end(), [&](const HeldOff& one) {
    return one.session.generation == generation && (one.item.parts & parts) != 0;
  });
}

void AppLeases::lose(LeaseParts parts) {
  for (Holder& holder : holders) holder.lost |= holder.takes(parts);
}

int64_t AppLeases::next_deadline_ns() const {
  int64_t next_ns = kNoDeadline;
  for (const Holder& holder : holders) {
    if (!holder.lost) next_ns = std::min(next_ns, holder.deadline_ns);
  }
  return next_ns;
}

void AppLeases::note_change() {
  for (Event* event : waiting) event->set();
  waiting.clear();
}

// --- what the application does

namespace {

enum class Noted { kYes, kNotHeld, kInTheWay };

// What a new lease takes the place of.
struct Previous {
  std::shared_ptr<AppLease> lease;
  bool lost = false;
};

// Once the session holds `parts`.
Noted note_lease(NetInode& inode, const AppLeases::Holder& wanted, Previous* previous) {
  LeaseRecord& record = inode.lease;
  MutexLock lock(record.mu);
  if (!record.covers(wanted.parts) || record.stopping_locked() != 0) return Noted::kNotHeld;
  const bool writes = (wanted.parts & fs::kLeaseW) != 0;
  if (record.others_open_locked(wanted.open_id, !writes)) return Noted::kInTheWay;
  if (record.app == nullptr) record.app = std::make_unique<AppLeases>();
  record.has_app_leases.store(true, std::memory_order_release);
  AppLeases& app = *record.app;
  AppLeases::Holder* holder = app.find(wanted.open_id);
  const LeaseParts before = holder != nullptr && !holder->lost ? holder->parts : kNothing;
  const bool more = (wanted.parts & ~before) != 0;
  // Whoever is asked for it back does not get more.
  const uint16_t generation = inode.super().validity().generation.load(std::memory_order_acquire);
  if (more && app.recalled(wanted.parts, generation)) return Noted::kInTheWay;
  if (holder == nullptr) {
    app.holders.push_back(wanted);
    return Noted::kYes;
  }
  if (holder->lost) {
    *previous = {std::exchange(*holder, wanted).lease, true};
    return Noted::kYes;
  }
  if (more && holder->deadline_ns != kNoDeadline) return Noted::kInTheWay;
  previous->lease = std::exchange(holder->lease, wanted.lease);
  // It has done what it was asked for.
  if ((wanted.parts & ~holder->keep) == 0) holder->deadline_ns = kNoDeadline;
  holder->parts = wanted.parts;
  holder->break_ns = wanted.break_ns;
  return Noted::kYes;
}

}  // namespace

Result<void> set_app_lease(const CallContext& ctx, const fs::File& file, LeaseParts parts,
                           int64_t break_ns, AppLease::Fn fn) {
  NetInode& inode = net_inode(file.f_inode());
  const AppLeases::Holder wanted{.open_id = file.f_open_id,
                                 .parts = parts,
                                 .break_ns = break_ns,
                                 .lease = std::make_shared<AppLease>(std::move(fn))};
  // Which brings R with it, whether or not the file may be read.
  const LeaseParts asked = (parts & fs::kLeaseW) != 0 ? fs::kLeaseW : fs::kLeaseR;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    // A lease that is asked for back may be made less without asking the server.
    if (!inode.lease.covers(parts)) {
      MYFS_ASSIGN(const bool held, inode.acquire(ctx, asked, opener_of(file)));
      if (!held) continue;
    }
    Previous previous;
    const Noted noted = note_lease(inode, wanted, &previous);
    if (noted == Noted::kNotHeld) continue;
    if (noted == Noted::kInTheWay) {
      return fail(Errno(EAGAIN), "lease: it is recalled, or other open files are in the way");
    }
    change_leases(inode, [](AppLeases& app) { app.note_change(); });
    if (previous.lease == nullptr) return ok_result();
    const bool told = previous.lease->end();
    if (previous.lost && !told) post(inode.super(), wanted.lease, {.broken = true});
    return ok_result();
  }
  return fail(Errno(EAGAIN), "lease: others use the file all the time");
}

void drop_app_lease(NetInode& inode, uint64_t open_id) {
  if (!inode.lease.has_app_leases.load(std::memory_order_acquire)) return;
  std::shared_ptr<AppLease> ended;
  change_leases(inode, [&](AppLeases& app) {
    AppLeases::Holder* holder = app.find(open_id);
    if (holder == nullptr) return;
    ended = std::move(holder->lease);
    app.holders.erase(app.holders.begin() + (holder - app.holders.data()));
    app.note_change();
  });
  if (ended != nullptr) ended->end();
}

LeaseParts app_lease_of(NetInode& inode, uint64_t open_id) {
  LeaseRecord& record = inode.lease;
  if (!record.has_app_leases.load(std::memory_order_acquire)) return 0;
  MutexLock lock(record.mu);
  const AppLeases::Holder* holder = record.app->find(open_id);
  if (holder == nullptr || holder->lost || !record.covers(holder->parts)) return kNothing;
  return inode.super().validity().alive() ? holder->parts : kNothing;
}

// --- what breaks it

namespace {

// Whoever waits is woken by each change, and by nothing once he has gone.
class Waiting {
 public:
  explicit Waiting(LeaseRecord& record) : record_(record) {}
  ~Waiting() {
    MutexLock lock(record_.mu);
    std::erase(record_.app->waiting, &changed);
  }
  Event changed;

 private:
  LeaseRecord& record_;
};

// [break_lease]
Result<void> break_app_leases(const CallContext& ctx, NetInode& inode, uint64_t open_id,
                              bool writes, bool may_wait) {
  LeaseRecord& record = inode.lease;
  if (!record.has_app_leases.load(std::memory_order_acquire)) return ok_result();
  const LeaseParts broken = writes ? LeaseParts{kDataParts} : LeaseParts{fs::kLeaseW};
  auto in_the_way = [&](const AppLeases::Holder& holder) {
    return holder.open_id != open_id && holder.takes(broken);
  };
  while (true) {
    int64_t broken_at_ns;
    Waiting waiting(record);
    const CancelToken::Listener cancelled(ctx.cancel, [&] { waiting.changed.set(); });
    {
      MutexLock lock(record.mu);
      AppLeases& app = *record.app;
      if (std::none_of(app.holders.begin(), app.holders.end(), in_the_way)) return ok_result();
      if (must_not_wait()) return refuse_to_wait();
      recall_locked(inode, app, writes ? kNothing : kReading, in_the_way);
      if (!may_wait) return fail(Errno(EAGAIN), "a lease of another open file is being broken");
      app.waiting.push_back(&waiting.changed);
      broken_at_ns = app.next_deadline_ns();
    }
    (void)waiting.changed.wait_until(std::min(ctx.deadline_ns, broken_at_ns));
    if (ctx.cancelled()) return Errno(EINTR);
    if (boottime_ns() >= ctx.deadline_ns) return Errno(ETIMEDOUT);
    // Also if the mount is ending, and nobody else does it any more.
    if (boottime_ns() >= broken_at_ns) break_late(inode);
  }
}

}  // namespace

Result<void> NetFileOps::break_lease(const CallContext& ctx, fs::Inode& inode, uint64_t open_id,
                                     bool writes, bool may_wait) {
  return break_app_leases(ctx, net_inode(inode), open_id, writes, may_wait);
}

void lose_app_leases(NetInode& inode, LeaseParts parts) {
  if (!inode.lease.has_app_leases.load(std::memory_order_acquire)) return;
  change_leases(inode, [&](AppLeases& app) {
    break_locked(inode.super(), app, [&](const AppLeases::Holder& holder) {
      return holder.lost || holder.takes(parts);
    });
  });
}

bool hold_off_recall(NetInode& inode, const rpc::RecallItem& item, const SessionMark& session) {
  LeaseRecord& record = inode.lease;
  record.mu.assert_held();
  if (record.app == nullptr) return false;
  AppLeases& app = *record.app;
  auto same = [&](const AppLeases::HeldOff& one) {
    return one.item.recall_id == item.recall_id && one.session.generation == session.generation;
  };
  auto taken = [&](const AppLeases::Holder& holder) { return holder.takes(item.parts); };
  // Perhaps it is for what this client itself has the server do, which would wait for itself.
  if (inode.i_changing.load(std::memory_order_acquire) != 0) {
    break_locked(inode.super(), app, taken);
  }
  std::erase_if(app.held_off, [&](const AppLeases::HeldOff& one) {
    return same(one) || one.session.generation != session.generation;
  });
  if (!app.holds(item.parts)) return false;
  app.held_off.push_back({item, session});
  const LeaseParts keep = (item.parts & fs::kLeaseR) != 0 ? kNothing : kReading;
  recall_locked(inode, app, keep, taken);
  return true;
}

}  // namespace myfs::netfs
