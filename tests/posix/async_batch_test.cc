// Batches: each entry as the single call, in few round trips.
#include <algorithm>

#include "tests/posix/async_test.h"

namespace myfs::test {
namespace {

// A server that does not wait for the disk.
class BatchTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    dir_ = std::make_unique<TempDir>();
    server_ = std::make_unique<MyfsdProcess>(*dir_ / "data",
                                             std::vector<std::string>{"--durability", "relaxed"});
    ASSERT_TRUE(server_->start()) << server_->output();
  }
  static void TearDownTestSuite() {
    server_.reset();
    dir_.reset();
  }
  // Files NAME0 ... in `path`, each with a content of its own.
  void make_files(Client& client, const std::string& path, size_t count) {
    ASSERT_EQ(0, myfs_mkdir(client, path.c_str(), 0755)) << last_message();
    for (size_t i = 0; i < count; ++i) {
      ASSERT_EQ(0, client.put(path + "/name" + std::to_string(i), content_of(i)));
    }
  }
  // The same, empty, but many at a time; the mode tells which.
  void make_empty_files(Client& client, const std::string& path, size_t count) {
    ASSERT_EQ(0, myfs_mkdir(client, path.c_str(), 0755)) << last_message();
    const myfs_async_options options{sizeof options, MYFS_ASYNC_SERVICE, 64};
    myfs_async* queue = nullptr;
    ASSERT_EQ(0, myfs_async_create(client, &options, &queue)) << last_message();
    std::deque<Told> told(count);
    for (size_t i = 0; i < count; ++i) {
      const myfs_op op = told[i].op();
      const std::string name = path + "/name" + std::to_string(i);
      ASSERT_EQ(0, myfs_async_mknod(queue, &op, name.c_str(), S_IFREG | mode_of(i), 0));
    }
    ASSERT_EQ(0, serve_all(queue, told)) << last_message();
    ASSERT_EQ(0, myfs_async_destroy(queue));
  }
  // The number of failures.
  static int64_t serve_all(myfs_async* queue, std::deque<Told>& told) {
    size_t next = 0;  // not known to be told
    EXPECT_TRUE(serve_until(queue, [&] {
      while (next < told.size() && told[next].times.load() > 0) ++next;
      return next == told.size();
    }));
    return std::count_if(told.begin(), told.end(), [](Told& t) { return t.result.load() != 0; });
  }
  static mode_t mode_of(size_t i) { return static_cast<mode_t>(0400 | (i & 077)); }
  static std::string content_of(size_t i) { return std::string(i % 50, 'x') + std::to_string(i); }

  static std::unique_ptr<TempDir> dir_;
  static std::unique_ptr<MyfsdProcess> server_;
};

std::unique_ptr<TempDir> BatchTest::dir_;
std::unique_ptr<MyfsdProcess> BatchTest::server_;

// Paths and the entries that refer to them.
struct StatBatch {
  explicit StatBatch(std::vector<std::string> of) : paths(std::move(of)), entries(paths.size()) {
    for (size_t i = 0; i < paths.size(); ++i) entries[i].path = paths[i].c_str();
  }
  std::vector<std::string> paths;
  std::vector<myfs_stat_entry> entries;
};

TEST_F(BatchTest, TenThousandColdPathsNeedAtMostFiftyRoundTrips) {
  constexpr size_t kFiles = 10'000;
  Client maker(server_->url());
  make_empty_files(maker, "/many", kFiles);
  ASSERT_EQ(0, maker.end());
  Client client(server_->url());
  std::vector<std::string> paths;
  for (size_t i = 0; i < kFiles; ++i) paths.push_back("/many/name" + std::to_string(i));
  StatBatch batch(std::move(paths));
  const uint64_t before = client.server_operations();
  ASSERT_EQ(static_cast<int>(kFiles),
            myfs_stat_many(client, batch.entries.data(), batch.entries.size(), 0));
  const uint64_t needed = client.server_operations() - before;
  EXPECT_LE(needed, 50u);
  for (size_t i = 0; i < kFiles; ++i) {
    ASSERT_EQ(0, batch.entries[i].result) << i;
    ASSERT_EQ(S_IFREG | (mode_of(i) & ~022u), batch.entries[i].stat.st_mode) << i;
  }
  // Now they are cached.
  const myfs_stats cached = client.stats();
  EXPECT_EQ(static_cast<int>(kFiles),
            myfs_stat_many(client, batch.entries.data(), batch.entries.size(), 0));
  const myfs_stats after = client.stats();
  EXPECT_EQ(0u, (after.rpcs - after.renewals) - (cached.rpcs - cached.renewals));
  ASSERT_EQ(0, myfs_chmod(client, "/many/name7", 0600));
}

TEST_F(BatchTest, EachEntryHasItsOwnResult) {
  Client client(server_->url());
  make_files(client, "/mixed", 30);
  ASSERT_EQ(0, myfs_symlink(client, "name3", "/mixed/link"));
  ASSERT_EQ(0, myfs_symlink(client, "nowhere", "/mixed/dangling"));
  ASSERT_EQ(0, client.end());
  Client fresh(server_->url());
  std::vector<std::string> paths = {"/mixed/link",
                                    "/mixed/dangling",
                                    "/mixed",
                                    "/absent/name0",
                                    "/mixed/name4/x",
                                    "",
                                    "/mixed/name5/",
                                    "/",
                                    "/mixed/../mixed/name6",
                                    std::string(300, 'n')};
  for (int i = 0; i < 40; ++i) paths.push_back("/mixed/name" + std::to_string(i));
  StatBatch batch(paths);
  batch.entries.push_back({nullptr, 1, {}});
  EXPECT_EQ(34, myfs_stat_many(fresh, batch.entries.data(), batch.entries.size(), 0));
  Client other(server_->url());
  for (size_t i = 0; i < paths.size(); ++i) {
    struct stat st {};
    const int expected = myfs_stat(other, paths[i].c_str(), &st);
    EXPECT_EQ(expected, batch.entries[i].result) << paths[i];
    if (expected != 0) continue;
    EXPECT_EQ(st.st_ino, batch.entries[i].stat.st_ino) << paths[i];
  }
  EXPECT_EQ(-EINVAL, batch.entries.back().result);
  EXPECT_EQ(35,
            myfs_stat_many(fresh, batch.entries.data(), batch.entries.size(), AT_SYMLINK_NOFOLLOW));
  EXPECT_TRUE(S_ISLNK(batch.entries[0].stat.st_mode));
}

TEST_F(BatchTest, ALargeDirectoryIsNotReadForAFewNames) {
  Client maker(server_->url());
  make_empty_files(maker, "/large", 2500);
  ASSERT_EQ(0, maker.end());
  Client client(server_->url());
  std::vector<std::string> paths;
  for (int i = 0; i < 12; ++i) paths.push_back("/large/name" + std::to_string(i * 200));
  StatBatch batch(std::move(paths));
  EXPECT_EQ(12, myfs_stat_many(client, batch.entries.data(), batch.entries.size(), 0));
  EXPECT_LT(client.stats().dentries, 2400u);
}

TEST_F(BatchTest, OthersChangesAreSeen) {
  Client writer(server_->url()), reader(server_->url());
  make_files(writer, "/shared", 50);
  std::vector<std::string> paths;
  for (int i = 0; i < 50; ++i) paths.push_back("/shared/name" + std::to_string(i));
  StatBatch batch(std::move(paths));
  ASSERT_EQ(50, myfs_stat_many(reader, batch.entries.data(), 50, 0));
  ASSERT_EQ(0, myfs_unlink(writer, "/shared/name7"));
  ASSERT_EQ(0, myfs_chmod(writer, "/shared/name8", 0600));
  ASSERT_EQ(0, writer.put("/shared/name9", "longer than before, that is to say long"));
  EXPECT_EQ(49, myfs_stat_many(reader, batch.entries.data(), 50, 0));
  EXPECT_EQ(-ENOENT, batch.entries[7].result);
  EXPECT_EQ(0600u, batch.entries[8].stat.st_mode & 07777);
  EXPECT_EQ(39, batch.entries[9].stat.st_size);
}

struct ReadBatch {
  ReadBatch(std::vector<std::string> of, size_t size)
      : paths(std::move(of)), buffers(paths.size(), std::string(size, '?')), entries(paths.size()) {
    for (size_t i = 0; i < paths.size(); ++i) {
      entries[i] = {paths[i].c_str(), buffers[i].data(), size, 0};
    }
  }
  std::string text(size_t i) const {
    const int64_t n = entries[i].result;
    return n < 0 ? error_text(n) : buffers[i].substr(0, static_cast<size_t>(n));
  }
  std::vector<std::string> paths;
  std::vector<std::string> buffers;
  std::vector<myfs_read_entry> entries;
};

TEST_F(BatchTest, SmallFilesComeManyAtATime) {
  constexpr size_t kFiles = 600;
  Client maker(server_->url());
  make_files(maker, "/small", kFiles);
  ASSERT_EQ(0, maker.end());
  Client client(server_->url());
  std::vector<std::string> paths;
  for (size_t i = 0; i < kFiles; ++i) paths.push_back("/small/name" + std::to_string(i));
  ReadBatch batch(std::move(paths), 100);
  const uint64_t before = client.server_operations();
  ASSERT_EQ(static_cast<int>(kFiles),
            myfs_open_read_close_many(client, batch.entries.data(), batch.entries.size()));
  EXPECT_LE(client.server_operations() - before, 12u);
  for (size_t i = 0; i < kFiles; ++i) ASSERT_EQ(content_of(i), batch.text(i)) << i;
}

TEST_F(BatchTest, AReadEntryIsWhatOpenReadAndCloseWouldBe) {
  Client client(server_->url());
  make_files(client, "/readmix", 20);
  const std::string large(300'000, 'l');
  ASSERT_EQ(0, client.put("/readmix/large", large));
  ASSERT_EQ(0, client.put("/readmix/empty", ""));
  ASSERT_EQ(0, myfs_symlink(client, "name3", "/readmix/link"));
  ASSERT_EQ(0, myfs_mkdir(client, "/readmix/dir", 0755));
  std::vector<std::string> paths = {"/readmix/large", "/readmix/empty",  "/readmix/link",
                                    "/readmix/dir",   "/readmix/absent", "/absent/x"};
  for (int i = 0; i < 20; ++i) paths.push_back("/readmix/name" + std::to_string(i));
  // Written here and not closed: nobody else has it yet.
  int fd = client.open("/readmix/name5", O_WRONLY);
  ASSERT_EQ(3, myfs_pwrite(client, fd, "new", 3, 0));
  Client fresh(server_->url());
  for (myfs_task* task : {static_cast<myfs_task*>(client), static_cast<myfs_task*>(fresh)}) {
    ReadBatch batch(paths, 40);
    EXPECT_EQ(23, myfs_open_read_close_many(task, batch.entries.data(), batch.entries.size()));
    EXPECT_EQ(large.substr(0, 40), batch.text(0));
    EXPECT_EQ("", batch.text(1));
    EXPECT_EQ(content_of(3), batch.text(2));
    EXPECT_EQ("<EISDIR>", batch.text(3));
    EXPECT_EQ("<ENOENT>", batch.text(4));
    EXPECT_EQ("<ENOENT>", batch.text(5));
    EXPECT_EQ("new" + content_of(5).substr(3), batch.text(11));
    for (size_t i = 6; i < 20; ++i) EXPECT_EQ(content_of(i), batch.text(i + 6));
  }
  EXPECT_EQ(0, myfs_close(client, fd));
}

// As with each close() of a process.
TEST_F(BatchTest, LocksOfTheTaskEndWithTheCloseOfAnEntry) {
  Client client(server_->url()), other(server_->url());
  make_files(client, "/readlocks", 20);
  for (const bool cached : {true, false}) {
    Client mine(server_->url());
    const std::string path = "/readlocks/name7";
    const int fd = mine.open(path, O_RDWR), theirs = other.open(path, O_RDWR);
    struct flock whole {};
    whole.l_type = F_WRLCK;
    ASSERT_EQ(0, myfs_lock(mine, fd, F_SETLK, &whole));
    struct flock asked = whole;
    EXPECT_EQ(-EAGAIN, myfs_lock(other, theirs, F_SETLK, &asked));
    if (cached) {
      EXPECT_EQ(content_of(7), mine.get(fd));
    }
    ReadBatch batch({path, "/readlocks/name8"}, 100);
    EXPECT_EQ(2, myfs_open_read_close_many(mine, batch.entries.data(), batch.entries.size()));
    EXPECT_EQ(content_of(7), batch.text(0));
    asked = whole;
    EXPECT_EQ(0, myfs_lock(other, theirs, F_SETLK, &asked)) << "cached: " << cached;
    EXPECT_EQ(0, myfs_close(mine, fd));
    EXPECT_EQ(0, myfs_close(other, theirs));
  }
}

TEST_F(BatchTest, PermissionsAreThoseOfTheCall) {
  if (::geteuid() != 0) return;
  Client client(server_->url());
  make_files(client, "/private", 20);
  ASSERT_EQ(0, client.put("/private/empty", ""));
  for (int i = 0; i < 20; i += 2) {
    ASSERT_EQ(0, myfs_chmod(client, ("/private/name" + std::to_string(i)).c_str(), 0600));
  }
  ASSERT_EQ(0, myfs_chmod(client, "/private/empty", 0600));
  std::vector<std::string> paths = {"/private/empty"};
  for (int i = 0; i < 20; ++i) paths.push_back("/private/name" + std::to_string(i));
  Client fresh(server_->url());
  const myfs_cred cred{sizeof cred, 1234, 1234, nullptr, 0};
  const myfs_call call{sizeof call, &cred, 0, nullptr};
  ReadBatch batch(paths, 40);
  EXPECT_EQ(10, myfs_open_read_close_many_x(fresh, &call, batch.entries.data(), paths.size()));
  EXPECT_EQ("<EACCES>", batch.text(0));
  EXPECT_EQ("<EACCES>", batch.text(1));
  EXPECT_EQ(content_of(1), batch.text(2));
}

TEST_F(BatchTest, ABatchMayBeAsynchronous) {
  Client client(server_->url());
  make_files(client, "/later", 20);
  myfs_async* queue = nullptr;
  ASSERT_EQ(0, myfs_async_create(client, nullptr, &queue));
  std::vector<std::string> paths;
  for (int i = 0; i < 25; ++i) paths.push_back("/later/name" + std::to_string(i));
  StatBatch stats(paths);
  ReadBatch reads(paths, 40);
  Told first, second;
  myfs_op op = first.op();
  EXPECT_EQ(0, myfs_async_stat_many(queue, &op, stats.entries.data(), 25, 0));
  op = second.op();
  EXPECT_EQ(0, myfs_async_open_read_close_many(queue, &op, reads.entries.data(), 25));
  EXPECT_TRUE(serve_until(queue, [&] { return first.times + second.times == 2; }));
  EXPECT_EQ(20, first.result.load());
  EXPECT_EQ(20, second.result.load());
  EXPECT_EQ("<ENOENT>", reads.text(20));
  EXPECT_EQ(0, myfs_async_destroy(queue));
}

using BatchErrors = BatchTest;

TEST_F(BatchErrors, stat_many_EINVAL) {
  Client client(server_->url());
  myfs_stat_entry entry{"/", 0, {}};
  EXPECT_EQ(-EINVAL, myfs_stat_many(nullptr, &entry, 1, 0));
  EXPECT_EQ(-EINVAL, myfs_stat_many(client, nullptr, 1, 0));
  EXPECT_EQ(-EINVAL, myfs_stat_many(client, &entry, 1'000'001, 0));
  EXPECT_EQ(-EINVAL, myfs_stat_many(client, &entry, 1, AT_EMPTY_PATH));
  EXPECT_EQ(0, myfs_stat_many(client, nullptr, 0, 0));
}

TEST_F(BatchErrors, open_read_close_many_EINVAL) {
  Client client(server_->url());
  myfs_read_entry entry{"/", nullptr, 1, 0};
  EXPECT_EQ(-EINVAL, myfs_open_read_close_many(nullptr, &entry, 1));
  EXPECT_EQ(-EINVAL, myfs_open_read_close_many(client, nullptr, 1));
  EXPECT_EQ(-EINVAL, myfs_open_read_close_many(client, &entry, 1'000'001));
  EXPECT_EQ(0, myfs_open_read_close_many(client, &entry, 1));
  EXPECT_EQ(-EINVAL, entry.result);
}

}  // namespace
}  // namespace myfs::test
