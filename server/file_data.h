// FileData: the content of regular files, on a MetaStore and a BlockStore.
// Kernel counterpart: the extent tree and delayed allocation of fs/ext4, with btrfs's checksums.
// Differs: copy on write by checksum block; small writes ride in the metadata batch.
// Thread safety: the shard's loop thread alone; callbacks run on it, never before the call that got
// them has returned. It reads the MetaStore on the loop; what blocks on data runs in the IoPool.
// Lock rank: none.
// Owns / is owned by: owned by the shard, destroyed before stores and pool and after the loop has
// stopped running jobs. Owns chunk maps in memory and what is written but not committed.
//
// LAYERS. The content of a file is `committed` (what the MetaStore says), above it what one running
// commit has taken (`committing`), above it `pending`: writes answered but in no commit yet.
//   read, walk               see `committed` only.
//   write                    adds to `pending`. Full checksum blocks go to free slots of the
//   chunk's
//                            file at once; the rest waits in memory. Lost in a crash.
//   commit, truncate, punch, clone
//                            take all of `pending` (edits, which is all but commit, lay what they
//                            do over it), make its slots durable and hand a DataChange to the
//                            caller, who puts it into a Txn, in the same loop turn in which he
//                            reads the inode that he changes, and settles it when the Txn is
//                            durable or has failed. What is planned takes as many turns of the loop
//                            as it is long.
// Writes may be held back (HeldWrites): they stand above `pending` and come into it when the commit
// that names them begins, so that no other one takes them along.
// ORDER. Per inode: a write waits for earlier writes to the same checksum blocks; commits and edits
// run one after the other, from their start to the settling of their change; edits wait for all
// earlier writes, held ones until they are committed, and later writes for their taking. Reads wait
// for nothing. A commit covers every write whose `done` ran before commit() was called. FAILURE.
// When data cannot be made durable, or a change settles as failed, everything of the inode that was
// in `committing` and `pending`, or held, is dropped, the running and waiting commits of it fail,
// and verifier_count() rises: every unstable write of the boot counts as lost to its client, who
// has its bytes still. Nothing is synced a second time. A write that fails alone (ENOSPC) changes
// nothing.
//
// Invariants: (1) a slot that a committed record names is never written; (2) a slot is free when no
// layer, no reader and no writer holds it; slots of failed commits are never free again in this
// boot; (3) size and blocks of a regular file change by DataChange::apply_to() alone; (4) an inode
// whose `data` is not empty has no chunk 0 in the store: `data` are its first bytes, the rest
// zeros.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "absl/functional/any_invocable.h"
#include "sdk/base/clock.h"
#include "sdk/base/result.h"
#include "server/io_pool.h"
#include "server/records.h"
#include "server/store/block_store.h"
#include "server/store/meta_store.h"

namespace myfs::server {

class FileDataImpl;

// Bytes for the wire: whole cache lines, the last word padded with zeros.
class DataBuffer {
 public:
  DataBuffer() = default;
  explicit DataBuffer(size_t size_bytes);  // content undefined but for the padding
  uint8_t* data() { return reinterpret_cast<uint8_t*>(words_.get()); }
  const uint8_t* data() const { return reinterpret_cast<const uint8_t*>(words_.get()); }
  size_t size() const { return size_bytes_; }
  std::span<uint8_t> span() { return {data(), size_bytes_}; }
  std::span<const uint8_t> span() const { return {data(), size_bytes_}; }

 private:
  struct Free {
    void operator()(uint64_t* words) const;
  };
  std::unique_ptr<uint64_t[], Free> words_;
  size_t size_bytes_ = 0;
};

// What a commit, truncate or punch changes in the store; holds the inode's commit lane.
// Destroying it unsettled counts as settle(false).
class DataChange {
 public:
  DataChange() = default;
  DataChange(DataChange&&) noexcept;
  DataChange& operator=(DataChange&&) noexcept;
  ~DataChange();

  uint64_t ino() const { return ino_; }
  // Nothing to store and the inode as it was; settle it all the same.
  bool empty() const { return mutations_.empty() && !changes_inode_; }
  // Whether the inode record must be put with it.
  bool changes_inode() const { return changes_inode_; }
  // Of a commit: whether writes go with it, and the newest time that came with one of them.
  bool has_writes() const { return has_writes_; }
  // Whether it gives up slots that a committed record names: they may be written again, or their
  // file be removed, once it is settled, so that the transaction must be on the disk by then.
  bool gives_up_slots() const { return gives_up_slots_; }
  Time mtime() const { return mtime_; }
  // The size of the file once it is durable.
  uint64_t size() const { return size_; }
  // Sets size, blocks and inline data. Times and counters are the caller's.
  void apply_to(InodeRecord& inode) const;
  // Adds the mutations of chunks (not the inode's) to a transaction; once.
  void move_to(Txn& txn);
  // The transaction is durable, or has failed. Once.
  void settle(bool durable);

 private:
  friend class FileDataImpl;
  std::weak_ptr<FileDataImpl> owner_;  // empty: nothing to settle
  uint64_t ino_ = 0;
  uint64_t size_ = 0;
  uint64_t blocks_ = 0;
  std::string inline_data_;
  bool changes_inode_ = false;
  bool has_writes_ = false;
  bool gives_up_slots_ = false;
  Time mtime_{};
  std::vector<Mutation> mutations_;
};

// Writes of one caller that go into one commit of his, and into no other: what he puts into its
// transaction is durable if and only if they are.
struct HeldWrites {
  bool lost = false;  // see FAILURE
};
using HeldWritesRef = std::shared_ptr<HeldWrites>;

struct WriteReply {
  bool commit_wanted = false;  // too much waits in memory: commit before answering
};
struct DataExtent {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool shared = false;  // other chunk records name the file of blocks that it lies in
};
// One caller's way through the data of a file, some chunks a turn.
struct ExtentWalk {
  uint64_t offset = 0, length = 0;  // asked for
  size_t max = 1;                   // extents
  bool tell_shared = false;         // else neighbours are one extent whether shared or not
  bool to_first_byte = false;       // the length of what is found does not matter
  uint64_t at = 0;                  // all before it has been seen
  std::vector<DataExtent> found{};  // ascending
  bool over = false;
};

using ReadDone = absl::AnyInvocable<void(Result<DataBuffer>)>;
using WriteDone = absl::AnyInvocable<void(Result<WriteReply>)>;
using ChangeDone = absl::AnyInvocable<void(Result<DataChange>)>;

class FileData {
 public:
  // What FileData asks of its shard.
  class Host {
   public:
    virtual ~Host() = default;
    // The committed record of a regular file, null if there is none (any more). Valid until the
    // loop turns.
    virtual const InodeRecord* committed_inode(uint64_t ino) = 0;
    // Commits `txn` in the background, after everything submitted before it, then calls `done` on
    // the loop. Background work: slots of deferred writes, removal of garbage. `on_disk`: whatever
    // else the server calls durable.
    virtual void submit_background(Txn txn, bool on_disk,
                                   absl::AnyInvocable<void(bool durable)> done) = 0;
    // Runs a function on the loop after the present turn.
    virtual void post(Job job) = 0;
  };
  struct Options {
    MetaStore* meta = nullptr;
    BlockStore* blocks = nullptr;
    IoPool* pool = nullptr;
    Host* host = nullptr;
    // Tests make these small.
    size_t pending_memory_max_bytes = 64 << 20;   // commit_wanted above it
    size_t deferred_memory_max_bytes = 16 << 20;  // deferred writes are applied above it
    size_t cached_chunks_max = 4096;
    uint64_t space_reserve_bytes = 16 << 20;  // ENOSPC when less is free
    std::function<int64_t()> boottime = [] { return boottime_ns(); };
  };

  // Commits once (a new block epoch) on the calling thread, before the committer runs.
  static Result<std::unique_ptr<FileData>> create(const Options& options);
  ~FileData();

  // Starts the clean-up that a boot owes: garbage, blocks that nothing names, deferred writes.
  // After the host can take submit_background(); serving need not wait for it.
  void start_recovery();

  // At most `length` bytes from `offset`, fewer at the end of the file (none past it). ESTALE: no
  // such inode. EIO: checksum or disk. EUCLEAN: damaged record. EFBIG: offset above the limit gives
  // an empty buffer, not an error.
  void read(uint64_t ino, uint64_t offset, size_t length, ReadDone done);
  // `data` must live until `done` runs (keep its owner in `done`). `mtime` comes back in the change
  // that brings the bytes. `held`: they wait for the commit that names it, which has to come unless
  // all these writes have failed; of an inode one at a time. EFBIG, ENOSPC, EDQUOT, EIO, ESTALE.
  void write(uint64_t ino, uint64_t offset, std::span<const uint8_t> data, WriteDone done,
             Time mtime = {}, HeldWritesRef held = nullptr);
  // Nothing pending: an empty change.
  void commit(uint64_t ino, ChangeDone done, HeldWritesRef held = nullptr);
  // Grows or shrinks. EFBIG.
  void truncate(uint64_t ino, uint64_t size, ChangeDone done);
  // [from, to) reads as zeros; the size stays.
  void punch(uint64_t ino, uint64_t from, uint64_t to, ChangeDone done);

  // [offset, offset + length) becomes what [source_offset, ...) of `source` has, by naming the same
  // slots; the size grows if need be. Offsets are multiples of kBlockSize_bytes; so is `length`, or
  // it ends at or behind the ends of both files. Ranges of one file do not overlap. EAGAIN, and
  // nothing happened: something of the source is in no settled commit.
  void clone(uint64_t ino, uint64_t offset, uint64_t source, uint64_t source_offset,
             uint64_t length, ChangeDone done);

  // For the transaction that deletes the inode record; the content goes later.
  static void add_removal(uint64_t ino, Txn& txn);
  // That transaction is durable: nobody calls anything else for this inode any more.
  void removed(uint64_t ino);

  // Goes on with a walk through the committed data, for as long as a turn should take.
  Result<void> walk(uint64_t ino, ExtentWalk* walk);

  // The end of the furthest write that is in no settled commit; 0: there is none.
  uint64_t pending_end(uint64_t ino) const;
  // The times of what is written and in no commit yet do not count any more.
  void forget_mtime(uint64_t ino);

  bool has_pending(uint64_t ino) const;  // also while a commit runs
  std::vector<uint64_t> inodes_with_pending() const;
  // Rises when unstable writes were lost: part of the verifier that writes and commits answer.
  uint32_t verifier_count() const;
  // Nothing runs in the pool or waits for a change to settle.
  bool idle() const;

  // Total and free bytes, the reserve taken off: as the store says now, or said a moment ago.
  BlockSpace space() const;
  BlockSpace recent_space() const;

 private:
  explicit FileData(std::shared_ptr<FileDataImpl> impl);
  const std::shared_ptr<FileDataImpl> impl_;
};

}  // namespace myfs::server
