// Files of blocks that several chunks name: counts of references, and how a range is cloned.
//
// A chunk writes to slots of a file of its own. A clone makes the target's chunk record name slots
// of the source's file as well; the count of records that name a file lies beside them (B) and
// changes in the transaction that changes them. While there is more than one, nobody takes slots of
// the file: who owns it gets another at the next change, and what lay in the old one stays there.
// The file goes with the last record that names it.
#include <algorithm>
#include <cassert>
#include <utility>

#include "server/file_data_impl.h"

namespace myfs::server {
namespace {

std::map<BlockId, BlockFileRef> files_of(const ChunkContent& content, const BlockFileRef& own) {
  std::map<BlockId, BlockFileRef> files = content.others;
  if (own != nullptr) files[own->id()] = own;
  return files;
}

}  // namespace

BlockFileRef FileDataImpl::block_file(BlockId id, BlockFile::Presence presence) {
  if (block_files_.size() >= block_files_prune_at_) {
    absl::erase_if(block_files_, [](const auto& known) { return known.second.expired(); });
    block_files_prune_at_ = std::max(kBlockFilesPruned, 2 * block_files_.size());
  }
  std::weak_ptr<BlockFile>& known = block_files_[id];
  BlockFileRef file = known.lock();
  if (file == nullptr) {
    file = std::make_shared<BlockFile>(id, presence);
    known = file;
  }
  return file;
}

Result<uint32_t> FileDataImpl::refs(BlockFile& file) {
  if (!file.refs.has_value()) {
    MYFS_ASSIGN(std::optional<std::string> value, meta_.get(block_key(file.id())));
    RefsRecord record;
    if (value.has_value()) {
      MYFS_ASSIGN(record, RefsRecord::decode(*value));
    }
    file.refs = record.refs;
  }
  return *file.refs;
}

// Before anything is planned: what is handed over has no way to fail.
Result<void> FileDataImpl::know_refs(const ChunkState& chunk) {
  for (const auto& [id, other] : chunk.committed.others) MYFS_TRY(refs(*other));
  if (chunk.file != nullptr) MYFS_TRY(refs(*chunk.file));
  return {};
}

Result<bool> FileDataImpl::shared(BlockFile& file) {
  MYFS_ASSIGN(const uint32_t count, refs(file));
  return count > 1;
}

void FileDataImpl::name_file(BlockFile& file, std::vector<Mutation>& out) {
  assert(file.refs.has_value());
  ++*file.refs;
  out.push_back({Mutation::Kind::kPut, block_key(file.id()), RefsRecord{*file.refs}.encode(), 0});
}

bool FileDataImpl::drop_file(uint64_t ino, BlockFile& file, std::vector<Mutation>& out) {
  assert(file.refs.value_or(0) > 0);
  if (--*file.refs > 0) {
    out.push_back({Mutation::Kind::kPut, block_key(file.id()), RefsRecord{*file.refs}.encode(), 0});
    return false;
  }
  out.push_back({Mutation::Kind::kDelete, block_key(file.id()), {}, 0});
  out.push_back({Mutation::Kind::kPut, garbage_key(ino, file.id()), std::string(), 0});
  return true;
}

void FileDataImpl::take_back_names(CommitRun& run) {
  for (ChunkPlan& plan : run.plans) {
    for (const BlockFileRef& file : plan.named) --*file->refs;
    for (const BlockFileRef& file : plan.dropped) ++*file->refs;
  }
  for (const BlockFileRef& file : run.dropped) ++*file->refs;
}

void FileDataImpl::release_slots(ChunkState& chunk) {
  for (const BlockEntry& entry : chunk.committed.entries) {
    if (entry.length > 0) chunk.committed.file_of(entry, chunk.file)->release(entry.slot);
  }
}

void FileDataImpl::put_plan(uint64_t ino, ChunkPlan& plan, std::vector<Mutation>& out) {
  auto put = [&out](std::string key, std::string value) {
    out.push_back({Mutation::Kind::kPut, std::move(key), std::move(value), 0});
  };
  auto del = [&out](std::string key) {
    out.push_back({Mutation::Kind::kDelete, std::move(key), {}, 0});
  };
  const ChunkState& old = *plan.chunk;
  const BlockId old_id = old.file == nullptr ? 0 : old.file->id();
  const BlockId id = plan.file == nullptr ? 0 : plan.file->id();
  const bool has_record = !plan.after.empty();
  if (has_record &&
      (!old.has_record() || id != old_id || old.committed.entries != plan.after.entries)) {
    put(chunk_key(ino, plan.index), plan.after.to_record(id).encode());
  } else if (!has_record && old.has_record()) {
    del(chunk_key(ino, plan.index));
  }
  for (const auto& [blk, overlay] : old.committed.overlays) {
    if (id != old_id || !plan.after.overlays.contains(blk)) del(deferred_key(old_id, blk));
  }
  for (const auto& [blk, overlay] : plan.after.overlays) {
    const bool touched =
        std::find(plan.touched.begin(), plan.touched.end(), blk) != plan.touched.end();
    if (id == old_id && !touched) continue;
    put(deferred_key(id, blk), DeferredRecord{ino, plan.index, overlay->extents()}.encode());
  }
  const auto before = files_of(old.committed, old.file);
  const auto after = files_of(plan.after, plan.file);
  for (const auto& [number, file] : after) {
    if (before.contains(number)) continue;
    name_file(*file, out);
    plan.named.push_back(file);
  }
  for (const auto& [number, file] : before) {
    if (after.contains(number)) continue;
    plan.dropped.push_back(file);
    if (drop_file(ino, *file, out)) plan.lost.push_back(file);
  }
}

void FileDataImpl::put_drops(uint64_t ino, CommitRun& run, std::vector<Mutation>& out) {
  std::move(run.drop_mutations.begin(), run.drop_mutations.end(), std::back_inserter(out));
  run.drop_mutations.clear();
  for (ChunkDrop& drop : run.drops) {
    for (const BlockFileRef& file : drop.shared) {
      run.dropped.push_back(file);
      if (drop_file(ino, *file, out)) drop.garbage.push_back(file->id());
    }
  }
}

// ---- clones

bool FileDataImpl::is_quiet(uint64_t ino) const {
  auto it = files_.find(ino);
  if (it == files_.end()) return true;
  const FileState& state = *it->second;
  return state.pending.empty() && state.held.empty() && !state.lane_busy && !state.lent &&
         state.writing.empty();
}

// The clone's own file is its caller's to pump.
void FileDataImpl::give_back_source(uint64_t ino, const CommitRun& run) {
  if (run.op.kind != LaneOp::Kind::kClone) return;
  FileState& source = file(run.op.source_ino);
  source.lent = false;
  if (source.ino != ino) pump(source);
}

// Adds chunks of the target, from run.found_to on, that get something of the source. Returns before
// which one these are all.
Result<uint64_t> FileDataImpl::find_cloned(const CommitRun& run, std::set<uint64_t>* found) {
  const LaneOp& op = run.op;
  const uint64_t begin = std::max(op.from, run.found_to * kChunkSize_bytes);
  const uint64_t end = (op.to - 1) / kChunkSize_bytes + 1;
  if (begin >= op.to) return end;
  const uint64_t source_begin = begin - op.from + op.source_offset;
  const uint64_t source_end = op.to - op.from + op.source_offset;
  auto to_target = [&](uint64_t at) {
    return (std::clamp(at, source_begin, source_end - 1) - op.source_offset + op.from) /
           kChunkSize_bytes;
  };
  const InodeRecord* source = host_.committed_inode(op.source_ino);
  if (source == nullptr) return Errno(ESTALE);
  if (!source->data.empty() && source_begin < kBlockSize_bytes) found->insert(to_target(0));
  MYFS_ASSIGN(std::vector<uint32_t> chunks,
              stored_chunks(op.source_ino, source_begin / kChunkSize_bytes,
                            (source_end - 1) / kChunkSize_bytes));
  uint64_t reached = 0;
  for (uint32_t index : chunks) {
    const uint64_t start = index * kChunkSize_bytes;
    found->insert(to_target(start));
    found->insert(reached = to_target(start + kChunkSize_bytes - 1));
  }
  return chunks.size() < kChunksPerTurn ? end : reached;
}

// What one chunk of the target gets: its blocks of the range go, the source's come.
Result<void> FileDataImpl::lay_clone(FileState& file, const CommitRun& run, uint32_t index) {
  const LaneOp& op = run.op;
  const uint64_t first = op.from / kBlockSize_bytes, last = (op.to - 1) / kBlockSize_bytes;
  MYFS_TRY(lay_zeros(file, index, op.from, (last + 1) * kBlockSize_bytes));
  const InodeRecord* source = host_.committed_inode(op.source_ino);
  if (source == nullptr) return Errno(ESTALE);
  const uint64_t chunk_first = uint64_t{index} * kBlocksPerChunk;
  const uint64_t from = std::max(first, chunk_first);
  const uint64_t to = std::min(last, chunk_first + kBlocksPerChunk - 1);
  for (uint64_t blkno = from; blkno <= to; ++blkno) {
    const uint64_t source_blkno = blkno - first + op.source_offset / kBlockSize_bytes;
    const auto source_blk = static_cast<uint8_t>(source_blkno % kBlocksPerChunk);
    MYFS_ASSIGN(ChunkRef state,
                chunk(op.source_ino, static_cast<uint32_t>(source_blkno / kBlocksPerChunk)));
    const ChunkContent& content = state->committed;
    const bool inlined = source_blkno == 0 && !source->data.empty();
    if (!inlined && !content.has(source_blk)) continue;
    PendingBlock block;
    block.base = PendingBlock::Base::kHole;
    const BlockEntry& entry = content.entries[source_blk];
    if (entry.length > 0) {
      block.base = PendingBlock::Base::kSlot;
      block.file = content.file_of(entry, state->file);
      block.entry = entry;
      block.entry.blk = static_cast<uint8_t>(blkno % kBlocksPerChunk);
      block.entry.block = 0;
      MYFS_TRY(block.file->hold(entry.slot));
    }
    auto overlay = content.overlays.find(source_blk);
    if (overlay != content.overlays.end()) block.overlay = *overlay->second;
    if (inlined) block.overlay.write(0, source->data);
    add_overlay_bytes(file.committing, 0, block.overlay.data_bytes());
    file.committing.blocks[blkno] = std::move(block);
  }
  return {};
}

}  // namespace myfs::server
