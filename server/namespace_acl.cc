// Access control lists: as extended attributes of the kernel's format, and their inheritance.
#include "server/namespace.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

// The list that `args` asks for; what it is not allowed to be, in the kernel's order.
Result<PosixAcl> new_list(Turn& turn, const XattrArgs& args, const InodeRecord& inode) {
  if (inode.is_symlink()) return Errno(EOPNOTSUPP);
  PosixAcl list;
  if (!args.remove) {
    MYFS_ASSIGN(list, PosixAcl::from_xattr(args.value));
  }
  bool misplaced = args.name == kXattrAclDefault && !inode.is_dir();
  if (misplaced && !list.empty()) return Errno(EACCES);
  if (misplaced) return list;  // there was none
  if (!is_owner(owner_of(inode), turn.cred())) return Errno(EPERM);
  if (list.empty()) return list;
  if (Errno error = list.valid(); !error.ok()) return error;
  bool fits = list.entries().size() <= kAclEntriesMax && turn.shard().has_room();
  if (!fits) return Errno(ENOSPC);
  return list;
}

// The mode follows the list; a list that is no more than mode bits is none.
void apply_access(Turn& turn, PosixAcl list, InodeRecord* inode) {
  if (!list.empty()) {
    if (list.equiv_mode(&inode->mode)) list = PosixAcl();
    if (!turn.cred().is_root() && !turn.cred().in_group(inode->gid))
      inode->mode &= ~static_cast<uint32_t>(S_ISGID);
  }
  inode->acl = std::move(list);
}

}  // namespace

Errno get_acl(const InodeRecord& inode, std::string_view name, std::string* value) {
  if (inode.is_symlink()) return Errno(EOPNOTSUPP);
  const PosixAcl& list = name == kXattrAclDefault ? inode.default_acl : inode.acl;
  if (list.empty()) return Errno(ENODATA);
  *value = list.to_xattr();
  return {};
}

Errno set_acl(Turn& turn, const XattrArgs& args, ChangedReply& reply) {
  Result<InodeRef> inode = turn.node(args.node);
  if (!inode.ok()) return inode.error();
  if (Errno error = turn.may_change(); !error.ok()) return error;
  if (args.value.size() > kXattrValueMax_bytes) return Errno(E2BIG);
  Result<PosixAcl> list = new_list(turn, args, **inode);
  if (!list.ok()) return list.error();
  turn.recall(args.node.ino, kPartA);
  if (turn.blocked()) return {};
  InodeRecord& record = turn.edit(args.node.ino);
  if (args.name == kXattrAclDefault) {
    record.default_acl = std::move(*list);
  } else {
    apply_access(turn, std::move(*list), &record);
  }
  reply.node = turn.reply(args.node.ino, kPartA);
  return {};
}

void inherit_acl(const InodeRecord& dir, uint32_t umask, InodeRecord* inode) {
  if (inode->is_symlink()) return;
  if (dir.default_acl.empty()) {
    inode->mode &= ~(umask & 0777);
    return;
  }
  PosixAcl list = dir.default_acl;
  if (!list.create_masq(&inode->mode)) inode->acl = std::move(list);
  if (inode->is_dir()) inode->default_acl = dir.default_acl;
}

}  // namespace myfs::server
