#include "server/session_table.h"

#include <algorithm>
#include <utility>

#include "sdk/base/random.h"

namespace myfs::server {

Errno SessionTable::admits(const Principal& principal) const {
  if (sessions_.size() >= kSessionsMax) return Errno(EUSERS);
  if (principal.anyone) return {};
  size_t mine = 0;
  for (const auto& [id, session] : sessions_) {
    if (!session->principal.anyone && session->principal.cred.uid == principal.cred.uid) ++mine;
  }
  return mine >= kSessionsPerUserMax ? Errno(EUSERS) : Errno();
}

SessionRef SessionTable::find(SessionId id) const {
  auto it = sessions_.find(id);
  return it == sessions_.end() ? nullptr : it->second;
}

void SessionTable::add_connection(Session& session,
                                  const std::shared_ptr<PeerConnection>& connection) {
  if (connection == nullptr) return;
  std::erase_if(session.connections, [&](const auto& known) {
    auto alive = known.lock();
    return alive == nullptr || alive == connection;
  });
  session.connections.push_back(connection);
}

void SessionTable::move_to_connection(Session& session,
                                      const std::shared_ptr<PeerConnection>& connection) {
  session.data_tokens.clear();
  for (const auto& known : std::exchange(session.connections, {})) {
    auto alive = known.lock();
    if (alive != nullptr && alive != connection)
      alive->disconnect("its session was bound to another connection");
  }
  add_connection(session, connection);
}

std::string SessionTable::new_data_token(Session& session) {
  std::string token(kSecretSize_bytes, '\0');
  random_bytes(token.data(), token.size());
  if (session.data_tokens.size() >= kDataTokensMax)
    session.data_tokens.erase(session.data_tokens.begin());
  session.data_tokens.push_back(token);
  return token;
}

SessionRef SessionTable::take_data_token(SessionId id, std::string_view token) {
  SessionRef session = find(id);
  if (session == nullptr || !session->live()) return nullptr;
  auto& tokens = session->data_tokens;
  auto it = std::find_if(tokens.begin(), tokens.end(), [&](const std::string& candidate) {
    return equal_constant_time(candidate, token);
  });
  if (it == tokens.end()) return nullptr;
  tokens.erase(it);
  return session;
}

}  // namespace myfs::server
