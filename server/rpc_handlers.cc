#include "server/rpc_handlers.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "sdk/base/random.h"
#include "server/lock_handlers.h"
#include "server/rpc_services.h"

namespace myfs::server {
namespace {

constexpr size_t kChallengeSize_bytes = 32;

// The client's callbacks. Nobody waits for them: what they ask for comes back as calls of Session.
class RemotePeer : public ClientPeer {
 public:
  explicit RemotePeer(wire::ClientCallback::Client callback) : callback_(kj::mv(callback)) {}

  void recall(const std::vector<RecallItem>& items) override {
    auto request = callback_.recallRequest();
    auto list = request.initItems(static_cast<unsigned>(items.size()));
    for (unsigned i = 0; i < items.size(); ++i) {
      list[i].setRecallId(items[i].recall_id);
      list[i].setIno(items[i].ino);
      list[i].setSeq(items[i].seq);
      list[i].setParts(items[i].parts);
    }
    send(request);
  }
  void glimpse(uint64_t glimpse_id, uint64_t ino) override {
    auto request = callback_.glimpseRequest();
    request.setGlimpseId(glimpse_id);
    request.setIno(ino);
    send(request);
  }
  void lock_granted(uint64_t lock_id, uint64_t seq) override {
    auto request = callback_.lockGrantedRequest();
    request.setLockId(lock_id);
    request.setSeq(seq);
    send(request);
  }
  void trim(uint32_t leases) override {
    auto request = callback_.trimRequest();
    request.setLeases(leases);
    send(request);
  }
  void evicted(const std::string& why) override {
    auto request = callback_.evictedRequest();
    request.setWhy(why);
    send(request);
  }

 private:
  // A peer that cannot be reached loses its connection, which is noticed there.
  template <typename Request>
  static void send(Request& request) {
    request.send().ignoreResult().detach([](kj::Exception&&) {});
  }
  wire::ClientCallback::Client callback_;
};

void fill_info(const SessionReply& from, const Shard& shard, wire::SessionInfo::Builder info) {
  const Session& session = *from.session;
  info.setSessionId(session.id);
  info.setEpoch(session.epoch);
  info.setSecret(to_data(session.secret));
  info.setTermMs(static_cast<uint32_t>(shard.options().term_ns / kNsPerMs));
  info.setSlots(kSlotsPerSession);
  info.setDataToken(to_data(from.data_token));
  encode(from.root, info.initRoot());
  info.setBootVerifier(shard.verifier());
  info.setMaxIoBytes(kIoMax_bytes);
  info.setCreditBytes(kCreditsPerSession_bytes);
  info.setMaxLeases(kSessionLeasesMax);
  info.setRelaxed(shard.options().relaxed);
  info.setReadOnly(session.read_only);
  if (!session.principal.trusts()) encode(session.principal, info.initPrincipal());
  auto range = info.initShards(1)[0];
  range.setFirst(0);
  range.setLast(UINT64_MAX);
  auto seqs = info.initSlotSeqs(static_cast<unsigned>(from.slot_seqs.size()));
  for (unsigned i = 0; i < from.slot_seqs.size(); ++i) seqs.set(i, from.slot_seqs[i]);
}

class BootstrapImpl final : public wire::Bootstrap::Server {
 public:
  BootstrapImpl(Shard& shard, PeerInfo peer, std::shared_ptr<uv_io::MessagePins> pins)
      : shard_(shard),
        peer_(std::move(peer)),
        pins_(std::move(pins)),
        challenge_(kChallengeSize_bytes, '\0') {
    random_bytes(challenge_.data(), challenge_.size());
  }

  kj::Promise<void> hello(HelloContext context) override {
    ++shard_.counters().operations;
    auto results = context.getResults();
    results.setVersion(kProtocolVersion);
    if (context.getParams().getVersion() != kProtocolVersion) {
      results.setErrno(EPROTONOSUPPORT);
      results.setWhy("this server speaks version 1 of the protocol");
      return kj::READY_NOW;
    }
    results.setChallenge(to_data(challenge_));
    results.setServerTimeNs(shard_.realtime());
    return kj::READY_NOW;
  }

  kj::Promise<void> login(LoginContext context) override {
    auto params = context.getParams();
    LoginArgs args;
    args.peer = peer_;
    args.challenge = challenge_;
    args.client = to_string(params.getClient());
    args.proof = to_string(params.getProof());
    args.export_path = to_string(params.getExport());
    args.read_only = params.getReadOnly();
    args.number = params.getNumber();
    args.callback = std::make_shared<RemotePeer>(params.getCallback());
    if (!decode(params.getCred(), &args.cred).ok()) {
      context.getResults().setErrno(EINVAL);
      return kj::READY_NOW;
    }
    auto paf = kj::newPromiseAndFulfiller<kj::Own<SessionReply>>();
    shard_.login(std::move(args), [fulfiller = kj::mv(paf.fulfiller)](SessionReply reply) mutable {
      fulfiller->fulfill(kj::heap<SessionReply>(kj::mv(reply)));
    });
    return paf.promise.then([this, context](kj::Own<SessionReply>&& answer) mutable {
      const SessionReply& reply = *answer;
      auto results = context.getResults();
      results.setErrno(reply.error);
      results.setWhy(reply.why);
      if (reply.error != 0) return;
      results.setSession(make_session(bound_to(reply)));
      fill_info(reply, shard_, results.initInfo());
    });
  }

  kj::Promise<void> bind(BindContext context) override {
    auto params = context.getParams();
    BindArgs args;
    args.peer = peer_;
    args.challenge = challenge_;
    args.client = to_string(params.getClient());
    args.proof = to_string(params.getProof());
    args.secret = to_string(params.getSecret());
    args.session_id = params.getSessionId();
    args.epoch = params.getEpoch();
    args.boot_verifier = params.getBootVerifier();
    args.number = params.getNumber();
    for (auto grant : params.getHeld()) args.held.push_back(decode(grant));
    args.callback = std::make_shared<RemotePeer>(params.getCallback());
    auto paf = kj::newPromiseAndFulfiller<kj::Own<SessionReply>>();
    shard_.bind(std::move(args), [fulfiller = kj::mv(paf.fulfiller)](SessionReply reply) mutable {
      fulfiller->fulfill(kj::heap<SessionReply>(kj::mv(reply)));
    });
    return paf.promise.then([this, context](kj::Own<SessionReply>&& answer) mutable {
      const SessionReply& reply = *answer;
      auto results = context.getResults();
      results.setErrno(reply.error);
      results.setWhy(reply.why);
      if (reply.error != 0) return;
      results.setSession(make_session(bound_to(reply)));
      fill_info(reply, shard_, results.initInfo());
      results.setGrace(reply.grace);
      results.setReclaim(reply.reclaim);
      auto kept = results.initKept(static_cast<unsigned>(reply.kept.size()));
      for (unsigned i = 0; i < reply.kept.size(); ++i) encode(reply.kept[i], kept[i]);
    });
  }

  kj::Promise<void> attachData(AttachDataContext context) override {
    auto params = context.getParams();
    SessionRef session =
        shard_.attach_data(peer_, params.getSessionId(), to_view(params.getToken()));
    auto results = context.getResults();
    if (session == nullptr) {
      results.setErrno(EACCES);
      return kj::READY_NOW;
    }
    results.setData(make_data_service(
        Bound{.shard = &shard_, .session = session, .binding = session->binding, .pins = pins_}));
    return kj::READY_NOW;
  }

 private:
  Bound bound_to(const SessionReply& reply) {
    return Bound{
        .shard = &shard_, .session = reply.session, .binding = reply.binding, .pins = pins_};
  }

  Shard& shard_;
  const PeerInfo peer_;
  const std::shared_ptr<uv_io::MessagePins> pins_;
  std::string challenge_;
};

class SessionImpl final : public wire::Session::Server {
 public:
  explicit SessionImpl(Bound bound) : bound_(std::move(bound)) {}
  ~SessionImpl() noexcept(false) { bound_.shard->disconnected(bound_.session, bound_.binding); }

  kj::Promise<void> meta(MetaContext context) override {
    context.getResults().setService(make_metadata_service(bound_));
    return kj::READY_NOW;
  }

  kj::Promise<void> renew(RenewContext context) override {
    auto results = context.getResults();
    Errno error(ESTALE);
    if (bound_.current()) error = shard().renew(session(), context.getParams().getEpoch());
    results.setErrno(error.value());
    results.setTermMs(static_cast<uint32_t>(shard().options().term_ns / kNsPerMs));
    results.setServerTimeNs(shard().realtime());
    return kj::READY_NOW;
  }

  kj::Promise<void> release(ReleaseContext context) override {
    if (!bound_.current()) {
      context.getResults().setErrno(ESTALE);
      return kj::READY_NOW;
    }
    std::vector<Grant> grants;
    for (auto grant : context.getParams().getGrants()) grants.push_back(decode(grant));
    std::vector<uint64_t> closed = to_vector<uint64_t>(context.getParams().getClosed());
    shard().release(session(), grants, closed);
    return kj::READY_NOW;
  }

  kj::Promise<void> ack(AckContext context) override {
    if (!bound_.current()) {
      context.getResults().setErrno(ESTALE);
      return kj::READY_NOW;
    }
    auto params = context.getParams();
    AckArgs args;
    args.recall_id = params.getRecallId();
    args.ino = params.getIno();
    args.kept = params.getKept();
    args.seq = params.getSeq();
    for (auto open : params.getOpens()) args.opens.push_back(decode(open));
    args.have_size = params.getHaveSize();
    args.size = params.getSize();
    args.mtime = {params.getMtimeSec(), std::min(params.getMtimeNsec(), 999'999'999u)};
    context.getResults().setErrno(shard().acknowledge(session(), args).value());
    return kj::READY_NOW;
  }

  kj::Promise<void> glimpsed(GlimpsedContext context) override {
    if (!bound_.current()) {
      context.getResults().setErrno(ESTALE);
      return kj::READY_NOW;
    }
    auto params = context.getParams();
    Glimpsed answer;
    answer.valid = params.getValid();
    answer.size = params.getSize();
    answer.mtime = {params.getMtimeSec(), std::min(params.getMtimeNsec(), 999'999'999u)};
    shard().glimpsed(session(), params.getGlimpseId(), params.getIno(), answer);
    return kj::READY_NOW;
  }

  kj::Promise<void> close(CloseContext context) override {
    if (!bound_.current()) {
      context.getResults().setErrno(ESTALE);
      return kj::READY_NOW;
    }
    auto paf = kj::newPromiseAndFulfiller<int>();
    shard().close(bound_.session, [fulfiller = kj::mv(paf.fulfiller)](Errno error) mutable {
      fulfiller->fulfill(error.value());
    });
    return paf.promise.then([context](int error) mutable { context.getResults().setErrno(error); });
  }

  kj::Promise<void> ping(PingContext) override { return kj::READY_NOW; }

  kj::Promise<void> stats(StatsContext context) override {
    ShardStats stats = shard().stats();
    auto results = context.getResults();
    results.setOperations(stats.operations);
    results.setSessions(static_cast<uint32_t>(stats.sessions));
    results.setLeases(stats.leases);
    results.setRecalls(stats.recalls);
    results.setBytesIn(stats.bytes_in);
    results.setBytesOut(stats.bytes_out);
    results.setJson(stats_json(stats));
    return kj::READY_NOW;
  }

  kj::Promise<void> lockGranted(LockGrantedContext context) override {
    ++shard().counters().operations;
    bool known = bound_.current() &&
                 shard().locks().acknowledge(session().id, context.getParams().getLockId());
    context.getResults().setErrno(known ? 0 : ESTALE);
    return kj::READY_NOW;
  }

  kj::Promise<void> newDataToken(NewDataTokenContext context) override {
    ++shard().counters().operations;
    auto results = context.getResults();
    if (!bound_.current()) {
      results.setErrno(ESTALE);
      return kj::READY_NOW;
    }
    results.setToken(to_data(SessionTable::new_data_token(session())));
    return kj::READY_NOW;
  }

  kj::Promise<void> reclaim(ReclaimContext context) override {
    auto results = context.getResults();
    if (!bound_.current()) {
      results.setErrno(ESTALE);
      return kj::READY_NOW;
    }
    const ReclaimReply reply = shard().reclaim(bound_.session, claims_of(context.getParams()));
    results.setErrno(reply.error);
    results.setWhy(reply.why);
    auto kept = results.initKept(static_cast<unsigned>(reply.kept.size()));
    for (unsigned i = 0; i < reply.kept.size(); ++i) encode(reply.kept[i], kept[i]);
    auto locks = results.initLocks(static_cast<unsigned>(reply.locks.size()));
    for (unsigned i = 0; i < reply.locks.size(); ++i) {
      locks[i].setErrno(reply.locks[i].error);
      locks[i].setLockId(reply.locks[i].ticket);
    }
    return kj::READY_NOW;
  }

 private:
  Shard& shard() { return *bound_.shard; }
  Session& session() { return *bound_.session; }
  static ReclaimArgs claims_of(wire::Session::ReclaimParams::Reader params) {
    ReclaimArgs args;
    for (auto claim : params.getClaims()) {
      args.leases.push_back({.node = decode(claim.getNode()),
                             .parts = claim.getParts(),
                             .change = claim.getChange(),
                             .write_since = claim.getWriteSince()});
    }
    for (auto claim : params.getOpens()) {
      args.opens.push_back({.node = decode(claim.getNode()), .opener = decode(claim.getOpen())});
    }
    for (auto claim : params.getLocks()) {
      LockClaim lock{.node = decode(claim.getNode()), .ticket = claim.getLockId()};
      auto range = claim.getRange();
      lock.error = decode_lock(range.getType(), range.getKind(), range.getStart(), range.getLen(),
                               range.getOwner(), range.getPid(), &lock.range);
      args.locks.push_back(lock);
    }
    args.last = params.getLast();
    return args;
  }
  static std::string stats_json(const ShardStats& stats) {
    return absl::StrFormat(
        "{\"operations\":%d,\"sessions\":%d,\"leases\":%d,\"recalls\":%d,\"commits\":%d,"
        "\"evictions\":%d,\"damaged_writes\":%d,\"bytes_in\":%d,\"bytes_out\":%d,"
        "\"bytes_copied\":%d,\"sessions_reclaimed\":%d,\"leases_kept\":%d,"
        "\"leases_dropped\":%d}",
        stats.operations, stats.sessions, stats.leases, stats.recalls, stats.commits,
        stats.evictions, stats.damaged_writes, stats.bytes_in, stats.bytes_out, stats.bytes_copied,
        stats.sessions_reclaimed, stats.leases_kept, stats.leases_dropped);
  }

  const Bound bound_;
};

}  // namespace

capnp::Capability::Client make_bootstrap(Shard& shard, PeerInfo peer,
                                         std::shared_ptr<uv_io::MessagePins> pins) {
  return wire::Bootstrap::Client(kj::heap<BootstrapImpl>(shard, std::move(peer), std::move(pins)));
}

wire::Session::Client make_session(Bound bound) {
  return wire::Session::Client(kj::heap<SessionImpl>(std::move(bound)));
}

}  // namespace myfs::server
