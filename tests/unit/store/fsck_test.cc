// A small sound store; each test plants one damage and wants it named.
#include "server/fsck.h"

#include <dirent.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "sdk/base/limits.h"
#include "server/store/faulty_store.h"
#include "tests/unit/store/file_data_rig.h"

namespace myfs::server {
namespace {

using testing::AnyOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr uint64_t kDir = 5, kSmall = 6, kBig = 7, kLink = 8;
constexpr uint32_t kGeneration = 3;

class Fsck : public testing::Test {
 protected:
  void SetUp() override {
    SuperRecord super;
    super.hash_key = key_;
    Txn txn;
    txn.put(meta_key(kMetaSuper), super.encode());
    txn.put(meta_key(kMetaInoHighWater), encode_u64(100));
    txn.put(inode_key(kRootIno), directory(3, kRootIno).encode());
    txn.put(inode_key(kDir), directory(2, kRootIno).encode());
    for (uint64_t ino : {kSmall, kBig}) {
      InodeRecord file;
      file.mode = S_IFREG | 0644;
      file.nlink = 1;
      file.generation = kGeneration;
      txn.put(inode_key(ino), file.encode());
    }
    InodeRecord link;
    link.mode = S_IFLNK | 0777;
    link.nlink = 2;
    link.generation = kGeneration;
    link.data = "target";
    txn.put(inode_key(kLink), link.encode());
    enter(txn, kRootIno, "dir", kDir, DT_DIR);
    enter(txn, kRootIno, "small", kSmall, DT_REG);
    enter(txn, kDir, "big", kBig, DT_REG);
    enter(txn, kDir, "link", kLink, DT_LNK);
    enter(txn, kRootIno, "hard", kLink, DT_LNK);
    txn.put(parent_key(kLink, kRootIno, "hard"), "");
    txn.put(xattr_key(kSmall, "user.a"), "value");
    ASSERT_TRUE(commit_one(meta_, txn).ok());
    FileDataRig rig(meta_, blocks_);
    ASSERT_TRUE(rig.write_durably(kSmall, 0, "inline").ok());
    ASSERT_TRUE(rig.write_durably(kBig, 0, pattern(5 << 20, 1)).ok());
    ASSERT_TRUE(rig.write_durably(kBig, 70'000, "deferred").ok());
    ASSERT_TRUE(rig.truncate(kBig, (5 << 20) - 100).ok());
    rig.run();
  }

  InodeRecord directory(uint32_t nlink, uint64_t parent) {
    InodeRecord dir;
    dir.mode = S_IFDIR | 0755;
    dir.nlink = nlink;
    dir.generation = kGeneration;
    dir.parent = parent;
    return dir;
  }
  void enter(Txn& txn, uint64_t dir, const std::string& name, uint64_t ino, uint8_t type) {
    txn.put(dirent_key(dir, hasher_.first_cookie(name), name),
            DirentRecord{ino, kGeneration, type}.encode());
  }
  void put(std::string key, std::string value) {
    Txn txn;
    txn.put(std::move(key), std::move(value));
    ASSERT_TRUE(commit_one(meta_, txn).ok());
  }
  void del(std::string key) {
    Txn txn;
    txn.del(std::move(key));
    ASSERT_TRUE(commit_one(meta_, txn).ok());
  }
  template <typename Edit>
  void edit_inode(uint64_t ino, Edit edit) {
    InodeRecord inode = InodeRecord::decode(**meta_.get(inode_key(ino))).value();
    edit(inode);
    put(inode_key(ino), inode.encode());
  }
  SessionRecord session(uint64_t number) {
    return SessionRecord::decode(**meta_.get(session_key(number))).value();
  }
  ChunkRecord chunk(uint32_t index) {
    return ChunkRecord::decode(**meta_.get(chunk_key(kBig, index))).value();
  }
  std::string run(int status) {
    std::ostringstream out;
    EXPECT_EQ(run_fsck(meta_, blocks_, out), status) << out.str();
    return out.str();
  }
  std::string repair(int status = kFsckRepaired) {
    std::ostringstream out;
    EXPECT_EQ(repair_store(meta_, blocks_, out), status) << out.str();
    return out.str();
  }
  // It is found, and a repair, which tells it, leaves a sound store.
  void expect_damage(std::string line) {
    EXPECT_THAT(run(kFsckDamaged), HasSubstr(line));
    if (line.back() == '\n') line.back() = ';';
    EXPECT_THAT(repair(), HasSubstr(line));
    run(kFsckClean);
  }
  std::optional<InodeRecord> inode(uint64_t ino) {
    auto value = meta_.get(inode_key(ino)).value();
    if (!value.has_value()) return std::nullopt;
    return InodeRecord::decode(*value).value();
  }
  // What the name leads to; 0: nothing.
  uint64_t lookup(uint64_t dir, const std::string& name) {
    auto found = find_dirent(meta_, hasher_, dir, name).value();
    return found.has_value() ? found->record.ino : 0;
  }
  uint64_t lost_and_found() { return lookup(kRootIno, "lost+found"); }
  std::string content(uint64_t ino, uint64_t offset, uint64_t length) {
    FileDataRig rig(meta_, blocks_);
    return rig.read(ino, offset, length).value_or("cannot be read");
  }

  const std::array<uint8_t, 16> key_{9, 8, 7};
  DirentHasher hasher_{key_};
  MemoryMetaStore meta_;
  MemoryBlockStore blocks_;
};

TEST_F(Fsck, a_sound_store_is_clean) {
  EXPECT_EQ(run(kFsckClean), "clean: 5 inodes, 5 entries, 2 blocks\n");
}

TEST_F(Fsck, a_repair_of_a_sound_store_changes_nothing) {
  EXPECT_EQ(repair(kFsckClean), "clean: 5 inodes, 5 entries, 2 blocks\n");
  EXPECT_EQ(lost_and_found(), 0u);
}

TEST_F(Fsck, a_store_without_anything_is_clean) {
  MemoryMetaStore meta;
  MemoryBlockStore blocks;
  std::ostringstream out;
  EXPECT_EQ(run_fsck(meta, blocks, out), kFsckClean);
}

TEST_F(Fsck, what_the_next_start_cleans_up_is_no_damage) {
  InodeRecord open_unlinked;
  open_unlinked.mode = S_IFREG | 0600;
  put(inode_key(50), open_unlinked.encode());
  put(orphan_key(50), OrphanRecord{{1}}.encode());
  ASSERT_TRUE(blocks_.create(uint64_t{9} << 32 | 1).ok());
  FileDataRig rig(meta_, blocks_);
  del(dirent_key(kDir, hasher_.first_cookie("big"), "big"));
  ASSERT_TRUE(rig.remove(kBig).ok());
  run(kFsckClean);
}

TEST_F(Fsck, dangling_entry) {
  del(inode_key(kSmall));
  del(xattr_key(kSmall, "user.a"));
  expect_damage("/small: dangling entry, there is no inode 6\n");
}

TEST_F(Fsck, wrong_link_count_of_a_file) {
  edit_inode(kLink, [](InodeRecord& inode) { inode.nlink = 1; });
  expect_damage(": link count is 1, should be 2\n");
}

TEST_F(Fsck, wrong_link_count_of_a_directory) {
  edit_inode(kDir, [](InodeRecord& inode) { inode.nlink = 4; });
  expect_damage("/dir: link count is 4, should be 2\n");
}

// Its links are counted as those of any other.
TEST_F(Fsck, orphan_record_of_what_has_a_name) {
  for (uint64_t ino : {kRootIno, kDir, kSmall}) {
    put(orphan_key(ino), OrphanRecord().encode());
    expect_damage(": orphan record of what has a name\n");
    EXPECT_EQ(inode(ino)->nlink, ino == kRootIno ? 3u : ino == kDir ? 2u : 1u);
  }
}

// It would be taken for the record of the number that it begins with.
TEST_F(Fsck, key_with_more_than_its_number) {
  InodeRecord other;
  other.mode = S_IFREG | 0600;
  put(inode_key(kSmall) + "x", other.encode());
  expect_damage("an inode: has a damaged key\n");
  EXPECT_EQ(inode(kSmall)->mode, S_IFREG | 0644u);
  put(block_key(4711) + std::string(170, 'x'), RefsRecord{1}.encode());
  expect_damage("a block: has a damaged key\n");
  put(orphan_key(kSmall) + "x", OrphanRecord().encode());
  expect_damage("an orphan record: has a damaged key\n");
  put(session_key(9) + "x", SessionRecord().encode());
  expect_damage("session 0: record is damaged\n");
}

TEST_F(Fsck, number_in_use_that_would_be_given_out) {
  put(meta_key(kMetaInoHighWater), encode_u64(kLink));
  expect_damage("superblock: number 8 is in use and would be given out\n");
  put(meta_key(kMetaInoHighWater), "x");
  expect_damage("superblock: number 8 is in use and would be given out\n");
}

TEST_F(Fsck, orphan_without_a_record) {
  del(dirent_key(kDir, hasher_.first_cookie("big"), "big"));
  expect_damage("<inode 7>: orphan: it has no name\n");
  EXPECT_EQ(lookup(lost_and_found(), "#7"), kBig);
  EXPECT_EQ(content(kBig, 70'000, 8), "deferred");
  // Another one later comes into the same directory.
  del(dirent_key(kRootIno, hasher_.first_cookie("small"), "small"));
  expect_damage("<inode 6>: orphan: it has no name\n");
  EXPECT_EQ(lookup(lost_and_found(), "#6"), kSmall);
  EXPECT_EQ(lookup(lost_and_found(), "#7"), kBig);
}

TEST_F(Fsck, orphan_record_without_an_inode) {
  put(orphan_key(99), OrphanRecord{{1}}.encode());
  expect_damage("<inode 99>: orphan record without an inode\n");
}

TEST_F(Fsck, bad_checksum) {
  ChunkRecord first = chunk(0);
  blocks_.damage(first.block, first.entries[3].slot * uint64_t{kBlockSize_bytes} + 5);
  EXPECT_THAT(run(kFsckDamaged), HasSubstr("/dir/big: bytes from 196608: bad checksum\n"));
  // What the bytes were nobody knows; readers are to be told.
  put(xattr_key(99, "user.a"), "v");
  const std::string out = repair(kFsckDamaged);
  EXPECT_THAT(out, HasSubstr("/dir/big: bytes from 196608: bad checksum\n"));
  EXPECT_THAT(out, HasSubstr("damaged: 1 faults left, 1 repaired, in 5 inodes"));
  EXPECT_THAT(repair(kFsckDamaged), HasSubstr("damaged: 1 faults left, 0 repaired, in 5 inodes"));
}

TEST_F(Fsck, missing_block) {
  ASSERT_TRUE(blocks_.remove(chunk(1).block).ok());
  expect_damage("/dir/big: chunk 1: block 0000000100000002 is missing\n");
  EXPECT_EQ(content(kBig, 4 << 20, 8), std::string(8, '\0'));
  EXPECT_EQ(content(kBig, 70'000, 8), "deferred");
}

TEST_F(Fsck, unreferenced_block) {
  put(block_key(77), RefsRecord{1}.encode());
  expect_damage("block 000000000000004d: unreferenced: no chunk names it\n");
}

TEST_F(Fsck, block_without_a_reference_count) {
  del(block_key(chunk(0).block));
  expect_damage("/dir/big: chunk 0: block 0000000100000001 has no reference count\n");
}

TEST_F(Fsck, wrong_reference_count) {
  put(block_key(chunk(0).block), RefsRecord{2}.encode());
  expect_damage("block 0000000100000001: reference count is 2, should be 1\n");
}

TEST_F(Fsck, block_shared_by_two_chunks) {
  put(chunk_key(kBig, 9), chunk(0).encode());
  edit_inode(kBig, [](InodeRecord& inode) { inode.size = 40 << 20; });
  expect_damage("/dir/big: chunk 9: shares block 0000000100000001 with inode 7\n");
  EXPECT_EQ(content(kBig, (36 << 20) + 10, 100), content(kBig, 10, 100));
}

// /small becomes a clone of /dir/big.
class FsckOfClones : public Fsck {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(Fsck::SetUp());
    FileDataRig rig(meta_, blocks_);
    ASSERT_TRUE(rig.clone(kSmall, 0, kBig, 0, (5 << 20) - 100).ok());
    rig.run();
    shared_ = chunk(0).entries[4].block != 0 ? chunk(0).entries[4].block : chunk(0).block;
  }
  BlockId shared_ = 0;  // has most of chunk 0 of both
};

TEST_F(FsckOfClones, are_clean) {
  ChunkRecord clone = ChunkRecord::decode(**meta_.get(chunk_key(kSmall, 0))).value();
  EXPECT_TRUE(clone.files().contains(shared_));
  EXPECT_EQ(RefsRecord::decode(**meta_.get(block_key(shared_)))->refs, 2u);
  run(kFsckClean);
}

TEST_F(FsckOfClones, a_count_that_is_too_small_or_too_large_is_found) {
  put(block_key(shared_), RefsRecord{1}.encode());
  expect_damage("block 0000000100000001: reference count is 1, should be 2\n");
  put(block_key(shared_), RefsRecord{3}.encode());
  expect_damage("block 0000000100000001: reference count is 3, should be 2\n");
  del(block_key(shared_));
  const std::string out = run(kFsckDamaged);
  EXPECT_THAT(out, HasSubstr("/dir/big: chunk 0: block 0000000100000001 has no reference count\n"));
  EXPECT_THAT(out, HasSubstr("/small: chunk 0: block 0000000100000001 has no reference count\n"));
}

TEST_F(FsckOfClones, damage_is_told_of_every_file_that_has_it) {
  blocks_.damage(shared_, chunk(0).entries[3].slot * uint64_t{kBlockSize_bytes} + 5);
  std::string out = run(kFsckDamaged);
  EXPECT_THAT(out, HasSubstr("/dir/big: bytes from 196608: bad checksum\n"));
  EXPECT_THAT(out, HasSubstr("/small: bytes from 196608: bad checksum\n"));
  ASSERT_TRUE(blocks_.remove(shared_).ok());
  out = run(kFsckDamaged);
  EXPECT_THAT(out, HasSubstr("/dir/big: chunk 0: block 0000000100000001 is missing\n"));
  EXPECT_THAT(out, HasSubstr("/small: chunk 0: block 0000000100000001 is missing\n"));
}

TEST_F(FsckOfClones, a_shared_block_must_not_be_garbage) {
  put(garbage_key(kBig, shared_), "");
  expect_damage("/small: chunk 0: block 0000000100000001 is marked as garbage\n");
}

// What a crash leaves of the removal of one of both.
TEST_F(FsckOfClones, of_a_dead_inode_count_until_they_are_cleaned_up) {
  Txn txn;
  txn.del(inode_key(kSmall));
  txn.del(dirent_key(kRootIno, hasher_.first_cookie("small"), "small"));
  txn.del(xattr_key(kSmall, "user.a"));
  FileData::add_removal(kSmall, txn);
  ASSERT_TRUE(commit_one(meta_, txn).ok());
  run(kFsckClean);
  {
    FileDataRig rig(meta_, blocks_);
    rig.data().start_recovery();
    rig.run();
  }
  EXPECT_EQ(RefsRecord::decode(**meta_.get(block_key(shared_)))->refs, 1u);
  run(kFsckClean);
}

TEST_F(Fsck, chunk_without_an_inode) {
  put(chunk_key(99, 0), ChunkRecord{123, {}}.encode());
  expect_damage("<inode 99>: chunk 0: belongs to no inode\n");
}

TEST_F(Fsck, damaged_records) {
  put(inode_key(kSmall), "x");
  put(chunk_key(kBig, 1), "x");
  put(dirent_key(kDir, hasher_.first_cookie("link"), "link"), "x");
  put(session_key(4), "x");
  put(reply_key(4, 1), "x");
  const std::string out = run(kFsckDamaged);
  EXPECT_THAT(out, HasSubstr("/small: inode record is damaged\n"));
  EXPECT_THAT(out, HasSubstr("/dir/big: chunk 1: record is damaged\n"));
  EXPECT_THAT(out, HasSubstr("/dir/link: entry is damaged\n"));
  EXPECT_THAT(out, HasSubstr("session 4: record is damaged\n"));
  EXPECT_THAT(out, HasSubstr("session 4: reply record is damaged\n"));
  put(reply_key(5, 1), "x");
  SessionRecord sound;
  sound.terms_known = true;
  put(session_key(5), sound.encode());
  put(session_key(6), sound.encode());
  put(meta_key(kMetaBootMarks), "xyz");
  repair();
  run(kFsckClean);
  EXPECT_FALSE(session(4).terms_known);
  EXPECT_FALSE(session(5).terms_known) << "a change could be made a second time";
  EXPECT_TRUE(session(6).terms_known);
  EXPECT_FALSE(meta_.get(meta_key(kMetaBootMarks))->has_value());
  EXPECT_EQ(lookup(kRootIno, "small"), 0u) << "nothing of it was left";
  EXPECT_EQ(lookup(kDir, "link"), 0u);
  EXPECT_EQ(lookup(kRootIno, "hard"), kLink);
}

// Clients tell a server that is begun anew how new their copies are.
TEST_F(Fsck, what_a_repair_changes_is_newer_than_any_copy) {
  constexpr uint64_t kSeen = (uint64_t{7} << 48) + 1000;
  put(meta_key(kMetaBoot), encode_u64(7));
  for (uint64_t ino : {kRootIno, kDir, kSmall, kBig, kLink}) {
    edit_inode(ino, [](InodeRecord& inode) { inode.change = kSeen; });
  }
  put(chunk_key(kBig, 1), "x");
  put(dirent_key(kDir, hasher_.first_cookie("link"), "link"), "x");
  repair();
  run(kFsckClean);
  for (uint64_t ino : {kDir, kBig, kLink}) EXPECT_GT(inode(ino)->change, kSeen) << ino;
  for (uint64_t ino : {kRootIno, kSmall}) EXPECT_EQ(inode(ino)->change, kSeen) << ino;
}

TEST_F(Fsck, inode_of_no_type) {
  edit_inode(kLink, [](InodeRecord& inode) { inode.mode = 0777; });
  expect_damage(": inode record is damaged\n");
}

// Modes and owners are gone, content and names are not.
TEST_F(Fsck, damaged_inodes_are_made_anew_from_what_is_left) {
  put(inode_key(kDir), "x");
  put(inode_key(kBig), "x");
  const std::string out = run(kFsckDamaged);
  EXPECT_THAT(out, HasSubstr("/dir: inode record is damaged\n"));
  EXPECT_THAT(out, HasSubstr("/dir/big: inode record is damaged\n"));
  EXPECT_THAT(repair(), HasSubstr("/dir/big: inode record is damaged; made anew\n"));
  run(kFsckClean);
  EXPECT_EQ(lookup(kRootIno, "dir"), kDir);
  EXPECT_EQ(lookup(kDir, "big"), kBig);
  EXPECT_EQ(inode(kDir)->mode, S_IFDIR | 0700u);
  EXPECT_EQ(inode(kBig)->mode, S_IFREG | 0600u);
  EXPECT_EQ(inode(kBig)->generation, kGeneration);
  EXPECT_EQ(content(kBig, 70'000, 8), "deferred");
}

TEST_F(Fsck, missing_inodes_come_into_lost_and_found_with_what_they_had) {
  del(inode_key(kDir));
  del(inode_key(kBig));
  del(dirent_key(kRootIno, hasher_.first_cookie("dir"), "dir"));
  del(dirent_key(kDir, hasher_.first_cookie("big"), "big"));
  repair();
  run(kFsckClean);
  EXPECT_EQ(lookup(lost_and_found(), "#5"), kDir);
  EXPECT_EQ(lookup(kDir, "link"), kLink);
  EXPECT_EQ(lookup(lost_and_found(), "#7"), kBig);
  EXPECT_EQ(content(kBig, 70'000, 8), "deferred");
}

TEST_F(Fsck, a_missing_root_is_made_anew) {
  del(inode_key(kRootIno));
  expect_damage("/: there is no root directory\n");
  EXPECT_EQ(inode(kRootIno)->nlink, 3u);
  EXPECT_EQ(lookup(kRootIno, "dir"), kDir);
}

TEST_F(Fsck, nothing_is_put_into_a_lost_and_found_that_is_no_directory) {
  Txn txn;
  enter(txn, kRootIno, "lost+found", kLink, DT_LNK);
  ASSERT_TRUE(commit_one(meta_, txn).ok());
  del(dirent_key(kDir, hasher_.first_cookie("big"), "big"));
  EXPECT_THAT(repair(kFsckDamaged), HasSubstr("<inode 7>: orphan: it has no name\n"));
  EXPECT_TRUE(inode(kBig).has_value());
}

TEST_F(Fsck, a_repair_that_cannot_be_written_is_told) {
  put(xattr_key(99, "user.a"), "v");
  FaultPlan plan;
  plan.fail_at(1, Errno(ENOSPC));
  FaultyMetaStore full(meta_, plan);
  std::ostringstream out;
  EXPECT_EQ(repair_store(full, blocks_, out), kFsckUnreadable);
  EXPECT_THAT(out.str(), HasSubstr("cannot write what was repaired: No space left on device"));
}

TEST_F(Fsck, damaged_deferred_write) {
  put(deferred_key(chunk(0).block, 1), "x");
  expect_damage("/dir/big: deferred write is damaged\n");
}

TEST_F(Fsck, deferred_write_without_a_chunk) {
  put(deferred_key(55, 1), DeferredRecord{kBig, 0, {{0, 1, "a"}}}.encode());
  expect_damage("block 0000000000000037: deferred write without a chunk\n");
}

TEST_F(Fsck, content_behind_the_end) {
  edit_inode(kBig, [](InodeRecord& inode) { inode.size = 100'000; });
  const std::string before = content(kBig, 65'000, 35'000);
  expect_damage("/dir/big: bytes from 65536 lie behind the end of the file\n");
  EXPECT_EQ(content(kBig, 65'000, 35'000), before);
}

TEST_F(Fsck, wrong_block_count) {
  edit_inode(kBig, [](InodeRecord& inode) { inode.blocks += 8; });
  expect_damage("/dir/big: block count is ");
}

TEST_F(Fsck, inline_content_over_a_chunk) {
  edit_inode(kBig, [](InodeRecord& inode) { inode.data = "x"; });
  expect_damage("/dir/big: chunk 0: lies under inline content\n");
}

TEST_F(Fsck, entry_of_another_type_or_generation) {
  Txn txn;
  enter(txn, kRootIno, "small", kSmall, DT_DIR);
  ASSERT_TRUE(commit_one(meta_, txn).ok());
  edit_inode(kLink, [](InodeRecord& inode) { inode.generation = 4; });
  const std::string out = run(kFsckDamaged);
  EXPECT_THAT(out, HasSubstr("/small: type differs from that of the inode\n"));
  EXPECT_THAT(out, HasSubstr("/dir/link: generation differs from that of the inode\n"));
  repair();
  run(kFsckClean);
}

TEST_F(Fsck, entry_in_the_wrong_place) {
  put(dirent_key(kRootIno, 12'345, "hard2"), DirentRecord{kLink, kGeneration, DT_LNK}.encode());
  edit_inode(kLink, [](InodeRecord& inode) { inode.nlink = 3; });
  expect_damage("/hard2: entry is in the wrong place, look-ups miss it\n");
  EXPECT_EQ(lookup(kRootIno, "hard2"), kLink);
  put(dirent_key(kRootIno, 12'345, "hard2"), DirentRecord{kBig, kGeneration, DT_REG}.encode());
  edit_inode(kBig, [](InodeRecord& inode) { inode.nlink = 2; });
  EXPECT_THAT(repair(), HasSubstr("look-ups miss it; removed, the name is there once more\n"));
  run(kFsckClean);
  EXPECT_EQ(lookup(kRootIno, "hard2"), kLink);
}

TEST_F(Fsck, name_that_is_not_allowed) {
  Txn txn;
  enter(txn, kRootIno, "a/\nb", kLink, DT_LNK);
  ASSERT_TRUE(commit_one(meta_, txn).ok());
  expect_damage("/a/\\x0ab: name is not allowed\n");
}

TEST_F(Fsck, entry_of_something_that_is_no_directory) {
  Txn txn;
  enter(txn, kSmall, "x", kLink, DT_LNK);
  ASSERT_TRUE(commit_one(meta_, txn).ok());
  expect_damage("x: entry of something that is no directory\n");
}

TEST_F(Fsck, directory_with_two_names) {
  Txn txn;
  enter(txn, kRootIno, "again", kDir, DT_DIR);
  ASSERT_TRUE(commit_one(meta_, txn).ok());
  expect_damage(": directory with a second name\n");
}

TEST_F(Fsck, directory_with_the_wrong_parent) {
  edit_inode(kDir, [](InodeRecord& inode) { inode.parent = 77; });
  expect_damage("/dir: parent is inode 77, should be 1\n");
}

TEST_F(Fsck, directory_that_is_its_own_ancestor) {
  put(inode_key(20), directory(3, 21).encode());
  put(inode_key(21), directory(3, 20).encode());
  Txn txn;
  enter(txn, 20, "b", 21, DT_DIR);
  enter(txn, 21, "a", 20, DT_DIR);
  ASSERT_TRUE(commit_one(meta_, txn).ok());
  expect_damage("directory is its own ancestor\n");
}

TEST_F(Fsck, parent_record_without_an_entry) {
  put(parent_key(kLink, kDir, "gone"), "");
  expect_damage("/dir/gone: parent record without an entry\n");
}

TEST_F(Fsck, extended_attribute_without_an_inode) {
  put(xattr_key(99, "user.a"), "v");
  expect_damage("<inode 99>: extended attribute without an inode\n");
}

TEST_F(Fsck, no_root_and_no_superblock) {
  del(inode_key(kRootIno));
  del(meta_key(kMetaSuper));
  const std::string out = run(kFsckDamaged);
  EXPECT_THAT(out, HasSubstr("/: there is no root directory\n"));
  EXPECT_THAT(out, HasSubstr("superblock: is missing\n"));
}

// Records lost, cut short, replaced by others' or by noise: a repair ends, names and bytes that
// nobody has damaged are there still, and what it leaves is told. 20 000 times with MYFS_LONG=1.
TEST_F(FsckOfClones, whatever_is_damaged_a_repair_comes_to_an_end) {
  std::vector<std::pair<std::string, std::string>> sound;
  auto keep = [&](std::string_view key, std::string_view value) {
    if (key.front() != 'M') sound.emplace_back(key, value);
    return true;
  };
  ASSERT_TRUE(meta_.scan("", "", 0, keep).ok());
  const char* length = std::getenv("MYFS_LONG");
  const uint32_t seeds = length != nullptr && *length == '1' ? 20'000 : 300;
  for (uint32_t seed = 1; seed <= seeds; ++seed) {
    SCOPED_TRACE(seed);
    std::minstd_rand random(seed);
    auto below = [&](size_t n) { return random() % n; };
    Txn restore, damage;
    for (char type : {'I', 'E', 'P', 'X', 'C', 'B', 'W', 'O', 'G', 'S', 'R'}) {
      auto [from, to] = type_range(type);
      ASSERT_TRUE(meta_
                      .scan(from, to, 0,
                            [&](std::string_view key, std::string_view) {
                              restore.del(std::string(key));
                              return true;
                            })
                      .ok());
    }
    for (const auto& [key, value] : sound) restore.put(key, value);
    ASSERT_TRUE(commit_one(meta_, restore).ok());
    for (size_t i = 0, count = 1 + below(4); i < count; ++i) {
      auto [key, value] = sound[below(sound.size())];
      switch (below(5)) {
        case 0:
          damage.del(key);
          continue;
        case 1:
          value.resize(below(value.size() + 1));
          break;
        case 2:
          if (!value.empty()) value[below(value.size())] ^= static_cast<char>(1 << below(8));
          break;
        case 3:
          value = sound[below(sound.size())].second;
          break;
        default:
          key[1 + below(key.size() - 1)] ^= static_cast<char>(1 << below(8));
      }
      damage.put(key, value);
    }
    ASSERT_TRUE(commit_one(meta_, damage).ok());
    std::ostringstream out;
    const int status = repair_store(meta_, blocks_, out);
    ASSERT_THAT(out.str(), Not(HasSubstr("there are faults still")));
    ASSERT_NE(status, kFsckUnreadable) << out.str();
    std::ostringstream again;
    ASSERT_EQ(run_fsck(meta_, blocks_, again), status == kFsckDamaged ? kFsckDamaged : kFsckClean)
        << out.str() << again.str();
    std::istringstream left(again.str());
    for (std::string line; status == kFsckDamaged && std::getline(left, line);) {
      EXPECT_THAT(line, AnyOf(HasSubstr("bad checksum"), StartsWith("damaged: "))) << out.str();
    }
  }
}

TEST(FsckOnDisk, clean_damaged_in_use_and_absent) {
  TempDir dir;
  std::ostringstream out;
  EXPECT_EQ(run_fsck(dir.path() + "/nothing", FsckMode::kCheck, out), kFsckUnreadable);
  EXPECT_THAT(out.str(), HasSubstr("holds no MyFS data"));
  {
    auto meta = open_rocks_meta_store(dir.path(), {});
    auto blocks = open_file_block_store(dir.path(), {});
    ASSERT_TRUE(meta.ok() && blocks.ok());
    out.str("");
    EXPECT_EQ(run_fsck(dir.path(), FsckMode::kCheck, out), kFsckUnreadable);
    EXPECT_THAT(out.str(), HasSubstr("is in use by a server"));
  }
  out.str("");
  EXPECT_EQ(run_fsck(dir.path(), FsckMode::kCheck, out), kFsckClean) << out.str();
  {
    auto meta = open_rocks_meta_store(dir.path(), {});
    ASSERT_TRUE(meta.ok());
    Txn txn;
    txn.put(xattr_key(99, "user.a"), "v");
    ASSERT_TRUE(commit_one(**meta, txn).ok());
  }
  out.str("");
  EXPECT_EQ(run_fsck(dir.path(), FsckMode::kCheck, out), kFsckDamaged);
  EXPECT_THAT(out.str(), HasSubstr("damaged: 1 faults"));
  out.str("");
  EXPECT_EQ(run_fsck(dir.path() + "/nothing", FsckMode::kRepair, out), kFsckUnreadable);
  EXPECT_EQ(run_fsck(dir.path(), FsckMode::kRepair, out), kFsckRepaired) << out.str();
  EXPECT_EQ(run_fsck(dir.path(), FsckMode::kRepair, out), kFsckClean) << out.str();
  EXPECT_EQ(run_fsck(dir.path(), FsckMode::kCheck, out), kFsckClean) << out.str();
}

}  // namespace
}  // namespace myfs::server
