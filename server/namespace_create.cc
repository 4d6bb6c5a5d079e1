#include <sys/stat.h>

#include "sdk/base/random.h"
#include "server/namespace.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

// What stands behind the name already, opened as `args` says.
Errno show_existing(Turn& turn, const CreateArgs& args, uint64_t ino, ChangedReply& reply);
Errno open_existing(Turn& turn, const CreateArgs& args, uint64_t ino,
                    const ContentChangeRef& change, ChangedReply& reply) {
  Result<InodeRef> inode = turn.inode(ino);
  if (!inode.ok()) return inode.error();
  const InodeRecord& record = **inode;
  if (record.is_dir()) return Errno(EISDIR);
  bool opens = !record.is_symlink();
  bool truncates = opens && record.is_regular() && (args.flags & kCreateTrunc) != 0;
  if (opens && (args.flags & kCreateDirectory) != 0) return Errno(ENOTDIR);
  if (opens) {
    Opener opener = forced(turn, args.opener);
    if (truncates) opener.access |= kAccessWrite;
    if ((opener.access & kAccessWrite) != 0) {
      if (Errno error = turn.may_change(); !error.ok()) return error;
    }
    if (Errno error = check_open(record, opener); !error.ok()) return error;
  }
  if (truncates) {
    turn.lane(ino);
    // The requester's own, too: he knows of a name only, and may give up before he hears of more.
    Parts parts = kPartR | kPartW;
    if (drops_privileges(record, turn.cred())) parts |= kPartA;
    turn.recall(ino, parts);
    turn.recall_own(ino, parts);
  } else {
    turn.glimpse(ino);
  }
  if (turn.blocked()) return {};
  // Of anything else no open is registered, whom nobody would close.
  if (record.is_regular() && (args.flags & kCreateOpen) != 0) {
    Errno error = register_open(turn, ino, args.opener, &change->registered);
    if (!error.ok()) return error;
  }
  if (!truncates) return show_existing(turn, args, ino, reply);
  start_truncate(turn, ino, 0, change);
  return {};
}

Errno show_existing(Turn& turn, const CreateArgs& args, uint64_t ino, ChangedReply& reply) {
  reply.node = turn.reply(ino, args.want, &args.opener);
  reply.dir = turn.reply(args.dir.ino, kPartA | kPartD);
  return {};
}

// The end of a truncation for which an open may have been registered.
Errno finish_opening(Turn& turn, const Opener& opener, ContentChange& change) {
  Errno error = finish_truncate(turn, change.ino, 0, change);
  if (!error.ok() && change.registered)
    turn.shard().opens().remove(turn.session().id, opener.open_id);
  return error;
}

Errno check_new(Turn& turn, const CreateArgs& args) {
  switch (args.mode & S_IFMT) {
    case S_IFREG:
      return (args.flags & kCreateDirectory) != 0 ? Errno(EINVAL) : Errno();
    case S_IFDIR:
    case S_IFIFO:
    case S_IFSOCK:
      return {};
    case S_IFCHR:
    case S_IFBLK:
      return turn.cred().is_root() ? Errno() : Errno(EPERM);
    case S_IFLNK:
      if (args.target.empty()) return Errno(ENOENT);
      if (args.target.find('\0') != std::string::npos) return Errno(EINVAL);
      return args.target.size() > kSymlinkMax_bytes ? Errno(ENAMETOOLONG) : Errno();
    default:
      return Errno(EINVAL);
  }
}

InodeRecord new_inode(Turn& turn, const CreateArgs& args, const InodeRecord& dir) {
  constexpr uint32_t kModeBits = S_IFMT | 07777;
  Owner owner = owner_of_new(owner_of(dir), turn.cred(), args.mode & kModeBits);
  InodeRecord inode;
  inode.generation = static_cast<uint32_t>(random_u64()) | 1;
  inode.mode = S_ISLNK(owner.mode) ? S_IFLNK | 0777 : owner.mode;
  inode.uid = owner.uid;
  inode.gid = owner.gid;
  inherit_acl(dir, args.umask, &inode);
  inode.nlink = 1;
  if (S_ISDIR(inode.mode)) {
    inode.nlink = 2;
    inode.size = kPageSize_bytes;
    inode.parent = args.dir.ino;
  } else if (S_ISLNK(inode.mode)) {
    inode.size = args.target.size();
    inode.data = args.target;
  } else if (S_ISCHR(inode.mode) || S_ISBLK(inode.mode)) {
    inode.rdev = args.rdev;
  }
  return inode;
}

// An inode without a name, for whoever has it open.
Errno create_tmpfile(Turn& turn, const CreateArgs& args, const InodeRecord& dir,
                     ChangedReply& reply) {
  if (!S_ISREG(args.mode)) return Errno(EINVAL);
  if (args.opener.open_id == 0) return Errno(EINVAL);  // nothing would keep it
  Errno error = may(owner_of(dir), turn.cred(), kMayWrite | kMayExec);
  if (!error.ok()) return error;
  InodeRecord inode = new_inode(turn, args, dir);
  inode.nlink = 0;
  uint64_t ino = turn.shard().new_ino(turn);
  if (error = register_open(turn, ino, args.opener); !error.ok()) return error;
  OrphanRecord orphan;
  orphan.sessions.push_back(turn.session().id);
  orphan.nameable = (args.flags & kCreateExcl) == 0;
  turn.put(orphan_key(ino), orphan.encode());
  turn.add_inode(ino, std::move(inode));
  if ((args.flags & kCreateExcl) == 0) turn.shard().tmpfiles().insert(ino);
  reply.node = turn.reply(ino, args.want | kPartP, &args.opener);
  return {};
}

}  // namespace

Errno create(Turn& turn, const CreateArgs& args, ContentChangeRef change, ChangedReply& reply) {
  if (turn.phase() != 0) {  // what stood there is truncated, whatever became of its name
    Errno error = finish_opening(turn, args.opener, *change);
    return error.ok() ? show_existing(turn, args, change->ino, reply) : error;
  }
  Result<InodeRef> dir = turn.directory(args.dir);
  if (!dir.ok()) return dir.error();
  if ((args.flags & kCreateTmpfile) != 0) {
    if (Errno error = turn.may_change(); !error.ok()) return error;
    if (!turn.shard().has_room()) return Errno(ENOSPC);
    return create_tmpfile(turn, args, **dir, reply);
  }
  if (Errno error = check_name(args.name); !error.ok()) return error;
  if (Errno error = may(owner_of(**dir), turn.cred(), kMayExec); !error.ok()) return error;
  Result<FoundDirent> found = turn.dirent(args.dir.ino, args.name);
  if (found.ok()) {
    if ((args.flags & kCreateExcl) != 0 || !S_ISREG(args.mode)) return Errno(EEXIST);
    return open_existing(turn, args, found->record.ino, change, reply);
  }
  if (found.error() != Errno(ENOENT)) return found.error();
  if ((*dir)->nlink == 0) return Errno(ENOENT);
  if (Errno error = turn.may_change(); !error.ok()) return error;
  if (Errno error = may(owner_of(**dir), turn.cred(), kMayWrite); !error.ok()) return error;
  if (Errno error = check_new(turn, args); !error.ok()) return error;
  if (!turn.shard().has_room()) return Errno(ENOSPC);
  turn.recall(args.dir.ino, kPartD);
  if (turn.blocked()) return {};

  InodeRecord inode = new_inode(turn, args, **dir);
  bool is_dir = inode.is_dir();
  uint64_t ino = turn.shard().new_ino(turn);
  if (Errno error = turn.add_name(args.dir.ino, args.name, dirent_to(ino, inode)); !error.ok())
    return error;
  if (inode.is_regular() && (args.flags & kCreateOpen) != 0) {
    if (Errno error = register_open(turn, ino, args.opener); !error.ok()) return error;
  }
  turn.add_inode(ino, std::move(inode));
  InodeRecord& parent = turn.edit_names(args.dir.ino);
  if (is_dir) ++parent.nlink;
  reply.node = turn.reply(ino, args.want, &args.opener);
  reply.dir = turn.reply(args.dir.ino, kPartA | kPartD);
  return {};
}

Errno link(Turn& turn, const LinkArgs& args, ChangedReply& reply) {
  Result<InodeRef> inode = turn.node(args.node);
  if (!inode.ok()) return inode.error();
  Result<InodeRef> dir = turn.directory(args.dir);
  if (!dir.ok()) return dir.error();
  if (Errno error = check_name(args.name); !error.ok()) return error;
  if (Errno error = turn.may_change(); !error.ok()) return error;
  if (Errno error = may(owner_of(**dir), turn.cred(), kMayExec); !error.ok()) return error;
  Result<FoundDirent> found = turn.dirent(args.dir.ino, args.name);
  if (found.ok()) return Errno(EEXIST);
  if (found.error() != Errno(ENOENT)) return found.error();
  if ((*dir)->nlink == 0) return Errno(ENOENT);
  if (Errno error = may(owner_of(**dir), turn.cred(), kMayWrite); !error.ok()) return error;
  if ((*inode)->is_dir()) return Errno(EPERM);
  // A file that never had a name may get one; one that lost its last name may not.
  bool tmpfile = (*inode)->nlink == 0;
  if (tmpfile && !turn.shard().tmpfiles().contains(args.node.ino)) return Errno(ENOENT);
  if ((*inode)->nlink >= kLinkMax) return Errno(EMLINK);
  if (!turn.shard().has_room()) return Errno(ENOSPC);
  turn.recall(args.dir.ino, kPartD);
  turn.recall(args.node.ino, kPartA);
  if (turn.blocked()) return {};
  Errno error = turn.add_name(args.dir.ino, args.name, dirent_to(args.node.ino, **inode));
  if (!error.ok()) return error;
  ++turn.edit(args.node.ino).nlink;
  if (tmpfile) {
    turn.del(orphan_key(args.node.ino));
    turn.shard().tmpfiles().erase(args.node.ino);
  } else {
    turn.put(parent_key(args.node.ino, args.dir.ino, args.name), "");
  }
  turn.edit_names(args.dir.ino);
  reply.node = turn.reply(args.node.ino, kPartA);
  reply.dir = turn.reply(args.dir.ino, kPartA | kPartD);
  return {};
}

namespace {

// As check_open(), for what the lease that is to be had lets its holder do besides.
Errno check_open_with(const InodeRecord& inode, Opener opener, Parts must_have) {
  if (inode.is_regular() && (must_have & kPartW) != 0) opener.access |= kAccessWrite;
  if (Errno error = check_open(inode, opener); !error.ok() || opener.access != 0) return error;
  if (!inode.is_regular() || (must_have & kPartR) == 0) return {};
  opener.access = kAccessRead;
  if (check_open(inode, opener).ok()) return {};
  opener.access = kAccessWrite;
  return check_open(inode, opener);
}

Errno finish_open(Turn& turn, const OpenArgs& args, ContentChange& change, ChangedReply& reply) {
  uint64_t ino = args.node.ino;
  if (Errno error = finish_opening(turn, args.opener, change); !error.ok()) return error;
  if ((args.flags & kOpenMustGrant) != 0) turn.acquire(ino, args.want);
  InodeRecord& record = turn.edit(ino);
  Cred cred = forced(turn, args.opener).cred;
  if (drops_privileges(record, cred)) record.mode = mode_without_privileges(owner_of(record), cred);
  reply.node = turn.reply(ino, args.want, &args.opener);
  return {};
}

}  // namespace

Errno open(Turn& turn, const OpenArgs& args, ContentChangeRef change, ChangedReply& reply) {
  if (turn.phase() != 0) return finish_open(turn, args, *change, reply);
  Result<InodeRef> inode = turn.node(args.node);
  if (!inode.ok()) return inode.error();
  uint64_t ino = args.node.ino;
  const InodeRecord& record = **inode;
  // An open for neither reading nor writing keeps an inode of any kind.
  if (record.is_symlink() && args.opener.access != 0) return Errno(ELOOP);
  bool truncates = (args.flags & kCreateTrunc) != 0 && record.is_regular();
  bool must_grant = (args.flags & kOpenMustGrant) != 0;
  Parts must_have = must_grant ? args.want : Parts{0};
  Opener opener = forced(turn, args.opener);
  Opener checked = opener;
  if (truncates) checked.access |= kAccessWrite;
  bool writes = (checked.access & (kAccessWrite | kAccessAppendOnly)) != 0;
  if (writes || (must_have & kPartW) != 0) {
    if (Errno error = turn.may_change(); !error.ok()) return error;
  }
  if (Errno error = check_open_with(record, checked, must_have); !error.ok()) return error;
  bool drop = false;
  if (must_grant) turn.acquire(ino, args.want);
  if ((must_have & kPartW) != 0) drop = drops_privileges(record, opener.cred);
  if (truncates) {
    turn.lane(ino);
    turn.recall(ino, kPartR | kPartW);
    drop |= drops_privileges(record, opener.cred);
  } else if (!must_grant || (args.want & (kPartR | kPartW)) == 0) {
    turn.glimpse(ino);
  }
  if (drop) turn.recall(ino, kPartA);
  if (turn.blocked()) return {};
  if (Errno error = register_open(turn, ino, args.opener, &change->registered); !error.ok())
    return error;
  if (truncates) {
    start_truncate(turn, ino, 0, change);
    return {};
  }
  if (drop) turn.edit(ino).mode = mode_without_privileges(owner_of(record), opener.cred);
  reply.node = turn.reply(ino, args.want, &args.opener);
  return {};
}

}  // namespace myfs::server
