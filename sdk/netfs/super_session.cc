// What the server tells unasked (CallbackSink), and the session's time lease.
#include <algorithm>
#include <utility>

#include "sdk/base/log.h"
#include "sdk/netfs/app_lease.h"
#include "sdk/netfs/super.h"

namespace myfs::netfs {

// --- time

void Super::set_deadlines(int64_t sent_boottime_ns, uint32_t term_ms) {
  const int64_t term_ns = term_ms * kNsPerMs;
  std::atomic<int64_t>& deadline = validity().deadline_ns;
  if (sent_boottime_ns + term_ns <= deadline.load(std::memory_order_acquire)) return;
  dirty_deadline_ns_.store(sent_boottime_ns + term_ns / 3 * 2, std::memory_order_release);
  deadline.store(sent_boottime_ns + term_ns, std::memory_order_release);
}

void Super::on_renewed(uint32_t term_ms, int64_t sent_boottime_ns) {
  set_deadlines(sent_boottime_ns, term_ms);
}

// --- sessions

void Super::on_session_started(const rpc::SessionInfo& info, int64_t sent_boottime_ns,
                               int64_t server_time_ns) {
  incarnation_ = info.incarnation;
  leases_->new_session(info.incarnation);
  relaxed_.store(info.relaxed, std::memory_order_release);
  sb_->set_principal(info.principal);
  server_read_only_.store(info.read_only, std::memory_order_release);
  if (info.read_only) sb_->set_read_only(true);
  server_minus_boottime_ns_.store(server_time_ns - sent_boottime_ns, std::memory_order_relaxed);
  {
    MutexLock lock(root_mutex_);
    root_handle_ = info.root.handle;
    root_generation_ = validity().generation.load(std::memory_order_acquire);
    past_sessions_[info.incarnation % kPastSessionsMax] = {info.incarnation, info.session_id};
  }
  set_deadlines(sent_boottime_ns, info.term_ms);
}

// Everything cached is void from here on.
void Super::end_generation() {
  std::atomic<uint16_t>& generation = validity().generation;
  uint16_t next = generation.load(std::memory_order_relaxed) + 1;
  if (next == 0) ++next;  // the generation of words that never held anything
  validity().deadline_ns.store(0, std::memory_order_release);
  dirty_deadline_ns_.store(0, std::memory_order_release);
  generation.store(next, std::memory_order_release);
}

void Super::on_session_lost(std::string_view why) {
  end_generation();
  locks_.session_lost();
  counters_.sessions_lost.add();
  log(LogLevel::kWarning, "%s: the session ended: %s", options_.s_id, std::string(why));
  worker_.post([this, why = std::string(why)] {
    sb_->s_listeners.invalidate_all();
    lose_dirty_pages("the session ended: " + why);
  });
}

void Super::lose_dirty_pages(std::string why) {
  sb_->s_inodes.for_each([&](fs::Inode& inode) {
    NetInode& mine = net_inode(inode);
    lose_app_leases(mine, kDataParts);
    if (mine.has_dirty_pages()) {
      mine.lose_pages(why);
    } else {
      mine.report_losses();
      mine.maybe_unpin();
    }
  });
}

std::vector<rpc::Grant> Super::held_grants() {
  std::vector<uint64_t> lost;
  std::vector<rpc::Grant> held = leases_->held_grants(rpc::kHeldGrantsMax, &lost);
  lose_pages_later(std::move(lost), "there are more leases than a bind can name");
  return held;
}

void Super::on_rebound(const rpc::SessionInfo& info, std::vector<rpc::Grant> kept, bool grace,
                       int64_t sent_boottime_ns) {
  (void)grace;  // the server parks what has to wait for its end
  std::vector<uint64_t> lost = leases_->keep_only(kept);
  if (sb_->s_listeners.any()) worker_.post([this] { sb_->s_listeners.invalidate_all(); });
  set_deadlines(sent_boottime_ns, info.term_ms);
  lose_pages_later(std::move(lost), "the lease was not kept over a reconnect");
}

void Super::lose_pages_later(std::vector<uint64_t> inodes, std::string why) {
  if (inodes.empty()) return;
  worker_.post([this, inodes = std::move(inodes), why = std::move(why)] {
    for (uint64_t ino : inodes) {
      RefPtr<fs::Inode> inode = sb_->s_inodes.ilookup(ino);
      if (!inode) continue;
      lose_app_leases(net_inode(*inode), kDataParts);
      net_inode(*inode).lose_pages(why);
    }
  });
}

void Super::on_evicted(std::string_view why) {
  log(LogLevel::kWarning, "%s: the server ends the session: %s", options_.s_id, std::string(why));
}

// --- recalls

SessionMark Super::present_session() const {
  return {incarnation_, validity().generation.load(std::memory_order_acquire)};
}

void Super::on_recall(std::vector<rpc::RecallItem> items) { recall_all(items, present_session()); }

void Super::recall_all(const std::vector<rpc::RecallItem>& items, const SessionMark& session) {
  if (client_ready_.load(std::memory_order_acquire) == nullptr) {
    // The login is answered, but mount() has not got the client yet.
    worker_.post_at(deadline_after_ns(kNsPerMs),
                    [this, items, session] { recall_all(items, session); });
    return;
  }
  for (const rpc::RecallItem& item : items) recall_one(item, session);
}

void Super::recall_one(const rpc::RecallItem& item, const SessionMark& session) {
  if (session.generation != validity().generation.load(std::memory_order_acquire)) return;
  counters_.recalls.add();
  std::vector<rpc::AckArgs> acks;
  RefPtr<fs::Inode> work;
  const bool found = leases_->with_record(item.ino, item.seq, [&](LeaseRecord& record) {
    record.mu.assert_held();
    if (hold_off_recall(static_cast<NetInode&>(*record.host), item, session)) return;
    if (std::optional<rpc::AckArgs> ack = record.begin_recall_locked(item, session);
        ack.has_value()) {
      acks.push_back(std::move(*ack));
      return;
    }
    counters_.recalls_of_data.add();
    if (record.queued) return;
    work = sb_->s_inodes.ilookup(item.ino, record.host->i_generation);
    if (work && work.get() == record.host) {
      record.queued = true;
      return;
    }
    // The inode is on its way out of the cache: clean, and nobody reads its pages any more.
    record.drop_locked(kDataParts);
    acks = record.finish_locked();
  });
  if (!found) {
    acks.push_back({.recall_id = item.recall_id,
                    .ino = item.ino,
                    .seq = item.seq,
                    .incarnation = session.incarnation});
  }
  if (!acks.empty() && sb_->s_listeners.any()) return acknowledge_later(item, std::move(acks));
  for (rpc::AckArgs& ack : acks) client_->ack(std::move(ack));
  if (!work) return;
  // Also if it turned out to be another inode of that number: nothing will be found to do, and the
  // reference is dropped there.
  worker_.post([work = std::move(work)] { net_inode(*work).honour_recall(); });
}

// Whoever keeps what was answered may have to be waited for.
void Super::acknowledge_later(const rpc::RecallItem& item, std::vector<rpc::AckArgs> acks) {
  worker_.post([this, inode = sb_->s_inodes.ilookup(item.ino),
                parts = static_cast<LeaseParts>(item.parts), acks = std::move(acks)]() mutable {
    if (inode) sb_->s_listeners.invalidate(*inode, parts);
    for (rpc::AckArgs& ack : acks) client_->ack(std::move(ack));
  });
}

void Super::on_glimpse(uint64_t glimpse_id, uint64_t ino) {
  if (client_ready_.load(std::memory_order_acquire) == nullptr) return;
  counters_.glimpses.add();
  rpc::GlimpsedArgs answer{.glimpse_id = glimpse_id, .ino = ino, .incarnation = incarnation_};
  RefPtr<fs::Inode> hold;
  leases_->with_record(ino, 0, [&](LeaseRecord& record) {
    record.mu.assert_held();
    hold = sb_->s_inodes.ilookup(ino, record.host->i_generation);
    auto& inode = static_cast<NetInode&>(*record.host);
    if (inode.mapping() == nullptr || !record.covers(fs::kLeaseW)) return;
    answer.valid = true;
    answer.size = inode.mapping()->i_size.load(std::memory_order_acquire);
    // What was not written under W has the server's times, which may be to come [utimens].
    if (record.own_times) answer.mtime = inode.i_attr().mtime;
  });
  client_->glimpsed(answer);
  if (hold) worker_.post([hold = std::move(hold)] { net_inode(*hold).give_back_write(); });
}

void Super::on_trim(uint32_t leases) {
  worker_.post([this, leases] {
    sb_->s_dcache.shrink(leases);
    sb_->s_inodes.shrink(leases);
    send_returns();
  });
}

void Super::on_lock_granted(uint64_t lock_id, uint64_t seq) { locks_.granted(lock_id, seq); }

void Super::on_settled(Ref<PendingChange> change, std::vector<rpc::Grant> unheard) {
  counters_.changes_in_doubt.add();
  const uint16_t generation = present_session().generation;
  worker_.post([this, generation, change = std::move(change), unheard = std::move(unheard)] {
    for (const rpc::Grant& grant : unheard) {
      returns_pending(leases_->return_unheard(grant, generation));
    }
    change->settled();
  });
}

void Super::on_changed(uint64_t, uint64_t, uint32_t, std::string) {}

}  // namespace myfs::netfs
