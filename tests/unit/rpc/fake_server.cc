#include "tests/unit/rpc/fake_server.h"

#include <sys/socket.h>

#include <cstring>
#include <utility>

#include "sdk/base/limits.h"
#include "sdk/rpc/wire.h"
#include "sdk/uv/network.h"

namespace myfs::rpc_test {

using rpc::to_data;
using rpc::to_string;

struct FakeServer::Conn {
  Conn(FakeServer& server, uint64_t id, kj::Own<uv_io::MessageStream> stream_in);
  kj::Own<uv_io::MessageStream> stream;
  capnp::TwoPartyVatNetwork network;
  capnp::RpcSystem<capnp::rpc::twoparty::VatId> rpc;
  bool data = false;
};

namespace {
void fill_handle(wire::Node::Builder node, uint64_t ino) {
  node.initHandle().setIno(ino);
  node.getHandle().setGen(1);
  node.getHandle().setMac(ino * 7);
}
void fill_node(wire::Node::Builder node, uint64_t ino, uint64_t size) {
  fill_handle(node, ino);
  auto attr = node.initAttr();
  attr.setIno(ino);
  attr.setGen(1);
  attr.setMode(ino == 1 ? 0040755 : 0100644);
  attr.setNlink(1);
  attr.setSize(size);
  node.setHasAttr(true);
}
}  // namespace

class FakeMeta final : public wire::MetadataService::Server {
 public:
  FakeMeta(FakeServer& server, uint64_t conn) : server_(server), conn_(conn) {}

  kj::Promise<void> lookup(LookupContext context) override {
    server_.check_trouble();
    ++server_.queries;
    context.allowCancellation();
    auto guard = kj::defer([this, done = false]() mutable {
      if (!done) ++server_.cancelled;
    });
    return server_.gate(conn_)
        .then([this, context]() mutable {
          auto names = context.getParams().getNames();
          auto results = context.getResults();
          results.setErrno(server_.script_.bad_errno ? -5 : server_.script_.errno_value);
          fill_node(results.initDirNode(), 1, 0);
          size_t count = server_.script_.many_nodes ? names.size() + 1 : names.size();
          auto nodes = results.initNodes(count);
          for (size_t i = 0; i < count; ++i) {
            fill_node(nodes[i], 100 + i, server_.content_.size());
          }
          if (count > 0) server_.grant(nodes[count - 1], context.getParams().getWant());
          if (server_.script_.bad_nsec) nodes[0].getAttr().setMtimeNsec(1'000'000'000);
        })
        .attach(kj::mv(guard));
  }
  kj::Promise<void> getattr(GetattrContext context) override {
    server_.check_trouble();
    ++server_.queries;
    if (std::exchange(server_.script_.getattr_ends_session, false)) {
      server_.script_.bind_errno = ESTALE;
      FakeServer& server = server_;
      server.loop_->tasks().add(kj::evalLater([&server, conn = conn_] { server.drop(conn); }));
      return kj::NEVER_DONE;
    }
    auto params = context.getParams();
    return server_.gate(conn_).then([this, context, ino = params.getNode().getIno()]() mutable {
      const Script& script = server_.script_;
      context.getResults().setErrno(script.getattr_errno != 0 ? script.getattr_errno
                                                              : script.errno_value);
      auto node = context.getResults().initNode();
      fill_node(node, ino, server_.content_.size());
      server_.grant(node, context.getParams().getWant());
    });
  }
  kj::Promise<void> resolveHandle(ResolveHandleContext context) override {
    ++server_.queries;
    auto params = context.getParams();
    server_.last_past_session = params.getPastSession();
    return server_.gate(conn_).then([this, context, ino = params.getPast().getIno()]() mutable {
      context.getResults().setErrno(server_.script_.errno_value);
      fill_node(context.getResults().initNode(), ino, server_.content_.size());
    });
  }
  kj::Promise<void> readdir(ReaddirContext context) override {
    ++server_.queries;
    auto results = context.getResults();
    fill_node(results.initDirNode(), 1, 0);
    auto entries = results.initEntries(2);
    entries[0].setName(to_data(server_.script_.bad_name ? "a/b" : "a"));
    entries[0].setCookie(1);
    entries[1].setName(to_data("b"));
    entries[1].setCookie(2);
    results.setEof(true);
    return kj::READY_NOW;
  }
  kj::Promise<void> create(CreateContext context) override {
    server_.check_trouble();
    bool replay = false;
    if (!server_.execute(context.getParams().getOp(), conn_, &replay)) return kj::NEVER_DONE;
    return server_.gate(conn_, true).then([this, context, replay]() mutable {
      auto reply = context.getResults().initReply();
      reply.setErrno(server_.script_.errno_value);
      reply.setReplayed(replay);
      const uint64_t ino = 200 + static_cast<uint64_t>(server_.executed.load());
      if (server_.script_.bare_changes) return fill_handle(reply.initNode(), ino);
      fill_node(reply.initNode(), ino, 0);
      server_.grant(reply.getNode(), context.getParams().getWant());
    });
  }
  kj::Promise<void> setattr(SetattrContext context) override {
    bool replay = false;
    if (!server_.execute(context.getParams().getOp(), conn_, &replay)) return kj::NEVER_DONE;
    constexpr uint32_t kSize = 8;
    auto params = context.getParams();
    if ((params.getMask() & kSize) != 0) server_.content_.resize(params.getAttr().getSize());
    return server_.gate(conn_).then([this, context, ino = params.getNode().getIno()]() mutable {
      auto reply = context.getResults().initReply();
      reply.setErrno(server_.script_.errno_value);
      if (server_.script_.bare_changes) return fill_handle(reply.initNode(), ino);
      fill_node(reply.initNode(), ino, server_.content_.size());
    });
  }
  kj::Promise<void> lock(LockContext context) override {
    server_.check_trouble();
    auto params = context.getParams();
    const uint16_t slot = params.getOp().getSlot();
    auto range = params.getRange();
    const std::string end = range.getLen() == 0 ? "" : std::to_string(range.getLen());
    const bool unlock = range.getType() == 2;
    const Script script = server_.script_;
    bool replay = false;
    const bool answers = server_.execute(params.getOp(), conn_, &replay);
    if (!replay) {
      server_.lock_log_.push_back(std::string(1, "RWU"[range.getType()]) + " " +
                                  std::to_string(range.getStart()) + "+" + end);
      server_.ticket_of_slot_[slot] = !unlock && script.lock_queues ? ++server_.tickets_ : 0;
      server_.lock_seq_of_slot_[slot] = ++server_.lock_seq_;
    }
    const bool silent = unlock ? script.unlock_silent : script.lock_silent;
    if (!answers || silent) return kj::NEVER_DONE;
    return server_.gate(conn_).then([this, context, slot, unlock, script]() mutable {
      auto results = context.getResults();
      results.setErrno(unlock ? 0 : script.lock_errno);
      results.setLockId(server_.ticket_of_slot_[slot]);
      results.setQueued(results.getLockId() != 0);
      results.setSeq(
          results.getQueued() || results.getErrno() != 0 ? 0 : server_.lock_seq_of_slot_[slot]);
    });
  }
  kj::Promise<void> lockCancel(LockCancelContext context) override {
    bool replay = false;
    auto params = context.getParams();
    if (!server_.execute(params.getOp(), conn_, &replay)) return kj::NEVER_DONE;
    if (!replay) server_.lock_log_.push_back("cancel " + std::to_string(params.getLockId()));
    if (server_.script_.cancel_silent) return kj::NEVER_DONE;
    const bool late = server_.script_.cancel_too_late;
    context.getResults().setGranted(late);
    context.getResults().setSeq(late ? ++server_.lock_seq_ : 0);
    return kj::READY_NOW;
  }
  kj::Promise<void> open(OpenContext context) override {
    server_.check_trouble();
    bool replay = false;
    if (!server_.execute(context.getParams().getOp(), conn_, &replay)) return kj::NEVER_DONE;
    return server_.gate(conn_, true).then([this, context]() mutable {
      const uint64_t ino = context.getParams().getNode().getIno();
      auto reply = context.getResults().initReply();
      reply.setErrno(server_.script_.errno_value);
      if (server_.script_.bare_changes) return fill_handle(reply.initNode(), ino);
      fill_node(reply.initNode(), ino, server_.content_.size());
      server_.grant(reply.getNode(), context.getParams().getWant());
    });
  }

 private:
  FakeServer& server_;
  const uint64_t conn_;
};

class FakeData final : public wire::DataService::Server {
 public:
  FakeData(FakeServer& server, uint64_t conn) : server_(server), conn_(conn) {}

  kj::Promise<void> read(ReadContext context) override {
    server_.check_trouble();
    ++server_.queries;
    return server_.gate(conn_).then([this, context]() mutable {
      auto params = context.getParams();
      std::string_view content = server_.content_;
      uint64_t off = std::min<uint64_t>(params.getOff(), content.size());
      uint64_t len = std::min<uint64_t>(params.getLen(), content.size() - off);
      if (server_.script_.oversized_read) len = std::min(content.size() - off, len + 1);
      auto results = context.getResults();
      results.setData(to_data(content.substr(off, len)));
      results.setSize(content.size());
      results.setEof(params.getOff() + params.getLen() >= content.size());
      results.setChange(7);
    });
  }
  kj::Promise<void> write(WriteContext context) override {
    server_.check_trouble();
    auto params = context.getParams();
    std::string data = to_string(params.getData());
    uint64_t off = params.getOff();
    bool replay = false;
    size_t size = data.size();
    std::string& content = server_.content_;
    bool known = server_.slots_[params.getOp().getSlot()] >= params.getOp().getSlotSeq();
    if (!known) {
      if (content.size() < off + size) content.resize(off + size);
      std::memcpy(content.data() + off, data.data(), size);
    }
    if (!server_.execute(params.getOp(), conn_, &replay)) return kj::NEVER_DONE;
    return server_.gate(conn_).then([this, context, replay, size]() mutable {
      auto results = context.getResults();
      results.setErrno(server_.script_.errno_value);
      results.setReplayed(replay);
      results.setCount(static_cast<uint32_t>(size) + (server_.script_.count_too_large ? 1 : 0));
      results.setVerifier(server_.script_.boot_verifier);
      results.setStable(!server_.script_.relaxed);
    });
  }
  kj::Promise<void> append(AppendContext context) override {
    auto params = context.getParams();
    const uint64_t off = server_.content_.size();
    bool replay = false;
    server_.content_ += to_string(params.getData());
    if (!server_.execute(params.getOp(), conn_, &replay)) return kj::NEVER_DONE;
    return server_.gate(conn_).then([context, off]() mutable { context.getResults().setOff(off); });
  }
  kj::Promise<void> commit(CommitContext context) override {
    bool replay = false;
    if (!server_.execute(context.getParams().getOp(), conn_, &replay)) return kj::NEVER_DONE;
    ++server_.commits;
    return server_.gate(conn_).then([this, context]() mutable {
      context.getResults().setErrno(server_.script_.errno_value);
      context.getResults().setVerifier(server_.script_.boot_verifier);
    });
  }
  kj::Promise<void> ping(PingContext) override { return kj::READY_NOW; }

 private:
  FakeServer& server_;
  const uint64_t conn_;
};

class FakeSession final : public wire::Session::Server {
 public:
  FakeSession(FakeServer& server, uint64_t conn) : server_(server), conn_(conn) {}

  kj::Promise<void> meta(MetaContext context) override {
    context.getResults().setService(kj::heap<FakeMeta>(server_, conn_));
    return kj::READY_NOW;
  }
  kj::Promise<void> renew(RenewContext context) override {
    ++server_.renews;
    if (server_.script_.renew_silent) return kj::NEVER_DONE;
    context.getResults().setErrno(std::exchange(server_.script_.renew_stale, false) ? ESTALE : 0);
    context.getResults().setTermMs(server_.script_.term_ms);
    server_.last_epoch = context.getParams().getEpoch();
    return kj::READY_NOW;
  }
  kj::Promise<void> lockGranted(LockGrantedContext context) override {
    server_.lock_log_.push_back("ack " + std::to_string(context.getParams().getLockId()));
    return kj::READY_NOW;
  }
  kj::Promise<void> ack(AckContext) override {
    ++server_.acks;
    return kj::READY_NOW;
  }
  kj::Promise<void> release(ReleaseContext context) override {
    server_.releases += static_cast<int>(context.getParams().getGrants().size());
    server_.closed_opens += static_cast<int>(context.getParams().getClosed().size());
    return kj::READY_NOW;
  }
  kj::Promise<void> ping(PingContext) override {
    ++server_.pings;
    return server_.gate(conn_);
  }
  kj::Promise<void> close(CloseContext) override {
    ++server_.closed;
    return kj::READY_NOW;
  }
  kj::Promise<void> newDataToken(NewDataTokenContext context) override {
    context.getResults().setToken(to_data("token" + std::to_string(++server_.tokens_)));
    return kj::READY_NOW;
  }

  void note_claims(wire::Session::ReclaimParams::Reader params) {
    for (auto claim : params.getClaims()) {
      std::string parts;
      for (auto [bit, name] : {std::pair(1, 'A'), std::pair(4, 'D'), std::pair(16, 'R'),
                               std::pair(32, 'W'), std::pair(64, 'P')}) {
        if ((claim.getParts() & bit) != 0) parts.push_back(name);
      }
      server_.claims_.push_back("lease " + std::to_string(claim.getNode().getIno()) + " " + parts +
                                " since " + std::to_string(claim.getWriteSince()));
    }
    for (auto open : params.getOpens())
      server_.claims_.push_back("open " + std::to_string(open.getNode().getIno()));
    for (auto lock : params.getLocks()) {
      const uint64_t ticket = lock.getLockId();
      auto range = lock.getRange();
      server_.claims_.push_back(
          (ticket == 0 ? "lock " : "wait ") + std::to_string(lock.getNode().getIno()) + " " +
          "RWU"[range.getType()] + " " + std::to_string(range.getStart()) + "+" +
          std::to_string(range.getLen()) + (ticket == 0 ? "" : " #" + std::to_string(ticket)));
    }
  }
  kj::Promise<void> reclaim(ReclaimContext context) override {
    ++server_.reclaims;
    auto params = context.getParams();
    server_.order_.push_back("reclaim " + std::to_string(params.getClaims().size()) + " " +
                             std::to_string(params.getOpens().size()) + " " +
                             std::to_string(params.getLocks().size()) +
                             (params.getLast() ? " last" : ""));
    note_claims(params);
    if (server_.script_.reclaim_silent) return kj::NEVER_DONE;
    if (server_.script_.break_reclaim > 0) {
      --server_.script_.break_reclaim;
      FakeServer& server = server_;
      server.loop_->tasks().add(kj::evalLater([&server, conn = conn_] { server.drop(conn); }));
      return kj::NEVER_DONE;
    }
    auto results = context.getResults();
    results.setErrno(server_.script_.reclaim_errno);
    if (server_.script_.reclaim_keeps) {
      auto kept = results.initKept(params.getClaims().size());
      for (unsigned i = 0; i < kept.size(); ++i) {
        kept[i].setIno(params.getClaims()[i].getNode().getIno());
        kept[i].setParts(params.getClaims()[i].getParts());
        kept[i].setSeq(++server_.lease_seq_);
        kept[i].setSpaceBytes(1 << 30);
      }
    }
    auto locks = results.initLocks(params.getLocks().size());
    for (unsigned i = 0; i < locks.size(); ++i) {
      locks[i].setErrno(server_.script_.lock_errno);
      locks[i].setLockId(params.getLocks()[i].getLockId());
    }
    return kj::READY_NOW;
  }

 private:
  FakeServer& server_;
  const uint64_t conn_;
};

class FakeBootstrap final : public wire::Bootstrap::Server {
 public:
  FakeBootstrap(FakeServer& server, uint64_t conn) : server_(server), conn_(conn) {}

  kj::Promise<void> hello(HelloContext context) override {
    if (server_.script_.silent_hello) return kj::NEVER_DONE;
    auto results = context.getResults();
    results.setVersion(server_.script_.version);
    results.setErrno(server_.script_.version == 1 ? 0 : EPROTONOSUPPORT);
    results.setChallenge(to_data("challenge"));
    results.setServerTimeNs(12'345);
    return kj::READY_NOW;
  }
  kj::Promise<void> login(LoginContext context) override {
    auto params = context.getParams();
    server_.last_challenge = "challenge";
    server_.last_proof = to_string(params.getProof());
    server_.last_client = to_string(params.getClient());
    server_.last_number = params.getNumber();
    auto results = context.getResults();
    results.setErrno(server_.script_.login_errno);
    if (server_.script_.login_errno != 0) {
      results.setWhy("not you");
      return kj::READY_NOW;
    }
    ++server_.logins;
    ++server_.session_id_;
    server_.slots_.clear();
    server_.secret_ = "secret" + std::to_string(server_.session_id_);
    auto callback = params.getCallback();
    server_.callback_ = callback;
    results.setSession(kj::heap<FakeSession>(server_, conn_));
    fill_info(results.initInfo());
    if (!server_.script_.recall_before_login_reply) return kj::READY_NOW;
    auto request = callback.recallRequest();
    auto item = request.initItems(1)[0];
    item.setRecallId(1);
    item.setIno(5);
    return request.send().ignoreResult();
  }
  kj::Promise<void> bind(BindContext context) override {
    auto params = context.getParams();
    auto results = context.getResults();
    ++server_.binds;
    server_.order_.push_back("bind");
    server_.held_grants = params.getHeld().size();
    server_.last_number = params.getNumber();
    bool known = params.getSessionId() == server_.session_id_ &&
                 to_string(params.getSecret()) == server_.secret_ &&
                 server_.script_.bind_errno == 0;
    if (!known) {
      results.setErrno(server_.script_.bind_errno != 0 ? server_.script_.bind_errno : ESTALE);
      server_.script_.bind_errno = 0;
      return kj::READY_NOW;
    }
    server_.callback_ = params.getCallback();
    results.setSession(kj::heap<FakeSession>(server_, conn_));
    auto info = results.initInfo();
    fill_info(info);
    if (server_.script_.send_slot_seqs) {
      auto seqs = info.initSlotSeqs(server_.script_.slots);
      for (uint16_t i = 0; i < server_.script_.slots; ++i) seqs.set(i, server_.slots_[i]);
    }
    results.setReclaim(params.getBootVerifier() != server_.script_.boot_verifier);
    if (!results.getReclaim()) results.setKept(params.getHeld());
    if (results.getReclaim()) server_.lease_seq_ += uint64_t{1} << 32;
    return kj::READY_NOW;
  }
  kj::Promise<void> attachData(AttachDataContext context) override {
    if (server_.script_.attach_errno != 0) {
      context.getResults().setErrno(server_.script_.attach_errno);
      return kj::READY_NOW;
    }
    ++server_.attaches;
    auto it = server_.conns_.find(conn_);
    if (it != server_.conns_.end()) it->second->data = true;
    context.getResults().setData(kj::heap<FakeData>(server_, conn_));
    return kj::READY_NOW;
  }

 private:
  void fill_info(wire::SessionInfo::Builder info) {
    info.setSessionId(server_.session_id_);
    info.setEpoch(1000 + server_.session_id_);
    info.setSecret(to_data(server_.secret_));
    info.setTermMs(server_.script_.term_ms);
    info.setSlots(server_.script_.slots);
    info.setDataToken(to_data("first"));
    fill_node(info.initRoot(), 1, 0);
    info.setBootVerifier(server_.script_.boot_verifier);
    info.setRelaxed(server_.script_.relaxed);
    info.setMaxIoBytes(4 << 20);
    info.setCreditBytes(server_.script_.credit_bytes);
  }

  FakeServer& server_;
  const uint64_t conn_;
};

FakeServer::Conn::Conn(FakeServer& server, uint64_t id, kj::Own<uv_io::MessageStream> stream_in)
    : stream(kj::mv(stream_in)),
      network(*stream, capnp::rpc::twoparty::Side::SERVER, uv_io::reader_options()),
      rpc(capnp::makeRpcServer(network, kj::heap<FakeBootstrap>(server, id))) {}

FakeServer::FakeServer() {
  auto loop = uv_io::Loop::create({.mode = uv_io::Loop::Mode::kOwnThread, .name = "fake"});
  if (!loop.ok()) std::abort();
  loop_ = std::move(loop).value();
}

FakeServer::~FakeServer() noexcept {
  loop_->run_sync([this] {
    gates_.clear();
    callback_ = nullptr;
    conns_.clear();
  });
  loop_->stop();
}

Result<int> FakeServer::connect() {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return Errno(errno);
  ++connections;
  loop_->post([this, fd = ends[1]] { accept(fd); });
  return ends[0];
}

void FakeServer::accept(int fd) {
  uint64_t id = ++next_conn_;
  auto conn = kj::heap<Conn>(*this, id, uv_io::wrap_socket(loop_->port(), fd));
  auto gone = conn->network.onDisconnect();
  conns_.emplace(id, kj::mv(conn));
  loop_->tasks().add(gone.then([this, id] { drop(id); }));
}

void FakeServer::drop(uint64_t id) {
  auto it = conns_.find(id);
  if (it == conns_.end()) return;
  it->second->stream->disconnect("dropped");
  kj::Own<Conn> conn = kj::mv(it->second);
  conns_.erase(it);
  loop_->tasks().add(kj::evalLater([conn = kj::mv(conn)]() mutable { conn = nullptr; }));
}

void FakeServer::script(std::function<void(Script&)> change) {
  loop_->run_sync([&] { change(script_); });
}

void FakeServer::release_held() {
  loop_->run_sync([this] {
    script_.hold = script_.hold_opens = false;
    for (auto& gate : std::exchange(gates_, {})) gate->fulfill();
  });
}

void FakeServer::break_connections() {
  loop_->run_sync([this] {
    std::vector<uint64_t> ids;
    for (auto& [id, conn] : conns_) ids.push_back(id);
    for (uint64_t id : ids) drop(id);
  });
}

void FakeServer::break_data_connections() {
  loop_->run_sync([this] {
    std::vector<uint64_t> ids;
    for (auto& [id, conn] : conns_) {
      if (conn->data) ids.push_back(id);
    }
    for (uint64_t id : ids) drop(id);
  });
}

void FakeServer::call_back(std::function<kj::Promise<void>(wire::ClientCallback::Client&)> call) {
  loop_->run_sync([&] { loop_->tasks().add(call(KJ_ASSERT_NONNULL(callback_))); });
}

void FakeServer::grant_lock(uint64_t id) {
  call_back([this, id](wire::ClientCallback::Client& client) {
    auto request = client.lockGrantedRequest();
    request.setLockId(id);
    request.setSeq(++lock_seq_);
    return request.send().ignoreResult();
  });
}

std::vector<std::string> FakeServer::lock_log() {
  std::vector<std::string> log;
  (void)loop_->run_sync([&] { log = std::exchange(lock_log_, {}); });
  return log;
}

std::vector<std::string> FakeServer::order() {
  std::vector<std::string> order;
  (void)loop_->run_sync([&] { order = std::exchange(order_, {}); });
  return order;
}

std::vector<std::string> FakeServer::claims() {
  std::vector<std::string> claims;
  (void)loop_->run_sync([&] { claims = std::exchange(claims_, {}); });
  return claims;
}

std::string FakeServer::content() {
  std::string copy;
  loop_->run_sync([&] { copy = content_; });
  return copy;
}

void FakeServer::set_content(std::string content) {
  loop_->run_sync([&] { content_ = std::move(content); });
}

kj::Promise<void> FakeServer::gate(uint64_t, bool opens) {
  if (!script_.hold && !(opens && script_.hold_opens)) return kj::READY_NOW;
  ++held;
  auto pair = kj::newPromiseAndFulfiller<void>();
  gates_.push_back(kj::mv(pair.fulfiller));
  return kj::mv(pair.promise);
}

bool FakeServer::execute(wire::Op::Reader op, uint64_t conn, bool* replay) {
  uint64_t& seen = slots_[op.getSlot()];
  *replay = op.getSlotSeq() <= seen;
  if (*replay) {
    ++replayed;
  } else {
    KJ_REQUIRE(op.getSlotSeq() == seen + 1, "a gap in a slot", op.getSlot(), op.getSlotSeq(), seen);
    seen = op.getSlotSeq();
    order_.push_back("change");
    ++executed;
  }
  if (!std::exchange(script_.break_after_execute, false)) return true;
  loop_->tasks().add(kj::evalLater([this, conn] { drop(conn); }));
  return false;
}

void FakeServer::grant(wire::Node::Builder node, uint16_t parts) {
  if (!script_.grants || parts == 0) return;
  auto grant = node.initGrant();
  grant.setIno(node.getAttr().getIno());
  grant.setParts(parts);
  grant.setSeq(++lease_seq_);
  grant.setSpaceBytes(1 << 30);
}

void FakeServer::recall(uint64_t ino, uint16_t parts) {
  call_back([this, ino, parts](wire::ClientCallback::Client& client) {
    auto request = client.recallRequest();
    auto item = request.initItems(1)[0];
    item.setSeq(++lease_seq_);
    item.setRecallId(lease_seq_);
    item.setIno(ino);
    item.setParts(parts);
    return request.send().ignoreResult();
  });
}

void FakeServer::check_trouble() {
  if (script_.overloaded > 0) {
    --script_.overloaded;
    kj::throwFatalException(KJ_EXCEPTION(OVERLOADED, "busy"));
  }
  if (script_.unimplemented) kj::throwFatalException(KJ_EXCEPTION(UNIMPLEMENTED, "what?"));
  if (script_.throw_failed) kj::throwFatalException(KJ_EXCEPTION(FAILED, "broken inside"));
}

}  // namespace myfs::rpc_test
