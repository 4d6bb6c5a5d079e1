// The conformance suite of MetaStore, on every engine, and what RocksDB alone must do.
#include "server/store/meta_store.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <string>

#include "sdk/base/error_detail.h"
#include "sdk/base/random.h"
#include "server/records.h"
#include "server/store/faulty_store.h"
#include "tests/unit/store/engines.h"

namespace myfs::server {
namespace {

using Pairs = std::map<std::string, std::string>;

struct Engine {
  const char* name;
  std::function<std::unique_ptr<MetaEngine>()> make;
};

class MetaStores : public testing::TestWithParam<Engine> {
 protected:
  MetaStore& store() { return engine_->store(); }
  Pairs all(std::string_view from = "", std::string_view to = "", size_t limit = 0) {
    Pairs pairs;
    EXPECT_TRUE(store()
                    .scan(from, to, limit,
                          [&](std::string_view key, std::string_view value) {
                            if (key == meta_key(kMetaFormat)) return true;
                            pairs.emplace(key, value);
                            return true;
                          })
                    .ok());
    return pairs;
  }
  std::optional<std::string> get(std::string_view key) {
    auto value = store().get(key);
    EXPECT_TRUE(value.ok());
    return *value;
  }
  std::unique_ptr<MetaEngine> engine_ = GetParam().make();
};

TEST_P(MetaStores, get_and_scan_what_was_put) {
  Txn txn;
  txn.put("b", "2");
  txn.put("a", std::string("1\0x", 3));
  txn.put(std::string("a\0", 2), "");
  txn.put("c", "3");
  ASSERT_TRUE(commit_one(store(), txn).ok());
  EXPECT_EQ(get("a"), std::string("1\0x", 3));
  EXPECT_EQ(get(std::string("a\0", 2)), "");
  EXPECT_EQ(get("d"), std::nullopt);
  EXPECT_EQ(all("a", "c").size(), 3u);
  EXPECT_EQ(all("b", ""), (Pairs{{"b", "2"}, {"c", "3"}}));
  EXPECT_EQ(all("a", "", 1), (Pairs{{"a", std::string("1\0x", 3)}}));
  EXPECT_TRUE(all("x", "y").empty());
}

TEST_P(MetaStores, a_scan_ends_when_told) {
  Txn txn;
  for (int i = 0; i < 1000; ++i) txn.put(inode_key(static_cast<uint64_t>(i)), "v");
  ASSERT_TRUE(commit_one(store(), txn).ok());
  int seen = 0;
  uint64_t last = 0;
  auto [from, to] = type_range('I');
  ASSERT_TRUE(store()
                  .scan(from, to, 0,
                        [&](std::string_view key, std::string_view) {
                          EXPECT_GE(*parse_number(key), last);
                          last = *parse_number(key);
                          return ++seen < 700;
                        })
                  .ok());
  EXPECT_EQ(seen, 700);
}

TEST_P(MetaStores, later_mutations_of_a_key_win) {
  Txn first, second;
  first.put("k", "1");
  first.del("k");
  first.put("k", "2");
  second.put("k", "3");
  second.put("gone", "x");
  second.del("gone");
  const Txn* batch[] = {&first, &second};
  ASSERT_TRUE(store().commit_batch(batch, Durability::kDurable).ok());
  EXPECT_EQ(all(), (Pairs{{"k", "3"}}));
}

TEST_P(MetaStores, counters_add_up) {
  for (int i = 0; i < 5; ++i) {
    Txn txn;
    txn.add("n", 10);
    txn.add("n", -3);
    ASSERT_TRUE(commit_one(store(), txn).ok());
  }
  EXPECT_EQ(decode_counter(*get("n")), 35);
  Txn txn;
  txn.put("n", encode_counter(-1));
  txn.add("n", 2);
  txn.add("m", INT64_MIN);
  ASSERT_TRUE(commit_one(store(), txn).ok());
  EXPECT_EQ(decode_counter(*get("n")), 1);
  EXPECT_EQ(decode_counter(*get("m")), INT64_MIN);
  Txn gone;
  gone.del("n");
  gone.add("n", 4);
  ASSERT_TRUE(commit_one(store(), gone).ok());
  EXPECT_EQ(decode_counter(*get("n")), 4);
}

TEST_P(MetaStores, a_failed_expectation_changes_nothing) {
  Txn txn;
  txn.put("k", "1");
  ASSERT_TRUE(commit_one(store(), txn).ok());
  Txn good, bad;
  good.put("x", "1");
  bad.expect("k", "2");
  bad.put("y", "1");
  const Txn* batch[] = {&good, &bad};
  EXPECT_EQ(store().commit_batch(batch, Durability::kDurable).error(), Errno(ESTALE));
  EXPECT_EQ(all(), (Pairs{{"k", "1"}}));
  Txn absent;
  absent.expect("k", std::nullopt);
  EXPECT_EQ(commit_one(store(), absent).error(), Errno(ESTALE));
  Txn right;
  right.expect("k", "1");
  right.expect("nobody", std::nullopt);
  right.put("k", "2");
  EXPECT_TRUE(commit_one(store(), right).ok());
}

TEST_P(MetaStores, what_was_durable_is_there_after_a_reopen) {
  Txn durable, relaxed, synced;
  durable.put("durable", "1");
  relaxed.put("relaxed", "1");
  relaxed.add("n", 1);
  ASSERT_TRUE(commit_one(store(), durable).ok());
  ASSERT_TRUE(commit_one(store(), relaxed, Durability::kRelaxed).ok());
  ASSERT_TRUE(store().sync().ok());
  synced.put("later", "1");
  ASSERT_TRUE(commit_one(store(), synced).ok());
  engine_->reopen();
  EXPECT_EQ(get("durable"), "1");
  EXPECT_EQ(get("relaxed"), "1");
  EXPECT_EQ(get("later"), "1");
  EXPECT_EQ(decode_counter(*get("n")), 1);
}

TEST_P(MetaStores, random_batches_match_a_map) {
  Pairs model;
  for (int round = 0; round < 200; ++round) {
    Txn txn;
    for (int i = 0; i < 5; ++i) {
      std::string key = "k" + std::to_string(random_below(50));
      if (random_below(3) == 0) {
        txn.del(key);
        model.erase(key);
      } else {
        std::string value(random_below(100), static_cast<char>('a' + round % 26));
        txn.put(key, value);
        model[key] = value;
      }
    }
    ASSERT_TRUE(commit_one(store(), txn).ok());
    if (round % 67 == 0) engine_->reopen();
  }
  EXPECT_EQ(all(), model);
}

INSTANTIATE_TEST_SUITE_P(
    Engines, MetaStores,
    testing::Values(Engine{"memory", [] { return std::make_unique<MemoryMetaEngine>(); }},
                    Engine{"rocks", [] { return std::make_unique<RocksMetaEngine>(); }}),
    [](const auto& info) { return info.param.name; });

TEST(MemoryMetaStore, a_crash_takes_the_relaxed_suffix_alone) {
  MemoryMetaStore store;
  Txn a, b, c, d;
  a.put("k", "a");
  b.put("k", "b");
  b.put("l", "b");
  c.del("k");
  d.add("n", 5);
  ASSERT_TRUE(commit_one(store, a, Durability::kRelaxed).ok());
  ASSERT_TRUE(commit_one(store, b, Durability::kDurable).ok());
  ASSERT_TRUE(commit_one(store, c, Durability::kRelaxed).ok());
  ASSERT_TRUE(commit_one(store, d, Durability::kRelaxed).ok());
  store.crash();
  EXPECT_EQ(*store.get("k"), "b");
  EXPECT_EQ(*store.get("l"), "b");
  EXPECT_EQ(*store.get("n"), std::nullopt);
}

TEST(FaultyMetaStore, fails_at_the_nth_commit_and_has_then_changed_nothing) {
  for (int64_t nth = 1;; ++nth) {
    MemoryMetaStore memory;
    FaultPlan plan;
    FaultyMetaStore store(memory, plan);
    plan.fail_at(nth, Errno(ENOSPC));
    int done = 0;
    for (int i = 0; i < 4; ++i) {
      Txn txn;
      txn.put("k" + std::to_string(i), "v");
      auto result = commit_one(store, txn);
      if (result.ok()) {
        ++done;
      } else {
        EXPECT_EQ(result.error(), Errno(ENOSPC));
      }
    }
    EXPECT_EQ(memory.size(), static_cast<size_t>(done));
    if (!plan.fired()) {
      EXPECT_EQ(done, 4);
      EXPECT_EQ(nth, 5);
      break;
    }
    EXPECT_EQ(done, 3);
  }
}

TEST(RocksMetaStore, a_second_instance_is_refused_and_told_why) {
  RocksMetaEngine first;
  pid_t child = fork();
  if (child == 0) {
    auto second = open_rocks_meta_store(first.dir(), {});
    bool right = !second.ok() && second.error() == Errno(EBUSY) &&
                 thread_error_detail().message.find("in use by another server, process " +
                                                    std::to_string(getppid())) != std::string::npos;
    _exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(RocksMetaStore, a_newer_format_is_refused) {
  TempDir dir;
  {
    auto store = open_rocks_meta_store(dir.path(), {});
    ASSERT_TRUE(store.ok());
    Txn txn;
    txn.put(meta_key(kMetaFormat), encode_u64(kFormatVersion + 1));
    ASSERT_TRUE(commit_one(**store, txn).ok());
  }
  auto store = open_rocks_meta_store(dir.path(), {});
  ASSERT_FALSE(store.ok());
  EXPECT_EQ(store.error(), Errno(EPROTONOSUPPORT));
  EXPECT_NE(thread_error_detail().message.find("format version 2"), std::string::npos);
}

TEST(RocksMetaStore, read_only_sees_an_open_store_and_changes_nothing) {
  RocksMetaEngine engine;
  Txn txn;
  txn.put("k", "v");
  ASSERT_TRUE(commit_one(engine.store(), txn).ok());
  MetaStoreOptions options;
  options.read_only = true;
  auto reader = open_rocks_meta_store(engine.dir(), options);
  ASSERT_TRUE(reader.ok());
  EXPECT_EQ(*(*reader)->get("k"), "v");
  EXPECT_FALSE(commit_one(**reader, txn).ok());
  TempDir empty;
  EXPECT_EQ(open_rocks_meta_store(empty.path(), options).error(), Errno(ENOENT));
  EXPECT_FALSE(std::filesystem::exists(empty.path() + "/meta"));
}

}  // namespace
}  // namespace myfs::server
