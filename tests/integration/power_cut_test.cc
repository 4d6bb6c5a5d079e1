// The power of the server's machine fails under load: its store lies on an ext4 of its own, which
// is shut down without writing anything out. What was acknowledged is there, byte for byte, the
// store is sound, and the same clients go on. Once, 20 times with MYFS_LONG=1.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>

#include "tests/integration/load.h"
#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {
namespace {

using testing::IsEmpty;

// ext4's own ioctl; no header of the system has it.
constexpr unsigned long kShutdown = _IOR('X', 125, uint32_t);
constexpr uint32_t kWithoutFlush = 2;  // not even the journal

int rounds() {
  const char* length = std::getenv("MYFS_LONG");
  return length != nullptr && std::string(length) == "1" ? 20 : 1;
}

// A file system of its own in a file.
class Disk {
 public:
  Disk() {
    std::filesystem::create_directory(path());
    const int fd = ::open(image().c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    EXPECT_EQ(0, ::ftruncate(fd, off_t{2} << 30));
    ::close(fd);
    expect_done({"mkfs.ext4", "-q", "-F", image()});
    mount();
  }
  ~Disk() {
    if (!mounted_) return;
    EXPECT_EQ(0, ::umount2(path().c_str(), MNT_DETACH)) << std::strerror(errno);
  }

  std::string path() const { return dir_ / "disk"; }
  // Nothing more comes to the disk, and what lies in memory is lost. Nobody may have anything open
  // when the power comes back.
  void lose_power() {
    const int fd = ::open(path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint32_t how = kWithoutFlush;
    EXPECT_EQ(0, ::ioctl(fd, kShutdown, &how)) << std::strerror(errno);
    ::close(fd);
  }
  void restore_power() {
    ASSERT_EQ(0, ::umount(path().c_str())) << std::strerror(errno);
    mounted_ = false;
    mount();
  }

 private:
  static void expect_done(const std::vector<std::string>& command) {
    ProgramResult result = run_program(command);
    EXPECT_EQ(0, result.status) << command[0] << ": " << result.out << result.err;
  }
  void mount() {
    expect_done({"mount", "-o", "loop", image(), path()});
    mounted_ = true;
  }
  std::string image() const { return dir_ / "image"; }

  TempDir dir_;
  bool mounted_ = false;
};

// A machine: its server, and the disk below it.
class Machine {
 public:
  explicit Machine(const std::vector<std::string>& more_args = {})
      : server_(disk_.path() + "/data", arguments(more_args)) {}

  MyfsdProcess& server() { return server_; }
  // All of it at one moment: the server says nothing more to anybody.
  void power_cut() {
    server_.send_signal(SIGSTOP);
    disk_.lose_power();
    server_.kill9();
    disk_.restore_power();
  }

 private:
  static std::vector<std::string> arguments(std::vector<std::string> more) {
    more.insert(more.end(), kTcp.begin(), kTcp.end());
    more.insert(more.end(), {"--lease-term", "1"});
    return more;
  }

  Disk disk_;
  MyfsdProcess server_;
};

TEST(PowerCut, NothingAcknowledgedIsLost) {
  Machine machine;
  MyfsdProcess& server = machine.server();
  ASSERT_TRUE(server.start()) << server.output();
  Client one(server.url()), two(server.tcp_url());
  ASSERT_EQ(0, myfs_mkdir(one, "/one", 0755));
  ASSERT_EQ(0, myfs_mkdir(two, "/two", 0755));
  Load first(one, "/one", 0), second(two, "/two", 3);
  strike_again_and_again(rounds(), server, first, second, [&] { machine.power_cut(); });
  ASSERT_FALSE(HasFailure());
  // At once after the last answer. Nobody who has the bytes still writes them again.
  first.stop();
  const uint64_t lost = first.lost(), sessions = one.stats().sessions_lost;
  machine.power_cut();
  expect_clean(server);
  ASSERT_TRUE(server.start(kForgetSessions)) << server.output();
  second.stop();
  EXPECT_THAT(first.errors(), IsEmpty());
  EXPECT_THAT(second.errors(), IsEmpty());
  std::cout << first.acknowledged() + second.acknowledged() << " calls\n";
  // Who has kept his session has lost nothing, not even what no fsync had followed.
  if (sessions == 0) {
    EXPECT_EQ(0u, lost);
  }
  Client fresh(server.url());
  EXPECT_THAT(first.verify(fresh), IsEmpty());
  EXPECT_THAT(second.verify(fresh), IsEmpty());
  EXPECT_THAT(first.verify(one), IsEmpty());
}

// Its replies do not wait for the disk: what is lost is the end of the history, and nothing else.
TEST(PowerCut, ARelaxedServerLosesTheEndAlone) {
  Machine machine({"--durability", "relaxed"});
  MyfsdProcess& server = machine.server();
  ASSERT_TRUE(server.start()) << server.output();
  Client client(server.url());
  constexpr int kMade = 500;
  for (int i = 0; i < kMade; ++i) {
    ASSERT_EQ(0, myfs_mkdir(client, ("/" + std::to_string(i)).c_str(), 0755));
    if (i == kMade / 2) {
      ASSERT_EQ(0, myfs_sync(client));
    }
  }
  machine.power_cut();
  expect_clean(server);
  ASSERT_TRUE(server.start(kForgetSessions)) << server.output();
  Client fresh(server.url());
  const int there = static_cast<int>(fresh.list("/").size());
  EXPECT_LT(kMade / 2, there);
  for (int i = 0; i < there; ++i) EXPECT_EQ(0, fresh.find("/" + std::to_string(i))) << i;
  std::cout << "the last " << kMade - there << " of " << kMade << " changes were lost\n";
}

}  // namespace
}  // namespace myfs::test
