#include "server/records.h"

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "sdk/base/random.h"
#include "server/store/memory_meta_store.h"

namespace myfs::server {
namespace {

InodeRecord sample_inode() {
  InodeRecord r;
  r.generation = 7;
  r.mode = S_IFREG | 0644;
  r.uid = 1000;
  r.gid = 100;
  r.nlink = 2;
  r.flags = 16;
  r.rdev = 0x801;
  r.size = 5;
  r.blocks = 8;
  r.atime = {-5, 1};
  r.mtime = {1, 999'999'999};
  r.ctime = {3, 4};
  r.btime = {1'700'000'000, 5};
  r.change = uint64_t{3} << 48 | 9;
  r.trunc_gen = 4;
  r.trunc_size = 2;
  r.truncations = {{4, 2}};
  r.parent = 1;
  r.data = std::string("he\0lo", 5);
  return r;
}

ChunkRecord sample_chunk() {
  return {77, {{0, 3, 65'536, 0xdeadbeef}, {5, 0, 1, 1}, {63, 319, 4'096, 2}}};
}

DeferredRecord sample_deferred() {
  return {9, 3, {{0, 3, "abc"}, {100, 50, ""}, {65'535, 1, "z"}}};
}

SessionRecord sample_session() {
  SessionRecord r;
  r.uuid[0] = 1;
  r.secret[15] = 2;
  r.epoch = 3;
  r.state = SessionRecord::State::kKilled;
  r.read_only = true;
  r.cred = {1000, 100, {4, 24, 27}};
  r.root_ino = 1;
  r.address = "unix:pid=1";
  r.holds = SessionRecord::Holds::kLocks;
  r.number = 6;
  r.terms_known = true;
  r.export_path = "/a";
  r.squash = {.root = true, .all = false, .anon_uid = 7, .anon_gid = 8};
  return r;
}

// Decoding must give back the record, and refuse every shorter and every longer value.
template <typename T>
void round_trip(const T& record) {
  const std::string value = record.encode();
  auto decoded = T::decode(value);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, record);
  for (size_t size = 0; size < value.size(); ++size) {
    auto shorter = T::decode(std::string_view(value).substr(0, size));
    ASSERT_FALSE(shorter.ok()) << size;
    EXPECT_EQ(shorter.error(), Errno(EUCLEAN));
  }
  EXPECT_EQ(T::decode(value + "x").error(), Errno(EUCLEAN));
  std::string other_version = value;
  other_version[0] = 9;
  EXPECT_EQ(T::decode(other_version).error(), Errno(EUCLEAN));
  // Damage anywhere may change the record but never harms the reader.
  for (size_t i = 0; i < value.size(); ++i) {
    for (uint8_t mask : {0x01, 0x80, 0xff}) {
      std::string damaged = value;
      damaged[i] = static_cast<char>(damaged[i] ^ mask);
      if (auto result = T::decode(damaged); result.ok()) {
        EXPECT_EQ(result->encode(), damaged);
      }
    }
  }
}

TEST(Records, round_trip_and_damage) {
  round_trip(sample_inode());
  InodeRecord often = sample_inode();
  often.truncations = {{1, 0}, {3, 2}};
  round_trip(often);
  round_trip(DirentRecord{9, 2, DT_DIR});
  round_trip(sample_chunk());
  round_trip(RefsRecord{2});
  round_trip(sample_deferred());
  round_trip(OrphanRecord{.sessions = {1, 2, UINT64_MAX}, .nameable = true});
  round_trip(sample_session());
  round_trip(ReplyRecord{5, 6, -17, 7, 8, 9, 10});
  round_trip(ReplyRecord{5, 6, 0, 7, 8, 9, 10, 11});
  round_trip(QuotaRecord{1, 2});
  SuperRecord super;
  super.hash_key[3] = 9;
  super.created = {5, 6};
  round_trip(super);
}

TEST(Records, an_inode_knows_the_smallest_size_since_each_truncation) {
  InodeRecord inode;
  EXPECT_EQ(inode.smallest_size_since(0), UINT64_MAX);
  std::vector<uint64_t> sizes;
  for (uint64_t size : {70, 30, 30, 50, 10, 20, 40, 0, 5}) {
    inode.count_truncation(size);
    sizes.push_back(size);
    inode = *InodeRecord::decode(inode.encode());
    EXPECT_EQ(inode.trunc_gen, sizes.size());
    EXPECT_EQ(inode.trunc_size, size);
    for (uint32_t gen = 0; gen < sizes.size(); ++gen) {
      EXPECT_EQ(inode.smallest_size_since(gen), *std::min_element(sizes.begin() + gen, sizes.end()))
          << gen << " of " << sizes.size();
    }
    EXPECT_EQ(inode.smallest_size_since(inode.trunc_gen), UINT64_MAX);
  }
  for (int i = 0; i < 100; ++i) inode.count_truncation(5);
  EXPECT_EQ(inode.truncations.size(), 2u);
}

TEST(Records, an_inode_that_grew_too_often_says_what_it_does_not_know) {
  InodeRecord inode;
  for (uint32_t i = 1; i <= kTruncationsMax + 2; ++i) inode.count_truncation(i);
  inode = *InodeRecord::decode(inode.encode());
  EXPECT_EQ(inode.truncations.size(), kTruncationsMax);
  EXPECT_EQ(inode.smallest_size_since(1), std::nullopt);
  EXPECT_EQ(inode.smallest_size_since(2), 3u);
  // Nor does one that was written by an older server know more than the last.
  InodeRecord old = sample_inode();
  EXPECT_EQ(InodeRecord::decode(old.encode())->smallest_size_since(2), std::nullopt);
  EXPECT_EQ(InodeRecord::decode(old.encode())->smallest_size_since(3), 2u);
}

TEST(Records, a_chunk_with_a_slot_twice_is_damaged) {
  ChunkRecord chunk = sample_chunk();
  std::string value = chunk.encode();
  constexpr size_t kFirst = 13, kSize = 11;
  value.replace(kFirst + kSize + 1, 2, value, kFirst + 1, 2);
  EXPECT_EQ(ChunkRecord::decode(value).error(), Errno(EUCLEAN));
  chunk = sample_chunk();
  std::swap(chunk.entries[0], chunk.entries[1]);
  EXPECT_EQ(ChunkRecord::decode(chunk.encode()).error(), Errno(EUCLEAN));
  chunk = sample_chunk();
  chunk.entries[0].length = kBlockSize_bytes + 1;
  EXPECT_EQ(ChunkRecord::decode(chunk.encode()).error(), Errno(EUCLEAN));
}

TEST(Records, a_chunk_that_shares_says_so) {
  ChunkRecord chunk = sample_chunk();
  const std::string alone = chunk.encode();
  chunk.entries[1].slot = chunk.entries[0].slot;
  EXPECT_EQ(*ChunkRecord::decode(chunk.encode()), chunk);
  EXPECT_NE(chunk.encode()[0], alone[0]) << "older servers must refuse it";
  chunk = sample_chunk();
  chunk.entries[0].block = 78;
  EXPECT_EQ(*ChunkRecord::decode(chunk.encode()), chunk);
  EXPECT_EQ(chunk.files(), (std::set<BlockId>{chunk.block, 78}));
  for (BlockEntry& entry : chunk.entries) entry.block = 78;
  chunk.block = 0;
  EXPECT_EQ(*ChunkRecord::decode(chunk.encode()), chunk);
  chunk.entries[0].block = 0;
  EXPECT_EQ(ChunkRecord::decode(chunk.encode()).error(), Errno(EUCLEAN)) << "in no file at all";
}

// Of the version before: what it does not say is the default.
TEST(Records, sessions_and_orphans_of_older_servers_are_read) {
  SessionRecord session = sample_session();
  session.holds = SessionRecord::Holds::kLeases;
  session.number = 0;
  session.terms_known = false;
  session.export_path.clear();
  session.squash = Squash();
  std::string value = session.encode();
  constexpr size_t kAdded = 1 + 8 + 1 + 4 + 2 + 2 * sizeof(uint32_t);
  value.resize(value.size() - kAdded);
  value[0] = 1;
  EXPECT_EQ(*SessionRecord::decode(value), session);
  value = OrphanRecord{.sessions = {1, 2}}.encode();
  value.pop_back();
  value[0] = 1;
  EXPECT_EQ(*OrphanRecord::decode(value), (OrphanRecord{.sessions = {1, 2}}));
}

TEST(Records, overlapping_deferred_extents_are_damaged) {
  DeferredRecord deferred = sample_deferred();
  deferred.extents[1].offset = 2;
  EXPECT_EQ(DeferredRecord::decode(deferred.encode()).error(), Errno(EUCLEAN));
}

TEST(Records, counts_that_promise_too_much_allocate_nothing) {
  std::string value = OrphanRecord{.sessions = {1}}.encode();
  for (size_t i = 1; i < 5; ++i) value[i] = '\xff';
  EXPECT_EQ(OrphanRecord::decode(value).error(), Errno(EUCLEAN));
}

TEST(Keys, sort_as_their_numbers_do) {
  std::vector<uint64_t> numbers = {0, 1, 255, 256, 65'535, 1ull << 32, 1ull << 63, UINT64_MAX};
  std::vector<std::string> keys;
  for (uint64_t number : numbers) keys.push_back(inode_key(number));
  EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
  for (size_t i = 0; i < numbers.size(); ++i) EXPECT_EQ(*parse_number(keys[i]), numbers[i]);
}

TEST(Keys, ranges_hold_their_own_and_no_other) {
  for (uint64_t number : {uint64_t{1}, uint64_t{255}, UINT64_MAX}) {
    auto [from, to] = number_range('E', number);
    EXPECT_GE(dirent_key(number, 0, ""), from);
    EXPECT_LT(dirent_key(number, UINT64_MAX, "\xff\xff"), to);
    EXPECT_LT(dirent_key(number - 1, UINT64_MAX, "\xff"), from);
    if (number != UINT64_MAX) {
      EXPECT_GE(dirent_key(number + 1, 0, ""), to);
    }
  }
}

TEST(Keys, are_parsed_back) {
  const std::string dirent = dirent_key(5, 6, "na\nme");
  auto parsed = parse_dirent_key(dirent);
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->dir, 5u);
  EXPECT_EQ(parsed->cookie, 6u);
  EXPECT_EQ(parsed->name, "na\nme");
  EXPECT_FALSE(parse_dirent_key(dirent_key(5, 6, "")).ok());
  const std::string parent = parent_key(1, 2, "x");
  EXPECT_EQ(parse_parent_key(parent)->parent, 2u);
  EXPECT_EQ(*parse_chunk_index(chunk_key(1, 77)), 77u);
  EXPECT_EQ(*parse_slot(reply_key(1, 3)), 3u);
  EXPECT_EQ(*parse_xattr_name(xattr_key(1, "user.a")), "user.a");
  EXPECT_EQ(*parse_garbage_block(garbage_key(1)), std::nullopt);
  EXPECT_EQ(*parse_garbage_block(garbage_key(1, 9)), std::optional<BlockId>(9));
  EXPECT_FALSE(parse_number("I123").ok());
}

class Dirents : public testing::Test {
 protected:
  void put(uint64_t cookie, const std::string& name, uint64_t ino) {
    Txn txn;
    txn.put(dirent_key(1, cookie, name), DirentRecord{ino, 1, DT_REG}.encode());
    const Txn* batch[] = {&txn};
    ASSERT_TRUE(store_.commit_batch(batch, Durability::kDurable).ok());
  }

  MemoryMetaStore store_;
  DirentHasher hasher_{{1, 2, 3}};
};

TEST_F(Dirents, are_found_by_name) {
  for (int i = 0; i < 500; ++i) {
    std::string name = "file" + std::to_string(i);
    auto cookie = free_cookie(store_, hasher_, 1, name);
    ASSERT_TRUE(cookie.ok());
    EXPECT_GE(*cookie, kCookieCollisions);
    EXPECT_LT(*cookie, uint64_t{1} << 63);
    put(*cookie, name, 100 + i);
  }
  auto found = find_dirent(store_, hasher_, 1, "file77");
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->record.ino, 177u);
  EXPECT_FALSE(find_dirent(store_, hasher_, 1, "file500")->has_value());
  EXPECT_FALSE(find_dirent(store_, hasher_, 2, "file77")->has_value());
}

TEST_F(Dirents, colliding_names_get_places_of_their_own) {
  // Places taken by other names of the same hash, as if they collided.
  const uint64_t first = hasher_.first_cookie("name");
  for (uint64_t i = 0; i < kCookieCollisions; ++i) {
    auto cookie = free_cookie(store_, hasher_, 1, "name");
    ASSERT_TRUE(cookie.ok());
    EXPECT_EQ(*cookie, first + i);
    put(*cookie, "other" + std::to_string(i), 5 + i);
  }
  EXPECT_EQ(free_cookie(store_, hasher_, 1, "name").error(), Errno(ENOSPC));
  EXPECT_FALSE(find_dirent(store_, hasher_, 1, "name")->has_value());
}

TEST_F(Dirents, a_damaged_entry_is_an_error_not_an_absence) {
  Txn txn;
  txn.put(dirent_key(1, hasher_.first_cookie("name"), "name"), "garbage");
  const Txn* batch[] = {&txn};
  ASSERT_TRUE(store_.commit_batch(batch, Durability::kDurable).ok());
  EXPECT_EQ(find_dirent(store_, hasher_, 1, "name").error(), Errno(EUCLEAN));
}

TEST(DirentHasher, another_key_gives_another_order) {
  DirentHasher a({1}), b({2});
  std::set<uint64_t> cookies;
  for (int i = 0; i < 1000; ++i) {
    std::string name(static_cast<size_t>(i % 30), 'x');
    name += std::to_string(i);
    cookies.insert(a.first_cookie(name));
    EXPECT_EQ(a.first_cookie(name) % kCookieCollisions, 0u);
    EXPECT_NE(a.first_cookie(name), b.first_cookie(name));
  }
  EXPECT_EQ(cookies.size(), 1000u);
}

}  // namespace
}  // namespace myfs::server
