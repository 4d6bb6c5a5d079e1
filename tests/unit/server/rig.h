// Rig: a shard on memory engines, driven by hand, with clients that are mere objects.
// Thread safety: one thread.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/data_handlers.h"
#include "server/namespace.h"
#include "server/shard.h"
#include "server/store/memory_block_store.h"
#include "server/store/memory_meta_store.h"

namespace myfs::server {

// What a client was asked. Rig::login() makes one that gives up everything at once; silent() ends
// that.
class FakePeer : public ClientPeer {
 public:
  void recall(const std::vector<RecallItem>& items) override {
    for (const RecallItem& item : items) {
      recalls.push_back(item);
      if (on_recall) on_recall(item);
    }
  }
  void glimpse(uint64_t glimpse_id, uint64_t ino) override {
    glimpses.emplace_back(glimpse_id, ino);
    if (on_glimpse) on_glimpse(glimpse_id, ino);
  }
  void lock_granted(uint64_t lock_id, uint64_t) override { locks.push_back(lock_id); }
  void trim(uint32_t leases) override { trims.push_back(leases); }
  void evicted(const std::string& why) override { evictions.push_back(why); }

  void silent() { on_recall = nullptr; }

  std::vector<RecallItem> recalls;
  std::vector<std::pair<uint64_t, uint64_t>> glimpses;
  std::vector<uint64_t> locks;
  std::vector<uint32_t> trims;
  std::vector<std::string> evictions;
  std::function<void(const RecallItem&)> on_recall;
  std::function<void(uint64_t, uint64_t)> on_glimpse;
};

template <typename Reply>
using Pending = std::shared_ptr<std::optional<Reply>>;

struct Client {
  SessionRef session;
  std::shared_ptr<FakePeer> peer = std::make_shared<FakePeer>();
  NodeReply root;
  uint64_t binding = 0;
  std::string secret, token;
  Cred cred;
  Op op;  // of the newest change
  uint16_t slot = 3;
  std::map<uint16_t, uint64_t> slot_seqs;

  Op next_op() {
    op.epoch = session->epoch;
    op.slot = slot;
    op.slot_seq = ++slot_seqs[slot];
    return op;
  }
};

class Rig {
 public:
  explicit Rig(bool booted = true) {
    if (booted) boot();
  }
  ~Rig() { halt(); }

  // `after_grace`: nobody of the last run is waited for any more.
  void boot(bool after_grace = true) {
    pool = std::make_unique<ManualIoPool>();
    commits = std::make_unique<ManualCommitQueue>(
        meta, options.relaxed ? Durability::kRelaxed : Durability::kDurable);
    ShardDeps deps;
    deps.meta = &meta;
    deps.blocks = &blocks;
    deps.pool = pool.get();
    deps.commits = commits.get();
    deps.post = [this](Job job) { posted.push_back(std::move(job)); };
    deps.arm_timer = [this](int64_t deadline_ns) { armed_ns = deadline_ns; };
    deps.boottime = [this] { return now_ns; };
    deps.realtime = [this] { return wall_ns; };
    auto made = Shard::create(std::move(deps), options);
    ASSERT_TRUE(made.ok()) << made.error().name();
    shard = std::move(made).value();
    shard->start();
    settle();
    if (after_grace && halted_) pass(kAfterGrace_ns);
  }
  static constexpr int64_t kAfterGrace_ns = 30'000'000'000;

  // The process ends; what is not durable is lost if `crash`.
  void halt(bool crash = false) {
    halted_ = true;
    posted.clear();
    shard.reset();
    if (pool) pool->drop_all();
    commits.reset();
    if (!crash) return;
    meta.crash();
    blocks.crash(0);
  }

  // Lets everything happen that needs no client.
  void settle() {
    while (step()) {
    }
  }
  bool step() {
    if (!posted.empty()) {
      Job job = std::move(posted.front());
      posted.pop_front();
      job();
      return true;
    }
    return pool->step() || (!hold_commits && commits->step());
  }
  void pass(int64_t ns) {
    now_ns += ns;
    wall_ns += ns;
    shard->tick();
    settle();
  }

  Client login(Cred cred = {}, bool read_only = false, std::string path = "",
               bool as_user = false) {
    Client client;
    client.cred = cred;
    LoginArgs args;
    args.peer.is_unix = true;
    args.peer.uid = as_user ? cred.uid : 0;
    args.peer.gid = cred.gid;
    args.client = std::string(16, static_cast<char>('a' + clients++));
    args.export_path = path;
    args.cred = cred;
    args.read_only = read_only;
    args.number = login_number;
    args.callback = client.peer;
    std::optional<SessionReply> reply;
    shard->login(std::move(args), [&](SessionReply r) { reply = std::move(r); });
    settle();
    EXPECT_TRUE(reply.has_value());
    login_error = reply ? reply->error : -1;
    if (login_error != 0) return client;
    client.session = reply->session;
    client.root = reply->root;
    client.binding = reply->binding;
    client.token = reply->data_token;
    answer(client);
    return client;
  }

  // By what it was told before, whatever has become of the server.
  SessionReply bind(Client& client, uint64_t boot_verifier = 0, std::vector<Grant> held = {},
                    uint64_t number = 0) {
    const Session& known = *client.session;
    BindArgs args{.session_id = known.id, .epoch = known.epoch, .boot_verifier = boot_verifier};
    args.number = number;
    args.peer.is_unix = true;
    args.peer.uid = known.principal.anyone ? 0 : known.principal.cred.uid;
    args.peer.gid = known.principal.cred.gid;
    args.client = known.client;
    args.secret = known.secret;
    args.held = std::move(held);
    args.callback = client.peer;
    std::optional<SessionReply> reply;
    shard->bind(std::move(args), [&](SessionReply r) { reply = std::move(r); });
    settle();
    EXPECT_TRUE(reply.has_value());
    if (!reply.has_value()) return {};
    if (reply->error != 0) return std::move(*reply);
    client.session = reply->session;
    client.binding = reply->binding;
    answer(client);
    return std::move(*reply);
  }
  ReclaimReply reclaim(Client& client, const ReclaimArgs& args) {
    ReclaimReply reply = shard->reclaim(client.session, args);
    settle();
    return reply;
  }

  // The client gives up whatever it is asked for, at once.
  void answer(Client& client) {
    // The session owns its peer, so the peer must not own the session.
    std::weak_ptr<Session> owner = client.session;
    client.peer->on_recall = [this, owner](const RecallItem& item) {
      posted.push_back([this, session = owner.lock(), item] {
        AckArgs args;
        args.recall_id = item.recall_id;
        args.ino = item.ino;
        shard->acknowledge(*session, args);
      });
    };
  }

  template <typename Reply>
  Pending<Reply> start(Client& client, const Op* op, typename TypedRequest<Reply>::Body body,
                       uint64_t hash = 7, CallTraits traits = {}) {
    auto pending = std::make_shared<std::optional<Reply>>();
    shard->execute<Reply>(
        client.session, client.cred, op, hash, std::move(body),
        [pending](Reply reply) { pending->emplace(std::move(reply)); }, traits);
    return pending;
  }
  template <typename Reply>
  Reply finish(Pending<Reply> pending) {
    settle();
    EXPECT_TRUE(pending->has_value()) << "no answer";
    if (!pending->has_value()) return Reply();
    return std::move(**pending);
  }

  // ---- calls: start_x leaves it pending, x waits for the answer
  Pending<LookupReply> start_lookup(Client& c, const Handle& dir, std::vector<std::string> names,
                                    Parts want = 0, uint32_t want_data = 0) {
    LookupArgs args{.dir = dir, .names = std::move(names), .want = want, .want_data = want_data};
    return start<LookupReply>(
        c, nullptr, [args](Turn& t, LookupReply& r) { return server::lookup(t, args, r); });
  }
  LookupReply lookup(Client& c, const Handle& dir, std::vector<std::string> names, Parts want = 0,
                     uint32_t want_data = 0) {
    return finish(start_lookup(c, dir, std::move(names), want, want_data));
  }
  Pending<NodeOnlyReply> start_getattr(Client& c, const Handle& node, Parts want = 0,
                                       bool must_grant = false, Opener opener = {}) {
    GetattrArgs args{.node = node, .want = want, .opener = opener, .must_grant = must_grant};
    return start<NodeOnlyReply>(
        c, nullptr, [args](Turn& t, NodeOnlyReply& r) { return server::getattr(t, args, r); });
  }
  NodeOnlyReply getattr(Client& c, const Handle& node, Parts want = 0, bool must_grant = false,
                        Opener opener = {}) {
    return finish(start_getattr(c, node, want, must_grant, opener));
  }
  Pending<ChangedReply> start_create(Client& c, CreateArgs args) {
    Op op = c.next_op();
    auto content = std::make_shared<ContentChange>();
    return start<ChangedReply>(
        c, &op,
        [args, content](Turn& t, ChangedReply& r) { return server::create(t, args, content, r); },
        7, {.opens = opened_by(args)});
  }
  ChangedReply create(Client& c, const Handle& dir, std::string name,
                      uint32_t mode = S_IFREG | 0644, uint32_t flags = kCreateExcl, Parts want = 0,
                      Opener opener = {}) {
    CreateArgs args{.dir = dir, .name = std::move(name), .mode = mode};
    args.flags = flags;
    args.want = want;
    args.opener = opener;
    return finish(start_create(c, args));
  }
  ChangedReply mkdir(Client& c, const Handle& dir, std::string name, uint32_t mode = 0755) {
    return create(c, dir, std::move(name), S_IFDIR | mode);
  }
  Pending<ChangedReply> start_setattr(Client& c, const Handle& node, uint32_t mask, Kstat attr,
                                      Opener opener = {}) {
    SetattrArgs args{.node = node, .mask = mask, .attr = attr, .opener = opener};
    Op op = c.next_op();
    auto content = std::make_shared<ContentChange>();
    return start<ChangedReply>(c, &op, [args, content](Turn& t, ChangedReply& r) {
      return server::setattr(t, args, content, r);
    });
  }
  ChangedReply setattr(Client& c, const Handle& node, uint32_t mask, Kstat attr,
                       Opener opener = {}) {
    return finish(start_setattr(c, node, mask, attr, opener));
  }
  Pending<ChangedReply> start_unlink(Client& c, const Handle& dir, std::string name,
                                     uint32_t flags = 0) {
    UnlinkArgs args{.dir = dir, .name = std::move(name), .flags = flags};
    Op op = c.next_op();
    return start<ChangedReply>(
        c, &op, [args](Turn& t, ChangedReply& r) { return server::unlink(t, args, r); });
  }
  ChangedReply unlink(Client& c, const Handle& dir, std::string name, uint32_t flags = 0) {
    return finish(start_unlink(c, dir, std::move(name), flags));
  }
  ChangedReply rmdir(Client& c, const Handle& dir, std::string name) {
    return unlink(c, dir, std::move(name), kUnlinkDirectory);
  }
  Pending<ChangedReply> start_rename(Client& c, const Handle& old_dir, std::string old_name,
                                     const Handle& new_dir, std::string new_name,
                                     uint32_t flags = 0) {
    RenameArgs args{.old_dir = old_dir,
                    .new_dir = new_dir,
                    .old_name = std::move(old_name),
                    .new_name = std::move(new_name),
                    .flags = flags};
    Op op = c.next_op();
    return start<ChangedReply>(
        c, &op, [args](Turn& t, ChangedReply& r) { return server::rename(t, args, r); });
  }
  ChangedReply rename(Client& c, const Handle& old_dir, std::string old_name, const Handle& new_dir,
                      std::string new_name, uint32_t flags = 0) {
    return finish(
        start_rename(c, old_dir, std::move(old_name), new_dir, std::move(new_name), flags));
  }
  Pending<ChangedReply> start_link(Client& c, const Handle& node, const Handle& dir,
                                   std::string name) {
    LinkArgs args{.node = node, .dir = dir, .name = std::move(name)};
    Op op = c.next_op();
    return start<ChangedReply>(
        c, &op, [args](Turn& t, ChangedReply& r) { return server::link(t, args, r); });
  }
  ChangedReply link(Client& c, const Handle& node, const Handle& dir, std::string name) {
    return finish(start_link(c, node, dir, std::move(name)));
  }
  Pending<ChangedReply> start_open(Client& c, const Handle& node, Opener opener, Parts want = 0,
                                   uint32_t flags = 0) {
    OpenArgs args{.node = node, .flags = flags, .want = want, .opener = opener};
    Op op = c.next_op();
    auto content = std::make_shared<ContentChange>();
    return start<ChangedReply>(
        c, &op,
        [args, content](Turn& t, ChangedReply& r) { return server::open(t, args, content, r); }, 7,
        {.opens = args.opener});
  }
  ChangedReply open(Client& c, const Handle& node, Opener opener, Parts want = 0,
                    uint32_t flags = 0) {
    return finish(start_open(c, node, opener, want, flags));
  }
  Pending<ReaddirReply> start_readdir(Client& c, const Handle& dir, uint64_t cookie = 0,
                                      uint32_t max_bytes = 0, bool plus = false, Parts want = 0) {
    ReaddirArgs args{
        .dir = dir, .cookie = cookie, .max_bytes = max_bytes, .plus = plus, .want = want};
    return start<ReaddirReply>(
        c, nullptr, [args](Turn& t, ReaddirReply& r) { return server::readdir(t, args, r); });
  }
  ReaddirReply readdir(Client& c, const Handle& dir, uint64_t cookie = 0, uint32_t max_bytes = 0,
                       bool plus = false, Parts want = 0) {
    return finish(start_readdir(c, dir, cookie, max_bytes, plus, want));
  }
  Pending<WriteAnswer> start_write(Client& c, const Handle& node, uint64_t off, std::string data,
                                   uint32_t flags = kWriteUncached, Opener opener = {},
                                   bool append = false,
                                   std::optional<uint32_t> trunc_gen = std::nullopt) {
    WriteArgs args;
    args.lease_seq = shard->leases().seq(c.session->id, node.ino);
    auto owner = std::make_shared<const std::string>(std::move(data));
    args.node = node;
    args.opener = opener;
    if (args.opener.open_id == 0) args.opener.cred = c.cred;
    args.off = off;
    args.data = {reinterpret_cast<const uint8_t*>(owner->data()), owner->size()};
    args.owner = owner;
    args.flags = flags;
    args.append = append;
    args.mtime = Time::from_ns(wall_ns);
    args.has_trunc_gen = trunc_gen.has_value();
    args.trunc_gen = trunc_gen.value_or(0);
    return start_write(c, std::move(args));
  }
  Pending<WriteAnswer> start_write(Client& c, WriteArgs args) {
    Op op = c.next_op();
    auto state = std::make_shared<WriteState>();
    const bool writeback = (args.flags & kWriteWriteback) != 0;
    return start<WriteAnswer>(
        c, &op, [args, state](Turn& t, WriteAnswer& r) { return server::write(t, args, state, r); },
        7, writeback ? CallTraits{.pass = write_pass(args.node)} : CallTraits());
  }
  WriteAnswer write(Client& c, const Handle& node, uint64_t off, std::string data,
                    uint32_t flags = kWriteUncached, Opener opener = {}) {
    return finish(start_write(c, node, off, std::move(data), flags, opener));
  }
  Pending<ReadAnswer> start_read(Client& c, const Handle& node, uint64_t off, uint32_t len,
                                 Opener opener = {}) {
    ReadArgs args{.node = node, .opener = opener, .off = off, .len = len};
    if (args.opener.open_id == 0) args.opener.cred = c.cred;
    auto state = std::make_shared<ReadState>();
    return start<ReadAnswer>(
        c, nullptr,
        [args, state](Turn& t, ReadAnswer& r) { return server::read(t, args, *state, state, r); },
        7, {.pass = read_pass(args.node)});
  }
  ReadAnswer read(Client& c, const Handle& node, uint64_t off, uint32_t len, Opener opener = {}) {
    return finish(start_read(c, node, off, len, opener));
  }
  std::string content(Client& c, const Handle& node) {
    ReadAnswer answer = read(c, node, 0, 1 << 20);
    EXPECT_EQ(answer.error, 0);
    std::string bytes(reinterpret_cast<const char*>(answer.data.data()), answer.data.size());
    bytes.resize(std::min<uint64_t>(answer.size, 1 << 20));
    return bytes;
  }
  Pending<WriteAnswer> start_commit(Client& c, const Handle& node) {
    CommitArgs args{.node = node};
    Op op = c.next_op();
    auto content = std::make_shared<ContentChange>();
    return start<WriteAnswer>(
        c, &op,
        [args, content](Turn& t, WriteAnswer& r) { return server::commit(t, args, content, r); }, 7,
        {.pass = write_pass(args.node)});
  }
  WriteAnswer commit(Client& c, const Handle& node) { return finish(start_commit(c, node)); }
  ChangedReply setxattr(Client& c, XattrArgs args) {
    Op op = c.next_op();
    return finish(start<ChangedReply>(
        c, &op, [args](Turn& t, ChangedReply& r) { return server::setxattr(t, args, r); }));
  }
  XattrReply getxattr(Client& c, const Handle& node, std::string name) {
    XattrArgs args{.node = node, .name = std::move(name)};
    return finish(start<XattrReply>(
        c, nullptr, [args](Turn& t, XattrReply& r) { return server::getxattr(t, args, r); }));
  }
  int ack(Client& c, const RecallItem& item, Parts kept = 0, std::vector<Opener> opens = {}) {
    AckArgs args;
    args.recall_id = item.recall_id;
    args.ino = item.ino;
    args.kept = kept;
    args.opens = std::move(opens);
    int error = shard->acknowledge(*c.session, args).value();
    settle();
    return error;
  }
  Parts held(const Client& c, uint64_t ino) { return shard->leases().held(c.session->id, ino); }
  std::vector<std::string> names(Client& c, const Handle& dir) {
    std::vector<std::string> names;
    for (const EntryReply& entry : readdir(c, dir).entries) names.push_back(entry.name);
    std::sort(names.begin(), names.end());
    return names;
  }
  size_t records(char type) {
    size_t count = 0;
    KeyRange range = type_range(type);
    EXPECT_TRUE(meta.scan(range.first, range.second, 0,
                          [&](std::string_view, std::string_view) {
                            ++count;
                            return true;
                          })
                    .ok());
    return count;
  }

  ShardOptions options;
  MemoryMetaStore meta;
  MemoryBlockStore blocks;
  std::unique_ptr<ManualIoPool> pool;
  std::unique_ptr<ManualCommitQueue> commits;
  std::deque<Job> posted;
  std::unique_ptr<Shard> shard;
  int64_t now_ns = 1'000'000'000'000;
  int64_t wall_ns = 1'700'000'000'000'000'000;
  int64_t armed_ns = 0;
  bool hold_commits = false;
  int clients = 0;
  bool halted_ = false;
  int login_error = 0;
  uint64_t login_number = 0;  // of the logins to come
};

inline Cred user(uint32_t uid, uint32_t gid = 100) {
  return Cred{.uid = uid, .gid = gid, .groups = {}};
}

inline Kstat mode_of(uint32_t mode) {
  Kstat attr;
  attr.mode = mode;
  return attr;
}
inline Kstat size_of(uint64_t size) {
  Kstat attr;
  attr.size = size;
  return attr;
}
inline Opener opener(uint64_t id, uint8_t access, Cred cred = {}) {
  return Opener{.open_id = id, .cred = std::move(cred), .access = access};
}

}  // namespace myfs::server
