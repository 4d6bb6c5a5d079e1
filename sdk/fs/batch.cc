#include "sdk/fs/batch.h"

#include <fcntl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/nowait.h"
#include "sdk/fs/dcache.h"
#include "sdk/fs/namei.h"
#include "sdk/fs/open.h"
#include "sdk/fs/permission.h"
#include "sdk/fs/read_write.h"
#include "sdk/fs/stat.h"
#include "sdk/fs/super_block.h"
#include "sdk/mm/address_space.h"

namespace myfs::fs {
namespace {

// So many names must lack in a directory for it to be read, and of so many entries that come one
// must be wanted for it to be read on.
constexpr size_t kScanNamesMin = 8;
constexpr size_t kScanEntriesPerHit = 32;

// A path's directory as text, and its last name; empty: not of that form.
struct Split {
  std::string_view dir;
  std::string_view name;
};

Split split(std::string_view path) {
  const size_t slash = path.rfind('/');
  const bool relative = slash == std::string_view::npos;
  const std::string_view name = relative ? path : path.substr(slash + 1);
  if (name.empty() || name == "." || name == ".." || path.size() >= kPathMax_bytes) return {};
  if (relative) return {".", name};
  return {path.substr(0, std::max<size_t>(slash, 1)), name};
}

// Names that lack, by the text of their directory.
using Groups = absl::flat_hash_map<std::string_view, std::vector<std::string_view>>;

// Reads a directory into the caches for the sake of some of its names.
class Scan {
 public:
  Scan(const CallContext& ctx, const TaskStruct& task, const std::vector<std::string_view>& names)
      : ctx_(ctx), task_(task), wanted_(names.begin(), names.end()) {}

  // What fails here fails again, and is told, where a name is asked for alone.
  void run(std::string_view path) {
    if (wanted_.size() < kScanNamesMin) return;
    Result<WalkResult> found =
        path_lookup(ctx_, task_, {AT_FDCWD, path}, LOOKUP_FOLLOW | LOOKUP_DIRECTORY);
    if (!found.ok()) return;
    Inode& dir = found->path.inode();
    if (!inode_permission(ctx_, dir, MAY_READ | MAY_EXEC).ok()) return;
    Ref<File> file = File::create(std::move(found->path), O_RDONLY | O_DIRECTORY, ctx_.cred);
    if (!dir.i_fop().open(ctx_, dir, *file, true).ok()) return;
    file->f_mode |= File::kOpened;
    read_pages(dir, *file);
  }

 private:
  void read_pages(Inode& dir, File& file) {
    const uint64_t seq = Dcache::complete_seq(dir);
    uint64_t cookie = 0;
    size_t seen = 0, hits = 0;
    bool learned = true;
    DirVersion first{};
    while (hits < wanted_.size()) {
      dir.i_sb().s_counters.readdir_pages.add();
      Result<DirPage> page = fetch(dir, file, cookie);
      if (!page.ok() || (page->entries.empty() && !page->eof)) return;
      if (cookie == 0) first = page->version;
      learned = learned && page->learned && page->version.change == first.change &&
                dir.i_lease.still(first.sample, kLeaseD);
      for (const DirPage::Entry& entry : page->entries) hits += wanted_.contains(entry.name);
      seen += page->entries.size();
      if (page->eof) {
        // The names that were not there are known to be absent.
        if (learned) Dcache::set_complete(dir, seq, first);
        return;
      }
      if (seen > hits * kScanEntriesPerHit + kScanEntriesPerHit * kScanNamesMin) return;
      cookie = page->entries.back().cookie;
    }
  }

  Result<DirPage> fetch(Inode& dir, File& file, uint64_t cookie) {
    ReadLock lock(dir.i_rwsem);
    if ((dir.i_flags.load(std::memory_order_acquire) & Inode::kDead) != 0) return Errno(ENOENT);
    return dir.i_fop().readdir(ctx_, file, cookie);
  }

  const CallContext& ctx_;
  const TaskStruct& task_;
  const absl::flat_hash_set<std::string_view> wanted_;
};

// Whether the cache had the answer.
bool stat_from_cache(const CallContext& ctx, const TaskStruct& task, StatItem& item, int at_flags) {
  NoWaitScope scope;
  item.error = vfs_stat(ctx, task, {AT_FDCWD, item.path}, at_flags, &item.stat).error();
  return !scope.refused();
}

void scan_for(const CallContext& ctx, const TaskStruct& task, const Groups& groups) {
  for (const auto& [dir, names] : groups) Scan(ctx, task, names).run(dir);
  clear_error_detail();
}

// ---- small files

// Larger ones are read alone.
constexpr size_t kSmallMax_bytes = 128 << 10;
constexpr size_t kChunk_bytes = 3 << 20;

// Whether it is over without asking anybody, but for locks of the task, which end with the close.
bool read_from_cache(const CallContext& ctx, TaskStruct& task, ReadItem& item) {
  Result<int> fd = Errno(EAGAIN);
  {
    NoWaitScope scope;
    fd = vfs_open(ctx, task, {AT_FDCWD, item.path}, O_RDONLY, 0);
    item.error = fd.error();
    if (!fd.ok()) return !scope.refused();
  }
  const iovec to{item.buffer, item.size};
  Result<std::optional<size_t>> hit = vfs_readv_hit(task, *fd, IoVec(&to, 1), 0);
  (void)vfs_close(ctx, task, *fd);
  item.error = hit.error();
  if (!hit.ok()) return true;
  item.count = hit->value_or(0);
  return hit->has_value();
}

void read_alone(const CallContext& ctx, TaskStruct& task, ReadItem& item) {
  Result<int> fd = vfs_open(ctx, task, {AT_FDCWD, item.path}, O_RDONLY, 0);
  item.error = fd.error();
  if (!fd.ok()) return;
  Result<size_t> count = vfs_pread(ctx, task, *fd, item.buffer, item.size, 0);
  (void)vfs_close(ctx, task, *fd);
  item.error = count.error();
  if (count.ok()) item.count = *count;
}

// Files that one request is to bring.
class Chunk {
 public:
  Chunk(const CallContext& ctx, TaskStruct& task) : ctx_(ctx), task_(task) {}
  ~Chunk() { send(); }

  // False: it is to be read alone.
  bool add(ReadItem& item) {
    Result<WalkResult> found = path_lookup(ctx_, task_, {AT_FDCWD, item.path}, LOOKUP_FOLLOW);
    if (!found.ok()) return false;
    Inode& inode = found->path.inode();
    Kstat stat;
    // What is cached in part, or was written or stored here, is not the server's alone to tell;
    // locks fail reads when they are lost, and end with a close.
    const uint32_t flags = inode.i_flags.load(std::memory_order_acquire);
    if ((flags & Inode::kMappedStores) != 0 || !inode.is_regular() || inode.i_mapping == nullptr ||
        inode.i_mapping->nr_pages() != 0 || inode.i_flctx() != nullptr || !inode.attr_hit(&stat) ||
        stat.size > kSmallMax_bytes || !inode_permission(ctx_, inode, MAY_READ).ok()) {
      return false;
    }
    if (!items_.empty() && (items_.size() == kReadManyMax || bytes_ + stat.size > kChunk_bytes ||
                            &inode.i_sb() != &paths_[0].inode().i_sb())) {
      send();
    }
    bytes_ += stat.size;
    largest_ = std::max<size_t>(largest_, stat.size);
    items_.push_back(&item);
    paths_.push_back(std::move(found->path));
    return true;
  }

 private:
  void send() {
    if (items_.empty()) return;
    std::vector<Inode*> inodes;
    inodes.reserve(paths_.size());
    for (const Path& path : paths_) inodes.push_back(&path.inode());
    auto files = inodes[0]->i_sb().s_op().read_many(ctx_, inodes, static_cast<uint32_t>(largest_));
    for (size_t i = 0; i < items_.size(); ++i) {
      ReadItem& item = *items_[i];
      if (!files.ok() || !(*files)[i].whole) {
        read_alone(ctx_, task_, item);
        continue;
      }
      const std::string& data = (*files)[i].data;
      item.error = Errno();
      item.count = data.copy(static_cast<char*>(item.buffer), item.size);
    }
    items_.clear();
    paths_.clear();
    bytes_ = largest_ = 0;
  }

  const CallContext& ctx_;
  TaskStruct& task_;
  std::vector<ReadItem*> items_;
  std::vector<Path> paths_;
  size_t bytes_ = 0;
  size_t largest_ = 0;
};

}  // namespace

void vfs_stat_many(const CallContext& ctx, const TaskStruct& task, std::span<StatItem> items,
                   int at_flags) {
  std::vector<StatItem*> missing;
  Groups groups;
  for (StatItem& item : items) {
    if (stat_from_cache(ctx, task, item, at_flags)) continue;
    missing.push_back(&item);
    if (Split parts = split(item.path); !parts.name.empty()) {
      groups[parts.dir].push_back(parts.name);
    }
  }
  scan_for(ctx, task, groups);
  for (StatItem* item : missing) {
    item->error = vfs_stat(ctx, task, {AT_FDCWD, item->path}, at_flags, &item->stat).error();
  }
}

void vfs_read_many(const CallContext& ctx, TaskStruct& task, std::span<ReadItem> items) {
  std::vector<ReadItem*> missing;
  Groups groups;
  for (ReadItem& item : items) {
    if (read_from_cache(ctx, task, item)) continue;
    missing.push_back(&item);
    if (Split parts = split(item.path); !parts.name.empty()) {
      groups[parts.dir].push_back(parts.name);
    }
  }
  scan_for(ctx, task, groups);
  Chunk chunk(ctx, task);
  for (ReadItem* item : missing) {
    if (!chunk.add(*item)) read_alone(ctx, task, *item);
  }
}

}  // namespace myfs::fs
