// The errnos of mounting and unmounting, and what their messages name.

#include <netinet/in.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <thread>

#include "tests/posix/api_test.h"

namespace myfs::test {
namespace {

using Clock = std::chrono::steady_clock;

// A TCP port of the loopback that is ours and not MyFS.
class Stranger {
 public:
  explicit Stranger(bool listens) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(0, ::bind(fd_, reinterpret_cast<sockaddr*>(&address), size));
    EXPECT_EQ(0, listens ? ::listen(fd_, 8) : 0);
    EXPECT_EQ(0, ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size));
    address_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~Stranger() {
    ::shutdown(fd_, SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
    ::close(fd_);
  }
  // Talks with everybody who connects.
  void serve(std::function<void(int connection)> talk) {
    thread_ = std::thread([this, talk = std::move(talk)] {
      while (true) {
        int connection = ::accept(fd_, nullptr, nullptr);
        if (connection < 0) return;
        talk(connection);
        ::close(connection);
      }
    });
  }
  const std::string& address() const { return address_; }

 private:
  const int fd_;
  std::string address_;
  std::thread thread_;
};

class Mount : public ApiTest {
 protected:
  static void SetUpTestSuite() {
    dir_ = std::make_unique<TempDir>();
    server_ = std::make_unique<MyfsdProcess>(*dir_ / "data", kTcp);
    ASSERT_TRUE(server_->start()) << server_->output();
    ASSERT_NE("", server_->tcp_address()) << server_->ready_addresses();
  }

  void SetUp() override {
    ApiTest::SetUp();
    make_dir("m");
  }

  // The result of mounting; the error's message must name all of `words`.
  int mount(const std::string& url, const std::vector<std::string>& words,
            const char* options = nullptr) {
    myfs_mount_options o{sizeof o, options, nullptr};
    int result = myfs_mount(task_, url.c_str(), "m", &o);
    if (result < 0) {
      std::string said = message();
      for (const std::string& word : words) {
        EXPECT_NE(std::string::npos, said.find(word)) << url << ": '" << said << "': no " << word;
      }
    }
    struct stat st;
    EXPECT_EQ(0, myfs_stat(task_, home().c_str(), &st)) << "the task goes on";
    return result;
  }
  static std::string message() {
    myfs_error error{};
    error.size = sizeof error;
    EXPECT_EQ(0, myfs_last_error(&error));
    return std::string(error.message) + " | " + error.server + " | " + error.cause;
  }
};

struct BadUrl {
  const char* url;
  std::vector<std::string> words;
};

TEST_F(Mount, mount_EINVAL) {
  const BadUrl table[] = {
      {"", {"myfs://", "embedded:"}},
      {"nfs://host/", {"nfs://host/", "myfs://"}},
      {"myfs://", {"host"}},
      {"myfs://host:/", {"port"}},
      {"myfs://host:0/", {"1..65535"}},
      {"myfs://host:65536/", {"1..65535"}},
      {"myfs://host:x/", {"1..65535"}},
      {"myfs://a,,b/", {"host"}},
      {"myfs://fe80::1/", {"bracket"}},
      {"myfs+unix:", {"absolute path"}},
      {"myfs+unix:relative", {"absolute path"}},
      {"embedded:relative", {"absolute path"}},
      {"myfs+unix:/a%2", {"%"}},
      {"myfs+unix:/a%00b", {"%00"}},
      {"myfs://h/?colour=red", {"colour", "rsize", "write_policy"}},
      {"myfs://h/?rsize=1", {"rsize=1", "4K..4M", "power of two"}},
      {"myfs://h/?rsize=8M", {"rsize=8M", "4K..4M"}},
      {"myfs://h/?wsize=5000", {"wsize=5000", "power of two"}},
      {"myfs://h/?timeout=99ms", {"timeout=99ms", "100ms..1h"}},
      {"myfs://h/?timeout=61m", {"timeout=61m", "100ms..1h"}},
      {"myfs://h/?connect_timeout=soon", {"connect_timeout=soon", "100ms..1h"}},
      {"myfs://h/?cache_timeout=2h", {"cache_timeout=2h", "0..1h"}},
      {"myfs://h/?connections=0", {"connections=0", "1..16"}},
      {"myfs://h/?connections=17", {"connections=17", "1..16"}},
      {"myfs://h/?cache_size=1M", {"cache_size=1M", "16M"}},
      {"myfs://h/?ro=yes", {"ro=yes", "no value"}},
      {"myfs://h/?uid=-1", {"uid=-1", "0..4294967294"}},
      {"myfs://h/?uid=4294967295", {"uid=4294967295", "0..4294967294"}},
      {"myfs://h/?sec=none", {"sec=none", "peer, token"}},
      {"myfs://h/?spin=201us", {"spin=201us", "0..200us"}},
      {"myfs://h/?write_policy=never", {"write_policy=never", "async, sync"}},
      {"myfs://h/?port=70000", {"port=70000", "1..65535"}},
      {"myfs://h/?rsize=1M&rsize=1M", {"rsize", "twice"}},
      {"myfs://h/?ro&rw", {"rw", "contradicts", "ro"}},
      {"myfs://h/?soft&hard", {"hard", "contradicts", "soft"}},
  };
  for (const BadUrl& bad : table) EXPECT_EQ(-EINVAL, mount(bad.url, bad.words)) << bad.url;
}

TEST_F(Mount, mount_EINVAL_InOptions) {
  EXPECT_EQ(-EINVAL, mount(server_->url(), {"rsize=3"}, "rsize=3"));
  EXPECT_EQ(-EINVAL, mount(server_->url(), {"colour"}, "ro,colour=red"));
  EXPECT_EQ(-EINVAL, myfs_mount(task_, nullptr, "m", nullptr));
  EXPECT_EQ(-EINVAL, myfs_mount(task_, server_->url().c_str(), nullptr, nullptr));
  myfs_mount_options wrong{};
  EXPECT_EQ(-EINVAL, myfs_mount(task_, server_->url().c_str(), "m", &wrong));
  // The URL wins over the options.
  EXPECT_EQ(0, mount(server_->url() + "?ro", {}, "rw"));
  EXPECT_EQ(-EROFS, myfs_mkdir(task_, "m/x", 0755));
  EXPECT_EQ(0, myfs_umount(task_, "m", 0));
}

TEST_F(Mount, mount_OfAPathThatIsNone) {
  std::string url = server_->url();
  make_file("f");
  EXPECT_EQ(-ENOENT, myfs_mount(task_, url.c_str(), "missing", nullptr));
  EXPECT_EQ(-ENOTDIR, myfs_mount(task_, url.c_str(), "f", nullptr));
}

TEST_F(Mount, mount_ECONNREFUSED) {
  Stranger closed(false);
  auto start = Clock::now();
  EXPECT_EQ(-ECONNREFUSED, mount("myfs://" + closed.address() + "/?connect_timeout=5s",
                                 {closed.address(), "refused"}));
  // A socket file that nobody listens to.
  MyfsdProcess dead(*dir_ / "dead");
  ASSERT_TRUE(dead.start()) << dead.output();
  dead.kill9();
  EXPECT_EQ(-ECONNREFUSED, mount(dead.url() + "?connect_timeout=5s", {dead.socket_path()}));
  EXPECT_LT(Clock::now() - start, std::chrono::seconds(10));
}

// The listener accepts and never answers; and one whose backlog nobody takes from.
TEST_F(Mount, mount_ETIMEDOUT) {
  Stranger silent(true);
  auto start = Clock::now();
  EXPECT_EQ(-ETIMEDOUT, mount("myfs://" + silent.address() + "/?connect_timeout=300ms",
                              {silent.address(), "answer"}));
  auto took = Clock::now() - start;
  EXPECT_GE(took, std::chrono::milliseconds(300));
  EXPECT_LT(took, std::chrono::seconds(3));
}

// A server that has been stopped accepts connections (the kernel does) and answers nothing.
TEST_F(Mount, mount_ETIMEDOUT_OfAStoppedServer) {
  MyfsdProcess stopped(*dir_ / "stopped");
  ASSERT_TRUE(stopped.start()) << stopped.output();
  stopped.send_signal(SIGSTOP);
  EXPECT_EQ(-ETIMEDOUT, mount(stopped.url() + "?connect_timeout=200ms", {stopped.socket_path()}));
  stopped.send_signal(SIGCONT);
  EXPECT_EQ(0, mount(stopped.url(), {})) << message();
  EXPECT_EQ(0, myfs_umount(task_, "m", 0));
}

TEST_F(Mount, mount_EPROTO) {
  const std::string speeches[] = {
      "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
      "SSH-2.0-OpenSSH_9.2\r\n",
      std::string(4096, '\xff'),
      std::string("\0\0\0\0\1\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", 16),
  };
  for (const std::string& speech : speeches) {
    Stranger garbage(true);
    garbage.serve([&](int connection) {
      char buffer[4096];
      if (::recv(connection, buffer, sizeof buffer, 0) <= 0) return;
      ::send(connection, speech.data(), speech.size(), MSG_NOSIGNAL);
      // Until the client hangs up: what it hears is garbage, and not an end.
      while (::recv(connection, buffer, sizeof buffer, 0) > 0) {
      }
    });
    EXPECT_EQ(-EPROTO,
              mount("myfs://" + garbage.address() + "/?connect_timeout=5s", {garbage.address()}))
        << speech.substr(0, 8) << ": " << message();
  }
}

TEST_F(Mount, mount_EACCES) {
  std::string tcp = "myfs://" + server_->tcp_address() + "/";
  EXPECT_EQ(-EACCES, mount(tcp, {"secret_file", server_->tcp_address()}));
  std::string wrong = *dir_ / "wrong";
  std::ofstream(wrong) << "0123456789abcdef0123456789abcdef\n";
  EXPECT_EQ(-EACCES, mount(tcp + "?secret_file=" + wrong, {server_->tcp_address()}));
  EXPECT_EQ(0, mount(server_->tcp_url(), {})) << message();
  EXPECT_EQ(0, myfs_umount(task_, "m", 0));
  EXPECT_EQ(-EACCES, mount(tcp + "?secret_file=/no/such/file", {"secret_file", "/no/such/file"}));
}

TEST_F(Mount, mount_ENOENT) {
  std::string socket = *dir_ / "nobody.sock";
  EXPECT_EQ(-ENOENT, mount("myfs+unix:" + socket + "?connect_timeout=5s", {socket}));
  EXPECT_EQ(-ENOENT, mount(server_->tcp_url("no/such/dir"), {"no/such/dir"}));
}

TEST_F(Mount, mount_OfASubdirectory) {
  make_dir("m/inner");
  make_file("m/inner/file", "below");
  make_file("outside");
  std::string sub = home().substr(1) + "/m/inner";
  Client below(server_->tcp_url(sub));
  EXPECT_EQ((std::vector<std::string>{"file"}), below.list("/"));
  EXPECT_EQ("below", below.get("/file"));
  // ".." does not lead above its root.
  EXPECT_EQ("below", below.get("/../../file"));
  EXPECT_EQ(-ENOENT, below.find("/../../outside"));
  EXPECT_EQ(-ENOTDIR, mount(server_->tcp_url(sub + "/file"), {}));
}

TEST_F(Mount, umount_EINVAL) {
  EXPECT_EQ(-EINVAL, myfs_umount(task_, "m", 0));
  ASSERT_EQ(0, mount(server_->url(), {}));
  EXPECT_EQ(-EINVAL, myfs_umount(task_, "m", 8));
  EXPECT_EQ(-EINVAL, myfs_umount(task_, ("m" + home()).c_str(), 0));
  EXPECT_EQ(0, myfs_umount(task_, "m", 0));
  EXPECT_EQ(-EINVAL, myfs_umount(task_, "m", 0));
}

TEST_F(Mount, umount_EBUSY) {
  ASSERT_EQ(0, mount(server_->url(), {}));
  int fd = open("m/umount_EBUSY-file");
  EXPECT_EQ(-EBUSY, myfs_umount(task_, "m", 0));
  close(fd);
  ASSERT_EQ(0, myfs_chdir(task_, "m"));
  EXPECT_EQ(-EBUSY, myfs_umount(task_, (home() + "/m").c_str(), 0));
  ASSERT_EQ(0, myfs_chdir(task_, home().c_str()));
  std::string inner = "m" + home();
  ASSERT_EQ(0, myfs_mount(task_, server_->url().c_str(), inner.c_str(), nullptr));
  EXPECT_EQ(-EBUSY, myfs_umount(task_, "m", 0));
  EXPECT_EQ(-EBUSY, myfs_rmdir(task_, inner.c_str()));
  EXPECT_EQ(0, myfs_umount(task_, inner.c_str(), 0)) << last_message();
  EXPECT_EQ(0, myfs_umount(task_, "m", 0)) << last_message();
}

TEST_F(Mount, umount_ByForce) {
  ASSERT_EQ(0, mount(server_->url(), {}));
  int fd = open("m/umount_ByForce-file");
  write(fd, "written before it goes");
  EXPECT_EQ(0, myfs_umount(task_, "m", MNT_DETACH)) << last_message();
  struct stat st;
  EXPECT_EQ(-ENOENT, myfs_stat(task_, "m/umount_ByForce-file", &st));
  close(fd);
  EXPECT_EQ("written before it goes", content("/umount_ByForce-file"));
}

// What a mount point hides comes back.
TEST_F(Mount, umount_ShowsWhatWasBelow) {
  make_file("m/below");
  ASSERT_EQ(0, mount(server_->url(), {}));
  EXPECT_EQ("<ENOENT>", content("m/below"));
  EXPECT_EQ("content", content(("m" + home() + "/m/below").c_str()));
  // ".." of the mounted root is the directory that holds the mount point.
  EXPECT_EQ(stat(".").st_ino, stat("m/..").st_ino);
  EXPECT_NE(stat(".").st_dev, stat("m").st_dev);
  // A second one covers the first.
  ASSERT_EQ(0, mount(server_->url() + "?ro", {}));
  EXPECT_EQ(-EROFS, myfs_mkdir(task_, "m/x", 0755));
  ASSERT_EQ(0, myfs_umount(task_, "m", 0));
  EXPECT_EQ(0, myfs_mkdir(task_, "m/x", 0755));
  ASSERT_EQ(0, myfs_umount(task_, "m", 0));
  EXPECT_EQ("content", content("m/below"));
}

// Another server can have the directory: the session and the embedded server have ended.
TEST_F(Mount, umount_EndsTheSession) {
  const std::string data = *dir_ / "embedded";
  ASSERT_EQ(0, mount("embedded:" + data, {})) << last_message();
  make_file("m/f");
  ASSERT_EQ(0, myfs_umount(task_, "m", 0)) << last_message();
  MyfsdProcess next(data);
  EXPECT_TRUE(next.start()) << next.output();
}

// An unreachable server ends no other mount's calls, and a failed mount leaves nothing behind.
TEST_F(Mount, AFailedMountLeavesNothing) {
  Stranger closed(false);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(-ECONNREFUSED, mount("myfs://" + closed.address() + "/", {}));
  }
  EXPECT_EQ(-EINVAL, myfs_umount(task_, "m", 0));
  myfs_stats stats{};
  stats.size = sizeof stats;
  ASSERT_EQ(0, myfs_get_stats(task_, &stats));
  EXPECT_LE(stats.connections, 4u);
}

}  // namespace
}  // namespace myfs::test
