#include <algorithm>
#include <cstring>

#include "server/namespace.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

constexpr uint32_t kReaddirDefault_bytes = 64 << 10;
constexpr uint32_t kReaddirMax_bytes = 1 << 20;
constexpr size_t kEntryCost_bytes = 48;       // of an entry on the wire, without its name
constexpr size_t kEntryNodeCost_bytes = 280;  // of its node
constexpr size_t kAclEntry_bytes = 8;
constexpr size_t kGetattrsMax = 1024;
constexpr int kDepthMax = 1 << 20;         // of a directory below the root: a cycle is damage
constexpr size_t kSearchedPerTurn = 1024;  // names

struct Step {
  Errno error;
  uint64_t ino = 0;
};

// Whether `ino` may be the next directory of a walk.
Errno may_search(Turn& turn, const InodeRecord& dir) {
  return may(owner_of(dir), turn.cred(), kMayExec);
}

std::vector<Step> walk(Turn& turn, uint64_t dir, const std::vector<std::string>& names) {
  std::vector<Step> steps;
  for (const std::string& name : names) {
    Result<InodeRef> inode = turn.inode(dir);
    if (!inode.ok()) {
      steps.push_back({.error = inode.error()});
      break;
    }
    if (!(*inode)->is_dir()) break;  // a symbolic link or the end of the road: the client decides
    Errno error = check_name(name);
    if (error.ok()) error = may_search(turn, **inode);
    if (!error.ok()) {
      steps.push_back({.error = error});
      break;
    }
    Result<FoundDirent> found = turn.dirent(dir, name);
    if (!found.ok()) {
      steps.push_back({.error = found.error()});
      break;
    }
    dir = found->record.ino;
    steps.push_back({.error = {}, .ino = dir});
  }
  return steps;
}

void add_data(Turn& turn, uint64_t ino, uint32_t want_bytes, NodeReply* node) {
  if (want_bytes == 0 || !node->has_attr || (node->grant.parts & kPartR) == 0) return;
  Result<InodeRef> inode = turn.inode(ino);
  if (!inode.ok() || !(*inode)->is_regular()) return;
  const InodeRecord& record = **inode;
  bool in_record = record.size == 0 || !record.data.empty();
  if (!in_record || record.size > want_bytes || turn.shard().data().has_pending(ino)) return;
  if (!may(owner_of(record), turn.cred(), kMayRead).ok()) return;
  node->data = record.data;
  node->data.resize(record.size);
}

}  // namespace

Errno lookup(Turn& turn, const LookupArgs& args, LookupReply& reply) {
  if (args.names.size() > kLookupNamesMax) return Errno(EINVAL);
  Result<InodeRef> dir = args.names.empty() ? turn.node(args.dir) : turn.directory(args.dir);
  if (!dir.ok()) return dir.error();
  std::vector<Step> steps = walk(turn, args.dir.ino, args.names);
  bool whole = steps.size() == args.names.size();
  if (whole && !steps.empty() && steps.back().error.ok()) turn.glimpse(steps.back().ino);
  if (turn.blocked()) return {};
  reply.dir = turn.reply(args.dir.ino, kPartA | kPartD);
  for (size_t i = 0; i < steps.size(); ++i) {
    if (!steps[i].error.ok()) {
      reply.nodes.push_back(turn.reply_error(steps[i].error));
      continue;
    }
    Result<InodeRef> inode = turn.inode(steps[i].ino);
    bool on_the_way = inode.ok() && (*inode)->is_dir();
    bool last = i + 1 == args.names.size();
    Parts want = static_cast<Parts>((on_the_way ? kPartA | kPartD : 0) | (last ? args.want : 0));
    reply.nodes.push_back(turn.reply(steps[i].ino, want));
    if (last) add_data(turn, steps[i].ino, args.want_data, &reply.nodes.back());
  }
  return {};
}

Errno getattr(Turn& turn, const GetattrArgs& args, NodeOnlyReply& reply) {
  Result<InodeRef> inode = turn.node(args.node);
  if (!inode.ok()) return inode.error();
  uint64_t ino = args.node.ino;
  Parts data = args.want & (kPartR | kPartW);
  bool drop = false;
  if (args.must_grant && data != 0 && (*inode)->is_regular()) {
    uint8_t access = (data & kPartW) != 0 ? kAccessWrite : kAccessRead;
    const Opener opener = opener_or_caller(turn, args.opener);
    Errno error = may_access_data(turn, ino, **inode, opener, access);
    if (!error.ok() && access == kAccessRead)
      error = may_access_data(turn, ino, **inode, opener, kAccessWrite);
    if (!error.ok()) return error == Errno(EBADF) ? Errno(EACCES) : error;
    turn.acquire(ino, args.want);
    drop = (data & kPartW) != 0 && drops_privileges(**inode, turn.cred());
    if (drop) turn.recall(ino, kPartA);
  } else {
    if (args.must_grant) turn.acquire(ino, args.want);
    turn.glimpse(ino);
  }
  if (turn.blocked()) return {};
  if (drop) turn.edit(ino).mode = mode_without_privileges(owner_of(**inode), turn.cred());
  reply.node = turn.reply(ino, args.want, &args.opener);
  return {};
}

Errno getattrs(Turn& turn, const std::vector<Handle>& nodes, Parts want, NodesReply& reply) {
  if (nodes.size() > kGetattrsMax) return Errno(EINVAL);
  for (const Handle& node : nodes) {
    if (turn.node(node).ok()) turn.glimpse(node.ino);
  }
  if (turn.blocked()) return {};
  for (const Handle& node : nodes) {
    Result<InodeRef> inode = turn.node(node);
    reply.nodes.push_back(inode.ok() ? turn.reply(node.ino, want)
                                     : turn.reply_error(inode.error()));
  }
  return {};
}

Errno readdir(Turn& turn, const ReaddirArgs& args, ReaddirReply& reply) {
  Result<InodeRef> dir = turn.directory(args.dir);
  if (!dir.ok()) return dir.error();
  const Opener opener{.open_id = 0, .cred = turn.cred(), .access = kAccessRead};
  if (!may_open(**dir, opener)) return Errno(EACCES);
  bool plus = args.plus && may_search(turn, **dir).ok();
  size_t room =
      args.max_bytes == 0 ? kReaddirDefault_bytes : std::min(args.max_bytes, kReaddirMax_bytes);
  reply.eof = true;
  auto to = number_range('E', args.dir.ino).second;
  Errno damage;
  auto take = [&](std::string_view key, std::string_view value) {
    Result<DirentKey> name = parse_dirent_key(key);
    Result<DirentRecord> record = DirentRecord::decode(value);
    if (!name.ok() || !record.ok()) {
      damage = Errno(EUCLEAN);
      return false;
    }
    size_t cost = kEntryCost_bytes + name->name.size() + (plus ? kEntryNodeCost_bytes : 0);
    if (cost > room && !reply.entries.empty()) {
      reply.eof = false;
      return false;
    }
    room -= std::min(room, cost);
    reply.entries.push_back(EntryReply{.name = std::string(name->name),
                                       .cookie = name->cookie,
                                       .ino = record->ino,
                                       .type = record->type,
                                       .node = {}});
    return true;
  };
  if (args.cookie != UINT64_MAX) {
    Result<void> scanned =
        turn.view().scan(dirent_key(args.dir.ino, args.cookie + 1, ""), to, 0, take);
    if (!scanned.ok()) return scanned.error();
  }
  if (!damage.ok()) return damage;
  reply.dir = turn.reply(args.dir.ino, kPartA | kPartD);
  if (!plus) return {};
  size_t acls_bytes = 0;
  for (EntryReply& entry : reply.entries) {
    Result<InodeRef> inode = turn.inode(entry.ino);
    if (inode.ok()) acls_bytes += (*inode)->acl.entries().size() * kAclEntry_bytes;
    if (acls_bytes > kReaddirMax_bytes) continue;
    // Another's W hides size and times; who wants them asks for this one.
    if (turn.shard().leases().writer(entry.ino, turn.session().id) != 0) continue;
    entry.node = turn.reply(entry.ino, args.want);
    entry.has_node = entry.node.has_attr;
  }
  return {};
}

namespace {

// Some more names of the parent, until *name is that of `ino`; false: it is not among those left.
Result<bool> search_names(Turn& turn, uint64_t ino, ParentSearch& search, std::string* name) {
  size_t left = kSearchedPerTurn;
  bool whole = true;
  Errno damage;
  auto look = [&](std::string_view key, std::string_view value) {
    whole = left > 0;
    if (!whole) return false;
    Result<DirentKey> found = parse_dirent_key(key);
    Result<DirentRecord> record = DirentRecord::decode(value);
    if (!found.ok() || !record.ok()) {
      damage = Errno(EUCLEAN);
      return false;
    }
    --left;
    search.searched = found->cookie;
    if (record->ino == ino) *name = std::string(found->name);
    return name->empty();
  };
  turn.depend(search.parent);
  auto end = number_range('E', search.parent).second;
  MYFS_TRY(turn.view().scan(dirent_key(search.parent, search.searched + 1, ""), end, 0, look));
  if (!damage.ok()) return damage;
  return !name->empty() || !whole;
}

}  // namespace

Errno parent_of(Turn& turn, const Handle& dir, const ParentSearchRef& search,
                NodeOnlyReply& reply) {
  Result<InodeRef> inode = turn.directory(dir);
  if (!inode.ok()) return inode.error();
  if (Errno error = may_search(turn, **inode); !error.ok()) return error;
  uint64_t top = turn.session().export_ino;
  if (dir.ino == top) {
    reply.node = turn.reply(dir.ino, kPartA | kPartD);
    return {};
  }
  if ((*inode)->nlink == 0) return Errno(ENOENT);
  uint64_t parent = (*inode)->parent;
  // Somebody may have moved the directory out of the export.
  uint64_t ancestor = parent;
  for (int depth = 0; ancestor != top; ++depth) {
    Result<InodeRef> above = turn.inode(ancestor);
    if (!above.ok() || ancestor == kRootIno || depth > kDepthMax) return Errno(ESTALE);
    ancestor = (*above)->parent;
  }
  const ParentSearch begin{
      .generation = turn.shard().generation(), .parent = parent, .change = (*inode)->change};
  if (search->generation != begin.generation || search->parent != parent) *search = begin;
  Result<bool> more = search_names(turn, dir.ino, *search, &reply.name);
  if (!more.ok()) return more.error();
  if (!*more) {
    // A rename may have taken the name from before the search to behind it, or back.
    if (search->change == (*inode)->change) return Errno(EUCLEAN);
    *search = begin;
  }
  if (reply.name.empty()) {
    turn.go_on();
    return {};
  }
  reply.node = turn.reply(parent, kPartA | kPartD);
  return Errno(reply.node.error);
}

Errno statfs(Turn& turn, const Handle& node, StatfsReply& reply) {
  if (Result<InodeRef> inode = turn.node(node); !inode.ok()) return inode.error();
  constexpr uint64_t kInoTotal = uint64_t{1} << 40;
  BlockSpace space = turn.shard().space();
  reply.block_size = kPageSize_bytes;
  reply.blocks = space.total_bytes / kPageSize_bytes;
  reply.blocks_free = reply.blocks_avail = space.free_bytes / kPageSize_bytes;
  reply.files = kInoTotal;
  reply.files_free = kInoTotal - turn.shard().inos_used();
  reply.fsid = turn.shard().fsid();
  return {};
}

namespace {

// A persistent handle is {ino, gen, MAC by the server's key for this export}.
struct Persistent {
  uint64_t ino;
  uint64_t gen;
  uint64_t mac;
};

Persistent persistent_of(Turn& turn, uint64_t ino, uint32_t gen) {
  Handle sealed = HandleMac(turn.shard().handle_key(), 0, turn.session().export_ino).seal(ino, gen);
  return Persistent{.ino = ino, .gen = gen, .mac = sealed.mac};
}

}  // namespace

Errno persist_handle(Turn& turn, const Handle& node, PersistReply& reply) {
  if (Result<InodeRef> inode = turn.node(node); !inode.ok()) return inode.error();
  Persistent persistent = persistent_of(turn, node.ino, node.gen);
  reply.persistent.assign(reinterpret_cast<const char*>(&persistent), sizeof persistent);
  return {};
}

Errno resolve_handle(Turn& turn, const ResolveArgs& args, NodeOnlyReply& reply) {
  uint64_t ino = args.ino;
  uint32_t gen = args.gen;
  if (args.past.ino != 0) {
    HandleMac mac(turn.shard().handle_key(), args.past_session, turn.session().export_ino);
    if (!mac.valid(args.past)) return Errno(EACCES);
    ino = args.past.ino;
    gen = args.past.gen;
  } else if (args.persistent.empty()) {
    bool all_powerful = turn.session().principal.anyone && turn.cred().is_root() &&
                        turn.session().export_ino == kRootIno;
    if (!all_powerful) return Errno(EPERM);
  } else {
    if (!turn.cred().is_root()) return Errno(EPERM);  // by it one passes every directory
    Persistent given;
    if (args.persistent.size() != sizeof given) return Errno(EINVAL);
    std::memcpy(&given, args.persistent.data(), sizeof given);
    ino = given.ino;
    gen = static_cast<uint32_t>(given.gen);
    if (persistent_of(turn, ino, gen).mac != given.mac) return Errno(EACCES);
  }
  Result<InodeRef> inode = turn.inode(ino);
  if (!inode.ok()) return inode.error();
  if ((*inode)->generation != gen) return Errno(ESTALE);
  turn.glimpse(ino);
  if (turn.blocked()) return {};
  reply.node = turn.reply(ino, kPartA);
  return {};
}

}  // namespace myfs::server
