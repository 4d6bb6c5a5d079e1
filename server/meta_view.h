// MetaView: the name space as it will be once everything submitted is durable: the store, above it
// what is submitted and not committed, above both a cache of inodes and names.
// Kernel counterpart: the buffer cache with jbd2's running and committing transactions.
// Thread safety: the shard's loop only (the store below is read while the committer writes it).
// Owns / is owned by: member of Shard.
// Invariants: (1) a read gives the newest submitted value; (2) pending(ino) is the number of the
// newest uncommitted transaction that changed the inode, or 0: whoever answers from the inode, or
// from names in it, waits for that one; (3) reset() leaves the store's truth.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "server/records.h"
#include "server/store/meta_store.h"

namespace myfs::server {

using InodeRef = std::shared_ptr<const InodeRecord>;
inline constexpr size_t kInodeCacheMax = 128 * 1024;   // of each of two generations
inline constexpr size_t kDirentCacheMax = 256 * 1024;  // likewise

// A cache of two generations: when the young one is full the old one is forgotten.
template <typename K, typename V>
class Generations {
 public:
  explicit Generations(size_t max) : max_(max) {}
  const V* find(const K& key) {
    if (auto it = young_.find(key); it != young_.end()) return &it->second;
    auto it = old_.find(key);
    if (it == old_.end()) return nullptr;
    V value = std::move(it->second);
    old_.erase(it);
    return insert(key, std::move(value));
  }
  const V* insert(const K& key, V value) {
    if (young_.size() >= max_) {
      old_ = std::move(young_);
      young_.clear();
    }
    old_.erase(key);
    return &(young_.insert_or_assign(key, std::move(value)).first->second);
  }
  void erase(const K& key) {
    young_.erase(key);
    old_.erase(key);
  }
  void clear() {
    young_.clear();
    old_.clear();
  }

 private:
  const size_t max_;
  absl::flat_hash_map<K, V> young_, old_;
};

// What one transaction changes.
struct Staged {
  std::map<uint64_t, InodeRef> inodes{};                     // null: deleted
  std::map<std::string, std::optional<std::string>> keys{};  // everything else that the view reads
  Txn data{};                                                // FileData's: passed on unseen
  bool durable = false;                                      // not relaxed, whatever the mode

  bool empty() const { return inodes.empty() && keys.empty() && data.empty(); }
};

class MetaView : public ReadView {
 public:
  MetaView(const MetaStore& store, const DirentHasher& hasher)
      : store_(store), hasher_(hasher), inodes_(kInodeCacheMax), dirents_(kDirentCacheMax) {}

  Result<std::optional<std::string>> get(std::string_view key) const override;
  Result<void> scan(std::string_view from, std::string_view to, size_t limit,
                    const ScanFn& fn) const override;

  // Null: no such inode.
  Result<InodeRef> inode(uint64_t ino);
  // As the store has it. Null: none.
  InodeRef committed_inode(uint64_t ino);
  Result<std::optional<FoundDirent>> dirent(uint64_t dir, std::string_view name);
  Result<uint64_t> new_cookie(uint64_t dir, std::string_view name) const {
    return free_cookie(*this, hasher_, dir, name);
  }
  uint64_t pending(uint64_t ino) const;

  // Makes `staged` visible as transaction `seq`; seq rises. Returns what the store has to do.
  Txn apply(Staged staged, uint64_t seq);
  void committed(uint64_t seq);  // and everything before it
  void reset();                  // what is not committed never happens

 private:
  struct PendingInode {
    InodeRef committed{};
    std::deque<std::pair<uint64_t, InodeRef>> versions{};
  };
  struct Overlay {
    uint64_t seq = 0;
    std::optional<std::string> value{};
  };
  struct InFlight {
    uint64_t seq = 0;
    std::vector<uint64_t> inodes{};
    std::vector<std::string> keys{};
  };

  Result<InodeRef> load(uint64_t ino);
  void note_dirent(std::string_view key, const std::optional<std::string>& value);

  const MetaStore& store_;
  const DirentHasher& hasher_;
  Generations<uint64_t, InodeRef> inodes_;  // committed ones
  Generations<std::string, std::optional<FoundDirent>> dirents_;
  absl::flat_hash_map<uint64_t, PendingInode> pending_;
  std::map<std::string, Overlay, std::less<>> overlay_;
  std::deque<InFlight> in_flight_;
};

}  // namespace myfs::server
