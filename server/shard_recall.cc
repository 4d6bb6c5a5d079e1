// The part of Shard that waits for clients: recalls, glimpses and what is parked behind them.
#include <algorithm>
#include <cassert>

#include "sdk/base/log.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

constexpr size_t kRecallItemsMax = 512;  // of one message

// What others must not hold for the need to be met.
Parts recalled_by(const Need& need) {
  switch (need.kind) {
    case Need::Kind::kRecall:
      return need.parts;
    case Need::Kind::kAcquire:
      return conflicting_parts(need.parts);
    default:
      return 0;
  }
}

bool is_glimpse(const Need& need) {
  return need.kind == Need::Kind::kGlimpse || need.kind == Need::Kind::kGlimpseAny;
}

}  // namespace

// Who has waited keeps his place.
bool Shard::may_wait(const Request& request) const {
  const Session& session = *request.session;
  if (request.waited) return true;
  return session.parked < kSessionParkedMax &&
         session.parked_bytes + request.payload_bytes <= kSessionParkedMax_bytes;
}

void Shard::park(const RequestRef& request, std::vector<Need> needs) {
  Session& session = *request->session;
  const bool waits = may_wait(*request);
  if (waits) {
    ++session.parked;
    session.parked_bytes += request->payload_bytes;
    request->parked = request->waited = true;
  }
  request->needs = std::move(needs);
  std::vector<LeaseTable::RecallOut*> recalls;
  int64_t now_ns = boottime();
  for (const Need& need : request->needs) {
    if (waits) waiting_[need.ino][request->ticket] = request;
    if (Parts others = recalled_by(need); others != 0) {
      leases_.block(need.ino, request->ticket, session.id, others);
      auto started = leases_.recall(session.id, need.ino, others, now_ns);
      recalls.insert(recalls.end(), started.begin(), started.end());
    } else if (need.kind == Need::Kind::kOwn) {
      auto started = leases_.recall_from(session.id, need.ino, need.parts, now_ns);
      recalls.insert(recalls.end(), started.begin(), started.end());
    } else if (is_glimpse(need) && waits) {
      send_glimpse(request, need);
    }
  }
  send_recalls(recalls);
  if (waits) return;
  // When it comes again, what it needs may have come back already.
  let_go(*request);
  finish(request, Errno(kOverloaded));
}

bool Shard::ready(const Request& request) const {
  if (!request.session->live()) return true;
  SessionId me = request.session->id;
  for (const Need& need : request.needs) {
    switch (need.kind) {
      case Need::Kind::kRecall:
        if (leases_.held_by_others(me, need.ino, need.parts) != 0) return false;
        break;
      case Need::Kind::kOwn:
        if ((leases_.held(me, need.ino) & need.parts) != 0) return false;
        break;
      case Need::Kind::kAcquire:
        if (leases_.held_by_others(me, need.ino, conflicting_parts(need.parts)) != 0 ||
            leases_.recall_out(me, need.ino) ||
            leases_.blocked(me, need.ino, need.parts, request.ticket))
          return false;
        break;
      case Need::Kind::kLane:
        if (auto lane = lanes_.find(need.ino);
            lane != lanes_.end() && lane->second != request.ticket)
          return false;
        break;
      case Need::Kind::kGlimpse:
      case Need::Kind::kGlimpseAny:
        if (!request.glimpses.contains(need.ino) && writer_asked(request, need) != 0) return false;
        break;
      case Need::Kind::kGrace:
        if (waits_for_grace(request)) return false;
        break;
      case Need::Kind::kOldLocks:
        if (awaited(Awaited::kLocks)) return false;
        break;
    }
  }
  return true;
}

std::vector<Need> Shard::unpark(Request& request) {
  assert(request.parked && request.session->parked > 0);
  request.parked = false;
  --request.session->parked;
  request.session->parked_bytes -= request.payload_bytes;
  std::vector<Need> needs = std::exchange(request.needs, {});
  for (const Need& need : needs) {
    leases_.unblock(need.ino, request.ticket);
    auto waiting = waiting_.find(need.ino);
    if (waiting == waiting_.end()) continue;
    waiting->second.erase(request.ticket);
    if (waiting->second.empty()) waiting_.erase(waiting);
  }
  return needs;
}

void Shard::wake(uint64_t ino) {
  auto waiting = waiting_.find(ino);
  if (waiting == waiting_.end()) return;
  std::vector<LeaseTable::RecallOut*> recalls;
  for (auto& [ticket, request] : waiting->second) {
    if (ready(*request)) {
      enqueue(request);
      continue;
    }
    // Somebody whose turn came first may have been granted what this one needs.
    for (const Need& need : request->needs) {
      if (need.ino != ino) continue;
      SessionId me = request->session->id;
      auto started = need.kind == Need::Kind::kOwn
                         ? leases_.recall_from(me, ino, need.parts, boottime())
                         : leases_.recall(me, ino, recalled_by(need), boottime());
      recalls.insert(recalls.end(), started.begin(), started.end());
    }
  }
  send_recalls(recalls);
}

void Shard::send_recalls(const std::vector<LeaseTable::RecallOut*>& recalls) {
  if (recalls.empty()) return;
  arm_wanted_ = true;
  std::map<SessionId, std::vector<RecallItem>> messages;
  std::vector<SessionRef> expired;
  int64_t now_ns = boottime();
  for (LeaseTable::RecallOut* out : recalls) {
    SessionRef session = sessions_.find(out->session);
    if (session == nullptr || !session->live()) continue;  // its end settles the recall
    if (now_ns > session->deadline_ns) {
      if (out->awaited) expired.push_back(session);
    } else if (session->peer != nullptr && now_ns >= session->quiet_until_ns) {
      out->sent = true;
      messages[out->session].push_back(out->item);
    }
  }
  for (auto& [id, items] : messages) {
    SessionRef session = sessions_.find(id);
    for (size_t at = 0; at < items.size(); at += kRecallItemsMax) {
      auto from = items.begin() + static_cast<ptrdiff_t>(at);
      auto to =
          items.begin() + static_cast<ptrdiff_t>(std::min(items.size(), at + kRecallItemsMax));
      session->peer->recall(std::vector<RecallItem>(from, to));
    }
  }
  for (const SessionRef& session : expired) {
    log(LogLevel::kInfo, "session %d has expired and is in the way", session->id);
    end_session(session);
  }
}

// A has come back, and brought the opens of whoever held it: P keeps nothing for anybody but what
// is in a cache, and what is dirty there is nobody's any more.
void Shard::recall_unnamed(SessionId except, uint64_t ino) {
  std::vector<LeaseTable::RecallOut*> recalls;
  for (LeaseTable::RecallOut* out : leases_.recall(except, ino, kPartP, boottime())) {
    out->awaited = false;
    recalls.push_back(out);
  }
  send_recalls(recalls);
}

SessionId Shard::writer_asked(const Request& request, const Need& need) const {
  return leases_.writer(need.ino, need.kind == Need::Kind::kGlimpse ? request.session->id : 0);
}

void Shard::send_glimpse(const RequestRef& request, const Need& need) {
  const uint64_t ino = need.ino;
  SessionRef writer = sessions_.find(writer_asked(*request, need));
  if (writer == nullptr || !writer->live()) return;
  if (boottime() > writer->deadline_ns) {
    end_session(writer);
    return;
  }
  arm_wanted_ = true;
  uint64_t id = next_glimpse_++;
  glimpses_[id] = GlimpseOut{.session = writer->id,
                             .ino = ino,
                             .request = request,
                             .deadline_ns = boottime() + kGlimpseTimeout_ns};
  if (writer->peer != nullptr) writer->peer->glimpse(id, ino);
}

void Shard::glimpsed(Session& session, uint64_t glimpse_id, uint64_t ino, const Glimpsed& answer) {
  ++stats_.operations;
  auto it = glimpses_.find(glimpse_id);
  if (it == glimpses_.end() || it->second.session != session.id || it->second.ino != ino) return;
  RequestRef request = std::move(it->second.request);
  glimpses_.erase(it);
  Glimpsed& known = request->glimpses[ino] = answer;
  // A size that no file has, and times to come: W comes back, and the file says what is so.
  if (known.valid && known.size > kFileSizeMax_bytes) known = Glimpsed{.timed_out = true};
  known.mtime = std::min(known.mtime, Time::from_ns(realtime()));
  wake(ino);
  pump();
}

void Shard::look_after_glimpses() {
  int64_t now_ns = boottime();
  for (auto it = glimpses_.begin(); it != glimpses_.end();) {
    if (it->second.deadline_ns > now_ns) {
      ++it;
      continue;
    }
    GlimpseOut out = std::move(it->second);
    it = glimpses_.erase(it);
    out.request->glimpses[out.ino].timed_out = true;
    wake(out.ino);
  }
}

// Rule 8: time-out without progress, hard cap, then eviction; for a silent session its expiry.
void Shard::look_after_recalls() {
  int64_t now_ns = boottime();
  std::map<SessionId, std::string> late;
  for (const auto& [id, out] : leases_.recalls_out()) {
    SessionRef session = sessions_.find(out.session);
    if (session == nullptr || !session->live() || !out.awaited) continue;
    bool stalled = now_ns - out.progress_ns >= options_.recall_timeout_ns;
    bool capped = now_ns - out.started_ns >= options_.recall_cap_ns;
    bool renews = session->seen_ns > out.started_ns;
    if (now_ns > session->deadline_ns) {
      late.emplace(out.session, "it has expired");
    } else if (!out.answered && ((stalled && renews) || capped)) {
      late.emplace(out.session, "it does not answer a recall");
    }
  }
  for (const auto& [id, why] : late) evict(sessions_.find(id), why);
}

void Shard::tick() {
  arm_wanted_ = true;
  look_after_recalls();
  look_after_glimpses();
  look_after_locks();
  tell_grants_again();
  send_recalls(leases_.recalls_unsent());
  std::vector<SessionRef> over;
  int64_t now_ns = boottime();
  for (const auto& [id, session] : sessions_.all()) {
    if (session->live() && now_ns > session->deadline_ns + kCourtesy_ns) over.push_back(session);
  }
  for (const SessionRef& session : over) end_session(session);
  look_after_awaited();
  for (const SessionRef& session : std::exchange(to_end_again_, {})) commit_end(session);
  pump();
}

void Shard::arm() {
  if (!arm_wanted_) return;
  arm_wanted_ = false;
  constexpr int64_t kIdle_ns = 60 * kNsPerSec, kAgain_ns = 500 * kNsPerMs;
  int64_t now_ns = boottime();
  int64_t due_ns = now_ns + kIdle_ns;
  // What is overdue and still there waits for something else, such as a session's expiry.
  auto consider = [&](int64_t at_ns) {
    due_ns = std::min(due_ns, at_ns > now_ns ? at_ns : now_ns + kAgain_ns);
  };
  for (const auto& [id, out] : leases_.recalls_out()) {
    consider(out.progress_ns + options_.recall_timeout_ns);
    SessionRef session = sessions_.find(out.session);
    if (session == nullptr) continue;
    consider(session->deadline_ns + 1);
    if (!out.sent && session->peer != nullptr) consider(session->quiet_until_ns);
  }
  for (const auto& [id, out] : glimpses_) consider(out.deadline_ns);
  if (lock_look_ns_ != 0) consider(lock_look_ns_);
  for (SessionId id : regrants_) {
    if (SessionRef session = sessions_.find(id)) consider(session->quiet_until_ns);
  }
  if (!to_end_again_.empty()) consider(now_ns + kNsPerSec);
  if (awaited(Awaited::kPins)) consider(awaited_until_ns_);
  if (shutting_down_) consider(shutdown_deadline_ns_);
  deps_.arm_timer(due_ns);
}

}  // namespace myfs::server
