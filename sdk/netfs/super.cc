#include "sdk/netfs/super.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/log.h"
#include "sdk/mm/runtime.h"
#include "sdk/mm/truncate.h"
#include "sdk/mm/writeback.h"

namespace myfs::netfs {

namespace {
constexpr size_t kPathDepthMax = 4096 / 2;
constexpr int64_t kReturnsDelay_ns = 10 * kNsPerMs;
constexpr int64_t kDrain_ns = kNsPerSec;
constexpr int64_t kCloseTimeout_ns = 5 * kNsPerSec;
constexpr int64_t kForcedFlush_ns = kNsPerSec;

const CredRef& background_cred() {
  static const auto* const cred = new CredRef(std::make_shared<const Cred>());
  return *cred;
}
}  // namespace

Super::Super(MountOptions options, mm::Runtime& runtime)
    : options_(std::move(options)),
      runtime_(runtime),
      inode_ops_(*this),
      file_ops_(*this),
      address_space_ops_(*this),
      lost_writes_(std::make_shared<LostWritesDesk>(options_.salvage)) {
  sync_writes_.store(options_.sync_writes, std::memory_order_relaxed);
  background_ctx_.cred = background_cred();
}

Super::~Super() { worker_.stop(); }

Result<Ref<fs::SuperBlock>> Super::mount(uv_io::Loop& loop, MountOptions options,
                                         const CallContext& ctx) {
  mm::Runtime& runtime = options.runtime != nullptr ? *options.runtime : mm::Runtime::process();
  if (options.idmap != nullptr) {
    // What no caller waits for is done as the server's root.
    options.client.server_cred = [map = options.idmap](const CredRef& cred) {
      return cred == background_cred() ? cred : std::make_shared<const Cred>(map->cred_in(*cred));
    };
  }
  auto owned = std::unique_ptr<Super>(new Super(std::move(options), runtime));
  Super& super = *owned;
  fs::SuperOptions sb_options;
  sb_options.read_only = super.options_.read_only;
  sb_options.s_id = super.options_.s_id;
  sb_options.idmap = super.options_.idmap;
  sb_options.budget = &runtime.budget();
  Ref<fs::SuperBlock> sb = fs::SuperBlock::create(std::move(owned), std::move(sb_options));
  super.sb_ = sb.get();
  super.leases_ = std::make_unique<LeaseTable>(sb->s_validity);
  sb->s_validity.deadline_ns.store(0, std::memory_order_release);
  sb->s_validity.attr_timeout_ns = super.options_.attr_timeout_ns;
  MYFS_ASSIGN(super.client_, rpc::Client::create(loop, super.options_.client, super, ctx));
  super.client_ready_.store(super.client_.get(), std::memory_order_release);
  CallScope scope(super.leases());
  const rpc::SessionInfo info = super.client_->session();
  MYFS_ASSIGN(Ref<NetInode> root, super.learn(info.root, scope.ticket(), nullptr));
  sb->set_root(root);
  return sb;
}

fs::Validity& Super::validity() const { return sb_->s_validity; }

Time Super::server_now() const {
  return Time::from_ns(boottime_ns() + server_minus_boottime_ns_.load(std::memory_order_relaxed));
}

// --- inodes and handles

Result<Ref<NetInode>> Super::learn(const rpc::Node& node, const Ticket& ticket, Kstat* stat) {
  if (!node.has_attr || node.attr.ino == 0) return Errno(EPROTO);
  Ref<fs::Inode> inode =
      sb_->s_inodes.iget(node.attr, [&]() -> fs::Inode* { return new NetInode(*this, node.attr); });
  if (inode->i_type != (node.attr.mode & S_IFMT)) return Errno(EPROTO);
  auto* mine = static_cast<NetInode*>(inode.leak());
  Ref<NetInode> result(mine, Ref<NetInode>::Adopt{});
  const Kstat learned = mine->learn(node, ticket);
  if (stat != nullptr) *stat = learned;
  return result;
}

Result<rpc::Node> Super::node_after(const CallContext& ctx, NetInode& inode,
                                    const rpc::Handle& handle, rpc::Node node) {
  if (node.has_attr) return node;
  CallScope scope(*leases_);
  Result<rpc::Node> fresh = client_->getattr(ctx, {.node = handle});
  if (fresh.ok()) return fresh;
  inode.forget();
  // In another session the caller would make the change once more.
  if (!was_void(fresh.error(), scope.ticket())) return fresh;
  const Errno error = fail(Errno(EIO), "the session ended before it was told what came of it");
  thread_error_detail().in_doubt = true;
  return error;
}

void Super::learn_change(const CallContext& ctx, NetInode& inode, const rpc::Handle& handle,
                         const rpc::Node& node, const Ticket& ticket) {
  Result<rpc::Node> known = node_after(ctx, inode, handle, node);
  if (known.ok()) inode.learn(*known, ticket);
}

RefPtr<NetInode> Super::learn_cached(const rpc::Node& node, const Ticket& ticket) {
  const uint64_t ino = node.has_attr ? node.attr.ino : node.handle.ino;
  if (ino == 0) return nullptr;
  const uint32_t generation = node.has_attr ? node.attr.generation : node.handle.gen;
  RefPtr<fs::Inode> inode = sb_->s_inodes.ilookup(ino, generation);
  if (!inode) return nullptr;
  auto* mine = static_cast<NetInode*>(inode.leak());
  mine->learn(node, ticket);
  return RefPtr<NetInode>::adopt(mine);
}

bool Super::was_void(Errno error, const Ticket& ticket) const {
  if (error == rpc::kSessionLost) return true;
  return (error == Errno(EACCES) || error == Errno(ESTALE)) &&
         ticket.generation != validity().generation.load(std::memory_order_acquire);
}

Result<rpc::Handle> Super::handle_of(const CallContext& ctx, NetInode& inode) {
  rpc::Handle handle;
  while (!inode.handle(&handle)) {
    Result<void> found = find_again(ctx, inode);
    // A session that ends meanwhile is no reason to give the inode up: the next one finds it.
    if (!found.ok() && found.error() != rpc::kSessionLost) return found.error();
  }
  return handle;
}

bool Super::names_to(const NetInode& inode, std::vector<std::string>* names) const {
  NetInode::Place place = inode.place();
  const uint64_t root = sb_->s_root().d_inode()->i_ino;
  uint64_t ino = inode.i_ino;
  while (ino != root) {
    if (place.dir_ino == 0 || names->size() == kPathDepthMax) return false;
    names->push_back(std::move(place.name));
    ino = place.dir_ino;
    if (ino == root) break;
    RefPtr<fs::Inode> dir = sb_->s_inodes.ilookup(ino, place.dir_generation);
    if (!dir) return false;
    place = net_inode(*dir).place();
  }
  std::reverse(names->begin(), names->end());
  return true;
}

std::string Super::path_of(const NetInode& inode) const {
  std::vector<std::string> names;
  if (!names_to(inode, &names)) return absl::StrFormat("inode %d", inode.i_ino);
  std::string path;
  for (const std::string& name : names) path += "/" + name;
  return path.empty() ? "/" : path;
}

Result<void> Super::find_again(const CallContext& ctx, NetInode& inode) {
  rpc::Handle root;
  bool have_root = false;
  const rpc::Handle past = inode.last_handle();
  const uint64_t session_id = past_session(past.session);
  CallScope scope(*leases_);
  {
    MutexLock lock(root_mutex_);
    have_root = root_generation_ == scope.ticket().generation;
    root = root_handle_;
  }
  // Between two sessions: a call waits for the new one.
  if (!have_root) return client_->ping(ctx);
  if (inode.i_ino == root.ino && inode.i_generation == root.gen) {
    inode.set_handle(root, scope.ticket().generation);
    return {};
  }
  if (past.ino != 0 && session_id != 0) {
    Result<void> found = find_by_handle(ctx, inode, past, session_id);
    // EACCES: another directory has the export's name now.
    if (found.ok() || found.error() != Errno(EACCES)) return found;
  }
  return find_by_names(ctx, inode, root);
}

uint64_t Super::past_session(uint32_t incarnation) {
  MutexLock lock(root_mutex_);
  const PastSession& past = past_sessions_[incarnation % kPastSessionsMax];
  return static_cast<uint32_t>(past.incarnation) == incarnation ? past.session_id : 0;
}

Result<void> Super::find_by_handle(const CallContext& ctx, NetInode& inode, const rpc::Handle& past,
                                   uint64_t past_session) {
  CallScope scope(*leases_);
  MYFS_ASSIGN(const rpc::Node node,
              client_->resolve_handle(ctx, {.past = past, .past_session = past_session}));
  const bool same = node.has_attr && node.handle.ino == inode.i_ino &&
                    node.attr.ino == inode.i_ino && node.attr.generation == inode.i_generation;
  if (!same) return Errno(EPROTO);
  inode.learn(node, scope.ticket());
  return {};
}

Result<void> Super::find_by_names(const CallContext& ctx, NetInode& inode, rpc::Handle dir) {
  std::vector<std::string> names;
  if (!names_to(inode, &names)) return Errno(ESTALE);
  CallScope scope(*leases_);
  for (size_t first = 0; first < names.size();) {
    const size_t count = std::min<size_t>(names.size() - first, kLookupNamesMax);
    rpc::LookupArgs args{.dir = dir};
    args.names.assign(names.begin() + first, names.begin() + first + count);
    MYFS_ASSIGN(rpc::LookupReply reply, client_->lookup(ctx, std::move(args)));
    if (reply.nodes.empty()) return Errno(ESTALE);
    for (const rpc::Node& node : reply.nodes) {
      if (!node.error.ok()) return Errno(ESTALE);
      learn_cached(node, scope.ticket());
    }
    dir = reply.nodes.back().handle;
    first += reply.nodes.size();
  }
  if (dir.ino != inode.i_ino || dir.gen != inode.i_generation) return Errno(ESTALE);
  inode.set_handle(dir, scope.ticket().generation);
  return {};
}

// --- what is given back

void Super::put_later(RefPtr<fs::Inode> inode) {
  bool first;
  {
    MutexLock lock(deferred_mutex_);
    first = deferred_.empty();
    deferred_.push_back(std::move(inode));
  }
  if (first) worker_.post_at(deadline_after_ns(kReturnsDelay_ns), [this] { put_deferred(); });
}

void Super::put_deferred() {
  std::vector<RefPtr<fs::Inode>> inodes;
  {
    MutexLock lock(deferred_mutex_);
    inodes.swap(deferred_);
  }
  for (RefPtr<fs::Inode>& inode : inodes) {
    net_inode(*inode).settle_losses();
    net_inode(*inode).maybe_unpin();
  }
}

void Super::returns_pending(bool urgent) {
  if (urgent) return send_returns();
  if (returns_scheduled_.exchange(true, std::memory_order_acq_rel)) return;
  worker_.post_at(deadline_after_ns(kReturnsDelay_ns), [this] { send_returns(); });
}

void Super::send_returns() {
  returns_scheduled_.store(false, std::memory_order_release);
  LeaseTable::Returns returns = leases_->take_returns();
  if (returns.empty() || client_ == nullptr) return;
  client_->release(std::move(returns.grants), std::move(returns.closed), returns.incarnation);
}

// --- SuperOps

Result<fs::Kstatfs> Super::statfs(const CallContext& ctx, fs::Dentry& dentry) {
  NetInode& inode = net_inode(*dentry.d_inode());
  MYFS_ASSIGN(const rpc::StatfsReply reply,
              call(ctx, inode, [&](const rpc::Handle& handle, const Ticket&) {
                return client_->statfs(ctx, handle);
              }));
  fs::Kstatfs stat;
  stat.f_bsize = reply.block_size;
  stat.f_blocks = reply.blocks;
  stat.f_bfree = reply.blocks_free;
  stat.f_bavail = reply.blocks_avail;
  stat.f_files = reply.files;
  stat.f_ffree = reply.files_free;
  stat.f_fsid = reply.fsid;
  stat.f_namelen = reply.name_max;
  return stat;
}

Result<std::vector<fs::SmallFile>> Super::read_many(const CallContext& ctx,
                                                    std::span<fs::Inode* const> inodes,
                                                    uint32_t max_bytes) {
  rpc::ReadManyArgs args{.max_bytes = max_bytes};
  args.nodes.reserve(inodes.size());
  for (fs::Inode* inode : inodes) {
    MYFS_ASSIGN(const rpc::Handle handle, handle_of(ctx, net_inode(*inode)));
    args.nodes.push_back(handle);
  }
  CallScope scope(*leases_);
  MYFS_ASSIGN(rpc::NodesReply reply, client_->read_many(ctx, std::move(args)));
  if (reply.nodes.size() != inodes.size()) return Errno(EPROTO);
  std::vector<fs::SmallFile> files(inodes.size());
  for (size_t i = 0; i < files.size(); ++i) {
    rpc::Node& node = reply.nodes[i];
    if (!node.error.ok() || !node.has_attr) continue;
    net_inode(*inodes[i]).learn(node, scope.ticket());
    files[i].whole = node.data.size() == node.attr.size;
    files[i].data = std::move(node.data);
  }
  return files;
}

Result<void> Super::sync_fs(const CallContext& ctx) {
  MYFS_TRY(runtime_.writeback().sync(ctx, address_space_ops_));
  Result<uint64_t> synced = client_->sync(ctx);
  // What an ended session had written is durable or reported as lost, file by file.
  if (!synced.ok() && synced.error() == rpc::kSessionLost) synced = client_->sync(ctx);
  if (!synced.ok() && synced.error() != rpc::kSessionLost) return synced.error();
  return {};
}

Result<fs::DirStats> Super::dir_stats(const CallContext& ctx, fs::Inode& dir, bool recursive) {
  return call_dir(ctx, net_inode(dir),
                  [&](const rpc::Handle& handle, const Ticket&) -> Result<fs::DirStats> {
                    MYFS_ASSIGN(const rpc::DirStatsReply reply,
                                client_->dir_stats(ctx, {.dir = handle, .recursive = recursive}));
                    return fs::DirStats{reply.entries, reply.subdirs, reply.bytes};
                  });
}

void Super::evict_inode(fs::Inode& inode) {
  NetInode& mine = net_inode(inode);
  if (mine.mapping() != nullptr) {
    mm::truncate_inode_pages_final(*mine.mapping());
    mine.report_losses();
  }
  leases_->remove(mine.i_ino, mine.lease);
  locks_.forget(mine);
  // A deleted file lives at the server until its pin goes.
  returns_pending(mine.i_attr().nlink == 0);
}

void Super::forget(fs::Inode& inode) { net_inode(inode).forget(); }

Result<std::string> Super::encode_fh(const CallContext& ctx, fs::Inode& inode) {
  return call(ctx, net_inode(inode), [&](const rpc::Handle& handle, const Ticket&) {
    return client_->persist_handle(ctx, handle);
  });
}

Result<Ref<fs::Inode>> Super::fh_to_inode(const CallContext& ctx, std::string_view handle) {
  while (true) {
    CallScope scope(*leases_);
    Result<rpc::Node> node =
        client_->resolve_handle(ctx, {.persistent = std::string(handle), .past = {}});
    if (node.error() == rpc::kSessionLost) continue;
    if (!node.ok()) return node.error();
    MYFS_ASSIGN(Ref<NetInode> inode, learn(*node, scope.ticket(), nullptr));
    return Ref<fs::Inode>(std::move(inode));
  }
}

Result<void> Super::reconfigure(const CallContext&, const fs::Reconfigure& change) {
  if (change.sync_writes.has_value()) {
    sync_writes_.store(*change.sync_writes, std::memory_order_relaxed);
  }
  if (change.attr_timeout_ns.has_value()) {
    validity().attr_timeout_ns.store(*change.attr_timeout_ns, std::memory_order_relaxed);
  }
  const rpc::Patience now = client_->patience();
  client_->set_patience({.soft = change.soft.value_or(now.soft),
                         .timeout_ns = change.timeout_ns.value_or(now.timeout_ns)});
  return ok_result();
}

std::string Super::show_options() {
  const rpc::Patience patience = client_->patience();
  const int64_t attr_timeout_ns = validity().attr_timeout_ns.load(std::memory_order_relaxed);
  const rpc::ClientOptions& client = options_.client;
  std::string text = absl::StrCat(
      patience.soft ? "soft" : "hard", ",timeout=", patience.timeout_ns / kNsPerMs,
      "ms,connect_timeout=", client.connect_timeout_ns / kNsPerMs,
      "ms,rsize=", options_.rsize_bytes, ",wsize=", options_.wsize_bytes,
      ",connections=", client.data_connections, ",write_policy=", sync_writes() ? "sync" : "async",
      ",cache_size=", runtime_.budget().limit());
  if (options_.idmap != nullptr) absl::StrAppend(&text, ",idmap=", options_.idmap->text());
  if (attr_timeout_ns != kNoDeadline) {
    absl::StrAppend(&text, ",cache_timeout=", attr_timeout_ns / kNsPerMs, "ms");
  }
  return text;
}

Errno Super::may_write() {
  return server_read_only_.load(std::memory_order_acquire) ? Errno(EROFS) : Errno();
}

void Super::umount_begin(const CallContext& ctx, bool force) {
  if (client_ == nullptr) return;
  Result<void> written = runtime_.writeback().sync(ctx, address_space_ops_);
  if (!written.ok()) {
    log(LogLevel::kError, "%s: umount%s: %s", options_.s_id, force ? " by force" : "",
        std::string(written.error().text()));
  }
  // Work under way holds inodes. It may wait for a dead server: not for long.
  worker_.drain(std::min(ctx.deadline_ns, deadline_after_ns(kDrain_ns)));
  put_deferred();
  send_returns();  // not later: the session would be unknown
  // Ends what is in flight: it keeps pages, for as long as the server stays away.
  CallContext end = background_ctx_;
  end.deadline_ns = deadline_after_ns(written.ok() ? kCloseTimeout_ns : kForcedFlush_ns);
  locks_.shut_down();
  client_->close(end);
  lose_dirty_pages("unmounted");
  worker_.drain(deadline_after_ns(kDrain_ns));
  put_deferred();
}

// What can be written soon is written; then nobody who waits is made to wait any longer.
void Super::shutdown(const CallContext& ctx) {
  CallContext brief = ctx;
  brief.deadline_ns = std::min(ctx.deadline_ns, deadline_after_ns(kForcedFlush_ns));
  (void)runtime_.writeback().sync(brief, address_space_ops_);
  locks_.shut_down();
  // The server is told if it answers in what is left of the time: else others would wait for what
  // the session holds until it has expired. From then on they change what is cached here.
  end_generation();
  client_->close(brief);
  end_generation();  // what was granted meanwhile
  lose_dirty_pages("unmounted by force");
  put_deferred();
}

void Super::put_super() {
  worker_.stop();
  // Wait for functions of the application.
  lost_writes_->stop();
  app_callbacks_.stop();
}

}  // namespace myfs::netfs
