// MetaStore: an ordered, transactional key-value store for the name space, below one shard.
// Kernel counterpart: jbd2 together with a directory index (fs/ext4).  Differs: keys and values, no
// blocks; a transaction is a list of changes that becomes durable as a whole or not at all.
// Thread safety: get, scan, free_space: any thread. commit_batch, sync: one thread, the shard's
// committer. A reader sees a batch wholly or not at all once commit_batch has returned; while it
// runs, either.
// Lock rank: none of the SDK's; engines use their own leaf locks.
// Owns / is owned by: owned by the server; a directory belongs to one open store at a time.
// Invariants: (1) batches become durable in the order of their commits; what a crash takes is a
// suffix, and never a batch that was committed kDurable or that a kDurable one followed; (2) a
// batch that failed has changed nothing that a reader of this process sees; after EIO the store may
// refuse every further batch, and whether the failed one reappears after a crash is unknown.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/base/result.h"

namespace myfs::server {

struct Mutation {
  enum class Kind : uint8_t { kPut, kDelete, kAdd };
  Kind kind;
  std::string key;
  std::string value;  // kPut
  int64_t delta = 0;  // kAdd
};

struct Expectation {
  std::string key;
  std::optional<std::string> value;  // nullopt: the key is absent
};

// An ordered list of changes, applied as one. Later mutations of a key win.
class Txn {
 public:
  void put(std::string key, std::string value) {
    mutations_.push_back({Mutation::Kind::kPut, std::move(key), std::move(value), 0});
  }
  void del(std::string key) {
    mutations_.push_back({Mutation::Kind::kDelete, std::move(key), {}, 0});
  }
  // Adds to a counter (an absent one is 0) without reading it; decode_counter() reads one.
  void add(std::string key, int64_t delta) {
    mutations_.push_back({Mutation::Kind::kAdd, std::move(key), {}, delta});
  }
  // The batch fails with ESTALE unless `key` has this value before the batch. A check of the
  // shard's own reasoning; a shard is the only writer, so it costs a get and never fails by chance.
  void expect(std::string key, std::optional<std::string> value) {
    expectations_.push_back({std::move(key), std::move(value)});
  }
  void append(Mutation mutation) { mutations_.push_back(std::move(mutation)); }

  const std::vector<Mutation>& mutations() const { return mutations_; }
  const std::vector<Expectation>& expectations() const { return expectations_; }
  bool empty() const { return mutations_.empty() && expectations_.empty(); }

 private:
  std::vector<Mutation> mutations_;
  std::vector<Expectation> expectations_;
};

enum class Durability : uint8_t {
  kDurable,  // on stable storage when commit_batch returns
  kRelaxed,  // by the next kDurable batch or sync()
};

// Called per key in ascending order; false ends the scan. The views live until it returns.
using ScanFn = std::function<bool(std::string_view key, std::string_view value)>;

class ReadView {
 public:
  virtual ~ReadView() = default;
  // nullopt: no such key. EIO, EUCLEAN (the engine found its own data damaged).
  virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
  // Keys in [from, to); an empty `to` means to the end. limit 0: none.
  virtual Result<void> scan(std::string_view from, std::string_view to, size_t limit,
                            const ScanFn& fn) const = 0;
};

class MetaStore : public ReadView {
 public:
  // Applies the transactions in order, as one. ESTALE: an expectation failed, nothing happened.
  // ENOSPC, EIO: nothing happened that this process will see (invariant 2).
  virtual Result<void> commit_batch(std::span<const Txn* const> batch, Durability durability) = 0;
  // Makes every batch so far durable.
  virtual Result<void> sync() = 0;
  // Approximate bytes that may still be written.
  virtual uint64_t free_bytes() const = 0;
};

// The value of a counter that Txn::add keeps. An absent or damaged one: 0.
int64_t decode_counter(std::string_view value);
std::string encode_counter(int64_t value);

// The version of the whole store's layout on disk. A store of a newer version is refused.
inline constexpr uint32_t kFormatVersion = 1;

struct MetaStoreOptions {
  bool create_if_missing = true;
  bool read_only = false;  // for fsck: takes no lock, changes nothing; sees the last commit
  size_t cache_bytes = 32 << 20;
};

// RocksDB in `dir`/meta. EBUSY: another process has it open (thread_error_detail() says so in
// words). EPROTONOSUPPORT: a newer format. ENOENT: read_only and nothing there. EACCES, ENOSPC,
// EIO.
Result<std::unique_ptr<MetaStore>> open_rocks_meta_store(const std::string& dir,
                                                         const MetaStoreOptions& options);

}  // namespace myfs::server
