// Reads, and where there is data: the committed content.
#include <algorithm>
#include <cstring>
#include <utility>

#include "sdk/base/log.h"
#include "server/crc32c.h"
#include "server/file_data_impl.h"

namespace myfs::server {
namespace {

constexpr size_t kInlineReadBlocks = 2;  // as many may be read on the loop if they are in memory

bool is_whole(const ReadPiece& piece) {
  return piece.file != nullptr && piece.from == 0 && piece.to >= piece.entry.length;
}

Errno check(const ReadOp& op, const ReadPiece& piece, std::span<const uint8_t> bytes) {
  if (crc32c(bytes) == piece.entry.crc) return Errno();
  log(LogLevel::kError, "inode %d: block %016x, slot %d: checksum differs", op.ino,
      piece.file->id(), piece.entry.slot);
  return Errno(EIO);
}

using Pread = Result<void> (BlockStore::*)(BlockId, uint64_t, std::span<uint8_t>);

// What the checksum covers is read whole; a part of it goes by way of a scratch block.
Errno read_piece(BlockStore& store, Pread pread, ReadOp& op, const ReadPiece& piece) {
  std::span<uint8_t> out = op.buffer.span().subspan(piece.at, piece.to - piece.from);
  if (piece.file == nullptr) {
    std::fill(out.begin(), out.end(), uint8_t{0});
  } else {
    const uint32_t length = piece.entry.length;
    const uint64_t at = uint64_t{piece.entry.slot} * kBlockSize_bytes;
    std::vector<uint8_t> scratch;
    std::span<uint8_t> bytes = out;
    if (is_whole(piece)) {
      bytes = out.first(length);
    } else {
      scratch.resize(length);
      bytes = scratch;
    }
    if (auto got = (store.*pread)(piece.file->id(), at, bytes); !got.ok()) return got.error();
    if (Errno error = check(op, piece, bytes); !error.ok()) return error;
    if (!is_whole(piece) && piece.from < length) {
      std::copy(bytes.begin() + piece.from, bytes.begin() + std::min(piece.to, length),
                out.begin());
    }
    const uint32_t have = std::clamp(length, piece.from, piece.to) - piece.from;
    std::fill(out.begin() + have, out.end(), uint8_t{0});
  }
  if (piece.overlay == nullptr) return Errno();
  if (piece.from == 0) {
    piece.overlay->apply(out);
    return Errno();
  }
  std::vector<uint8_t> block(piece.to);
  std::copy(out.begin(), out.end(), block.begin() + piece.from);
  piece.overlay->apply(block);
  std::copy(block.begin() + piece.from, block.end(), out.begin());
  return Errno();
}

// Runs in a worker. Full blocks in neighbouring slots are read as one.
Errno read_pieces(BlockStore& store, ReadOp& op) {
  auto full = [](const ReadPiece& piece) {
    return is_whole(piece) && piece.entry.length == kBlockSize_bytes && piece.overlay == nullptr;
  };
  for (size_t i = 0; i < op.pieces.size();) {
    const ReadPiece& first = op.pieces[i];
    size_t next = i + 1;
    while (full(first) && next < op.pieces.size() && full(op.pieces[next]) &&
           op.pieces[next].file == first.file &&
           op.pieces[next].entry.slot == op.pieces[next - 1].entry.slot + 1) {
      ++next;
    }
    if (next == i + 1) {
      Errno error = read_piece(store, &BlockStore::pread, op, first);
      if (!error.ok()) return error;
      i = next;
      continue;
    }
    auto out = op.buffer.span().subspan(first.at, (next - i) * kBlockSize_bytes);
    auto got = store.pread(first.file->id(), uint64_t{first.entry.slot} * kBlockSize_bytes, out);
    if (!got.ok()) return got.error();
    for (; i < next; ++i) {
      const ReadPiece& piece = op.pieces[i];
      Errno error = check(op, piece, op.buffer.span().subspan(piece.at, kBlockSize_bytes));
      if (!error.ok()) return error;
    }
  }
  return Errno();
}

}  // namespace

// Holds the slots of what it has found, also when it fails.
Result<void> FileDataImpl::find_pieces(ReadOp& op, uint64_t offset, uint64_t end, size_t* slots) {
  for (uint64_t at = offset; at < end;) {
    const uint64_t blkno = at / kBlockSize_bytes, start = blkno * kBlockSize_bytes;
    const auto blk = static_cast<uint8_t>(blkno % kBlocksPerChunk);
    MYFS_ASSIGN(ChunkRef state, chunk(op.ino, static_cast<uint32_t>(blkno / kBlocksPerChunk)));
    ReadPiece piece;
    piece.from = static_cast<uint32_t>(at - start);
    piece.to = static_cast<uint32_t>(std::min(end - start, uint64_t{kBlockSize_bytes}));
    piece.at = at - offset;
    const ChunkContent& content = state->committed;
    if (content.entries[blk].length > 0) {
      piece.entry = content.entries[blk];
      piece.file = content.file_of(piece.entry, state->file);
      MYFS_TRY(piece.file->hold(piece.entry.slot));
      ++*slots;
    }
    if (auto overlay = content.overlays.find(blk); overlay != content.overlays.end()) {
      piece.overlay = overlay->second;
    }
    op.pieces.push_back(std::move(piece));
    at = start + kBlockSize_bytes;
  }
  return {};
}

void FileDataImpl::read(uint64_t ino, uint64_t offset, size_t length, ReadDone done) {
  const InodeRecord* inode = host_.committed_inode(ino);
  if (inode == nullptr) return answer(std::move(done), Result<DataBuffer>(Errno(ESTALE)));
  const uint64_t size = inode->size;
  length = offset < size ? static_cast<size_t>(std::min<uint64_t>(length, size - offset)) : 0;
  auto op = std::make_shared<ReadOp>();
  op->ino = ino;
  op->buffer = DataBuffer(length);
  op->done = std::move(done);
  if (!inode->data.empty()) {
    // Invariant 4: all there is.
    const std::string& data = inode->data;
    std::fill(op->buffer.span().begin(), op->buffer.span().end(), uint8_t{0});
    if (offset < data.size() && length > 0) {
      std::memcpy(op->buffer.data(), data.data() + offset,
                  std::min<size_t>(length, data.size() - offset));
    }
    return answer(std::move(op->done), Result<DataBuffer>(std::move(op->buffer)));
  }
  size_t slots = 0;
  Result<void> found = find_pieces(*op, offset, offset + length, &slots);
  auto finish = [this](const std::shared_ptr<ReadOp>& op) {
    for (const ReadPiece& piece : op->pieces) {
      if (piece.file != nullptr) piece.file->release(piece.entry.slot);
    }
    op->pieces.clear();
    reap();
    return op->error.ok() ? Result<DataBuffer>(std::move(op->buffer))
                          : Result<DataBuffer>(op->error);
  };
  if (!found.ok()) {
    op->error = found.error();
    auto result = finish(op);
    return answer(std::move(op->done), std::move(result));
  }
  if (slots <= kInlineReadBlocks) {
    for (const ReadPiece& piece : op->pieces) {
      op->error = read_piece(blocks_, &BlockStore::pread_nowait, *op, piece);
      if (!op->error.ok()) break;
    }
    if (op->error != Errno(EAGAIN)) {
      auto result = finish(op);
      return answer(std::move(op->done), std::move(result));
    }
  }
  run_job([op, &store = blocks_] { op->error = read_pieces(store, *op); },
          [op, finish] {
            auto result = finish(op);
            op->done(std::move(result));
          });
}

namespace {

// False: there are enough.
bool add_extent(ExtentWalk& walk, DataExtent extent, uint64_t end) {
  const uint64_t from = std::max(extent.offset, walk.offset);
  const uint64_t to = std::min(extent.offset + extent.length, end);
  if (from >= to) return from < end;
  DataExtent* last = walk.found.empty() ? nullptr : &walk.found.back();
  if (last != nullptr && last->offset + last->length == from && last->shared == extent.shared) {
    last->length += to - from;
    return true;
  }
  if (walk.found.size() == walk.max) return false;
  walk.found.push_back({from, to - from, extent.shared});
  return !walk.to_first_byte;
}

}  // namespace

Result<void> FileDataImpl::walk(uint64_t ino, ExtentWalk* walk) {
  const InodeRecord* inode = host_.committed_inode(ino);
  if (inode == nullptr) return Errno(ESTALE);
  const uint64_t size = inode->size;
  const uint64_t end = walk->offset + std::min(walk->length, size - std::min(size, walk->offset));
  walk->at = std::max(walk->at, walk->offset);
  walk->over = walk->at >= end || walk->max == 0;
  if (!inode->data.empty() && !walk->over) {
    add_extent(*walk, {0, size}, end);
    walk->over = true;
  }
  if (walk->over) return {};
  const uint64_t last = (end - 1) / kChunkSize_bytes;
  MYFS_ASSIGN(const std::vector<uint32_t> chunks,
              stored_chunks(ino, walk->at / kChunkSize_bytes, last));
  for (uint32_t index : chunks) {
    MYFS_ASSIGN(ChunkRef state, chunk(ino, index));
    for (uint8_t blk = 0; blk < kBlocksPerChunk && !walk->over; ++blk) {
      const ChunkContent& content = state->committed;
      if (!content.has(blk)) continue;
      DataExtent extent{.offset = index * kChunkSize_bytes + blk * uint64_t{kBlockSize_bytes},
                        .length = blocks512_of(content.length(blk)) * 512};
      const BlockEntry& entry = content.entries[blk];
      if (walk->tell_shared && entry.length > 0) {
        MYFS_ASSIGN(extent.shared, shared(*content.file_of(entry, state->file)));
      }
      walk->over = !add_extent(*walk, extent, end);
    }
    walk->at = (uint64_t{index} + 1) * kChunkSize_bytes;
    if (walk->over) return {};
  }
  walk->over = chunks.size() < kChunksPerTurn || walk->at >= end;
  return {};
}

}  // namespace myfs::server
