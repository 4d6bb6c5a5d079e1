// SessionTable: the clients that logged in, by number.
// Kernel counterpart: struct nfs4_client and its hash (fs/nfsd/state.h).  Differs: courteous, an
// expired session lives until it is in somebody's way.
// Thread safety: the shard's loop only.
// Owns / is owned by: member of Shard; a session's object lives as long as a request or connection
// refers to it, its state tells whether it still counts.
// Invariants: (1) kLive -> kDying -> kDead only; a dying session ends what it has begun and
// executes nothing else, and its leases stand until its death and what it wrote are durable; (2) at
// most one control connection speaks for a session.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "server/auth.h"
#include "server/handle_mac.h"
#include "server/lease_table.h"
#include "server/peer.h"
#include "server/reply_cache.h"
#include "server/types.h"

namespace myfs::server {

inline constexpr size_t kSessionsMax = 65'536;
inline constexpr size_t kSessionsPerUserMax = 4'096;            // of one uid that is not root
inline constexpr uint64_t kCreditsPerSession_bytes = 64 << 20;  // requests on their way
inline constexpr size_t kDataTokensMax = 64;                    // outstanding, of a session
inline constexpr size_t kSecretSize_bytes = 16;
inline constexpr int64_t kCourtesy_ns = 24 * 3600 * int64_t{1'000'000'000};

// What a session that has not come back yet may hold; each includes those before it.
enum class Awaited : uint8_t { kNo, kPins, kLocks, kLeases };

struct Session {
  enum class State : uint8_t { kLive, kDying, kDead };

  SessionId id = 0;
  uint64_t epoch = 1;
  std::string client{};  // its uuid
  std::string secret{};
  Principal principal{};
  bool read_only = false;
  uint64_t export_ino = kRootIno;
  HandleMac mac;

  State state = State::kLive;
  std::shared_ptr<ClientPeer> peer{};  // null: no control connection
  uint64_t binding = 0;                // changes when another connection takes over
  int64_t deadline_ns = 0;             // boottime scale: past it a conflict ends the session
  int64_t seen_ns = 0;                 // of the newest renewal
  int64_t quiet_until_ns = 0;          // no recall is sent before the answer to a bind
  std::vector<std::string> data_tokens{};
  std::vector<std::weak_ptr<PeerConnection>> connections{};  // of this binding
  ReplyCache replies;
  uint32_t parked = 0;      // operations that wait for others,
  size_t parked_bytes = 0;  // and what they hold to be written
  uint32_t begun = 0;       // operations that have had work done outside the loop
  bool end_is_durable = false;

  // The highest of its login and binds; what comes with a lower one comes late.
  uint64_t number = 0;

  // Of a session of an earlier boot, until its client has told what it holds.
  Awaited awaited = Awaited::kNo;
  bool reclaims = false;            // the newest bind has asked for that
  bool reclaimed = false;           // it has been told before in this boot
  int64_t reclaim_progress_ns = 0;  // of the newest part of it
  // Of its changes that were restored: what they may have opened.
  std::vector<uint64_t> maybe_open{};

  bool live() const { return state == State::kLive; }
};
using SessionRef = std::shared_ptr<Session>;

class SessionTable {
 public:
  // EUSERS when a limit is reached.
  Errno admits(const Principal& principal) const;
  void add(SessionRef session) { sessions_.emplace(session->id, session); }
  SessionRef find(SessionId id) const;
  void remove(SessionId id) { sessions_.erase(id); }
  size_t size() const { return sessions_.size(); }
  const std::map<SessionId, SessionRef>& all() const { return sessions_; }

  // The session speaks over this connection as well.
  static void add_connection(Session& session, const std::shared_ptr<PeerConnection>& connection);
  // From now on it speaks over `connection` alone.
  static void move_to_connection(Session& session,
                                 const std::shared_ptr<PeerConnection>& connection);

  // Draws a token by which one data connection may attach.
  static std::string new_data_token(Session& session);
  // The session whose token this is; the token is used up. Null: none.
  SessionRef take_data_token(SessionId id, std::string_view token);

 private:
  std::map<SessionId, SessionRef> sessions_;
};

}  // namespace myfs::server
