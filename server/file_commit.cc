// Commits: from pending blocks to synced slots and a change of the store.
#include <algorithm>
#include <cassert>
#include <set>
#include <utility>

#include "sdk/base/limits.h"
#include "sdk/base/log.h"
#include "server/crc32c.h"
#include "server/file_data_impl.h"

namespace myfs::server {
namespace {

constexpr size_t kDeferredPerCommitMax_bytes = 4 << 20;
constexpr size_t kDeferredExtentsMax = 64;

uint64_t inline_blocks(const std::string& data) { return data.empty() ? 0 : kInlineBlocks512; }

// Runs in a worker: folds one overlay into a new slot.
Errno write_merge(BlockStore& store, BlockFile& file, Merge& merge) {
  std::vector<uint8_t> bytes(merge.result.length);
  if (merge.base.length > 0) {
    std::vector<uint8_t> base(merge.base.length);
    auto got = store.pread(file.id(), uint64_t{merge.base.slot} * kBlockSize_bytes, base);
    if (!got.ok()) return got.error();
    if (crc32c(base) != merge.base.crc) {
      log(LogLevel::kError, "block %016x, slot %d: checksum differs", file.id(), merge.base.slot);
      return Errno(EIO);
    }
    std::copy_n(base.begin(), std::min(base.size(), bytes.size()), bytes.begin());
  }
  merge.overlay.apply(bytes);
  merge.result.crc = crc32c(bytes);
  if (auto made = file.ensure_created(store); !made.ok()) return made.error();
  return store.pwrite(file.id(), uint64_t{merge.result.slot} * kBlockSize_bytes, bytes).error();
}

// Runs in a worker.
Errno make_durable(BlockStore& store, std::vector<ChunkPlan>& plans) {
  std::vector<BlockId> ids;
  for (ChunkPlan& plan : plans) {
    for (Merge& merge : plan.merges) {
      if (Errno error = write_merge(store, *plan.file, merge); !error.ok()) return error;
    }
    if (plan.new_slots) ids.push_back(plan.file->id());
  }
  return store.sync(ids).error();
}

// Whether the committed content has a slot of this block that it will not have any more.
bool gives_up_slot(const ChunkPlan& plan, uint8_t blk) {
  const BlockEntry& old = plan.chunk->committed.entries[blk];
  const BlockEntry& now = plan.after.entries[blk];
  if (old.length == 0) return false;
  return now.length == 0 || plan.file != plan.chunk->file || now.slot != old.slot;
}

bool gives_up_slots(const ChunkPlan& plan) {
  if (plan.file == nullptr && plan.chunk->file != nullptr) return true;
  return std::any_of(plan.touched.begin(), plan.touched.end(),
                     [&](uint8_t blk) { return gives_up_slot(plan, blk); });
}

void put_plan(uint64_t ino, const ChunkPlan& plan, std::vector<Mutation>& out) {
  auto put = [&out](std::string key, std::string value) {
    out.push_back({Mutation::Kind::kPut, std::move(key), std::move(value), 0});
  };
  auto del = [&out](std::string key) {
    out.push_back({Mutation::Kind::kDelete, std::move(key), {}, 0});
  };
  const ChunkState& old = *plan.chunk;
  if (plan.file == nullptr) {
    if (old.file == nullptr) return;
    const BlockId id = old.file->id();
    del(chunk_key(ino, plan.index));
    del(block_key(id));
    for (const auto& [blk, overlay] : old.committed.overlays) del(deferred_key(id, blk));
    put(garbage_key(ino, id), std::string());
    return;
  }
  const BlockId id = plan.file->id();
  if (old.file == nullptr || old.committed.entries != plan.after.entries) {
    put(chunk_key(ino, plan.index), plan.after.to_record(id).encode());
  }
  if (old.file == nullptr) put(block_key(id), RefsRecord{1}.encode());
  for (uint8_t blk : plan.touched) {
    auto overlay = plan.after.overlays.find(blk);
    if (overlay != plan.after.overlays.end()) {
      put(deferred_key(id, blk),
          DeferredRecord{ino, plan.index, overlay->second->extents()}.encode());
    } else if (old.committed.overlays.contains(blk)) {
      del(deferred_key(id, blk));
    }
  }
}

}  // namespace

void FileDataImpl::start_lane(FileState& file, LaneOp op) {
  const bool fold = op.kind == LaneOp::Kind::kFold;
  if (op.kind == LaneOp::Kind::kCommit && file.pending.empty()) {
    return answer(std::move(op.done), Result<DataChange>(DataChange()));
  }
  auto run = std::make_shared<CommitRun>();
  run->op = std::move(op);
  file.run = run;
  file.lane_busy = true;
  if (!fold) file.committing = std::exchange(file.pending, Layer());
  if (auto planned = fold ? plan_fold(file, *run) : plan(file, *run); !planned.ok()) {
    return fail_file(file, planned.error());
  }
  const bool data = std::any_of(run->plans.begin(), run->plans.end(),
                                [](const ChunkPlan& p) { return p.new_slots; });
  if (!data) {
    // The turn ends first: the caller gets nothing before his call has returned.
    host_.post([weak = weak_from_this(), ino = file.ino, run] {
      if (auto self = weak.lock()) self->finish_data(ino, run);
    });
    return;
  }
  run_job([run, &store = blocks_] { run->error = make_durable(store, run->plans); },
          [this, ino = file.ino, run] { finish_data(ino, run); });
}

// Lays zeros over [from, to) in the layer that is about to be committed.
Result<void> FileDataImpl::zero_range(FileState& file, uint64_t from, uint64_t to) {
  if (from >= to) return {};
  const uint64_t first = from / kBlockSize_bytes, last = (to - 1) / kBlockSize_bytes;
  const auto last_chunk = static_cast<uint32_t>(last / kBlocksPerChunk);
  std::vector<uint32_t> chunks;
  Errno damaged;
  MYFS_TRY(meta_.scan(chunk_key(file.ino, static_cast<uint32_t>(first / kBlocksPerChunk)),
                      chunk_key(file.ino, last_chunk) + '\0', 0,
                      [&](std::string_view key, std::string_view) {
                        auto index = parse_chunk_index(key);
                        if (index.ok()) {
                          chunks.push_back(*index);
                        } else {
                          damaged = index.error();
                        }
                        return true;
                      }));
  if (!damaged.ok()) return damaged;
  std::set<uint64_t> there;
  for (uint32_t index : chunks) {
    MYFS_ASSIGN(ChunkRef state, chunk(file.ino, index));
    for (uint8_t blk = 0; blk < kBlocksPerChunk; ++blk) {
      const uint64_t blkno = uint64_t{index} * kBlocksPerChunk + blk;
      if (blkno >= first && blkno <= last && state->committed.has(blk)) there.insert(blkno);
    }
  }
  auto& blocks = file.committing.blocks;
  for (auto it = blocks.lower_bound(first); it != blocks.end() && it->first <= last; ++it) {
    there.insert(it->first);
  }
  if (const InodeRecord* inode = host_.committed_inode(file.ino);
      first == 0 && inode != nullptr && !inode->data.empty()) {
    there.insert(0);
  }
  for (uint64_t blkno : there) {
    const uint64_t start = blkno * kBlockSize_bytes;
    const uint64_t zero_from = std::max(from, start) - start;
    const uint64_t zero_to = std::min(to, start + kBlockSize_bytes) - start;
    PendingBlock& block = blocks[blkno];
    const size_t before = block.overlay.data_bytes();
    if (zero_to - zero_from == kBlockSize_bytes) {
      if (block.base == PendingBlock::Base::kSlot) block.file->release(block.entry.slot);
      block = PendingBlock();
      block.base = PendingBlock::Base::kHole;
    } else {
      block.overlay.zero(static_cast<uint32_t>(zero_from),
                         static_cast<uint32_t>(zero_to - zero_from));
    }
    add_overlay_bytes(file.committing, before, block.overlay.data_bytes());
  }
  return {};
}

// Small files live in the inode record, as long as no block of them has a slot.
bool FileDataImpl::plan_inline(FileState& file, CommitRun& run, const InodeRecord& inode) {
  const Layer& layer = file.committing;
  if (run.size > kInlineDataMax_bytes || layer.blocks.size() > 1) return false;
  Overlay content;
  content.write(0, inode.data);
  if (!layer.blocks.empty()) {
    const auto& [blkno, block] = *layer.blocks.begin();
    if (blkno != 0 || block.base == PendingBlock::Base::kSlot) return false;
    if (block.base == PendingBlock::Base::kHole) content = Overlay();
    content.lay(block.overlay);
  }
  const uint32_t length = effective_length(0, content);
  if (length > run.size) return false;  // only after damage
  run.inline_data.assign(length, '\0');
  content.apply({reinterpret_cast<uint8_t*>(run.inline_data.data()), length});
  return true;
}

Result<void> FileDataImpl::plan(FileState& file, CommitRun& run) {
  const InodeRecord* inode = host_.committed_inode(file.ino);
  if (inode == nullptr) return Errno(ESTALE);
  Layer& layer = file.committing;
  if (run.op.kind == LaneOp::Kind::kTruncate) {
    MYFS_TRY(zero_range(file, run.op.from, kFileSizeMax_bytes + 1));
    layer.truncate_to = run.op.from;
    layer.end = std::min(layer.end, run.op.from);
  } else if (run.op.kind == LaneOp::Kind::kPunch) {
    MYFS_TRY(zero_range(file, run.op.from, std::min(run.op.to, kFileSizeMax_bytes + 1)));
  }
  run.size = std::max(layer.truncate_to.value_or(inode->size), layer.end);
  run.blocks = inode->blocks - std::min(inode->blocks, inline_blocks(inode->data));

  MYFS_ASSIGN(ChunkRef first, chunk(file.ino, 0));
  if (first->file != nullptr || !plan_inline(file, run, *inode)) {
    run.inline_data.clear();
    Overlay inlined;
    if (!inode->data.empty()) {
      inlined.write(0, inode->data);
      layer.blocks.try_emplace(0);
    }
    std::set<uint32_t> chunks;
    for (const auto& [blkno, block] : layer.blocks) {
      chunks.insert(static_cast<uint32_t>(blkno / kBlocksPerChunk));
    }
    for (uint32_t index : chunks) {
      MYFS_TRY(plan_chunk(file, run, index, index == 0 ? &inlined : nullptr));
    }
  }
  run.blocks += inline_blocks(run.inline_data);
  run.changes_inode =
      run.size != inode->size || run.blocks != inode->blocks || run.inline_data != inode->data;
  return {};
}

Result<void> FileDataImpl::plan_chunk(FileState& file, CommitRun& run, uint32_t index,
                                      const Overlay* inlined) {
  MYFS_ASSIGN(ChunkRef state, chunk(file.ino, index));
  ChunkPlan& plan = run.plans.emplace_back();
  plan.index = index;
  plan.chunk = state;
  plan.after = state->committed;
  plan.file = plan.pending_file = writable_file(*state);
  auto& blocks = file.committing.blocks;
  size_t deferred = 0;
  for (auto it = blocks.lower_bound(uint64_t{index} * kBlocksPerChunk);
       it != blocks.end() && it->first / kBlocksPerChunk == index; ++it) {
    const auto blk = static_cast<uint8_t>(it->first % kBlocksPerChunk);
    PendingBlock& block = it->second;
    BlockEntry base;
    Overlay overlay;
    if (block.base == PendingBlock::Base::kSlot) {
      assert(block.file == plan.file);
      base = block.entry;
      plan.new_slots = true;
    } else if (block.base == PendingBlock::Base::kInherit) {
      base = state->committed.entries[blk];
      auto committed = state->committed.overlays.find(blk);
      if (committed != state->committed.overlays.end()) overlay = *committed->second;
      if (inlined != nullptr && blk == 0) overlay.lay(*inlined);
    }
    overlay.lay(block.overlay);
    const size_t room =
        kDeferredPerCommitMax_bytes - std::min(deferred, kDeferredPerCommitMax_bytes);
    MYFS_TRY(plan_block(plan, blk, base, std::move(overlay), std::min(room, kDeferredMax_bytes)));
    auto planned = plan.after.overlays.find(blk);
    if (planned != plan.after.overlays.end()) deferred += planned->second->data_bytes();
    const bool kept =
        plan.after.entries[blk].length > 0 && plan.after.entries[blk].slot == base.slot;
    if (block.base == PendingBlock::Base::kSlot && !kept) plan.spent.push_back(base.slot);
  }
  const uint64_t old_blocks = state->committed.blocks512();
  run.blocks = run.blocks - std::min(run.blocks, old_blocks) + plan.after.blocks512();
  if (plan.after.empty()) {
    plan.file = nullptr;
    plan.new_slots = false;
    if (state->file != nullptr) state->doomed = true;
  }
  return {};
}

// Decides how a block is kept: as a hole, as its base, as base and overlay, or merged.
Result<void> FileDataImpl::plan_block(ChunkPlan& plan, uint8_t blk, BlockEntry base,
                                      Overlay overlay, size_t deferred_max) {
  plan.touched.push_back(blk);
  plan.after.overlays.erase(blk);
  plan.after.entries[blk] = BlockEntry();
  const uint32_t length = effective_length(base.length, overlay);
  if (length == 0) return {};
  if (overlay.empty()) {
    plan.after.entries[blk] = base;
    return {};
  }
  if (overlay.data_bytes() <= deferred_max && overlay.extents().size() <= kDeferredExtentsMax) {
    plan.after.entries[blk] = base;
    plan.after.overlays[blk] = std::make_shared<const Overlay>(std::move(overlay));
    return {};
  }
  std::vector<uint16_t> slots = plan.file->take(1);
  if (slots.empty()) return Errno(ENOSPC);
  space_.take(kBlockSize_bytes);
  Merge& merge = plan.merges.emplace_back();
  merge.blk = blk;
  merge.base = base;
  merge.overlay = std::move(overlay);
  merge.result = {blk, slots[0], length, 0};
  plan.after.entries[blk] = merge.result;
  plan.new_slots = true;
  return {};
}

// Applies the deferred writes of one chunk; what is pending stays so.
Result<void> FileDataImpl::plan_fold(FileState& file, CommitRun& run) {
  const auto index = static_cast<uint32_t>(run.op.from);
  MYFS_ASSIGN(ChunkRef state, chunk(file.ino, index));
  if (state->file == nullptr) return {};
  ChunkPlan& plan = run.plans.emplace_back();
  plan.index = index;
  plan.chunk = state;
  plan.after = state->committed;
  plan.file = state->file;
  for (const auto& [blk, overlay] : state->committed.overlays) {
    BlockEntry base = state->committed.entries[blk];
    base.blk = blk;
    plan.after.overlays.erase(blk);
    std::vector<uint16_t> slots = plan.file->take(1);
    if (slots.empty()) return Errno(ENOSPC);
    plan.touched.push_back(blk);
    Merge& merge = plan.merges.emplace_back();
    merge.blk = blk;
    merge.base = base;
    merge.overlay = *overlay;
    merge.result = {blk, slots[0], effective_length(base.length, *overlay), 0};
    plan.after.entries[blk] = merge.result;
    plan.new_slots = true;
  }
  return {};
}

void FileDataImpl::finish_data(uint64_t ino, const std::shared_ptr<CommitRun>& run) {
  FileState& state = file(ino);
  if (state.run != run) return;
  if (!run->error.ok()) {
    fail_file(state, run->error);
    pump(state);
    return;
  }
  for (ChunkPlan& plan : run->plans) {
    for (const Merge& merge : plan.merges) plan.after.entries[merge.blk].crc = merge.result.crc;
  }
  auto done = std::move(run->op.done);
  done(make_change(state, *run));
}

DataChange FileDataImpl::make_change(FileState& file, CommitRun& run) {
  DataChange change;
  change.owner_ = weak_from_this();
  change.ino_ = file.ino;
  change.size_ = run.size;
  change.blocks_ = run.blocks;
  change.inline_data_ = run.inline_data;
  change.changes_inode_ = run.changes_inode;
  change.has_writes_ = run.op.kind == LaneOp::Kind::kCommit;
  if (change.has_writes_) change.mtime_ = file.committing.mtime;
  for (const ChunkPlan& plan : run.plans) {
    put_plan(file.ino, plan, change.mutations_);
    change.gives_up_slots_ |= gives_up_slots(plan);
  }
  return change;
}

void FileDataImpl::settle(uint64_t ino, bool durable) {
  auto it = files_.find(ino);
  if (it == files_.end() || it->second->run == nullptr) return;
  FileState& state = *it->second;
  if (!durable) {
    fail_file(state, Errno(EIO));
    pump(state);
    return;
  }
  auto run = std::exchange(state.run, nullptr);
  for (ChunkPlan& plan : run->plans) apply_plan(ino, plan);
  // The slots of the layer are the committed content's now, or spent.
  overlay_bytes_ -= state.committing.overlay_bytes;
  state.committing = Layer();
  state.lane_busy = false;
  pump(state);
  fold_some();
  reap();
}

void FileDataImpl::apply_plan(uint64_t ino, ChunkPlan& plan) {
  ChunkState& chunk = *plan.chunk;
  for (uint8_t blk : plan.touched) {
    if (gives_up_slot(plan, blk)) chunk.file->release(chunk.committed.entries[blk].slot);
  }
  for (uint16_t slot : plan.spent) plan.pending_file->release(slot);
  plan.pending_file = nullptr;  // whoever holds the file keeps it from being removed
  BlockFileRef lost;
  if (plan.file == nullptr) {
    lost = std::exchange(chunk.file, nullptr);
    chunk.doomed = false;
  } else if (chunk.file == nullptr) {
    chunk.file = std::exchange(chunk.next_file, nullptr);
    assert(chunk.file == plan.file);
  }
  chunk.committed = std::move(plan.after);
  note_deferred(ino, plan.index, chunk.committed.deferred_bytes());
  if (lost != nullptr) {
    const BlockId id = lost->id();
    add_garbage({ino, id, std::move(lost)});
  } else if (chunk.file != nullptr) {
    discard_garbage(chunk.file);
  }
}

// The bytes of everything that is not committed are gone or in doubt; see FAILURE in file_data.h.
void FileDataImpl::fail_file(FileState& file, Errno error) {
  auto run = std::exchange(file.run, nullptr);
  ChangeDone failed = run != nullptr ? std::move(run->op.done) : nullptr;
  std::set<uint32_t> touched;
  for (const Layer* layer : {&file.committing, &file.pending}) {
    for (const auto& [blkno, block] : layer->blocks) {
      touched.insert(static_cast<uint32_t>(blkno / kBlocksPerChunk));
    }
  }
  if (run != nullptr) {
    for (const ChunkPlan& plan : run->plans) {
      touched.insert(plan.index);
      if (plan.file != nullptr) plan.file->quarantine();
    }
  }
  for (const auto& op : file.writing) {
    for (uint64_t blkno = op->first(); blkno <= op->last(); ++blkno) {
      touched.insert(static_cast<uint32_t>(blkno / kBlocksPerChunk));
    }
  }
  drop_layer(file.committing);
  drop_layer(file.pending);
  for (uint32_t index : touched) {
    auto it = chunks_.find({file.ino, index});
    if (it == chunks_.end()) continue;
    it->second->next_file = nullptr;  // its fate is the next boot's
    it->second->doomed = false;
  }
  file.lane_busy = false;
  space_.doubt();
  ++file.failures;
  ++verifier_count_;
  log(LogLevel::kError, "inode %d: unstable writes are lost: %s", file.ino, error.text());
  if (failed != nullptr) answer(std::move(failed), Result<DataChange>(error));
  std::deque<FileState::Waiting> kept;
  for (FileState::Waiting& waiting : file.waiting) {
    if (!waiting.lane.has_value()) {
      kept.push_back(std::move(waiting));
    } else {
      answer(std::move(waiting.lane->done), Result<DataChange>(error));
    }
  }
  file.waiting = std::move(kept);
}

}  // namespace myfs::server
