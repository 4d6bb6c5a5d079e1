#include <algorithm>

#include "server/namespace.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

constexpr uint32_t kTimesMask = kSetAtime | kSetMtime | kSetAtimeNow | kSetMtimeNow;

Errno check_times(Turn& turn, const InodeRecord& inode, uint32_t mask) {
  if ((mask & kTimesMask) == 0 || is_owner(owner_of(inode), turn.cred())) return {};
  bool both_now = (mask & kSetAtimeNow) != 0 && (mask & kSetMtimeNow) != 0;
  if (!both_now) return Errno(EPERM);
  return may(owner_of(inode), turn.cred(), kMayWrite);
}

// Whoever may write takes privileges away by doing so; nobody else may who does not own the inode.
bool may_kill_privileges(Turn& turn, const SetattrArgs& args, const InodeRecord& inode) {
  const Owner owner = owner_of(inode);
  if (is_owner(owner, turn.cred()) || may(owner, turn.cred(), kMayWrite).ok()) return true;
  return args.opener.open_id != 0 &&
         may_access_data(turn, args.node.ino, inode, args.opener, kAccessWrite).ok();
}

Errno check_setattr(Turn& turn, const SetattrArgs& args, const InodeRecord& inode,
                    NewAttributes* out) {
  const Cred& cred = turn.cred();
  uint32_t mask = args.mask & kSetAll;
  if ((mask & (kSetUid | kSetGid)) != 0) {
    Errno error = may_chown(owner_of(inode), cred, mask & kSetUid ? &args.attr.uid : nullptr,
                            mask & kSetGid ? &args.attr.gid : nullptr);
    if (!error.ok()) return error;
  }
  if ((mask & kSetKillPrivileges) != 0 && !may_kill_privileges(turn, args, inode)) {
    if ((inode.mode & (S_ISUID | S_ISGID)) != 0 && !inode.is_dir()) return Errno(EPERM);
    mask &= ~kSetKillPrivileges;  // as the kernel: a chown to nobody of what has none succeeds
  }
  out->mask = mask;
  if ((mask & kSetMode) != 0) {
    uint32_t mode = args.attr.mode & 07777;
    if (Errno error = may_chmod(owner_of(inode), cred, &mode); !error.ok()) return error;
    if (inode.is_symlink()) return Errno(EOPNOTSUPP);
    out->mode = mode;
    // Whoever writes from now on must take the new privileges away: W is granted anew.
    if (inode.is_regular() && (mode & (S_ISUID | S_ISGID)) != 0) out->recalls |= kPartW;
  }
  if (Errno error = check_times(turn, inode, mask); !error.ok()) return error;
  if ((mask & kSetSize) != 0) {
    const Opener opener = opener_or_caller(turn, args.opener);
    Errno error = may_access_data(turn, args.node.ino, inode, opener, kAccessWrite);
    if (error == Errno(EBADF)) error = Errno(EINVAL);
    if (!error.ok()) return error;
    if (args.attr.size > kFileSizeMax_bytes) return Errno(EFBIG);
    if (drops_privileges(inode, cred)) out->recalls |= kPartA;
  }
  if ((mask & (kSetMode | kSetUid | kSetGid | kSetKillPrivileges)) != 0) out->recalls |= kPartA;
  if ((mask & kSetSize) != 0) out->recalls |= kPartR | kPartW;
  if ((mask & kTimesMask) != 0) out->recalls |= inode.is_dir() ? kPartD : kPartR | kPartW;
  return {};
}

void apply_setattr(Turn& turn, const SetattrArgs& args, const NewAttributes& attributes) {
  const uint32_t mask = attributes.mask & ~kSetSize;
  if (mask == 0) return;
  InodeRecord& inode = turn.edit(args.node.ino);
  if ((mask & (kSetUid | kSetGid | kSetKillPrivileges)) != 0 && !inode.is_dir()) {
    // chown takes privileges away whoever does it.
    const Cred nobody{.uid = UINT32_MAX, .gid = UINT32_MAX, .groups = {}};
    const bool keep_sgid = turn.cred().is_root() || turn.cred().in_group(inode.gid);
    inode.mode = mode_without_privileges(owner_of(inode), keep_sgid ? Cred() : nobody);
  }
  if ((mask & kSetMode) != 0) {
    inode.mode = (inode.mode & S_IFMT) | attributes.mode;
    inode.acl.chmod_masq(inode.mode);
  }
  if ((mask & kSetUid) != 0) inode.uid = args.attr.uid;
  if ((mask & kSetGid) != 0) inode.gid = args.attr.gid;
  if ((mask & kSetAtimeNow) != 0) {
    inode.atime = turn.now();
  } else if ((mask & kSetAtime) != 0) {
    inode.atime = args.attr.atime;
  }
  if ((mask & kSetMtimeNow) != 0) {
    inode.mtime = turn.now();
  } else if ((mask & kSetMtime) != 0) {
    inode.mtime = args.attr.mtime;
  }
  // Later than what was written before.
  if ((mask & (kSetMtime | kSetMtimeNow)) != 0) turn.shard().data().forget_mtime(args.node.ino);
}

// ---- extended attributes

constexpr std::string_view kUser = "user.", kTrusted = "trusted.", kSecurity = "security.";

Errno check_xattr(Turn& turn, const InodeRecord& inode, std::string_view name, bool writes) {
  if (name.size() > kNameMax_bytes || name.empty()) return Errno(ERANGE);
  if (name.find('\0') != name.npos) return Errno(EINVAL);
  const Cred& cred = turn.cred();
  int mask = writes ? kMayWrite : kMayRead;
  if (name.starts_with(kTrusted)) {
    if (!cred.is_root()) return writes ? Errno(EPERM) : Errno(ENODATA);
    return {};
  }
  if (name.starts_with(kSecurity)) return writes && !cred.is_root() ? Errno(EPERM) : Errno();
  if (!name.starts_with(kUser) || name.size() == kUser.size())
    return name == kUser ? Errno(EINVAL) : Errno(EOPNOTSUPP);
  if (!inode.is_regular() && !inode.is_dir()) return writes ? Errno(EPERM) : Errno(ENODATA);
  if (writes && inode.is_dir() && (inode.mode & S_ISVTX) != 0 && !is_owner(owner_of(inode), cred))
    return Errno(EPERM);
  return may(owner_of(inode), cred, mask);
}

}  // namespace

Errno setattr(Turn& turn, const SetattrArgs& args, ContentChangeRef change, ChangedReply& reply) {
  const uint64_t ino = args.node.ino;
  if (turn.phase() != 0) {
    Errno error = finish_truncate(turn, ino, args.attr.size, *change);
    if (!error.ok()) return error;
    apply_setattr(turn, args, change->attributes);
    reply.node = turn.reply(ino, kPartA, &args.opener);
    return {};
  }
  Result<InodeRef> inode = turn.node(args.node);
  if (!inode.ok()) return inode.error();
  if (Errno error = turn.may_change(); !error.ok()) return error;
  NewAttributes attributes;
  if (Errno error = check_setattr(turn, args, **inode, &attributes); !error.ok()) return error;
  const bool sizes = (args.mask & kSetSize) != 0;
  if (sizes) turn.lane(ino);
  turn.recall(ino, attributes.recalls);
  if (turn.blocked()) return {};
  if (sizes) {
    change->attributes = attributes;
    start_truncate(turn, ino, args.attr.size, change);
    return {};
  }
  apply_setattr(turn, args, attributes);
  Parts want = (*inode)->is_dir() ? kPartA | kPartD : kPartA;
  reply.node = turn.reply(ino, want, &args.opener);
  return {};
}

Errno getxattr(Turn& turn, const XattrArgs& args, XattrReply& reply) {
  Result<InodeRef> inode = turn.node(args.node);
  if (!inode.ok()) return inode.error();
  if (is_posix_acl_xattr(args.name)) return get_acl(**inode, args.name, &reply.value);
  if (Errno error = check_xattr(turn, **inode, args.name, false); !error.ok()) return error;
  auto value = turn.view().get(xattr_key(args.node.ino, args.name));
  if (!value.ok()) return value.error();
  if (!*value) return Errno(ENODATA);
  reply.value = std::move(**value);
  return {};
}

Errno listxattr(Turn& turn, const Handle& node, XattrReply& reply) {
  Result<InodeRef> inode = turn.node(node);
  if (!inode.ok()) return inode.error();
  for (std::string_view name : {kXattrAclAccess, kXattrAclDefault}) {
    std::string value;
    if (!get_acl(**inode, name, &value).ok()) continue;
    reply.names.emplace_back(name);
    reply.values.push_back(std::move(value));
  }
  auto [from, to] = number_range('X', node.ino);
  bool all_readable = true;
  Result<void> scanned =
      turn.view().scan(from, to, 0, [&](std::string_view key, std::string_view value) {
        Result<std::string_view> name = parse_xattr_name(key);
        if (!name.ok() || (name->starts_with(kTrusted) && !turn.cred().is_root())) return true;
        all_readable &= check_xattr(turn, **inode, *name, false).ok();
        reply.names.emplace_back(*name);
        reply.values.emplace_back(value);
        return true;
      });
  if (!scanned.ok()) return scanned.error();
  if (!all_readable) reply.values.clear();
  return {};
}

Errno setxattr(Turn& turn, const XattrArgs& args, ChangedReply& reply) {
  if (is_posix_acl_xattr(args.name)) return set_acl(turn, args, reply);
  Result<InodeRef> inode = turn.node(args.node);
  if (!inode.ok()) return inode.error();
  if (Errno error = turn.may_change(); !error.ok()) return error;
  if (Errno error = check_xattr(turn, **inode, args.name, true); !error.ok()) return error;
  if (args.value.size() > kXattrValueMax_bytes) return Errno(E2BIG);
  auto [from, to] = number_range('X', args.node.ino);
  size_t total = args.remove ? 0 : args.name.size() + args.value.size();
  bool exists = false;
  Result<void> scanned =
      turn.view().scan(from, to, 0, [&](std::string_view key, std::string_view value) {
        Result<std::string_view> name = parse_xattr_name(key);
        if (name.ok() && *name == args.name) {
          exists = true;
        } else if (name.ok()) {
          total += name->size() + value.size();
        }
        return true;
      });
  if (!scanned.ok()) return scanned.error();
  if (!exists && (args.remove || (args.flags & kXattrReplace) != 0)) return Errno(ENODATA);
  if (exists && !args.remove && (args.flags & kXattrCreate) != 0) return Errno(EEXIST);
  if (total > kXattrTotalMax_bytes) return Errno(ENOSPC);
  if (!args.remove && !turn.shard().has_room()) return Errno(ENOSPC);
  turn.recall(args.node.ino, kPartA);
  if (turn.blocked()) return {};
  if (args.remove) {
    turn.del(xattr_key(args.node.ino, args.name));
  } else {
    turn.put(xattr_key(args.node.ino, args.name), args.value);
  }
  turn.edit(args.node.ino);
  reply.node = turn.reply(args.node.ino, kPartA);
  return {};
}

}  // namespace myfs::server
