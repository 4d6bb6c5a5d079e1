#include "sdk/fs/readdir.h"

#include <dirent.h>

#include <algorithm>
#include <utility>

#include "sdk/base/rcu.h"
#include "sdk/fs/open.h"
#include "sdk/fs/permission.h"
#include "sdk/fs/stat.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

// Positions before the entries: '.' and '..' (invariant (1)).
constexpr int64_t kDotPos = 0, kDotDotPos = 1, kFirstEntryPos = 2;

uint64_t cookie_of(int64_t pos) { return static_cast<uint64_t>(pos - kFirstEntryPos); }
int64_t position_of(uint64_t cookie) { return static_cast<int64_t>(cookie) + kFirstEntryPos; }

bool same_version(const DirVersion& a, const DirVersion& b) {
  return a.change == b.change && LeaseWord::version(a.sample) == LeaseWord::version(b.sample) &&
         LeaseWord::generation(a.sample) == LeaseWord::generation(b.sample);
}

uint64_t parent_ino(const Path& path) {
  RcuReadGuard guard;
  const DentryPosition& pos = path.dentry->position();
  const bool at_root = pos.dir == nullptr || path.mnt->is_root(*path.dentry);
  return at_root ? path.inode().i_ino : pos.dir->i_ino;
}

// Emits the two entries that no file system sends. False: no room.
bool emit_dots(File& file, EmitFn emit, size_t* taken)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(file.f_pos_lock) {
  if (file.f_pos == kDotPos) {
    if (!emit(DirEntry{".", file.f_inode().i_ino, kDotDotPos, DT_DIR})) return false;
    file.f_pos = kDotDotPos;
    ++*taken;
  }
  if (file.f_pos == kDotDotPos) {
    if (!emit(DirEntry{"..", parent_ino(file.f_path()), kFirstEntryPos, DT_DIR})) return false;
    file.f_pos = kFirstEntryPos;
    ++*taken;
  }
  return true;
}

// The listing, if it is true now.
RefPtr<DirListing> listing_hit(const Inode& dir) {
  RefPtr<DirListing> listing = dir.listing();
  if (!listing) return nullptr;
  const Validity& validity = dir.i_sb().s_validity;
  const LeaseWord::Sample sample = dir.i_lease.sample();
  // The listing never changes, so it is enough that it was true at this moment of the call.
  const bool good = LeaseWord::covers(sample, kLeaseD, validity) &&
                    LeaseWord::version(sample) == LeaseWord::version(listing->version.sample) &&
                    dir.i_changing.load(std::memory_order_acquire) == 0 && validity.alive();
  return good ? listing : nullptr;
}

size_t emit_listing(File& file, const DirListing& listing, EmitFn emit)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(file.f_pos_lock) {
  size_t taken = 0;
  for (size_t i = listing.first_above(cookie_of(file.f_pos)); i < listing.records.size(); ++i) {
    const DirListing::Record& record = listing.records[i];
    const int64_t after = position_of(record.cookie);
    if (!emit(DirEntry{listing.name(record), record.ino, after, record.type})) break;
    file.f_pos = after;
    ++taken;
  }
  return taken;
}

// Takes a page into the listing that is being made, or gives the listing up.
void build(DirCursor& cursor, const DirPage& page, bool first) {
  DirListing* listing = cursor.building.get();
  if (listing == nullptr) return;
  if (first) listing->version = page.version;
  const bool leased = (LeaseWord::parts(page.version.sample) & kLeaseD) != 0;
  if (!leased || !same_version(listing->version, page.version)) {
    cursor.building = nullptr;
    return;
  }
  cursor.all_learned = cursor.all_learned && page.learned;
  if (listing->size_bytes() > kListingMax_bytes) {
    cursor.too_large = true;
    return;
  }
  for (const DirPage::Entry& entry : page.entries) listing->append(entry);
}

// The last page is here: what came under one unbroken lease is kept.
void finish(Inode& dir, DirCursor& cursor) {
  RefPtr<DirListing> listing = std::move(cursor.building);
  if (!listing || !dir.i_lease.still(listing->version.sample, kLeaseD)) return;
  if (cursor.all_learned) Dcache::set_complete(dir, cursor.complete_seq, listing->version);
  if (!cursor.too_large) dir.set_listing(std::move(listing));
}

// Fetches the page that follows the position.
Result<void> fetch_page(const CallContext& ctx, File& file)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(file.f_pos_lock) {
  Inode& dir = file.f_inode();
  DirCursor& cursor = *file.f_dir;
  const uint64_t cookie = cookie_of(file.f_pos);
  if (cookie == 0) {
    cursor = DirCursor();
    cursor.building = make_ref<DirListing>();
    cursor.complete_seq = Dcache::complete_seq(dir);
  }
  dir.i_sb().s_counters.readdir_pages.add();
  {
    ReadLock lock(dir.i_rwsem);
    if ((dir.i_flags.load(std::memory_order_acquire) & Inode::kDead) != 0) return Errno(ENOENT);
    MYFS_ASSIGN(cursor.page, dir.i_fop().readdir(ctx, file, cookie));
  }
  build(cursor, cursor.page, cookie == 0);
  if (cursor.page.eof) finish(dir, cursor);
  cursor.next = 0;
  cursor.have_page = true;
  cursor.page_pos = file.f_pos;
  // A page that leads nowhere would be asked for forever.
  if (cursor.page.entries.empty() && !cursor.page.eof) return Errno(EIO);
  return ok_result();
}

// What is left of the page. False: no room.
bool emit_page(File& file, EmitFn emit, size_t* taken)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(file.f_pos_lock) {
  DirCursor& cursor = *file.f_dir;
  for (; cursor.next < cursor.page.entries.size(); ++cursor.next) {
    const DirPage::Entry& entry = cursor.page.entries[cursor.next];
    const int64_t after = position_of(entry.cookie);
    if (!emit(DirEntry{entry.name, entry.ino, after, entry.type})) return false;
    file.f_pos = cursor.page_pos = after;
    ++*taken;
  }
  return true;
}

Result<size_t> iterate_uncached(const CallContext& ctx, File& file, EmitFn emit)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(file.f_pos_lock) {
  if (!file.f_dir) file.f_dir = std::make_unique<DirCursor>();
  DirCursor& cursor = *file.f_dir;
  if (cursor.page_pos != file.f_pos) cursor = DirCursor();
  size_t taken = 0;
  while (true) {
    if (!cursor.have_page) MYFS_TRY(fetch_page(ctx, file));
    if (!emit_page(file, emit, &taken) || cursor.page.eof) return taken;
    cursor.have_page = false;
    // One page a call is enough: the caller shall see it soon.
    if (taken > 0) return taken;
  }
}

}  // namespace

void DirListing::append(const DirPage::Entry& entry) {
  records.push_back(Record{entry.cookie, entry.ino, static_cast<uint32_t>(names.size()),
                           static_cast<uint8_t>(entry.name.size()), entry.type});
  names.append(entry.name);
}

size_t DirListing::first_above(uint64_t cookie) const {
  auto found =
      std::upper_bound(records.begin(), records.end(), cookie,
                       [](uint64_t value, const Record& record) { return value < record.cookie; });
  return static_cast<size_t>(found - records.begin());
}

void DirListing::last_ref_dropped() { rcu_delete(this); }

namespace {

Result<void> check_iterable(const File& file) {
  if ((file.f_mode & File::kPath) != 0) return Errno(EBADF);
  if (!file.f_inode().is_dir()) return Errno(ENOTDIR);
  return ok_result();
}

Result<size_t> iterate_locked(const CallContext& ctx, File& file, EmitFn emit)
    ABSL_EXCLUSIVE_LOCKS_REQUIRED(file.f_pos_lock) {
  Inode& dir = file.f_inode();
  if ((dir.i_flags.load(std::memory_order_acquire) & Inode::kDead) != 0) return Errno(ENOENT);
  size_t taken = 0;
  if (!emit_dots(file, emit, &taken)) return taken;
  if (RefPtr<DirListing> listing = listing_hit(dir); listing) {
    dir.i_sb().s_counters.readdir_hits.add();
    return taken + emit_listing(file, *listing, emit);
  }
  Result<size_t> more = iterate_uncached(ctx, file, emit);
  if (!more.ok() && taken == 0) return more.error();
  return taken + (more.ok() ? *more : 0);
}

}  // namespace

Result<size_t> iterate_dir(const CallContext& ctx, File& file, EmitFn emit) {
  MYFS_TRY(check_iterable(file));
  MutexLock lock(file.f_pos_lock);
  return iterate_locked(ctx, file, emit);
}

Result<size_t> iterate_dir_at(const CallContext& ctx, File& file, int64_t position, EmitFn emit) {
  MYFS_TRY(check_iterable(file));
  if (position < 0) return Errno(EINVAL);
  MutexLock lock(file.f_pos_lock);
  seek_dir_locked(file, position);
  return iterate_locked(ctx, file, emit);
}

void seek_dir_locked(File& file, int64_t position) {
  // A new position, or the start again: what was fetched is not what comes next.
  if (position != file.f_pos || position == 0) file.f_dir = nullptr;
  file.f_pos = position;
}

Result<size_t> vfs_readdir(const CallContext& ctx, const TaskStruct& task, int fd, EmitFn emit) {
  RefPtr<File> file = task.files.fget(fd);
  if (!file) return Errno(EBADF);
  return iterate_dir(ctx, *file, emit);
}

Result<void> vfs_refresh(const CallContext& ctx, const TaskStruct& task, At at) {
  MYFS_ASSIGN(WalkResult found, path_lookup(ctx, task, at, LOOKUP_FOLLOW | LOOKUP_DIRECTORY));
  Inode& dir = found.path.inode();
  MYFS_TRY(inode_permission(ctx, dir, MAY_READ));
  dir.i_sb().s_op().forget(dir);
  MYFS_TRY(vfs_getattr(ctx, dir, true));
  MYFS_ASSIGN(Ref<File> file, dentry_open(ctx, std::move(found.path), O_RDONLY | O_DIRECTORY));
  while (true) {
    MYFS_ASSIGN(const size_t taken, iterate_dir(ctx, *file, [](const DirEntry&) { return true; }));
    if (taken == 0) return ok_result();
  }
}

Result<DirStats> vfs_dir_stats(const CallContext& ctx, const TaskStruct& task, At at,
                               bool recursive) {
  MYFS_ASSIGN(const WalkResult found, path_lookup(ctx, task, at, LOOKUP_FOLLOW | LOOKUP_DIRECTORY));
  Inode& dir = found.path.inode();
  return dir.i_sb().s_op().dir_stats(ctx, dir, recursive);
}

}  // namespace myfs::fs
