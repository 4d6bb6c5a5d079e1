// Two clients that write to the same file, in one process and in two.
#include <fcntl.h>

#include <atomic>
#include <set>
#include <sstream>
#include <thread>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

class Sharing : public TwoClients {};
MYFS_ON_BOTH_TRANSPORTS(Sharing);

// Lines "tag i" of both tags, each tag's in order, none lost, none twice.
void expect_all_lines(const std::string& text, const std::vector<std::string>& tags, int count) {
  std::istringstream lines(text);
  std::map<std::string, int> next;
  std::string tag;
  int number;
  size_t total = 0;
  while (lines >> tag >> number) {
    ASSERT_EQ(next[tag], number) << tag;
    ++next[tag];
    ++total;
  }
  for (const std::string& each : tags) EXPECT_EQ(count, next[each]) << each;
  EXPECT_EQ(tags.size() * static_cast<size_t>(count), total);
}

void append_lines(Client& client, const std::string& path, const std::string& tag, int count) {
  int fd = client.open(path, O_WRONLY | O_CREAT | O_APPEND);
  ASSERT_GE(fd, 0) << error_text(fd);
  for (int i = 0; i < count; ++i) {
    std::string line = tag + " " + std::to_string(i) + "\n";
    ASSERT_EQ(static_cast<ssize_t>(line.size()), myfs_write(client, fd, line.data(), line.size()));
  }
  EXPECT_EQ(0, myfs_close(client, fd));
}

TEST_P(Sharing, AlternatingWritesToOneFile) {
  int fa = a().open("/f", O_RDWR | O_CREAT), fb = b().open("/f", O_RDWR | O_CREAT);
  ASSERT_GE(fa, 0);
  ASSERT_GE(fb, 0);
  std::string expected;
  for (int i = 0; i < 60; ++i) {
    const std::string text = pattern(100 + 37 * i, i);
    Client& writer = i % 2 == 0 ? a() : b();
    Client& reader = i % 2 == 0 ? b() : a();
    ASSERT_EQ(static_cast<ssize_t>(text.size()),
              myfs_pwrite(writer, i % 2 == 0 ? fa : fb, text.data(), text.size(),
                          static_cast<off_t>(expected.size())));
    expected += text;
    ASSERT_EQ(expected, reader.get(i % 2 == 0 ? fb : fa)) << i;
  }
  EXPECT_EQ(0, myfs_close(a(), fa));
  EXPECT_EQ(0, myfs_close(b(), fb));
}

TEST_P(Sharing, WritersOfDifferentPartsOfOnePageLoseNothing) {
  ASSERT_EQ(0, a().put("/f", std::string(4096, '.')));
  auto work = [&](Client& client, int half) {
    int fd = client.open("/f", O_RDWR);
    ASSERT_GE(fd, 0);
    for (int i = 0; i < 200; ++i) {
      const char c = static_cast<char>('a' + i % 26);
      ASSERT_EQ(1, myfs_pwrite(client, fd, &c, 1, half * 2048 + i));
    }
    ASSERT_EQ(0, myfs_close(client, fd));
  };
  std::thread other([&] { work(b(), 1); });
  work(a(), 0);
  other.join();
  std::string expected(4096, '.');
  for (int half = 0; half < 2; ++half) {
    for (int i = 0; i < 200; ++i) expected[half * 2048 + i] = static_cast<char>('a' + i % 26);
  }
  EXPECT_EQ(expected, a().get("/f"));
  EXPECT_EQ(expected, b().get("/f"));
}

TEST_P(Sharing, AppendsFromTwoThreadsOfTwoClients) {
  constexpr int kLines = 300;
  std::thread other([&] { append_lines(b(), "/log", "b", kLines); });
  append_lines(a(), "/log", "a", kLines);
  other.join();
  expect_all_lines(a().get("/log"), {"a", "b"}, kLines);
  expect_all_lines(b().get("/log"), {"a", "b"}, kLines);
}

TEST_P(Sharing, AppendsFromTwoProcesses) {
  constexpr int kLines = 300;
  Peer one(url()), two(url());
  ASSERT_EQ("0", one.mounted());
  ASSERT_EQ("0", two.mounted());
  ASSERT_TRUE(one.send("append_lines /log one " + std::to_string(kLines)));
  ASSERT_TRUE(two.send("append_lines /log two " + std::to_string(kLines)));
  EXPECT_EQ("0", one.receive());
  EXPECT_EQ("0", two.receive());
  expect_all_lines(a().get("/log"), {"one", "two"}, kLines);
  EXPECT_EQ(0, one.end());
  EXPECT_EQ(0, two.end());
}

TEST_P(Sharing, AnotherProcessSeesEveryChangeAtOnce) {
  Peer peer(url());
  ASSERT_EQ("0", peer.mounted());
  for (int i = 0; i < 30; ++i) {
    const std::string name = "/p" + std::to_string(i);
    EXPECT_EQ("<ENOENT>", peer("size " + name));
    ASSERT_EQ(0, a().put(name, "mine"));
    EXPECT_EQ("4", peer("size " + name));
    EXPECT_EQ("mine", peer("get " + name));
    EXPECT_EQ("0", peer("put " + name + " his-own"));
    ASSERT_EQ("his-own", a().get(name));
    EXPECT_EQ("0", peer("unlink " + name));
    ASSERT_EQ(-ENOENT, a().find(name));
  }
  EXPECT_EQ(0, peer.end());
}

TEST_P(Sharing, ReadersSeeWholeWritesOnly) {
  constexpr size_t kSize = 8192;
  ASSERT_EQ(0, a().put("/f", std::string(kSize, 'a')));
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    int fd = a().open("/f", O_RDWR);
    for (int i = 0; i < 300; ++i) {
      const std::string text(kSize, static_cast<char>('a' + i % 26));
      ASSERT_EQ(static_cast<ssize_t>(kSize), myfs_pwrite(a(), fd, text.data(), kSize, 0));
    }
    ASSERT_EQ(0, myfs_close(a(), fd));
    stop.store(true);
  });
  int fd = b().open("/f", O_RDONLY);
  std::string text(kSize, '\0');
  while (!stop.load()) {
    ASSERT_EQ(static_cast<ssize_t>(kSize), myfs_pread(b(), fd, text.data(), kSize, 0));
    ASSERT_EQ(std::string(kSize, text[0]), text);
  }
  writer.join();
  EXPECT_EQ(0, myfs_close(b(), fd));
}

TEST_P(Sharing, OneCreatorWins) {
  for (int i = 0; i < 30; ++i) {
    const std::string path = "/x" + std::to_string(i);
    int results[2];
    auto create = [&](Client& client, int which) {
      results[which] = client.open(path, O_RDWR | O_CREAT | O_EXCL);
    };
    std::thread other([&] { create(b(), 1); });
    create(a(), 0);
    other.join();
    ASSERT_NE(results[0] >= 0, results[1] >= 0) << results[0] << " " << results[1];
    EXPECT_EQ(-EEXIST, std::min(results[0], results[1]));
    myfs_close(results[0] >= 0 ? a() : b(), std::max(results[0], results[1]));
  }
}

}  // namespace
}  // namespace myfs::test
