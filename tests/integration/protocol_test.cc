// Peers that speak Cap'n Proto but not our version of the protocol, in both directions. They are
// written down message by message, without the RPC system.

#include <capnp/message.h>
#include <capnp/rpc.capnp.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <myfs/myfs.capnp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <functional>
#include <string>
#include <thread>

#include "sdk/base/limits.h"
#include "tests/support/myfsd/client.h"
#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {
namespace {

constexpr uint16_t kHello = 0, kLogin = 1, kBind = 2, kAttachData = 3;

// Client and server side of one connection, blocking.
class Wire {
 public:
  explicit Wire(int fd) : fd_(fd) {
    timeval limit{20, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  }
  ~Wire() { ::close(fd_); }

  // Asks for the bootstrap capability (question 0) and calls a method of it (question `id`).
  template <typename Params>
  void call(uint32_t id, uint16_t method,
            const std::function<void(typename Params::Builder)>& fill) {
    capnp::MallocMessageBuilder bootstrap;
    bootstrap.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(0);
    if (!asked_) capnp::writeMessageToFd(fd_, bootstrap);
    asked_ = true;
    capnp::MallocMessageBuilder message;
    auto call = message.initRoot<capnp::rpc::Message>().initCall();
    call.setQuestionId(id);
    call.initTarget().initPromisedAnswer().setQuestionId(0);
    call.setInterfaceId(capnp::typeId<wire::Bootstrap>());
    call.setMethodId(method);
    fill(call.initParams().getContent().initAs<Params>());
    capnp::writeMessageToFd(fd_, message);
  }
  // Reads until the answer to question `id` and shows it; false: the connection ended before.
  bool receive(uint32_t id, const std::function<void(capnp::rpc::Return::Reader)>& show) {
    try {
      while (true) {
        capnp::StreamFdMessageReader message(fd_);
        auto root = message.getRoot<capnp::rpc::Message>();
        if (root.isAbort()) return false;
        if (!root.isReturn() || root.getReturn().getAnswerId() != id) continue;
        show(root.getReturn());
        return true;
      }
    } catch (const kj::Exception&) {
      return false;
    }
  }
  // Any message.
  void say(const std::function<void(capnp::rpc::Message::Builder)>& fill) {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<capnp::rpc::Message>());
    capnp::writeMessageToFd(fd_, message);
  }
  // The beginning of one, and no more.
  void say_half(const std::function<void(capnp::rpc::Message::Builder)>& fill) {
    capnp::MallocMessageBuilder message;
    fill(message.initRoot<capnp::rpc::Message>());
    auto words = capnp::messageToFlatArray(message);
    auto bytes = words.asBytes();
    EXPECT_EQ(static_cast<ssize_t>(bytes.size() / 2),
              ::send(fd_, bytes.begin(), bytes.size() / 2, MSG_NOSIGNAL));
    ::shutdown(fd_, SHUT_WR);
  }
  // Whether the other side says why it ends the connection.
  bool aborts() {
    try {
      while (true) {
        capnp::StreamFdMessageReader message(fd_);
        auto root = message.getRoot<capnp::rpc::Message>();
        if (root.isAbort()) return root.getAbort().getReason().size() > 0;
      }
    } catch (const kj::Exception&) {
      return false;
    }
  }
  // The other side of hello: waits for the call and answers it.
  bool answer_hello(const std::function<void(wire::Bootstrap::HelloResults::Builder)>& fill) {
    try {
      while (true) {
        capnp::StreamFdMessageReader message(fd_);
        auto root = message.getRoot<capnp::rpc::Message>();
        if (!root.isCall()) continue;
        capnp::MallocMessageBuilder reply;
        auto ret = reply.initRoot<capnp::rpc::Message>().initReturn();
        ret.setAnswerId(root.getCall().getQuestionId());
        fill(ret.initResults().getContent().initAs<wire::Bootstrap::HelloResults>());
        capnp::writeMessageToFd(fd_, reply);
        return true;
      }
    } catch (const kj::Exception&) {
      return false;
    }
  }
  // Until the other side hangs up; false: it has not for 20 s.
  bool drain() {
    char buffer[4096];
    ssize_t n = 0;
    while ((n = ::recv(fd_, buffer, sizeof buffer, 0)) > 0) {
    }
    return n == 0 || errno == ECONNRESET;
  }
  // Whether the other side answers.
  bool greets(uint32_t id) {
    call<wire::Bootstrap::HelloParams>(id, kHello,
                                       [](auto hello) { hello.setVersion(kProtocolVersion); });
    return receive(id, [](capnp::rpc::Return::Reader answer) { EXPECT_TRUE(answer.isResults()); });
  }

 private:
  const int fd_;
  bool asked_ = false;
};

class Protocol : public testing::Test {
 protected:
  void SetUp() override { ASSERT_TRUE(server_.start()) << server_.output(); }
  void TearDown() override {
    // Whatever was said to it, it goes on.
    Client client(server_.url());
    EXPECT_EQ(0, client.put("/f", "text"));
    EXPECT_EQ("text", client.get("/f"));
  }
  int connect() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    server_.socket_path().copy(address.sun_path, sizeof address.sun_path - 1);
    int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(0, ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address));
    return fd;
  }

  TempDir dir_;
  // Sessions that end without a word are not waited for long.
  MyfsdProcess server_{dir_ / "data", {"--lease-term", "2"}};
};

TEST_F(Protocol, TheServerTellsAClientOfAnotherVersionItsOwn) {
  for (uint32_t version : {0u, kProtocolVersion + 1, 0xffffffffu}) {
    Wire wire(connect());
    wire.call<wire::Bootstrap::HelloParams>(1, kHello,
                                            [&](auto hello) { hello.setVersion(version); });
    bool answered = wire.receive(1, [&](capnp::rpc::Return::Reader answer) {
      ASSERT_TRUE(answer.isResults());
      auto hello = answer.getResults().getContent().getAs<wire::Bootstrap::HelloResults>();
      EXPECT_EQ(EPROTONOSUPPORT, hello.getErrno());
      EXPECT_EQ(kProtocolVersion, hello.getVersion());
      EXPECT_GT(hello.getWhy().size(), 0u);
    });
    EXPECT_TRUE(answered) << version;
  }
}

// Logging in without a hello, with nonsense in every field.
TEST_F(Protocol, LoginWithoutHelloIsRefused) {
  Wire wire(connect());
  wire.call<wire::Bootstrap::LoginParams>(1, kLogin, [](auto login) {
    login.setClient(capnp::Data::Reader(reinterpret_cast<const kj::byte*>("short"), 5));
    login.setExport(capnp::Data::Reader(reinterpret_cast<const kj::byte*>("no/slash"), 8));
  });
  bool refused = true;
  wire.receive(1, [&](capnp::rpc::Return::Reader answer) {
    if (!answer.isResults()) return;
    auto login = answer.getResults().getContent().getAs<wire::Bootstrap::LoginResults>();
    refused = login.getErrno() != 0 && !login.hasSession();
  });
  EXPECT_TRUE(refused);
}

// What was said over the connections of before a bind must not be heard after it.
TEST_F(Protocol, BindEndsTheConnectionsThatTheSessionHad) {
  const std::string client(16, 'c');
  auto bytes = [](const std::string& text) {
    return capnp::Data::Reader(reinterpret_cast<const kj::byte*>(text.data()), text.size());
  };
  auto text = [](capnp::Data::Reader data) {
    return std::string(data.asChars().begin(), data.size());
  };
  uint64_t session = 0, epoch = 0;
  std::string secret, token;
  Wire control(connect()), data(connect()), stranger(connect()), anew(connect());
  control.call<wire::Bootstrap::LoginParams>(1, kLogin,
                                             [&](auto login) { login.setClient(bytes(client)); });
  ASSERT_TRUE(control.receive(1, [&](capnp::rpc::Return::Reader answer) {
    auto login = answer.getResults().getContent().getAs<wire::Bootstrap::LoginResults>();
    EXPECT_EQ(0, login.getErrno());
    session = login.getInfo().getSessionId();
    epoch = login.getInfo().getEpoch();
    secret = text(login.getInfo().getSecret());
    token = text(login.getInfo().getDataToken());
  }));
  data.call<wire::Bootstrap::AttachDataParams>(1, kAttachData, [&](auto attach) {
    attach.setSessionId(session);
    attach.setToken(bytes(token));
  });
  ASSERT_TRUE(data.receive(1, [&](capnp::rpc::Return::Reader answer) {
    auto attached = answer.getResults().getContent().getAs<wire::Bootstrap::AttachDataResults>();
    EXPECT_EQ(0, attached.getErrno());
  }));
  EXPECT_TRUE(stranger.greets(1));
  auto bind = [&](const std::string& with) {
    int error = -1;
    static uint32_t question = 0;
    anew.call<wire::Bootstrap::BindParams>(++question, kBind, [&](auto bind) {
      bind.setClient(bytes(client));
      bind.setSessionId(session);
      bind.setEpoch(epoch);
      bind.setSecret(bytes(with));
    });
    EXPECT_TRUE(anew.receive(question, [&](capnp::rpc::Return::Reader answer) {
      error = answer.getResults().getContent().getAs<wire::Bootstrap::BindResults>().getErrno();
    }));
    return error;
  };
  EXPECT_EQ(EACCES, bind("wrong"));
  EXPECT_TRUE(control.greets(2)) << "who may not bind ends nothing";
  EXPECT_EQ(0, bind(secret));
  EXPECT_TRUE(control.drain());
  EXPECT_TRUE(data.drain());
  EXPECT_TRUE(stranger.greets(2));
  EXPECT_EQ(0, bind(secret)) << "its own connection stays";
}

TEST_F(Protocol, AMessageThatIsCutOffEndsItsConnectionAlone) {
  Wire bad(connect()), good(connect());
  EXPECT_TRUE(good.greets(1));
  EXPECT_TRUE(bad.greets(1));
  bad.say_half([](auto message) { message.initCall().setQuestionId(9); });
  EXPECT_TRUE(bad.drain());
  EXPECT_TRUE(good.greets(2));
}

// Cap'n Proto's own rules: the peer is told why before the end.
TEST_F(Protocol, MessagesTwiceOrOutOfOrderEndTheirConnectionAlone) {
  auto hello_again = [](Wire& bad) {
    bad.say([](auto message) {
      auto call = message.initCall();
      call.setQuestionId(1);
      call.initTarget().initPromisedAnswer().setQuestionId(0);
      call.setInterfaceId(capnp::typeId<wire::Bootstrap>());
    });
  };
  auto no_such_capability = [](Wire& bad) {
    bad.say([](auto message) {
      auto call = message.initCall();
      call.setQuestionId(2);
      call.initTarget().setImportedCap(4711);
    });
  };
  auto answer_to_nothing = [](Wire& bad) {
    bad.say([](auto message) { message.initReturn().setAnswerId(4711); });
  };
  auto end_of_nothing = [](Wire& bad) {
    bad.say([](auto message) { message.initFinish().setQuestionId(4711); });
  };
  for (auto& say : {std::function<void(Wire&)>(hello_again),
                    {no_such_capability},
                    {answer_to_nothing},
                    {end_of_nothing}}) {
    Wire bad(connect()), good(connect());
    EXPECT_TRUE(good.greets(1));
    EXPECT_TRUE(bad.greets(1));
    say(bad);
    EXPECT_TRUE(bad.aborts());
    EXPECT_TRUE(bad.drain());
    EXPECT_TRUE(good.greets(2));
  }
}

// The client names address and both versions.
TEST_F(Protocol, mount_EPROTONOSUPPORT) {
  std::string path = dir_ / "other.sock";
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_EQ(0, ::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address));
  ASSERT_EQ(0, ::listen(listener, 4));
  std::thread server([&] {
    int fd = ::accept(listener, nullptr, nullptr);
    if (fd < 0) return;
    Wire wire(fd);
    EXPECT_TRUE(wire.answer_hello([](wire::Bootstrap::HelloResults::Builder hello) {
      hello.setErrno(EPROTONOSUPPORT);
      hello.setVersion(4711);
      hello.setWhy("this server speaks version 4711");
    }));
    wire.drain();
  });
  myfs_task* task = nullptr;
  std::string url = "myfs+unix:" + path + "?connect_timeout=5s";
  EXPECT_EQ(-EPROTONOSUPPORT, myfs_open_url(url.c_str(), nullptr, &task));
  std::string said = last_message();
  EXPECT_NE(std::string::npos, said.find("4711")) << said;
  EXPECT_NE(std::string::npos, said.find(path)) << said;
  ::shutdown(listener, SHUT_RDWR);
  server.join();
  ::close(listener);
}

}  // namespace
}  // namespace myfs::test
