// Types: the plain values in which the shard is asked and answers; no wire types, no kj.
// Kernel counterpart: the argument structs of fs/nfsd (xdr4.h).
// Thread safety: values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "sdk/base/cred.h"
#include "sdk/base/errno.h"
#include "sdk/base/kstat.h"
#include "sdk/base/limits.h"

namespace myfs::server {

// Lease parts: the bits of include/myfs/myfs.capnp.
using Parts = uint16_t;
inline constexpr Parts kPartA = 1;
inline constexpr Parts kPartAX = 2;
inline constexpr Parts kPartD = 4;
inline constexpr Parts kPartDX = 8;
inline constexpr Parts kPartR = 16;
inline constexpr Parts kPartW = 32;
inline constexpr Parts kPartP = 64;
inline constexpr Parts kPartU = 128;
inline constexpr Parts kGrantableParts = kPartA | kPartD | kPartR | kPartW | kPartP;

// What others may not hold while one session holds `parts`.
constexpr Parts conflicting_parts(Parts parts) {
  Parts conflicts = 0;
  if ((parts & kPartA) != 0) conflicts |= kPartAX;
  if ((parts & kPartAX) != 0) conflicts |= kPartA | kPartAX;
  if ((parts & kPartD) != 0) conflicts |= kPartDX;
  if ((parts & kPartDX) != 0) conflicts |= kPartD | kPartDX;
  if ((parts & kPartR) != 0) conflicts |= kPartW;
  if ((parts & kPartW) != 0) conflicts |= kPartR | kPartW;
  return conflicts;
}

struct Op {
  uint64_t epoch = 0;
  uint16_t slot = 0;
  uint64_t slot_seq = 0;
};

struct Handle {
  uint64_t ino = 0;
  uint32_t gen = 0;
  uint64_t mac = 0;
};

struct Grant {
  uint64_t ino = 0;
  Parts parts = 0;
  uint64_t seq = 0;
  uint64_t space_bytes = 0;
};

inline constexpr uint8_t kAccessRead = 1;
inline constexpr uint8_t kAccessWrite = 2;
inline constexpr uint8_t kAccessAppendOnly = 4;
inline constexpr uint8_t kAccessExec = 8;  // with kAccessRead: X is asked for in place of R

struct Opener {
  uint64_t open_id = 0;  // 0: none
  Cred cred{};
  uint8_t access = 0;
};

struct NodeReply {
  int error = 0;
  Handle handle{};
  Kstat attr{};
  bool has_attr = false;
  Grant grant{};
  std::string target{};
  std::string data{};
  std::string acl{};  // as PosixAcl::to_xattr()
};

struct ChangedReply {
  int error = 0;
  bool replayed = false;
  NodeReply node{}, dir{}, other_dir{}, victim{};
};

struct RecallItem {
  uint64_t recall_id = 0;
  uint64_t ino = 0;
  uint64_t seq = 0;
  Parts parts = 0;
};

// The server's end of a client's callbacks. Calls return at once and never fail visibly.
// Thread safety: the shard's loop only.
class ClientPeer {
 public:
  virtual ~ClientPeer() noexcept(false) = default;
  virtual void recall(const std::vector<RecallItem>& items) = 0;
  virtual void glimpse(uint64_t glimpse_id, uint64_t ino) = 0;
  virtual void lock_granted(uint64_t lock_id, uint64_t seq) = 0;
  virtual void trim(uint32_t leases) = 0;
  virtual void evicted(const std::string& why) = 0;
};

// In place of an errno: nothing was begun, and the slot's number is not used. The wire's word for
// it is an OVERLOADED exception: back off and send the same again.
inline constexpr int kOverloaded = 4096;

template <typename T>
using Done = absl::AnyInvocable<void(T)>;

}  // namespace myfs::server
