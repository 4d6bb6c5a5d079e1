#include "sdk/fs/page_pin.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "sdk/base/error_detail.h"
#include "sdk/base/limits.h"
#include "sdk/fs/locks.h"
#include "sdk/fs/super_block.h"
#include "sdk/mm/address_space.h"

namespace myfs::fs {

namespace {

// How often pages may be taken away, or the lease, before the caller is told that they are not to
// be had.
constexpr int kTries = 4;
constexpr size_t kReadIn_bytes = 256 << 10;

// The parts under which cached content may be used; 0: it may not.
LeaseParts usable_parts(const Inode& inode, LeaseWord::Sample sample) {
  const LeaseParts held = LeaseWord::parts(sample) & (kLeaseR | kLeaseW);
  const bool good = held != 0 && (sample & kLeaseU) == 0 &&
                    LeaseWord::covers(sample, held, inode.i_sb().s_validity);
  return good ? held : LeaseParts{0};
}

// Whether a read through this file would be answered by pages, if they are there. What was stored
// into a mapping comes over them.
bool reads_pages(const File& file) {
  const Inode& inode = file.f_inode();
  const uint32_t flags = inode.i_flags.load(std::memory_order_acquire);
  return (file.f_flags() & O_DIRECT) == 0 && (flags & Inode::kMappedStores) == 0 &&
         !inode.content_in_doubt();
}

bool still_good(const File& file, LeaseWord::Sample sample, LeaseParts held) {
  const Inode& inode = file.f_inode();
  return reads_pages(file) && inode.i_lease.still(sample, held) && inode.i_sb().s_validity.alive();
}

bool lost_locks(const File& file) {
  constexpr uint64_t kNoOwner = 0;  // what was locked through the file counts
  const uint32_t flags = file.f_inode().i_flags.load(std::memory_order_acquire);
  return (flags & Inode::kLostLocks) != 0 && locks_lost_slow(file, kNoOwner);
}

// Those that are there and whole, up to the first that is not.
std::vector<mm::PagePin::Taken> cached_pages(const mm::AddressSpace& mapping, uint64_t first,
                                             size_t count) {
  std::vector<mm::PagePin::Taken> pages;
  for (uint64_t index = first; index < first + count; ++index) {
    mm::PageRef page = mapping.find_get_page(index);
    if (!page) break;
    const uint32_t state = page->state();
    // Looked at again: it may have left its place before its state was taken.
    if ((state & mm::kPageUptodate) == 0 || mapping.find_get_page(index).get() != page.get()) break;
    pages.push_back({std::move(page), state});
  }
  return pages;
}

// Has the file system read them into its cache.
Result<void> read_in(const CallContext& ctx, File& file, uint64_t from, uint64_t to) {
  std::vector<std::byte> buffer(std::min<uint64_t>(kReadIn_bytes, to - from));
  while (from < to) {
    const iovec part{buffer.data(), std::min<uint64_t>(buffer.size(), to - from)};
    MYFS_ASSIGN(const size_t count, file.f_op().read(ctx, file, IoVec(&part, 1), from));
    if (count == 0) break;
    from += count;
  }
  return {};
}

}  // namespace

Result<PinnedPages> vfs_pin_pages(const CallContext& ctx, File& file, int64_t offset, size_t length,
                                  size_t max) {
  Inode& inode = file.f_inode();
  if (!file.may_read()) return Errno(EBADF);
  if (inode.is_dir()) return Errno(EISDIR);
  if (!inode.is_regular() || inode.i_mapping == nullptr || offset < 0 || length == 0 ||
      length > kFileSizeMax_bytes) {
    return Errno(EINVAL);
  }
  if (lost_locks(file)) return Errno(EIO);
  mm::AddressSpace& mapping = *inode.i_mapping;
  const auto start = static_cast<uint64_t>(offset);
  const uint64_t first = start / kPageSize_bytes;
  ReadLock lock(inode.i_rwsem);
  for (int tries = 0; tries < kTries; ++tries) {
    const LeaseWord::Sample sample = inode.i_lease.sample();
    const LeaseParts held = usable_parts(inode, sample);
    const uint64_t size = mapping.i_size.load(std::memory_order_acquire);
    const uint64_t end = std::min<uint64_t>(start + length, size);
    const uint64_t behind = (end + kPageSize_bytes - 1) / kPageSize_bytes;
    const size_t count = start < end ? std::min<uint64_t>(max, behind - first) : 0;
    std::vector<mm::PagePin::Taken> pages;
    if (held != 0) pages = cached_pages(mapping, first, count);
    if (held != 0 && pages.size() == count && still_good(file, sample, held)) {
      MYFS_ASSIGN(mm::PagePin pin, mm::PagePin::create(mapping.runtime(), std::move(pages)));
      return PinnedPages{std::move(pin), sample, held, size};
    }
    const bool asked = tries != 0;
    if (!reads_pages(file) || (asked && (sample & kLeaseU) != 0)) break;
    // Without a lease the size is not known either: one byte asks for it.
    const uint64_t from = (first + pages.size()) * kPageSize_bytes;
    const uint64_t to = held != 0 ? (first + count) * kPageSize_bytes : from + 1;
    MYFS_TRY(read_in(ctx, file, from, to));
  }
  return fail(Errno(EAGAIN), "the file cannot be cached now");
}

bool vfs_pin_holds(const File& file, const PinnedPages& pinned) {
  return pinned.pages.holds() && !lost_locks(file) && still_good(file, pinned.sample, pinned.held);
}

}  // namespace myfs::fs
