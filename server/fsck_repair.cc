#include "server/fsck_repair.h"

#include <dirent.h>
#include <sys/stat.h>

#include "absl/strings/str_format.h"
#include "sdk/base/clock.h"
#include "sdk/base/limits.h"

namespace myfs::server {
namespace {

constexpr std::string_view kLostAndFound = "lost+found";

}  // namespace

void FsckRepair::remove(std::string_view key) {
  note_change(key);
  if (key[0] == 'I') gone_.insert(std::string(key));
  txn_.del(std::string(key));
}

void FsckRepair::put(std::string_view key, std::string value) {
  note_change(key);
  txn_.put(std::string(key), std::move(value));
}

void FsckRepair::note_change(std::string_view key) {
  constexpr std::string_view kOfAnInode = "ECX";
  auto ino = parse_number(key);
  if (ino.ok() && kOfAnInode.find(key[0]) != kOfAnInode.npos) changed_.insert(*ino);
}

void FsckRepair::forbid_session(uint64_t session) {
  auto value = meta_.get(session_key(session));
  if (!value.ok() || !value->has_value()) return;
  auto record = SessionRecord::decode(**value);
  if (!record.ok()) record = SessionRecord();
  record->terms_known = false;
  put(session_key(session), record->encode());
}

InodeRecord* FsckRepair::inode(uint64_t ino) {
  auto known = inodes_.find(ino);
  if (known != inodes_.end()) return &known->second;
  auto value = meta_.get(inode_key(ino));
  if (!value.ok() || !value->has_value()) return nullptr;
  auto record = InodeRecord::decode(**value);
  if (!record.ok()) return nullptr;
  return &(inodes_[ino] = std::move(*record));
}

ChunkRecord& FsckRepair::chunk(uint64_t ino, uint32_t index, const ChunkRecord& now) {
  return chunks_.try_emplace({ino, index}, now).first->second;
}

Result<uint64_t> FsckRepair::new_ino() {
  MYFS_ASSIGN(const auto value, meta_.get(meta_key(kMetaInoHighWater)));
  if (!value.has_value()) return kRootIno + 1;
  return decode_u64(*value);
}

Result<uint64_t> FsckRepair::lost_and_found(const DirentHasher& hasher) {
  if (lost_and_found_ != 0) return lost_and_found_;
  InodeRecord* root = inode(kRootIno);
  if (root == nullptr) return Errno(ENOENT);
  MYFS_ASSIGN(const auto found, find_dirent(meta_, hasher, kRootIno, kLostAndFound));
  if (found.has_value()) {
    const InodeRecord* dir = inode(found->record.ino);
    if (dir == nullptr || !dir->is_dir()) return Errno(ENOTDIR);
    return lost_and_found_ = found->record.ino;
  }
  MYFS_ASSIGN(const uint64_t ino, new_ino());
  MYFS_ASSIGN(const uint64_t cookie, free_cookie(meta_, hasher, kRootIno, kLostAndFound));
  InodeRecord dir;
  dir.mode = S_IFDIR | 0700;
  dir.nlink = 2;
  dir.generation = 1;
  dir.parent = kRootIno;
  dir.atime = dir.mtime = dir.ctime = dir.btime = Time::from_ns(realtime_ns());
  put(dirent_key(kRootIno, cookie, kLostAndFound),
      DirentRecord{ino, dir.generation, DT_DIR}.encode());
  txn_.put(meta_key(kMetaInoHighWater), encode_u64(ino + 1));
  ++root->nlink;
  inodes_[ino] = std::move(dir);
  return lost_and_found_ = ino;
}

Result<void> FsckRepair::keep(const DirentHasher& hasher, uint64_t ino) {
  MYFS_ASSIGN(const uint64_t dir, lost_and_found(hasher));
  InodeRecord* record = inode(ino);
  if (record == nullptr) return Errno(ENOENT);
  std::string name = absl::StrFormat("#%d", ino);
  for (int other = 1;; ++other) {
    MYFS_ASSIGN(const auto taken, find_dirent(meta_, hasher, dir, name));
    if (!taken.has_value()) break;
    name = absl::StrFormat("#%d.%d", ino, other);
  }
  MYFS_ASSIGN(const uint64_t cookie, free_cookie(meta_, hasher, dir, name));
  put(dirent_key(dir, cookie, name),
      DirentRecord{ino, record->generation, static_cast<uint8_t>(IFTODT(record->mode))}.encode());
  if (record->is_dir()) {
    record->parent = dir;
    ++inode(dir)->nlink;
  } else {
    record->nlink = 1;
  }
  return {};
}

Result<void> FsckRepair::count_changes() {
  MYFS_ASSIGN(const auto boots, meta_.get(meta_key(kMetaBoot)));
  auto boot = boots.has_value() ? decode_u64(*boots) : Result<uint64_t>(0);
  for (const auto& [chunk, record] : chunks_) changed_.insert(chunk.first);
  for (uint64_t ino : changed_) {
    if (!gone_.contains(inode_key(ino))) (void)inode(ino);
  }
  for (auto& [ino, record] : inodes_) {
    record.change = change_after(record.change, boot.value_or(0) + 1);
  }
  return {};
}

Result<void> FsckRepair::commit() {
  MYFS_TRY(count_changes());
  for (const auto& [ino, record] : inodes_) txn_.put(inode_key(ino), record.encode());
  for (const auto& [chunk, record] : chunks_) {
    txn_.put(chunk_key(chunk.first, chunk.second), record.encode());
  }
  const Txn* batch[] = {&txn_};
  return meta_.commit_batch(batch, Durability::kDurable);
}

}  // namespace myfs::server
