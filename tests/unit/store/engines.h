// Engines: every kind of store behind one door, for suites that run on all of them.
// Kernel counterpart: none.
// Thread safety: one test.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>
#include <string>

#include "server/store/block_store.h"
#include "server/store/memory_block_store.h"
#include "server/store/memory_meta_store.h"
#include "server/store/meta_store.h"

namespace myfs::server {

// A directory that goes away with the test.
class TempDir {
 public:
  TempDir() {
    std::string name = testing::TempDir() + "myfs-store-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// A store that can be closed and opened again.
class MetaEngine {
 public:
  virtual ~MetaEngine() = default;
  virtual MetaStore& store() = 0;
  virtual void reopen() = 0;
};

class MemoryMetaEngine : public MetaEngine {
 public:
  MetaStore& store() override { return store_; }
  void reopen() override { store_.crash(); }

 private:
  MemoryMetaStore store_;
};

class RocksMetaEngine : public MetaEngine {
 public:
  RocksMetaEngine() { reopen(); }
  MetaStore& store() override { return *store_; }
  void reopen() override {
    store_.reset();
    auto opened = open_rocks_meta_store(dir_.path(), {});
    if (!opened.ok()) std::abort();
    store_ = std::move(opened).value();
  }
  const std::string& dir() const { return dir_.path(); }

 private:
  TempDir dir_;
  std::unique_ptr<MetaStore> store_;
};

class BlockEngine {
 public:
  virtual ~BlockEngine() = default;
  virtual BlockStore& store() = 0;
  virtual void reopen() = 0;
};

class MemoryBlockEngine : public BlockEngine {
 public:
  BlockStore& store() override { return store_; }
  void reopen() override { store_.crash(0); }

 private:
  MemoryBlockStore store_;
};

class FileBlockEngine : public BlockEngine {
 public:
  explicit FileBlockEngine(size_t open_files_max) : open_files_max_(open_files_max) { reopen(); }
  BlockStore& store() override { return *store_; }
  void reopen() override {
    store_.reset();
    auto opened = open_file_block_store(dir_.path(), {false, open_files_max_});
    if (!opened.ok()) std::abort();
    store_ = std::move(opened).value();
  }

 private:
  TempDir dir_;
  const size_t open_files_max_;
  std::unique_ptr<BlockStore> store_;
};

inline std::span<const uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

inline Result<void> commit_one(MetaStore& store, const Txn& txn,
                               Durability durability = Durability::kDurable) {
  const Txn* batch[] = {&txn};
  return store.commit_batch(batch, durability);
}

}  // namespace myfs::server
