// The fixture of the client's tests: a loop, a fake server, a sink that records, a client.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/clock.h"
#include "sdk/base/error_detail.h"
#include "sdk/rpc/client.h"
#include "sdk/uv/loop.h"
#include "tests/unit/rpc/fake_server.h"

namespace myfs::rpc_test {

inline constexpr int64_t kPatience_ns = 20 * kNsPerSec;  // a test that waits longer has failed

// What the server said, by kind; events let the test wait.
class RecordingSink final : public rpc::CallbackSink {
 public:
  void on_session_started(const rpc::SessionInfo& info, int64_t, int64_t server_time_ns) override {
    MutexLock lock(mutex);
    log.push_back("started " + std::to_string(info.session_id));
    server_time = server_time_ns;
    changed.notify_all();
  }
  void on_session_lost(std::string_view) override { add("lost"); }
  std::vector<rpc::Grant> held_grants() override { return {{7, 1, 3, 0}}; }
  void on_rebound(const rpc::SessionInfo&, std::vector<rpc::Grant> kept, bool, int64_t) override {
    add("rebound " + std::to_string(kept.size()));
  }
  rpc::ReclaimPart next_reclaim(bool begin) override {
    MutexLock lock(mutex);
    if (begin) told = 0;
    log.push_back(begin ? "reclaim" : "reclaim on");
    return told < parts.size() ? parts[told++] : rpc::ReclaimPart{.last = true};
  }
  void on_reclaimed(const rpc::ReclaimPart&, rpc::ReclaimAnswer answer) override {
    add("reclaimed " + std::to_string(answer.kept.size()) + " " +
        std::to_string(answer.locks.size()));
  }
  void on_resumed(const rpc::SessionInfo&, int64_t sent_boottime_ns) override {
    resumed_at_ns.store(sent_boottime_ns);
    add("resumed");
  }
  void on_renewed(uint32_t term_ms, int64_t sent_boottime_ns) override {
    renewed_at_ns.store(sent_boottime_ns);
    add("renewed " + std::to_string(term_ms));
  }
  void on_recall(std::vector<rpc::RecallItem> items) override {
    for (const auto& item : items) add("recall " + std::to_string(item.ino));
  }
  void on_glimpse(uint64_t, uint64_t ino) override { add("glimpse " + std::to_string(ino)); }
  void on_lock_granted(uint64_t id, uint64_t) override { add("lock " + std::to_string(id)); }
  void on_trim(uint32_t leases) override { add("trim " + std::to_string(leases)); }
  void on_evicted(std::string_view why) override { add("evicted " + std::string(why)); }
  void on_settled(Ref<PendingChange> change, std::vector<rpc::Grant>) override {
    change->settled();
    add("settled");
  }
  void on_changed(uint64_t ino, uint64_t, uint32_t, std::string name) override {
    add("changed " + std::to_string(ino) + name);
  }

  bool wait_for(const std::string& what) {
    int64_t deadline = boottime_ns() + kPatience_ns;
    MutexLock lock(mutex);
    while (std::find(log.begin(), log.end(), what) == log.end()) {
      if (!changed.wait_until(mutex, deadline)) return false;
    }
    return true;
  }
  std::vector<std::string> seen() {
    MutexLock lock(mutex);
    return log;
  }

  Mutex mutex{LockRank::kLease};
  CondVar changed;
  std::vector<std::string> log;
  int64_t server_time = 0;
  std::vector<rpc::ReclaimPart> parts;  // to be told, before an empty last one
  size_t told = 0;
  std::atomic<int64_t> resumed_at_ns{0};
  std::atomic<int64_t> renewed_at_ns{0};

 private:
  void add(std::string what) {
    MutexLock lock(mutex);
    log.push_back(std::move(what));
    changed.notify_all();
  }
};

class ClientFixture : public ::testing::Test {
 protected:
  ClientFixture() {
    auto loop = uv_io::Loop::create({});
    EXPECT_TRUE(loop.ok());
    loop_ = std::move(loop).value();
    ctx_.cred = std::make_shared<Cred>(Cred{1000, 1000, {}});
    options_.addresses = {"unix:/fake"};
    options_.connector = [this] { return server_.connect(); };
    options_.cred = ctx_.cred;
  }
  ~ClientFixture() override {
    client_ = nullptr;
    loop_->stop();
  }

  Errno open() {
    auto client = rpc::Client::create(*loop_, options_, sink_, ctx_);
    if (!client.ok()) return client.error();
    client_ = std::move(client).value();
    return Errno();
  }
  CallContext within(int64_t ns) const {
    CallContext ctx = ctx_;
    ctx.deadline_ns = boottime_ns() + ns;
    return ctx;
  }
  CallContext patient() const { return within(kPatience_ns); }
  rpc::Handle handle(uint64_t ino = 5) const {
    return {ino, 1, static_cast<uint32_t>(client_->incarnation()), ino * 7};
  }
  Result<rpc::Changed> create(const CallContext& ctx) {
    return client_->create_node(ctx, {.dir = handle(1), .name = "f", .mode = 0100644});
  }
  Result<rpc::LookupReply> lookup(const CallContext& ctx) {
    return client_->lookup(ctx, {.dir = handle(1), .names = {"a", "b"}});
  }
  template <typename Condition>
  static bool eventually(Condition condition) {
    int64_t deadline = boottime_ns() + kPatience_ns;
    while (!condition()) {
      if (boottime_ns() > deadline) return false;
      std::this_thread::yield();
    }
    return true;
  }

  FakeServer server_;
  RecordingSink sink_;
  std::unique_ptr<uv_io::Loop> loop_;
  rpc::ClientOptions options_;
  CallContext ctx_;
  std::unique_ptr<rpc::Client> client_;
};

}  // namespace myfs::rpc_test
