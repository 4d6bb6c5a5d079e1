// DataHandlers: what each operation on file content checks, recalls and asks of FileData.
// Kernel counterpart: fs/nfsd/vfs.c (nfsd_read, nfsd_vfs_write, nfsd_commit), fs/read_write.c.
// Differs: bodies of requests that leave the loop between their phases.
// Thread safety: the shard's loop only.
// Invariants: (1) a holder's own I/O never waits for the recall of its lease; (2) what is written
// without W is durable before it is answered, hence before anybody can read it; (3) changes without
// W of one inode's content are made one after the other, each in one transaction with the record of
// its answer.
#pragma once

#include <memory>

#include "server/namespace.h"
#include "server/requests.h"
#include "server/turn.h"

namespace myfs::server {

// What a holder does under his lease needs nothing that others may hold.
inline GracePass read_pass(const Handle& node) {
  return {.ino = node.ino, .parts = kPartR | kPartW};
}
inline GracePass write_pass(const Handle& node) { return {.ino = node.ino, .parts = kPartW}; }

struct ReadState {
  std::optional<Result<DataBuffer>> result;
  uint64_t size = 0;
  uint64_t change = 0;
};
Errno read(Turn& turn, const ReadArgs& args, ReadState& state,
           const std::shared_ptr<ReadState>& ref, ReadAnswer& reply);

struct WriteState {
  enum class Stage : uint8_t { kBegin, kWritten, kCommitted };
  Stage stage = Stage::kBegin;
  Errno error;  // of the write
  bool commit_wanted = false;
  uint64_t off = 0;
  size_t count = 0;      // asked for; what was clipped away counts as written
  HeldWritesRef held{};  // of a write without W
  ContentChangeRef change = std::make_shared<ContentChange>();
};
Errno write(Turn& turn, const WriteArgs& args, const std::shared_ptr<WriteState>& state,
            WriteAnswer& reply);

Errno commit(Turn& turn, const CommitArgs& args, const ContentChangeRef& change,
             WriteAnswer& reply);
Errno fallocate(Turn& turn, const FallocateArgs& args, const ContentChangeRef& change,
                ChangedReply& reply);
// What is found in one turn needs no more; a longer walk begins anew with changes kept away.
struct WalkState {
  ExtentWalk walk;
  bool takes_turns = false;
};
using WalkRef = std::shared_ptr<WalkState>;
Errno seek(Turn& turn, const SeekArgs& args, const WalkRef& state, SeekReply& reply);
Errno extents(Turn& turn, const ExtentsArgs& args, const WalkRef& state, ExtentsReply& reply);
// Everything of everybody: what sync(2) promises is part of it.
Errno sync_all(Turn& turn, const std::shared_ptr<Errno>& error);

struct ReadManyState {
  std::vector<std::optional<Result<DataBuffer>>> results;
  size_t left = 0;
};
Errno read_many(Turn& turn, const std::vector<Handle>& nodes, uint32_t max_bytes,
                const std::shared_ptr<ReadManyState>& state, NodesReply& reply);

}  // namespace myfs::server
