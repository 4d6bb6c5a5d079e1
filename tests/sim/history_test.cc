// The checks of a campaign: each accepts what may happen, and sees what may not.
#include "tests/sim/history.h"

#include <gtest/gtest.h>

namespace myfs::simtest {
namespace {

constexpr Process kA = 1, kB = 2;

template <typename History>
size_t count(const History& history) {
  Faults faults;
  history.check(faults);
  return faults.size();
}

// Two sure writes, the second after the first.
Register two_writes() {
  Register cell("cell");
  for (uint64_t value : {1, 2}) {
    size_t write = cell.begin_write(value, kA, value * 10);
    cell.end_write(write, value * 10 + 5);
    cell.make_sure(write);
  }
  return cell;
}

TEST(RegisterHistory, accepts_reads_of_what_is_there) {
  Register cell = two_writes();
  cell.read(0, kB, 1, 2);
  cell.read(1, kB, 16, 17);
  cell.read(1, kB, 18, 23);  // while the second is written
  cell.read(2, kB, 24, 40);
  EXPECT_EQ(count(cell), 0u);
}

TEST(RegisterHistory, sees_an_old_value_after_a_write) {
  Register cell = two_writes();
  cell.read(1, kB, 26, 27);
  EXPECT_EQ(count(cell), 1u);
}

TEST(RegisterHistory, sees_time_go_backwards_while_a_write_goes_on) {
  Register cell = two_writes();
  cell.read(2, kB, 21, 22);
  cell.read(1, kB, 23, 24);
  EXPECT_EQ(count(cell), 1u);
}

TEST(RegisterHistory, sees_a_write_that_is_lost) {
  Register cell = two_writes();
  cell.read(0, kB, 30, 31);
  EXPECT_GE(count(cell), 1u);
}

TEST(RegisterHistory, sees_values_that_nobody_wrote_or_that_are_to_come) {
  Register cell = two_writes();
  cell.read(7, kB, 30, 31);
  EXPECT_EQ(count(cell), 1u);
  Register early = two_writes();
  early.read(2, kB, 17, 18);
  EXPECT_GE(count(early), 1u);
}

TEST(RegisterHistory, lets_a_write_go_that_was_never_made_sure) {
  Register cell("cell");
  cell.end_write(cell.begin_write(1, kA, 10), 12);
  cell.read(1, kA, 13, 14);  // its own cache
  cell.read(0, kB, 20, 21);  // gone with its session
  EXPECT_EQ(count(cell), 0u);
}

TEST(RegisterHistory, keeps_what_another_process_has_seen) {
  Register cell("cell");
  cell.end_write(cell.begin_write(1, kA, 10), 12);
  cell.read(1, kB, 13, 14);
  cell.read(0, kB, 20, 21);
  EXPECT_EQ(count(cell), 1u);
}

AppendLog two_appends() {
  AppendLog log("log");
  for (uint64_t value : {1, 2}) {
    size_t append = log.begin_append(value, kA, value * 10);
    log.end_append(append, value * 10 + 5);
    log.make_sure(append);
  }
  return log;
}

TEST(AppendHistory, accepts_a_file_that_grows) {
  AppendLog log = two_appends();
  log.read({}, kB, 1, 2);
  log.read({1}, kB, 16, 19);
  log.read({1, 2}, kB, 30, 31);
  EXPECT_EQ(count(log), 0u);
}

TEST(AppendHistory, sees_records_twice_lost_moved_and_of_nobody) {
  for (const std::vector<uint64_t>& values :
       {std::vector<uint64_t>{1, 2, 2}, {1}, {2, 1}, {1, 2, 9}}) {
    AppendLog log = two_appends();
    log.read(values, kB, 30, 31);
    EXPECT_GE(count(log), 1u) << values.size();
  }
  AppendLog log = two_appends();
  log.read({1}, kB, 26, 27);  // the second had ended
  log.read({1, 2}, kB, 30, 31);
  EXPECT_EQ(count(log), 1u);
}

TEST(NameHistory, sees_what_was_removed_and_misses_what_was_made) {
  Name name("name");
  name.changed(name.begin(10, "create"), 0, 7, 12);
  name.seen(7, 13, 14, "stat");
  name.seen(0, 19, 21, "stat");  // while it is removed
  name.changed(name.begin(20, "unlink"), Name::kAnything, 0, 22);
  name.refused(name.begin(22, "unlink"));
  EXPECT_EQ(count(name), 0u);
  name.seen(7, 23, 24, "stat");
  EXPECT_EQ(count(name), 1u);
  name.seen(0, 15, 16, "stat");
  EXPECT_EQ(count(name), 2u);
  name.seen(8, 15, 16, "stat");
  EXPECT_EQ(count(name), 3u);
}

TEST(NameHistory, sees_a_change_that_is_done_twice) {
  Name name("name");
  name.changed(name.begin(10, "create"), 0, 7, 12);
  name.changed(name.begin(13, "create"), 0, 8, 14);
  EXPECT_EQ(count(name), 1u);
}

TEST(NameHistory, knows_nothing_where_changes_overlap_or_are_in_doubt) {
  Name name("name");
  name.changed(name.begin(10, "create"), 0, 7, 20);
  name.replaced(name.begin(12, "rename to"), 0, 18);
  name.seen(0, 30, 31, "stat");
  name.seen(7, 32, 33, "stat");
  (void)name.begin(40, "create");
  name.seen(0, 50, 51, "stat");
  EXPECT_EQ(count(name), 0u);
}

TEST(TruncatedCellHistory, sees_what_was_cut_off_and_what_is_lost) {
  TruncatedCell cell("cell");
  size_t write = cell.begin_write(1, kA, 10);
  cell.end_write(write, 12);
  cell.make_sure(write);
  cell.read(1, kB, 13, 14);
  size_t cut = cell.begin_truncation(20);
  cell.end_truncation(cut, 22);
  cell.read(0, kB, 23, 24);
  EXPECT_EQ(count(cell), 0u);
  cell.read(1, kB, 25, 26);
  EXPECT_EQ(count(cell), 1u);
  cell.read(0, kB, 15, 16);
  EXPECT_EQ(count(cell), 2u);
}

TEST(LockHistory, sees_two_holders) {
  LockUse lock("lock");
  lock.held(kA, 10, 20);
  lock.held(kB, 21, 30);
  EXPECT_EQ(count(lock), 0u);
  lock.held(kB, 29, 40);
  EXPECT_EQ(count(lock), 1u);
}

}  // namespace
}  // namespace myfs::simtest
