// Leases that applications hold, between two clients and within one, and what they are told of
// invalidations.

#include <sys/mount.h>
#include <myfs/lease.hpp>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include <gmock/gmock.h>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

constexpr auto kPatience = std::chrono::seconds(60);

// A lease of one open file, and what its holder was told.
class Holder {
 public:
  using Also = std::function<void(const myfs_lease_recall&)>;

  // `also`: done when it is told.
  Holder(
      Client& client, const std::string& path, Also also = [](const myfs_lease_recall&) {},
      int flags = O_RDWR | O_CREAT)
      : client_(client), also_(std::move(also)) {
    fd_ = client.open(path, flags);
    EXPECT_GE(fd_, 0) << last_message();
  }
  ~Holder() {
    if (fd_ >= 0) close();
  }
  int fd() const { return fd_; }
  int take(int type, int64_t break_ms = 0) {
    const myfs_lease_options options{sizeof options, break_ms};
    return myfs_lease(client_, fd_, type, &Holder::told, this, &options);
  }
  int held() { return myfs_lease_held(client_, fd_); }
  void close() { EXPECT_EQ(0, myfs_close(client_, std::exchange(fd_, -1))) << last_message(); }
  // As "keep broken": "2 0" (F_UNLCK), "0 0" (F_RDLCK), "2 1".
  std::vector<std::string> wait_for(size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return told_.size() >= count; }));
    return told_;
  }

 private:
  static void told(void* self, const myfs_lease_recall* recall) {
    static_cast<Holder*>(self)->told(*recall);
  }
  void told(const myfs_lease_recall& recall) {
    also_(recall);
    std::lock_guard lock(mutex_);
    told_.push_back(std::to_string(recall.keep) + " " + std::to_string(recall.broken));
    changed_.notify_all();
  }

  Client& client_;
  const Also also_;
  int fd_ = -1;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> told_;
};

static_assert(F_RDLCK == 0 && F_WRLCK == 1 && F_UNLCK == 2);
using testing::ElementsAre;

class Leases : public TwoClients {
 protected:
  void SetUp() override {
    TwoClients::SetUp();
    ASSERT_EQ(0, a().put("/f", "old"));
  }
  // Waits, and is for others to give up.
  static int64_t pwrite(Client& client, int fd, const std::string& text) {
    return myfs_pwrite(client, fd, text.data(), text.size(), 0);
  }
};
MYFS_ON_BOTH_TRANSPORTS(Leases);

TEST_P(Leases, WhoeverChangesAReadLeasedFileWaitsForItsHolder) {
  Holder holder(a(), "/f");
  ASSERT_EQ(0, holder.take(F_RDLCK)) << last_message();
  EXPECT_EQ(F_RDLCK, holder.held());
  EXPECT_EQ("old", b().get("/f"));  // in nobody's way
  EXPECT_EQ(F_RDLCK, holder.held());
  std::atomic<bool> over{false};
  std::thread writer([&] {
    EXPECT_EQ(0, b().put("/f", "new"));
    over = true;
  });
  EXPECT_THAT(holder.wait_for(1), ElementsAre("2 0"));
  EXPECT_FALSE(over);
  EXPECT_EQ(F_RDLCK, holder.held());
  EXPECT_EQ("old", a().get(holder.fd()));
  EXPECT_EQ(F_RDLCK, holder.held());
  EXPECT_EQ(0, holder.take(F_UNLCK));
  writer.join();
  EXPECT_EQ(F_UNLCK, holder.held());
  EXPECT_EQ("new", a().get(holder.fd()));
  EXPECT_EQ(1u, holder.wait_for(1).size());
}

// Reclaimed with all the rest; a recall that the old server was waiting for is made anew.
TEST_P(Leases, OutliveTheirServer) {
  Holder holder(a(), "/f");
  ASSERT_EQ(0, holder.take(F_WRLCK)) << last_message();
  ASSERT_EQ(4, pwrite(a(), holder.fd(), "mine"));
  server_.kill9();
  ASSERT_TRUE(server_.start()) << server_.output();
  std::string seen;
  std::thread reader([&] { seen = b().get("/f"); });
  EXPECT_THAT(holder.wait_for(1), ElementsAre("0 0"));
  EXPECT_EQ(F_WRLCK, holder.held());
  server_.kill9();
  ASSERT_TRUE(server_.start()) << server_.output();
  EXPECT_EQ(0, holder.take(F_RDLCK)) << last_message();
  reader.join();
  EXPECT_EQ("mine", seen);
  EXPECT_EQ(F_RDLCK, holder.held());
  EXPECT_EQ(0u, a().stats().sessions_lost + b().stats().sessions_lost);
}

// It finishes what it was about, then keeps what it may.
TEST_P(Leases, AWriterGoesOnAsAReader) {
  Holder holder(a(), "/f");
  ASSERT_EQ(0, holder.take(F_WRLCK)) << last_message();
  ASSERT_EQ(3, pwrite(a(), holder.fd(), "tmp"));
  std::string seen;
  std::thread reader([&] { seen = b().get("/f"); });
  EXPECT_THAT(holder.wait_for(1), ElementsAre("0 0"));
  ASSERT_EQ(4, pwrite(a(), holder.fd(), "done"));
  EXPECT_EQ(F_WRLCK, holder.held());
  EXPECT_EQ(0, holder.take(F_RDLCK)) << last_message();
  reader.join();
  EXPECT_EQ("done", seen);
  EXPECT_EQ(F_RDLCK, holder.held());
  std::thread writer([&] { EXPECT_EQ(0, b().put("/f", "other")); });
  EXPECT_THAT(holder.wait_for(2), ElementsAre("0 0", "2 0"));
  EXPECT_EQ(0, holder.take(F_UNLCK));
  writer.join();
}

TEST_P(Leases, WhoDoesNotGiveItBackLosesIt) {
  Holder holder(a(), "/f");
  ASSERT_EQ(0, holder.take(F_RDLCK, 50));
  EXPECT_EQ(0, b().put("/f", "new"));
  EXPECT_THAT(holder.wait_for(2), ElementsAre("2 0", "2 1"));
  EXPECT_EQ(F_UNLCK, holder.held());
  EXPECT_EQ("new", a().get(holder.fd()));
}

// The default time leaves the server patient: nobody is evicted.
TEST_P(Leases, TheLongestTimeCostsNobodyTheSession) {
  Holder holder(a(), "/f");
  ASSERT_EQ(0, holder.take(F_WRLCK));
  ASSERT_EQ(4, pwrite(a(), holder.fd(), "mine"));
  EXPECT_EQ("mine", b().get("/f"));
  EXPECT_THAT(holder.wait_for(2), ElementsAre("0 0", "2 1"));
  EXPECT_EQ(0u, a().stats().sessions_lost + b().stats().sessions_lost);
}

TEST_P(Leases, TheFunctionGivesItBackItself) {
  Holder* self = nullptr;
  Holder holder(a(), "/f", [&](const myfs_lease_recall& recall) {
    EXPECT_EQ(sizeof recall, recall.size);
    EXPECT_GT(recall.left_ms, 0);
    EXPECT_EQ(3, pwrite(a(), self->fd(), "end"));
    EXPECT_EQ(0, myfs_fsync(a(), self->fd()));
    EXPECT_EQ(0, self->take(F_UNLCK));
    EXPECT_EQ(-EDEADLK, myfs_umount(a(), "/", MNT_DETACH));
  });
  self = &holder;
  ASSERT_EQ(0, holder.take(F_WRLCK));
  EXPECT_EQ("end", b().get("/f"));
  EXPECT_THAT(holder.wait_for(1), ElementsAre("0 0"));
}

TEST_P(Leases, AHolderTakesItFromAnother) {
  Holder first(a(), "/f"), second(b(), "/f");
  ASSERT_EQ(0, first.take(F_WRLCK));
  std::thread taker([&] { EXPECT_EQ(0, second.take(F_WRLCK)) << last_message(); });
  EXPECT_THAT(first.wait_for(1), ElementsAre("2 0"));
  EXPECT_EQ(0, first.take(F_UNLCK));
  taker.join();
  EXPECT_EQ(F_WRLCK, second.held());
  EXPECT_EQ(F_UNLCK, first.held());
}

TEST_P(Leases, TheLastCloseGivesItBack) {
  Holder holder(a(), "/f");
  const int twin = myfs_dup(a(), holder.fd());
  ASSERT_EQ(0, holder.take(F_WRLCK));
  std::string seen;
  std::thread reader([&] { seen = b().get("/f"); });
  EXPECT_THAT(holder.wait_for(1), ElementsAre("0 0"));
  EXPECT_EQ(F_WRLCK, myfs_lease_held(a(), twin));
  EXPECT_EQ(0, myfs_close(a(), twin));
  EXPECT_EQ(F_WRLCK, holder.held());
  holder.close();
  reader.join();
  EXPECT_EQ("old", seen);
  EXPECT_EQ(1u, holder.wait_for(1).size());
}

TEST_P(Leases, OwnWritesAndReadsDisturbNobody) {
  Holder holder(a(), "/f");
  ASSERT_EQ(0, holder.take(F_WRLCK));
  EXPECT_EQ(5, pwrite(a(), holder.fd(), "wrote"));
  EXPECT_EQ("wrote", a().get(holder.fd()));
  EXPECT_EQ(0, myfs_fsync(a(), holder.fd()));
  EXPECT_EQ(5, a().stat("/f").st_size);
  EXPECT_EQ(5, b().stat("/f").st_size);
  EXPECT_EQ(0, myfs_chmod(b(), "/f", 0640));
  EXPECT_EQ(F_WRLCK, holder.held());
  EXPECT_EQ(0, holder.take(F_RDLCK));
  EXPECT_EQ(5, pwrite(a(), holder.fd(), "again"));
  EXPECT_EQ(F_RDLCK, holder.held());
}

// As fcntl(2) has it on one host.
TEST_P(Leases, OtherOpenFilesOfTheClientAreInTheWay) {
  const int reader = a().open("/f", O_RDONLY);
  Holder holder(a(), "/f");
  EXPECT_EQ(-EAGAIN, holder.take(F_WRLCK));
  EXPECT_EQ(0, holder.take(F_RDLCK));
  EXPECT_EQ(-EAGAIN, holder.take(F_WRLCK));
  EXPECT_EQ(0, myfs_close(a(), reader));
  EXPECT_EQ(0, holder.take(F_WRLCK));
  EXPECT_EQ(-EAGAIN, a().open("/f", O_RDONLY | O_NONBLOCK));
  EXPECT_THAT(holder.wait_for(1), ElementsAre("0 0"));
  EXPECT_EQ(0, holder.take(F_RDLCK));
  const int again = a().open("/f", O_RDONLY | O_NONBLOCK);
  EXPECT_GE(again, 0) << last_message();
  EXPECT_EQ(0, myfs_close(a(), again));
  std::thread writer([&] { EXPECT_EQ(0, a().put("/f", "new")); });
  EXPECT_THAT(holder.wait_for(2), ElementsAre("0 0", "2 0"));
  EXPECT_EQ(0, holder.take(F_UNLCK));
  writer.join();
}

TEST_P(Leases, open_EAGAIN) {
  Holder holder(a(), "/f");
  ASSERT_EQ(0, holder.take(F_RDLCK));
  EXPECT_EQ(-EAGAIN, a().open("/f", O_WRONLY | O_NONBLOCK));
  EXPECT_EQ(-EAGAIN, a().open("/f", O_RDONLY | O_TRUNC | O_NONBLOCK));
  EXPECT_EQ("old", a().get(holder.fd()));
}

TEST_P(Leases, TruncatingByNameWaitsOrGivesUp) {
  Holder holder(a(), "/f");
  ASSERT_EQ(0, holder.take(F_RDLCK));
  const myfs_call brief{sizeof brief, nullptr, 50, nullptr};
  EXPECT_EQ(-ETIMEDOUT, myfs_truncate_x(a(), &brief, "/f", 1));
  EXPECT_THAT(holder.wait_for(1), ElementsAre("2 0"));
  std::thread cutter([&] { EXPECT_EQ(0, myfs_truncate(a(), "/f", 1)); });
  EXPECT_EQ(0, holder.take(F_UNLCK));
  cutter.join();
  EXPECT_EQ("o", a().get("/f"));
}

// O_CREAT finds the file at the server, or in the cache.
TEST_P(Leases, OpeningItByOCreatBreaksThemToo) {
  Holder holder(a(), "/f");
  ASSERT_EQ(0, holder.take(F_RDLCK));
  ASSERT_EQ(0, b().put("/other", "the directory has changed"));
  EXPECT_EQ(-EAGAIN, a().open("/f", O_RDWR | O_CREAT | O_NONBLOCK));
  EXPECT_EQ(-EAGAIN, a().open("/f", O_RDWR | O_CREAT | O_NONBLOCK));
  EXPECT_THAT(holder.wait_for(1), ElementsAre("2 0"));
  std::thread writer([&] { EXPECT_EQ(0, a().put("/f", "new", O_CREAT)); });
  EXPECT_EQ("old", a().get(holder.fd()));
  EXPECT_EQ(0, holder.take(F_UNLCK));
  writer.join();
  EXPECT_EQ("new", a().get(holder.fd()));
}

// Each is broken when its own time is over, and then whoever wants the file gets it.
TEST_P(Leases, EachHolderHasItsOwnTime) {
  Holder first(a(), "/f"), second(a(), "/f");
  const int reads1 = a().open("/f", O_RDONLY), reads2 = a().open("/f", O_RDONLY);
  first.close();
  second.close();
  std::atomic<int> calls{0};
  auto told = [](void* context, const myfs_lease_recall*) {
    static_cast<std::atomic<int>*>(context)->fetch_add(1);
  };
  const myfs_lease_options soon{sizeof soon, 50}, later{sizeof later, 300};
  ASSERT_EQ(0, myfs_lease(a(), reads1, F_RDLCK, told, &calls, &soon)) << last_message();
  ASSERT_EQ(0, myfs_lease(a(), reads2, F_RDLCK, told, &calls, &later)) << last_message();
  EXPECT_EQ(0, b().put("/f", "new"));
  EXPECT_EQ(F_UNLCK, myfs_lease_held(a(), reads1));
  EXPECT_EQ(F_UNLCK, myfs_lease_held(a(), reads2));
  while (calls < 4) std::this_thread::yield();  // each is told twice
  for (const int fd : {reads1, reads2}) EXPECT_EQ(0, myfs_close(a(), fd));
  EXPECT_EQ(4, calls);
}

// Else whoever wants the file would wait for those who came later, one after the other.
TEST_P(Leases, NobodyTakesWhatIsBeingRecalled) {
  Holder holder(
      a(), "/f", [](const myfs_lease_recall&) {}, O_RDONLY);
  const int reader = a().open("/f", O_RDONLY);
  ASSERT_EQ(0, holder.take(F_RDLCK)) << last_message();
  std::thread writer([&] { EXPECT_EQ(0, b().put("/f", "new")); });
  EXPECT_THAT(holder.wait_for(1), ElementsAre("2 0"));
  EXPECT_EQ(-EAGAIN, myfs_lease(a(), reader, F_RDLCK, nullptr, nullptr, nullptr));
  EXPECT_EQ(0, holder.take(F_RDLCK)) << "which it has; it goes on being recalled";
  EXPECT_EQ(0, holder.take(F_UNLCK));
  writer.join();
  EXPECT_EQ(0, myfs_lease(a(), reader, F_RDLCK, nullptr, nullptr, nullptr)) << last_message();
  EXPECT_EQ(0, myfs_close(a(), reader));
}

TEST_P(Leases, AWriterNeedNotBeAbleToRead) {
  const int fd = a().open("/f", O_WRONLY);
  ASSERT_EQ(0, myfs_lease(a(), fd, F_WRLCK, nullptr, nullptr, nullptr)) << last_message();
  EXPECT_EQ(F_WRLCK, myfs_lease_held(a(), fd));
  EXPECT_EQ("old", b().get("/f"));  // there is no function to wait for
  EXPECT_EQ(F_UNLCK, myfs_lease_held(a(), fd));
  EXPECT_EQ(0, myfs_close(a(), fd));
}

TEST_P(Leases, AreObjectsInCxx) {
  auto task = myfs::Task::open(url());
  ASSERT_TRUE(task) << task.error().message();
  std::atomic<bool> seen{false};
  auto watch = myfs::InvalidationWatch::create(
      *task, "/", [&, ino = b().stat("/f").st_ino](const myfs_invalidation& told) {
        if (told.ino == ino) seen = true;
      });
  ASSERT_TRUE(watch) << watch.error().message();
  auto file = task->open_file("/f", O_RDWR);
  ASSERT_TRUE(file) << file.error().message();
  myfs::Lease* self = nullptr;
  auto lease = myfs::Lease::take(*task, *file, F_WRLCK, [&](const myfs_lease_recall& recall) {
    EXPECT_TRUE(self->set(recall.keep));
  });
  ASSERT_TRUE(lease) << lease.error().message();
  myfs::Lease moved = std::move(*lease);
  self = &moved;
  EXPECT_EQ("old", b().get("/f"));
  EXPECT_EQ(F_RDLCK, moved.held().value());
  EXPECT_EQ(0, b().put("/f", "new"));
  EXPECT_EQ(F_UNLCK, moved.held().value());
  EXPECT_FALSE(myfs::Lease::take(*task, *file, 7, [](const myfs_lease_recall&) {}));
  while (!seen) std::this_thread::yield();
}

TEST_P(Leases, TheEndOfTheSessionBreaksThem) {
  Holder holder(a(), "/f");
  ASSERT_EQ(0, holder.take(F_RDLCK));
  server_.kill9();
  EXPECT_EQ(F_RDLCK, holder.held());
  ASSERT_TRUE(server_.start(kForgetSessions)) << server_.output();
  EXPECT_THAT(holder.wait_for(1), ElementsAre("2 1"));
  EXPECT_EQ(F_UNLCK, holder.held());
  EXPECT_EQ(0, holder.take(F_RDLCK)) << last_message();
}

TEST_P(Leases, lease_errno_EINVAL_EBADF_EAGAIN) {
  Holder holder(a(), "/f");
  EXPECT_EQ(-EINVAL, holder.take(3));
  EXPECT_EQ(-EINVAL, holder.take(F_RDLCK, 8001));
  EXPECT_EQ(-EINVAL, holder.take(F_RDLCK, -1));
  EXPECT_EQ(-EBADF, myfs_lease(a(), 4711, F_RDLCK, nullptr, nullptr, nullptr));
  const int reader = a().open("/f", O_RDONLY), dir = a().open("/", O_RDONLY);
  const int place = a().open("/f", O_PATH);
  EXPECT_EQ(-EBADF, myfs_lease(a(), reader, F_WRLCK, nullptr, nullptr, nullptr));
  EXPECT_EQ(-EBADF, myfs_lease(a(), place, F_RDLCK, nullptr, nullptr, nullptr));
  EXPECT_EQ(-EINVAL, myfs_lease(a(), dir, F_RDLCK, nullptr, nullptr, nullptr));
  EXPECT_EQ(-EAGAIN, holder.take(F_WRLCK));
  for (const int fd : {reader, dir, place}) EXPECT_EQ(0, myfs_close(a(), fd));
}

TEST_P(Leases, lease_held_EINVAL_EBADF) {
  const int dir = a().open("/", O_RDONLY);
  EXPECT_EQ(-EINVAL, myfs_lease_held(a(), dir));
  EXPECT_EQ(-EBADF, myfs_lease_held(a(), 4711));
  EXPECT_EQ(0, myfs_close(a(), dir));
}

// What a watch was told, by inode.
class Watched {
 public:
  explicit Watched(
      Client& client, std::function<void()> also = [] {})
      : also_(std::move(also)) {
    EXPECT_EQ(0, myfs_watch_invalidations(client, "/", &told, this, &watch_)) << last_message();
  }
  ~Watched() { end(); }
  void end() { EXPECT_EQ(0, myfs_unwatch_invalidations(std::exchange(watch_, nullptr))); }
  // Until it was told of all of `what`.
  void wait_for(uint64_t ino, unsigned what) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, kPatience, [&] { return (told_[ino] & what) == what; }));
  }
  size_t calls() {
    std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  static void told(void* self, const myfs_invalidation* invalidation) {
    static_cast<Watched*>(self)->told(*invalidation);
  }
  void told(const myfs_invalidation& invalidation) {
    EXPECT_EQ(sizeof invalidation, invalidation.size);
    also_();
    std::lock_guard lock(mutex_);
    told_[invalidation.ino] |= invalidation.what;
    ++calls_;
    changed_.notify_all();
  }

  const std::function<void()> also_;
  myfs_watch* watch_ = nullptr;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, unsigned> told_;
  size_t calls_ = 0;
};

TEST_P(Leases, AWatchIsToldOfWhatOthersChange) {
  Watched watched(a());
  const uint64_t file = a().stat("/f").st_ino, root = a().stat("/").st_ino;
  ASSERT_EQ("old", a().get("/f"));
  ASSERT_EQ(-ENOENT, a().find("/g"));
  ASSERT_EQ(0, b().put("/f", "new"));
  watched.wait_for(file, MYFS_INVAL_DATA | MYFS_INVAL_ATTR);
  ASSERT_EQ(0, b().put("/g", "new"));
  watched.wait_for(root, MYFS_INVAL_NAMES);
  server_.kill9();
  ASSERT_TRUE(server_.start(kForgetSessions)) << server_.output();
  watched.wait_for(0, MYFS_INVAL_DATA | MYFS_INVAL_NAMES | MYFS_INVAL_ATTR);
}

// It asks the server for the very thing.
TEST_P(Leases, AWatchMayCallTheLibrary) {
  std::mutex mutex;
  std::string seen;
  Watched watched(a(), [&] {
    const std::string text = a().get("/f");
    std::lock_guard lock(mutex);
    seen = text;
  });
  const uint64_t file = a().stat("/f").st_ino;
  ASSERT_EQ("old", a().get("/f"));
  ASSERT_EQ(0, b().put("/f", "new"));
  watched.wait_for(file, MYFS_INVAL_DATA);
  watched.end();
  EXPECT_EQ("new", seen);
}

TEST_P(Leases, AWatchMayEndItself) {
  Watched* self = nullptr;
  Watched watched(a(), [&] { self->end(); });
  self = &watched;
  ASSERT_EQ("old", a().get("/f"));
  ASSERT_EQ(0, b().put("/f", "new"));
  watched.wait_for(a().stat("/f").st_ino, 0);
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ("new", a().get("/f"));
    ASSERT_EQ(0, b().put("/f", "new"));
  }
  Watched other(a());
  ASSERT_EQ("new", a().get("/f"));
  ASSERT_EQ(0, b().put("/f", "new"));
  other.wait_for(a().stat("/f").st_ino, MYFS_INVAL_DATA);
  EXPECT_EQ(1u, watched.calls());
}

// The library of the bridge's: its function runs before others go on.
TEST_P(Leases, AListenerMayEndItself) {
  myfs_entry root{};
  root.size = sizeof root;
  ASSERT_EQ(0, myfs_ll_open_path(a(), nullptr, "/", &root));
  struct Listening {
    std::atomic<int> calls{0};
    std::atomic<myfs_listener*> listener{nullptr};
  } listening;
  auto told = [](void* context, const myfs_invalidation*) {
    auto* self = static_cast<Listening*>(context);
    if (self->calls.fetch_add(1) == 0) {
      EXPECT_EQ(0, myfs_ll_unlisten(self->listener));
    }
  };
  myfs_listener* listener = nullptr;
  ASSERT_EQ(0, myfs_ll_listen(root.inode, told, &listening, &listener));
  listening.listener = listener;
  for (int i = 0; i < 3; ++i) {
    (void)a().get("/f");
    ASSERT_EQ(0, b().put("/f", "new"));
  }
  EXPECT_EQ(1, listening.calls);
  EXPECT_EQ(0, myfs_ll_forget(root.inode, 1));
}

// Watches come and go while they are told, from several threads.
TEST_P(Leases, WatchesComeAndGoAtAnyTime) {
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      while (!stop) {
        std::atomic<bool> ended{false};
        Watched watched(a(), [&] { EXPECT_FALSE(ended); });
        (void)a().get("/f");
        watched.end();
        ended = true;
      }
    });
  }
  for (int i = 0; i < 200; ++i) EXPECT_EQ(0, b().put("/f", std::to_string(i)));
  stop = true;
  for (std::thread& thread : threads) thread.join();
}

TEST_P(Leases, watch_invalidations_EINVAL) {
  myfs_watch* watch = nullptr;
  auto nobody = [](void*, const myfs_invalidation*) {};
  EXPECT_EQ(-EINVAL, myfs_watch_invalidations(a(), "/", nullptr, nullptr, &watch));
  EXPECT_EQ(-EINVAL, myfs_watch_invalidations(a(), "/", nobody, nullptr, nullptr));
  EXPECT_EQ(-ENOENT, myfs_watch_invalidations(a(), "/none", nobody, nullptr, &watch));
  EXPECT_EQ(0, myfs_unwatch_invalidations(nullptr));
}

}  // namespace
}  // namespace myfs::test
