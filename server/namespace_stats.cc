// What a directory holds: its names, or those of the whole tree below it.
//
// A walk in many turns: a frame for each directory on the way down, which knows up to which name it
// has come. Names that come, go or move meanwhile may count or not, as for a readdir; what is there
// throughout counts once.
#include <dirent.h>

#include <algorithm>

#include "server/namespace.h"
#include "server/shard.h"

namespace myfs::server {
namespace {

constexpr size_t kNamesPerTurn = 256;        // and as many writers are asked at once
constexpr size_t kLinkedMax = 1 << 20;       // files with several names that one walk remembers
constexpr size_t kLinkedTotalMax = 4 << 20;  // all walks of the loop together: below 100 MiB
constexpr size_t kWalkDepthMax = 1 << 16;    // of frames: 1 MiB

// Those of this thread's loop that have begun and that somebody holds.
std::vector<std::weak_ptr<const DirStatsWalk>>& walks() {
  thread_local std::vector<std::weak_ptr<const DirStatsWalk>> all;
  return all;
}

void note_begun(const DirStatsWalkRef& walk) {
  std::erase_if(walks(), [&](const std::weak_ptr<const DirStatsWalk>& known) {
    const std::shared_ptr<const DirStatsWalk> still = known.lock();
    return still == nullptr || still == walk;
  });
  walks().push_back(walk);
}

// How many files with several names may be remembered in this turn.
size_t room_for_linked() {
  size_t total = 0;
  for (const std::weak_ptr<const DirStatsWalk>& known : walks()) {
    if (const std::shared_ptr<const DirStatsWalk> walk = known.lock()) {
      total += walk->linked.size();
    }
  }
  return kLinkedTotalMax - std::min(total, kLinkedTotalMax);
}

Errno may_list(Turn& turn, const InodeRecord& dir) {
  return may(owner_of(dir), turn.cred(), kMayRead | kMayExec);
}

Errno count_file(Turn& turn, uint64_t ino, size_t* room, DirStatsWalk& walk) {
  Result<InodeRef> file = turn.inode(ino);
  if (!file.ok()) return file.error();
  if ((*file)->nlink > 1) {
    if (walk.linked.contains(ino)) return {};
    if (walk.linked.size() >= kLinkedMax || *room == 0) return Errno(ENOMEM);
    --*room;
    walk.linked.insert(ino);
  }
  if (turn.shard().leases().writer(ino, 0) != 0) {
    walk.written.push_back(ino);
  } else {
    walk.bytes += (*file)->size;
  }
  return {};
}

// Goes into a directory that the last one names.
Errno descend(Turn& turn, uint64_t dir, DirStatsWalk& walk) {
  Result<InodeRef> inode = turn.inode(dir);
  if (!inode.ok()) return inode.error();
  if (walk.path.size() >= kWalkDepthMax) return Errno(EUCLEAN);
  if (Errno error = may_list(turn, **inode); !error.ok()) return error;
  walk.path.push_back({.dir = dir, .counted = 0});
  return {};
}

// Some names of the innermost directory; one to go into is the last of them.
Errno count_names(Turn& turn, bool recursive, size_t* left, size_t* room, DirStatsWalk& walk) {
  const uint64_t dir = walk.path.back().dir;
  uint64_t counted = walk.path.back().counted;
  uint64_t below = 0;
  std::vector<uint64_t> files;
  bool whole = true;
  Errno damage;
  turn.depend(dir);
  auto count = [&](std::string_view key, std::string_view value) {
    whole = *left > 0 && below == 0;
    if (!whole) return false;
    Result<DirentKey> name = parse_dirent_key(key);
    Result<DirentRecord> record = DirentRecord::decode(value);
    if (!name.ok() || !record.ok()) {
      damage = Errno(EUCLEAN);
      return false;
    }
    --*left;
    counted = name->cookie;
    ++walk.entries;
    if (record->type == DT_DIR) {
      ++walk.subdirs;
      if (recursive) below = record->ino;
    }
    if (record->type == DT_REG) files.push_back(record->ino);
    return true;
  };
  auto end = number_range('E', dir).second;
  Result<void> scanned = turn.view().scan(dirent_key(dir, counted + 1, ""), end, 0, count);
  if (!scanned.ok()) return scanned.error();
  if (!damage.ok()) return damage;
  walk.path.back().counted = counted;
  if (whole) walk.path.pop_back();
  for (uint64_t ino : files) {
    if (Errno error = count_file(turn, ino, room, walk); !error.ok()) return error;
  }
  return below == 0 ? Errno() : descend(turn, below, walk);
}

}  // namespace

Errno dir_stats(Turn& turn, const Handle& dir, bool recursive, const DirStatsWalkRef& walk,
                DirStatsReply& reply) {
  Result<InodeRef> top = turn.directory(dir);
  if (!top.ok()) return top.error();
  if (walk->generation != turn.shard().generation()) {  // begins, or has seen what never was
    *walk = DirStatsWalk();
    walk->generation = turn.shard().generation();
    note_begun(walk);
    if (Errno error = descend(turn, dir.ino, *walk); !error.ok()) return error;
  }
  size_t left = kNamesPerTurn;
  if (walk->written.empty()) {
    size_t room = room_for_linked();
    while (!walk->path.empty() && left > 0) {
      if (Errno error = count_names(turn, recursive, &left, &room, *walk); !error.ok())
        return error;
    }
  }
  turn.keep_what_was_read();
  for (uint64_t ino : walk->written) turn.glimpse(ino, Turn::Asked::kAnybody);
  if (turn.blocked()) return {};
  for (uint64_t ino : walk->written) {
    Result<InodeRef> file = turn.inode(ino);
    if (!file.ok() && file.error() != Errno(ESTALE)) return file.error();
    walk->bytes += turn.glimpsed_size(ino).value_or(file.ok() ? (*file)->size : 0);
  }
  walk->written.clear();
  if (!walk->path.empty()) {
    turn.go_on();
    return {};
  }
  reply.entries = walk->entries;
  reply.subdirs = walk->subdirs;
  reply.bytes = walk->bytes;
  return {};
}

}  // namespace myfs::server
