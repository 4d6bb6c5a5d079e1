// RocksMetaStore: the MetaStore of a server with a data directory.
// Kernel counterpart: jbd2.
// Thread safety: as MetaStore.
// Owns / is owned by: owns the database in DIR/meta and the lock on DIR/lock.
// Invariants: (1) after a batch failed for another reason than lack of space, every later one
// fails; (2) after ENOSPC the database is resumed before the next batch.
#pragma once

#include <rocksdb/db.h>

#include <memory>
#include <string>

#include "server/store/meta_store.h"

namespace myfs::server {

class RocksMetaStore : public MetaStore {
 public:
  RocksMetaStore(std::string dir, int lock_fd, std::unique_ptr<rocksdb::DB> db)
      : dir_(std::move(dir)), lock_fd_(lock_fd), db_(std::move(db)) {}
  ~RocksMetaStore() override;
  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<void> scan(std::string_view from, std::string_view to, size_t limit,
                    const ScanFn& fn) const override;
  Result<void> commit_batch(std::span<const Txn* const> batch, Durability durability) override;
  Result<void> sync() override;
  uint64_t free_bytes() const override;

 private:
  Result<void> check_expectations(std::span<const Txn* const> batch) const;
  Result<void> note(const rocksdb::Status& status);

  const std::string dir_;
  const int lock_fd_;  // -1: read only
  const std::unique_ptr<rocksdb::DB> db_;
  Errno broken_;  // the committer's
};

}  // namespace myfs::server
