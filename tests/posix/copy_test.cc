// Copies, clones, fiemap: errnos, effects, and what a second client sees of them.

#include <climits>
#include <vector>

#include "tests/posix/copy_fixture.h"

namespace myfs::test {
namespace {

constexpr off_t kUnit = 65'536;  // of what is shared

std::string text_of(size_t size, uint32_t seed) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i)
    text[i] = static_cast<char>('a' + (i * 31 + i / 999 + seed) % 26);
  return text;
}

class Copy : public CopyFixture {
 protected:
  int clone(int in, int out) { return myfs_clone_file_range(task_, in, 0, out, 0, 0); }
};

TEST_F(Copy, clone_file_range_EBADF) {
  int read_only = open("out", O_RDONLY), append = open("out", O_WRONLY | O_APPEND);
  int write_only = open("in", O_WRONLY), path_only = open("in", O_PATH);
  EXPECT_EQ(-EBADF, clone(99, out_));
  EXPECT_EQ(-EBADF, clone(in_, 99));
  EXPECT_EQ(-EBADF, clone(write_only, out_));
  EXPECT_EQ(-EBADF, clone(path_only, out_));
  EXPECT_EQ(-EBADF, clone(in_, read_only));
  EXPECT_EQ(-EBADF, clone(in_, append));
  EXPECT_EQ("", content("out"));
}

TEST_F(Copy, clone_file_range_EISDIR) {
  make_dir("d");
  int dir = open("d", O_RDONLY);
  EXPECT_EQ(-EISDIR, clone(dir, out_));
  EXPECT_EQ(-EISDIR, clone(in_, dir));
}

TEST_F(Copy, clone_file_range_EXDEV) {
  ASSERT_EQ(0, myfs_mkdir(task_, "m", 0755));
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), "m", nullptr)) << last_message();
  int far = open(("m" + home() + "/out").c_str(), O_RDWR);
  EXPECT_EQ(-EXDEV, clone(in_, far));
  close(far);
}

TEST_F(Copy, clone_file_range_EFBIG) {
  EXPECT_EQ(-EFBIG, myfs_clone_file_range(task_, in_, 0, out_, kSizeMax + 1, 0));
  EXPECT_EQ(0, myfs_clone_file_range(task_, in_, 0, out_, kSizeMax + 1 - kUnit, 0));
}

TEST_F(Copy, clone_file_range_EINVAL) {
  pwrite(in_, text_of(2 * kUnit + 5, 1), 0);
  auto range = [this](off_t in, off_t out, off_t size) {
    return myfs_clone_file_range(task_, in_, in, out_, out, size);
  };
  EXPECT_EQ(-EINVAL, range(-kUnit, 0, 0));
  EXPECT_EQ(-EINVAL, range(0, -kUnit, 0));
  EXPECT_EQ(-EINVAL, range(0, 0, -1));
  EXPECT_EQ(-EINVAL, range(LONG_MAX - 1, 0, kUnit)) << "overflow";
  EXPECT_EQ(-EINVAL, range(0, 4096, 0)) << "not the page but st_blksize counts";
  EXPECT_EQ(-EINVAL, range(4096, 0, 0));
  EXPECT_EQ(-EINVAL, range(0, 0, kUnit + 4096));
  EXPECT_EQ(-EINVAL, range(0, 0, 2 * kUnit + 6)) << "beyond the end";
  EXPECT_EQ(-EINVAL, range(3 * kUnit, 0, 0));
  EXPECT_EQ("", content("out"));
  EXPECT_EQ(-EINVAL, clone(in_, in_));
  EXPECT_EQ(-EINVAL, myfs_clone_file_range(task_, in_, 0, in_, kUnit, 2 * kUnit)) << "overlap";
  ASSERT_EQ(0, range(0, 0, 0));
  ASSERT_EQ(0, range(kUnit, 2 * kUnit, 0)) << "grows";
  EXPECT_EQ(-EINVAL, clone(in_, out_)) << "the target goes on behind half a unit";
  EXPECT_EQ(-EINVAL, myfs_clone_file(task_, in_, out_));
}

TEST_F(Copy, clone_file_EBADF_EISDIR_EXDEV_EINVAL) {
  make_dir("d");
  int dir = open("d", O_RDONLY), append = open("out", O_WRONLY | O_APPEND);
  EXPECT_EQ(-EBADF, myfs_clone_file(task_, in_, 99));
  EXPECT_EQ(-EBADF, myfs_clone_file(task_, in_, append));
  EXPECT_EQ(-EISDIR, myfs_clone_file(task_, dir, out_));
  EXPECT_EQ(-EINVAL, myfs_clone_file(task_, in_, in_));
  ASSERT_EQ(0, myfs_mkdir(task_, "m", 0755));
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), "m", nullptr)) << last_message();
  int far = open(("m" + home() + "/out").c_str(), O_RDWR);
  EXPECT_EQ(-EXDEV, myfs_clone_file(task_, in_, far));
  close(far);
}

TEST_F(Copy, clone_file_makes_a_small_file_of_another_size) {
  EXPECT_EQ(0, myfs_clone_file(task_, in_, out_));
  EXPECT_EQ("0123456789", content("out"));
  pwrite(in_, text_of(70'000, 3), 0);
  EXPECT_EQ(0, myfs_clone_file(task_, in_, out_));
  EXPECT_EQ(text_of(70'000, 3), content("out"));
  ASSERT_EQ(0, myfs_ftruncate(task_, in_, 0));
  EXPECT_EQ(0, myfs_clone_file(task_, in_, out_)) << "nothing to do";
  EXPECT_EQ(text_of(70'000, 3), content("out"));
}

// Holes and all, more than the server shares at once.
TEST_F(Copy, clone_file_of_a_long_file_with_holes) {
  constexpr off_t kSize = (off_t{40} << 30) + 3;
  ASSERT_EQ(0, myfs_ftruncate(task_, in_, kSize));
  pwrite(in_, "middle", off_t{20} << 30);
  pwrite(in_, "end", kSize - 3);
  pwrite(out_, text_of(100'000, 1), off_t{30} << 30);
  ASSERT_EQ(0, myfs_clone_file(task_, in_, out_)) << last_message();
  EXPECT_EQ("end", pread(out_, 10, kSize - 3));
  EXPECT_EQ("middle", pread(out_, 6, off_t{20} << 30));
  EXPECT_EQ(std::string(100'000, '\0'), pread(out_, 100'000, off_t{30} << 30));
}

// Dirty pages of the source, cached pages of the target, writes to either afterwards.
TEST_F(Copy, a_clone_is_seen_at_once_and_both_files_live_on) {
  myfs_task* other = nullptr;
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &other)) << last_message();
  ASSERT_EQ(0, myfs_chdir(other, home().c_str()));
  int theirs = myfs_open(other, "out", O_RDONLY, 0);
  std::string text = text_of(5'000'000, 1);
  pwrite(in_, text, 0);
  pwrite(out_, text_of(1'000'000, 2), 0);
  std::string before(1'000'000, '?');  // what they have cached must not stay
  ASSERT_EQ(1'000'000, myfs_pread(other, theirs, before.data(), before.size(), 0));
  ASSERT_TRUE(before == text_of(1'000'000, 2));
  ASSERT_EQ(0, myfs_clone_file_range(task_, in_, 0, out_, 0, 0)) << last_message();
  std::string seen(text.size(), '?');
  ASSERT_EQ(static_cast<ssize_t>(seen.size()),
            myfs_pread(other, theirs, seen.data(), seen.size(), 0));
  ASSERT_TRUE(seen == text);
  ASSERT_TRUE(pread(out_, text.size(), 0) == text);
  pwrite(in_, "source", 100'000);
  pwrite(out_, "target", 4'900'000);
  ASSERT_EQ(0, myfs_fsync(task_, in_));
  ASSERT_EQ(0, myfs_fsync(task_, out_));
  EXPECT_EQ(0, myfs_task_destroy(other));
  restart_server();
  std::string ours = text;
  ours.replace(100'000, 6, "source");
  text.replace(4'900'000, 6, "target");
  EXPECT_TRUE(pread(in_, ours.size(), 0) == ours);
  EXPECT_TRUE(pread(out_, text.size(), 0) == text);
}

TEST_F(Copy, fiemap_EINVAL) {
  myfs_extent extent;
  EXPECT_EQ(-EINVAL, myfs_fiemap(task_, in_, 0, 10, nullptr, 1));
  EXPECT_EQ(-EINVAL, myfs_fiemap(task_, in_, 0, 10, &extent, 0));
  EXPECT_EQ(-EINVAL, myfs_fiemap(task_, in_, -1, 10, &extent, 1));
  EXPECT_EQ(-EINVAL, myfs_fiemap(task_, in_, 0, 0, &extent, 1));
}

TEST_F(Copy, fiemap_EBADF) {
  myfs_extent extent;
  EXPECT_EQ(-EBADF, myfs_fiemap(task_, 99, 0, 10, &extent, 1));
}

TEST_F(Copy, fiemap_EOPNOTSUPP) {
  make_dir("d");
  myfs_extent extent;
  EXPECT_EQ(-EOPNOTSUPP, myfs_fiemap(task_, open("d", O_RDONLY), 0, 10, &extent, 1));
}

// What is dirty in the cache is copied, and what is cached of the target is not old afterwards.
TEST_F(Copy, the_cache_of_both_files_counts) {
  const std::string old_text = text_of(300'000, 1), text = text_of(200'000, 2);
  pwrite(out_, old_text, 0);
  EXPECT_EQ(old_text, pread(out_, old_text.size(), 0));
  pwrite(in_, text, 0);
  EXPECT_EQ(200'000, copy(0, 50'000, 1 << 20));
  EXPECT_EQ(old_text.substr(0, 50'000) + text + old_text.substr(250'000), pread(out_, 1 << 20, 0));
}

TEST_F(Copy, another_client_sees_it_at_once) {
  myfs_task* other = nullptr;
  ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &other)) << last_message();
  ASSERT_EQ(0, myfs_chdir(other, home().c_str()));
  int theirs = myfs_open(other, "out", O_RDONLY, 0);
  int source = myfs_open(other, "in", O_RDWR, 0);
  for (uint32_t round = 0; round < 20; ++round) {
    const std::string text = text_of(70'000 + round, round);
    // Written and still dirty in the other client's cache.
    ASSERT_EQ(static_cast<ssize_t>(text.size()),
              myfs_pwrite(other, source, text.data(), text.size(), 0));
    ASSERT_EQ(static_cast<ssize_t>(text.size()), copy(0, 0, text.size()));
    std::string seen(text.size(), '?');
    ASSERT_EQ(static_cast<ssize_t>(seen.size()),
              myfs_pread(other, theirs, seen.data(), seen.size(), 0));
    ASSERT_EQ(text, seen) << round;
    struct stat st;
    ASSERT_EQ(0, myfs_fstat(other, theirs, &st));
    ASSERT_EQ(static_cast<off_t>(text.size()), st.st_size);
  }
  EXPECT_EQ(0, myfs_task_destroy(other));
}

TEST_F(Copy, more_than_one_call_of_the_protocol) {
  constexpr off_t kSize = 130 << 20;
  ASSERT_EQ(0, myfs_ftruncate(task_, in_, kSize));
  pwrite(in_, "end", kSize - 3);
  EXPECT_EQ(kSize, copy(0, 0, kSize + 5)) << "shared";
  EXPECT_EQ("end", pread(out_, 10, kSize - 3));
  EXPECT_EQ(kSize, copy(0, 1, kSize + 5)) << "not to be shared";
  EXPECT_EQ("end", pread(out_, 10, kSize - 2));
}

TEST_F(Copy, survives_the_server) {
  const std::string text = text_of(100'000, 3);
  pwrite(in_, text, 0);
  ASSERT_EQ(100'000, copy(0, 0, text.size()));
  restart_server();
  EXPECT_EQ(text, content("out"));
}

TEST_F(Copy, fiemap_tells_data_from_holes) {
  constexpr off_t kAt = 8 << 20;
  int fd = open("sparse");
  pwrite(fd, text_of(65'536, 1), 0);
  pwrite(fd, text_of(65'536, 1), kAt);
  std::vector<myfs_extent> extents(8);
  ASSERT_EQ(2, myfs_fiemap(task_, fd, 0, LONG_MAX, extents.data(), extents.size()));
  EXPECT_EQ(0u, extents[0].offset);
  EXPECT_EQ(65'536u, extents[0].size);
  EXPECT_EQ(0u, extents[0].flags);
  EXPECT_EQ(static_cast<uint64_t>(kAt), extents[1].offset);
  EXPECT_EQ(unsigned{MYFS_EXTENT_LAST}, extents[1].flags);
  ASSERT_EQ(1, myfs_fiemap(task_, fd, 100'000, LONG_MAX, extents.data(), extents.size()));
  EXPECT_EQ(static_cast<uint64_t>(kAt), extents[0].offset);
  EXPECT_EQ(0, myfs_fiemap(task_, fd, 100'000, 1000, extents.data(), extents.size()));
}

TEST_F(Copy, fiemap_tells_what_is_shared) {
  pwrite(in_, text_of(2 * kUnit, 1), 0);
  myfs_extent extents[2];
  ASSERT_EQ(1, myfs_fiemap(task_, in_, 0, LONG_MAX, extents, 2));
  EXPECT_EQ(unsigned{MYFS_EXTENT_LAST}, extents[0].flags);
  ASSERT_EQ(0, myfs_clone_file(task_, in_, out_));
  for (int fd : {in_, out_}) {
    ASSERT_EQ(1, myfs_fiemap(task_, fd, 0, LONG_MAX, extents, 2));
    EXPECT_EQ(static_cast<uint64_t>(2 * kUnit), extents[0].size);
    EXPECT_EQ(unsigned{MYFS_EXTENT_LAST | MYFS_EXTENT_SHARED}, extents[0].flags);
  }
  ASSERT_EQ(0, myfs_ftruncate(task_, out_, 0));
  ASSERT_EQ(1, myfs_fiemap(task_, in_, 0, LONG_MAX, extents, 2));
  EXPECT_EQ(unsigned{MYFS_EXTENT_LAST}, extents[0].flags);
}

}  // namespace
}  // namespace myfs::test
