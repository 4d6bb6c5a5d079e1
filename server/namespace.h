// Namespace: what each operation on names and attributes checks, recalls and changes.
// Kernel counterpart: fs/namei.c (vfs_create ... vfs_rename), fs/attr.c, fs/xattr.c, fs/readdir.c.
// Differs: every function is the body of a request: attempted from the start whenever something
// stood in its way, returning early while turn.blocked().
// Thread safety: the shard's loop only.
// Invariants: (1) everything is checked, and nothing blocked, before the first change is staged;
// (2) whom an operation recalls is the table of docs/protocol.md, and nothing less.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "server/file_data.h"
#include "server/requests.h"
#include "server/turn.h"

namespace myfs::server {

// ---- namespace_common.cc
// EINVAL for '.', '..', '/', NUL and the empty name; ENAMETOOLONG.
Errno check_name(std::string_view name);
// Whether `opener`, whose cred has been forced to the session's principal, may do what its access
// says. The owner always may: a mode that changed under an open does not end it.
bool may_open(const InodeRecord& inode, const Opener& opener);
Errno check_open(const InodeRecord& inode, const Opener& opener);
// The opener with the credentials that the session's principal allows.
Opener forced(Turn& turn, const Opener& opener);
// As `opener`; where no open is named, the caller stands for it.
Opener opener_or_caller(Turn& turn, const Opener& opener);
// `fresh`, if given: whether it was not there before.
Errno register_open(Turn& turn, uint64_t ino, const Opener& opener, bool* fresh = nullptr);
// EACCES unless a registered open or the opener's credentials permit one of `access`; EBADF when
// the open is for something else.
Errno may_access_data(Turn& turn, uint64_t ino, const InodeRecord& inode, const Opener& opener,
                      uint8_t access);
// The inode, its attributes and its content cease to be.
Errno remove_inode(Turn& turn, uint64_t ino);
// One name less. Removes the inode with its last name unless somebody has it open.
void drop_link(Turn& turn, uint64_t ino);
uint8_t dirent_type(uint32_t mode);
DirentRecord dirent_to(uint64_t ino, const InodeRecord& inode);
// Takes setuid and setgid away if `cred` writing to the inode has to. Recall A before.
bool drops_privileges(const InodeRecord& inode, const Cred& cred);

// What a setattr comes to, once permitted.
struct NewAttributes {
  uint32_t mask = 0;  // what is left to do
  uint32_t mode = 0;  // permission bits, with kSetMode
  Parts recalls = 0;
};

// A change of content that is made outside the loop.
struct ContentChange {
  uint64_t ino = 0;
  std::optional<Result<DataChange>> result;
  NewAttributes attributes{};  // of a setattr: what was permitted when it began stays so
  bool registered = false;     // an open, which goes again if the change fails
};
using ContentChangeRef = std::shared_ptr<ContentChange>;
// Ends the phase; the next one finds the result. What may be refused must be refused before the
// start, and nothing may fail after the end: a change that is dropped loses every unstable write.
void start_truncate(Turn& turn, uint64_t ino, uint64_t size, ContentChangeRef change);
Errno finish_truncate(Turn& turn, uint64_t ino, uint64_t size, ContentChange& change);
// As those: makes what is written durable.
// `held`: what of it waits for this commit.
void start_commit(Turn& turn, uint64_t ino, ContentChangeRef change, HeldWritesRef held = nullptr);
Errno finish_commit(Turn& turn, uint64_t ino, ContentChange& change);

// ---- namespace_lookup.cc
Errno lookup(Turn& turn, const LookupArgs& args, LookupReply& reply);
Errno getattr(Turn& turn, const GetattrArgs& args, NodeOnlyReply& reply);
Errno getattrs(Turn& turn, const std::vector<Handle>& nodes, Parts want, NodesReply& reply);
Errno readdir(Turn& turn, const ReaddirArgs& args, ReaddirReply& reply);
// How far a search for the name of a directory has come; it takes as many turns as the parent is
// long.
struct ParentSearch {
  uint64_t generation = 0;  // of the shard's state; 0: not begun
  uint64_t parent = 0;
  uint64_t change = 0;    // of the directory, when it began
  uint64_t searched = 0;  // names up to this cookie
};
using ParentSearchRef = std::shared_ptr<ParentSearch>;
Errno parent_of(Turn& turn, const Handle& dir, const ParentSearchRef& search, NodeOnlyReply& reply);
Errno statfs(Turn& turn, const Handle& node, StatfsReply& reply);
Errno persist_handle(Turn& turn, const Handle& node, PersistReply& reply);
Errno resolve_handle(Turn& turn, const ResolveArgs& args, NodeOnlyReply& reply);

// ---- namespace_stats.cc
// How far a count has come; it takes as many turns of the loop as it is long.
struct DirStatsWalk {
  struct Frame {
    uint64_t dir = 0;
    uint64_t counted = 0;  // names up to this cookie
  };
  uint64_t generation = 0;               // of the shard's state; 0: not begun
  std::vector<Frame> path;               // from the top down
  std::vector<uint64_t> written;         // files whose sizes their writers know
  absl::flat_hash_set<uint64_t> linked;  // counted files that have several names
  uint64_t entries = 0, subdirs = 0, bytes = 0;
};
using DirStatsWalkRef = std::shared_ptr<DirStatsWalk>;
// Of a directory, or of all that is below it. EACCES: it, or one below, may not be read and
// searched. ENOMEM: too many files with several names.
Errno dir_stats(Turn& turn, const Handle& dir, bool recursive, const DirStatsWalkRef& walk,
                DirStatsReply& reply);

// ---- namespace_create.cc
Errno create(Turn& turn, const CreateArgs& args, ContentChangeRef change, ChangedReply& reply);
// What it registers.
inline Opener opened_by(const CreateArgs& args) {
  return (args.flags & (kCreateOpen | kCreateTmpfile)) != 0 ? args.opener : Opener();
}
Errno link(Turn& turn, const LinkArgs& args, ChangedReply& reply);
Errno open(Turn& turn, const OpenArgs& args, ContentChangeRef change, ChangedReply& reply);

// ---- namespace_remove.cc
Errno unlink(Turn& turn, const UnlinkArgs& args, ChangedReply& reply);
Errno rename(Turn& turn, const RenameArgs& args, ChangedReply& reply);

// ---- namespace_attr.cc
Errno setattr(Turn& turn, const SetattrArgs& args, ContentChangeRef change, ChangedReply& reply);
Errno getxattr(Turn& turn, const XattrArgs& args, XattrReply& reply);
Errno listxattr(Turn& turn, const Handle& node, XattrReply& reply);
Errno setxattr(Turn& turn, const XattrArgs& args, ChangedReply& reply);

// ---- namespace_acl.cc: of the two names for which is_posix_acl_xattr() is true
// ENODATA; EOPNOTSUPP for a symbolic link.
Errno get_acl(const InodeRecord& inode, std::string_view name, std::string* value);
// The body of setxattr, also to remove. EOPNOTSUPP: symbolic link, version. EINVAL: no list that
// could be evaluated. EACCES: a default list of what is no directory. EPERM: not the owner.
Errno set_acl(Turn& turn, const XattrArgs& args, ChangedReply& reply);
// What something new in `dir` takes over; without a default list there the umask goes off its mode.
void inherit_acl(const InodeRecord& dir, uint32_t umask, InodeRecord* inode);

}  // namespace myfs::server
