// The calls of Client that go over the control connection.
#include "sdk/rpc/client_impl.h"

namespace myfs::rpc {
namespace {

// A call without a reply's content.
Result<void> done(const Result<Nothing>& result) { return result.error(); }

}  // namespace

Result<LookupReply> Client::lookup(const CallContext& ctx, LookupArgs args) {
  if (args.names.size() > kLookupNamesMax) return Errno(EINVAL);
  return impl_->call<LookupCall>(ctx, std::move(args));
}

Result<Node> Client::getattr(const CallContext& ctx, GetattrArgs args) {
  return impl_->call<GetattrCall>(ctx, std::move(args));
}

Result<NodesReply> Client::getattrs(const CallContext& ctx, GetattrsArgs args) {
  return impl_->call<GetattrsCall>(ctx, std::move(args));
}

Result<Changed> Client::setattr(const CallContext& ctx, SetattrArgs args) {
  Urgency urgency = args.urgency;
  return impl_->call<SetattrCall>(ctx, std::move(args), 0, urgency);
}

Result<Changed> Client::create_node(const CallContext& ctx, CreateArgs args) {
  return impl_->call<CreateCall>(ctx, std::move(args));
}

Result<Changed> Client::link(const CallContext& ctx, LinkArgs args) {
  return impl_->call<LinkCall>(ctx, std::move(args));
}

Result<Changed> Client::unlink(const CallContext& ctx, UnlinkArgs args) {
  return impl_->call<UnlinkCall>(ctx, std::move(args));
}

Result<Changed> Client::rename(const CallContext& ctx, RenameArgs args) {
  return impl_->call<RenameCall>(ctx, std::move(args));
}

Result<ReaddirReply> Client::readdir(const CallContext& ctx, ReaddirArgs args) {
  uint32_t bytes = args.max_bytes;
  return impl_->call<ReaddirCall>(ctx, args, bytes);
}

Result<Changed> Client::open(const CallContext& ctx, OpenArgs args) {
  return impl_->call<OpenCall>(ctx, std::move(args));
}

Result<StatfsReply> Client::statfs(const CallContext& ctx, const Handle& node) {
  return impl_->call<StatfsCall>(ctx, NodeArgs{node});
}

Result<std::string> Client::getxattr(const CallContext& ctx, GetxattrArgs args) {
  return impl_->call<GetxattrCall>(ctx, std::move(args));
}

Result<ListxattrReply> Client::listxattr(const CallContext& ctx, const Handle& node) {
  return impl_->call<ListxattrCall>(ctx, NodeArgs{node});
}

Result<Changed> Client::setxattr(const CallContext& ctx, SetxattrArgs args) {
  auto bytes = static_cast<uint32_t>(args.value.size());
  return impl_->call<SetxattrCall>(ctx, std::move(args), bytes);
}

Result<LockReply> Client::lock(const CallContext& ctx, LockArgs args) {
  MYFS_ASSIGN(LockReply reply, impl_->call<LockCall>(ctx, std::move(args)));
  if (!reply.refused.ok()) return reply.refused;
  return reply;
}

void Client::lock_async(const CallContext& ctx, LockArgs args, Admission admission,
                        Completion<LockReply> done) {
  impl_->call_async<LockCall>(ctx, std::move(args), std::move(admission), std::move(done), true);
}

void Client::lock_cancel_async(const CallContext& ctx, const Handle& node, uint64_t lock_id,
                               Admission admission, Completion<uint64_t> done) {
  impl_->call_async<LockCancelCall>(ctx, LockIdArgs{.lock_id = lock_id, .node = node},
                                    std::move(admission), std::move(done), true);
}

Result<LockRange> Client::lock_test(const CallContext& ctx, LockTestArgs args) {
  return impl_->call<LockTestCall>(ctx, args);
}

Result<void> Client::lock_release(const CallContext& ctx, LockReleaseArgs args) {
  return done(impl_->call<LockReleaseCall>(ctx, args));
}

Result<Node> Client::resolve_handle(const CallContext& ctx, ResolveHandleArgs args) {
  return impl_->call<ResolveHandleCall>(ctx, std::move(args));
}

Result<std::string> Client::persist_handle(const CallContext& ctx, const Handle& node) {
  return impl_->call<PersistHandleCall>(ctx, NodeArgs{node});
}

Result<ParentReply> Client::parent_of(const CallContext& ctx, const Handle& dir) {
  return impl_->call<ParentOfCall>(ctx, NodeArgs{dir});
}

Result<DirStatsReply> Client::dir_stats(const CallContext& ctx, DirStatsArgs args) {
  return impl_->call<DirStatsCall>(ctx, args);
}

Result<uint64_t> Client::sync(const CallContext& ctx) {
  return impl_->call<SyncCall>(ctx, Nothing{});
}

// Calls of the session need no admission: they are few, small and must get through when nothing
// else does.
Result<void> Client::ping(const CallContext& ctx) {
  return done(impl_->call_admitted<PingCall>(ctx, Nothing{}, Admission()));
}

Result<ServerStats> Client::server_stats(const CallContext& ctx) {
  return impl_->call_admitted<StatsCall>(ctx, Nothing{}, Admission());
}

void Client::release(std::vector<Grant> grants, std::vector<uint64_t> closed_open_ids,
                     uint64_t incarnation) {
  impl_->tell<ReleaseCall>(ReleaseArgs{std::move(grants), std::move(closed_open_ids)}, incarnation);
}

void Client::ack(AckArgs args) {
  uint64_t incarnation = args.incarnation;
  impl_->tell<AckCall>(std::move(args), incarnation);
}

void Client::glimpsed(GlimpsedArgs args) {
  uint64_t incarnation = args.incarnation;
  impl_->tell<GlimpsedCall>(args, incarnation);
}

void Client::lock_granted(uint64_t lock_id, uint64_t incarnation) {
  impl_->tell<LockGrantedCall>(LockIdArgs{.lock_id = lock_id, .node = {}}, incarnation);
}

}  // namespace myfs::rpc
