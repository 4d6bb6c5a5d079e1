#include "sdk/testing/sim_disk.h"

#include <errno.h>

#include "sdk/base/clock.h"

namespace myfs::sim {

using server::BlockId;
using server::BlockSpace;
using server::Durability;
using server::Txn;

// A thread of a server that was killed sleeps in here for ever; so nothing is held across a wait.
class SimMetaStore final : public server::MetaStore {
 public:
  SimMetaStore(SimDisk& disk, uint64_t mount) : disk_(disk), mount_(mount) {}

  Result<std::optional<std::string>> get(std::string_view key) const override {
    if (cut_off()) return Errno(EIO);
    return disk_.meta_.get(key);
  }
  Result<void> scan(std::string_view from, std::string_view to, size_t limit,
                    const server::ScanFn& fn) const override {
    if (cut_off()) return Errno(EIO);
    return disk_.meta_.scan(from, to, limit, fn);
  }
  Result<void> commit_batch(std::span<const Txn* const> batch, Durability durability) override {
    disk_.committing_ = batch;
    disk_.pass_sync_time();
    if (cut_off()) return Errno(EIO);
    disk_.committing_ = {};
    if (disk_.fails(disk_.options_.commit_fails_one_in)) return Errno(EIO);
    Result<void> result = disk_.meta_.commit_batch(batch, durability);
    disk_.pass_time(disk_.options_.sync_max_ns);  // until the answer
    return cut_off() ? Result<void>(Errno(EIO)) : result;
  }
  Result<void> sync() override {
    disk_.pass_sync_time();
    if (cut_off()) return Errno(EIO);
    return disk_.meta_.sync();
  }
  uint64_t free_bytes() const override { return disk_.meta_.free_bytes(); }

 private:
  bool cut_off() const { return disk_.mounts_ != mount_; }
  SimDisk& disk_;
  const uint64_t mount_;
};

class SimBlockStore final : public server::BlockStore {
 public:
  SimBlockStore(SimDisk& disk, uint64_t mount) : disk_(disk), mount_(mount) {}

  Result<void> create(BlockId id) override {
    disk_.pass_time(disk_.options_.write_max_ns);
    if (cut_off()) return Errno(EIO);
    if (disk_.full_) return Errno(ENOSPC);
    return disk_.blocks_.create(id);
  }
  Result<void> pwrite(BlockId id, uint64_t offset, std::span<const uint8_t> data) override {
    disk_.pass_time(disk_.options_.write_max_ns);
    if (cut_off()) return Errno(EIO);
    if (disk_.full_) return Errno(ENOSPC);
    return disk_.blocks_.pwrite(id, offset, data);
  }
  Result<void> pread(BlockId id, uint64_t offset, std::span<uint8_t> out) override {
    disk_.pass_time(disk_.options_.write_max_ns);
    if (cut_off()) return Errno(EIO);
    return disk_.blocks_.pread(id, offset, out);
  }
  Result<void> pread_nowait(BlockId id, uint64_t offset, std::span<uint8_t> out) override {
    if (cut_off()) return Errno(EIO);
    if (disk_.random_.one_in(4)) return Errno(EAGAIN);  // not in the host's cache
    return disk_.blocks_.pread(id, offset, out);
  }
  Result<void> sync(std::span<const BlockId> ids) override {
    disk_.pass_sync_time();
    if (cut_off()) return Errno(EIO);
    if (disk_.fails(disk_.options_.sync_fails_one_in)) {
      disk_.blocks_.forget_unsynced(ids);
      return Errno(EIO);
    }
    Result<void> result = disk_.blocks_.sync(ids);
    disk_.pass_time(disk_.options_.sync_max_ns);
    return cut_off() ? Result<void>(Errno(EIO)) : result;
  }
  void discard(BlockId id, uint64_t offset, uint64_t length) override {
    if (!cut_off()) disk_.blocks_.discard(id, offset, length);
  }
  Result<void> remove(BlockId id) override {
    disk_.pass_time(disk_.options_.write_max_ns);
    if (cut_off()) return Errno(EIO);
    return disk_.blocks_.remove(id);
  }
  Result<std::vector<BlockId>> list() override { return disk_.blocks_.list(); }
  BlockSpace space() const override {
    BlockSpace space = disk_.blocks_.space();
    if (disk_.full_) space.free_bytes = 0;
    return space;
  }

 private:
  bool cut_off() const { return disk_.mounts_ != mount_; }
  SimDisk& disk_;
  const uint64_t mount_;
};

SimDisk::View SimDisk::mount() {
  ++mounts_;
  return {std::make_unique<SimMetaStore>(*this, mounts_),
          std::make_unique<SimBlockStore>(*this, mounts_)};
}

void SimDisk::pass_time(int64_t max_ns) {
  uint64_t dice = random_.next();
  if (max_ns <= 0 || (dice & 1) == 0) return;
  Event never;
  (void)never.wait_until(boottime_ns() +
                         static_cast<int64_t>((dice >> 1) % static_cast<uint64_t>(max_ns)));
}

void SimDisk::pass_sync_time() {
  bool slow = options_.slow_one_in != 0 && random_.one_in(options_.slow_one_in);
  pass_time(options_.sync_max_ns + (slow ? options_.slow_extra_ns : 0));
}

void SimDisk::crash(bool power_cut) {
  ++mounts_;
  // The batch under way had reached the disk, or not.
  if (!committing_.empty() && random_.one_in(2)) {
    (void)meta_.commit_batch(committing_, Durability::kDurable);
  }
  committing_ = {};
  if (!power_cut) return;
  meta_.crash();
  blocks_.crash(random_.next() | 1);
}

void SimDisk::set_full(bool full) {
  full_ = full;
  meta_.set_free_bytes(full ? 0 : uint64_t{1} << 40);
}

}  // namespace myfs::sim
