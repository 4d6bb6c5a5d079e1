// File content with real worker threads and real files: what the stepped tests cannot race.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "sdk/base/sync.h"
#include "tests/unit/store/file_data_rig.h"

namespace myfs::server {
namespace {

constexpr uint64_t kFiles = 6;
constexpr int kRounds = 25;

class ThreadedShard : public FileData::Host {
 public:
  ThreadedShard(MetaStore& meta, BlockStore& blocks)
      : meta_(meta), pool_(3, [this](Job job) { post(std::move(job)); }) {
    FileData::Options options;
    options.meta = &meta;
    options.blocks = &blocks;
    options.pool = &pool_;
    options.host = this;
    options.deferred_memory_max_bytes = 100'000;
    options.space_reserve_bytes = 0;
    data_ = FileData::create(options).value();
  }
  ~ThreadedShard() override { pool_.stop(); }

  const InodeRecord* committed_inode(uint64_t ino) override { return &inodes_[ino]; }
  void submit_background(Txn txn, bool, absl::AnyInvocable<void(bool)> done) override {
    bool durable = commit_one(meta_, txn).ok();
    post([done = std::move(done), durable]() mutable { done(durable); });
  }
  void post(Job job) override {
    MutexLock lock(mutex_);
    queue_.push_back(std::move(job));
    wake_.notify_all();
  }
  void turn() {
    Job job;
    {
      MutexLock lock(mutex_);
      while (queue_.empty()) wake_.wait(mutex_);
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job();
  }
  void commit(uint64_t ino) {
    data_->commit(ino, [this](Result<DataChange> change) {
      ASSERT_TRUE(change.ok());
      Txn txn;
      change->apply_to(inodes_[change->ino()]);
      change->move_to(txn);
      auto stored = commit_one(meta_, txn);
      change->settle(stored.ok());
      ASSERT_TRUE(stored.ok());
    });
  }
  FileData& data() { return *data_; }

 private:
  MetaStore& meta_;
  Mutex mutex_{LockRank::kUnranked};
  CondVar wake_;
  std::deque<Job> queue_ ABSL_GUARDED_BY(mutex_);
  std::map<uint64_t, InodeRecord> inodes_;
  ThreadIoPool pool_;
  std::unique_ptr<FileData> data_;
};

TEST(FileDataThreads, writes_commits_and_reads_of_many_files_at_once) {
  MemoryMetaStore meta;
  FileBlockEngine blocks(4);
  ThreadedShard shard(meta, blocks.store());
  std::map<uint64_t, std::string> expected;
  int writes_left = 0, mismatches = 0, failures = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::map<uint64_t, std::string> texts;
    for (uint64_t ino = 1; ino <= kFiles; ++ino) {
      const uint64_t offset = random_below(3) * 65'536 + random_below(2) * 1'000;
      texts[ino] = pattern(1 + random_below(400'000), static_cast<uint32_t>(round * 10 + ino));
      std::string& content = expected[ino];
      if (content.size() < offset + texts[ino].size()) content.resize(offset + texts[ino].size());
      content.replace(offset, texts[ino].size(), texts[ino]);
      ++writes_left;
      shard.data().write(ino, offset, as_bytes(texts[ino]), [&, ino](Result<WriteReply> reply) {
        failures += reply.ok() ? 0 : 1;
        --writes_left;
        shard.commit(ino);
      });
      // A reader of whatever is committed at the moment.
      shard.data().read(ino, 0, 1 << 20,
                        [&](Result<DataBuffer> buffer) { failures += buffer.ok() ? 0 : 1; });
    }
    while (writes_left > 0 || !shard.data().idle()) shard.turn();
    for (uint64_t ino = 1; ino <= kFiles; ++ino) {
      bool done = false;
      shard.data().read(ino, 0, 1 << 20, [&, ino](Result<DataBuffer> buffer) {
        done = true;
        if (!buffer.ok() ||
            std::string(buffer->span().begin(), buffer->span().end()) != expected[ino]) {
          ++mismatches;
        }
      });
      while (!done) shard.turn();
    }
    ASSERT_EQ(mismatches, 0) << round;
  }
  EXPECT_EQ(failures, 0);
}

}  // namespace
}  // namespace myfs::server
