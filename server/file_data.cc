#include "server/file_data.h"

#include <algorithm>
#include <cassert>
#include <new>
#include <utility>

#include "sdk/base/limits.h"
#include "server/file_data_impl.h"

namespace myfs::server {

namespace {

// The kernel fills a buffer from the page cache by REP MOVSB. Where the destination lies a few
// bytes further into its page than the source, processors take that for an overlap: 16 bytes, which
// is what malloc gives, cost up to as much again as the copy itself.
constexpr std::align_val_t kBufferAlignment{64};

uint64_t* allocate_words(size_t size_bytes) {
  const size_t words = (size_bytes + sizeof(uint64_t) - 1) / sizeof(uint64_t);
  if (words == 0) return nullptr;
  return static_cast<uint64_t*>(::operator new(words * sizeof(uint64_t), kBufferAlignment));
}

}  // namespace

void DataBuffer::Free::operator()(uint64_t* words) const {
  ::operator delete(words, kBufferAlignment);
}

DataBuffer::DataBuffer(size_t size_bytes)
    : words_(allocate_words(size_bytes)), size_bytes_(size_bytes) {
  if (size_bytes % 8 != 0) words_[size_bytes / 8] = 0;
}

// ---- DataChange

DataChange::DataChange(DataChange&& other) noexcept = default;

DataChange& DataChange::operator=(DataChange&& other) noexcept {
  if (this != &other) {
    settle(false);
    owner_ = std::exchange(other.owner_, {});
    ino_ = other.ino_;
    size_ = other.size_;
    blocks_ = other.blocks_;
    inline_data_ = std::move(other.inline_data_);
    changes_inode_ = other.changes_inode_;
    has_writes_ = other.has_writes_;
    gives_up_slots_ = other.gives_up_slots_;
    mtime_ = other.mtime_;
    mutations_ = std::move(other.mutations_);
  }
  return *this;
}

DataChange::~DataChange() { settle(false); }

void DataChange::apply_to(InodeRecord& inode) const {
  if (!changes_inode_) return;
  inode.size = size_;
  inode.blocks = blocks_;
  inode.data = inline_data_;
}

void DataChange::move_to(Txn& txn) {
  for (Mutation& mutation : mutations_) txn.append(std::move(mutation));
  mutations_.clear();
}

void DataChange::settle(bool durable) {
  if (auto owner = std::exchange(owner_, {}).lock()) owner->settle(ino_, durable);
}

// ---- FileData: the door

FileData::FileData(std::shared_ptr<FileDataImpl> impl) : impl_(std::move(impl)) {}
FileData::~FileData() = default;

Result<std::unique_ptr<FileData>> FileData::create(const Options& options) {
  const std::string key = meta_key(kMetaBlockEpoch);
  MYFS_ASSIGN(std::optional<std::string> value, options.meta->get(key));
  uint64_t epoch = 0;
  if (value.has_value()) {
    MYFS_ASSIGN(epoch, decode_u64(*value));
  }
  // A number of 32 bits in front of 32 that count: no block is named twice, whatever a crash took.
  if (++epoch > UINT32_MAX) return Errno(EOVERFLOW);
  Txn txn;
  txn.put(key, encode_u64(epoch));
  const Txn* batch[] = {&txn};
  MYFS_TRY(options.meta->commit_batch(batch, Durability::kDurable));
  return std::unique_ptr<FileData>(
      new FileData(std::make_shared<FileDataImpl>(options, static_cast<uint32_t>(epoch))));
}

void FileData::start_recovery() { impl_->start_recovery(); }

void FileData::read(uint64_t ino, uint64_t offset, size_t length, ReadDone done) {
  impl_->read(ino, offset, length, std::move(done));
}

void FileData::write(uint64_t ino, uint64_t offset, std::span<const uint8_t> data, WriteDone done,
                     Time mtime, HeldWritesRef held) {
  impl_->write(ino, offset, data, std::move(done), mtime, std::move(held));
}

void FileData::commit(uint64_t ino, ChangeDone done, HeldWritesRef held) {
  LaneOp op{LaneOp::Kind::kCommit, 0, 0, std::move(done)};
  op.held = std::move(held);
  impl_->lane(ino, std::move(op));
}

void FileData::truncate(uint64_t ino, uint64_t size, ChangeDone done) {
  impl_->lane(ino, {LaneOp::Kind::kTruncate, size, 0, std::move(done)});
}

void FileData::punch(uint64_t ino, uint64_t from, uint64_t to, ChangeDone done) {
  impl_->lane(ino, {LaneOp::Kind::kPunch, from, to, std::move(done)});
}

void FileData::clone(uint64_t ino, uint64_t offset, uint64_t source, uint64_t source_offset,
                     uint64_t length, ChangeDone done) {
  LaneOp op{LaneOp::Kind::kClone, offset, offset + length, std::move(done)};
  op.source_ino = source;
  op.source_offset = source_offset;
  impl_->lane(ino, std::move(op));
}

void FileData::add_removal(uint64_t ino, Txn& txn) { txn.put(garbage_key(ino), std::string()); }
void FileData::removed(uint64_t ino) { impl_->removed(ino); }

Result<void> FileData::walk(uint64_t ino, ExtentWalk* walk) { return impl_->walk(ino, walk); }

uint64_t FileData::pending_end(uint64_t ino) const { return impl_->pending_end(ino); }
void FileData::forget_mtime(uint64_t ino) { impl_->forget_mtime(ino); }
bool FileData::has_pending(uint64_t ino) const { return impl_->has_pending(ino); }
std::vector<uint64_t> FileData::inodes_with_pending() const { return impl_->inodes_with_pending(); }
uint32_t FileData::verifier_count() const { return impl_->verifier_count(); }
bool FileData::idle() const { return impl_->idle(); }
BlockSpace FileData::space() const { return impl_->space().ask(); }
BlockSpace FileData::recent_space() const { return impl_->space().recent(); }

// ---- order

FileState& FileDataImpl::file(uint64_t ino) {
  auto& slot = files_[ino];
  if (slot == nullptr) slot = std::make_unique<FileState>(ino);
  return *slot;
}

void FileDataImpl::write(uint64_t ino, uint64_t offset, std::span<const uint8_t> data,
                         WriteDone done, Time mtime, HeldWritesRef held) {
  if (offset > kFileSizeMax_bytes || data.size() > kFileSizeMax_bytes - offset) {
    return answer(std::move(done), Result<WriteReply>(Errno(EFBIG)));
  }
  if (data.empty()) return answer(std::move(done), Result<WriteReply>(WriteReply{}));
  auto op = std::make_shared<WriteOp>();
  op->offset = offset;
  op->data = data;
  op->mtime = mtime;
  op->done = std::move(done);
  op->held = std::move(held);
  FileState& state = file(ino);
  state.waiting.push_back({std::move(op), std::nullopt});
  pump(state);
}

void FileDataImpl::lane(uint64_t ino, LaneOp op) {
  if (op.kind == LaneOp::Kind::kTruncate && op.from > kFileSizeMax_bytes) {
    return answer(std::move(op.done), Result<DataChange>(Errno(EFBIG)));
  }
  if (op.held != nullptr && op.held->lost) {
    return answer(std::move(op.done), Result<DataChange>(Errno(EIO)));
  }
  FileState& state = file(ino);
  // Edits wait for what is held, so that must not wait for them.
  if (op.held != nullptr) {
    state.waiting.push_front({nullptr, std::move(op)});
  } else {
    state.waiting.push_back({nullptr, std::move(op)});
  }
  pump(state);
}

bool FileDataImpl::may_start(const FileState& file, size_t position) const {
  const FileState::Waiting& me = file.waiting[position];
  if (file.lent) return false;
  if (me.lane.has_value()) {
    if (file.lane_busy) return false;
    if (me.lane->is_edit()) return position == 0 && file.writing.empty() && file.held.empty();
    return std::none_of(file.waiting.begin(), file.waiting.begin() + static_cast<int>(position),
                        [](const auto& earlier) { return earlier.lane.has_value(); });
  }
  return may_write(file, position);
}

bool FileDataImpl::may_write(const FileState& file, size_t position) {
  const FileState::Waiting& me = file.waiting[position];
  if (file.planning || (file.run != nullptr && !file.run->drops.empty())) return false;
  auto overlaps = [&me](const WriteOp& other) {
    return other.first() <= me.write->last() && me.write->first() <= other.last();
  };
  for (const auto& other : file.writing) {
    if (overlaps(*other)) return false;
  }
  const bool goes_on = !file.held.empty() && me.write->held == file.holder;
  if (!goes_on) {
    auto block = file.held.blocks.lower_bound(me.write->first());
    if (block != file.held.blocks.end() && block->first <= me.write->last()) return false;
  }
  for (size_t i = 0; i < position; ++i) {
    const FileState::Waiting& earlier = file.waiting[i];
    // What waits for ours is not waited for.
    if (goes_on && (earlier.write == nullptr || earlier.write->held != file.holder)) continue;
    if (earlier.lane.has_value() ? earlier.lane->is_edit() : overlaps(*earlier.write)) return false;
  }
  return true;
}

void FileDataImpl::pump(FileState& file) {
  const uint64_t ino = file.ino;
  for (size_t i = 0; i < file.waiting.size();) {
    if (!may_start(file, i)) {
      ++i;
      continue;
    }
    FileState::Waiting op = std::move(file.waiting[i]);
    file.waiting.erase(file.waiting.begin() + static_cast<int>(i));
    if (op.write != nullptr) {
      start_write(file, std::move(op.write));
    } else {
      start_lane(file, std::move(*op.lane));
      i = 0;  // what waited for it may go, also what stood before
    }
  }
  forget_if_idle(ino);
}

void FileDataImpl::forget_if_idle(uint64_t ino) {
  auto it = files_.find(ino);
  if (it == files_.end()) return;
  FileState& state = *it->second;
  if (state.removed && !state.lane_busy && !state.lent && state.writing.empty() &&
      state.waiting.empty()) {
    constexpr bool kFailed = false;
    drop_layer(state.held, kFailed);
    drop_layer(state.pending, kFailed);
    auto first = chunks_.lower_bound({ino, 0});
    auto last = chunks_.upper_bound({ino, UINT32_MAX});
    for (auto chunk = first; chunk != last; ++chunk) {
      if (chunk->second->next_file != nullptr) remove_stray_file(chunk->second->next_file);
      release_slots(*chunk->second);
    }
    chunks_.erase(first, last);
    files_.erase(it);
    add_garbage({ino, 0, nullptr});
    return;
  }
  if (state.idle()) files_.erase(it);
}

void FileDataImpl::removed(uint64_t ino) {
  file(ino).removed = true;
  forget_if_idle(ino);
}

uint64_t FileDataImpl::pending_end(uint64_t ino) const {
  auto it = files_.find(ino);
  if (it == files_.end()) return 0;
  const FileState& state = *it->second;
  return std::max({state.held.end, state.pending.end, state.committing.end});
}

void FileDataImpl::forget_mtime(uint64_t ino) {
  auto it = files_.find(ino);
  if (it == files_.end()) return;
  for (Layer* layer : {&it->second->held, &it->second->pending, &it->second->committing}) {
    layer->mtime = {};
  }
}

std::vector<uint64_t> FileDataImpl::inodes_with_pending() const {
  std::vector<uint64_t> inodes;
  inodes.reserve(files_.size());
  for (const auto& [ino, state] : files_) inodes.push_back(ino);
  return inodes;
}

bool FileDataImpl::idle() const {
  return jobs_ == 0 && std::none_of(files_.begin(), files_.end(), [](const auto& entry) {
           return entry.second->lane_busy || !entry.second->writing.empty();
         });
}

// ---- chunks

Result<ChunkRef> FileDataImpl::chunk(uint64_t ino, uint32_t index) {
  auto it = chunks_.find({ino, index});
  if (it != chunks_.end()) return it->second;
  if (chunks_.size() >= options_.cached_chunks_max) evict_chunks();
  auto find = [this](BlockId id, BlockFile::Presence presence) { return block_file(id, presence); };
  MYFS_ASSIGN(ChunkRef state, load_chunk(meta_, ino, index, find));
  chunks_.emplace(ChunkId{ino, index}, state);
  return state;
}

void FileDataImpl::evict_chunks() {
  constexpr int kLook = 256, kEvict = 64;
  int evicted = 0;
  auto it = chunks_.upper_bound(eviction_hand_);
  for (int looked = 0; looked < kLook && evicted < kEvict && !chunks_.empty(); ++looked) {
    if (it == chunks_.end()) it = chunks_.begin();
    if (it->second.use_count() > 1 || !it->second->evictable()) {
      ++it;
      continue;
    }
    if (it->second->next_file != nullptr) remove_stray_file(it->second->next_file);
    release_slots(*it->second);
    it = chunks_.erase(it);
    ++evicted;
  }
  eviction_hand_ = it == chunks_.end() ? ChunkId{} : it->first;
}

Result<BlockFileRef> FileDataImpl::writable_file(ChunkState& chunk) {
  if (chunk.next_file != nullptr) return chunk.next_file;
  if (chunk.file != nullptr && !chunk.doomed) {
    MYFS_ASSIGN(const bool others, shared(*chunk.file));
    if (!others) return chunk.file;
  }
  assert(next_block_ != 0);
  const BlockId id = BlockId{block_epoch_} << 32 | next_block_++;
  chunk.next_file = block_file(id, BlockFile::Presence::kAbsent);
  chunk.next_file->refs = 0;
  return chunk.next_file;
}

void FileDataImpl::run_job(Job work, Job done) {
  ++jobs_;
  pool_.run(std::move(work), [weak = weak_from_this(), done = std::move(done)]() mutable {
    auto self = weak.lock();
    if (self == nullptr) return;
    --self->jobs_;
    done();
  });
}

}  // namespace myfs::server
