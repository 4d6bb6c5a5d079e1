#include "tests/bench/micro/rpc_peer.h"

#include <sys/stat.h>

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/clock.h"
#include "sdk/base/error_detail.h"
#include "sdk/fs/lease_word.h"
#include "sdk/rpc/client.h"
#include "sdk/uv/loop.h"
#include "tests/bench/micro/rig.h"

namespace myfs::bench {

namespace {

constexpr int64_t kPatience_ns = 60 * kNsPerSec;

// Caches nothing, so gives up at once what it is asked for.
class Sink final : public rpc::CallbackSink {
 public:
  void on_session_started(const rpc::SessionInfo& info, int64_t, int64_t) override {
    incarnation_ = info.incarnation;
  }
  void on_session_lost(std::string_view) override {}
  std::vector<rpc::Grant> held_grants() override { return {}; }
  void on_rebound(const rpc::SessionInfo&, std::vector<rpc::Grant>, bool, int64_t) override {}
  rpc::ReclaimPart next_reclaim(bool) override { return {.last = true}; }
  void on_reclaimed(const rpc::ReclaimPart&, rpc::ReclaimAnswer) override {}
  void on_resumed(const rpc::SessionInfo&, int64_t) override {}
  void on_renewed(uint32_t, int64_t) override {}
  void on_recall(std::vector<rpc::RecallItem> items) override {
    for (const rpc::RecallItem& item : items) {
      client->ack({.recall_id = item.recall_id,
                   .ino = item.ino,
                   .seq = item.seq,
                   .incarnation = incarnation_});
    }
  }
  void on_glimpse(uint64_t, uint64_t) override {}
  void on_lock_granted(uint64_t, uint64_t) override {}
  void on_trim(uint32_t) override {}
  void on_evicted(std::string_view) override {}
  void on_settled(Ref<PendingChange>, std::vector<rpc::Grant>) override {}
  void on_changed(uint64_t, uint64_t, uint32_t, std::string) override {}

  rpc::Client* client = nullptr;  // set before it holds anything

 private:
  uint64_t incarnation_ = 0;
};

std::string first_line(const std::string& path) {
  std::ifstream in(path);
  std::string line;
  std::getline(in, line);
  return line;
}

bool complain_rpc(const char* what, Errno error) {
  std::fprintf(stderr, "myfs-bench-micro: %s: %s %s\n", what, std::string(error.name()).c_str(),
               thread_error_detail().message.c_str());
  return false;
}

}  // namespace

class RpcPeer::Impl {
 public:
  ~Impl() {
    if (client_ != nullptr) client_->close(patient());
    client_ = nullptr;
    if (loop_ != nullptr) (void)loop_->stop();
  }

  Result<void> start(const test::MyfsdProcess& server) {
    MYFS_ASSIGN(loop_, uv_io::Loop::create({}));
    ctx_.cred = std::make_shared<Cred>(Cred{0, 0, {}});
    rpc::ClientOptions options;
    options.addresses = {"tcp:" + server.tcp_address()};
    options.secret = first_line(server.secret_path());
    options.cred = ctx_.cred;
    MYFS_ASSIGN(client_, rpc::Client::create(*loop_, std::move(options), sink_, patient()));
    loop_->run_sync([this] { sink_.client = client_.get(); });
    const rpc::Handle root = client_->session().root.handle;
    MYFS_ASSIGN(rpc::LookupReply found,
                client_->lookup(patient(), {.dir = root, .names = {kBulkFile}}));
    if (found.nodes.size() != 1 || !found.nodes[0].error.ok()) return Errno(ENOENT);
    read_ = found.nodes[0].handle;
    rpc::CreateArgs create{.dir = root,
                           .name = "rpc-written",
                           .mode = S_IFREG | 0644,
                           .want = fs::kLeaseA | fs::kLeaseR | fs::kLeaseW};
    MYFS_ASSIGN(rpc::Changed made, client_->create_node(patient(), std::move(create)));
    written_ = made.node.handle;
    lease_seq_ = made.node.grant.seq;
    return (made.node.grant.parts & fs::kLeaseW) != 0 ? Result<void>() : Errno(EAGAIN);
  }

  // `send` starts the transfer of kBulkIo_bytes at an offset, on the loop, and has done() called.
  template <typename Send>
  Errno transfer(size_t depth, Send send) {
    next_ = 0;
    error_ = Errno();
    send_ = send;
    buffers_.resize(depth);
    for (auto& buffer : buffers_) buffer.resize(kBulkIo_bytes / sizeof(uint64_t), 'w');
    Event finished;
    finished_ = &finished;
    auto begin = [this, depth] {
      for (size_t slot = 0; slot < depth; ++slot) send_next(slot);
    };
    return loop_->call(begin, finished, kNoDeadline) ? error_ : Errno(ESHUTDOWN);
  }

  Errno read_bulk(size_t depth) {
    return transfer(depth, [this](uint64_t off, rpc::Buffers memory, auto done) {
      auto admission = client_->try_admit({kBulkIo_bytes});
      if (!admission.ok()) return done(admission.error());
      rpc::ReadArgs args{
          .node = read_, .opener = {.cred = ctx_.cred}, .off = off, .len = kBulkIo_bytes};
      client_->read_async(patient(), args, memory, std::move(*admission),
                          [done](Result<rpc::ReadReply> reply) {
                            bool whole = reply.ok() && reply->count == kBulkIo_bytes;
                            done(whole || !reply.ok() ? reply.error() : Errno(EIO));
                          });
    });
  }
  Errno write_bulk(size_t depth) {
    return transfer(depth, [this](uint64_t off, rpc::Buffers memory, auto done) {
      auto admission = client_->try_admit({kBulkIo_bytes, true});
      if (!admission.ok()) return done(admission.error());
      rpc::WriteArgs args{.node = written_,
                          .opener = {.cred = ctx_.cred},
                          .off = off,
                          .lease_seq = lease_seq_,
                          .flags = rpc::kWriteWriteback};
      client_->write_async(patient(), args, memory, std::move(*admission),
                           [done](Result<rpc::WriteReply> reply) {
                             bool whole = reply.ok() && reply->count == kBulkIo_bytes;
                             done(whole || !reply.ok() ? reply.error() : Errno(EIO));
                           });
    });
  }
  Errno commit() { return client_->commit(patient(), {.node = written_}).error(); }

 private:
  using Done = std::function<void(Errno)>;
  using Send = std::function<void(uint64_t off, rpc::Buffers memory, Done done)>;

  const CallContext& patient() {
    ctx_.deadline_ns = boottime_ns() + kPatience_ns;
    return ctx_;
  }
  // Inside the loop.
  void send_next(size_t slot) {
    if (next_ == g_bulk_file_bytes || !error_.ok()) return;
    uint64_t off = std::exchange(next_, next_ + kBulkIo_bytes);
    iovec span{buffers_[slot].data(), kBulkIo_bytes};
    ++outstanding_;
    send_(off, rpc::Buffers(&span, 1), [this, slot](Errno error) {
      if (!error.ok()) error_ = error;
      --outstanding_;
      send_next(slot);
      if (outstanding_ == 0) finished_->set();
    });
  }

  Sink sink_;
  CallContext ctx_;
  std::unique_ptr<uv_io::Loop> loop_;
  std::unique_ptr<rpc::Client> client_;
  rpc::Handle read_, written_;
  uint64_t lease_seq_ = 0;                      // of the right to write back
  std::vector<std::vector<uint64_t>> buffers_;  // one for each request outstanding

  // Of the transfer under way; inside the loop.
  Send send_;
  uint64_t next_ = 0;
  size_t outstanding_ = 0;
  Errno error_;
  Event* finished_ = nullptr;
};

RpcPeer::RpcPeer() : impl_(std::make_unique<Impl>()) {}
RpcPeer::~RpcPeer() = default;

bool RpcPeer::start(const test::MyfsdProcess& server) {
  Result<void> started = impl_->start(server);
  return started.ok() || complain_rpc("rpc::Client", started.error());
}
bool RpcPeer::read_bulk(size_t depth) {
  Errno error = impl_->read_bulk(depth);
  return error.ok() || complain_rpc("READ", error);
}
bool RpcPeer::write_bulk(size_t depth) {
  Errno error = impl_->write_bulk(depth);
  return error.ok() || complain_rpc("WRITE", error);
}
bool RpcPeer::commit() {
  Errno error = impl_->commit();
  return error.ok() || complain_rpc("COMMIT", error);
}

}  // namespace myfs::bench
