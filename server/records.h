// Records: the keys and values of the metadata store, and their encoding.
// Kernel counterpart: the on-disk structures of fs/ext4/ext4.h.  Differs: big-endian keys in one
// ordered space, values with a version byte in front and little-endian fields.
// Thread safety: values and pure functions.
// Invariants: (1) decoding never reads past its input; anything unexpected is EUCLEAN; (2) keys
// sort as their numbers do.
//
//   I <ino8>                  inode
//   E <ino8> <cookie8> <name> directory entry
//   P <ino8> <parent8> <name> further parent
//   X <ino8> <name>           extended attribute
//   C <ino8> <chunk4>         chunk of a file
//   B <block8>                how many chunks name a block
//   W <block8> <blk2>         deferred small write, of the chunk that owns the block
//   O <ino8>                  orphan
//   G <ino8>                  all content of a dead inode is garbage
//   G <ino8> <block8>         one block that nothing names any more
//   S <session8>              session
//   R <session8> <slot2>      reply record
//   Q <dir8>                  quota limits
//   U <dir8> <what1>          usage counter
//   M <name>                  superblock and other single records
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/base/cred.h"
#include "sdk/base/kstat.h"
#include "sdk/base/posix_acl.h"
#include "sdk/base/principal.h"
#include "sdk/base/result.h"
#include "server/siphash.h"
#include "server/store/block_store.h"
#include "server/store/meta_store.h"

namespace myfs::server {

inline constexpr uint64_t kChunkSize_bytes = 4 << 20;   // of a file, per chunk record
inline constexpr uint32_t kBlockSize_bytes = 64 << 10;  // per checksum
inline constexpr uint32_t kBlocksPerChunk = kChunkSize_bytes / kBlockSize_bytes;
inline constexpr size_t kInlineDataMax_bytes = 4 << 10;  // of a file inside its inode record
inline constexpr uint64_t kInlineBlocks512 = 8;          // that inline content counts for
inline constexpr size_t kDeferredMax_bytes = 16 << 10;   // of a block as deferred write
inline constexpr uint32_t kSlotsMax = 320;               // of 64 KiB in one chunk's file

// ---- keys

std::string inode_key(uint64_t ino);
std::string dirent_key(uint64_t dir, uint64_t cookie, std::string_view name);
std::string parent_key(uint64_t ino, uint64_t parent, std::string_view name);
std::string xattr_key(uint64_t ino, std::string_view name);
std::string chunk_key(uint64_t ino, uint32_t chunk);
std::string block_key(BlockId block);
std::string deferred_key(BlockId block, uint16_t blk);
std::string orphan_key(uint64_t ino);
std::string garbage_key(uint64_t ino);
std::string garbage_key(uint64_t ino, BlockId block);
std::string session_key(uint64_t session);
std::string reply_key(uint64_t session, uint16_t slot);
std::string quota_key(uint64_t dir);
enum class Usage : uint8_t { kBytes = 0, kFiles = 1 };
std::string usage_key(uint64_t dir, Usage what);
std::string meta_key(std::string_view name);

// [first, second) holds every key of this type, or of this type and number, and no other.
using KeyRange = std::pair<std::string, std::string>;
KeyRange type_range(char type);
KeyRange number_range(char type, uint64_t number);

struct DirentKey {
  uint64_t dir = 0;
  uint64_t cookie = 0;
  std::string_view name;
};
struct ParentKey {
  uint64_t ino = 0;
  uint64_t parent = 0;
  std::string_view name;
};
Result<DirentKey> parse_dirent_key(std::string_view key);
Result<ParentKey> parse_parent_key(std::string_view key);
// The number behind the type letter of any key but M.
Result<uint64_t> parse_number(std::string_view key);
Result<uint32_t> parse_chunk_index(std::string_view chunk_key);
Result<uint16_t> parse_slot(std::string_view reply_key);  // also blk of W
Result<std::string_view> parse_xattr_name(std::string_view key);
// nullopt: a garbage key of a whole inode.
Result<std::optional<BlockId>> parse_garbage_block(std::string_view key);

// ---- records: each has encode() and decode(), which gives EUCLEAN for a damaged value

// Truncations of a file from number `first` on, up to those that the next entry begins with: the
// smallest size since any of them.
struct Truncations {
  uint32_t first = 0;
  uint64_t size = 0;
  bool operator==(const Truncations&) const = default;
};
inline constexpr size_t kTruncationsMax = 8;  // entries; only truncations that grow add one

// What the change counter of an inode becomes in this boot of the server.
inline uint64_t change_after(uint64_t change, uint64_t boot) {
  return std::max(change + 1, (boot & 0xffff) << 48);
}

struct InodeRecord {
  uint32_t generation = 0;
  uint32_t mode = 0;  // with S_IFMT
  uint32_t uid = 0, gid = 0;
  uint32_t nlink = 0;
  uint32_t flags = 0;  // FS_*_FL as chattr knows them
  uint64_t rdev = 0;
  uint64_t size = 0;    // of a regular file changed by DataChange::apply_to() alone
  uint64_t blocks = 0;  // of 512 bytes; as size
  Time atime, mtime, ctime, btime;
  uint64_t change = 0;
  uint32_t trunc_gen = 0;                // counts truncations
  uint64_t trunc_size = 0;               // of the last one
  std::vector<Truncations> truncations;  // first and size ascend; the newest
  uint64_t parent = 0;                   // directories
  std::string data;      // symbolic link: its target. Regular file: inline content, see FileData
  PosixAcl acl;          // never one that the mode says all of; its classes are the mode's
  PosixAcl default_acl;  // directories

  bool is_dir() const { return S_ISDIR(mode); }
  bool is_regular() const { return S_ISREG(mode); }
  bool is_symlink() const { return S_ISLNK(mode); }
  // A truncation to `size` is counted.
  void count_truncation(uint64_t new_size);
  // What is behind it and was written when so many had been counted has been cut off since. None:
  // that is not known any more.
  std::optional<uint64_t> smallest_size_since(uint32_t gen) const;
  Kstat to_kstat(uint64_t ino) const;
  std::string encode() const;
  static Result<InodeRecord> decode(std::string_view value);
  bool operator==(const InodeRecord&) const = default;
};

struct DirentRecord {
  uint64_t ino = 0;
  uint32_t generation = 0;
  uint8_t type = 0;  // DT_*
  std::string encode() const;
  static Result<DirentRecord> decode(std::string_view value);
  bool operator==(const DirentRecord&) const = default;
};

// Where one checksum block lies in its chunk's file.
struct BlockEntry {
  uint8_t blk = 0;      // of the chunk: 0..63
  uint16_t slot = 0;    // of the file: bytes from slot * 64 KiB
  uint32_t length = 0;  // 1..64 KiB; what follows is zeros
  uint32_t crc = 0;     // CRC32C of those bytes
  BlockId block = 0;    // whose slot it is; 0: of the chunk's own file
  bool operator==(const BlockEntry&) const = default;
};

struct ChunkRecord {
  BlockId block = 0;                // its own file: where it writes; 0: it has none
  std::vector<BlockEntry> entries;  // ascending blk; absent: hole
  std::set<BlockId> files() const;  // that it refers to, each once
  std::string encode() const;
  static Result<ChunkRecord> decode(std::string_view value);
  bool operator==(const ChunkRecord&) const = default;
};

struct RefsRecord {   // B
  uint32_t refs = 1;  // chunk records that name the file
  std::string encode() const;
  static Result<RefsRecord> decode(std::string_view value);
  bool operator==(const RefsRecord&) const = default;
};

// Bytes that lie over a checksum block.
struct OverlayExtent {
  uint32_t offset = 0;
  uint32_t length = 0;
  std::string data;  // empty: zeros
  bool operator==(const OverlayExtent&) const = default;
};

struct DeferredRecord {  // W
  uint64_t ino = 0;
  uint32_t chunk = 0;
  std::vector<OverlayExtent> extents;  // ascending, disjoint
  std::string encode() const;
  static Result<DeferredRecord> decode(std::string_view value);
  bool operator==(const DeferredRecord&) const = default;
};

struct OrphanRecord {  // an inode without names that sessions still pin
  std::vector<uint64_t> sessions;
  bool nameable = false;  // it never had a name, and may be given one
  std::string encode() const;
  static Result<OrphanRecord> decode(std::string_view value);
  bool operator==(const OrphanRecord&) const = default;
};

struct SessionRecord {
  enum class State : uint8_t { kLive = 0, kKilled = 1, kClosed = 2 };
  // What it may hold beside pins and opens. Anything but kLeases is for the time between an orderly
  // shutdown and the next boot.
  enum class Holds : uint8_t { kLeases = 0, kLocks = 1, kPins = 2 };
  std::array<uint8_t, 16> uuid{};
  std::array<uint8_t, 16> secret{};
  uint64_t epoch = 0;
  State state = State::kLive;
  bool local = false;  // lives in the server's own process: dead after a restart
  bool read_only = false;
  bool forced_cred = false;  // acts as `cred` whatever a call claims
  Cred cred;
  uint64_t root_ino = 0;  // of the export
  std::string address;    // for people, and to tell whether its process has ended
  Holds holds = Holds::kLeases;
  uint64_t number = 0;       // of the login among its client's; 0: it did not count
  bool terms_known = false;  // false: of an older server, and the two below say nothing
  std::string export_path;
  Squash squash;
  std::string encode() const;
  static Result<SessionRecord> decode(std::string_view value);
  bool operator==(const SessionRecord&) const = default;
};

struct ReplyRecord {  // errno and identity only: no lease, no attributes
  uint64_t slot_seq = 0;
  uint64_t hash = 0;  // of the request
  int32_t error = 0;
  uint64_t ino = 0;
  uint32_t generation = 0;
  uint64_t offset = 0;
  uint64_t count = 0;
  uint64_t verifier = 0;
  std::string encode() const;
  static Result<ReplyRecord> decode(std::string_view value);
  bool operator==(const ReplyRecord&) const = default;
};

struct QuotaRecord {
  uint64_t bytes_max = 0;  // 0: none
  uint64_t files_max = 0;
  std::string encode() const;
  static Result<QuotaRecord> decode(std::string_view value);
  bool operator==(const QuotaRecord&) const = default;
};

struct SuperRecord {  // M "super"
  std::array<uint8_t, 16> uuid{};
  std::array<uint8_t, 16> hash_key{};    // of DirentHasher
  std::array<uint8_t, 32> handle_key{};  // of the MAC in handles
  Time created;
  std::string encode() const;
  static Result<SuperRecord> decode(std::string_view value);
  bool operator==(const SuperRecord&) const = default;
};

// Names below M. The values of all but "super", "boot_marks" and "host" are encode_u64(). "format"
// is the engine's.
inline constexpr std::string_view kMetaFormat = "format";
inline constexpr std::string_view kMetaSuper = "super";
inline constexpr std::string_view kMetaBoot = "boot";              // counts boots
inline constexpr std::string_view kMetaBootMarks = "boot_marks";   // random, 4 bytes of each
inline constexpr std::string_view kMetaInoHighWater = "ino_high";  // numbers below may be in use
inline constexpr std::string_view kMetaSessionHighWater = "session_high";
inline constexpr std::string_view kMetaLeaseTerm = "lease_term";  // ns, the longest in use
inline constexpr std::string_view kMetaHost = "host";    // where process ids of sessions count
inline constexpr std::string_view kMetaClean = "clean";  // present: an orderly shutdown
inline constexpr std::string_view kMetaBlockEpoch = "block_epoch";  // FileData's
inline constexpr std::string_view kMetaShardMap = "shard_map";

std::string encode_u64(uint64_t value);
Result<uint64_t> decode_u64(std::string_view value);

// ---- directory entries by name

// Gives each name of a directory its place: 56 bits of a keyed hash (SipHash-2-4, so that nobody
// can choose names that collide), below them 7 bits that tell colliding names apart. The 63 bits
// are the entry's cookie; cookies below 128 name no entry.
class DirentHasher {
 public:
  explicit DirentHasher(const std::array<uint8_t, 16>& key);
  // The cookie with collision index 0.
  uint64_t first_cookie(std::string_view name) const;

 private:
  SipKey key_;
};
inline constexpr uint64_t kCookieCollisions = 128;

struct FoundDirent {
  uint64_t cookie = 0;
  DirentRecord record;
};
// nullopt: no such entry.
Result<std::optional<FoundDirent>> find_dirent(const ReadView& view, const DirentHasher& hasher,
                                               uint64_t dir, std::string_view name);
// The place of a name that is not there yet. ENOSPC: 128 names collide.
Result<uint64_t> free_cookie(const ReadView& view, const DirentHasher& hasher, uint64_t dir,
                             std::string_view name);

}  // namespace myfs::server
