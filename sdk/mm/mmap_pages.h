// MmapPages: the memory that mappings of one file show.
// Kernel counterpart: the pages of mm/filemap.c as filemap_fault maps them, page_mkwrite and
// folio_mkclean.  Differs: a copy beside the page cache, in a memfd in which a byte lies where it
// lies in the file; mappings are mmap(2) of that memfd, filled beforehand, so nothing catches
// faults in the user's process. Frames of the page cache are not mapped themselves: they change
// their files, and a store into one could not be noticed. What was stored is found by comparison
// with a second memfd, the *base*: what the file held when it was looked at last. Words of
// kMmapWord_bytes aligned bytes are compared, so that others' words in a page are never written
// with what they were.
// Thread safety: none but that of the user's stores, which come at any moment: of present pages
// that can be stored to a word is replaced in one step, if it is still what it was.
// Lock rank: none of its own; may wait for memory. Owns / is owned by: part of fs::InodeMappings,
// which serialises.
// Invariants: (1) a page below length_bytes() that its owner calls present holds the file's content
// and the user's stores, else it is a hole; behind the end of the file are zeros in base; (2) the
// memory ends with the page that holds the last byte of the file: behind it the kernel sends
// SIGBUS, as for any file; (3) what is resident is charged as MemClass::kMapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "sdk/base/call_context.h"
#include "sdk/base/limits.h"
#include "sdk/base/result.h"
#include "sdk/mm/reclaim.h"

namespace myfs::mm {

inline constexpr size_t kMmapWord_bytes = 8;
// What one step of filling or comparing works on.
inline constexpr size_t kMmapChunk_bytes = 256 << 10;

// Bytes [from, to).
struct MmapRange {
  uint64_t from = 0;
  uint64_t to = 0;
  bool empty() const { return from >= to; }
  uint64_t size_bytes() const { return to - from; }
};

class MmapPages {
 public:
  explicit MmapPages(Budget& budget) : budget_(budget) {}
  ~MmapPages() { close(); }
  MmapPages(const MmapPages&) = delete;
  MmapPages& operator=(const MmapPages&) = delete;

  // Makes the memory; idempotent. EMFILE, ENFILE, ENOMEM.
  Result<void> open();
  // Nothing is mapped any more; what was stored and not taken is gone.
  void close();
  // To be mapped: `writable`, or so that nobody can make it writable afterwards.
  int fd(bool writable) const { return writable ? fd_ : read_fd_; }
  uint64_t file_bytes() const { return file_bytes_; }
  uint64_t length_bytes() const { return page_up(file_bytes_); }
  static uint64_t page_up(uint64_t bytes) {
    return (bytes + kPageSize_bytes - 1) / kPageSize_bytes * kPageSize_bytes;
  }

  // Whether stores are looked for.
  bool tracks() const { return base_fd_ >= 0; }
  // From now on: nobody has stored yet. `present`: the pages that are there. EMFILE, ENOMEM.
  Result<void> track(const CallContext& ctx, std::span<const MmapRange> present);
  void untrack();

  // --- ranges of pages, which the owner knows to be present or absent
  // Sets memory for the pages of `range` aside, or fails at once if so much can never be had.
  // ENOMEM, ETIMEDOUT, EINTR.
  Result<void> charge(const CallContext& ctx, MmapRange range);
  // Absent pages, charged: their first content, at most a chunk, zeros behind it to the page's end.
  Result<void> fill(uint64_t offset, std::span<const std::byte> content);
  // Present pages, whole ones: what the file holds now. The user's stores stay, and count against
  // it: word by word, but byte by byte where a word begins before or ends behind what this client
  // itself has `written`.
  Result<void> merge(uint64_t offset, std::span<const std::byte> content, MmapRange written);
  // They are absent from now on.
  void release(MmapRange range);
  // The file ends here now. Pages that go are the caller's to release() before, those that come to
  // fill() before. In the page of the smaller one of both ends, if it is present, what lies behind
  // reads as zeros.
  Result<void> resize(uint64_t file_bytes, bool edge_present);

  // Whether anything but zeros lies between the end of the file and that of its page, which is
  // present.
  Result<bool> stored_behind_end() const;

  // --- stores
  struct Change {
    uint64_t offset;
    std::vector<std::byte> bytes;
  };
  // What was stored in [from, to) of present pages, at most a chunk, and not settled.
  Result<std::vector<Change>> changes(MmapRange range);
  // The file has it.
  Result<void> settle(const Change& change);

 private:
  static Result<int> make_memfd(const char* name);
  size_t copies() const { return tracks() ? 2 : 1; }
  void uncharge(size_t bytes);

  Budget& budget_;
  int fd_ = -1;
  int read_fd_ = -1;
  int base_fd_ = -1;
  uint64_t file_bytes_ = 0;
  size_t charged_bytes_ = 0;
};

}  // namespace myfs::mm
