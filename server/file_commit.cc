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
constexpr size_t kDropsPerTurn = 1024;  // noted

uint64_t inline_blocks(const std::string& data) { return data.empty() ? 0 : kInlineBlocks512; }

// Runs in a worker: folds one overlay into a new slot.
Errno write_merge(BlockStore& store, BlockFile& file, Merge& merge) {
  std::vector<uint8_t> bytes(merge.result.length);
  if (merge.base.length > 0) {
    std::vector<uint8_t> base(merge.base.length);
    const BlockId from = merge.base_file->id();
    auto got = store.pread(from, uint64_t{merge.base.slot} * kBlockSize_bytes, base);
    if (!got.ok()) return got.error();
    if (crc32c(base) != merge.base.crc) {
      log(LogLevel::kError, "block %016x, slot %d: checksum differs", from, merge.base.slot);
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
  return plan.chunk->committed.entries[blk].length > 0 && !plan.inherited.test(blk);
}

bool gives_up_slots(const ChunkPlan& plan) {
  if (!plan.dropped.empty()) return true;
  return std::any_of(plan.touched.begin(), plan.touched.end(),
                     [&](uint8_t blk) { return gives_up_slot(plan, blk); });
}

}  // namespace

void FileDataImpl::start_lane(FileState& file, LaneOp op) {
  const bool fold = op.kind == LaneOp::Kind::kFold;
  if (op.held != nullptr && op.held == file.holder) let_held_go(file);
  if (op.kind == LaneOp::Kind::kCommit && file.pending.empty()) {
    return answer(std::move(op.done), Result<DataChange>(DataChange()));
  }
  if (op.kind == LaneOp::Kind::kClone && !is_quiet(op.source_ino)) {
    return answer(std::move(op.done), Result<DataChange>(Errno(EAGAIN)));
  }
  auto run = std::make_shared<CommitRun>();
  run->op = std::move(op);
  if (run->op.kind == LaneOp::Kind::kClone) this->file(run->op.source_ino).lent = true;
  file.run = run;
  file.lane_busy = true;
  if (!fold) file.committing = std::exchange(file.pending, Layer());
  plan_on(file);
}

// Plans as much as a turn of the loop should take, and goes on in the next one.
void FileDataImpl::plan_on(FileState& file) {
  std::shared_ptr<CommitRun> run = file.run;
  Result<bool> planned = plan_some(file, *run);
  file.planning = planned.ok() && !*planned;
  if (!planned.ok()) return fail_file(file, planned.error());
  if (*planned) return execute(file);
  host_.post([weak = weak_from_this(), ino = file.ino, run] {
    auto self = weak.lock();
    if (self == nullptr || self->file(ino).run != run) return;
    FileState& state = self->file(ino);
    self->plan_on(state);
    self->pump(state);
  });
}

void FileDataImpl::execute(FileState& file) {
  std::shared_ptr<CommitRun> run = file.run;
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

// Lays zeros over what one chunk has of [from, to), in the layer that is about to be committed.
Result<void> FileDataImpl::lay_zeros(FileState& file, uint32_t index, uint64_t from, uint64_t to) {
  const uint64_t chunk_start = index * kChunkSize_bytes;
  from = std::max(from, chunk_start);
  to = std::min(to, chunk_start + kChunkSize_bytes);
  if (from >= to) return {};
  const uint64_t first = from / kBlockSize_bytes, last = (to - 1) / kBlockSize_bytes;
  MYFS_ASSIGN(ChunkRef state, chunk(file.ino, index));
  const InodeRecord* inode = host_.committed_inode(file.ino);
  auto& blocks = file.committing.blocks;
  for (uint64_t blkno = first; blkno <= last; ++blkno) {
    const bool inlined = blkno == 0 && inode != nullptr && !inode->data.empty();
    const bool there = state->committed.has(static_cast<uint8_t>(blkno % kBlocksPerChunk));
    if (!there && !inlined && !blocks.contains(blkno)) continue;
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

Result<bool> FileDataImpl::plan_some(FileState& file, CommitRun& run) {
  if (run.op.kind == LaneOp::Kind::kFold) {
    MYFS_TRY(plan_fold(file, run));
    return true;
  }
  if (run.size == CommitRun::kUnplanned) MYFS_TRY(plan_begin(file, run));
  for (size_t steps = 0; steps < kChunksPerTurn; ++steps) {
    if (run.planned == run.chunks.size() && !run.taken) MYFS_TRY(find_chunks(file, run));
    if (run.planned < run.chunks.size()) MYFS_TRY(plan_next(file, run));
    if (run.planned < run.chunks.size() || !run.taken) continue;
    MYFS_TRY(plan_end(file, run));
    return true;
  }
  return false;
}

Result<void> FileDataImpl::plan_begin(FileState& file, CommitRun& run) {
  const InodeRecord* inode = host_.committed_inode(file.ino);
  if (inode == nullptr) return Errno(ESTALE);
  Layer& layer = file.committing;
  LaneOp& op = run.op;
  if (op.kind == LaneOp::Kind::kTruncate) {
    layer.truncate_to = op.from;
    layer.end = std::min(layer.end, op.from);
    op.to = kFileSizeMax_bytes + 1;
  } else if (op.kind == LaneOp::Kind::kPunch) {
    op.to = std::min(op.to, kFileSizeMax_bytes + 1);
  } else if (op.kind == LaneOp::Kind::kClone) {
    layer.end = std::max(layer.end, op.to);
  }
  run.size = std::max(layer.truncate_to.value_or(inode->size), layer.end);
  run.blocks = inode->blocks - std::min(inode->blocks, inline_blocks(inode->data));
  run.taken = !op.is_edit() || op.from >= op.to;
  run.found_to = op.from / kChunkSize_bytes;

  MYFS_ASSIGN(ChunkRef first, chunk(file.ino, 0));
  if (!first->has_record()) {
    if (op.is_edit()) MYFS_TRY(lay_edit(file, run, 0));
    bool others = false;
    if (inode->size > kChunkSize_bytes) {
      auto [from, to] = number_range('C', file.ino);
      MYFS_TRY(meta_.scan(from, to, 1, [&](std::string_view, std::string_view) {
        others = true;
        return false;
      }));
    }
    if (!others && plan_inline(file, run, *inode)) {
      run.taken = true;
      return {};
    }
  }
  run.inline_data.clear();
  if (!inode->data.empty()) {
    run.inlined.write(0, inode->data);
    layer.blocks.try_emplace(0);
  }
  for (const auto& [blkno, block] : layer.blocks) {
    const auto index = static_cast<uint32_t>(blkno / kBlocksPerChunk);
    if (run.chunks.empty() || run.chunks.back() != index) run.chunks.push_back(index);
  }
  run.pending_chunks = run.chunks.size();
  return {};
}

// Some more chunks that an edit is about, but for those that have pending blocks.
Result<void> FileDataImpl::find_chunks(FileState& file, CommitRun& run) {
  const LaneOp& op = run.op;
  const uint64_t last = (op.to - 1) / kChunkSize_bytes;
  MYFS_ASSIGN(std::vector<uint32_t> own, stored_chunks(file.ino, run.found_to, last));
  std::set<uint64_t> found(own.begin(), own.end());
  uint64_t complete_to = own.size() < kChunksPerTurn ? last + 1 : uint64_t{own.back()} + 1;
  if (op.kind == LaneOp::Kind::kClone) {
    MYFS_ASSIGN(const uint64_t source_to, find_cloned(run, &found));
    complete_to = std::min(complete_to, source_to);
  }
  const auto pending_end = run.chunks.begin() + static_cast<ptrdiff_t>(run.pending_chunks);
  std::vector<uint32_t> added;
  for (uint64_t each : found) {
    const auto index = static_cast<uint32_t>(each);
    const bool now = each >= run.found_to && each < complete_to;
    if (now && !std::binary_search(run.chunks.begin(), pending_end, index)) added.push_back(index);
  }
  run.chunks.insert(run.chunks.end(), added.begin(), added.end());
  run.found_to = complete_to;
  run.taken = complete_to > last;
  return {};
}

// Some chunks from `first` to `last` that the store has.
Result<std::vector<uint32_t>> FileDataImpl::stored_chunks(uint64_t ino, uint64_t first,
                                                          uint64_t last) {
  std::vector<uint32_t> found;
  if (first > last) return found;
  Errno damaged;
  auto add = [&](std::string_view key, std::string_view) {
    auto index = parse_chunk_index(key);
    damaged = index.error();
    if (index.ok()) found.push_back(*index);
    return index.ok();
  };
  MYFS_TRY(meta_.scan(chunk_key(ino, static_cast<uint32_t>(first)),
                      chunk_key(ino, static_cast<uint32_t>(last)) + '\0', kChunksPerTurn, add));
  if (!damaged.ok()) return damaged;
  return found;
}

// What an edit does to the blocks of one chunk.
Result<void> FileDataImpl::lay_edit(FileState& file, const CommitRun& run, uint32_t index) {
  const LaneOp& op = run.op;
  if (op.kind != LaneOp::Kind::kClone) return lay_zeros(file, index, op.from, op.to);
  return lay_clone(file, run, index);
}

Result<void> FileDataImpl::plan_next(FileState& file, CommitRun& run) {
  const uint32_t index = run.chunks[run.planned++];
  const LaneOp& op = run.op;
  const uint64_t start = index * kChunkSize_bytes;
  const bool zeroes = op.kind == LaneOp::Kind::kTruncate || op.kind == LaneOp::Kind::kPunch;
  if (zeroes && op.from <= start && op.to >= start + kChunkSize_bytes) {
    return plan_drop(file, run, index);
  }
  if (op.is_edit()) MYFS_TRY(lay_edit(file, run, index));
  const auto& blocks = file.committing.blocks;
  const auto block = blocks.lower_bound(uint64_t{index} * kBlocksPerChunk);
  if (block == blocks.end() || block->first / kBlocksPerChunk != index) return {};
  return plan_chunk(file, run, index);
}

Result<void> FileDataImpl::plan_end(FileState& file, CommitRun& run) {
  const InodeRecord* inode = host_.committed_inode(file.ino);
  if (inode == nullptr) return Errno(ESTALE);
  run.blocks += inline_blocks(run.inline_data);
  run.changes_inode =
      run.size != inode->size || run.blocks != inode->blocks || run.inline_data != inode->data;
  return {};
}

// A chunk goes as a whole: nobody needs to know what lay in it.
Result<void> FileDataImpl::plan_drop(FileState& file, CommitRun& run, uint32_t index) {
  auto& blocks = file.committing.blocks;
  auto it = blocks.lower_bound(uint64_t{index} * kBlocksPerChunk);
  while (it != blocks.end() && it->first / kBlocksPerChunk == index) {
    PendingBlock& block = it->second;
    if (block.base == PendingBlock::Base::kSlot) block.file->release(block.entry.slot);
    add_overlay_bytes(file.committing, block.overlay.data_bytes(), 0);
    it = blocks.erase(it);
  }
  MYFS_ASSIGN(ChunkRef state, chunk(file.ino, index));
  ChunkDrop& drop = run.drops.emplace_back();
  drop.index = index;
  if (!state->has_record()) return {};
  run.blocks -= std::min(run.blocks, state->committed.blocks512());
  auto del = [&run](std::string key) {
    run.drop_mutations.push_back({Mutation::Kind::kDelete, std::move(key), {}, 0});
  };
  del(chunk_key(file.ino, index));
  for (const auto& [blk, overlay] : state->committed.overlays) {
    del(deferred_key(state->file->id(), blk));
  }
  std::vector<BlockFileRef> files;
  if (state->file != nullptr) files.push_back(state->file);
  for (const auto& [id, other] : state->committed.others) files.push_back(other);
  for (const BlockFileRef& each : files) {
    MYFS_ASSIGN(const bool others, shared(*each));
    if (others) {
      drop.shared.push_back(each);
      continue;
    }
    drop.garbage.push_back(each->id());
    del(block_key(each->id()));
    run.drop_mutations.push_back(
        {Mutation::Kind::kPut, garbage_key(file.ino, each->id()), std::string(), 0});
  }
  return {};
}

Result<void> FileDataImpl::plan_chunk(FileState& file, CommitRun& run, uint32_t index) {
  MYFS_ASSIGN(ChunkRef state, chunk(file.ino, index));
  ChunkPlan& plan = run.plans.emplace_back();
  plan.index = index;
  plan.chunk = state;
  plan.after = state->committed;
  MYFS_ASSIGN(plan.file, writable_file(*state));
  plan.pending_file = plan.file;
  MYFS_TRY(know_refs(*state));
  if (state->file != nullptr && plan.file != state->file) plan.after.disown(state->file);
  auto& blocks = file.committing.blocks;
  size_t deferred = 0;
  for (auto it = blocks.lower_bound(uint64_t{index} * kBlocksPerChunk);
       it != blocks.end() && it->first / kBlocksPerChunk == index; ++it) {
    const auto blk = static_cast<uint8_t>(it->first % kBlocksPerChunk);
    PendingBlock& block = it->second;
    BlockEntry base;
    Overlay overlay;
    if (block.base == PendingBlock::Base::kSlot) {
      base = block.entry;
      base.block = block.file == plan.file ? 0 : block.file->id();
      if (base.block != 0) {
        MYFS_TRY(refs(*block.file));
        plan.after.others[base.block] = block.file;
      }
      plan.new_slots |= base.block == 0;
    } else if (block.base == PendingBlock::Base::kInherit) {
      base = plan.after.entries[blk];
      auto committed = state->committed.overlays.find(blk);
      if (committed != state->committed.overlays.end()) overlay = *committed->second;
      if (blk == 0 && index == 0) overlay.lay(run.inlined);
    }
    overlay.lay(block.overlay);
    const size_t room =
        kDeferredPerCommitMax_bytes - std::min(deferred, kDeferredPerCommitMax_bytes);
    MYFS_TRY(plan_block(plan, blk, base, std::move(overlay), std::min(room, kDeferredMax_bytes)));
    auto planned = plan.after.overlays.find(blk);
    if (planned != plan.after.overlays.end()) deferred += planned->second->data_bytes();
    const bool kept = base.length > 0 && plan.after.entries[blk] == base;
    if (block.base == PendingBlock::Base::kSlot && !kept) {
      plan.spent.emplace_back(plan.after.file_of(base, plan.file), base.slot);
    }
    plan.inherited.set(blk, kept && block.base == PendingBlock::Base::kInherit);
  }
  finish_chunk(*state, run, plan);
  return {};
}

void FileDataImpl::finish_chunk(ChunkState& state, CommitRun& run, ChunkPlan& plan) {
  const uint64_t old_blocks = state.committed.blocks512();
  run.blocks = run.blocks - std::min(run.blocks, old_blocks) + plan.after.blocks512();
  plan.after.forget_unused();
  if (!plan.after.uses_own_file()) {
    plan.file = nullptr;
    plan.new_slots = false;
  }
  state.doomed = state.file != nullptr && plan.file != state.file;
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
  return plan_merge(plan, blk, base, std::move(overlay), length);
}

Result<void> FileDataImpl::plan_merge(ChunkPlan& plan, uint8_t blk, BlockEntry base,
                                      Overlay overlay, uint32_t length) {
  std::vector<uint16_t> slots = plan.file->take(1);
  if (slots.empty()) return Errno(ENOSPC);
  space_.take(kBlockSize_bytes);
  Merge& merge = plan.merges.emplace_back();
  merge.blk = blk;
  merge.base = base;
  if (base.length > 0) merge.base_file = plan.after.file_of(base, plan.file);
  merge.overlay = std::move(overlay);
  merge.result = {.blk = blk, .slot = slots[0], .length = length};
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
  MYFS_TRY(know_refs(*state));
  MYFS_ASSIGN(plan.file, writable_file(*state));
  if (plan.file != state->file) plan.after.disown(state->file);
  for (const auto& [blk, overlay] : state->committed.overlays) {
    BlockEntry base = plan.after.entries[blk];
    base.blk = blk;
    plan.after.overlays.erase(blk);
    plan.touched.push_back(blk);
    MYFS_TRY(plan_merge(plan, blk, base, *overlay, effective_length(base.length, *overlay)));
  }
  plan.after.forget_unused();
  state->doomed = plan.file != state->file;
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
  for (ChunkPlan& plan : run.plans) {
    put_plan(file.ino, plan, change.mutations_);
    change.gives_up_slots_ |= gives_up_slots(plan);
  }
  put_drops(file.ino, run, change.mutations_);
  change.gives_up_slots_ |= !run.drops.empty();
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
  std::shared_ptr<CommitRun> run = state.run;
  for (ChunkPlan& plan : run->plans) apply_plan(ino, plan);
  run->plans.clear();
  run->dropped.clear();
  apply_drops(ino, run, 0);
}

// Behind the end of the file nobody looks for content: that it has gone may be noted bit by bit.
void FileDataImpl::apply_drops(uint64_t ino, const std::shared_ptr<CommitRun>& run, size_t from) {
  FileState& state = file(ino);
  if (state.run != run) return;
  const bool in_steps = run->op.kind == LaneOp::Kind::kTruncate;
  size_t to = run->drops.size();
  if (in_steps) to = std::min(to, from + kDropsPerTurn);
  for (size_t i = from; i < to; ++i) apply_drop(ino, run->drops[i]);
  reap();
  if (to < run->drops.size()) {
    host_.post([weak = weak_from_this(), ino, run, to] {
      if (auto self = weak.lock()) self->apply_drops(ino, run, to);
    });
    return;
  }
  // The slots of the layer are the committed content's now, or spent.
  give_back_source(ino, *run);
  state.run = nullptr;
  overlay_bytes_ -= state.committing.overlay_bytes;
  state.committing = Layer();
  state.lane_busy = false;
  pump(state);
  fold_some();
  reap();
}

void FileDataImpl::apply_drop(uint64_t ino, ChunkDrop& drop) {
  auto it = chunks_.find({ino, drop.index});
  if (it != chunks_.end()) {
    ChunkState& chunk = *it->second;
    release_slots(chunk);
    chunk.file = nullptr;
    chunk.committed = ChunkContent();
    chunk.doomed = false;
  }
  note_deferred(ino, drop.index, 0);
  for (BlockId id : drop.garbage) {
    auto known = block_files_.find(id);
    garbage_.push_back({ino, id, known == block_files_.end() ? nullptr : known->second.lock()});
  }
  drop.shared.clear();
}

void FileDataImpl::apply_plan(uint64_t ino, ChunkPlan& plan) {
  ChunkState& chunk = *plan.chunk;
  for (uint8_t blk : plan.touched) {
    const BlockEntry& old = chunk.committed.entries[blk];
    if (gives_up_slot(plan, blk)) chunk.committed.file_of(old, chunk.file)->release(old.slot);
  }
  for (auto& [file, slot] : plan.spent) file->release(slot);
  // Whoever holds a file keeps it from being removed.
  plan.spent.clear();
  plan.merges.clear();
  plan.pending_file = nullptr;
  if (plan.file != chunk.file) {
    chunk.file = plan.file;
    if (chunk.file != nullptr) {
      assert(chunk.file == chunk.next_file);
      chunk.next_file = nullptr;
    }
  }
  chunk.doomed = false;
  chunk.committed = std::move(plan.after);
  note_deferred(ino, plan.index, chunk.committed.deferred_bytes());
  plan.named.clear();
  plan.dropped.clear();
  for (BlockFileRef& file : plan.lost) {
    const BlockId id = file->id();
    add_garbage({ino, id, std::move(file)});
  }
  if (chunk.file != nullptr) discard_garbage(chunk.file);
}

// The bytes of everything that is not committed are gone or in doubt; see FAILURE in file_data.h.
void FileDataImpl::fail_file(FileState& file, Errno error) {
  auto run = std::exchange(file.run, nullptr);
  ChangeDone failed = run != nullptr ? std::move(run->op.done) : nullptr;
  std::set<uint32_t> touched;
  for (const Layer* layer : {&file.committing, &file.pending, &file.held}) {
    for (const auto& [blkno, block] : layer->blocks) {
      touched.insert(static_cast<uint32_t>(blkno / kBlocksPerChunk));
    }
  }
  if (run != nullptr) {
    for (const ChunkPlan& plan : run->plans) {
      touched.insert(plan.index);
      if (plan.file != nullptr) plan.file->quarantine();
    }
    take_back_names(*run);
  }
  for (const auto& op : file.writing) {
    for (uint64_t blkno = op->first(); blkno <= op->last(); ++blkno) {
      touched.insert(static_cast<uint32_t>(blkno / kBlocksPerChunk));
    }
  }
  if (run != nullptr) give_back_source(file.ino, *run);
  constexpr bool kFailed = true;
  drop_layer(file.committing, kFailed);
  drop_layer(file.pending, kFailed);
  drop_layer(file.held, kFailed);
  if (file.holder != nullptr) file.holder->lost = true;
  file.holder = nullptr;
  for (uint32_t index : touched) {
    auto it = chunks_.find({file.ino, index});
    if (it == chunks_.end()) continue;
    it->second->next_file = nullptr;  // its fate is the next boot's
    it->second->doomed = false;
  }
  file.lane_busy = false;
  file.planning = false;
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
