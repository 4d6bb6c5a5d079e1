#include "sdk/netfs/inode.h"

#include <algorithm>
#include <utility>

#include "sdk/base/clock.h"
#include "sdk/base/log.h"
#include "sdk/mm/filemap.h"
#include "sdk/mm/runtime.h"
#include "sdk/mm/truncate.h"
#include "sdk/netfs/app_lease.h"
#include "sdk/netfs/super.h"

namespace myfs::netfs {

namespace {
// A file that is written all the time, without success, is told of no more often.
constexpr int64_t kReportDelay_ns = kNsPerSec;
}  // namespace

struct NetInode::Losses {
  Errno error;      // the first one
  std::string why;  // likewise
  int64_t since_ns = boottime_ns();
  std::vector<LostPage> pages;
};

NetInode::NetInode(Super& super, const Kstat& stat)
    : fs::Inode(super.sb(), stat, super.inode_ops(), super.file_ops()),
      lease(i_lease, super.validity(), this),
      super_(super) {
  if (!is_regular()) return;
  mapping_ = std::make_unique<mm::AddressSpace>(super.runtime(), super.address_space_ops(), this);
  mapping_->i_size.store(stat.size, std::memory_order_relaxed);
  i_mapping = mapping_.get();
}

NetInode::~NetInode() = default;

bool NetInode::handle(rpc::Handle* handle) const {
  MutexLock lock(i_lock);
  if (handle_generation_ != super_.validity().generation.load(std::memory_order_acquire)) {
    return false;
  }
  *handle = handle_;
  return true;
}

rpc::Handle NetInode::last_handle() const {
  MutexLock lock(i_lock);
  return handle_;
}

void NetInode::set_handle(const rpc::Handle& handle, uint16_t generation) {
  if (handle.ino == 0) return;
  MutexLock lock(i_lock);
  handle_ = handle;
  handle_generation_ = generation;
}

void NetInode::set_place(const NetInode& dir, std::string_view name) {
  MutexLock lock(i_lock);
  if (place_.dir_ino == dir.i_ino && place_.dir_generation == dir.i_generation &&
      place_.name == name) {
    return;
  }
  place_ = {dir.i_ino, dir.i_generation, std::string(name)};
}

NetInode::Place NetInode::place() const {
  MutexLock lock(i_lock);
  return place_;
}

// --- answers

Kstat NetInode::merge_locked(const rpc::Node& node) {
  Kstat stat = node.attr;
  if (mapping_ == nullptr || !lease.covers(fs::kLeaseW)) return stat;
  // W is the authority over size and times.
  stat.size = mapping_->i_size.load(std::memory_order_acquire);
  if (lease.own_times) {
    const Kstat own = i_attr();
    stat.mtime = own.mtime;
    stat.ctime = std::max(stat.ctime, own.ctime);
  }
  return stat;
}

bool NetInode::adopt_size_locked() {
  const uint16_t now = super_.validity().generation.load(std::memory_order_acquire);
  // A copy under a W that has ended may still be adding pages.
  if (lease.pages_generation != now &&
      (mapping_->nr_pages() != 0 || lease.write_uses_locked() != 0)) {
    return false;
  }
  lease.pages_generation = now;
  const Kstat now_known = i_attr();
  mapping_->i_size.store(now_known.size, std::memory_order_release);
  mapping_->trunc_gen.store(now_known.trunc_gen, std::memory_order_release);
  return true;
}

Kstat NetInode::learn(const rpc::Node& node, const Ticket& ticket, PosixAcl* acl) {
  LeaseTable& leases = super_.leases();
  leases.add(i_ino, lease);
  set_handle(node.handle, ticket.generation);
  if (!node.target.empty()) set_link(node.target);
  Kstat stat;
  {
    MutexLock lock(lease.mu);
    const bool had_data = lease.covers(fs::kLeaseR);
    stat = merge_locked(node);
    if (!node.has_attr || !learn_attr(stat, node.acl)) stat = i_attr();
    if (acl != nullptr) stat = i_attr_and_acl(acl);
    if (leases.usable(ticket)) {
      take_in_locked(node.grant, ticket.generation, had_data);
      return stat;
    }
  }
  if (node.grant.seq != 0) {
    super_.returns_pending(leases.return_unheard(node.grant, ticket.generation));
  }
  return stat;
}

void NetInode::take_in_locked(const rpc::Grant& grant, uint16_t generation, bool had_data) {
  if (!lease.accept_locked(grant, generation)) return;
  const LeaseParts held = lease.held_locked();
  LeaseParts except = 0;
  if (mapping_ != nullptr && (held & kDataParts) != 0) {
    if (!had_data && !adopt_size_locked()) except = kDataParts;
  }
  lease.publish_locked(except);
}

void NetInode::learn_size(const Kstat& now) {
  {
    WriteLock lock(mapping_->invalidate_lock);
    mm::truncate_setsize(*mapping_, now.size);
    mapping_->trunc_gen.store(now.trunc_gen, std::memory_order_release);
  }
  MutexLock lock(lease.mu);
  lease.own_times = false;
  if (!lease.covers(fs::kLeaseR)) return;
  update_attr([&](Kstat& attr) {
    attr.size = now.size;
    attr.mtime = now.mtime;
    attr.ctime = std::max(attr.ctime, now.ctime);
  });
}

void NetInode::mark_removed() {
  i_flags.fetch_or(kDead, std::memory_order_acq_rel);
  update_attr([](Kstat& attr) { attr.nlink = 0; });
}

bool NetInode::note_stat(const Kstat& stat) {
  MutexLock lock(i_lock);
  const bool same = last_stat_size_ == stat.size && last_stat_mtime_ == stat.mtime;
  last_stat_size_ = stat.size;
  last_stat_mtime_ = stat.mtime;
  return same;
}

// --- data leases

Result<bool> NetInode::acquire(const CallContext& ctx, LeaseParts parts,
                               const rpc::Opener& opener) {
  settle_pages();
  if (lease.covers(parts)) return true;
  super_.counters().lease_acquires.add();
  MYFS_TRY(
      super_.call(ctx, *this, [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
        MYFS_ASSIGN(const rpc::Node node,
                    super_.client().getattr(
                        ctx, {.node = handle,
                              .want = static_cast<LeaseParts>(fs::kLeaseA | fs::kLeaseP | parts),
                              .opener = opener,
                              .must_grant = true}));
        learn(node, ticket);
        return {};
      }));
  settle_pages();
  return lease.covers(parts);
}

void NetInode::settle_pages() {
  {
    MutexLock lock(lease.mu);
    if ((lease.held_locked() & kDataParts) == 0 || lease.covers(fs::kLeaseR)) return;
    if (lease.stopping_locked() != 0) return;
  }
  lose_pages("the session ended");
  MutexLock lock(lease.mu);
  if ((lease.held_locked() & kDataParts) == 0 || lease.covers(fs::kLeaseR)) return;
  if (adopt_size_locked()) lease.publish_locked(0);
}

bool NetInode::begin_write() {
  if (!lease.begin_write(super_.dirty_deadline_ns())) return false;
  MutexLock lock(lease.mu);
  if (!lease.pinned) {
    lease.pinned = true;
    ref();
  }
  return true;
}

void NetInode::end_write() { lease.end_write(); }

void NetInode::stamp_write() {
  const Time now = super_.server_now();
  MutexLock lock(lease.mu);
  lease.own_times = true;
  update_attr([&](Kstat& attr) {
    attr.size = mapping_->i_size.load(std::memory_order_acquire);
    // Times to come were set by utimens, unless our idea of the server's clock is a little late.
    const bool set = attr.mtime > Time{now.sec + 1, now.nsec};
    attr.mtime = set ? now : std::max(attr.mtime, now);
    attr.ctime = std::max(attr.ctime, attr.mtime);
  });
}

void NetInode::set_writer(const rpc::Opener& opener) {
  MutexLock lock(i_lock);
  if (writer_.open_id != opener.open_id) writer_ = opener;
}

rpc::Opener NetInode::writer() const {
  MutexLock lock(i_lock);
  return writer_;
}

void NetInode::maybe_unpin() {
  {
    MutexLock lock(lease.mu);
    if (!lease.pinned || lease.write_uses_locked() != 0 || has_dirty_pages()) return;
    lease.pinned = false;
  }
  // Nobody writes it any more: others may read it without asking us.
  give_back_write();
  unref();
}

void NetInode::give_back_write(bool from_writers) {
  {
    MutexLock lock(lease.mu);
    if (!lease.begin_give_back_locked(from_writers)) return;
  }
  honour_recall();
}

void NetInode::forget() {
  lose_app_leases(*this, kDataParts);
  {
    MutexLock lock(lease.mu);
    lease.begin_forget_locked();
  }
  fs::CacheListeners& listeners = super_.sb().s_listeners;
  if (!listeners.any()) return honour_recall();
  // Not by the caller, whom a listener may wait for.
  super_.worker().post([this, &listeners, held = Ref<fs::Inode>(*this)] {
    listeners.invalidate(*this, kAllParts);
    honour_recall();
  });
}

// --- recalls and losses

void NetInode::flush_for_recall() {
  Result<void> result =
      mm::filemap_fsync(super_.background_ctx(), *mapping_, nullptr, mm::IoKind::kRecallWrite);
  if (mapping_->is_clean()) return;
  lose_pages(result.ok() ? "write-back for a recall failed" : result.error().name());
}

void NetInode::honour_recall() {
  for (;;) {
    LeaseParts parts;
    {
      MutexLock lock(lease.mu);
      lease.queued = false;
      parts = lease.stopping_locked();
      if (parts == 0) break;
      if ((parts & fs::kLeaseW) != 0) lease.wait_no_writers_locked();
    }
    if (mapping_ != nullptr && (parts & fs::kLeaseW) != 0) flush_for_recall();
    const Kstat own = i_attr();
    std::vector<rpc::AckArgs> acks;
    {
      MutexLock lock(lease.mu);
      if ((lease.stopping_locked() & parts) != parts) continue;  // another session
      lease.drop_locked(parts);
    }
    if (mapping_ != nullptr && (parts & fs::kLeaseR) != 0) {
      WriteLock lock(mapping_->invalidate_lock);
      if (!mm::invalidate_pages(*mapping_).ok()) (void)drop_pages_locked("its lease was recalled");
    }
    {
      MutexLock lock(lease.mu);
      acks = lease.finish_locked();
    }
    if ((parts & fs::kLeaseR) != 0 || !acks.empty()) {
      super_.sb().s_listeners.invalidate(*this, kAllParts);
    }
    for (rpc::AckArgs& ack : acks) {
      if (ack.have_size && mapping_ != nullptr) {
        ack.size = mapping_->i_size.load(std::memory_order_acquire);
        ack.mtime = own.mtime;
      }
      super_.client().ack(std::move(ack));
    }
  }
  report_losses();
  lose_app_leases(*this, 0);
  return_parts();
  maybe_unpin();
}

void NetInode::return_parts() {
  rpc::Grant given_back;
  uint16_t generation;
  {
    MutexLock lock(lease.mu);
    given_back = lease.take_given_back_locked(&generation);
  }
  if (given_back.parts == 0) return;
  super_.returns_pending(super_.leases().release(given_back, generation));
}

bool NetInode::drop_pages_locked(std::string_view why) {
  std::vector<mm::PageRef> lost;
  if (has_dirty_pages()) i_flags.fetch_or(kLostWrites, std::memory_order_acq_rel);
  const uint64_t size = mapping_->i_size.load(std::memory_order_acquire);
  mm::discard_pages(*mapping_, &lost);
  for (const mm::PageRef& page : lost) {
    mm::Page* one = page.get();
    if (one->offset() >= size) continue;
    note_lost({&one, 1}, one->offset(), std::min(kPageSize_bytes, size - one->offset()), Errno(EIO),
              why);
  }
  return !lost.empty();
}

void NetInode::lose_pages(std::string_view why) {
  if (mapping_ == nullptr) return;
  bool lost;
  {
    WriteLock lock(mapping_->invalidate_lock);
    lost = drop_pages_locked(why);
  }
  if (lost && lease.opens() == 0) {
    // Those who wrote have gone; whoever opens the file later has lost nothing.
    mm::ErrSeq::Sample seen = 0;
    (void)mapping_->wb_err.check_and_advance(&seen);
  }
  report_losses();
  maybe_unpin();
}

void NetInode::note_lost(std::span<mm::Page* const> pages, uint64_t offset, size_t size_bytes,
                         Errno error, std::string_view why) {
  super_.counters().lost_bytes.add(static_cast<int64_t>(size_bytes));
  i_flags.fetch_or(kLostWrites, std::memory_order_acq_rel);
  const bool keeps = super_.lost_writes().wants_bytes();
  MutexLock lock(i_lock);
  if (losses_ == nullptr) {
    losses_ = std::make_unique<Losses>();
    losses_->error = error;
    losses_->why = std::string(why);
  }
  for (mm::Page* page : pages) {
    const size_t part = std::min(size_bytes, kPageSize_bytes);
    if (keeps) page->ref();
    losses_->pages.push_back(
        {offset, part, keeps ? mm::PageRef::adopt(page) : mm::PageRef(nullptr)});
    offset += part;
    size_bytes -= part;
  }
}

void NetInode::forget_told_losses() {
  if ((i_flags.load(std::memory_order_acquire) & kLostWrites) == 0 || lease.opens() != 0) return;
  i_flags.fetch_and(~uint32_t{kLostWrites}, std::memory_order_acq_rel);
}

void NetInode::settle_losses() {
  {
    MutexLock lock(i_lock);
    if (losses_ == nullptr) return;
    // What else is being written fails for the same reason, most likely: it is told of together.
    const bool settled = mapping_->nr_tagged(mm::PageTag::kDirty) == 0 &&
                         mapping_->nr_tagged(mm::PageTag::kWriteback) == 0;
    if (!settled && boottime_ns() < losses_->since_ns + kReportDelay_ns) return;
  }
  bool lost;
  {
    MutexLock lock(lease.mu);
    lost = lease.pages_generation != super_.validity().generation.load(std::memory_order_acquire);
  }
  if (lost && has_dirty_pages()) return lose_pages("the session ended");
  report_losses();
}

void NetInode::report_losses() {
  std::unique_ptr<Losses> losses;
  {
    MutexLock lock(i_lock);
    losses = std::move(losses_);
  }
  if (losses == nullptr) return;
  auto what = std::make_shared<LostWrites>();
  what->mount = super_.options().s_id;
  what->path = super_.path_of(*this);
  what->ino = i_ino;
  what->generation = i_generation;
  what->file_size = mapping_->i_size.load(std::memory_order_acquire);
  what->error = losses->error;
  what->why = std::move(losses->why);
  what->when_ns = realtime_ns();
  what->set_pages(std::move(losses->pages));
  super_.lost_writes().report(std::move(what));
}

void NetInode::log_loss(std::string_view why, std::string_view ranges) const {
  log(LogLevel::kError, "%s: lost what was written to %s (%s), bytes %s", super_.options().s_id,
      super_.path_of(*this), std::string(why), std::string(ranges));
}

}  // namespace myfs::netfs
