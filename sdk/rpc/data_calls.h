// Arguments and replies of the calls on the data connections. A reply exists only if the server's
// errno was 0.
// Thread safety: values.
#pragma once

#include <sys/uio.h>

#include <cstdint>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "absl/types/span.h"
#include "sdk/base/result.h"
#include "sdk/rpc/types.h"

namespace myfs::rpc {

// Memory of the caller's: destination of a read, source of a write. The spans are copied, what they
// name is not: it must stay until the completion has run. Readable up to the next multiple of 8
// bytes behind the last span of a write.
using Buffers = absl::Span<const iovec>;

// Runs on the I/O loop, holding nothing: LEAF locks only, no call of Client that waits.
template <typename Reply>
using Completion = absl::AnyInvocable<void(Result<Reply>)>;

struct ReadArgs {
  Handle node{};
  Opener opener{};
  uint64_t off = 0;
  uint32_t len = 0;  // <= the sum of the destination's spans
};
struct ReadReply {
  // min(len, size - off): all of them are in the destination, what lies behind is untouched.
  uint32_t count = 0;
  bool eof = false;  // off + len >= size
  uint64_t size = 0;
  uint64_t change = 0;
};

// Bits of WriteArgs::flags.
inline constexpr uint32_t kWriteStable = 1, kWriteWriteback = 2, kWriteUncached = 4,
                          kWriteKeepMtime = 8;
struct WriteArgs {
  Handle node{};
  Opener opener{};
  uint64_t off = 0;
  uint64_t lease_seq = 0;
  uint32_t trunc_gen = 0;
  bool has_trunc_gen = false;
  uint32_t flags = 0;
  Time mtime{};
};
struct WriteReply {
  bool replayed = false;
  uint32_t count = 0;
  uint64_t verifier = 0;
  bool stable = false;
  Node node{};
};

struct AppendArgs {
  Handle node{};
  Opener opener{};
};
struct AppendReply {
  bool replayed = false;
  uint64_t off = 0;  // where the bytes went
  Node node{};
};

struct CommitArgs {
  Handle node{};
  uint64_t verifier = 0;
  bool data_only = false;
};
struct CommitReply {
  uint64_t verifier = 0;
  Node node{};
};

struct FallocateArgs {
  Handle node{};
  Opener opener{};
  uint32_t mode = 0;  // FALLOC_FL_*
  uint64_t off = 0;
  uint64_t len = 0;
};

struct SeekArgs {
  Handle node{};
  Opener opener{};
  uint64_t off = 0;
  bool hole = false;
};

struct ExtentsArgs {
  Handle node{};
  Opener opener{};
  uint64_t off = 0;
  uint64_t len = 0;
  uint32_t max = 0;
};
struct ExtentsReply {
  std::vector<Extent> extents{};
  bool last = false;
};

struct CopyArgs {
  Handle from{};
  Opener from_opener{};
  uint64_t from_off = 0;
  Handle to{};
  Opener to_opener{};
  uint64_t to_off = 0;
  uint64_t len = 0;
  bool clone = false;
};
struct CopyReply {
  bool replayed = false;
  uint64_t count = 0;
  Node node{};
};

struct ReadManyArgs {
  std::vector<Handle> nodes{};
  uint32_t max_bytes = 0;  // per file; a larger one comes without data
};

}  // namespace myfs::rpc
