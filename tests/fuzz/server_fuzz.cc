// fuzz.server: hostile clients against the server's own code: connections, handlers, shard, stores,
// in one thread on a clock that the input moves. An honest client works beside them.
//
// What must hold, whatever they say: nothing crashes; the honest client keeps its session, its file
// and its locks; what it asks for is done as soon as holders may be waited for; the store is clean
// afterwards.
#include <kj/async.h>
#include <kj/debug.h>

#include <memory>
#include <sstream>
#include <vector>

#include "sdk/base/log.h"
#include "server/connection.h"
#include "server/fsck.h"
#include "server/lock_handlers.h"
#include "server/rpc_handlers.h"
#include "tests/fuzz/hostile_client.h"
#include "tests/fuzz/target.h"
#include "tests/unit/server/rig.h"

namespace myfs::fuzz {
namespace {

using server::Client;
using server::Handle;
using server::Pending;
using server::Rig;

constexpr int64_t kStep_ns = 2 * kNsPerSec;  // the honest client renews so often
constexpr size_t kConnectionsMax = 6;
constexpr int kActsMax = 300;
constexpr uint32_t kHostile = 1000;
constexpr char kSecret[] = "what nobody else may touch";
// Each who is in the way may take this long; then he has been evicted or is over.
constexpr int64_t kWait_ns = kRecallHardCap_ns + 2 * kDefaultLeaseTerm_ns + 60 * kNsPerSec;
constexpr int64_t kSteps_ns[] = {10 * kNsPerMs, kNsPerSec, 3 * kNsPerSec, 11 * kNsPerSec,
                                 25 * kNsPerSec};

class Session {
 public:
  Session(Input& input, kj::WaitScope& scope) : input_(input), scope_(scope), rig_(false) {
    const uint8_t how = input.byte();
    as_root_ = how % 8 == 7;
    rig_.options.relaxed = how % 16 == 6;
    orderly_ = how < 128;
    rig_.boot();
    furnish();
    if (how % 4 != 3) begin_session('A');
  }
  ~Session() {
    connections_.clear();
    scope_.poll();
  }

  void play() {
    for (int i = 0; i < kActsMax && !input_.empty(); ++i) act();
    end();
  }

 private:
  struct Door final : server::PeerConnection {
    void disconnect(const std::string& why) override {
      if (stream != nullptr) stream->disconnect(why);
    }
    uv_io::MessageStream* stream = nullptr;
  };
  struct Peer {
    MemoryWire wire;
    std::unique_ptr<HostileClient> client;
    std::shared_ptr<Door> door;
    std::unique_ptr<server::Connection> connection;
    bool ended = false;
    ~Peer() {
      if (door != nullptr) door->stream = nullptr;
    }
  };

  // A file of the honest client's alone, and what everybody may use.
  void furnish() {
    honest_ = rig_.login();
    const Handle& root = honest_.root.handle;
    auto dir = rig_.mkdir(honest_, root, "private", 0700);
    private_ = rig_.create(honest_, dir.node.handle, "f", S_IFREG | 0600).node.handle;
    (void)rig_.write(honest_, private_, 0, kSecret);
    shared_ = rig_.mkdir(honest_, root, "d", 0777).node.handle;
    rig_.setattr(honest_, shared_, server::kSetMode, server::mode_of(0777));
    for (const char* name : {"f", "g"}) {
      auto file = rig_.create(honest_, shared_, name, S_IFREG | 0666);
      rig_.setattr(honest_, file.node.handle, server::kSetMode, server::mode_of(0666));
      (void)rig_.write(honest_, file.node.handle, 0,
                       std::string(name[0] == 'f' ? 100 : 70'000, 'x'));
      (void)rig_.commit(honest_, file.node.handle);
    }
    server::CreateArgs link{.dir = shared_, .name = "link", .mode = S_IFLNK | 0777};
    link.target = "f";
    (void)rig_.finish(rig_.start_create(honest_, link));
    (void)rig_.setattr(honest_, root, server::kSetMode, server::mode_of(0777));
  }

  void connect() {
    auto peer = std::make_unique<Peer>();
    Peer& made = *peer;
    uv_io::PeerCredentials who;
    who.is_unix = true;
    who.uid = as_root_ ? 0 : kHostile + input_.byte() % 2;
    who.gid = who.uid;
    who.pid = 1;
    made.door = std::make_shared<Door>();
    auto stream = kj::heap<MemoryStream>(made.wire, who);
    made.door->stream = stream.get();
    auto pins = std::make_shared<uv_io::MessagePins>();
    server::PeerInfo info = server::peer_info(*stream);
    info.connection = made.door;
    auto bootstrap = server::make_bootstrap(*rig_.shard, std::move(info), pins);
    made.connection =
        std::make_unique<server::Connection>(rig_.now_ns, kj::mv(stream), pins, made.door,
                                             kj::mv(bootstrap), [&made] { made.ended = true; });
    made.client = std::make_unique<HostileClient>(made.wire, vocabulary_);
    connections_.push_back(std::move(peer));
    run();
  }

  void begin_session(char client) {
    connect();
    Peer& control = *connections_.back();
    control.client->log_in(client, kHostile);
    run();
    control.client->ask_for_metadata();
    run();
    connect();
    connections_.back()->client->attach_data();
    run();
    control.client->look_up({"d", "f"});
    run();
  }

  // Everything that needs nobody's word.
  void run() {
    for (bool more = true; more;) {
      scope_.poll();
      more = rig_.step();
      for (auto& peer : connections_) {
        more |= peer->wire.pump();
        peer->client->hear();
      }
    }
  }

  void pass(int64_t ns) {
    while (ns > 0) {
      int64_t step_ns = std::min(ns, kStep_ns);
      ns -= step_ns;
      rig_.now_ns += step_ns;
      rig_.wall_ns += step_ns;
      require(rig_.shard->renew(*honest_.session, honest_.session->epoch).ok(),
              "the honest client keeps its session");
      rig_.shard->tick();
      run();
    }
  }

  // Lets time pass until it is answered.
  template <typename Reply>
  Reply wait(const Pending<Reply>& pending) {
    run();
    for (int64_t waited_ns = 0; !pending->has_value(); waited_ns += kStep_ns) {
      require(waited_ns < kWait_ns * 4, "the honest client is served");
      pass(kStep_ns);
    }
    return std::move(**pending);
  }

  void act() {
    std::erase_if(connections_, [](const auto& peer) { return peer->ended; });
    const uint8_t choice = input_.byte();
    if (choice >= 252 && connections_.size() < kConnectionsMax) {
      if (choice >= 254) connect();
      if (choice < 254) begin_session(static_cast<char>('A' + input_.byte() % 3));
    } else if (choice >= 244) {
      pass(input_.pick(kSteps_ns));
    } else if (choice >= 236) {
      rig_.hold_commits = choice % 2 == 0;
    } else if (choice >= 216) {
      work();
    } else if (!connections_.empty()) {
      Peer& peer = *connections_[choice % connections_.size()];
      peer.client->act(input_);
      if (choice >= 200) return;  // the next message is there before this one is looked at
    }
    run();
  }

  // The honest client's.
  void work() {
    rig_.hold_commits = false;
    switch (input_.byte() % 6) {
      case 0: {
        auto found =
            wait(rig_.start_lookup(honest_, shared_, {"f"}, server::kPartA | server::kPartR));
        if (found.nodes.empty() || found.nodes[0].error != 0) return;
        if (!S_ISREG(found.nodes[0].attr.mode)) return;
        (void)wait(rig_.start_write(honest_, found.nodes[0].handle, 3, "honest"));
        break;
      }
      case 1: {
        server::CreateArgs args{.dir = shared_, .name = "honest", .mode = S_IFREG | 0666};
        (void)wait(rig_.start_create(honest_, args));
        break;
      }
      case 2:
        (void)wait(rig_.start_unlink(honest_, shared_, input_.sometimes() ? "f" : "honest"));
        break;
      case 3:
        (void)wait(rig_.start_rename(honest_, shared_, "g", shared_, "f"));
        break;
      case 4:
        (void)wait(rig_.start_readdir(honest_, shared_, 0, 65536, true));
        break;
      default:
        look_at_what_is_private();
    }
  }

  void look_at_what_is_private() {
    auto read = wait(rig_.start_read(honest_, private_, 0, 100));
    if (as_root_) return;
    require(read.error == 0, "the private file can be read");
    std::string text(reinterpret_cast<const char*>(read.data.data()), read.data.size());
    require(text == kSecret, "the private file is what it was");
  }

  void end() {
    rig_.hold_commits = false;
    run();
    look_at_what_is_private();
    server::CreateArgs args{.dir = shared_, .name = "end", .mode = S_IFREG | 0666};
    auto made = wait(rig_.start_create(honest_, args));
    require(as_root_ || made.error == 0 || made.error == EEXIST,
            "the honest client can work in the shared directory");
    require(honest_.peer->evictions.empty(), "the honest client is not evicted");
    if (orderly_) {
      bool down = false;
      rig_.shard->shutdown(30 * kNsPerSec, [&](Errno) { down = true; });
      run();
      for (int i = 0; i < 100 && !down; ++i) {
        rig_.now_ns += kNsPerSec;
        rig_.shard->tick();
        run();
      }
      require(down, "an orderly end ends");
    }
    connections_.clear();
    run();
    rig_.halt(!orderly_);
    std::ostringstream report;
    const bool clean = server::run_fsck(rig_.meta, rig_.blocks, report) == server::kFsckClean;
    if (!clean) std::fprintf(stderr, "%s", report.str().c_str());
    require(clean, "the store is clean");
  }

  Input& input_;
  kj::WaitScope& scope_;
  Rig rig_;
  bool as_root_ = false;
  bool orderly_ = true;
  Client honest_;
  Handle private_, shared_;
  Vocabulary vocabulary_;
  std::vector<std::unique_ptr<Peer>> connections_;
};

struct Loop {
  ~Loop() {
    if (::getenv("MYFS_FUZZ_LOG") != nullptr) HostileClient::tell_answers();
  }
  Loop() {
    GTEST_FLAG_SET(break_on_failure, true);
    set_log_sink([](LogLevel, std::string_view) {});
  }
  kj::EventLoop loop;
  kj::WaitScope scope{loop};
};

}  // namespace
}  // namespace myfs::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace myfs::fuzz;
  if (size > kInputMax_bytes) return -1;
  static Loop loop;
  OneThread world;
  Input input(data, size);
  Session session(input, loop.scope);
  session.play();
  return 0;
}
