// FileDataRig: a shard that knows nothing but file content: one loop, stepped by the test.
// Kernel counterpart: none.
// Thread safety: one test.
// Owns / is owned by: borrows the stores; owns pool and FileData.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/random.h"
#include "server/file_data.h"
#include "tests/unit/store/engines.h"

namespace myfs::server {

class FileDataRig : public FileData::Host {
 public:
  struct Tuning {
    size_t deferred_memory_max_bytes = 16 << 20;
    size_t pending_memory_max_bytes = 64 << 20;
    size_t cached_chunks_max = 4096;
    bool random_order = false;  // of jobs and posts
    int64_t now_ns = 1;
  };

  FileDataRig(MetaStore& meta, BlockStore& blocks) : FileDataRig(meta, blocks, Tuning()) {}
  FileDataRig(MetaStore& meta, BlockStore& blocks, Tuning tuning) : meta_(meta), tuning_(tuning) {
    FileData::Options options;
    options.meta = &meta;
    options.blocks = &blocks;
    options.pool = &pool_;
    options.host = this;
    options.deferred_memory_max_bytes = tuning.deferred_memory_max_bytes;
    options.pending_memory_max_bytes = tuning.pending_memory_max_bytes;
    options.cached_chunks_max = tuning.cached_chunks_max;
    options.space_reserve_bytes = 0;
    options.boottime = [this] { return tuning_.now_ns; };
    if (auto data = FileData::create(options); data.ok()) data_ = std::move(data).value();
  }
  ~FileDataRig() override {
    data_.reset();
    pool_.drop_all();
    posted_.clear();
  }

  // ---- FileData::Host
  const InodeRecord* committed_inode(uint64_t ino) override {
    auto value = meta_.get(inode_key(ino));
    if (!value.ok() || !value->has_value()) return nullptr;
    auto record = InodeRecord::decode(**value);
    if (!record.ok()) return nullptr;
    lent_.push_back(std::move(record).value());
    return &lent_.back();
  }
  void submit_background(Txn txn, bool, absl::AnyInvocable<void(bool)> done) override {
    largest_background = std::max(largest_background, txn.mutations().size());
    bool durable = commit_one(meta_, txn).ok();
    post([done = std::move(done), durable]() mutable { done(durable); });
  }
  void post(Job job) override { posted_.push_back(std::move(job)); }

  // ---- the loop
  // One step; false: nothing to do.
  bool step() {
    lent_.clear();
    bool from_pool =
        pool_.waiting() > 0 && (posted_.empty() || (tuning_.random_order && random_below(2) == 0));
    if (from_pool) {
      return pool_.step(tuning_.random_order ? random_below(pool_.waiting()) : 0);
    }
    if (posted_.empty()) return false;
    Job job = std::move(posted_.front());
    posted_.pop_front();
    job();
    return true;
  }
  void run() {
    while (step()) {
    }
  }

  // ---- what a shard does
  Result<void> make_inode(uint64_t ino, uint32_t mode = S_IFREG | 0644) {
    InodeRecord inode;
    inode.mode = mode;
    inode.nlink = 1;
    Txn txn;
    txn.put(inode_key(ino), inode.encode());
    return commit_one(meta_, txn);
  }
  // Stores a change together with the inode, and settles it.
  Errno store(Result<DataChange> change) {
    if (!change.ok()) return change.error();
    Txn txn;
    const uint64_t ino = change->ino();
    if (change->changes_inode()) {
      const InodeRecord* inode = committed_inode(ino);
      if (inode == nullptr) return Errno(ESTALE);
      InodeRecord changed = *inode;
      change->apply_to(changed);
      txn.put(inode_key(ino), changed.encode());
    }
    change->move_to(txn);
    auto committed = txn.empty() ? Result<void>() : commit_one(meta_, txn);
    change->settle(committed.ok());
    return committed.error();
  }

  Errno write(uint64_t ino, uint64_t offset, std::string_view text, HeldWritesRef held = nullptr) {
    std::optional<Errno> result;
    auto done = [&](Result<WriteReply> reply) {
      result = reply.error();
      commit_wanted_ = reply.ok() && reply->commit_wanted;
    };
    data_->write(ino, offset, as_bytes(text), std::move(done), {}, std::move(held));
    while (!result.has_value() && step()) {
    }
    return result.value_or(Errno(ETIMEDOUT));
  }
  Errno commit(uint64_t ino, HeldWritesRef held = nullptr) {
    return change([&](ChangeDone done) { data_->commit(ino, std::move(done), held); });
  }
  Errno truncate(uint64_t ino, uint64_t size) {
    return change([&](ChangeDone done) { data_->truncate(ino, size, std::move(done)); });
  }
  Errno punch(uint64_t ino, uint64_t from, uint64_t to) {
    return change([&](ChangeDone done) { data_->punch(ino, from, to, std::move(done)); });
  }
  // What of the source is in no commit goes first.
  Errno clone(uint64_t ino, uint64_t offset, uint64_t source, uint64_t source_offset,
              uint64_t length) {
    Errno error;
    do {
      if (error = commit(source); !error.ok()) return error;
      error = change([&](ChangeDone done) {
        data_->clone(ino, offset, source, source_offset, length, std::move(done));
      });
    } while (error == Errno(EAGAIN));
    return error;
  }
  Result<std::vector<DataExtent>> extents(uint64_t ino, uint64_t offset, uint64_t length,
                                          size_t max) {
    ExtentWalk walk{.offset = offset, .length = length, .max = max, .tell_shared = true};
    while (!walk.over) MYFS_TRY(data_->walk(ino, &walk));
    return walk.found;
  }
  Errno write_durably(uint64_t ino, uint64_t offset, std::string_view text) {
    Errno error = write(ino, offset, text);
    return error.ok() ? commit(ino) : error;
  }
  Errno remove(uint64_t ino) {
    Txn txn;
    txn.del(inode_key(ino));
    FileData::add_removal(ino, txn);
    if (auto committed = commit_one(meta_, txn); !committed.ok()) return committed.error();
    data_->removed(ino);
    return Errno();
  }
  Result<std::string> read(uint64_t ino, uint64_t offset, size_t length) {
    std::optional<Result<std::string>> result;
    data_->read(ino, offset, length, [&](Result<DataBuffer> buffer) {
      if (buffer.ok()) {
        result.emplace(std::string(buffer->span().begin(), buffer->span().end()));
      } else {
        result.emplace(buffer.error());
      }
    });
    while (!result.has_value() && step()) {
    }
    return result.has_value() ? std::move(*result) : Result<std::string>(Errno(ETIMEDOUT));
  }
  Result<std::string> read_all(uint64_t ino) {
    const InodeRecord* inode = committed_inode(ino);
    if (inode == nullptr) return Errno(ESTALE);
    return read(ino, 0, inode->size);
  }
  InodeRecord inode(uint64_t ino) {
    const InodeRecord* inode = committed_inode(ino);
    return inode == nullptr ? InodeRecord() : *inode;
  }

  FileData& data() { return *data_; }
  bool created() const { return data_ != nullptr; }
  ManualIoPool& pool() { return pool_; }
  size_t largest_background = 0;  // transaction, in mutations
  bool commit_wanted() const { return commit_wanted_; }

 private:
  template <typename Start>
  Errno change(Start start) {
    std::optional<Errno> result;
    start([&](Result<DataChange> change) { result = store(std::move(change)); });
    while (!result.has_value() && step()) {
    }
    return result.value_or(Errno(ETIMEDOUT));
  }

  MetaStore& meta_;
  const Tuning tuning_;
  ManualIoPool pool_;
  std::deque<Job> posted_;
  std::list<InodeRecord> lent_;
  bool commit_wanted_ = false;
  std::unique_ptr<FileData> data_;
};

// Text that differs from offset to offset.
inline std::string pattern(size_t size, uint32_t seed) {
  std::string text(size, '\0');
  uint32_t state = seed * 2'654'435'761u + 1;
  for (char& c : text) {
    state = state * 1'664'525 + 1'013'904'223;
    c = static_cast<char>(state >> 24 | 1);  // never zero
  }
  return text;
}

inline size_t count_keys(const MetaStore& meta, char type) {
  size_t count = 0;
  auto [from, to] = type_range(type);
  EXPECT_TRUE(meta.scan(from, to, 0,
                        [&](std::string_view, std::string_view) {
                          ++count;
                          return true;
                        })
                  .ok());
  return count;
}

// Each block is counted as often as chunk records name it.
inline void expect_counted(const MetaStore& meta) {
  std::map<BlockId, uint32_t> named, counted;
  auto [from, to] = type_range('C');
  EXPECT_TRUE(meta.scan(from, to, 0,
                        [&](std::string_view, std::string_view value) {
                          auto record = ChunkRecord::decode(value);
                          EXPECT_TRUE(record.ok());
                          if (!record.ok()) return true;
                          for (BlockId id : record->files()) ++named[id];
                          return true;
                        })
                  .ok());
  auto [first, last] = type_range('B');
  EXPECT_TRUE(meta.scan(first, last, 0,
                        [&](std::string_view key, std::string_view value) {
                          auto record = RefsRecord::decode(value);
                          EXPECT_TRUE(record.ok());
                          counted[*parse_number(key)] = record.ok() ? record->refs : 0;
                          return true;
                        })
                  .ok());
  EXPECT_EQ(named, counted);
}

}  // namespace myfs::server
