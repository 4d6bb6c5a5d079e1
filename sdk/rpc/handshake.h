// Handshake: the steps from an address to a connection that carries a session or a data service.
// Kernel counterpart: nfs4_proc_exchange_id, nfs4_proc_create_session,
// nfs4_proc_bind_conn_to_session (fs/nfs/nfs4proc.c).
// Thread safety: only inside the loop.
// Owns / is owned by: functions; the Connection passed to login, bind and attach must live until
// the promise is done or dropped.
// Invariants: (1) no promise here rejects: what goes wrong is an Errno with a sentence that names
// the server; (2) none outlives its deadline.
#pragma once

#include <kj/async.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "sdk/base/errno.h"
#include "sdk/rpc/client.h"
#include "sdk/rpc/connection.h"
#include "sdk/rpc/types.h"
#include "sdk/uv/event_port.h"

namespace myfs::rpc {

inline constexpr uint64_t kFeatures = 0;

// Worth asking the same again.
inline bool is_transient(Errno error) {
  return error == Errno(ETIMEDOUT) || error == Errno(ECONNRESET) || error == Errno(EAGAIN) ||
         error == Errno(EBUSY);
}

struct Greeting {
  Errno error;
  std::string why;
  kj::Own<Connection> connection;
  std::string challenge;
  int64_t server_time_ns = 0;
};
// Connects and says hello. `connector` is used if set. EPROTONOSUPPORT: other version; EPROTO: not
// a MyFS server.
kj::Promise<Greeting> greet(uv_io::EventPort& port, const std::string& address,
                            const Connector& connector, int64_t deadline_ns);

// Who logs in.
struct Identity {
  std::string client;  // uuid, 16 bytes
  std::string secret;
  std::string challenge;
  Cred cred;
  std::string export_path;
  bool read_only = false;
  uint32_t session_tag = 0;  // of the handles that the answer brings
  uint64_t number = 0;       // rises with each login and bind: what comes late is known by it
  std::function<void()> on_evicted;
};

struct LoginResult {
  Errno error;
  std::string why;
  SessionInfo info;
  std::vector<Grant> kept;
  bool grace = false;
  bool reclaim = false;  // the server was begun anew, and asks for what is held
  int64_t sent_ns = 0;
};
// On success the connection has its session.
kj::Promise<LoginResult> login(uv_io::EventPort& port, Connection& connection,
                               const Identity& identity, CallbackSink& sink, int64_t deadline_ns);
kj::Promise<LoginResult> bind_session(uv_io::EventPort& port, Connection& connection,
                                      const Identity& identity, const SessionInfo& session,
                                      const std::vector<Grant>& held, CallbackSink& sink,
                                      int64_t deadline_ns);

struct ReclaimResult {
  Errno error;
  std::string why;
  ReclaimAnswer answer;
};
// One part of what is held, over a connection that has its session.
kj::Promise<ReclaimResult> reclaim(uv_io::EventPort& port, Connection& connection,
                                   const ReclaimPart& part, int64_t deadline_ns);

struct Outcome {
  Errno error;
  std::string why;
};
// On success the connection has its data service.
kj::Promise<Outcome> attach_data(uv_io::EventPort& port, Connection& connection,
                                 uint64_t session_id, const std::string& token,
                                 int64_t deadline_ns);

}  // namespace myfs::rpc
