// What runs behind the scenes: deferred writes, garbage, and what a boot owes.
#include <algorithm>
#include <set>
#include <utility>

#include "sdk/base/log.h"
#include "server/file_data_impl.h"

namespace myfs::server {
namespace {

constexpr size_t kReapBatch = 64;       // garbage items in one transaction
constexpr size_t kReapBlocksMax = 256;  // files of blocks that are removed by one
constexpr size_t kReapLooksMax = 2048;  // chunks and names of files that it looks at
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
Result<void> FileDataImpl::collect_file(BlockId id, Collected& one) {
  BlockFileRef file = block_file(id, BlockFile::Presence::kPresent);
  MYFS_ASSIGN(const uint32_t count, refs(*file));
  if (++file->dropping < count) {
    one.dropped.push_back(std::move(file));
    return {};
  }
  one.removals.push_back(id);
  one.deleted.push_back(block_key(id));
  one.removed.push_back(std::move(file));
  return {};
}

// As many of its chunks as there is room for.
Result<void> FileDataImpl::collect_chunks(Garbage& garbage, const Reaping& reaping,
                                          Collected& one) {
  auto take_deferred = [&](BlockId block) {
    auto [from, to] = number_range('W', block);
    return meta_.scan(from, to, 0, [&](std::string_view key, std::string_view) {
      one.deleted.emplace_back(key);
      ++one.looked;
      return true;
    });
  };
  Result<void> read;
  auto [from, to] = number_range('C', garbage.ino);
  auto scanned = meta_.scan(from, to, 0, [&](std::string_view key, std::string_view value) {
    if (reaping.looked + one.looked >= kReapLooksMax ||
        reaping.removals + one.removals.size() >= kReapBlocksMax) {
      garbage.block = UINT64_MAX;  // more of it: comes back
      return false;
    }
    one.deleted.emplace_back(key);
    auto record = ChunkRecord::decode(value);
    ++one.looked;
    if (!record.ok()) return true;
    const std::set<BlockId> files = record->files();
    one.looked += files.size();
    for (BlockId id : files) {
      if (read.ok()) read = collect_file(id, one);
    }
    if (read.ok() && record->block != 0) read = take_deferred(record->block);
    return read.ok();
  });
  return scanned.ok() ? read : scanned;
}

// Adds a dead inode to the batch; nothing of one that cannot be read: it is the next boot's.
bool FileDataImpl::collect_inode(Garbage garbage, Reaping& reaping) {
  Collected one;
  if (!collect_chunks(garbage, reaping, one).ok()) {
    for (auto* files : {&one.dropped, &one.removed}) {
      for (const BlockFileRef& file : *files) --file->dropping;
    }
    return false;
  }
  reaping.looked += one.looked;
  reaping.removals += one.removals.size();
  for (std::string& key : one.deleted) reaping.txn.del(std::move(key));
  std::move(one.dropped.begin(), one.dropped.end(), std::back_inserter(reaping.dropped));
  std::move(one.removed.begin(), one.removed.end(), std::back_inserter(reaping.removed));
  if (garbage.block == 0) {
    reaping.txn.del(garbage_key(garbage.ino));
    auto first = deferred_.lower_bound({garbage.ino, 0});
    while (first != deferred_.end() && first->first.first == garbage.ino) {
      deferred_bytes_ -= first->second;
      first = deferred_.erase(first);
    }
  }
  reaping.batch.push_back({.garbage = std::move(garbage), .removals = std::move(one.removals)});
  return true;
}

void FileDataImpl::reap() {
  if (reaping_ || garbage_.empty()) return;
  auto reaping = std::make_shared<Reaping>();
  for (size_t left = garbage_.size(); left > 0 && reaping->batch.size() < kReapBatch; --left) {
    if (reaping->removals >= kReapBlocksMax || reaping->looked >= kReapLooksMax) break;
    Garbage garbage = std::move(garbage_.front());
    garbage_.pop_front();
    if (garbage.file.use_count() > 1) {
      garbage_.push_back(std::move(garbage));  // somebody reads it
      continue;
    }
    if (garbage.block == 0) {
      collect_inode(std::move(garbage), *reaping);
      continue;
    }
    ++reaping->removals;
    reaping->txn.del(garbage_key(garbage.ino, garbage.block));
    const BlockId block = garbage.block;
    reaping->batch.push_back({.garbage = std::move(garbage), .removals = {block}});
  }
  if (reaping->batch.empty()) return;
  reaping_ = true;
  run_job(
      [reaping, &blocks = blocks_] {
        for (Reaping::Item& item : reaping->batch) {
          for (BlockId id : item.removals) {
            if (blocks.remove(id).ok()) continue;
            log(LogLevel::kWarning, "block %016x: cannot be removed", id);
            item.failed = true;
          }
        }
      },
      [this, reaping]() mutable {
        const bool failed = std::any_of(reaping->batch.begin(), reaping->batch.end(),
                                        [](const Reaping::Item& item) { return item.failed; });
        return failed ? reap_again(*reaping) : finish_reap(std::move(reaping));
      });
}

// Without those of which a file could not be removed: their records stay, and the next boot tries
// again.
void FileDataImpl::reap_again(Reaping& reaping) {
  reaping_ = false;
  for (auto* files : {&reaping.dropped, &reaping.removed}) {
    for (const BlockFileRef& file : *files) --file->dropping;
  }
  for (Reaping::Item& item : reaping.batch) {
    if (item.failed) continue;
    if (item.garbage.block == UINT64_MAX) item.garbage.block = 0;
    garbage_.push_back(std::move(item.garbage));
  }
  reap();
}

void FileDataImpl::finish_reap(std::shared_ptr<Reaping> reaping) {
  std::set<BlockId> settled;
  for (const BlockFileRef& file : reaping->removed) settled.insert(file->id());
  for (const BlockFileRef& file : reaping->dropped) {
    --file->dropping;
    --*file->refs;
  }
  for (const BlockFileRef& file : reaping->dropped) {
    if (!settled.insert(file->id()).second) continue;
    if (*file->refs > 0) {
      reaping->txn.put(block_key(file->id()), RefsRecord{*file->refs}.encode());
      continue;
    }
    // The other one has gone meanwhile.
    reaping->txn.del(block_key(file->id()));
    reaping->txn.put(garbage_key(reaping->batch[0].garbage.ino, file->id()), std::string());
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
                            const uint64_t ino = reaping->batch[0].garbage.ino;
                            for (const BlockFileRef& file : reaping->lost) {
                              self->garbage_.push_back({ino, file->id(), nullptr});
                            }
                            for (const Reaping::Item& item : reaping->batch) {
                              if (item.garbage.block == UINT64_MAX)
                                self->garbage_.push_back({item.garbage.ino, 0, nullptr});
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
