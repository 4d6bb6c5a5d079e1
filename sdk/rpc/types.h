// Types: the wire's structs as plain values, so that nobody above this room needs Cap'n Proto.
// Kernel counterpart: include/linux/nfs_xdr.h.  Differs: attributes are base's Kstat itself, not a
// second struct.
// Thread safety: values.
// Invariants: (1) what comes out of this room is checked: names are single components of 1..255
// bytes without '/' and NUL, nanoseconds are < 1e9, errnos are 0..4095, lists are no longer than
// what was asked for; a reply that breaks this is answered by EPROTO and never handed out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/cred.h"
#include "sdk/base/errno.h"
#include "sdk/base/kstat.h"
#include "sdk/base/posix_acl.h"
#include "sdk/base/principal.h"

namespace myfs::rpc {

using Parts = uint16_t;  // lease parts: the bits of myfs.capnp and of fs::LeasePart

// Names an inode on the wire; valid for the session that received it. ino 0: none.
struct Handle {
  uint64_t ino = 0;
  uint32_t gen = 0;
  uint32_t session =
      0;  // Client::incarnation() that it was issued in, not sent; 0: not known, the server decides
  uint64_t mac = 0;
  bool operator==(const Handle&) const = default;
};

using Attr = Kstat;  // Kstat::generation is the wire's gen

struct Grant {
  uint64_t ino = 0;
  Parts parts = 0;  // the whole set that the session holds; 0 with seq 0: nothing granted
  uint64_t seq = 0;
  uint64_t space_bytes = 0;
  bool operator==(const Grant&) const = default;
};

// One inode as an answer shows it.
struct Node {
  Errno error{};  // of this component
  Handle handle{};
  Attr attr{};  // only if has_attr
  Grant grant{};
  std::string target{};  // of a symbolic link
  std::string data{};    // file content if asked for and small
  bool has_attr = false;
  PosixAcl acl{};  // with attr, whose has_acl tells whether there is one
};

struct Extent {
  uint64_t off = 0;
  uint64_t len = 0;
  uint32_t server = 0;
  bool hole = false;
  bool shared = false;
  bool operator==(const Extent&) const = default;
};

struct Layout {
  uint64_t epoch = 0;
  std::vector<Extent> stripes{};
};

// Bits of Opener::access and OpenRecord::access. kAccessExec, with kAccessRead: opened to be
// executed, so that X is asked for in place of R.
inline constexpr uint8_t kAccessRead = 1, kAccessWrite = 2, kAccessAppendOnly = 4, kAccessExec = 8;

// Who does data I/O. open_id 0: no registered open, cred decides.
struct Opener {
  uint64_t open_id = 0;
  CredRef cred{};  // null: no credentials are sent
  uint8_t access = 0;
};

using OpenRecord = Opener;

struct Entry {
  std::string name{};
  uint64_t cookie = 0;
  uint64_t ino = 0;
  uint8_t type = 0;  // DT_*
  Node node{};       // readdirplus only; else handle.ino == 0
};

enum class LockType : uint8_t { kRead = 0, kWrite = 1, kUnlock = 2 };
enum class LockKind : uint8_t { kPosix = 0, kOfd = 1, kFlock = 2 };

struct LockRange {
  LockType type = LockType::kUnlock;
  uint64_t start = 0;
  uint64_t len = 0;  // 0: to the end
  uint64_t owner = 0;
  LockKind kind = LockKind::kPosix;
  int32_t pid = 0;
  bool operator==(const LockRange&) const = default;
};

// The answer to a change of the name space. `replayed`: recorded identity only; no grant, no
// attributes: ask again.
struct Changed {
  bool replayed = false;
  Node node{};  // the inode made, linked, moved or changed
  Node dir{};   // parents afterwards
  Node other_dir{};
  Node victim{};  // what an unlink or rename removed, afterwards
  Layout layout{};
};

struct ShardRange {
  uint64_t first = 0;
  uint64_t last = 0;
  uint32_t server = 0;
};

struct RecallItem {
  uint64_t recall_id = 0;
  uint64_t ino = 0;
  uint64_t seq = 0;
  Parts parts = 0;  // to give up
  bool operator==(const RecallItem&) const = default;
};

struct SessionInfo {
  uint64_t incarnation = 0;  // the client's count of logins, not sent
  uint64_t session_id = 0;
  uint64_t epoch = 0;
  std::string secret{};
  uint32_t term_ms = 0;
  uint16_t slots = 0;
  std::string data_token{};
  Node root{};
  uint64_t boot_verifier = 0;
  uint32_t max_io_bytes = 0;
  uint64_t credit_bytes = 0;
  uint32_t max_leases = 0;
  std::vector<std::string> servers{};
  std::vector<ShardRange> shards{};
  std::vector<uint64_t> slot_seqs{};  // bind only
  bool relaxed = false;               // commit and sync alone make durable
  Principal principal{.anyone = true};
  bool read_only = false;
};

}  // namespace myfs::rpc
