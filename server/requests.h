// Requests: arguments and answers of every operation that the shard executes, one pair per call of
// include/myfs/myfs.capnp.
// Kernel counterpart: the argument structs of fs/nfsd (xdr4.h).
// Thread safety: values.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "server/file_data.h"
#include "server/reply_cache.h"
#include "server/types.h"

namespace myfs::server {

// setattr
inline constexpr uint32_t kSetMode = 1, kSetUid = 2, kSetGid = 4, kSetSize = 8, kSetAtime = 16,
                          kSetMtime = 32, kSetAtimeNow = 64, kSetMtimeNow = 128,
                          kSetKillPrivileges = 256, kSetAll = 511;
// create, open
inline constexpr uint32_t kCreateExcl = 1, kCreateTmpfile = 2, kCreateOpen = 4, kCreateTrunc = 8,
                          kCreateDirectory = 16, kCreateNofollow = 32, kOpenMustGrant = 64;
inline constexpr uint32_t kUnlinkDirectory = 1;
inline constexpr uint32_t kRenameNoreplace = 1, kRenameExchange = 2;
inline constexpr uint32_t kXattrCreate = 1, kXattrReplace = 2;
// write
inline constexpr uint32_t kWriteStable = 1, kWriteWriteback = 2, kWriteUncached = 4,
                          kWriteKeepMtime = 8;

struct LookupArgs {
  Handle dir{};
  std::vector<std::string> names{};
  Parts want = 0;
  uint32_t want_data = 0;  // bytes of a small file's content
};
struct LookupReply {
  int error = 0;
  NodeReply dir{};
  std::vector<NodeReply> nodes{};
};

struct GetattrArgs {
  Handle node{};
  Parts want = 0;
  Opener opener{};
  bool must_grant = false;
};
struct NodeOnlyReply {
  int error = 0;
  NodeReply node{};
  std::string name{};  // parentOf
};
struct NodesReply {
  int error = 0;
  std::vector<NodeReply> nodes{};
};

struct SetattrArgs {
  Handle node{};
  uint32_t mask = 0;
  Kstat attr{};
  Opener opener{};
};

struct CreateArgs {
  Handle dir{};
  std::string name{};
  uint32_t mode = 0;
  uint32_t umask = 0;  // applied unless the directory has a default ACL
  uint64_t rdev = 0;
  std::string target{};
  uint32_t flags = 0;
  Parts want = 0;
  Opener opener{};
};

struct LinkArgs {
  Handle node{}, dir{};
  std::string name{};
};

struct UnlinkArgs {
  Handle dir{};
  std::string name{};
  uint32_t flags = 0;
  uint64_t known = 0;  // what the requester's cache does not answer for meanwhile
};

struct RenameArgs {
  Handle old_dir{}, new_dir{};
  std::string old_name{}, new_name{};
  uint32_t flags = 0;
  uint64_t known_moved = 0, known_replaced = 0;
};

struct OpenArgs {
  Handle node{};
  uint32_t flags = 0;
  Parts want = 0;
  Opener opener{};
};

struct ReaddirArgs {
  Handle dir{};
  uint64_t cookie = 0;
  uint32_t max_bytes = 0;
  bool plus = false;
  Parts want = 0;
};
struct EntryReply {
  std::string name{};
  uint64_t cookie = 0;
  uint64_t ino = 0;
  uint8_t type = 0;
  bool has_node = false;
  NodeReply node{};
};
struct ReaddirReply {
  int error = 0;
  NodeReply dir{};
  std::vector<EntryReply> entries{};
  bool eof = false;
};

struct XattrArgs {
  Handle node{};
  std::string name{}, value{};
  uint32_t flags = 0;
  bool remove = false;
};
struct XattrReply {
  int error = 0;
  std::string value{};
  std::vector<std::string> names{}, values{};
};

struct StatfsReply {
  int error = 0;
  uint32_t block_size = 0;
  uint64_t blocks = 0, blocks_free = 0, blocks_avail = 0, files = 0, files_free = 0, fsid = 0;
};

struct DirStatsReply {
  int error = 0;
  uint64_t entries = 0, subdirs = 0, bytes = 0;
};

struct ResolveArgs {
  uint64_t ino = 0;
  uint32_t gen = 0;
  std::string persistent{};
  Handle past{};  // ino 0: none
  uint64_t past_session = 0;
};
struct PersistReply {
  int error = 0;
  std::string persistent{};
};

struct ReadArgs {
  Handle node{};
  Opener opener{};
  uint64_t off = 0;
  uint32_t len = 0;
};
struct ReadAnswer {
  int error = 0;
  DataBuffer data{};
  bool eof = false;
  uint64_t size = 0;
  uint64_t change = 0;
};

struct WriteArgs {
  Handle node{};
  Opener opener{};
  uint64_t off = 0;
  std::span<const uint8_t> data{};
  std::shared_ptr<const void> owner{};  // of the bytes, unless the request's answer keeps them
  uint64_t lease_seq = 0;
  uint32_t trunc_gen = 0;
  bool has_trunc_gen = false;
  std::vector<uint32_t> crcs{};
  uint32_t flags = 0;
  Time mtime{};
  bool append = false;  // at the end of the file, wherever that is
};
struct WriteAnswer {
  int error = 0;
  bool replayed = false;
  uint64_t off = 0;
  uint64_t count = 0;
  uint64_t verifier = 0;
  bool stable = false;
  NodeReply node{};
};

struct CommitArgs {
  Handle node{};
  uint64_t verifier = 0;
  bool data_only = false;
};

struct FallocateArgs {
  Handle node{};
  Opener opener{};
  uint32_t mode = 0;
  uint64_t off = 0, len = 0;
};

struct CopyArgs {
  Handle from{}, to{};
  Opener from_opener{}, to_opener{};
  uint64_t from_off = 0, to_off = 0, len = 0;
  bool clone = false;
};
struct CopyAnswer {
  int error = 0;
  bool replayed = false;
  uint64_t count = 0;
  NodeReply node{};
};

struct ExtentsReply {
  int error = 0;
  std::vector<DataExtent> extents{};
  bool last = false;
};

struct SeekArgs {
  Handle node{};
  Opener opener{};
  uint64_t off = 0;
  bool hole = false;
};
struct SeekReply {
  int error = 0;
  uint64_t off = 0;
};
struct ExtentsArgs {
  Handle node{};
  Opener opener{};
  uint64_t off = 0, len = 0;
  uint32_t max = 0;
};

struct SyncReply {
  int error = 0;
};

// What a replay can tell, and how a reply is filled from it.
inline Outcome outcome_of(const ChangedReply& reply) {
  return {.error = reply.error, .ino = reply.node.handle.ino, .gen = reply.node.handle.gen};
}
inline Outcome outcome_of(const WriteAnswer& reply) {
  return {.error = reply.error,
          .off = reply.off,
          .count = reply.count,
          .verifier = reply.stable ? 0 : reply.verifier};
}

inline Outcome outcome_of(const CopyAnswer& reply) {
  return {.error = reply.error, .count = reply.count};
}

}  // namespace myfs::server
