// Arguments and replies of the calls on the control connection. Credentials come from the
// CallContext; a reply exists only if the server's errno was 0.
// Thread safety: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sdk/rpc/types.h"

namespace myfs::rpc {

// On whose budget a call is sent. kRecall: slots and credits set aside for honouring a recall may
// be used.
enum class Urgency : uint8_t { kNormal, kRecall };

struct LookupArgs {
  Handle dir{};
  std::vector<std::string> names{};  // at most kLookupNamesMax
  Parts want = 0;                    // for the last node
  uint32_t want_data_bytes = 0;      // content of the last node if it is not larger
};
// nodes[i] answers names[i]; the walk stopped after the last one.
struct LookupReply {
  Node dir_node{};
  std::vector<Node> nodes{};
};

struct GetattrArgs {
  Handle node{};
  Parts want = 0;
  Opener opener{};
  bool must_grant = false;
};

struct GetattrsArgs {
  std::vector<Handle> nodes{};
  Parts want = 0;
};
struct NodesReply {
  std::vector<Node> nodes{};  // nodes[i] answers the i-th handle
};

// Bits of SetattrArgs::mask.
inline constexpr uint32_t kSetMode = 1, kSetUid = 2, kSetGid = 4, kSetSize = 8, kSetAtime = 16,
                          kSetMtime = 32, kSetAtimeNow = 64, kSetMtimeNow = 128,
                          kSetClearPrivileges = 256;
struct SetattrArgs {
  Handle node{};
  uint32_t mask = 0;
  Attr attr{};
  Opener opener{};  // for kSetSize
  Urgency urgency = Urgency::kNormal;
};

// Bits of CreateArgs::flags and OpenArgs::flags.
inline constexpr uint32_t kCreateExcl = 1, kCreateTmpfile = 2, kCreateOpen = 4, kCreateTrunc = 8,
                          kCreateDirectory = 16, kCreateNofollow = 32, kOpenMustGrant = 64;
struct CreateArgs {
  Handle dir{};
  std::string name{};
  uint32_t mode = 0;   // with S_IFMT
  uint32_t umask = 0;  // for the server to apply
  uint64_t rdev = 0;
  std::string target{};  // of a symbolic link
  uint32_t flags = 0;
  Parts want = 0;
  Opener opener{};
};

struct LinkArgs {
  Handle node{};
  Handle dir{};
  std::string name{};
};

struct UnlinkArgs {
  Handle dir{};
  std::string name{};
  bool directory = false;  // rmdir
  uint64_t known = 0;      // the inode that the cache does not answer for meanwhile; 0: none
};

struct RenameArgs {
  Handle old_dir{};
  std::string old_name{};
  Handle new_dir{};
  std::string new_name{};
  uint32_t flags = 0;  // RENAME_NOREPLACE 1, RENAME_EXCHANGE 2
  uint64_t known_moved = 0;
  uint64_t known_replaced = 0;  // as UnlinkArgs::known
};

struct ReaddirArgs {
  Handle dir{};
  uint64_t cookie = 0;  // 0 starts
  uint32_t max_bytes = 0;
  bool plus = false;
  Parts want = 0;
};
struct ReaddirReply {
  Node dir_node{};
  std::vector<Entry> entries{};  // cookies rise and are above the one asked for
  bool eof = false;
};

struct OpenArgs {
  Handle node{};
  uint32_t flags = 0;  // kCreateTrunc, kOpenMustGrant
  Parts want = 0;
  Opener opener{};
};

struct StatfsReply {
  uint32_t block_size = 0;
  uint64_t blocks = 0;
  uint64_t blocks_free = 0;
  uint64_t blocks_avail = 0;
  uint64_t files = 0;
  uint64_t files_free = 0;
  uint64_t fsid = 0;
  uint32_t name_max = 0;
};

struct GetxattrArgs {
  Handle node{};
  std::string name{};
};
struct ListxattrReply {
  std::vector<std::string> names{};
  std::vector<std::string> values{};  // empty, or one for each name
};
struct SetxattrArgs {
  Handle node{};
  std::string name{};
  std::string value{};
  uint32_t flags = 0;  // XATTR_CREATE 1, XATTR_REPLACE 2
  bool remove = false;
};

struct LockArgs {
  Handle node{};
  Opener opener{};
  LockRange range{};
  bool wait = false;
};
struct LockReply {
  Errno refused{};  // EAGAIN, EDEADLK
  uint64_t lock_id = 0;
  bool queued = false;  // the grant comes as CallbackSink::on_lock_granted
  uint64_t seq = 0;     // of what it has changed; 0: nothing
};
struct LockTestArgs {
  Handle node{};
  LockRange range{};
};
struct LockReleaseArgs {
  Handle node{};
  uint64_t owner = 0;
  LockKind kind = LockKind::kPosix;
};

struct ResolveHandleArgs {
  uint64_t ino = 0;
  uint32_t gen = 0;
  std::string persistent{};
  Handle past{};  // ino 0: none. Of the ended session past_session (SessionInfo::session_id)
  uint64_t past_session = 0;
};

struct ParentReply {
  Node node{};
  std::string name{};  // of the directory in its parent; empty for the export's root
};

struct DirStatsArgs {
  Handle dir{};
  bool recursive = false;
};
struct DirStatsReply {
  uint64_t entries = 0;
  uint64_t subdirs = 0;
  uint64_t bytes = 0;
};

// Calls of the session itself.
struct RenewReply {
  uint32_t term_ms = 0;
  int64_t server_time_ns = 0;
  int64_t sent_boottime_ns =
      0;  // when the answered request left: the lease deadline counts from here
};
struct AckArgs {
  uint64_t recall_id = 0;
  uint64_t ino = 0;
  Parts kept = 0;
  uint64_t seq = 0;
  std::vector<OpenRecord> opens{};
  bool have_size = false;
  uint64_t size = 0;
  Time mtime{};
  uint64_t incarnation = 0;  // SessionInfo's; of another session: not sent
};
struct GlimpsedArgs {
  uint64_t glimpse_id = 0;
  uint64_t ino = 0;
  uint64_t size = 0;
  Time mtime{};
  bool valid = false;
  uint64_t incarnation = 0;  // SessionInfo's; of another session: not sent
};
struct ServerStats {
  uint64_t operations = 0;  // every call of every session but ping, renew, stats
  uint32_t sessions = 0;
  uint64_t leases = 0;
  uint64_t recalls = 0;
  uint64_t bytes_in = 0;
  uint64_t bytes_out = 0;
  std::string json{};
};

}  // namespace myfs::rpc
