// FakeServer: a scripted MyFS server in the test's process, reached over socketpairs; enough of the
// protocol to see what the client does with slots, reconnects, bad answers and silence.
// Thread safety: public methods any thread unless said; everything else inside its loop.
#pragma once

#include <capnp/rpc-twoparty.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "myfs/myfs.capnp.h"
#include "sdk/base/result.h"
#include "sdk/base/sync.h"
#include "sdk/uv/loop.h"
#include "sdk/uv/message_stream.h"

namespace myfs::rpc_test {

// What the server does with the next calls; changed by the test inside the loop
// (FakeServer::script).
struct Script {
  uint32_t version = 1;
  bool silent_hello = false;
  int32_t login_errno = 0;
  int32_t bind_errno = 0;
  int32_t attach_errno = 0;
  uint16_t slots = 8;
  uint64_t credit_bytes = 8 << 20;
  uint32_t term_ms = 20'000;
  bool send_slot_seqs = true;
  bool recall_before_login_reply = false;
  bool grants = false;  // whoever asks for parts gets them

  bool hold = false;        // calls wait until release_held()
  bool hold_opens = false;  // of these: creations and opens only
  bool break_after_execute =
      false;           // the next change is executed, then its connection dies, unanswered
  int overloaded = 0;  // so many calls are refused as overloaded
  bool unimplemented = false;
  bool throw_failed = false;
  int32_t errno_value = 0;  // of every metadata answer
  bool renew_stale = false;
  bool renew_silent = false;
  bool oversized_read = false;  // answers more than was asked for
  bool bad_name = false;        // of directory entries
  bool bad_nsec = false;
  bool bad_errno = false;
  bool many_nodes = false;
  bool count_too_large = false;
  bool relaxed = false;
  bool bare_changes = false;  // answers of changes carry no attributes, as if replayed
  int32_t getattr_errno = 0;
  bool getattr_ends_session = false;  // the next one
  int32_t lock_errno = 0;             // of locks, not of unlocks
  bool lock_queues = false;           // they get a ticket
  bool lock_silent = false;           // executed, and not answered
  bool unlock_silent = false;         // likewise
  bool cancel_silent = false;         // likewise
  bool cancel_too_late = false;       // what is cancelled was granted before
  uint64_t boot_verifier = 42;        // another than the client's: it has to reclaim
  int32_t reclaim_errno = 0;
  bool reclaim_keeps = true;  // what is claimed
  int break_reclaim = 0;      // the connection dies at so many parts, unanswered
  bool reclaim_silent = false;
};

class FakeServer {
 public:
  FakeServer();
  ~FakeServer() noexcept;

  // The client's end of a new connection.
  Result<int> connect();
  // Changes the script.
  void script(std::function<void(Script&)> change);
  void release_held();
  // Kills every connection.
  void break_connections();
  void break_data_connections();
  // Takes parts back, as after an answer of now.
  void recall(uint64_t ino, uint16_t parts);
  // Calls the newest session's client.
  void call_back(std::function<kj::Promise<void>(wire::ClientCallback::Client&)> call);

  // The waiting client gets what ticket `id` stands for.
  void grant_lock(uint64_t id);
  // What was asked for since the last time: "W 0+10", "U 0+", "cancel 1", "ack 1".
  std::vector<std::string> lock_log();
  // Binds, reclaims ("reclaim 2 1 0", "reclaim 0 0 0 last": leases, opens, locks) and changes, in
  // the order in which they came.
  std::vector<std::string> order();
  // What was claimed since the last time: "lease 201 AWP since 1", "open 201", "lock 201 W 0+10",
  // "wait 201 W 0+10 #1".
  std::vector<std::string> claims();
  std::string content();
  void set_content(std::string content);

  std::atomic<int> connections{0};
  std::atomic<int> logins{0};
  std::atomic<int> binds{0};
  std::atomic<int> attaches{0};
  std::atomic<int> executed{0};  // changes done, each slot number once
  std::atomic<int> replayed{0};
  std::atomic<int> commits{0};
  std::atomic<int> queries{0};
  std::atomic<int> held{0};
  std::atomic<int> acks{0};
  std::atomic<int> releases{0};
  std::atomic<int> closed_opens{0};
  std::atomic<int> pings{0};
  std::atomic<int> renews{0};
  std::atomic<int> closed{0};
  std::atomic<int> cancelled{0};
  std::atomic<int> reclaims{0};  // parts
  std::atomic<uint64_t> last_epoch{0};
  std::atomic<uint64_t> held_grants{0};
  std::atomic<uint64_t> last_number{0};  // of login and bind
  std::atomic<uint64_t> last_past_session{0};
  std::string last_proof;  // read it only while nothing logs in
  std::string last_challenge;
  std::string last_client;

 private:
  friend class FakeBootstrap;
  friend class FakeSession;
  friend class FakeMeta;
  friend class FakeData;
  struct Conn;

  void accept(int fd);
  void drop(uint64_t id);
  kj::Promise<void> gate(uint64_t conn, bool opens = false);
  // False: the connection dies, no answer. `*replay`: it was executed before.
  bool execute(wire::Op::Reader op, uint64_t conn, bool* replay);
  void check_trouble();
  void grant(wire::Node::Builder node, uint16_t parts);

  std::unique_ptr<uv_io::Loop> loop_;
  Script script_;
  std::map<uint64_t, kj::Own<Conn>> conns_;
  uint64_t next_conn_ = 0;
  uint64_t session_id_ = 0;
  std::string secret_;
  std::map<uint16_t, uint64_t> slots_;
  std::vector<kj::Own<kj::PromiseFulfiller<void>>> gates_;
  kj::Maybe<wire::ClientCallback::Client> callback_;
  std::string content_;
  uint64_t tokens_ = 0;
  uint64_t lease_seq_ = 0;
  uint64_t lock_seq_ = 0;
  uint64_t tickets_ = 0;
  std::map<uint16_t, uint64_t> ticket_of_slot_, lock_seq_of_slot_;
  std::vector<std::string> lock_log_;
  std::vector<std::string> order_, claims_;
};

}  // namespace myfs::rpc_test
