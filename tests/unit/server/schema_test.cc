#include <capnp/dynamic.h>
#include <gtest/gtest.h>
#include <kj/async.h>

#include <set>

#include "myfs/myfs.capnp.h"
#include "server/rpc_handlers.h"
#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

class IgnoredCallback final : public wire::ClientCallback::Server {};

// The handlers called in this process, without a wire.
class Schema : public testing::Test {
 protected:
  wire::Bootstrap::Client connect(bool as_root = true) {
    PeerInfo peer;
    peer.is_unix = true;
    peer.uid = as_root ? 0 : 1000;
    return make_bootstrap(*rig.shard, peer, nullptr).castAs<wire::Bootstrap>();
  }
  // Both loops run until the promise has its value.
  template <typename Promise>
  auto wait(Promise promise) {
    for (int i = 0; i < 1000 && !promise.poll(scope); ++i) rig.settle();
    return promise.wait(scope);
  }
  capnp::Response<wire::Bootstrap::LoginResults> login(wire::Bootstrap::Client bootstrap) {
    auto request = bootstrap.loginRequest();
    auto client = request.initClient(16);
    client[0] = static_cast<kj::byte>(++logins);
    request.setCallback(wire::ClientCallback::Client(kj::heap<IgnoredCallback>()));
    return wait(request.send());
  }
  wire::DataService::Client data_of(capnp::Response<wire::Bootstrap::LoginResults>& mine) {
    auto attach = connect().attachDataRequest();
    attach.setSessionId(mine.getInfo().getSessionId());
    attach.setToken(mine.getInfo().getDataToken());
    auto data = wait(attach.send());
    EXPECT_EQ(data.getErrno(), 0);
    return data.getData();
  }
  // A new file of one letter.
  capnp::Response<wire::MetadataService::CreateResults> create(
      capnp::Response<wire::Bootstrap::LoginResults>& mine, kj::byte letter) {
    auto meta = wait(mine.getSession().metaRequest().send()).getService();
    auto create = meta.createRequest();
    create.initOp().setEpoch(mine.getInfo().getEpoch());
    create.getOp().setSlot(2);
    create.getOp().setSlotSeq(1);
    create.setDir(mine.getInfo().getRoot().getHandle());
    create.setName(capnp::Data::Reader(&letter, 1));
    create.setMode(S_IFREG | 0666);
    return wait(create.send());
  }
  // Every handle in `params`, also in lists, becomes `handle`. Returns how many there are.
  static int set_handles(capnp::DynamicStruct::Builder params, const Handle& handle) {
    int count = 0;
    auto put = [&](capnp::DynamicStruct::Builder to) {
      to.set("ino", handle.ino);
      to.set("gen", handle.gen);
      to.set("mac", handle.mac);
      ++count;
    };
    for (auto field : params.getSchema().getFields()) {
      auto type = field.getType();
      if (type.isStruct() && type.asStruct() == capnp::Schema::from<wire::Handle>()) {
        put(params.init(field).as<capnp::DynamicStruct>());
      } else if (type.isList() && type.asList().getElementType().isStruct() &&
                 type.asList().getStructElementType() == capnp::Schema::from<wire::Handle>()) {
        auto list = params.init(field, 1).as<capnp::DynamicList>();
        put(list[0].as<capnp::DynamicStruct>());
      }
    }
    return count;
  }
  // The errno of a reply, wherever the schema puts it.
  static int errno_of(capnp::DynamicStruct::Reader results) {
    if (results.getSchema().findFieldByName("reply") != nullptr)
      return errno_of(results.get("reply").as<capnp::DynamicStruct>());
    int error = results.get("errno").as<int32_t>();
    if (error != 0 || results.getSchema().findFieldByName("nodes") == nullptr) return error;
    auto nodes = results.get("nodes").as<capnp::DynamicList>();
    return nodes.size() == 0 ? 0 : errno_of(nodes[0].as<capnp::DynamicStruct>());
  }
  // Calls every method of the interface with `handle`. Returns the methods without handles.
  template <typename Service>
  std::set<std::string> expect_refused(typename Service::Client typed, const Handle& handle,
                                       uint64_t epoch) {
    std::set<std::string> without;
    capnp::InterfaceSchema schema = capnp::Schema::from<Service>();
    auto service = capnp::Capability::Client(typed).castAs<capnp::DynamicCapability>(schema);
    for (auto method : schema.getMethods()) {
      std::string name = method.getProto().getName().cStr();
      auto request = service.newRequest(method);
      if (request.getSchema().findFieldByName("op") != nullptr) {
        auto op = request.init("op").as<capnp::DynamicStruct>();
        op.set("epoch", epoch);
        op.set("slot", 5);
        op.set("slotSeq", ++slot_seq);
      }
      if (set_handles(request, handle) == 0) {
        without.insert(name);
        continue;
      }
      if (request.getSchema().findFieldByName("name") != nullptr) {
        kj::byte letter = 'x';
        request.set("name", capnp::Data::Reader(&letter, 1));
      }
      auto results = wait(request.send());
      int error = errno_of(results);
      EXPECT_TRUE(error == EACCES || error == EOPNOTSUPP) << name << ": " << error;
    }
    return without;
  }

  struct Kj {
    kj::EventLoop loop;
    kj::WaitScope scope{loop};
  };
  std::unique_ptr<Kj> kj_loop = std::make_unique<Kj>();
  kj::WaitScope& scope = kj_loop->scope;
  Rig rig;
  int logins = 0;
  uint64_t slot_seq = 0;
};

TEST_F(Schema, every_method_refuses_forged_and_foreign_handles) {
  auto mine = login(connect());
  ASSERT_EQ(mine.getErrno(), 0);
  auto theirs = login(connect());
  auto root = theirs.getInfo().getRoot().getHandle();
  uint64_t epoch = mine.getInfo().getEpoch();
  Handle foreign{.ino = root.getIno(), .gen = root.getGen(), .mac = root.getMac()};
  Handle forged = foreign;
  forged.mac ^= 1;
  auto meta = wait(mine.getSession().metaRequest().send()).getService();
  auto data = data_of(mine);
  for (const Handle& handle : {foreign, forged}) {
    EXPECT_EQ(expect_refused<wire::MetadataService>(meta, handle, epoch),
              (std::set<std::string>{"lockCancel", "sync", "unwatch"}));
    EXPECT_EQ(expect_refused<wire::DataService>(data, handle, epoch),
              (std::set<std::string>{"ping"}));
  }
}

TEST_F(Schema, an_opener_without_credentials_is_nobody) {
  Client root = rig.login();
  ASSERT_EQ(rig.create(root, root.root.handle, "f", S_IFREG | 0600).error, 0);
  auto mine = login(connect());
  auto meta = wait(mine.getSession().metaRequest().send()).getService();
  auto lookup = meta.lookupRequest();
  lookup.setDir(mine.getInfo().getRoot().getHandle());
  lookup.initNames(1).set(0, kj::StringPtr("f").asBytes());
  auto found = wait(lookup.send());
  ASSERT_EQ(found.getErrno(), 0);
  wire::DataService::Client data = data_of(mine);
  auto read = data.readRequest();
  read.setNode(found.getNodes()[0].getHandle());
  read.setLen(1);
  read.initOpener().initCred();  // uid 0
  EXPECT_EQ(wait(read.send()).getErrno(), 0);
  auto nobodys = data.readRequest();
  nobodys.setNode(found.getNodes()[0].getHandle());
  nobodys.setLen(1);
  EXPECT_EQ(wait(nobodys.send()).getErrno(), EACCES);
}

TEST_F(Schema, own_handles_are_accepted) {
  auto mine = login(connect());
  auto meta = wait(mine.getSession().metaRequest().send()).getService();
  auto request = meta.getattrRequest();
  request.setNode(mine.getInfo().getRoot().getHandle());
  auto results = wait(request.send());
  EXPECT_EQ(results.getErrno(), 0);
  EXPECT_EQ(results.getNode().getAttr().getIno(), kRootIno);
  EXPECT_TRUE(results.getNode().getHasAttr());
}

TEST_F(Schema, a_fresh_connection_holds_hello_and_login_only) {
  auto bootstrap = connect();
  auto hello = bootstrap.helloRequest();
  hello.setVersion(kProtocolVersion);
  auto greeted = wait(hello.send());
  EXPECT_EQ(greeted.getErrno(), 0);
  EXPECT_GE(greeted.getChallenge().size(), 16u);
  hello = bootstrap.helloRequest();
  hello.setVersion(99);
  auto refused = wait(hello.send());
  EXPECT_EQ(refused.getErrno(), EPROTONOSUPPORT);
  EXPECT_EQ(refused.getVersion(), kProtocolVersion);
  auto attach = bootstrap.attachDataRequest();
  attach.setSessionId(1);
  EXPECT_EQ(wait(attach.send()).getErrno(), EACCES);
  auto bind = bootstrap.bindRequest();
  bind.setSessionId(1);
  EXPECT_NE(wait(bind.send()).getErrno(), 0);
}

TEST_F(Schema, dropping_the_session_disconnects_it) {
  SessionRef session;
  {
    auto mine = login(connect());
    session = rig.shard->sessions().find(mine.getInfo().getSessionId());
    ASSERT_NE(session, nullptr);
    EXPECT_NE(session->peer, nullptr);
  }
  EXPECT_EQ(session->peer, nullptr);
  EXPECT_TRUE(session->live());
}

TEST_F(Schema, a_control_connection_that_was_taken_over_is_refused) {
  auto mine = login(connect());
  auto info = mine.getInfo();
  auto bootstrap = connect();
  auto bind = bootstrap.bindRequest();
  kj::byte client[16] = {static_cast<kj::byte>(logins)};
  bind.setClient(capnp::Data::Reader(client, sizeof client));
  bind.setSessionId(info.getSessionId());
  bind.setEpoch(info.getEpoch());
  bind.setSecret(info.getSecret());
  bind.setCallback(wire::ClientCallback::Client(kj::heap<IgnoredCallback>()));
  auto bound = wait(bind.send());
  ASSERT_EQ(bound.getErrno(), 0);
  auto renew = mine.getSession().renewRequest();
  renew.setEpoch(info.getEpoch());
  EXPECT_EQ(wait(renew.send()).getErrno(), ESTALE);
  renew = bound.getSession().renewRequest();
  renew.setEpoch(info.getEpoch());
  EXPECT_EQ(wait(renew.send()).getErrno(), 0);
}

// The client's word for it: back off, then send the same again.
TEST_F(Schema, a_call_that_there_is_no_room_for_is_overloaded) {
  auto mine = login(connect());
  const kj::byte letter = 'f';
  auto made = create(mine, letter);
  ASSERT_EQ(made.getReply().getErrno(), 0);
  auto theirs = login(connect());  // whose callback answers nothing
  auto their_meta = wait(theirs.getSession().metaRequest().send()).getService();
  auto lookup = their_meta.lookupRequest();
  lookup.setDir(theirs.getInfo().getRoot().getHandle());
  lookup.initNames(1).set(0, capnp::Data::Reader(&letter, 1));
  auto found = wait(lookup.send());
  auto hold = their_meta.getattrRequest();
  hold.setNode(found.getNodes()[0].getHandle());
  hold.setWant(kPartR);
  hold.setMustGrant(true);
  ASSERT_EQ(wait(hold.send()).getErrno(), 0);
  auto attach = connect().attachDataRequest();
  attach.setSessionId(mine.getInfo().getSessionId());
  attach.setToken(mine.getInfo().getDataToken());
  auto data = wait(attach.send()).getData();
  std::vector<capnp::RemotePromise<wire::DataService::WriteResults>> writing;
  for (uint16_t slot = 3; slot < 6; ++slot) {
    auto write = data.writeRequest();
    write.initOp().setEpoch(mine.getInfo().getEpoch());
    write.getOp().setSlot(slot);
    write.getOp().setSlotSeq(1);
    write.setNode(made.getReply().getNode().getHandle());
    write.initData(kIoMax_bytes);
    write.setFlags(kWriteUncached);
    writing.push_back(write.send());
  }
  EXPECT_FALSE(writing[0].poll(scope));
  EXPECT_FALSE(writing[1].poll(scope));
  ASSERT_TRUE(writing[2].poll(scope));
  auto failed = kj::runCatchingExceptions([&] { (void)writing[2].wait(scope); });
  KJ_IF_MAYBE (exception, failed) {
    EXPECT_EQ(exception->getType(), kj::Exception::Type::OVERLOADED);
  } else {
    ADD_FAILURE() << "it was answered";
  }
}

// The client compares: not even its own word for what it has written may come back as the answer.
TEST_F(Schema, a_replayed_commit_tells_the_verifier_of_its_execution) {
  auto mine = login(connect());
  auto made = create(mine, 'f');
  ASSERT_EQ(made.getReply().getErrno(), 0);
  auto data = data_of(mine);
  const uint64_t verifier = rig.shard->verifier();
  for (int time = 0; time < 2; ++time) {
    auto commit = data.commitRequest();
    commit.initOp().setEpoch(mine.getInfo().getEpoch());
    commit.getOp().setSlot(3);
    commit.getOp().setSlotSeq(1);
    commit.setNode(made.getReply().getNode().getHandle());
    commit.setVerifier(verifier + 1);
    auto done = wait(commit.send());
    EXPECT_EQ(done.getErrno(), 0);
    EXPECT_EQ(done.getVerifier(), verifier) << time;
  }
}

// Its arguments could be megabytes, most of them of no meaning.
TEST_F(Schema, a_call_that_waits_keeps_no_message) {
  class Witness final : public wire::ClientCallback::Server {
   public:
    explicit Witness(bool& gone) : gone_(gone) {}
    ~Witness() noexcept(false) { gone_ = true; }

   private:
    bool& gone_;
  };
  Client holder = rig.login();
  holder.peer->silent();
  auto mine = login(connect());
  auto meta = wait(mine.getSession().metaRequest().send()).getService();
  auto size = capnp::Schema::from<wire::MetadataService::CreateParams>().getProto().getStruct();
  auto request = meta.typelessRequest(capnp::typeId<wire::MetadataService>(), 3, nullptr);
  auto any = request.initAsAnyStruct(size.getDataWordCount(),
                                     static_cast<uint16_t>(size.getPointerCount() + 1));
  auto create = any.as<wire::MetadataService::CreateParams>();
  create.initOp().setEpoch(mine.getInfo().getEpoch());
  create.getOp().setSlot(2);
  create.getOp().setSlotSeq(1);
  create.setDir(mine.getInfo().getRoot().getHandle());
  create.initName(1)[0] = 'f';
  create.setMode(S_IFREG | 0644);
  bool gone = false;
  any.getPointerSection()[size.getPointerCount()].setAs<capnp::Capability>(
      capnp::Capability::Client(wire::ClientCallback::Client(kj::heap<Witness>(gone))));
  auto waiting = request.send();
  EXPECT_FALSE(waiting.poll(scope));
  rig.settle();
  EXPECT_FALSE(waiting.poll(scope));
  EXPECT_EQ(holder.peer->recalls.size(), 1u);
  EXPECT_TRUE(gone);
  rig.ack(holder, holder.peer->recalls[0]);
  auto made = wait(kj::mv(waiting));
  EXPECT_EQ(made.getAs<wire::MetadataService::CreateResults>().getReply().getErrno(), 0);
}

TEST_F(Schema, statistics_do_not_count_themselves) {
  auto mine = login(connect());
  auto first = wait(mine.getSession().statsRequest().send()).getOperations();
  wait(mine.getSession().pingRequest().send());
  EXPECT_EQ(wait(mine.getSession().statsRequest().send()).getOperations(), first);
}

TEST_F(Schema, a_retry_with_other_content_is_a_protocol_error) {
  auto mine = login(connect());
  auto meta = wait(mine.getSession().metaRequest().send()).getService();
  auto make = [&](kj::byte letter) {
    auto request = meta.createRequest();
    auto op = request.initOp();
    op.setEpoch(mine.getInfo().getEpoch());
    op.setSlot(2);
    op.setSlotSeq(1);
    request.setDir(mine.getInfo().getRoot().getHandle());
    request.setName(capnp::Data::Reader(&letter, 1));
    request.setMode(S_IFREG | 0644);
    return wait(request.send());
  };
  auto first = make('a');
  EXPECT_EQ(first.getReply().getErrno(), 0);
  EXPECT_FALSE(first.getReply().getReplayed());
  EXPECT_TRUE(make('a').getReply().getReplayed());
  EXPECT_EQ(make('b').getReply().getErrno(), EPROTO);
}

}  // namespace
}  // namespace myfs::server
