// FilemapRead: one read through the cache by steps, for who does not wait in a thread.
// Kernel counterpart: generic_file_buffered_read with IOCB_WAITQ (mm/filemap.c, io_uring).
// Differs: it keeps what it has copied from step to step; a write() in between makes it begin
// anew, so that whole write()s are seen without i_rwsem.
// Thread safety: one thread at a time; the Waker may be called meanwhile.
// Lock rank: takes invalidate_lock by try_lock; may be called with sleeping locks down to
// kInodeRwsem.
// Owns / is owned by: by the operation; refers to mapping, readahead state, memory of the caller.
// Invariants: (1) it never sleeps; (2) after kParked the waker is called at least once, unless the
// object is destroyed before.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "sdk/base/result.h"
#include "sdk/base/waker.h"
#include "sdk/mm/address_space.h"
#include "sdk/mm/iov_cursor.h"
#include "sdk/mm/readahead.h"
#include "sdk/mm/wait_table.h"

namespace myfs::mm {

class FilemapRead {
 public:
  // `iov` and what it names stay until the end.
  FilemapRead(AddressSpace& mapping, FileRaState& ra, uint64_t pos, std::span<const iovec> iov,
              Waker& waker);
  ~FilemapRead();
  FilemapRead(const FilemapRead&) = delete;
  FilemapRead& operator=(const FilemapRead&) = delete;

  enum class Progress : uint8_t {
    kDone,     // result()
    kParked,   // the waker tells when to come again
    kBlocked,  // goes on only by waiting: filemap_read from the start
  };
  Progress step();
  // Bytes, fewer if an error came later; or what filemap_read reports.
  Result<size_t> result() const;

 private:
  Progress step_once(bool* again);
  Progress find_page(uint64_t index, size_t pages_wanted, PageRef* page);
  Progress end(Errno error);
  Progress park();

  AddressSpace& mapping_;
  FileRaState& ra_;
  const uint64_t pos_;
  const size_t wanted_;
  IovCursor cursor_;
  Waker& waker_;
  PageWaiter page_waiter_;
  PageRef waited_;  // for whose read
  std::unique_ptr<QueuedAdmission> queued_;
  size_t queued_pages_ = 0;
  uint64_t write_seq_;
  size_t done_ = 0;
  Errno error_;
  int races_ = 0;
  int refusals_ = 0;
  bool expects_ = false;
};

}  // namespace myfs::mm
