// NetInodeOps: look-up and changes of names.
#include <fcntl.h>

#include <algorithm>
#include <utility>

#include "sdk/base/error_detail.h"
#include "sdk/fs/dcache.h"
#include "sdk/netfs/app_lease.h"
#include "sdk/netfs/super.h"

namespace myfs::netfs {

namespace {

// What the next call will want of the last node of a walk.
LeaseParts wanted_parts(fs::LookupIntent intent) {
  switch (intent) {
    case fs::LookupIntent::kOpenWrite:
      return fs::kLeaseA | fs::kLeaseW | fs::kLeaseP;
    case fs::LookupIntent::kOpenRead:
    case fs::LookupIntent::kOpenPath:
      return fs::kLeaseA | fs::kLeaseD | fs::kLeaseR | fs::kLeaseP;
    case fs::LookupIntent::kStat:
    case fs::LookupIntent::kWalk:
      break;
  }
  return fs::kLeaseA | fs::kLeaseD | fs::kLeaseR;
}

LeaseParts wanted_parts_of_new(uint32_t mode, const fs::File* file) {
  if (S_ISDIR(mode)) return fs::kLeaseA | fs::kLeaseD;
  if (file == nullptr) return fs::kLeaseA | fs::kLeaseR;
  const LeaseParts data = file->may_write() ? fs::kLeaseW : fs::kLeaseR;
  return fs::kLeaseA | fs::kLeaseP | data;
}

fs::DirVersion version_of(const fs::Dentry& dir, const Kstat& stat) {
  return {dir.d_inode()->i_lease.sample(), stat.change};
}

}  // namespace

Result<fs::LookupChain> NetInodeOps::lookup(const CallContext& ctx, fs::Dentry& dir,
                                            std::span<const std::string_view> names,
                                            fs::LookupIntent intent) {
  NetInode& inode = net_inode(*dir.d_inode());
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<fs::LookupChain> {
    rpc::LookupArgs args{.dir = handle, .want = wanted_parts(intent)};
    const size_t count = std::min<size_t>(names.size(), kLookupNamesMax);
    args.names.assign(names.begin(), names.begin() + count);
    MYFS_ASSIGN(const rpc::LookupReply reply, super_.client().lookup(ctx, std::move(args)));
    if (reply.nodes.empty() || reply.nodes.size() > count) return Errno(EPROTO);
    fs::LookupChain chain;
    Ref<fs::Dentry> parent(dir);
    const Kstat dir_stat = inode.learn(reply.dir_node, ticket);
    fs::DirVersion version = version_of(dir, reply.dir_node.has_attr ? dir_stat : Kstat());
    for (size_t i = 0; i < reply.nodes.size(); ++i) {
      const rpc::Node& node = reply.nodes[i];
      fs::LookupStep step{.error = node.error};
      if (!node.error.ok()) {
        if (node.error == Errno(ENOENT)) {
          step.dentry = super_.sb().s_dcache.d_learn(*parent, names[i], nullptr, version);
        }
        chain.push_back(std::move(step));
        break;
      }
      MYFS_ASSIGN(Ref<NetInode> child, super_.learn(node, ticket, &step.stat));
      child->set_place(net_inode(*parent->d_inode()), names[i]);
      step.has_stat = true;
      Ref<fs::Dentry> dentry = super_.sb().s_dcache.d_learn(*parent, names[i], child, version);
      version = version_of(*dentry, step.stat);
      step.dentry = dentry;
      parent = dentry;
      chain.push_back(std::move(step));
    }
    return chain;
  };
  return super_.call_dir(ctx, inode, ask);
}

Result<Ref<fs::Dentry>> NetInodeOps::get_parent(const CallContext& ctx, fs::Dentry& dir) {
  NetInode& inode = net_inode(*dir.d_inode());
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<Ref<fs::Dentry>> {
    MYFS_ASSIGN(const rpc::ParentReply reply, super_.client().parent_of(ctx, handle));
    fs::Dentry& root = super_.sb().s_root();
    if (reply.name.empty()) return Ref<fs::Dentry>(root);
    Kstat stat;
    MYFS_ASSIGN(Ref<NetInode> parent, super_.learn(reply.node, ticket, &stat));
    inode.set_place(*parent, reply.name);
    fs::Dcache& dcache = super_.sb().s_dcache;
    Ref<fs::Dentry> above =
        root.d_inode() == parent.get() ? Ref<fs::Dentry>(root) : dcache.d_alloc_anon(parent);
    return dcache.d_learn(*above, reply.name, RefPtr<fs::Inode>(Ref<fs::Inode>(inode)),
                          version_of(*above, stat));
  };
  return super_.call(ctx, inode, ask);
}

// --- changes

fs::DirVersion NetInodeOps::learn_dir(const CallContext& ctx, fs::Dentry& dir,
                                      const rpc::Node& node, const Ticket& ticket) {
  NetInode& inode = net_inode(*dir.d_inode());
  if (node.has_attr) return version_of(dir, inode.learn(node, ticket));
  // A replayed answer carries no attributes.
  rpc::Handle handle;
  if (!inode.handle(&handle)) return {};
  Result<rpc::Node> fresh =
      super_.client().getattr(ctx, {.node = handle, .want = fs::kLeaseA | fs::kLeaseD});
  if (!fresh.ok() || !fresh->has_attr) return {};
  return version_of(dir, inode.learn(*fresh, ticket));
}

Result<Ref<NetInode>> NetInodeOps::learn_changed(const CallContext& ctx, rpc::Node& node,
                                                 const Ticket& ticket, LeaseParts want,
                                                 Kstat* stat) {
  if (node.has_attr) return super_.learn(node, ticket, stat);
  Result<rpc::Node> fresh = super_.client().getattr(ctx, {.node = node.handle, .want = want});
  if (fresh.ok()) {
    node = *std::move(fresh);
    return super_.learn(node, ticket, stat);
  }
  // What was done is not to be done again.
  const bool retried = fresh.error() == rpc::kSessionLost || fresh.error() == Errno(ESTALE);
  const Errno error = fail(retried ? Errno(EIO) : fresh.error(),
                           "it was made, but the server could not be asked what it is");
  thread_error_detail().in_doubt = true;
  return error;
}

Result<rpc::Changed> NetInodeOps::create_node(const CallContext& ctx, rpc::CreateArgs args,
                                              const fs::File* opened, const Ticket& ticket) {
  if (opened == nullptr) return super_.client().create_node(ctx, std::move(args));
  const auto opening = make_ref<OpenInFlight>(super_, *opened, ticket, ctx.change);
  return super_.client().create_node(opening->context(ctx), std::move(args));
}

Result<fs::CreateResult> NetInodeOps::create(const CallContext& ctx, fs::Dentry& dir,
                                             std::string_view name, const fs::CreateArgs& args) {
  NetInode& parent = net_inode(*dir.d_inode());
  const bool opens = args.file != nullptr && S_ISREG(args.mode);
  const LeaseParts want = wanted_parts_of_new(args.mode, opens ? args.file : nullptr);
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<fs::CreateResult> {
    rpc::CreateArgs wire{.dir = handle,
                         .name = std::string(name),
                         .mode = args.mode,
                         .umask = args.umask,
                         .rdev = args.rdev,
                         .target = std::string(args.target),
                         .flags = args.exclusive ? rpc::kCreateExcl : 0,
                         .want = want};
    if (opens) {
      wire.flags |= rpc::kCreateOpen;
      if ((args.file->f_flags() & O_TRUNC) != 0) wire.flags |= rpc::kCreateTrunc;
      wire.opener = opener_of(*args.file);
      wire.opener.cred = dir.d_sb().server_cred(args.file->f_cred);
    }
    const uint64_t dir_change = parent.i_change.load(std::memory_order_acquire);
    MYFS_ASSIGN(rpc::Changed changed,
                create_node(ctx, std::move(wire), opens ? args.file : nullptr, ticket));
    const fs::DirVersion version = learn_dir(ctx, dir, changed.dir, ticket);
    fs::CreateResult result{.dentry = Ref<fs::Dentry>(dir)};
    Result<Ref<NetInode>> learned = learn_changed(ctx, changed.node, ticket, want, &result.stat);
    if (!learned.ok()) {
      if (opens) super_.file_ops().forget_open(args.file->f_open_id, ticket);
      return learned.error();
    }
    const Ref<NetInode> inode = *std::move(learned);
    inode->set_place(parent, name);
    result.has_stat = true;
    // Found, not made: it is of another kind, the directory did not change, or the file is older
    // than its last change.
    result.created =
        args.exclusive ||
        ((result.stat.mode & S_IFMT) == (args.mode & S_IFMT) && version.change > dir_change &&
         result.stat.btime == result.stat.ctime && result.stat.btime == parent.i_attr().mtime);
    if (opens && inode->is_regular()) {
      super_.counters().server_opens.add();
      MYFS_TRY(super_.file_ops().opened_by_create(ctx, *inode, *args.file, ticket));
      if (!result.created && (args.file->f_flags() & O_TRUNC) != 0) {
        lose_app_leases(*inode, kDataParts);
        inode->i_rwsem.lock_nested();  // directories come first
        // The server's size, whatever was written here before under W.
        inode->learn_size(changed.node.attr);
        inode->i_rwsem.unlock();
        result.stat.size = changed.node.attr.size;
        result.stat.mtime = changed.node.attr.mtime;
      }
      result.opened = true;
    }
    result.dentry = super_.sb().s_dcache.d_add(dir, name, inode, version);
    return result;
  };
  return super_.call_dir(ctx, parent, ask);
}

Result<fs::CreateResult> NetInodeOps::tmpfile(const CallContext& ctx, fs::Dentry& dir,
                                              const fs::CreateArgs& args) {
  NetInode& parent = net_inode(*dir.d_inode());
  const LeaseParts want = wanted_parts_of_new(args.mode, args.file);
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<fs::CreateResult> {
    rpc::CreateArgs wire{
        .dir = handle,
        .mode = args.mode,
        .umask = args.umask,
        .flags = rpc::kCreateTmpfile | rpc::kCreateOpen | (args.exclusive ? rpc::kCreateExcl : 0),
        .want = want,
        .opener = opener_of(*args.file)};
    wire.opener.cred = dir.d_sb().server_cred(args.file->f_cred);
    MYFS_ASSIGN(rpc::Changed changed, create_node(ctx, std::move(wire), args.file, ticket));
    fs::CreateResult result{.dentry = Ref<fs::Dentry>(dir), .created = true, .opened = true};
    Result<Ref<NetInode>> learned = learn_changed(ctx, changed.node, ticket, want, &result.stat);
    if (!learned.ok()) {
      super_.file_ops().forget_open(args.file->f_open_id, ticket);
      return learned.error();
    }
    result.has_stat = true;
    super_.counters().server_opens.add();
    MYFS_TRY(super_.file_ops().opened_by_create(ctx, **learned, *args.file, ticket));
    result.dentry = super_.sb().s_dcache.d_alloc_anon(*std::move(learned));
    return result;
  };
  return super_.call_dir(ctx, parent, ask);
}

Result<void> NetInodeOps::link(const CallContext& ctx, fs::Inode& inode, fs::Dentry& dir,
                               std::string_view name) {
  NetInode& target = net_inode(inode);
  NetInode& parent = net_inode(*dir.d_inode());
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
    MYFS_ASSIGN(const rpc::Handle node, super_.handle_of(ctx, target));
    MYFS_ASSIGN(
        const rpc::Changed changed,
        super_.client().link(ctx, {.node = node, .dir = handle, .name = std::string(name)}));
    const fs::DirVersion version = learn_dir(ctx, dir, changed.dir, ticket);
    if (changed.node.has_attr) {
      target.learn(changed.node, ticket);
    } else if (Result<rpc::Node> fresh = super_.client().getattr(ctx, {.node = node}); fresh.ok()) {
      target.learn(*fresh, ticket);
    }
    super_.sb().s_dcache.d_add(dir, name, RefPtr<fs::Inode>(Ref<fs::Inode>(inode)), version);
    return {};
  };
  Result<void> result = super_.call(ctx, parent, ask);
  return result.error() == Errno(ESTALE) ? Errno(ENOENT) : result.error();
}

RefPtr<NetInode> NetInodeOps::known_at(const CallContext& ctx, const NetInode& dir,
                                       std::string_view name) {
  RefPtr<fs::Dentry> known = super_.sb().s_dcache.d_lookup(dir, name);
  if (!known || known->is_negative() || ctx.change == nullptr) return nullptr;
  NetInode& inode = net_inode(*known->d_inode());
  return ctx.change->covers(inode.i_ino) ? RefPtr<NetInode>::try_from(&inode) : nullptr;
}

Result<void> NetInodeOps::unlink(const CallContext& ctx, fs::Dentry& dir, std::string_view name) {
  return remove(ctx, dir, name, false);
}

Result<void> NetInodeOps::rmdir(const CallContext& ctx, fs::Dentry& dir, std::string_view name) {
  return remove(ctx, dir, name, true);
}

Result<void> NetInodeOps::remove(const CallContext& ctx, fs::Dentry& dir, std::string_view name,
                                 bool directory) {
  NetInode& parent = net_inode(*dir.d_inode());
  const RefPtr<NetInode> known = known_at(ctx, parent, name);
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
    MYFS_ASSIGN(const rpc::Changed changed,
                super_.client().unlink(ctx, {.dir = handle,
                                             .name = std::string(name),
                                             .directory = directory,
                                             .known = known ? known->i_ino : 0}));
    const fs::DirVersion version = learn_dir(ctx, dir, changed.dir, ticket);
    // A replayed answer does not tell what was removed. Of anything else the server has taken the
    // leases before.
    if (known && !changed.victim.has_attr) known->forget();
    if (RefPtr<NetInode> victim = super_.learn_cached(changed.victim, ticket); victim) {
      if (victim->is_dir()) victim->i_flags.fetch_or(fs::Inode::kDead, std::memory_order_acq_rel);
    }
    super_.sb().s_dcache.d_add(dir, name, nullptr, version);
    return {};
  };
  return super_.call_dir(ctx, parent, ask);
}

Result<void> NetInodeOps::rename(const CallContext& ctx, fs::Dentry& old_dir,
                                 std::string_view old_name, fs::Dentry& new_dir,
                                 std::string_view new_name, uint32_t flags) {
  NetInode& from = net_inode(*old_dir.d_inode());
  NetInode& to = net_inode(*new_dir.d_inode());
  const RefPtr<NetInode> known_moved = known_at(ctx, from, old_name);
  const RefPtr<NetInode> known_replaced = known_at(ctx, to, new_name);
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
    MYFS_ASSIGN(const rpc::Handle target, super_.handle_of(ctx, to));
    MYFS_ASSIGN(const rpc::Changed changed,
                super_.client().rename(
                    ctx, {.old_dir = handle,
                          .old_name = std::string(old_name),
                          .new_dir = target,
                          .new_name = std::string(new_name),
                          .flags = flags,
                          .known_moved = known_moved ? known_moved->i_ino : 0,
                          .known_replaced = known_replaced ? known_replaced->i_ino : 0}));
    const fs::DirVersion old_version = learn_dir(ctx, old_dir, changed.dir, ticket);
    const fs::DirVersion new_version =
        &from == &to ? old_version : learn_dir(ctx, new_dir, changed.other_dir, ticket);
    fs::Dcache& dcache = super_.sb().s_dcache;
    if (!changed.node.has_attr) {  // replayed: nor does it tell what was moved, or over what
      if (known_moved) known_moved->forget();
      if (known_replaced) known_replaced->forget();
      dcache.d_drop(from, old_name);
      dcache.d_drop(to, new_name);
      return {};
    }
    RefPtr<NetInode> moved = super_.learn_cached(changed.node, ticket);
    // Two names of one file: nothing has happened.
    const rpc::Handle& replaced = changed.victim.handle;
    if (replaced.ino != 0 && replaced.ino == changed.node.handle.ino) return {};
    if (moved) moved->set_place(to, new_name);
    RefPtr<NetInode> victim = super_.learn_cached(changed.victim, ticket);
    constexpr uint32_t kExchange = 2;
    if ((flags & kExchange) != 0) {
      if (victim) victim->set_place(from, old_name);
      dcache.d_exchange(old_dir, old_name, old_version, new_dir, new_name, new_version, moved.get(),
                        victim.get());
    } else {
      if (victim && victim->is_dir()) {
        victim->i_flags.fetch_or(fs::Inode::kDead, std::memory_order_acq_rel);
      }
      dcache.d_move(old_dir, old_name, old_version, new_dir, new_name, new_version, moved.get());
    }
    return {};
  };
  Result<void> result = super_.call(ctx, from, ask);
  return result.error() == Errno(ESTALE) ? Errno(ENOENT) : result.error();
}

}  // namespace myfs::netfs
