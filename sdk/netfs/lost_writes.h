// LostWrites: what was written to one file and cannot be brought to the server any more.
// LostWritesDesk: those of a mount: who is told of them, and where they are rescued to.
// Kernel counterpart: none; the kernel's file systems drop such pages (mapping_set_error).
// Thread safety: all. Handlers are called, and rescue files written, on a thread of the desk's, one
// loss after the other, under no lock.
// Lock rank: kCall for the list; kSession for the queue.
// Owns / is owned by: the desk is shared by its Super and by what is queued; LostWrites keeps the
// pages, and with them their memory, and nothing of inode or mount.
// Invariants: (1) each loss is told once to each handler that was there when it was found; (2)
// after remove() has returned the handler is not called any more, unless it is itself that called
// it; (3) what nobody would be told of keeps no page.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/callback_thread.h"
#include "sdk/base/metrics.h"
#include "sdk/base/result.h"
#include "sdk/mm/address_space.h"
#include "sdk/netfs/rescue.h"

namespace myfs::netfs {

// Bytes of one page, from its beginning.
struct LostPage {
  uint64_t offset;  // in the file
  size_t size_bytes;
  mm::PageRef page;  // null: nobody would read it
};

class LostWrites {
 public:
  using Range = mm::AddressSpace::ByteRange;

  std::string mount;  // its URL
  std::string path;   // from the root of the mount
  uint64_t ino = 0;
  uint32_t generation = 0;
  uint64_t file_size = 0;
  Errno error;
  std::string why;
  int64_t when_ns = 0;  // realtime_ns scale

  // In any order; of one offset the last one counts.
  void set_pages(std::vector<LostPage> pages);
  // Ascending, neither touching nor overlapping.
  const std::vector<Range>& ranges() const { return ranges_; }
  // "OFFSET+SIZE ...", the first few.
  std::string ranges_text() const;
  uint64_t size_bytes() const;
  // Copies up to the end of the range that `offset` lies in; 0: it lies in none. What is written to
  // the file meanwhile may be among it.
  size_t read(uint64_t offset, void* to, size_t size_bytes) const;

 private:
  std::vector<LostPage> pages_;
  std::vector<Range> ranges_;
};

class LostWritesDesk : public std::enable_shared_from_this<LostWritesDesk> {
 public:
  class Handler {
   public:
    virtual ~Handler() = default;
    // True: the bytes are taken care of; no rescue file is wanted.
    virtual bool lost(const LostWrites& what) = 0;
  };

  explicit LostWritesDesk(std::shared_ptr<const RescueDir> rescue) : rescue_(std::move(rescue)) {}

  void add(std::shared_ptr<Handler> handler);
  void remove(const Handler& handler);
  // Whether somebody would read lost bytes.
  bool wants_bytes() const {
    return rescue_ != nullptr || handlers_there_.load(std::memory_order_acquire) != 0;
  }
  // Logs the loss; tells, and rescues, soon. Not under a lock.
  void report(std::shared_ptr<const LostWrites> what);
  // Until all of them have been told and written.
  void drain() { thread_.drain(); }
  void stop() { thread_.stop(); }
  // Files that could not be rescued.
  const Counter& rescues_failed() const { return rescues_failed_; }

 private:
  void handle(const LostWrites& what);

  const std::shared_ptr<const RescueDir> rescue_;
  Counter rescues_failed_;
  std::atomic<size_t> handlers_there_{0};
  Mutex mutex_{LockRank::kCall};
  CondVar returned_;
  std::vector<std::shared_ptr<Handler>> handlers_ ABSL_GUARDED_BY(mutex_);
  const Handler* running_ ABSL_GUARDED_BY(mutex_) = nullptr;
  CallbackThread thread_;
};

}  // namespace myfs::netfs
