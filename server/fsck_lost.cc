// The part of fsck that deals with inodes whose record is damaged or missing: what speaks of them
// tells what they were.
#include <dirent.h>
#include <sys/stat.h>

#include "absl/strings/str_format.h"
#include "sdk/base/clock.h"
#include "sdk/base/limits.h"
#include "server/fsck_walk.h"

namespace myfs::server {

uint32_t FsckWalk::mode_of(uint64_t ino, const Lost& lost) {
  if (ino == kRootIno) return S_IFDIR | 0755;
  const bool was_dir = !lost.names.empty() && lost.names.front().second.type == DT_DIR;
  if (!lost.entries.empty() || (was_dir && lost.damaged)) return S_IFDIR | 0700;
  return lost.chunks.empty() ? 0 : S_IFREG | 0600;
}

std::string_view FsckWalk::made_anew(uint64_t ino, const Lost& lost) {
  InodeRecord record;
  record.mode = mode_of(ino, lost);
  if (repair_ == nullptr || !hasher_ || record.mode == 0) return {};
  record.atime = record.mtime = record.ctime = record.btime = Time::from_ns(realtime_ns());
  record.generation = lost.names.empty() ? 1 : lost.names.front().second.generation;
  record.nlink = record.is_dir() ? 2 : static_cast<uint32_t>(lost.names.size());
  record.size = lost.end;
  if (record.is_dir()) record.parent = kRootIno;
  repair_->make_inode(ino, std::move(record));
  if (ino == kRootIno || !lost.names.empty()) return "made anew";
  return repair_->keep(*hasher_, ino).ok() ? "made anew in /lost+found" : "";
}

void FsckWalk::check_lost(uint64_t ino, const Lost& lost) {
  const std::string_view anew = made_anew(ino, lost);
  auto remedy = [&](std::string_view key) { return anew.empty() ? removed(key) : anew; };
  if (lost.damaged) {
    fault_of(ino, "inode record is damaged", remedy(inode_key(ino)));
    if (mode_of(ino, lost) != 0) return;  // so that the rest is as it should be
  } else {
    const std::string what = absl::StrFormat("dangling entry, there is no inode %d", ino);
    for (const auto& [key, record] : lost.names) {
      const auto place = parse_dirent_key(key);
      fault_of(place->dir, place->name, what, remedy(key));
    }
  }
  for (const std::string& key : lost.entries) {
    const auto place = parse_dirent_key(key);
    if (ino != kRootIno) {
      fault_of(place->dir, place->name, "entry of something that is no directory", remedy(key));
    }
  }
  for (uint32_t index : lost.chunks) {
    fault_of(ino, absl::StrFormat("chunk %d: belongs to no inode", index),
             remedy(chunk_key(ino, index)));
  }
  for (const std::string& key : lost.xattrs) {
    fault_of(ino, "extended attribute without an inode", remedy(key));
  }
}

void FsckWalk::check_lost() {
  if (!inodes_.empty() && !inodes_.contains(kRootIno)) {
    const Lost& root = lost_[kRootIno];
    if (!root.damaged) fault("/", "there is no root directory", made_anew(kRootIno, root));
  }
  for (const auto& [ino, lost] : lost_) check_lost(ino, lost);
}

}  // namespace myfs::server
