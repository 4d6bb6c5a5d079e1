#include "sdk/fs/mmap.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "sdk/base/error_detail.h"
#include "sdk/base/limits.h"
#include "sdk/fs/locks.h"
#include "sdk/fs/stat.h"
#include "sdk/fs/super_block.h"
#include "sdk/fs/task.h"
#include "sdk/mm/runtime.h"

namespace myfs::fs {

namespace {

using mm::MmapPages;
using mm::MmapRange;

MmapRange intersection(MmapRange a, MmapRange b) {
  return {std::max(a.from, b.from), std::min(a.to, b.to)};
}

// Mappings read and write for whoever opened their files.
CallContext for_opener(const CallContext& ctx, const File& file) {
  CallContext as = ctx;
  as.cred = file.f_cred;
  return as;
}

Result<void> write_fully(const CallContext& ctx, File& file, const MmapPages::Change& change) {
  for (size_t done = 0; done < change.bytes.size();) {
    const iovec part{const_cast<std::byte*>(change.bytes.data()) + done,
                     change.bytes.size() - done};
    MYFS_ASSIGN(const WriteResult written,
                file.f_op().write(ctx, file, IoVec(&part, 1), change.offset + done, false));
    if (written.count == 0) return Errno(EIO);
    done += written.count;
  }
  return {};
}

void add_once(std::vector<Ref<SuperBlock>>& to, SuperBlock& sb) {
  auto same = [&](const Ref<SuperBlock>& known) { return known.get() == &sb; };
  if (std::none_of(to.begin(), to.end(), same)) to.push_back(Ref<SuperBlock>(sb));
}

// Copies to where byte `at` of `to` lies.
void copy_into(IoVec to, size_t at, const std::byte* from, size_t size_bytes) {
  for (const iovec& part : to) {
    if (size_bytes == 0) return;
    if (at >= part.iov_len) {
      at -= part.iov_len;
      continue;
    }
    const size_t n = std::min(part.iov_len - at, size_bytes);
    std::memcpy(static_cast<std::byte*>(part.iov_base) + at, from, n);
    from += n;
    size_bytes -= n;
    at = 0;
  }
}

}  // namespace

MmapRange VmArea::bytes_of(uintptr_t start, uintptr_t end) const {
  start = std::max(start, vm_start);
  end = std::min(end, vm_end);
  return {vm_offset + (start - vm_start), vm_offset + (end - vm_start)};
}

bool MmapWanted::stores() const {
  return (flags & MAP_TYPE) != MAP_PRIVATE && (prot & PROT_WRITE) != 0;
}

// --- InodeMappings

InodeMappings::Ranges InodeMappings::covered_locked(MmapRange within) const {
  Ranges all;
  for (const Mapped& mapped : mapped_) {
    const MmapRange part = intersection(mapped.bytes, within);
    if (!part.empty()) all.push_back(part);
  }
  std::sort(all.begin(), all.end(),
            [](const MmapRange& a, const MmapRange& b) { return a.from < b.from; });
  Ranges apart;
  for (const MmapRange& range : all) {
    if (apart.empty() || apart.back().to < range.from) {
      apart.push_back(range);
    } else {
      apart.back().to = std::max(apart.back().to, range.to);
    }
  }
  return apart;
}

InodeMappings::Ranges InodeMappings::minus(MmapRange range, const Ranges& without) {
  Ranges left;
  for (const MmapRange& taken : without) {
    if (taken.from > range.from) left.push_back({range.from, std::min(taken.from, range.to)});
    range.from = std::max(range.from, taken.to);
    if (range.empty()) return left;
  }
  if (!range.empty()) left.push_back(range);
  return left;
}

File* InodeMappings::file_with_stores_locked() const {
  auto found = std::find_if(mapped_.begin(), mapped_.end(),
                            [](const Mapped& mapped) { return mapped.stores; });
  return found == mapped_.end() ? nullptr : found->file;
}

Result<void> InodeMappings::read_in_locked(const CallContext& ctx, File& file, MmapRange range,
                                           bool fill, MmapRange written) {
  const CallContext as = for_opener(ctx, file);
  std::vector<std::byte> chunk(std::min<uint64_t>(mm::kMmapChunk_bytes, range.size_bytes()));
  for (; !range.empty(); range.from += chunk.size()) {
    chunk.resize(std::min<uint64_t>(chunk.size(), range.size_bytes()));
    size_t done = 0;
    while (done < chunk.size()) {
      const iovec part{chunk.data() + done, chunk.size() - done};
      MYFS_ASSIGN(const size_t count,
                  file.f_op().read(as, file, IoVec(&part, 1), range.from + done));
      if (count == 0) break;
      done += count;
    }
    std::fill(chunk.begin() + static_cast<ptrdiff_t>(done), chunk.end(), std::byte{0});
    MYFS_TRY(fill ? pages_.fill(range.from, chunk) : pages_.merge(range.from, chunk, written));
  }
  return {};
}

void InodeMappings::release_locked(const Ranges& ranges) {
  for (const MmapRange& range : ranges) pages_.release(range);
}

Result<void> InodeMappings::fill_locked(const CallContext& ctx, File& file, const Ranges& ranges) {
  Ranges charged;
  Result<void> filled;
  for (const MmapRange& range : ranges) {
    filled = pages_.charge(ctx, range);
    if (!filled.ok()) break;
    charged.push_back(range);
    filled = read_in_locked(ctx, file, range, true);
    if (!filled.ok()) break;
  }
  if (!filled.ok()) release_locked(charged);
  return filled;
}

Result<void> InodeMappings::resize_locked(uint64_t file_bytes) {
  const uint64_t before = pages_.file_bytes();
  if (file_bytes == before) return {};
  const uint64_t old_end = pages_.length_bytes(), new_end = MmapPages::page_up(file_bytes);
  const uint64_t edge = std::min(before, file_bytes);
  const bool edge_present = !covered_locked({edge, edge + 1}).empty();
  if (new_end < old_end) release_locked(covered_locked({new_end, old_end}));
  return pages_.resize(file_bytes, edge_present);
}

Result<void> InodeMappings::follow_size_locked(const CallContext& ctx, File& file) {
  MYFS_ASSIGN(const Kstat stat, vfs_getattr(for_opener(ctx, file), inode_));
  const uint64_t old_end = pages_.length_bytes(), new_end = MmapPages::page_up(stat.size);
  MYFS_TRY(resize_locked(std::min<uint64_t>(stat.size, old_end)));
  if (new_end <= old_end) return {};
  Result<void> filled = fill_locked(ctx, file, covered_locked({old_end, new_end}));
  // Filling has lengthened the memory, too.
  Result<void> resized = pages_.resize(filled.ok() ? stat.size : old_end, false);
  return filled.ok() ? resized : filled;
}

Result<bool> InodeMappings::stored_behind_end_locked() const {
  const uint64_t end = pages_.file_bytes();
  if (file_with_stores_locked() == nullptr || covered_locked({end, end + 1}).empty()) return false;
  return pages_.stored_behind_end();
}

Result<void> InodeMappings::follow_growth_locked(const CallContext& ctx) {
  MYFS_ASSIGN(const bool stored, stored_behind_end_locked());
  if (!stored) return {};
  File& file = *file_with_stores_locked();
  MYFS_ASSIGN(const Kstat stat, vfs_getattr(for_opener(ctx, file), inode_));
  const uint64_t old_end = pages_.file_bytes();
  if (stat.size <= old_end) return {};
  const MmapRange grown{old_end, std::min<uint64_t>(stat.size, pages_.length_bytes())};
  const MmapRange page{old_end / kPageSize_bytes * kPageSize_bytes, pages_.length_bytes()};
  MYFS_TRY(read_in_locked(ctx, file, page, false, grown));
  return pages_.resize(grown.to, false);
}

Result<Ref<VmArea>> InodeMappings::map_locked(const CallContext& ctx, MmStruct& mm,
                                              const Ref<File>& file, const MmapWanted& wanted,
                                              std::vector<VmGone>* displaced) {
  const MmapRange asked{wanted.offset, wanted.offset + wanted.length};
  MYFS_TRY(pages_.open());
  MYFS_TRY(follow_growth_locked(ctx));
  Result<void> followed = follow_size_locked(ctx, *file);
  if (!followed.ok() && asked.to > pages_.length_bytes()) return followed.error();
  const MmapRange within = intersection(asked, {0, pages_.length_bytes()});
  Ranges absent;
  if (!within.empty()) {
    const Ranges present = covered_locked(within);
    for (const MmapRange& range : present) MYFS_TRY(read_in_locked(ctx, *file, range, false));
    absent = minus(within, present);
    MYFS_TRY(fill_locked(ctx, *file, absent));
  }
  Errno error;
  if (wanted.stores()) {
    Ranges all = covered_locked({0, pages_.length_bytes()});
    all.insert(all.end(), absent.begin(), absent.end());
    error = pages_.track(ctx, all).error();
  }
  Result<Ref<VmArea>> area = Errno(ENOMEM);
  if (!error.ok()) {
    area = error;
  } else {
    area = mm.map(file, wanted, pages_.fd(wanted.stores()), ++last_mapping_, displaced);
  }
  if (!area.ok()) {
    release_locked(absent);
  } else {
    mapped_.push_back({last_mapping_, file.get(), asked, wanted.stores()});
  }
  return area;
}

void InodeMappings::settle_locked() {
  const bool stores = file_with_stores_locked() != nullptr;
  uint32_t flags = 0;
  if (!mapped_.empty()) flags |= Inode::kMapped;
  if (stores) flags |= Inode::kMappedStores;
  const uint32_t before = inode_.i_flags.fetch_or(flags, std::memory_order_acq_rel);
  inode_.i_flags.fetch_and(~((Inode::kMapped | Inode::kMappedStores) & ~flags),
                           std::memory_order_acq_rel);
  std::atomic<size_t>& counted = inode_.i_sb().s_mapped_stores;
  const bool stored = (before & Inode::kMappedStores) != 0;
  if (stores && !stored) counted.fetch_add(1, std::memory_order_acq_rel);
  if (!stores && stored) counted.fetch_sub(1, std::memory_order_acq_rel);
  if (!stores) pages_.untrack();
  if (mapped_.empty()) pages_.close();
}

Result<Ref<VmArea>> InodeMappings::map(const CallContext& ctx, MmStruct& mm, const Ref<File>& file,
                                       const MmapWanted& wanted, std::vector<VmGone>* displaced) {
  MutexLock lock(mutex_);
  Result<Ref<VmArea>> area = map_locked(ctx, mm, file, wanted, displaced);
  settle_locked();
  return area;
}

void InodeMappings::unmap(const VmGone& gone) {
  MutexLock lock(mutex_);
  std::vector<Mapped> left;
  for (const Mapped& mapped : mapped_) {
    if (mapped.mapping != gone.area->vm_mapping) {
      left.push_back(mapped);
      continue;
    }
    for (const MmapRange& part : minus(mapped.bytes, {gone.bytes})) {
      left.push_back({mapped.mapping, mapped.file, part, mapped.stores});
    }
  }
  mapped_ = std::move(left);
  const MmapRange within = intersection(gone.bytes, {0, pages_.length_bytes()});
  if (!within.empty()) release_locked(minus(within, covered_locked(within)));
  settle_locked();
}

Result<void> InodeMappings::write_out(const CallContext& ctx, MmapRange range) {
  MutexLock lock(mutex_);
  File* const through = file_with_stores_locked();
  if (through == nullptr) return {};
  File& file = *through;
  const CallContext as = for_opener(ctx, file);
  MYFS_TRY(follow_growth_locked(ctx));
  bool size_known = false;
  range.to = std::min(range.to, pages_.length_bytes());
  for (const MmapRange& part : covered_locked(range)) {
    for (uint64_t at = part.from; at < part.to;) {
      const MmapRange chunk{at, std::min(part.to, at + mm::kMmapChunk_bytes)};
      MYFS_ASSIGN(const auto changes, pages_.changes(chunk));
      if (!changes.empty() && !std::exchange(size_known, true)) {
        // What others have cut off does not come back; the same again with the new end. To further
        // pages that the file has got nobody can have stored.
        MYFS_ASSIGN(const Kstat stat, vfs_getattr(as, inode_));
        MYFS_TRY(resize_locked(std::min<uint64_t>(stat.size, pages_.file_bytes())));
        continue;
      }
      for (const MmapPages::Change& change : changes) {
        MYFS_TRY(write_fully(as, file, change));
        MYFS_TRY(pages_.settle(change));
      }
      at = chunk.to;
    }
  }
  return {};
}

Result<bool> InodeMappings::has_stores(MmapRange range) {
  MutexLock lock(mutex_);
  if (file_with_stores_locked() == nullptr) return false;
  range.to = std::min(range.to, pages_.length_bytes());
  for (const MmapRange& part : covered_locked(range)) {
    for (uint64_t at = part.from; at < part.to; at += mm::kMmapChunk_bytes) {
      MYFS_ASSIGN(const auto changes,
                  pages_.changes({at, std::min(part.to, at + mm::kMmapChunk_bytes)}));
      if (!changes.empty()) return true;
    }
  }
  const uint64_t end = pages_.file_bytes();
  if (range.from > end || range.to <= end) return false;
  return stored_behind_end_locked();
}

Result<void> InodeMappings::refresh(const CallContext& ctx, MmapRange range) {
  MutexLock lock(mutex_);
  MYFS_TRY(follow_growth_locked(ctx));
  return refresh_locked(ctx, range, {});
}

Result<void> InodeMappings::show_written(const CallContext& ctx, MmapRange written) {
  MutexLock lock(mutex_);
  return refresh_locked(ctx, written, written);
}

Result<void> InodeMappings::refresh_locked(const CallContext& ctx, MmapRange range,
                                           MmapRange written) {
  if (mapped_.empty()) return {};
  File& file = *mapped_.front().file;
  // Pages that are there do not wait for memory for others.
  Result<void> followed = follow_size_locked(ctx, file);
  range.from = range.from / kPageSize_bytes * kPageSize_bytes;
  range.to = std::min(range.to, pages_.length_bytes());
  range.to = MmapPages::page_up(range.to);
  for (const MmapRange& part : covered_locked(range)) {
    MYFS_TRY(read_in_locked(ctx, file, part, false, written));
  }
  return followed;
}

Result<void> InodeMappings::overlay(const CallContext& ctx, IoVec to, uint64_t offset,
                                    size_t count) {
  MutexLock lock(mutex_);
  if (offset + count > pages_.file_bytes()) MYFS_TRY(follow_growth_locked(ctx));
  const MmapRange wanted{offset, offset + count};
  for (const MmapRange& part :
       covered_locked({offset / mm::kMmapWord_bytes * mm::kMmapWord_bytes, wanted.to})) {
    for (uint64_t at = part.from; at < part.to; at += mm::kMmapChunk_bytes) {
      MYFS_ASSIGN(const auto changes,
                  pages_.changes({at, std::min(part.to, at + mm::kMmapChunk_bytes)}));
      for (const MmapPages::Change& change : changes) {
        const MmapRange seen =
            intersection(wanted, {change.offset, change.offset + change.bytes.size()});
        if (seen.empty()) continue;
        copy_into(to, seen.from - offset, change.bytes.data() + (seen.from - change.offset),
                  seen.size_bytes());
      }
    }
  }
  return {};
}

// --- MmStruct

Result<Ref<VmArea>> MmStruct::map(const Ref<File>& file, const MmapWanted& wanted, int memory_fd,
                                  uint64_t mapping, std::vector<VmGone>* displaced) {
  MutexLock lock(mmap_lock_);
  void* address = ::mmap(reinterpret_cast<void*>(wanted.address), wanted.length, wanted.prot,
                         wanted.flags, memory_fd, static_cast<off_t>(wanted.offset));
  if (address == MAP_FAILED) return Errno(errno);
  const auto start = reinterpret_cast<uintptr_t>(address);
  const uintptr_t end = start + wanted.length;
  *displaced = take_out_locked(start, end);
  Ref<VmArea> area = make_ref<VmArea>(file, mapping, start, end, wanted.offset, wanted.stores());
  areas_.emplace(end, area);
  return area;
}

Result<void> MmStruct::unmap(uintptr_t start, uintptr_t end, std::vector<VmGone>* gone) {
  Errno error;
  MutexLock lock(mmap_lock_);
  for (VmGone& part : take_out_locked(start, end)) {
    const VmArea& area = *part.area;
    const uintptr_t from = area.vm_start + (part.bytes.from - area.vm_offset);
    const uintptr_t to = from + part.bytes.size_bytes();
    if (::munmap(reinterpret_cast<void*>(from), to - from) == 0) {
      gone->push_back(std::move(part));
      continue;
    }
    error = Errno(errno);
    areas_.emplace(to, make_ref<VmArea>(area.vm_file, area.vm_mapping, from, to, part.bytes.from,
                                        area.vm_stores));
  }
  return error;
}

std::vector<VmGone> MmStruct::take_out_locked(uintptr_t start, uintptr_t end) {
  std::vector<VmGone> all;
  auto at = areas_.upper_bound(start);
  while (at != areas_.end() && at->second->vm_start < end) {
    Ref<VmArea> area = at->second;
    at = areas_.erase(at);
    auto leave = [&](uintptr_t from, uintptr_t to) {
      mmap_lock_.assert_held();
      if (from >= to) return;
      areas_.emplace(to,
                     make_ref<VmArea>(area->vm_file, area->vm_mapping, from, to,
                                      area->vm_offset + (from - area->vm_start), area->vm_stores));
    };
    leave(area->vm_start, start);
    leave(end, area->vm_end);
    const MmapRange bytes = area->bytes_of(start, end);
    all.push_back({std::move(area), bytes});
  }
  return all;
}

std::vector<Ref<VmArea>> MmStruct::find(uintptr_t start, uintptr_t end, bool* whole) const {
  std::vector<Ref<VmArea>> found;
  *whole = true;
  MutexLock lock(mmap_lock_);
  for (auto at = areas_.upper_bound(start); at != areas_.end() && at->second->vm_start < end;
       ++at) {
    if (at->second->vm_start > start) *whole = false;
    start = at->first;
    found.push_back(at->second);
  }
  if (start < end) *whole = false;
  return found;
}

std::vector<Ref<SuperBlock>> MmStruct::with_stores() const {
  std::vector<Ref<SuperBlock>> found;
  MutexLock lock(mmap_lock_);
  for (const auto& [end, area] : areas_) {
    if (area->vm_stores) add_once(found, area->vm_file->f_inode().i_sb());
  }
  return found;
}

// --- calls

namespace {

constexpr int kMapIgnored =
    MAP_DENYWRITE | MAP_EXECUTABLE | MAP_STACK | MAP_POPULATE | MAP_NONBLOCK;
constexpr MmapRange kWhole{0, UINT64_MAX};
constexpr int kMapPassed = MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_NORESERVE;

Result<void> write_stores_unheld(const CallContext& ctx, Inode& inode, MmapRange range) {
  WriteLock lock(inode.i_rwsem);
  return inode.i_mmap()->write_out(ctx, range);
}

Result<void> write_stores(const CallContext& ctx, Inode& inode, MmapRange range) {
  // Who has stored nothing waits for no thaw.
  MYFS_ASSIGN(const bool any, inode.i_mmap()->has_stores(range));
  if (!any) return {};
  MYFS_ASSIGN(const WantWrite writing, WantWrite::get(ctx, inode.i_sb()));
  return write_stores_unheld(ctx, inode, range);
}

bool may_have_stores(const Inode& inode) {
  return (inode.i_flags.load(std::memory_order_acquire) & Inode::kMappedStores) != 0;
}

std::vector<Ref<Inode>> inodes_with_stores(SuperBlock& sb) {
  std::vector<Ref<Inode>> found;
  if (sb.s_mapped_stores.load(std::memory_order_acquire) == 0) return found;
  sb.s_inodes.for_each([&](Inode& inode) {
    if (may_have_stores(inode)) found.push_back(Ref<Inode>(inode));
  });
  return found;
}

// With one of the two above. All are tried; the first error.
Result<void> sync_all(const CallContext& ctx, SuperBlock& sb, decltype(write_stores)& write) {
  Result<void> first;
  for (const Ref<Inode>& inode : inodes_with_stores(sb)) {
    Result<void> written = write(ctx, *inode, kWhole);
    if (first.ok()) first = written;
  }
  return first;
}

// What the kernel's do_mmap and file_mmap_ok refuse before it asks the file.
Result<MmapWanted> check_args(const MmapArgs& args) {
  constexpr size_t kPage = kPageSize_bytes;
  constexpr int kProt = PROT_READ | PROT_WRITE | PROT_EXEC;
  const int type = args.flags & MAP_TYPE;
  const int unknown = args.flags & ~(MAP_TYPE | kMapIgnored | kMapPassed);
  if (args.length == 0 || args.offset < 0 || args.offset % kPage != 0) return Errno(EINVAL);
  if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE) {
    return Errno(EINVAL);
  }
  if (unknown != 0) return Errno(type == MAP_SHARED_VALIDATE ? EOPNOTSUPP : EINVAL);
  if ((args.prot & ~kProt) != 0) return Errno(EINVAL);
  if (args.length > SIZE_MAX - kPage) return Errno(ENOMEM);
  const uint64_t length = MmapPages::page_up(args.length);
  const auto offset = static_cast<uint64_t>(args.offset);
  const uint64_t end_max = MmapPages::page_up(kFileSizeMax_bytes);
  if (offset > end_max || length > end_max - offset) return Errno(EOVERFLOW);
  const int kind = type == MAP_PRIVATE ? MAP_PRIVATE : MAP_SHARED;
  return MmapWanted{.address = reinterpret_cast<uintptr_t>(args.address),
                    .length = length,
                    .prot = args.prot,
                    .flags = kind | (args.flags & kMapPassed),
                    .offset = offset};
}

// Nothing is stored there any more, but InodeMappings has the memory still.
Result<void> forget_one(const CallContext& ctx, const VmGone& gone) {
  File& file = *gone.area->vm_file;
  Inode& inode = file.f_inode();
  Result<void> written;
  if (gone.area->vm_stores) written = write_stores(ctx, inode, gone.bytes);
  inode.i_mmap()->unmap(gone);
  if (!gone.area->vm_stores) return {};
  // As a close: the last one to whom a loss could be told goes.
  Result<void> flushed = file.f_op().flush(ctx, file);
  return written.ok() ? flushed : written;
}

// What was stored there is written; the first error.
Result<void> forget(const CallContext& ctx, const std::vector<VmGone>& all) {
  Result<void> first;
  for (const VmGone& gone : all) {
    Result<void> done = forget_one(ctx, gone);
    if (first.ok()) first = done;
  }
  return first;
}

Result<void> unmap_range(const CallContext& ctx, TaskStruct& task, uintptr_t start, uintptr_t end) {
  std::vector<VmGone> gone;
  Result<void> unmapped = task.mm.unmap(start, end, &gone);
  Result<void> written = forget(ctx, gone);
  return unmapped.ok() ? written : unmapped;
}

// The end of a range of addresses that is given by whole pages.
Result<uintptr_t> end_of(const void* address, size_t length) {
  const auto start = reinterpret_cast<uintptr_t>(address);
  if (start % kPageSize_bytes != 0) return Errno(EINVAL);
  if (length > UINTPTR_MAX - kPageSize_bytes - start) return Errno(ENOMEM);
  return start + MmapPages::page_up(length);
}

Result<void> sync_area(const CallContext& ctx, const TaskStruct& task, const VmArea& area,
                       MmapRange range, int flags) {
  File& file = *area.vm_file;
  Inode& inode = file.f_inode();
  if (area.vm_stores) {
    if (locks_lost_slow(file, task.lock_owner)) return Errno(EIO);
    MYFS_TRY(write_stores(ctx, inode, range));
    if ((flags & MS_SYNC) != 0) MYFS_TRY(file.f_op().fsync(ctx, file, true));
  }
  if ((flags & MS_INVALIDATE) == 0) return {};
  ReadLock lock(inode.i_rwsem);
  return inode.i_mmap()->refresh(ctx, range);
}

}  // namespace

Result<void*> vfs_mmap(const CallContext& ctx, TaskStruct& task, const MmapArgs& args) {
  MYFS_ASSIGN(const MmapWanted wanted, check_args(args));
  if ((wanted.flags & MAP_FIXED) != 0) MYFS_TRY(end_of(args.address, args.length));
  RefPtr<File> found = task.files.fget(args.fd);
  if (!found || (found->f_mode & File::kPath) != 0) return Errno(EBADF);
  Ref<File> file = std::move(found).to_ref();
  Inode& inode = file->f_inode();
  if (!file->may_read() || (wanted.stores() && !file->may_write())) return Errno(EACCES);
  if (!inode.is_regular() || inode.i_mapping == nullptr) return Errno(ENODEV);
  std::vector<VmGone> displaced;
  Result<Ref<VmArea>> area = Errno(ENOMEM);
  {
    ReadLock lock(inode.i_rwsem);
    area = inode.get_mappings().map(ctx, task.mm, file, wanted, &displaced);
  }
  if (!area.ok()) return area.error();
  const uintptr_t start = (*area)->vm_start, end = (*area)->vm_end;
  if (Result<void> lost = forget(ctx, displaced); !lost.ok()) {
    // Who is told of an error unmaps nothing.
    (void)unmap_range(ctx, task, start, end);
    return lost.error();
  }
  return reinterpret_cast<void*>(start);
}

Result<void> vfs_msync(const CallContext& ctx, TaskStruct& task, void* address, size_t length,
                       int flags) {
  constexpr int kKnown = MS_ASYNC | MS_SYNC | MS_INVALIDATE;
  constexpr int kBoth = MS_ASYNC | MS_SYNC;
  if ((flags & ~kKnown) != 0 || (flags & kBoth) == kBoth) return Errno(EINVAL);
  MYFS_ASSIGN(const uintptr_t end, end_of(address, length));
  const auto start = reinterpret_cast<uintptr_t>(address);
  bool whole;
  for (const Ref<VmArea>& area : task.mm.find(start, end, &whole)) {
    MYFS_TRY(sync_area(ctx, task, *area, area->bytes_of(start, end), flags));
  }
  return whole ? Errno() : Errno(ENOMEM);
}

Result<void> vfs_munmap(const CallContext& ctx, TaskStruct& task, void* address, size_t length) {
  Result<uintptr_t> end = end_of(address, length);
  if (!end.ok() || length == 0) return Errno(EINVAL);
  return unmap_range(ctx, task, reinterpret_cast<uintptr_t>(address), *end);
}

Result<void> exit_mmap(const CallContext& ctx, TaskStruct& task) {
  // What has no mount but this task's thaws with its end: its last stores do not wait for that.
  for (const Ref<SuperBlock>& sb : task.nsproxy->super_blocks()) {
    if (sb->mount_count() == task.nsproxy->count(*sb)) (void)sb->thaw();
  }
  return unmap_range(ctx, task, 0, UINTPTR_MAX);
}

Result<void> mmap_write_out(const CallContext& ctx, Inode& inode) {
  return may_have_stores(inode) ? write_stores(ctx, inode, kWhole) : ok_result();
}

Result<void> mmap_sync(const CallContext& ctx, SuperBlock& sb) {
  // Its last mount may go meanwhile. That thaws it first, so nobody waits here for who waits there.
  ReadLock lock(sb.s_umount);
  return sb.is_active() ? sync_all(ctx, sb, write_stores) : ok_result();
}

Result<void> mmap_sync(const CallContext& ctx, const TaskStruct& task) {
  std::vector<Ref<SuperBlock>> all = task.mm.with_stores();
  for (const Ref<SuperBlock>& sb : task.nsproxy->super_blocks()) add_once(all, *sb);
  Result<void> first;
  for (const Ref<SuperBlock>& sb : all) {
    Result<void> written = mmap_sync(ctx, *sb);
    if (first.ok()) first = written;
  }
  return first;
}

Result<void> mmap_sync_frozen(const CallContext& ctx, SuperBlock& sb) {
  return sync_all(ctx, sb, write_stores_unheld);
}

Result<void> mmap_changing(const CallContext& ctx, Inode& inode, uint64_t from, uint64_t to) {
  if (!may_have_stores(inode)) return {};
  // Whole pages: of a word of which only a part changes, the rest may be a store, too.
  if (from != to) {
    from = from / kPageSize_bytes * kPageSize_bytes;
    to = MmapPages::page_up(std::min(to, kFileSizeMax_bytes));
  }
  return inode.i_mmap()->write_out(ctx, {from, to});
}

void mmap_changed(const CallContext& ctx, Inode& inode, uint64_t from, uint64_t to) {
  if ((inode.i_flags.load(std::memory_order_acquire) & Inode::kMapped) == 0) return;
  (void)inode.i_mmap()->show_written(ctx, {from, to});
}

Result<void> mmap_overlay(const CallContext& ctx, Inode& inode, IoVec to, uint64_t offset,
                          size_t count) {
  if (!may_have_stores(inode)) return {};
  return inode.i_mmap()->overlay(ctx, to, offset, count);
}

}  // namespace myfs::fs
