// NetInodeOps: attributes, symbolic links' targets, extended attributes.
#include <optional>
#include <utility>

#include "sdk/fs/permission.h"
#include "sdk/mm/filemap.h"
#include "sdk/netfs/super.h"

namespace myfs::netfs {

Result<Kstat> NetInodeOps::getattr(const CallContext& ctx, fs::Inode& inode) {
  return ask_attr(ctx, inode, nullptr);
}

Result<void> NetInodeOps::permission(const CallContext& ctx, fs::Inode& inode, uint32_t mask) {
  PosixAcl acl;
  MYFS_ASSIGN(const Kstat stat, ask_attr(ctx, inode, &acl));
  fs::Perm perm(stat);
  if (!acl.empty()) perm.acl = &acl;
  return fs::generic_permission(*fs::Acting(*ctx.cred, inode.i_sb()), perm, mask);
}

Result<Kstat> NetInodeOps::ask_attr(const CallContext& ctx, fs::Inode& inode, PosixAcl* acl) {
  NetInode& mine = net_inode(inode);
  const LeaseParts want =
      fs::kLeaseA | (inode.is_dir() ? fs::LeaseParts{fs::kLeaseD} : fs::LeaseParts{fs::kLeaseR});
  // Another client's W is asked for size and times, which are true for this call only. Who asks
  // again and finds nothing changed takes W from the writer, who keeps his pages.
  const bool must_grant = inode.is_regular() && mine.note_stat(inode.i_attr());
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<Kstat> {
    rpc::GetattrArgs args{.node = handle, .want = want};
    args.opener = {
        .open_id = 0, .cred = inode.i_sb().server_cred(ctx.cred), .access = rpc::kAccessRead};
    args.must_grant = must_grant;
    Result<rpc::Node> answer = super_.client().getattr(ctx, args);
    if (must_grant && answer.error() == Errno(EACCES)) {  // he may look, but not read
      args.must_grant = false;
      answer = super_.client().getattr(ctx, args);
    }
    MYFS_ASSIGN(const rpc::Node node, std::move(answer));
    if (!node.error.ok()) return node.error;
    if (!node.has_attr) return Errno(EPROTO);
    return mine.learn(node, ticket, acl);
  };
  Result<Kstat> stat = super_.call(ctx, mine, ask);
  if (stat.ok() || stat.error() != Errno(ESTALE) || !inode.is_dir()) return stat;
  mine.mark_removed();
  PosixAcl last;
  return inode.i_attr_and_acl(acl != nullptr ? acl : &last);
}

Result<void> NetInodeOps::setattr(const CallContext& ctx, fs::Inode& inode, const fs::Iattr& attr,
                                  fs::File* file) {
  NetInode& mine = net_inode(inode);
  const uint16_t began_in = super_.validity().generation.load(std::memory_order_acquire);
  constexpr uint32_t kTimes =
      fs::Iattr::kAtime | fs::Iattr::kMtime | fs::Iattr::kAtimeNow | fs::Iattr::kMtimeNow;
  const bool sizes = (attr.ia_valid & fs::Iattr::kSize) != 0 && mine.mapping() != nullptr;
  // The server's order of size, times and data is the order: what was written before goes first.
  if ((sizes || (attr.ia_valid & kTimes) != 0) && mine.has_dirty_pages()) {
    MYFS_TRY(mm::filemap_write_and_wait_range(ctx, *mine.mapping(), 0, UINT64_MAX));
  }
  rpc::SetattrArgs args{.mask = attr.ia_valid};
  args.attr.mode = attr.ia_mode;
  args.attr.uid = attr.ia_uid;
  args.attr.gid = attr.ia_gid;
  args.attr.size = attr.ia_size;
  args.attr.atime = attr.ia_atime;
  args.attr.mtime = attr.ia_mtime;
  if (file != nullptr) args.opener = opener_of(*file);
  std::optional<mm::WriteSeqSection> hidden;  // lock-free readers wait
  if (sizes) hidden.emplace(mine.mapping()->i_write_seq);
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
    const bool guarded = sizes && file != nullptr;
    if (guarded && super_.locks().lost_since(mine, *file, began_in)) return Errno(EIO);
    args.node = handle;
    MYFS_ASSIGN(rpc::Changed changed, super_.client().setattr(ctx, args));
    MYFS_ASSIGN(changed.node, super_.node_after(ctx, mine, handle, std::move(changed.node)));
    if (sizes || (attr.ia_valid & kTimes) != 0) {
      MutexLock lock(mine.lease.mu);
      mine.lease.own_times = false;
    }
    if (sizes) mine.learn_size(changed.node.attr);
    mine.learn(changed.node, ticket);
    return {};
  };
  MYFS_TRY(super_.call(ctx, mine, ask));
  // The server takes privileges away when it grants W, so this client's own must be granted anew.
  const bool privileges =
      (attr.ia_valid & fs::Iattr::kMode) != 0 && (attr.ia_mode & (S_ISUID | S_ISGID)) != 0;
  if (privileges && mine.mapping() != nullptr) mine.give_back_write(true);
  return {};
}

Result<std::string> NetInodeOps::readlink(const CallContext& ctx, fs::Inode& inode) {
  if (const std::string* target = inode.i_link(); target != nullptr) return *target;
  MYFS_TRY(getattr(ctx, inode));
  const std::string* target = inode.i_link();
  if (target == nullptr) return Errno(EIO);
  return *target;
}

// --- extended attributes

Result<std::string> NetInodeOps::getxattr(const CallContext& ctx, fs::Inode& inode,
                                          std::string_view name) {
  return super_.call(ctx, net_inode(inode), [&](const rpc::Handle& handle, const Ticket&) {
    return super_.client().getxattr(ctx, {.node = handle, .name = std::string(name)});
  });
}

Result<std::vector<std::string>> NetInodeOps::listxattr(const CallContext& ctx, fs::Inode& inode) {
  auto ask = [&](const rpc::Handle& handle, const Ticket&) -> Result<std::vector<std::string>> {
    MYFS_ASSIGN(rpc::ListxattrReply reply, super_.client().listxattr(ctx, handle));
    return std::move(reply.names);
  };
  return super_.call(ctx, net_inode(inode), ask);
}

Result<void> NetInodeOps::change_xattr(const CallContext& ctx, fs::Inode& inode,
                                       rpc::SetxattrArgs args) {
  NetInode& mine = net_inode(inode);
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
    args.node = handle;
    MYFS_ASSIGN(const rpc::Changed changed, super_.client().setxattr(ctx, args));
    super_.learn_change(ctx, mine, handle, changed.node, ticket);
    return {};
  };
  return super_.call(ctx, mine, ask);
}

Result<void> NetInodeOps::setxattr(const CallContext& ctx, fs::Inode& inode, std::string_view name,
                                   std::string_view value, uint32_t flags) {
  return change_xattr(
      ctx, inode,
      {.name = std::string(name), .value = std::string(value), .flags = flags, .remove = false});
}

Result<void> NetInodeOps::removexattr(const CallContext& ctx, fs::Inode& inode,
                                      std::string_view name) {
  return change_xattr(ctx, inode, {.name = std::string(name), .remove = true});
}

}  // namespace myfs::netfs
