// The server as a process: ending it, two on one directory, wrong options, strangers on its port.

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "server/records.h"
#include "server/store/meta_store.h"
#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

class Server : public testing::Test {
 protected:
  void start() { ASSERT_TRUE(server_.start()) << server_.output(); }
  static bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
  }
  // A connection to its socket or its TCP port; receiving ends after 20 s at the latest.
  int connect(Transport transport) const {
    int fd = -1;
    int result = -1;
    if (transport == Transport::kUnix) {
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      server_.socket_path().copy(address.sun_path, sizeof address.sun_path - 1);
      fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
      result = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    } else {
      std::string text = server_.tcp_address();
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
      address.sin_port = htons(static_cast<uint16_t>(std::stoi(text.substr(text.rfind(':') + 1))));
      fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      result = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
    }
    EXPECT_EQ(0, result) << std::strerror(errno);
    timeval limit{20, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
  }
  void expect_serves() {
    Client client(server_.url());
    std::string path = "/probe" + std::to_string(probes_++);
    EXPECT_EQ(0, client.put(path, "served"));
    EXPECT_EQ("served", client.get(path));
  }

  TempDir dir_;
  MyfsdProcess server_{dir_ / "data", kTcp};
  int probes_ = 0;
};

TEST_F(Server, SigtermEndsItCleanlyAndNothingIsLost) {
  start();
  Client client(server_.url());
  ASSERT_EQ(0, client.put("/closed", "closed"));
  int fd = client.open("/open", O_RDWR | O_CREAT);
  std::string text(200'000, 'd');
  // In the client's cache only: the shutdown recalls it.
  ASSERT_EQ(static_cast<ssize_t>(text.size()), myfs_write(client, fd, text.data(), text.size()));
  EXPECT_EQ(0, server_.terminate()) << server_.output();
  ProgramResult fsck = server_.fsck();
  EXPECT_EQ(0, fsck.status) << fsck.out << fsck.err;
  start();
  Client fresh(server_.url());
  EXPECT_EQ("closed", fresh.get("/closed"));
  EXPECT_TRUE(text == fresh.get("/open"));
  EXPECT_EQ(0, myfs_fsync(client, fd)) << "written before the end";
  EXPECT_EQ(0, myfs_close(client, fd));
}

TEST_F(Server, SigintToo) {
  start();
  expect_serves();
  server_.send_signal(SIGINT);
  EXPECT_EQ(0, server_.terminate());
}

// A client that does not answer any more does not keep the server from ending, and what the server
// had got from him is as good as anybody's, synced or not.
TEST_F(Server, SigtermWithAClientThatIsStopped) {
  MyfsdProcess server(dir_ / "patient", {"--lease-term", "2"});
  ASSERT_TRUE(server.start()) << server.output();
  Peer peer(server.url());
  ASSERT_EQ("0", peer.mounted());
  ASSERT_EQ("0", peer("put /f text"));
  ASSERT_EQ("text", peer("get /f"));
  // Still open, so that the client holds W when the end comes; a close of any descriptor flushes.
  ASSERT_EQ("0", peer("put /open longer-text"));
  std::string fd = peer("open /open " + std::to_string(O_RDWR));
  std::string another = peer("open /open " + std::to_string(O_RDWR));
  ASSERT_EQ("4", peer("write " + fd + " LONG"));
  ASSERT_EQ("0", peer("close " + another));
  peer.program().kill(SIGSTOP);
  auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(0, server.terminate()) << server.output();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
  ProgramResult fsck = server.fsck();
  EXPECT_EQ(0, fsck.status) << fsck.out << fsck.err;
  ASSERT_TRUE(server.start()) << server.output();
  {
    Client fresh(server.url());
    EXPECT_EQ("text", fresh.get("/f"));
    EXPECT_EQ("LONGer-text", fresh.get("/open"));
  }
  peer.program().kill(SIGCONT);
  EXPECT_EQ("text", peer("get /f"));
  EXPECT_EQ("LONGer-text", peer("get /open"));
}

TEST_F(Server, ASecondOneOnTheSameDirectoryIsRefused) {
  start();
  ProgramResult second = run_program(
      {bin("myfsd"), "--data", server_.data_dir(), "--listen", "unix:" + (dir_ / "second.sock")});
  EXPECT_EQ(1, second.status);
  EXPECT_EQ("", second.out) << "it must not say that it is ready";
  EXPECT_TRUE(contains(second.err, server_.data_dir())) << second.err;
  EXPECT_TRUE(contains(second.err, "in use")) << second.err;
  EXPECT_TRUE(contains(second.err, std::to_string(server_.pid()))) << second.err;
  EXPECT_FALSE(std::filesystem::exists(dir_ / "second.sock"));
  expect_serves();
}

TEST_F(Server, AnAddressThatIsTakenIsNamed) {
  start();
  ProgramResult second = run_program(
      {bin("myfsd"), "--data", dir_ / "other", "--listen", "tcp:" + server_.tcp_address()});
  EXPECT_EQ(1, second.status);
  EXPECT_TRUE(contains(second.err, server_.tcp_address())) << second.err;
  EXPECT_TRUE(contains(second.err, "in use")) << second.err;
  second = run_program(
      {bin("myfsd"), "--data", dir_ / "third", "--listen", "unix:" + server_.socket_path()});
  EXPECT_EQ(1, second.status);
  EXPECT_TRUE(contains(second.err, server_.socket_path())) << second.err;
  expect_serves();
}

// What a killed server leaves of its socket does not hinder the next one.
TEST_F(Server, ALeftOverSocketIsReplaced) {
  start();
  server_.kill9();
  ASSERT_TRUE(std::filesystem::exists(server_.socket_path()));
  start();
  expect_serves();
}

TEST_F(Server, ADirectoryOfANewerFormatIsRefused) {
  start();
  expect_serves();
  ASSERT_EQ(0, server_.terminate());
  {
    auto store = server::open_rocks_meta_store(server_.data_dir(), server::MetaStoreOptions());
    ASSERT_TRUE(store.ok());
    server::Txn txn;
    txn.put(server::meta_key(server::kMetaFormat), server::encode_u64(server::kFormatVersion + 1));
    const server::Txn* batch[] = {&txn};
    ASSERT_TRUE((*store)->commit_batch(batch, server::Durability::kDurable).ok());
  }
  EXPECT_FALSE(server_.start());
  EXPECT_EQ(1, server_.start_status());
  EXPECT_TRUE(contains(server_.output(), "format version 2")) << server_.output();
  ProgramResult fsck = server_.fsck();
  EXPECT_EQ(3, fsck.status) << fsck.out << fsck.err;
  EXPECT_TRUE(contains(fsck.out + fsck.err, "format version 2")) << fsck.out << fsck.err;
}

TEST_F(Server, FsckOfWhatIsNoDataDirectory) {
  ProgramResult fsck = run_program({bin("myfsd"), "--fsck", dir_ / "missing"});
  EXPECT_EQ(3, fsck.status);
  EXPECT_TRUE(contains(fsck.out + fsck.err, dir_ / "missing")) << fsck.out << fsck.err;
  EXPECT_EQ(3, run_program({bin("myfsd"), "--fsck", dir_ / "missing", "--repair"}).status);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "missing")) << "it changes nothing";
  ProgramResult alone = run_program({bin("myfsd"), "--repair", "--data", dir_ / "missing"});
  EXPECT_EQ(2, alone.status);
  EXPECT_TRUE(contains(alone.err, "--fsck")) << alone.err;
}

TEST_F(Server, RepairMendsTheStoreThatTheNextStartServes) {
  start();
  {
    Client client(server_.url());
    ASSERT_EQ(0, client.put("/file", "content", O_SYNC));
  }
  ASSERT_EQ(0, server_.terminate());
  {
    auto store = server::open_rocks_meta_store(server_.data_dir(), server::MetaStoreOptions());
    ASSERT_TRUE(store.ok());
    std::string name;
    auto [from, to] = server::type_range('E');
    ASSERT_TRUE((*store)
                    ->scan(from, to, 0,
                           [&](std::string_view key, std::string_view) {
                             name = key;
                             return true;
                           })
                    .ok());
    server::Txn txn;
    txn.del(name);
    const server::Txn* batch[] = {&txn};
    ASSERT_TRUE((*store)->commit_batch(batch, server::Durability::kDurable).ok());
  }
  const std::vector<std::string> repair = {bin("myfsd"), "--fsck", server_.data_dir(), "--repair"};
  EXPECT_EQ(2, server_.fsck().status);
  EXPECT_EQ(1, run_program(repair).status);
  EXPECT_EQ(0, run_program(repair).status);
  ASSERT_TRUE(server_.start()) << server_.output();
  Client client(server_.url());
  EXPECT_EQ(1u, client.list("/lost+found").size());
  EXPECT_EQ("content", client.get("/lost+found/" + client.list("/lost+found").front()));
}

// A flipped byte in a chunk, a chunk that is gone: fsck says so and names the file.
TEST_F(Server, FsckFindsDamage) {
  start();
  {
    Client client(server_.url());
    ASSERT_EQ(0, client.put("/victim", std::string(300'000, 'v')));
  }
  ASSERT_EQ(0, server_.terminate());
  ASSERT_EQ(0, server_.fsck().status);
  // The largest file outside of the database is its chunk.
  std::filesystem::path chunk;
  uintmax_t largest = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(server_.data_dir())) {
    bool database = contains(entry.path().string(), server_.data_dir() + "/meta");
    if (database || !entry.is_regular_file() || entry.file_size() <= largest) continue;
    largest = entry.file_size();
    chunk = entry.path();
  }
  ASSERT_GE(largest, 100'000u) << chunk;
  {
    std::fstream file(chunk, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(70'000);
    file.put('X');
  }
  ProgramResult fsck = server_.fsck();
  EXPECT_EQ(2, fsck.status) << fsck.out << fsck.err;
  EXPECT_TRUE(contains(fsck.out + fsck.err, "checksum")) << fsck.out << fsck.err;
  // A reader gets EIO and no wrong bytes; the rest of the file and the server go on.
  start();
  {
    Client client(server_.url(), "rsize=64K");
    EXPECT_EQ("<EIO>", client.get("/victim"));
    int fd = client.open("/victim");
    char byte = 0;
    EXPECT_EQ(1, myfs_pread(client, fd, &byte, 1, 200'000)) << last_message();
    EXPECT_EQ('v', byte);
    EXPECT_EQ(0, myfs_close(client, fd));
  }
  expect_serves();
  server_.terminate();
  std::filesystem::remove(chunk);
  fsck = server_.fsck();
  EXPECT_EQ(2, fsck.status) << fsck.out << fsck.err;
}

struct WrongOption {
  std::vector<std::string> args;
  std::vector<std::string> words;
};

TEST_F(Server, WrongOptionsAreNamedWithTheirRange) {
  std::string data = dir_ / "never";
  const WrongOption table[] = {
      {{}, {"--data"}},
      {{"--data", data, "--lease-term", "0"}, {"--lease-term", "1", "3600"}},
      {{"--data", data, "--lease-term", "3601"}, {"--lease-term", "1", "3600"}},
      {{"--data", data, "--lease-term", "soon"}, {"--lease-term", "soon"}},
      {{"--data", data, "--durability", "none"}, {"--durability", "strict", "relaxed"}},
      {{"--data", data, "--log-level", "loud"}, {"--log-level", "debug"}},
      {{"--data", data, "--spin", "201"}, {"--spin", "200"}},
      {{"--data", data, "--listen", "udp:host:1"}, {"udp:host:1", "tcp:"}},
      {{"--data", data, "--listen", "tcp:127.0.0.1:65536"}, {"65535"}},
      {{"--data", data, "--listen", "tcp:127.0.0.1:x"}, {"tcp:127.0.0.1:x"}},
      {{"--data", data, "--listen", "unix:"}, {"unix:"}},
      {{"--data", data, "--listen", "unix:/" + std::string(200, 'p')}, {"107"}},
      {{"--data", data, "--colour"}, {"--colour"}},
      {{"--data", data, "--fsck", data}, {"--fsck"}},
  };
  for (const WrongOption& wrong : table) {
    std::vector<std::string> command = {bin("myfsd")};
    command.insert(command.end(), wrong.args.begin(), wrong.args.end());
    ProgramResult result = run_program(command);
    std::string what = wrong.args.empty() ? "nothing" : wrong.args.back();
    EXPECT_EQ(2, result.status) << what << ": " << result.err;
    EXPECT_EQ("", result.out) << what;
    for (const std::string& word : wrong.words) {
      EXPECT_TRUE(contains(result.err, word)) << what << ": no '" << word << "' in " << result.err;
    }
  }
  EXPECT_FALSE(std::filesystem::exists(data)) << "a wrong option must leave nothing behind";
}

// What the client holds back is not all that fsync is for: a relaxed server does so, too.
TEST_F(Server, ARelaxedOneIsAskedByEachFsync) {
  for (const char* durability : {"strict", "relaxed"}) {
    TempDir dir;
    MyfsdProcess server(dir / "data", {"--durability", durability});
    ASSERT_TRUE(server.start()) << server.output();
    Client client(server.url());
    const int fd = client.open("/f", O_RDWR | O_CREAT);
    ASSERT_EQ(4, myfs_write(client, fd, "text", 4));
    ASSERT_EQ(0, myfs_fsync(client, fd));
    ASSERT_EQ(0, myfs_ftruncate(client, fd, 2));
    const uint64_t idle = client.server_operations();
    const uint64_t begin = client.server_operations();
    EXPECT_EQ(0, myfs_fsync(client, fd));
    const uint64_t calls = client.server_operations() - begin - (begin - idle);
    EXPECT_EQ(std::string(durability) == "strict" ? 0u : 1u, calls) << durability;
    EXPECT_EQ(0, myfs_close(client, fd));
    EXPECT_EQ("te", client.get("/f"));
  }
}

TEST_F(Server, FilesThatCannotBeUsedAreNamed) {
  std::string open_secret = dir_ / "open-secret", short_secret = dir_ / "short-secret";
  std::ofstream(open_secret) << "0123456789abcdef0123456789abcdef\n";
  std::ofstream(short_secret) << "abc\n";
  ::chmod(open_secret.c_str(), 0644);
  ::chmod(short_secret.c_str(), 0600);
  for (const std::string& secret : {open_secret, short_secret, dir_ / "no-secret"}) {
    ProgramResult result = run_program({bin("myfsd"), "--data", dir_ / "other", "--listen",
                                        "tcp:127.0.0.1:0", "--secret-file", secret});
    EXPECT_EQ(1, result.status) << secret;
    EXPECT_TRUE(contains(result.err, secret)) << result.err;
  }
  std::ofstream(dir_ / "file") << "no directory";
  ProgramResult result =
      run_program({bin("myfsd"), "--data", dir_ / "file", "--listen", "unix:" + (dir_ / "x.sock")});
  EXPECT_EQ(1, result.status);
  EXPECT_TRUE(contains(result.err, dir_ / "file")) << result.err;
}

TEST_F(Server, HelpAndVersion) {
  ProgramResult help = run_program({bin("myfsd"), "--help"});
  EXPECT_EQ(0, help.status);
  for (const char* option : {"--data", "--listen", "--ready-fd", "--durability", "--lease-term",
                             "--secret-file", "--insecure-tcp", "--log-level", "--fsck"}) {
    EXPECT_TRUE(contains(help.out, option)) << option;
  }
  ProgramResult version = run_program({bin("myfsd"), "--version"});
  EXPECT_EQ(0, version.status);
  EXPECT_TRUE(contains(version.out, myfs_version())) << version.out;
}

TEST_F(Server, GarbageEndsTheConnectionAndNothingElse) {
  start();
  const std::string speeches[] = {
      "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
      std::string(8192, '\xff'),
      std::string(64, '\0') + std::string(64, '\x7f'),
      // One segment of 512 MiB, announced.
      std::string("\0\0\0\0\0\0\0\4", 8),
      // A million segments, announced.
      std::string("\x3f\x42\x0f\0\1\0\0\0", 8),
      // A well-formed message of one empty word.
      std::string("\0\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0", 16),
  };
  for (Transport transport : {Transport::kUnix, Transport::kTcp}) {
    for (const std::string& speech : speeches) {
      int fd = connect(transport);
      ::send(fd, speech.data(), speech.size(), MSG_NOSIGNAL);
      // The end of what we have to say; the server must hang up by itself or on hearing that.
      ::shutdown(fd, SHUT_WR);
      char buffer[4096];
      ssize_t n = 0;
      while ((n = ::recv(fd, buffer, sizeof buffer, 0)) > 0) {
      }
      EXPECT_TRUE(n == 0 || errno == ECONNRESET) << "it does not hang up: " << std::strerror(errno);
      ::close(fd);
      expect_serves();
    }
  }
  EXPECT_TRUE(contains(server_.output(), "connection closed")) << server_.output();
}

TEST_F(Server, HalfAMessageAndSilence) {
  start();
  std::vector<int> silent;
  for (int i = 0; i < 100; ++i) {
    silent.push_back(connect(i % 2 == 0 ? Transport::kUnix : Transport::kTcp));
  }
  for (size_t size : {1u, 4u, 7u, 8u, 12u}) {
    int fd = connect(Transport::kTcp);
    std::string half = std::string("\0\0\0\0\2\0\0\0\0\0\0\0", 12).substr(0, size);
    ::send(fd, half.data(), half.size(), MSG_NOSIGNAL);
    ::close(fd);
  }
  expect_serves();
  for (int fd : silent) ::close(fd);
  expect_serves();
  EXPECT_EQ(0, server_.terminate());
}

}  // namespace
}  // namespace myfs::test
