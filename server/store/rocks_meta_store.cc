#include "server/store/rocks_meta_store.h"

#include <fcntl.h>
#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "absl/strings/str_format.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/log.h"
#include "server/records.h"

namespace myfs::server {
namespace {

class AddOperator : public rocksdb::AssociativeMergeOperator {
 public:
  bool Merge(const rocksdb::Slice&, const rocksdb::Slice* existing, const rocksdb::Slice& value,
             std::string* result, rocksdb::Logger*) const override {
    int64_t sum = decode_counter({value.data(), value.size()});
    if (existing != nullptr) sum += decode_counter({existing->data(), existing->size()});
    *result = encode_counter(sum);
    return true;
  }
  const char* Name() const override { return "myfs.add"; }
};

rocksdb::Slice slice(std::string_view view) { return {view.data(), view.size()}; }
std::string_view view(const rocksdb::Slice& slice) { return {slice.data(), slice.size()}; }

Errno to_errno(const rocksdb::Status& status) {
  if (status.IsNoSpace() || status.subcode() == rocksdb::Status::kSpaceLimit) return Errno(ENOSPC);
  if (status.IsCorruption()) return Errno(EUCLEAN);
  return Errno(EIO);
}

rocksdb::Options database_options(const MetaStoreOptions& options) {
  rocksdb::Options db;
  db.create_if_missing = options.create_if_missing;
  db.merge_operator = std::make_shared<AddOperator>();
  db.write_buffer_size = 16 << 20;
  db.max_write_buffer_number = 3;
  db.target_file_size_base = 16 << 20;
  db.max_bytes_for_level_base = 128 << 20;
  db.max_open_files = 256;
  db.max_background_jobs = 2;
  db.max_total_wal_size = 64 << 20;
  db.keep_log_file_num = 2;
  db.max_log_file_size = 1 << 20;
  db.info_log_level = rocksdb::WARN_LEVEL;
  db.stats_dump_period_sec = 0;
  db.compression = rocksdb::kLZ4Compression;
  db.paranoid_checks = true;
  db.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.cache_bytes, 4);
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.format_version = 5;
  db.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return db;
}

// The lock dies with its process. Its file names the holder, for people.
Result<int> lock_directory(const std::string& dir) {
  const std::string path = dir + "/lock";
  int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail(Errno(errno), "cannot open " + path);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char holder[32] = {};
    ssize_t n = pread(fd, holder, sizeof holder - 1, 0);
    close(fd);
    return fail(Errno(EBUSY), absl::StrFormat("data directory %s is in use by another server%s%s",
                                              dir, n > 0 ? ", process " : "", holder));
  }
  const std::string self = std::to_string(getpid());
  if (ftruncate(fd, 0) != 0 ||
      pwrite(fd, self.data(), self.size(), 0) != static_cast<ssize_t>(self.size())) {
    log(LogLevel::kWarning, "cannot write %s", path);
  }
  return fd;
}

Result<void> make_directory(const std::string& dir) {
  if (mkdir(dir.c_str(), 0700) != 0 && errno != EEXIST) {
    return fail(Errno(errno), "cannot create " + dir);
  }
  return {};
}

Result<void> check_format(MetaStore& store, bool may_write) {
  MYFS_ASSIGN(std::optional<std::string> value, store.get(meta_key(kMetaFormat)));
  if (!value.has_value()) {
    if (!may_write) return {};
    Txn txn;
    txn.put(meta_key(kMetaFormat), encode_u64(kFormatVersion));
    const Txn* batch[] = {&txn};
    return store.commit_batch(batch, Durability::kDurable);
  }
  MYFS_ASSIGN(uint64_t version, decode_u64(*value));
  if (version > kFormatVersion) {
    return fail(Errno(EPROTONOSUPPORT),
                absl::StrFormat("data directory has format version %d, this server knows up to %d",
                                version, kFormatVersion));
  }
  return {};
}

}  // namespace

RocksMetaStore::~RocksMetaStore() {
  (void)db_->Close();
  if (lock_fd_ >= 0) close(lock_fd_);
}

Result<std::optional<std::string>> RocksMetaStore::get(std::string_view key) const {
  std::string value;
  rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), slice(key), &value);
  if (status.IsNotFound()) return std::optional<std::string>();
  if (!status.ok()) {
    log(LogLevel::kError, "metadata store: get: %s", status.ToString());
    return to_errno(status);
  }
  return std::optional<std::string>(std::move(value));
}

Result<void> RocksMetaStore::scan(std::string_view from, std::string_view to, size_t limit,
                                  const ScanFn& fn) const {
  rocksdb::ReadOptions options;
  rocksdb::Slice upper = slice(to);
  if (!to.empty()) options.iterate_upper_bound = &upper;
  std::unique_ptr<rocksdb::Iterator> it(db_->NewIterator(options));
  size_t seen = 0;
  for (it->Seek(slice(from)); it->Valid(); it->Next()) {
    if (!fn(view(it->key()), view(it->value()))) return {};
    if (++seen == limit) return {};
  }
  if (it->status().ok()) return {};
  log(LogLevel::kError, "metadata store: scan: %s", it->status().ToString());
  return to_errno(it->status());
}

Result<void> RocksMetaStore::check_expectations(std::span<const Txn* const> batch) const {
  for (const Txn* txn : batch) {
    for (const Expectation& expected : txn->expectations()) {
      MYFS_ASSIGN(std::optional<std::string> value, get(expected.key));
      if (value != expected.value) return Errno(ESTALE);
    }
  }
  return {};
}

Result<void> RocksMetaStore::note(const rocksdb::Status& status) {
  if (status.ok()) return {};
  broken_ = to_errno(status);
  log(LogLevel::kError, "metadata store: commit: %s", status.ToString());
  return broken_;
}

Result<void> RocksMetaStore::commit_batch(std::span<const Txn* const> batch,
                                          Durability durability) {
  if (broken_ == Errno(ENOSPC) && db_->Resume().ok()) broken_ = Errno();
  if (!broken_.ok()) return broken_;
  MYFS_TRY(check_expectations(batch));
  rocksdb::WriteBatch changes;
  for (const Txn* txn : batch) {
    for (const Mutation& mutation : txn->mutations()) {
      rocksdb::Status status;
      switch (mutation.kind) {
        case Mutation::Kind::kPut:
          status = changes.Put(slice(mutation.key), slice(mutation.value));
          break;
        case Mutation::Kind::kDelete:
          status = changes.Delete(slice(mutation.key));
          break;
        case Mutation::Kind::kAdd:
          status = changes.Merge(slice(mutation.key), slice(encode_counter(mutation.delta)));
          break;
      }
      if (!status.ok()) return to_errno(status);  // nothing was written
    }
  }
  rocksdb::WriteOptions options;
  options.sync = durability == Durability::kDurable;
  return note(db_->Write(options, &changes));
}

Result<void> RocksMetaStore::sync() {
  if (!broken_.ok()) return broken_;
  return note(db_->SyncWAL());
}

uint64_t RocksMetaStore::free_bytes() const {
  struct statvfs fs;
  return statvfs(dir_.c_str(), &fs) == 0 ? fs.f_bavail * fs.f_frsize : 0;
}

Result<std::unique_ptr<MetaStore>> open_rocks_meta_store(const std::string& dir,
                                                         const MetaStoreOptions& options) {
  int lock_fd = -1;
  const std::string path = dir + "/meta";
  if (!options.read_only) {
    if (options.create_if_missing) MYFS_TRY(make_directory(dir));
    MYFS_ASSIGN(lock_fd, lock_directory(dir));
  }
  rocksdb::DB* raw = nullptr;
  rocksdb::Options db = database_options(options);
  struct stat st;
  if (stat((path + "/CURRENT").c_str(), &st) != 0 &&
      (options.read_only || !options.create_if_missing)) {
    const Errno error(errno);
    if (lock_fd >= 0) close(lock_fd);
    return fail(error, dir + " holds no MyFS data");
  }
  rocksdb::Status status = options.read_only ? rocksdb::DB::OpenForReadOnly(db, path, &raw)
                                             : rocksdb::DB::Open(db, path, &raw);
  if (!status.ok()) {
    if (lock_fd >= 0) close(lock_fd);
    return fail(to_errno(status), "cannot open " + path + ": " + status.ToString());
  }
  auto store = std::make_unique<RocksMetaStore>(dir, lock_fd, std::unique_ptr<rocksdb::DB>(raw));
  MYFS_TRY(check_format(*store, !options.read_only));
  return std::unique_ptr<MetaStore>(std::move(store));
}

}  // namespace myfs::server
