#include <algorithm>
#include <utility>

#include "server/namespace.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

constexpr int kDepthMax = 1 << 20;  // of a directory below the root: a cycle is damage

Result<bool> has_names(Turn& turn, uint64_t dir) {
  auto [from, to] = number_range('E', dir);
  bool any = false;
  turn.depend(dir);
  MYFS_TRY(turn.view().scan(from, to, 1, [&](std::string_view, std::string_view) {
    any = true;
    return false;
  }));
  return any;
}

Errno must_be_empty(Turn& turn, uint64_t dir) {
  Result<bool> any = has_names(turn, dir);
  if (!any.ok()) return any.error();
  return *any ? Errno(ENOTEMPTY) : Errno();
}

// Whether `ino` is `dir` or lies above it.
Result<bool> is_ancestor(Turn& turn, uint64_t ino, uint64_t dir) {
  for (int depth = 0; depth < kDepthMax; ++depth) {
    if (dir == ino) return true;
    if (dir == kRootIno) return false;
    MYFS_ASSIGN(InodeRef inode, turn.inode(dir));
    if (inode->nlink == 0) return false;
    dir = inode->parent;
  }
  return Errno(EUCLEAN);
}

NodeReply show_victim(Turn& turn, uint64_t ino, const InodeRecord& before) {
  if (turn.inode(ino).ok() && turn.exists(ino)) return turn.reply(ino, kPartA);
  NodeReply reply;
  reply.handle = turn.session().mac.seal(ino, before.generation);
  reply.attr = before.to_kstat(ino);
  reply.attr.nlink = 0;
  reply.attr.ctime = std::max(reply.attr.ctime, turn.now());
  reply.attr.change = turn.shard().next_change(before.change);
  reply.has_attr = true;
  reply.acl = before.acl.to_xattr();
  return reply;
}

// One end of a rename: a directory, a name in it, and what stands behind it (ino 0: nothing).
struct End {
  uint64_t dir = 0;
  std::string_view name;
  InodeRef parent;
  uint64_t cookie = 0;
  uint64_t ino = 0;
  InodeRef inode;
};

Errno resolve_end(Turn& turn, const Handle& dir, std::string_view name, bool required, End* end) {
  Result<InodeRef> parent = turn.directory(dir);
  if (!parent.ok()) return parent.error();
  if (Errno error = check_name(name); !error.ok()) return error;
  if (Errno error = may(owner_of(**parent), turn.cred(), kMayExec); !error.ok()) return error;
  end->dir = dir.ino;
  end->name = name;
  end->parent = *parent;
  Result<FoundDirent> found = turn.dirent(dir.ino, name);
  if (!found.ok()) return found.error() == Errno(ENOENT) && !required ? Errno() : found.error();
  end->cookie = found->cookie;
  end->ino = found->record.ino;
  Result<InodeRef> inode = turn.inode(end->ino);
  if (!inode.ok()) return Errno(EUCLEAN);
  end->inode = *inode;
  return {};
}

Errno may_take(Turn& turn, const End& end) {
  if (end.ino == turn.session().export_ino) return Errno(EBUSY);
  return may_remove(owner_of(*end.parent), owner_of(*end.inode), turn.cred());
}

// The kernel's order: vfs_rename after lock_rename.
Errno check_rename(Turn& turn, const End& from, const End& to, uint32_t flags) {
  bool exchange = (flags & kRenameExchange) != 0;
  if (from.inode->is_dir()) {
    Result<bool> loop = is_ancestor(turn, from.ino, to.dir);
    if (!loop.ok()) return loop.error();
    if (*loop) return Errno(EINVAL);
  }
  if (to.ino != 0 && to.inode->is_dir()) {
    Result<bool> loop = is_ancestor(turn, to.ino, from.dir);
    if (!loop.ok()) return loop.error();
    if (*loop) return exchange ? Errno(EINVAL) : Errno(ENOTEMPTY);
  }
  if (Errno error = may_take(turn, from); !error.ok()) return error;
  if (to.ino == 0) {
    if (to.parent->nlink == 0) return Errno(ENOENT);
    Errno error = may(owner_of(*to.parent), turn.cred(), kMayWrite | kMayExec);
    if (!error.ok()) return error;
  } else {
    if (Errno error = may_take(turn, to); !error.ok()) return error;
    if (!exchange) {
      if (from.inode->is_dir() && !to.inode->is_dir()) return Errno(ENOTDIR);
      if (!from.inode->is_dir() && to.inode->is_dir()) return Errno(EISDIR);
      if (to.inode->is_dir()) {
        if (Errno error = must_be_empty(turn, to.ino); !error.ok()) return error;
      }
    }
  }
  if (from.dir == to.dir) return {};
  // ".." of what moves is written.
  if (from.inode->is_dir()) {
    Errno error = may(owner_of(*from.inode), turn.cred(), kMayWrite);
    if (!error.ok()) return error;
  }
  if (exchange && to.inode->is_dir()) return may(owner_of(*to.inode), turn.cred(), kMayWrite);
  return {};
}

// What a name stands for. Of which the requester knows, he believes his cache no more; else he
// might never hear of it, if he gives up or his answer is lost.
void recall_named(Turn& turn, const End& end, uint64_t known) {
  const Parts parts = end.inode->is_dir() ? kPartA | kPartD : kPartA;
  turn.recall(end.ino, parts);
  if (end.ino != known) turn.recall_own(end.ino, parts);
}

void recall_for_rename(Turn& turn, const RenameArgs& args, const End& from, const End& to) {
  turn.recall(from.dir, kPartD);
  turn.recall(to.dir, kPartD);
  recall_named(turn, from, args.known_moved);
  if (to.ino != 0) recall_named(turn, to, args.known_replaced);
}

// The record of a hard link's further name follows the name.
Errno move_parent_record(Turn& turn, const End& from, const End& to) {
  if (from.inode->is_dir()) return {};
  std::string old_key = parent_key(from.ino, from.dir, from.name);
  if (from.inode->nlink > 1) {
    Result<std::optional<std::string>> record = turn.view().get(old_key);
    if (!record.ok()) return record.error();
    if (*record) turn.put(parent_key(from.ino, to.dir, to.name), "");
  }
  turn.del(std::move(old_key));
  return {};
}

void move_directory(Turn& turn, const End& from, const End& to) {
  if (!from.inode->is_dir() || from.dir == to.dir) return;
  turn.edit(from.ino).parent = to.dir;
  --turn.edit_names(from.dir).nlink;
  ++turn.edit_names(to.dir).nlink;
}

Errno apply_rename(Turn& turn, const End& from, const End& to, bool exchange) {
  Errno error;
  DirentRecord moved = dirent_to(from.ino, *from.inode);
  if (to.ino == 0) {
    error = turn.add_name(to.dir, to.name, moved);
  } else {
    turn.set_name(to.dir, to.name, to.cookie, moved);
  }
  if (!error.ok()) return error;
  if (error = move_parent_record(turn, from, to); !error.ok()) return error;
  if (exchange) {
    turn.set_name(from.dir, from.name, from.cookie, dirent_to(to.ino, *to.inode));
    if (error = move_parent_record(turn, to, from); !error.ok()) return error;
    move_directory(turn, to, from);
    turn.edit(to.ino);
  } else {
    turn.remove_name(from.dir, from.name, from.cookie);
    if (to.ino != 0) {
      if (!to.inode->is_dir()) {
        turn.del(parent_key(to.ino, to.dir, to.name));
      } else {
        --turn.edit_names(to.dir).nlink;
      }
      drop_link(turn, to.ino);
    }
  }
  turn.edit(from.ino);
  move_directory(turn, from, to);
  turn.edit_names(from.dir);
  turn.edit_names(to.dir);
  return {};
}

}  // namespace

Errno unlink(Turn& turn, const UnlinkArgs& args, ChangedReply& reply) {
  End victim;
  if (Errno error = turn.may_change(); !error.ok()) return error;
  Errno error = resolve_end(turn, args.dir, args.name, true, &victim);
  if (!error.ok()) return error;
  if (error = may_take(turn, victim); !error.ok()) return error;
  bool is_dir = victim.inode->is_dir();
  if ((args.flags & kUnlinkDirectory) != 0) {
    if (!is_dir) return Errno(ENOTDIR);
    if (error = must_be_empty(turn, victim.ino); !error.ok()) return error;
  } else if (is_dir) {
    return Errno(EISDIR);
  }
  turn.recall(args.dir.ino, kPartD);
  recall_named(turn, victim, args.known);
  if (turn.blocked()) return {};
  turn.remove_name(args.dir.ino, args.name, victim.cookie);
  if (!is_dir) turn.del(parent_key(victim.ino, args.dir.ino, args.name));
  InodeRecord& dir = turn.edit_names(args.dir.ino);
  if (is_dir) --dir.nlink;
  drop_link(turn, victim.ino);
  reply.dir = turn.reply(args.dir.ino, kPartA | kPartD);
  reply.victim = show_victim(turn, victim.ino, *victim.inode);
  return {};
}

Errno rename(Turn& turn, const RenameArgs& args, ChangedReply& reply) {
  bool exchange = (args.flags & kRenameExchange) != 0;
  bool noreplace = (args.flags & kRenameNoreplace) != 0;
  if ((args.flags & ~(kRenameExchange | kRenameNoreplace)) != 0 || (exchange && noreplace))
    return Errno(EINVAL);
  if (Errno error = turn.may_change(); !error.ok()) return error;
  End from, to;
  Errno error = resolve_end(turn, args.old_dir, args.old_name, true, &from);
  if (!error.ok()) return error;
  error = resolve_end(turn, args.new_dir, args.new_name, exchange, &to);
  if (!error.ok()) return error;
  if (noreplace && to.ino != 0) return Errno(EEXIST);
  bool nothing = from.ino == to.ino;
  if (!nothing) {
    if (error = check_rename(turn, from, to, args.flags); !error.ok()) return error;
    recall_for_rename(turn, args, from, to);
    if (turn.blocked()) return {};
    if (error = apply_rename(turn, from, to, exchange); !error.ok()) return error;
  }
  reply.node = turn.reply(from.ino, kPartA);
  reply.dir = turn.reply(args.old_dir.ino, kPartA | kPartD);
  reply.other_dir = turn.reply(args.new_dir.ino, kPartA | kPartD);
  // Two names of one file: nothing has happened, which the victim tells that is the inode itself.
  if (nothing) reply.victim = reply.node;
  if (to.ino != 0 && !nothing) reply.victim = show_victim(turn, to.ino, *to.inode);
  return {};
}

}  // namespace myfs::server
