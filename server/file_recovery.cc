// What runs behind the scenes: deferred writes, garbage, and what a boot owes.
#include <algorithm>
#include <set>
#include <utility>

#include "sdk/base/log.h"
#include "server/file_data_impl.h"

namespace myfs::server {
namespace {

constexpr size_t kReapBatch = 64;       // garbage items in one transaction
constexpr size_t kReapBlocksMax = 256;  // blocks removed by one
constexpr size_t kDiscardAtLeast = 32;  // slots: below 2 MiB of garbage in a file it stays

// Runs in a worker at boot: removes files that no record names. What this boot makes has a higher
// epoch.
void remove_unnamed_blocks(const MetaStore& meta, BlockStore& blocks, uint32_t epoch) {
  auto ids = blocks.list();
  if (!ids.ok()) {
    log(LogLevel::kError, "cannot list the blocks: %s", ids.error().text());
    return;
  }
  for (BlockId id : *ids) {
    if (id >> 32 >= epoch) continue;
    auto named = meta.get(block_key(id));
    if (!named.ok() || named->has_value()) continue;
    log(LogLevel::kInfo, "block %016x: nothing names it, removed", id);
    if (auto removed = blocks.remove(id); !removed.ok()) {
      log(LogLevel::kWarning, "block %016x: cannot be removed: %s", id, removed.error().text());
    }
  }
}

}  // namespace

void FileDataImpl::start_recovery() {
  run_job([&meta = meta_, &blocks = blocks_,
           epoch = block_epoch_] { remove_unnamed_blocks(meta, blocks, epoch); },
          [] {});
  auto range = type_range('W');
  auto scanned =
      meta_.scan(range.first, range.second, 0, [this](std::string_view, std::string_view value) {
        auto record = DeferredRecord::decode(value);
        if (!record.ok()) return true;  // whoever reads it is told
        auto known = deferred_.find({record->ino, record->chunk});
        size_t bytes = known == deferred_.end() ? 0 : known->second;
        note_deferred(record->ino, record->chunk, bytes + value.size());
        return true;
      });
  if (scanned.ok()) {
    range = type_range('G');
    scanned =
        meta_.scan(range.first, range.second, 0, [this](std::string_view key, std::string_view) {
          auto ino = parse_number(key);
          auto block = parse_garbage_block(key);
          if (ino.ok() && block.ok()) garbage_.push_back({*ino, block->value_or(0), nullptr});
          return true;
        });
  }
  if (!scanned.ok()) log(LogLevel::kError, "recovery: %s", scanned.error().text());
  fold_some();
  reap();
}

// ---- deferred writes

void FileDataImpl::note_deferred(uint64_t ino, uint32_t index, size_t bytes) {
  auto it = deferred_.find({ino, index});
  if (it != deferred_.end()) {
    deferred_bytes_ -= it->second;
    if (bytes == 0) {
      deferred_.erase(it);
      return;
    }
    it->second = bytes;
  } else if (bytes > 0) {
    deferred_.emplace(ChunkId{ino, index}, bytes);
  }
  deferred_bytes_ += bytes;
}

void FileDataImpl::fold_some() {
  while (!folding_ && deferred_bytes_ > options_.deferred_memory_max_bytes && !deferred_.empty()) {
    auto it = deferred_.upper_bound(fold_hand_);
    if (it == deferred_.end()) it = deferred_.begin();
    const auto [ino, index] = fold_hand_ = it->first;
    const InodeRecord* inode = host_.committed_inode(ino);
    if (inode == nullptr) {
      note_deferred(ino, index, 0);  // a dead inode's: its removal takes them
      continue;
    }
    folding_ = true;
    lane(ino, {LaneOp::Kind::kFold, index, 0,
               [weak = weak_from_this(), ino = ino, index = index](Result<DataChange> change) {
                 auto self = weak.lock();
                 if (self == nullptr) return;
                 if (!change.ok()) {
                   self->folding_ = false;
                   self->note_deferred(ino, index, 0);  // not again in this boot
                   return;
                 }
                 Txn txn;
                 change->move_to(txn);
                 const bool durable = change->gives_up_slots();
                 self->host_.submit_background(
                     std::move(txn), durable,
                     [weak, change = std::move(change).value()](bool durable) mutable {
                       if (auto self = weak.lock()) self->folding_ = false;
                       change.settle(durable);
                     });
               }});
  }
}

// ---- garbage

void FileDataImpl::add_garbage(Garbage garbage) {
  garbage_.push_back(std::move(garbage));
  reap();
}

// A dead inode's record that names this file goes; so does the file, if there is no other.
Result<void> FileDataImpl::collect_file(BlockId id, Reaping& reaping) {
  BlockFileRef file = block_file(id, BlockFile::Presence::kPresent);
  MYFS_ASSIGN(const uint32_t count, refs(*file));
  if (++file->dropping < count) {
    reaping.dropped.push_back(std::move(file));
    return {};
  }
  reaping.removals.push_back(id);
  reaping.txn.del(block_key(id));
  reaping.removed.push_back(std::move(file));
  return {};
}

// Adds chunks of a dead inode to the batch: as many as there is room for.
bool FileDataImpl::collect_inode(Garbage& garbage, Reaping& reaping) {
  size_t chunks = 0;
  const size_t most = kReapBlocksMax - std::min(kReapBlocksMax - 1, reaping.removals.size());
  auto take_deferred = [&](BlockId block) {
    auto [from, to] = number_range('W', block);
    return meta_.scan(from, to, 0, [&](std::string_view key, std::string_view) {
      reaping.txn.del(std::string(key));
      return true;
    });
  };
  bool read = true;
  auto [from, to] = number_range('C', garbage.ino);
  auto scanned = meta_.scan(from, to, most, [&](std::string_view key, std::string_view value) {
    ++chunks;
    reaping.txn.del(std::string(key));
    auto record = ChunkRecord::decode(value);
    if (!record.ok()) return true;
    for (BlockId id : record->files()) read = read && collect_file(id, reaping).ok();
    return read && (record->block == 0 || take_deferred(record->block).ok());
  });
  if (!scanned.ok() || !read) return false;
  if (chunks == most) {
    garbage.block = UINT64_MAX;  // more of it: comes back
    return true;
  }
  reaping.txn.del(garbage_key(garbage.ino));
  auto first = deferred_.lower_bound({garbage.ino, 0});
  while (first != deferred_.end() && first->first.first == garbage.ino) {
    deferred_bytes_ -= first->second;
    first = deferred_.erase(first);
  }
  return true;
}

void FileDataImpl::reap() {
  if (reaping_ || garbage_.empty()) return;
  auto reaping = std::make_shared<Reaping>();
  for (size_t looked = garbage_.size(); looked > 0 && reaping->batch.size() < kReapBatch;
       --looked) {
    if (reaping->removals.size() >= kReapBlocksMax) break;
    Garbage garbage = std::move(garbage_.front());
    garbage_.pop_front();
    if (garbage.file.use_count() > 1) {
      garbage_.push_back(std::move(garbage));  // somebody reads it
      continue;
    }
    if (garbage.block != 0) {
      reaping->removals.push_back(garbage.block);
      reaping->txn.del(garbage_key(garbage.ino, garbage.block));
      reaping->batch.push_back(std::move(garbage));
      continue;
    }
    if (!collect_inode(garbage, *reaping)) continue;  // the next boot's
    reaping->batch.push_back(std::move(garbage));
  }
  if (reaping->batch.empty()) return;
  reaping_ = true;
  auto failed = std::make_shared<bool>(false);
  run_job(
      [reaping, &blocks = blocks_, failed] {
        for (BlockId id : reaping->removals) {
          if (blocks.remove(id).ok()) continue;
          log(LogLevel::kWarning, "block %016x: cannot be removed", id);
          *failed = true;
        }
      },
      [this, reaping, failed]() mutable {
        if (!*failed) return finish_reap(std::move(reaping));
        // The records stay, and the next boot tries again.
        reaping_ = false;
        for (auto* files : {&reaping->dropped, &reaping->removed}) {
          for (const BlockFileRef& file : *files) --file->dropping;
        }
      });
}

void FileDataImpl::finish_reap(std::shared_ptr<Reaping> reaping) {
  std::set<BlockId> removed(reaping->removals.begin(), reaping->removals.end());
  for (const BlockFileRef& file : reaping->dropped) {
    --file->dropping;
    --*file->refs;
    if (removed.contains(file->id())) continue;
    if (*file->refs > 0) {
      reaping->txn.put(block_key(file->id()), RefsRecord{*file->refs}.encode());
      continue;
    }
    // The other one has gone meanwhile.
    reaping->txn.del(block_key(file->id()));
    reaping->txn.put(garbage_key(reaping->batch[0].ino, file->id()), std::string());
    reaping->lost.push_back(file);
  }
  // Lost in a crash, it is done again by the next boot.
  constexpr bool kOnDisk = false;
  Txn txn = std::move(reaping->txn);
  host_.submit_background(std::move(txn), kOnDisk,
                          [weak = weak_from_this(), reaping](bool durable) mutable {
                            auto self = weak.lock();
                            if (self == nullptr) return;
                            self->reaping_ = false;
                            if (!durable) {
                              for (const BlockFileRef& file : reaping->dropped) ++*file->refs;
                              return;
                            }
                            const uint64_t ino = reaping->batch[0].ino;
                            for (const BlockFileRef& file : reaping->lost) {
                              self->garbage_.push_back({ino, file->id(), nullptr});
                            }
                            for (Garbage& garbage : reaping->batch) {
                              if (garbage.block == UINT64_MAX)
                                self->garbage_.push_back({garbage.ino, 0, nullptr});
                            }
                            self->reap();
                          });
}

// Gives the space of overwritten slots back once it is worth a system call.
void FileDataImpl::discard_garbage(const BlockFileRef& file) {
  if (file->refs != 1) return;  // others' slots look unused here
  std::vector<uint16_t> slots = file->take_garbage(kDiscardAtLeast);
  if (slots.empty()) return;
  run_job(
      [file, slots, &blocks = blocks_] {
        for (size_t i = 0; i < slots.size();) {
          size_t next = i + 1;
          while (next < slots.size() && slots[next] == slots[next - 1] + 1) ++next;
          blocks.discard(file->id(), uint64_t{slots[i]} * kBlockSize_bytes,
                         (next - i) * uint64_t{kBlockSize_bytes});
          i = next;
        }
      },
      [file, slots] { file->discarded(slots); });
}

// A file of this boot that no commit has named.
void FileDataImpl::remove_stray_file(const BlockFileRef& file) {
  if (file->quarantined() || !file->present()) return;
  run_job([file, &blocks = blocks_] { (void)blocks.remove(file->id()); }, [] {});
}

}  // namespace myfs::server
