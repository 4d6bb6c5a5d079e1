#include "server/fsck.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_format.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/limits.h"
#include "server/fsck_walk.h"

namespace myfs::server {
namespace {

// Bytes that would break a line or a terminal are shown as \xNN.
std::string printable(std::string_view name) {
  std::string text;
  for (char c : name) {
    auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '\\') {
      text += absl::StrFormat("\\x%02x", byte);
    } else {
      text += c;
    }
  }
  return text;
}

bool valid_name(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax_bytes && name != "." && name != ".." &&
         name.find('/') == std::string_view::npos && name.find('\0') == std::string_view::npos;
}

uint8_t type_of(uint32_t mode) { return static_cast<uint8_t>((mode & S_IFMT) >> 12); }

// Whether a server runs on the directory.
bool in_use(const std::string& dir) {
  int fd = open((dir + "/lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool locked = flock(fd, LOCK_SH | LOCK_NB) != 0;
  close(fd);
  return locked;
}

}  // namespace

void FsckWalk::fault(const std::string& place, const std::string& what) {
  ++fault_count_;
  out_ << place << ": " << what << "\n";
}

void FsckWalk::fault_of(uint64_t dir, std::string_view name, const std::string& what) {
  std::string path = dir_path(dir);
  if (path != "/") path += "/";
  fault(path + printable(name), what);
}

std::string FsckWalk::dir_path(uint64_t dir) const {
  std::string path;
  for (size_t depth = 0; dir != kRootIno; ++depth) {
    auto it = entries_of_dirs_.find(dir);
    if (it == entries_of_dirs_.end() || depth > inodes_.size()) {
      return absl::StrFormat("<inode %d>", dir) + path;
    }
    path = "/" + printable(it->second.second) + path;
    dir = it->second.first;
  }
  return path.empty() ? "/" : path;
}

// The names of files are not kept, so the entries are read once more for those that are at fault.
void FsckWalk::print_faults() {
  absl::flat_hash_map<uint64_t, std::string> paths;
  for (const auto& [ino, what] : faults_) {
    auto it = inodes_.find(ino);
    bool is_dir = it != inodes_.end() && S_ISDIR(it->second.mode);
    paths[ino] = is_dir ? dir_path(ino) : "";
  }
  if (!faults_.empty()) {
    auto [from, to] = type_range('E');
    auto scanned = meta_.scan(from, to, 0, [&](std::string_view key, std::string_view value) {
      auto place = parse_dirent_key(key);
      auto record = DirentRecord::decode(value);
      if (!place.ok() || !record.ok()) return true;
      auto it = paths.find(record->ino);
      if (it == paths.end() || !it->second.empty()) return true;
      std::string dir = dir_path(place->dir);
      it->second = (dir == "/" ? dir : dir + "/") + printable(place->name);
      return true;
    });
    unreadable_ |= !scanned.ok();
  }
  for (const auto& [ino, what] : faults_) {
    fault(paths[ino].empty() ? absl::StrFormat("<inode %d>", ino) : paths[ino], what);
  }
}

void FsckWalk::each(char type, Visit visit) {
  auto [from, to] = type_range(type);
  auto scanned = meta_.scan(from, to, 0, [&](std::string_view key, std::string_view value) {
    (this->*visit)(key, value);
    return true;
  });
  if (scanned.ok()) return;
  unreadable_ = true;
  out_ << absl::StrFormat("records %c: cannot be read: %s\n", type, scanned.error().text());
}

void FsckWalk::see_meta() {
  auto value = meta_.get(meta_key(kMetaSuper));
  if (!value.ok() || !value->has_value()) {
    // A store that no server has started on has none, and nothing else.
    if (!inodes_.empty() || !value.ok()) fault("superblock", "is missing");
    return;
  }
  auto super = SuperRecord::decode(**value);
  if (super.ok()) {
    hasher_.emplace(super->hash_key);
  } else {
    fault("superblock", "is damaged");
  }
}

void FsckWalk::see_inode(std::string_view key, std::string_view value) {
  auto ino = parse_number(key);
  if (!ino.ok()) return fault("an inode", "has a damaged key");
  auto record = InodeRecord::decode(value);
  Inode& inode = inodes_[*ino];
  if (!record.ok()) return fault_of(*ino, "inode record is damaged");
  inode.mode = record->mode;
  inode.nlink = record->nlink;
  inode.generation = record->generation;
  inode.size = record->size;
  inode.blocks = record->blocks;
  inode.parent = record->parent;
  check_acl(*ino, *record);
  if (!record->is_regular()) return;
  inode.has_inline = !record->data.empty();
  inode.counted_blocks = inode.has_inline ? kInlineBlocks512 : 0;
  if (record->data.size() > record->size) fault_of(*ino, "inline content is longer than the file");
}

void FsckWalk::check_acl(uint64_t ino, const InodeRecord& record) {
  if (record.acl.empty()) return;
  uint32_t mode = record.mode;
  if (record.is_symlink()) fault_of(ino, "symbolic link with an ACL");
  if (record.acl.equiv_mode(&mode)) fault_of(ino, "has an ACL that its mode says all of");
  if (mode != record.mode) fault_of(ino, "mode differs from the ACL");
}

void FsckWalk::see_orphan(std::string_view key, std::string_view value) {
  auto ino = parse_number(key);
  if (!ino.ok()) return fault("an orphan record", "has a damaged key");
  if (!OrphanRecord::decode(value).ok()) fault_of(*ino, "orphan record is damaged");
  auto it = inodes_.find(*ino);
  if (it == inodes_.end()) return fault_of(*ino, "orphan record without an inode");
  it->second.orphan = true;
}

void FsckWalk::see_garbage(std::string_view key, std::string_view) {
  auto ino = parse_number(key);
  auto block = parse_garbage_block(key);
  if (!ino.ok() || !block.ok()) return fault("a garbage record", "has a damaged key");
  if (block->has_value()) {
    garbage_blocks_.insert(**block);
    return;
  }
  garbage_inodes_.insert(*ino);
  if (inodes_.contains(*ino)) fault_of(*ino, "its content is marked as garbage");
}

void FsckWalk::see_dirent(std::string_view key, std::string_view value) {
  ++entry_count_;
  auto place = parse_dirent_key(key);
  if (!place.ok()) return fault("a directory entry", "has a damaged key");
  auto record = DirentRecord::decode(value);
  if (!record.ok()) return fault_of(place->dir, place->name, "entry is damaged");
  auto dir = inodes_.find(place->dir);
  if (dir == inodes_.end() || !S_ISDIR(dir->second.mode)) {
    fault_of(place->dir, place->name, "entry of something that is no directory");
  }
  auto target = inodes_.find(record->ino);
  if (target == inodes_.end()) {
    return fault_of(place->dir, place->name,
                    absl::StrFormat("dangling entry, there is no inode %d", record->ino));
  }
  Inode& inode = target->second;
  ++inode.names;
  if (record->type != type_of(inode.mode)) {
    fault_of(place->dir, place->name, "type differs from that of the inode");
  }
  if (record->generation != inode.generation) {
    fault_of(place->dir, place->name, "generation differs from that of the inode");
  }
  if (!valid_name(place->name)) fault_of(place->dir, place->name, "name is not allowed");
  if (hasher_ &&
      place->cookie / kCookieCollisions != hasher_->first_cookie(place->name) / kCookieCollisions) {
    fault_of(place->dir, place->name, "entry is in the wrong place, look-ups miss it");
  }
  if (!S_ISDIR(inode.mode)) return;
  if (dir != inodes_.end()) ++dir->second.subdirs;
  if (!entries_of_dirs_.try_emplace(record->ino, place->dir, place->name).second) {
    fault_of(place->dir, place->name, "directory with a second name");
  }
}

void FsckWalk::see_parent(std::string_view key, std::string_view) {
  auto place = parse_parent_key(key);
  if (!place.ok()) return fault("a parent record", "has a damaged key");
  if (!inodes_.contains(place->ino)) {
    return fault_of(place->parent, place->name, "parent record without an inode");
  }
  if (!hasher_) return;
  auto found = find_dirent(meta_, *hasher_, place->parent, place->name);
  if (!found.ok() || !found->has_value() || (*found)->record.ino != place->ino) {
    fault_of(place->parent, place->name, "parent record without an entry");
  }
}

void FsckWalk::see_xattr(std::string_view key, std::string_view) {
  auto ino = parse_number(key);
  auto name = parse_xattr_name(key);
  if (!ino.ok() || !name.ok()) return fault("an extended attribute", "has a damaged key");
  if (!inodes_.contains(*ino)) fault_of(*ino, "extended attribute without an inode");
}

void FsckWalk::see_session(std::string_view key, std::string_view value) {
  auto number = parse_number(key);
  if (number.ok() && SessionRecord::decode(value).ok()) return;
  fault(absl::StrFormat("session %d", number.value_or(0)), "record is damaged");
}

void FsckWalk::see_reply(std::string_view key, std::string_view value) {
  auto number = parse_number(key);
  if (number.ok() && parse_slot(key).ok() && ReplyRecord::decode(value).ok()) return;
  fault(absl::StrFormat("session %d", number.value_or(0)), "reply record is damaged");
}

void FsckWalk::check_inode(uint64_t ino, const Inode& inode) {
  if (inode.mode == 0) return;  // damaged, and told
  const bool is_dir = S_ISDIR(inode.mode);
  const bool rooted = ino == kRootIno;
  if (inode.names == 0 && !rooted && !inode.orphan) return fault_of(ino, "orphan: it has no name");
  if (is_dir && !inode.orphan) {
    if (inode.nlink != 2 + inode.subdirs) {
      fault_of(ino,
               absl::StrFormat("link count is %d, should be %d", inode.nlink, 2 + inode.subdirs));
    }
    auto entry = entries_of_dirs_.find(ino);
    if (entry != entries_of_dirs_.end() && entry->second.first != inode.parent) {
      fault_of(ino, absl::StrFormat("parent is inode %d, should be %d", inode.parent,
                                    entry->second.first));
    }
  } else if (inode.nlink != inode.names) {
    fault_of(ino, absl::StrFormat("link count is %d, should be %d", inode.nlink, inode.names));
  }
  if (S_ISREG(inode.mode) && inode.blocks != inode.counted_blocks) {
    fault_of(ino, absl::StrFormat("block count is %d, should be %d", inode.blocks,
                                  inode.counted_blocks));
  }
}

void FsckWalk::check_inodes() {
  if (!inodes_.empty() && !inodes_.contains(kRootIno)) fault("/", "there is no root directory");
  std::vector<uint64_t> numbers;
  numbers.reserve(inodes_.size());
  for (const auto& [ino, inode] : inodes_) numbers.push_back(ino);
  std::sort(numbers.begin(), numbers.end());
  for (uint64_t ino : numbers) check_inode(ino, inodes_.at(ino));
}

// Every directory must lead to the root by its entries; only a cycle can have a name and not.
void FsckWalk::check_reachable() {
  absl::flat_hash_set<uint64_t> good{kRootIno}, bad;
  for (const auto& [start, entry] : entries_of_dirs_) {
    std::vector<uint64_t> way;
    absl::flat_hash_set<uint64_t> seen;
    uint64_t at = start;
    while (!good.contains(at) && !bad.contains(at) && seen.insert(at).second) {
      way.push_back(at);
      auto next = entries_of_dirs_.find(at);
      if (next == entries_of_dirs_.end()) break;  // an orphan, told elsewhere if it is a fault
      at = next->second.first;
    }
    const bool cycle = seen.contains(at) && entries_of_dirs_.contains(at) && !good.contains(at);
    if (cycle) fault(absl::StrFormat("<inode %d>", at), "directory is its own ancestor");
    auto& verdict = cycle || bad.contains(at) ? bad : good;
    verdict.insert(way.begin(), way.end());
  }
}

int FsckWalk::run() {
  each('I', &FsckWalk::see_inode);
  see_meta();
  each('O', &FsckWalk::see_orphan);
  each('G', &FsckWalk::see_garbage);
  each('E', &FsckWalk::see_dirent);
  each('P', &FsckWalk::see_parent);
  each('X', &FsckWalk::see_xattr);
  each('S', &FsckWalk::see_session);
  each('R', &FsckWalk::see_reply);
  each('C', &FsckWalk::see_chunk);
  each('B', &FsckWalk::see_refs);
  each('W', &FsckWalk::see_deferred);
  check_files();
  check_chunks();
  check_inodes();
  check_reachable();
  print_faults();
  const std::string seen = absl::StrFormat("%d inodes, %d entries, %d blocks", inodes_.size(),
                                           entry_count_, naming_.size());
  if (unreadable_) {
    out_ << "could not be read to the end: " << seen << "\n";
    return kFsckUnreadable;
  }
  if (fault_count_ > 0) {
    out_ << absl::StrFormat("damaged: %d faults in %s\n", fault_count_, seen);
    return kFsckDamaged;
  }
  out_ << "clean: " << seen << "\n";
  return kFsckClean;
}

int run_fsck(const MetaStore& meta, BlockStore& blocks, std::ostream& out) {
  return FsckWalk(meta, blocks, out).run();
}

int run_fsck(const std::string& dir, std::ostream& out) {
  auto cannot = [&out](const std::string& why) {
    out << "fsck: " << why << "\n";
    return kFsckUnreadable;
  };
  if (in_use(dir)) return cannot(dir + " is in use by a server");
  clear_error_detail();
  MetaStoreOptions meta_options;
  meta_options.read_only = true;
  auto meta = open_rocks_meta_store(dir, meta_options);
  if (!meta.ok()) return cannot(thread_error_detail().message);
  BlockStoreOptions block_options;
  block_options.read_only = true;
  auto blocks = open_file_block_store(dir, block_options);
  if (!blocks.ok()) return cannot(thread_error_detail().message);
  return run_fsck(**meta, **blocks, out);
}

}  // namespace myfs::server
