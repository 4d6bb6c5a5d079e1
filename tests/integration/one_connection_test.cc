// A server, or a wall before it, that takes one connection of a client and no more.

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/myfsd/client.h"
#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {
namespace {

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

// Passes the first connection on to `to`; hangs up on all others.
class Wall {
 public:
  Wall(const std::string& path, const std::string& to) : to_(address_of(to)) {
    const sockaddr_un address = address_of(path);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, ::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address));
    EXPECT_EQ(0, ::listen(listener_, 16));
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~Wall() {
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& pump : pumps_) pump.join();
    for (int fd : fds_) ::close(fd);
    ::close(listener_);
  }
  int refused() const { return refused_; }

 private:
  void accept_all() {
    for (bool first = true;; first = false) {
      int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) return;
      if (!first) {
        ::close(fd);
        ++refused_;
        continue;
      }
      int server = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      ASSERT_EQ(0, ::connect(server, reinterpret_cast<const sockaddr*>(&to_), sizeof to_));
      fds_ = {fd, server};
      pumps_.emplace_back([fd, server] { pump(fd, server); });
      pumps_.emplace_back([fd, server] { pump(server, fd); });
    }
  }
  static void pump(int from, int to) {
    std::vector<char> buffer(1 << 16);
    while (true) {
      ssize_t got = ::recv(from, buffer.data(), buffer.size(), 0);
      for (ssize_t sent = 0; sent < got;) {
        ssize_t n = ::send(to, buffer.data() + sent, got - sent, MSG_NOSIGNAL);
        if (n <= 0) got = 0;
        sent += n;
      }
      if (got <= 0) break;
    }
    ::shutdown(to, SHUT_RDWR);
    ::shutdown(from, SHUT_RDWR);
  }

  const sockaddr_un to_;
  int listener_;
  std::atomic<int> refused_{0};
  std::thread acceptor_;
  std::vector<int> fds_;
  std::vector<std::thread> pumps_;
};

TEST(OneConnection, DataAndRecallsTravelOnIt) {
  TempDir dir;
  MyfsdProcess server(dir / "data");
  ASSERT_TRUE(server.start()) << server.output();
  std::string text(5 << 20, 'x');
  for (size_t i = 0; i < text.size(); i += 4096) text.replace(i, 8, std::to_string(10'000'000 + i));
  Wall wall(dir / "wall.sock", server.socket_path());
  {
    Client behind("myfs+unix:" + (dir / "wall.sock"));
    Client other(server.url());
    ASSERT_EQ(0, behind.put("/f", text));
    EXPECT_EQ(text, other.get("/f"));
    int fd = behind.open("/g", O_RDWR | O_CREAT);
    ASSERT_GE(fd, 0);
    ASSERT_EQ(4, myfs_pwrite(behind, fd, "text", 4, 0));
    EXPECT_EQ("text", other.get("/g"));  // a recall, whose write-back has one way to go
    ASSERT_EQ(0, other.put("/f", "short"));
    EXPECT_EQ("short", behind.get("/f"));
    EXPECT_EQ(0, myfs_close(behind, fd));
  }
  EXPECT_GT(wall.refused(), 0);
  EXPECT_EQ(0, server.terminate()) << server.output();
}

}  // namespace
}  // namespace myfs::test
