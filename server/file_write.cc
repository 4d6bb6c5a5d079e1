// Writes: from the caller's bytes to free slots and patches in memory.
#include <algorithm>
#include <cassert>
#include <cstring>
#include <utility>

#include "server/crc32c.h"
#include "server/file_data_impl.h"

namespace myfs::server {
namespace {

std::string_view as_text(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Runs in a worker: segments that follow one another in memory and in the file go as one.
Errno write_segments(BlockStore& store, std::vector<WriteOp::Segment>& segments) {
  for (WriteOp::Segment& segment : segments) segment.entry.crc = crc32c(segment.data);
  for (size_t i = 0; i < segments.size();) {
    const WriteOp::Segment& first = segments[i];
    if (auto made = first.file->ensure_created(store); !made.ok()) return made.error();
    size_t next = i + 1, length = first.data.size();
    while (next < segments.size() && segments[next].file == first.file &&
           segments[next - 1].data.size() == kBlockSize_bytes &&
           segments[next].entry.slot == segments[next - 1].entry.slot + 1 &&
           segments[next].data.data() == first.data.data() + length) {
      length += segments[next++].data.size();
    }
    auto written = store.pwrite(first.file->id(), uint64_t{first.entry.slot} * kBlockSize_bytes,
                                {first.data.data(), length});
    if (!written.ok()) return written.error();
    i = next;
  }
  return Errno();
}

}  // namespace

void FileDataImpl::add_overlay_bytes(Layer& layer, size_t before, size_t after) {
  layer.overlay_bytes += after - before;
  overlay_bytes_ += after - before;
}

void FileDataImpl::drop_layer(Layer& layer, bool failed) {
  overlay_bytes_ -= layer.overlay_bytes;
  for (auto& [blkno, block] : layer.blocks) {
    if (block.base != PendingBlock::Base::kSlot) continue;
    if (failed) {
      block.file->quarantine();
    } else {
      block.file->release(block.entry.slot);
    }
  }
  layer = Layer();
}

void FileDataImpl::start_write(FileState& file, std::shared_ptr<WriteOp> op) {
  op->failures = file.failures;
  if (op->held != nullptr && file.held.empty()) file.holder = op->held;
  assert(op->held == nullptr || op->held == file.holder);
  if (auto prepared = prepare_write(file, *op); !prepared.ok()) {
    for (const auto& segment : op->segments) segment.file->release(segment.entry.slot);
    return answer(std::move(op->done), Result<WriteReply>(prepared.error()));
  }
  if (op->segments.empty()) {
    install(file, *op);
    return answer(
        std::move(op->done),
        Result<WriteReply>(WriteReply{overlay_bytes_ > options_.pending_memory_max_bytes}));
  }
  file.writing.push_back(op);
  run_job([op, &store = blocks_] { op->error = write_segments(store, op->segments); },
          [this, ino = file.ino, op] { finish_write(ino, op); });
}

Result<void> FileDataImpl::prepare_write(FileState& file, WriteOp& op) {
  if (host_.committed_inode(file.ino) == nullptr) return Errno(ESTALE);
  if (space_.recent().free_bytes < op.data.size()) return Errno(ENOSPC);
  space_.take(op.data.size());
  uint64_t at = op.offset;
  std::span<const uint8_t> rest = op.data;
  while (!rest.empty()) {
    const auto index = static_cast<uint32_t>(at / kChunkSize_bytes);
    MYFS_ASSIGN(ChunkRef state, chunk(file.ino, index));
    std::vector<WriteOp::Segment> segments;
    while (!rest.empty() && at / kChunkSize_bytes == index) {
      const auto offset = static_cast<uint32_t>(at % kBlockSize_bytes);
      size_t length = std::min<size_t>(rest.size(), kBlockSize_bytes - offset);
      MYFS_TRY(place_piece(file, op, *state, at / kBlockSize_bytes, offset, rest.first(length),
                           segments));
      rest = rest.subspan(length);
      at += length;
    }
    MYFS_TRY(give_slots(*state, segments));
    std::move(segments.begin(), segments.end(), std::back_inserter(op.segments));
  }
  return {};
}

// Bytes of a block that any layer has, or more.
uint32_t FileDataImpl::known_length(const FileState& file, const ChunkState& chunk,
                                    uint64_t blkno) const {
  uint32_t length = chunk.committed.length(static_cast<uint8_t>(blkno % kBlocksPerChunk));
  for (const Layer* layer : {&file.committing, &file.pending, &file.held}) {
    auto it = layer->blocks.find(blkno);
    if (it == layer->blocks.end()) continue;
    length = std::max({length, it->second.entry.length, it->second.overlay.data_end()});
  }
  if (blkno == 0) {
    const InodeRecord* inode = host_.committed_inode(file.ino);
    if (inode != nullptr) length = std::max(length, static_cast<uint32_t>(inode->data.size()));
  }
  return length;
}

// A piece that is all there is of its block goes to a slot, alone or with the patches that wait for
// it; a small or partial one becomes a patch.
Result<void> FileDataImpl::place_piece(FileState& file, WriteOp& op, ChunkState& chunk,
                                       uint64_t blkno, uint32_t offset,
                                       std::span<const uint8_t> data,
                                       std::vector<WriteOp::Segment>& segments) {
  const uint32_t known = known_length(file, chunk, blkno);
  const auto end = offset + static_cast<uint32_t>(data.size());
  BlockEntry entry;
  entry.blk = static_cast<uint8_t>(blkno % kBlocksPerChunk);
  if (offset == 0 && end >= known && end > kDeferredMax_bytes) {
    entry.length = end;
    segments.push_back({blkno, nullptr, entry, data});
    return {};
  }
  const Layer& layer = op.held != nullptr ? file.held : file.pending;
  auto waiting = layer.blocks.find(blkno);
  if (waiting != layer.blocks.end() && std::max(end, known) > kDeferredMax_bytes) {
    entry.length = std::max(end, known);
    Overlay whole = waiting->second.overlay;
    whole.write(offset, as_text(data));
    if (whole.covers(entry.length)) {
      op.owned.emplace_back(entry.length);
      whole.apply(op.owned.back());
      segments.push_back({blkno, nullptr, entry, op.owned.back()});
      return {};
    }
  }
  op.patches.push_back({blkno, offset, as_text(data)});
  return {};
}

Result<void> FileDataImpl::give_slots(ChunkState& chunk, std::vector<WriteOp::Segment>& segments) {
  if (segments.empty()) return {};
  MYFS_ASSIGN(const BlockFileRef target, writable_file(chunk));
  std::vector<uint16_t> slots = target->take(segments.size());
  if (slots.empty()) return Errno(ENOSPC);
  for (size_t i = 0; i < segments.size(); ++i) {
    segments[i].file = target;
    segments[i].entry.slot = slots[i];
  }
  return {};
}

void FileDataImpl::finish_write(uint64_t ino, const std::shared_ptr<WriteOp>& op) {
  FileState& state = file(ino);
  std::erase(state.writing, op);
  Errno error = op->error;
  if (op->failures != state.failures) {
    // Its bytes may be among those that a failed sync lost.
    for (const auto& segment : op->segments) segment.file->quarantine();
    error = Errno(EIO);
  } else if (!error.ok()) {
    space_.doubt();
    for (const auto& segment : op->segments) segment.file->release(segment.entry.slot);
  } else {
    install(state, *op);
  }
  auto done = std::move(op->done);
  pump(state);
  if (!error.ok()) return done(error);
  done(WriteReply{overlay_bytes_ > options_.pending_memory_max_bytes});
}

void FileDataImpl::install(FileState& file, WriteOp& op) {
  Layer& layer = op.held != nullptr ? file.held : file.pending;
  for (WriteOp::Segment& segment : op.segments) {
    PendingBlock& block = layer.blocks[segment.blkno];
    if (block.base == PendingBlock::Base::kSlot) block.file->release(block.entry.slot);
    add_overlay_bytes(layer, block.overlay.data_bytes(), 0);
    block = {PendingBlock::Base::kSlot, segment.entry, std::move(segment.file), Overlay()};
  }
  for (const WriteOp::Patch& patch : op.patches) {
    PendingBlock& block = layer.blocks[patch.blkno];
    const size_t before = block.overlay.data_bytes();
    block.overlay.write(patch.offset, patch.data);
    add_overlay_bytes(layer, before, block.overlay.data_bytes());
  }
  layer.end = std::max(layer.end, op.offset + op.data.size());
  layer.mtime = std::max(layer.mtime, op.mtime);
}

// What was held is pending from now on.
void FileDataImpl::let_held_go(FileState& file) {
  Layer& layer = file.pending;
  for (auto& [blkno, over] : file.held.blocks) {
    PendingBlock& block = layer.blocks[blkno];
    const size_t before = block.overlay.data_bytes();
    if (over.base == PendingBlock::Base::kInherit) {
      block.overlay.lay(over.overlay);
    } else {
      if (block.base == PendingBlock::Base::kSlot) block.file->release(block.entry.slot);
      block = std::move(over);
    }
    add_overlay_bytes(layer, before, block.overlay.data_bytes());
  }
  layer.end = std::max(layer.end, file.held.end);
  layer.mtime = std::max(layer.mtime, file.held.mtime);
  overlay_bytes_ -= file.held.overlay_bytes;
  file.held = Layer();
  file.holder = nullptr;
}

}  // namespace myfs::server
