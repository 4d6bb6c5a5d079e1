// What a client had written and could not bring to its server: who is told, with which bytes, and
// what the calls say.

#include <myfs/lowlevel.h>
#include <sys/mount.h>
#include <myfs/lost_writes.hpp>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <functional>
#include <mutex>
#include <sstream>

#include <gmock/gmock.h>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

using testing::HasSubstr;

std::string file_text(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// Collects what a mount loses.
class Losses {
 public:
  struct Loss {
    std::string path, reason, bytes;
    uint64_t ino, file_size;
    int error;
    std::vector<std::pair<uint64_t, uint64_t>> ranges;
  };

  // `also`: done in the function; its result is returned.
  explicit Losses(
      myfs_task* task, std::function<int()> also = [] { return 0; })
      : also_(std::move(also)) {
    EXPECT_EQ(0, myfs_on_lost_writes(task, "/", &told, this, &listener_)) << last_message();
  }
  ~Losses() { off(); }
  void off() { EXPECT_EQ(0, myfs_off_lost_writes(std::exchange(listener_, nullptr))); }

  std::vector<Loss> wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    const bool came =
        changed_.wait_for(lock, std::chrono::seconds(60), [&] { return losses_.size() >= count; });
    EXPECT_TRUE(came);
    return losses_;
  }

 private:
  static int told(void* self, const myfs_lost_writes* lost) {
    return static_cast<Losses*>(self)->told(*lost);
  }
  int told(const myfs_lost_writes& lost) {
    EXPECT_EQ(sizeof lost, lost.size);
    Loss loss{lost.path, lost.reason, "", lost.ino, lost.file_size, lost.error, {}};
    for (size_t i = 0; i < lost.range_count; ++i) {
      const myfs_lost_range& range = lost.ranges[i];
      loss.ranges.emplace_back(range.offset, range.length);
      std::string bytes(range.length + 1, '?');
      const ssize_t count =
          myfs_lost_read(lost.reader, bytes.data(), bytes.size(), static_cast<off_t>(range.offset));
      EXPECT_EQ(static_cast<ssize_t>(range.length), count);
      loss.bytes += bytes.substr(0, range.length);
      EXPECT_EQ(0, myfs_lost_read(lost.reader, bytes.data(), 1,
                                  static_cast<off_t>(range.offset + range.length)));
    }
    EXPECT_EQ(-EINVAL, myfs_lost_read(lost.reader, nullptr, 1, 0));
    const int result = also_();
    std::lock_guard lock(mutex_);
    losses_.push_back(std::move(loss));
    changed_.notify_all();
    return result;
  }

  const std::function<int()> also_;
  myfs_lost_listener* listener_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Loss> losses_;
};

class LostWrites : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(0, ::mkdir(salvage().c_str(), 0755));
    ASSERT_TRUE(server_.start()) << server_.output();
  }
  std::string salvage() const { return dir_ / "salvage"; }
  // A file under W, open.
  int open_leased(Client& client, const std::string& path) {
    const int fd = client.open(path, O_RDWR | O_CREAT);
    EXPECT_GE(fd, 0) << last_message();
    EXPECT_EQ(6, myfs_pwrite(client, fd, "stable", 6, 0));
    EXPECT_EQ(0, myfs_fsync(client, fd));
    return fd;
  }
  void write(Client& client, int fd, const std::string& text, off_t offset) {
    EXPECT_EQ(static_cast<ssize_t>(text.size()),
              myfs_pwrite(client, fd, text.data(), text.size(), offset))
        << last_message();
  }
  // The next server forgets the sessions: what was written since `kill9` is lost.
  void restart() { ASSERT_TRUE(server_.start(kForgetSessions)) << server_.output(); }
  std::vector<std::filesystem::path> rescued(const std::string& suffix) {
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(salvage())) {
      if (entry.path().extension() == suffix) found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  TempDir dir_;
  MyfsdProcess server_{dir_ / "data"};
};

TEST_F(LostWrites, AreToldOnceForEachFileWithTheirBytes) {
  Client client(server_.url());
  ASSERT_EQ(0, myfs_mkdir(client, "/d", 0755));
  Losses losses(client);
  const int fd = open_leased(client, "/d/f"), other = open_leased(client, "/other");
  const int clean = open_leased(client, "/clean");
  const std::string head = pattern(3 * 4096, 1), tail = pattern(5000, 2);
  server_.kill9();
  write(client, fd, head, 0);
  write(client, fd, tail, 1 << 20);
  write(client, other, "S", 0);
  restart();
  const std::vector<Losses::Loss> told = losses.wait_for(2);
  ASSERT_EQ(2u, told.size());
  const Losses::Loss& first = told[told[0].path == "/d/f" ? 0 : 1];
  const Losses::Loss& second = told[told[0].path == "/d/f" ? 1 : 0];
  EXPECT_EQ("/d/f", first.path);
  EXPECT_EQ(head + tail, first.bytes);
  EXPECT_EQ((1u << 20) + 5000, first.file_size);
  EXPECT_EQ(EIO, first.error);
  EXPECT_THAT(first.reason, HasSubstr("session ended"));
  EXPECT_THAT(first.ranges,
              testing::ElementsAre(std::pair(0u, 3 * 4096u), std::pair(1u << 20, 5000u)));
  EXPECT_EQ(client.stat("/d/f").st_ino, first.ino);
  EXPECT_EQ("/other", second.path);
  EXPECT_EQ("Stable", second.bytes);
  EXPECT_EQ(-EIO, myfs_fsync(client, fd));
  EXPECT_EQ(-EIO, myfs_close(client, other));
  EXPECT_EQ(0, myfs_close(client, fd));
  EXPECT_EQ(0, myfs_close(client, clean));
  EXPECT_EQ(0, client.end());
  EXPECT_EQ(2u, losses.wait_for(2).size());
}

// dup shares the open file, a second open does not; whichever call comes first tells it.
TEST_F(LostWrites, AreTheErrorOfOneCallOfEachOpenFile) {
  Client client(server_.url());
  const int fd = open_leased(client, "/f");
  const int twin = myfs_dup(client, fd), again = client.open("/f", O_RDWR);
  const int third = client.open("/f", O_RDWR), reader = client.open("/f", O_RDONLY);
  server_.kill9();
  write(client, fd, "lost", 0);
  restart();
  EXPECT_EQ(-EIO, myfs_close(client, third));
  EXPECT_EQ(-EIO, myfs_fsync(client, twin));
  EXPECT_EQ(0, myfs_fsync(client, fd));
  EXPECT_EQ(0, myfs_close(client, twin));
  EXPECT_EQ(-EIO, myfs_fdatasync(client, again));
  EXPECT_EQ(0, myfs_close(client, again));
  EXPECT_EQ(0, myfs_close(client, fd));
  EXPECT_EQ(-EIO, myfs_fsync(client, reader));
  EXPECT_EQ(0, myfs_close(client, reader));
  const int later = client.open("/f", O_RDWR);
  EXPECT_EQ(0, myfs_fsync(client, later));
  EXPECT_EQ(0, myfs_close(client, later));
  EXPECT_EQ("stable", client.get("/f"));
}

// Whoever could have written hears of it at once, whoever can only read does not.
TEST_F(LostWrites, AreToldByTheNextReadOrWrite) {
  Client client(server_.url());
  const int fd = open_leased(client, "/f");
  const int reads = client.open("/f", O_RDWR), appends = client.open("/f", O_WRONLY | O_APPEND);
  const int looks = client.open("/f", O_RDONLY);
  server_.kill9();
  write(client, fd, "lost", 0);
  restart();
  struct statfs st;
  ASSERT_EQ(0, myfs_statfs(client, "/", &st)) << last_message();  // in the next session
  char bytes[16];
  EXPECT_EQ(6, myfs_pread(client, looks, bytes, sizeof bytes, 0)) << last_message();
  EXPECT_EQ("stable", std::string(bytes, 6));
  EXPECT_EQ(-EIO, myfs_pread(client, reads, bytes, sizeof bytes, 0));
  EXPECT_EQ(6, myfs_pread(client, reads, bytes, sizeof bytes, 0)) << last_message();
  EXPECT_EQ(-EIO, myfs_write(client, appends, "more", 4));
  EXPECT_EQ(4, myfs_write(client, appends, "more", 4)) << last_message();
  EXPECT_EQ(-EIO, myfs_pwrite(client, fd, "again", 5, 0));
  EXPECT_EQ(5, myfs_pwrite(client, fd, "again", 5, 0)) << last_message();
  // Whoever syncs may be somebody else than who has heard of it.
  EXPECT_EQ(-EIO, myfs_fsync(client, fd));
  EXPECT_EQ(-EIO, myfs_close(client, reads));
  EXPECT_EQ(-EIO, myfs_close(client, appends));
  EXPECT_EQ(0, myfs_close(client, fd));
  EXPECT_EQ(0, myfs_close(client, looks));
  EXPECT_EQ("againemore", client.get("/f"));
}

TEST_F(LostWrites, AreToldThoughNobodyHasTheFileOpenAnyMore) {
  Client client(server_.url());
  Losses losses(client);
  myfs_entry root{}, entry{};
  root.size = entry.size = sizeof root;
  ASSERT_EQ(0, myfs_ll_open_path(client, nullptr, "/", &root));
  myfs_file* file = nullptr;
  ASSERT_EQ(0, myfs_ll_create(root.inode, nullptr, "f", O_RDWR, 0644, 0, &entry, &file));
  const iovec stable{const_cast<char*>("stable"), 6}, lost{const_cast<char*>("lost"), 4};
  ASSERT_EQ(6, myfs_ll_write(file, nullptr, &stable, 1, 0));
  ASSERT_EQ(0, myfs_ll_fsync(file, nullptr, 0));
  server_.kill9();
  ASSERT_EQ(4, myfs_ll_write(file, nullptr, &lost, 1, 0));
  ASSERT_EQ(0, myfs_ll_release(file));
  restart();
  EXPECT_EQ("lostle", losses.wait_for(1)[0].bytes);
  const int fd = client.open("/f", O_RDWR);
  EXPECT_EQ(0, myfs_close(client, fd));
  EXPECT_EQ(0, myfs_ll_forget(entry.inode, 1));
  EXPECT_EQ(0, myfs_ll_forget(root.inode, 1));
  EXPECT_EQ(-EIO, client.end()) << "no call has told it so far";
}

TEST_F(LostWrites, GoToARescueFileEach) {
  Client client(server_.url(), "salvage_dir=" + salvage());
  const int fd = open_leased(client, "/f");
  const std::string tail = pattern(5000, 3);
  for (const char* text : {"first", "other"}) {
    ASSERT_EQ(6, myfs_pwrite(client, fd, "stable", 6, 0));
    ASSERT_EQ(0, myfs_fsync(client, fd));
    server_.kill9();
    write(client, fd, text, 0);
    write(client, fd, tail, 1 << 20);
    restart();
    EXPECT_EQ(-EIO, myfs_fsync(client, fd));
  }
  EXPECT_EQ(0, myfs_close(client, fd));
  const uint64_t ino = client.stat("/f").st_ino;
  EXPECT_EQ(0, client.end());  // waits until they are written
  const auto data = rescued(".data"), json = rescued(".json");
  ASSERT_EQ(2u, data.size());
  ASSERT_EQ(2u, json.size());
  std::vector<std::string> heads;
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(json[i].stem(), data[i].stem());
    const std::string bytes = file_text(data[i]), described = file_text(json[i]);
    ASSERT_EQ((1u << 20) + tail.size(), bytes.size());
    EXPECT_EQ(tail, bytes.substr(1 << 20));
    heads.push_back(bytes.substr(0, 6));
    struct stat st {};
    ASSERT_EQ(0, ::stat(data[i].c_str(), &st));
    EXPECT_LT(st.st_blocks * 512, 1 << 20) << "not sparse";
    EXPECT_EQ(0600u, st.st_mode & 07777);
    for (const std::string& part :
         {std::string("\"path\": \"/f\""), "\"inode\": " + std::to_string(ino),
          "\"data\": \"" + data[i].filename().string() + "\"", std::string("\"offset\": 1048576"),
          std::string("\"length\": 5000"), std::string("\"error\": \"EIO\"")}) {
      EXPECT_THAT(described, HasSubstr(part));
    }
  }
  EXPECT_THAT(heads, testing::UnorderedElementsAre("firste", "othere"));
}

TEST_F(LostWrites, GoToAFileOnlyIfNobodyTakesCareOfThem) {
  Client client(server_.url(), "salvage_dir=" + salvage());
  std::atomic<int> answer{0};
  Losses losses(client, [&] { return answer.load(); });
  const int fd = open_leased(client, "/f");
  for (const size_t files : {0, 1}) {
    answer = static_cast<int>(files);
    ASSERT_EQ(6, myfs_pwrite(client, fd, "stable", 6, 0));
    ASSERT_EQ(0, myfs_fsync(client, fd));
    server_.kill9();
    write(client, fd, "lost", 0);
    restart();
    losses.wait_for(files + 1);
    EXPECT_EQ(-EIO, myfs_fsync(client, fd));
  }
  EXPECT_EQ(0, myfs_close(client, fd));
  EXPECT_EQ(0, client.end());
  EXPECT_EQ(1u, rescued(".data").size());
}

TEST_F(LostWrites, ThatCannotBeRescuedAreNamedWithTheError) {
  static std::mutex mutex;
  static std::string said;
  said.clear();
  myfs_set_log(
      [](void*, int, const char* line) {
        std::lock_guard lock(mutex);
        said.append(line).append("\n");
      },
      nullptr, 1);
  Client client(server_.url(), "salvage_dir=" + salvage());
  const int fd = open_leased(client, "/f");
  server_.kill9();
  write(client, fd, "lost", 0);
  std::filesystem::remove(salvage());
  restart();
  EXPECT_EQ(-EIO, myfs_fsync(client, fd));
  EXPECT_EQ(0, myfs_close(client, fd));
  EXPECT_EQ(0, client.end());
  myfs_set_log(nullptr, nullptr, 1);
  EXPECT_THAT(said, HasSubstr("lost what was written to /f"));
  EXPECT_THAT(said, HasSubstr("cannot create " + salvage()));
  EXPECT_THAT(said, HasSubstr("ENOENT"));
}

TEST_F(LostWrites, AskForADirectoryThatIsThere) {
  const std::string file = dir_ / "file";
  std::ofstream(file) << "x";
  for (const auto& [path, error] : {std::pair(dir_ / "none", ENOENT), std::pair(file, ENOTDIR)}) {
    const std::string options = "salvage_dir=" + path;
    const myfs_mount_options o{sizeof o, options.c_str(), nullptr};
    myfs_task* task = nullptr;
    EXPECT_EQ(-error, myfs_open_url(server_.url().c_str(), &o, &task));
    EXPECT_THAT(last_message(), HasSubstr("salvage_dir: cannot open " + path));
  }
}

class InCallback : public LostWrites {
 protected:
  // Loses something of `client`.
  void lose(Client& client) {
    const int fd = open_leased(client, "/f");
    server_.kill9();
    write(client, fd, "lost", 0);
    restart();
    EXPECT_EQ(-EIO, myfs_close(client, fd));
  }
};

TEST_F(InCallback, umount_EDEADLK) {
  Client client(server_.url());
  std::atomic<int> result{0};
  Losses losses(client, [&] {
    result = myfs_umount(client, "/", MNT_DETACH);
    return 0;
  });
  lose(client);
  losses.wait_for(1);
  EXPECT_EQ(-EDEADLK, result.load());
  EXPECT_EQ("stable", client.get("/f"));
}

TEST_F(InCallback, task_destroy_EDEADLK) {
  Client client(server_.url());
  std::atomic<int> result{0};
  Losses losses(client, [&] {
    result = myfs_task_destroy(client);
    return 0;
  });
  lose(client);
  losses.wait_for(1);
  EXPECT_EQ(-EDEADLK, result.load());
  EXPECT_EQ("stable", client.get("/f"));
}

// It may use the mount, and it may be the last call.
TEST_F(InCallback, TheFunctionMayCallTheLibraryAndTakeItselfAway) {
  Client client(server_.url());
  std::string seen;
  Losses* self = nullptr;
  Losses losses(client, [&] {
    seen = client.get("/f");
    EXPECT_EQ(0, client.put("/saved", "saved"));
    self->off();
    return 0;
  });
  self = &losses;
  lose(client);
  losses.wait_for(1);
  EXPECT_EQ("stable", seen);
  EXPECT_EQ("saved", client.get("/saved"));
  lose(client);
  EXPECT_EQ(0, client.end());
  EXPECT_EQ(1u, losses.wait_for(1).size());
}

TEST_F(InCallback, AreObjectsInCxx) {
  Client client(server_.url());
  auto task = myfs::Task::open(server_.url());
  ASSERT_TRUE(task) << task.error().message();
  std::atomic<bool> told{false};
  auto listener = myfs::LostWritesListener::create(*task, "/", [&](const myfs::LostWrites& lost) {
    std::byte bytes[16];
    EXPECT_EQ("/mine", lost.path());
    EXPECT_EQ(1u, lost.ranges().size());
    EXPECT_EQ(6u, lost.read(bytes, 0).value());
    EXPECT_FALSE(lost.read(bytes, -1));
    told = true;
    return true;
  });
  ASSERT_TRUE(listener) << listener.error().message();
  auto file = task->open_file("/mine", O_RDWR | O_CREAT);
  ASSERT_TRUE(file) << file.error().message();
  EXPECT_EQ(6, myfs_pwrite(task->get(), file->fd(), "stable", 6, 0));
  EXPECT_EQ(0, myfs_fsync(task->get(), file->fd()));
  server_.kill9();
  EXPECT_EQ(4, myfs_pwrite(task->get(), file->fd(), "lost", 4, 0));
  restart();
  EXPECT_EQ(-EIO, myfs_fsync(task->get(), file->fd()));
  while (!told) std::this_thread::yield();
}

TEST_F(LostWrites, on_lost_writes_EINVAL) {
  Client client(server_.url());
  myfs_lost_listener* listener = nullptr;
  auto nobody = [](void*, const myfs_lost_writes*) { return 0; };
  EXPECT_EQ(-EINVAL, myfs_on_lost_writes(client, "/", nullptr, nullptr, &listener));
  EXPECT_EQ(-EINVAL, myfs_on_lost_writes(client, "/", nobody, nullptr, nullptr));
  EXPECT_EQ(-ENOENT, myfs_on_lost_writes(client, "/none", nobody, nullptr, &listener));
  EXPECT_EQ(0, myfs_off_lost_writes(nullptr));
}

TEST_F(LostWrites, lost_read_EINVAL) {
  char byte;
  EXPECT_EQ(-EINVAL, myfs_lost_read(nullptr, &byte, 1, 0));
}

}  // namespace
}  // namespace myfs::test
