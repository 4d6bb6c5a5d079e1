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

bool known_type(uint32_t mode) {
  return S_ISREG(mode) || S_ISDIR(mode) || S_ISLNK(mode) || S_ISCHR(mode) || S_ISBLK(mode) ||
         S_ISFIFO(mode) || S_ISSOCK(mode);
}

// Whether a server runs on the directory.
bool in_use(const std::string& dir) {
  int fd = open((dir + "/lock").c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  bool locked = flock(fd, LOCK_SH | LOCK_NB) != 0;
  close(fd);
  return locked;
}

}  // namespace

void FsckWalk::fault(const std::string& place, const std::string& what, std::string_view remedy) {
  ++fault_count_;
  if (!remedy.empty()) ++mended_count_;
  const bool later = repair_ != nullptr && remedy.empty();
  std::ostream& out = later ? left_ : out_;
  out << place << ": " << what << (remedy.empty() ? "" : "; ") << remedy << "\n";
}

void FsckWalk::fault_of(uint64_t dir, std::string_view name, const std::string& what,
                        std::string_view remedy) {
  std::string path = dir_path(dir);
  if (path != "/") path += "/";
  fault(path + printable(name), what, remedy);
}

std::string_view FsckWalk::removed(std::string_view key) {
  if (repair_ == nullptr) return {};
  repair_->remove(key);
  return "removed";
}

std::string_view FsckWalk::corrected(std::string_view key, std::string value) {
  if (repair_ == nullptr) return {};
  repair_->put(key, std::move(value));
  return "corrected";
}

std::string_view FsckWalk::forbidden(uint64_t session) {
  if (repair_ == nullptr) return {};
  repair_->forbid_session(session);
  return "nobody can go on with it";
}

std::string_view FsckWalk::kept(uint64_t ino) {
  if (repair_ == nullptr || !hasher_ || !repair_->keep(*hasher_, ino).ok()) return {};
  return "put into /lost+found";
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
  for (const auto& [ino, what, remedy] : faults_) {
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
  for (const auto& [ino, what, remedy] : faults_) {
    fault(paths[ino].empty() ? absl::StrFormat("<inode %d>", ino) : paths[ino], what, remedy);
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
  auto marks = meta_.get(meta_key(kMetaBootMarks));
  unreadable_ |= !marks.ok();
  if (marks.ok() && marks->value_or("").size() % sizeof(uint32_t) != 0) {
    fault("superblock", "the list of boots is damaged", removed(meta_key(kMetaBootMarks)));
  }
}

void FsckWalk::see_inode(std::string_view key, std::string_view value) {
  auto ino = sole_number(key);
  if (!ino.ok() || *ino == 0) return fault("an inode", "has a damaged key", removed(key));
  auto record = InodeRecord::decode(value);
  const bool sound = record.ok() && known_type(record->mode);
  if (!sound || (*ino == kRootIno && !record->is_dir())) {
    lost_[*ino].damaged = true;
    return;
  }
  Inode& inode = inodes_[*ino];
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
  if (record->data.size() > record->size) {
    fault_of(*ino, "inline content is longer than the file",
             edited(*ino, [](InodeRecord& file) { file.data.resize(file.size); }));
  }
}

void FsckWalk::check_acl(uint64_t ino, const InodeRecord& record) {
  if (record.acl.empty()) return;
  uint32_t mode = record.mode;
  const bool plain = record.acl.equiv_mode(&mode);
  auto without = [](InodeRecord& inode) { inode.acl = PosixAcl(); };
  if (record.is_symlink()) return fault_of(ino, "symbolic link with an ACL", edited(ino, without));
  if (plain) fault_of(ino, "has an ACL that its mode says all of", edited(ino, without));
  if (mode != record.mode) {
    fault_of(ino, "mode differs from the ACL",
             edited(ino, [mode](InodeRecord& inode) { inode.mode = mode; }));
  }
}

void FsckWalk::see_orphan(std::string_view key, std::string_view value) {
  auto ino = sole_number(key);
  if (!ino.ok()) return fault("an orphan record", "has a damaged key", removed(key));
  auto it = inodes_.find(*ino);
  if (it == inodes_.end()) {
    return fault_of(*ino, "orphan record without an inode", removed(key));
  }
  if (!OrphanRecord::decode(value).ok()) {
    fault_of(*ino, "orphan record is damaged", corrected(key, OrphanRecord().encode()));
  }
  it->second.orphan = true;
}

void FsckWalk::see_garbage(std::string_view key, std::string_view) {
  auto ino = parse_number(key);
  auto block = parse_garbage_block(key);
  if (!ino.ok() || !block.ok()) {
    return fault("a garbage record", "has a damaged key", removed(key));
  }
  if (block->has_value()) {
    garbage_blocks_.emplace(**block, key);
    return;
  }
  garbage_inodes_.insert(*ino);
  if (inodes_.contains(*ino)) fault_of(*ino, "its content is marked as garbage", removed(key));
}

void FsckWalk::see_dirent(std::string_view key, std::string_view value) {
  ++entry_count_;
  auto place = parse_dirent_key(key);
  if (!place.ok()) return fault("a directory entry", "has a damaged key", removed(key));
  auto record = DirentRecord::decode(value);
  if (!record.ok()) return fault_of(place->dir, place->name, "entry is damaged", removed(key));
  auto dir = inodes_.find(place->dir);
  if (dir == inodes_.end()) {
    lost_[place->dir].entries.emplace_back(key);
  } else if (!S_ISDIR(dir->second.mode)) {
    fault_of(place->dir, place->name, "entry of something that is no directory", removed(key));
  }
  auto target = inodes_.find(record->ino);
  if (target == inodes_.end()) {
    lost_[record->ino].names.emplace_back(key, *record);
    if (record->type != DT_DIR) return;
    if (dir != inodes_.end()) ++dir->second.subdirs;
    entries_of_dirs_.try_emplace(record->ino, place->dir, place->name);
    return;
  }
  Inode& inode = target->second;
  ++inode.names;
  check_dirent(key, *place, *record, inode);
  if (!S_ISDIR(inode.mode)) return;
  if (dir != inodes_.end()) ++dir->second.subdirs;
  if (!entries_of_dirs_.try_emplace(record->ino, place->dir, place->name).second) {
    fault_of(place->dir, place->name, "directory with a second name", removed(key));
  }
}

void FsckWalk::check_dirent(std::string_view key, const DirentKey& place,
                            const DirentRecord& record, const Inode& inode) {
  const auto type = static_cast<uint8_t>(IFTODT(inode.mode));
  auto right = [&] {
    return corrected(key, DirentRecord{record.ino, inode.generation, type}.encode());
  };
  if (record.type != type) {
    fault_of(place.dir, place.name, "type differs from that of the inode", right());
  }
  if (record.generation != inode.generation) {
    fault_of(place.dir, place.name, "generation differs from that of the inode", right());
  }
  if (!valid_name(place.name)) {
    return fault_of(place.dir, place.name, "name is not allowed", removed(key));
  }
  if (!hasher_) return;
  const uint64_t first = hasher_->first_cookie(place.name);
  if (place.cookie / kCookieCollisions == first / kCookieCollisions) return;
  std::string_view remedy;
  auto there = find_dirent(meta_, *hasher_, place.dir, place.name);
  auto cookie = free_cookie(meta_, *hasher_, place.dir, place.name);
  if (repair_ != nullptr && there.ok() && cookie.ok()) {
    repair_->remove(key);
    remedy = "removed, the name is there once more";
    if (!there->has_value()) {
      repair_->put(dirent_key(place.dir, *cookie, place.name), record.encode());
      remedy = "moved";
    }
  }
  fault_of(place.dir, place.name, "entry is in the wrong place, look-ups miss it", remedy);
}

void FsckWalk::see_parent(std::string_view key, std::string_view) {
  auto place = parse_parent_key(key);
  if (!place.ok()) return fault("a parent record", "has a damaged key", removed(key));
  if (!inodes_.contains(place->ino)) {
    return fault_of(place->parent, place->name, "parent record without an inode", removed(key));
  }
  if (!hasher_) return;
  auto found = find_dirent(meta_, *hasher_, place->parent, place->name);
  if (!found.ok() || !found->has_value() || (*found)->record.ino != place->ino) {
    fault_of(place->parent, place->name, "parent record without an entry", removed(key));
  }
}

void FsckWalk::see_xattr(std::string_view key, std::string_view) {
  auto ino = parse_number(key);
  auto name = parse_xattr_name(key);
  if (!ino.ok() || !name.ok()) {
    return fault("an extended attribute", "has a damaged key", removed(key));
  }
  if (!inodes_.contains(*ino)) lost_[*ino].xattrs.emplace_back(key);
}

void FsckWalk::see_session(std::string_view key, std::string_view value) {
  auto number = sole_number(key);
  if (number.ok() && SessionRecord::decode(value).ok()) return;
  fault(absl::StrFormat("session %d", number.value_or(0)), "record is damaged",
        number.ok() && key == session_key(*number) ? forbidden(*number) : removed(key));
}

void FsckWalk::see_reply(std::string_view key, std::string_view value) {
  auto number = parse_number(key);
  if (number.ok() && parse_slot(key).ok() && ReplyRecord::decode(value).ok()) return;
  fault(absl::StrFormat("session %d", number.value_or(0)), "reply record is damaged", removed(key));
  // Without it a change could be made a second time.
  if (number.ok()) forbidden(*number);
}

void FsckWalk::check_inode(uint64_t ino, const Inode& inode) {
  const bool is_dir = S_ISDIR(inode.mode);
  const bool named = inode.names > 0 || ino == kRootIno;
  if (!named && !inode.orphan) return fault_of(ino, "orphan: it has no name", kept(ino));
  if (named && inode.orphan)
    fault_of(ino, "orphan record of what has a name", removed(orphan_key(ino)));
  if (is_dir && named) {
    check_links(ino, inode, 2 + inode.subdirs);
    auto entry = entries_of_dirs_.find(ino);
    if (entry != entries_of_dirs_.end() && entry->second.first != inode.parent) {
      const uint64_t parent = entry->second.first;
      fault_of(ino, absl::StrFormat("parent is inode %d, should be %d", inode.parent, parent),
               edited(ino, [parent](InodeRecord& record) { record.parent = parent; }));
    }
  } else {
    check_links(ino, inode, inode.names);
  }
  if (S_ISREG(inode.mode) && inode.blocks != inode.counted_blocks) {
    const uint64_t blocks = inode.counted_blocks;
    fault_of(ino, absl::StrFormat("block count is %d, should be %d", inode.blocks, blocks),
             edited(ino, [blocks](InodeRecord& record) { record.blocks = blocks; }));
  }
}

void FsckWalk::check_links(uint64_t ino, const Inode& inode, uint32_t links) {
  if (inode.nlink == links) return;
  fault_of(ino, absl::StrFormat("link count is %d, should be %d", inode.nlink, links),
           edited(ino, [links](InodeRecord& record) { record.nlink = links; }));
}

void FsckWalk::check_inodes() {
  std::vector<uint64_t> numbers;
  numbers.reserve(inodes_.size());
  for (const auto& [ino, inode] : inodes_) numbers.push_back(ino);
  std::sort(numbers.begin(), numbers.end());
  for (uint64_t ino : numbers) check_inode(ino, inodes_.at(ino));
  if (!numbers.empty()) check_high_water(numbers.back());
}

// The server gives out what is not below it.
void FsckWalk::check_high_water(uint64_t largest) {
  const std::string key = meta_key(kMetaInoHighWater);
  auto value = meta_.get(key);
  if (!value.ok()) {
    unreadable_ = true;
    return;
  }
  auto high = value->has_value() ? decode_u64(**value) : Result<uint64_t>(kRootIno + 1);
  if (high.ok() && *high > largest) return;
  fault("superblock", absl::StrFormat("number %d is in use and would be given out", largest),
        corrected(key, encode_u64(largest + 1)));
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
    if (cycle) {
      fault(absl::StrFormat("<inode %d>", at), "directory is its own ancestor", detached(at));
    }
    auto& verdict = cycle || bad.contains(at) ? bad : good;
    verdict.insert(way.begin(), way.end());
  }
}

// Out of a cycle: its name there goes.
std::string_view FsckWalk::detached(uint64_t dir) {
  if (repair_ == nullptr || !hasher_) return {};
  const auto& [parent, name] = entries_of_dirs_.at(dir);
  auto found = find_dirent(meta_, *hasher_, parent, name);
  if (!found.ok() || !found->has_value()) return {};
  repair_->remove(dirent_key(parent, (*found)->cookie, name));
  return kept(dir);
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
  check_lost();
  print_faults();
  if (mended_count_ == 0) out_ << left_.str();
  if (unreadable_) return kFsckUnreadable;
  return fault_count_ > 0 ? kFsckDamaged : kFsckClean;
}

std::string FsckWalk::seen() const {
  return absl::StrFormat("%d inodes, %d entries, %d blocks", inodes_.size(), entry_count_,
                         naming_.size());
}

int run_fsck(const MetaStore& meta, BlockStore& blocks, std::ostream& out) {
  FsckWalk walk(meta, blocks, out, nullptr);
  const int status = walk.run();
  if (status == kFsckUnreadable) {
    out << "could not be read to the end: " << walk.seen() << "\n";
  } else if (status == kFsckDamaged) {
    out << absl::StrFormat("damaged: %d faults in %s\n", walk.faults(), walk.seen());
  } else {
    out << "clean: " << walk.seen() << "\n";
  }
  return status;
}

int repair_store(MetaStore& meta, BlockStore& blocks, std::ostream& out) {
  uint64_t mended = 0;
  for (int pass = 0; pass < kFsckPassesMax; ++pass) {
    FsckRepair repair(meta);
    FsckWalk walk(meta, blocks, out, &repair);
    const int status = walk.run();
    if (status == kFsckUnreadable) {
      out << "could not be read to the end, not repaired: " << walk.seen() << "\n";
      return status;
    }
    if (walk.mended() == 0) {
      if (status == kFsckDamaged) {
        out << absl::StrFormat("damaged: %d faults left, %d repaired, in %s\n", walk.faults(),
                               mended, walk.seen());
      } else if (mended > 0) {
        out << absl::StrFormat("repaired: %d faults in %s\n", mended, walk.seen());
      } else {
        out << "clean: " << walk.seen() << "\n";
      }
      return status == kFsckClean && mended > 0 ? kFsckRepaired : status;
    }
    if (auto done = repair.commit(); !done.ok()) {
      out << "fsck: cannot write what was repaired: " << done.error().text() << "\n";
      return kFsckUnreadable;
    }
    mended += walk.mended();
  }
  out << absl::StrFormat("damaged: after %d passes and %d repairs there are faults still\n",
                         kFsckPassesMax, mended);
  return kFsckDamaged;
}

int run_fsck(const std::string& dir, FsckMode mode, std::ostream& out) {
  auto cannot = [&out](const std::string& why) {
    out << "fsck: " << why << "\n";
    return kFsckUnreadable;
  };
  const bool repairs = mode == FsckMode::kRepair;
  if (in_use(dir)) return cannot(dir + " is in use by a server");
  clear_error_detail();
  MetaStoreOptions meta_options;
  meta_options.read_only = !repairs;
  meta_options.create_if_missing = false;
  auto meta = open_rocks_meta_store(dir, meta_options);
  if (!meta.ok()) return cannot(thread_error_detail().message);
  BlockStoreOptions block_options;
  block_options.read_only = true;
  auto blocks = open_file_block_store(dir, block_options);
  if (!blocks.ok()) return cannot(thread_error_detail().message);
  return repairs ? repair_store(**meta, **blocks, out) : run_fsck(**meta, **blocks, out);
}

}  // namespace myfs::server
