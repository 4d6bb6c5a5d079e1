#include "sdk/rpc/handshake.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "sdk/base/clock.h"
#include "sdk/base/error_detail.h"
#include "sdk/rpc/auth.h"
#include "sdk/rpc/callback_server.h"
#include "sdk/rpc/errno_map.h"
#include "sdk/rpc/wire.h"
#include "sdk/uv/network.h"

namespace myfs::rpc {
namespace {

constexpr size_t kWhyMax_bytes = 1'024;
constexpr size_t kChallengeMax_bytes = 1'024;

// `promise` or, at the deadline, `late`.
template <typename T>
kj::Promise<T> until(uv_io::EventPort& port, int64_t deadline_ns, kj::Promise<T> promise, T late) {
  if (deadline_ns == kNoDeadline) return promise;
  return promise.exclusiveJoin(
      port.timer().atTime(uv_io::kj_time(deadline_ns)).then([late = kj::mv(late)]() mutable -> T {
        return kj::mv(late);
      }));
}

std::string to_text(capnp::Text::Reader text) {
  return std::string(text.cStr(), std::min<size_t>(text.size(), kWhyMax_bytes));
}

template <typename T>
T failed(Errno error, std::string why) {
  T result;
  result.error = error;
  result.why = std::move(why);
  return result;
}

// Users write bare addresses: "host:port" or a path.
std::string with_scheme(const std::string& address) {
  if (absl::StartsWith(address, "tcp:") || absl::StartsWith(address, "unix:")) return address;
  return absl::StrCat(address.find('/') == std::string::npos ? "tcp:" : "unix:", address);
}

Greeting check_hello(const std::string& address, wire::Bootstrap::HelloResults::Reader reply) {
  Errno error = to_errno(reply.getErrno());
  if (error == Errno(EPROTONOSUPPORT) || (error.ok() && reply.getVersion() != kProtocolVersion)) {
    return failed<Greeting>(
        Errno(EPROTONOSUPPORT),
        absl::StrFormat("%s speaks version %d of the MyFS protocol, this client version %d",
                        address, reply.getVersion(), kProtocolVersion));
  }
  if (!error.ok()) {
    return failed<Greeting>(error,
                            absl::StrCat(address, " refused hello: ", to_text(reply.getWhy())));
  }
  if (reply.getChallenge().size() > kChallengeMax_bytes) {
    return failed<Greeting>(Errno(EPROTO), absl::StrCat(address, " sent a malformed hello"));
  }
  Greeting greeting;
  greeting.challenge = to_string(reply.getChallenge());
  greeting.server_time_ns = reply.getServerTimeNs();
  return greeting;
}

// A peer that sends something and then hangs up, or what cannot be read, does not speak our
// protocol.
Greeting hello_failed(const std::string& address, const Connection& connection,
                      const kj::Exception& exception) {
  Mapped mapped = map_exception(exception);
  bool spoke = connection.stats().bytes_in.load(std::memory_order_relaxed) > 0;
  if (mapped.trouble != Trouble::kBroken || spoke) {
    return failed<Greeting>(
        Errno(EPROTO), absl::StrCat(address, " does not speak the MyFS protocol: ", mapped.text));
  }
  return failed<Greeting>(Errno(ECONNRESET),
                          absl::StrCat(address, " hung up before it answered: ", mapped.text));
}

kj::Promise<Greeting> say_hello(uv_io::EventPort& port, std::string address,
                                kj::Own<Connection> connection, int64_t deadline_ns) {
  auto request = connection->bootstrap().helloRequest();
  request.setVersion(kProtocolVersion);
  request.setFeatures(kFeatures);
  Connection& borrowed = *connection;
  auto promise = request.send()
                     .then([address](capnp::Response<wire::Bootstrap::HelloResults>&& reply) {
                       return check_hello(address, reply);
                     })
                     .catch_([address, &borrowed](kj::Exception&& exception) {
                       return hello_failed(address, borrowed, exception);
                     });
  return until(
             port, deadline_ns, kj::mv(promise),
             failed<Greeting>(Errno(ETIMEDOUT),
                              absl::StrCat(address, " accepted the connection but did not answer")))
      .then([connection = kj::mv(connection)](Greeting&& greeting) mutable {
        if (greeting.error.ok()) greeting.connection = kj::mv(connection);
        return kj::mv(greeting);
      });
}

// What login and bind answer alike.
template <typename Reply>
LoginResult check_session(Reply&& reply, Connection& connection, uint32_t tag, int64_t sent_ns) {
  LoginResult result;
  result.error = to_errno(reply.getErrno());
  result.sent_ns = sent_ns;
  result.why = to_text(reply.getWhy());
  if (!result.error.ok()) return result;
  if (!decode(reply.getInfo(), tag, &result.info) || !reply.hasSession()) {
    return failed<LoginResult>(Errno(EPROTO),
                               "the server's description of the session is malformed");
  }
  connection.set_session(reply.getSession());
  return result;
}

template <typename T>
T handshake_broken(const kj::Exception& exception) {
  Mapped mapped = map_exception(exception);
  return failed<T>(mapped.trouble == Trouble::kFailed ? Errno(EPROTO) : mapped.error, mapped.text);
}

void encode(const ReclaimPart& part, wire::Session::ReclaimParams::Builder to) {
  auto leases = to.initClaims(static_cast<unsigned>(part.leases.size()));
  for (unsigned i = 0; i < part.leases.size(); ++i) {
    encode(part.leases[i].node, leases[i].initNode());
    leases[i].setParts(part.leases[i].parts);
    leases[i].setChange(part.leases[i].change);
    leases[i].setWriteSince(part.leases[i].write_since);
  }
  auto opens = to.initOpens(static_cast<unsigned>(part.opens.size()));
  for (unsigned i = 0; i < part.opens.size(); ++i) {
    encode(part.opens[i].node, opens[i].initNode());
    encode(part.opens[i].open, opens[i].initOpen());
  }
  auto locks = to.initLocks(static_cast<unsigned>(part.locks.size()));
  for (unsigned i = 0; i < part.locks.size(); ++i) {
    encode(part.locks[i].node, locks[i].initNode());
    encode(part.locks[i].range, locks[i].initRange());
    locks[i].setLockId(part.locks[i].ticket);
  }
  to.setLast(part.last);
}

ReclaimResult check_reclaim(wire::Session::ReclaimResults::Reader reply, size_t leases,
                            size_t locks) {
  ReclaimResult result;
  result.error = to_errno(reply.getErrno());
  result.why = to_text(reply.getWhy());
  if (!result.error.ok()) return result;
  if (reply.getLocks().size() != locks ||
      !decode_grants(reply.getKept(), leases, &result.answer.kept)) {
    return failed<ReclaimResult>(Errno(EPROTO), "the server's answer to a reclaim is malformed");
  }
  for (auto lock : reply.getLocks()) {
    result.answer.locks.push_back({to_errno(lock.getErrno()), lock.getLockId()});
  }
  return result;
}

}  // namespace

kj::Promise<Greeting> greet(uv_io::EventPort& port, const std::string& address,
                            const Connector& connector, int64_t deadline_ns) {
  if (connector) {
    Result<int> fd = connector();
    if (!fd.ok()) {
      return failed<Greeting>(
          fd.error(), absl::StrCat("cannot reach ", address, ": ", std::string(fd.error().text())));
    }
    return say_hello(port, address, kj::heap<Connection>(uv_io::wrap_socket(port, *fd)),
                     deadline_ns);
  }
  Result<uv_io::Endpoint> endpoint = uv_io::Endpoint::parse(with_scheme(address));
  if (!endpoint.ok()) {
    return failed<Greeting>(endpoint.error(),
                            absl::StrCat(address, ": ", thread_error_detail().message));
  }
  return uv_io::connect(port, *endpoint, deadline_ns)
      .then([&port, address, deadline_ns](uv_io::Connected&& connected) -> kj::Promise<Greeting> {
        if (!connected.error.ok()) return failed<Greeting>(connected.error, connected.why);
        return say_hello(port, address, kj::heap<Connection>(kj::mv(connected.stream)),
                         deadline_ns);
      });
}

kj::Promise<LoginResult> login(uv_io::EventPort& port, Connection& connection,
                               const Identity& identity, CallbackSink& sink, int64_t deadline_ns) {
  auto request = connection.bootstrap().loginRequest();
  request.setClient(to_data(identity.client));
  request.setProof(to_data(login_proof(identity.secret, identity.challenge, identity.client)));
  encode(identity.cred, request.initCred());
  request.setExport(to_data(identity.export_path));
  request.setCallback(
      connection.export_callback(kj::heap<CallbackServer>(sink, identity.on_evicted)));
  request.setReadOnly(identity.read_only);
  request.setNumber(identity.number);
  int64_t sent_ns = boottime_ns();
  auto promise = request.send()
                     .then([&connection, sent_ns, tag = identity.session_tag](
                               capnp::Response<wire::Bootstrap::LoginResults>&& reply) {
                       return check_session(reply, connection, tag, sent_ns);
                     })
                     .catch_([](kj::Exception&& exception) {
                       return handshake_broken<LoginResult>(exception);
                     });
  return until(port, deadline_ns, kj::mv(promise),
               failed<LoginResult>(Errno(ETIMEDOUT), "the server did not answer the login"));
}

kj::Promise<LoginResult> bind_session(uv_io::EventPort& port, Connection& connection,
                                      const Identity& identity, const SessionInfo& session,
                                      const std::vector<Grant>& held, CallbackSink& sink,
                                      int64_t deadline_ns) {
  auto request = connection.bootstrap().bindRequest();
  request.setClient(to_data(identity.client));
  request.setProof(to_data(login_proof(identity.secret, identity.challenge, identity.client)));
  request.setSessionId(session.session_id);
  request.setEpoch(session.epoch);
  request.setSecret(to_data(session.secret));
  request.setBootVerifier(session.boot_verifier);
  request.setNumber(identity.number);
  size_t count = std::min(held.size(), kHeldGrantsMax);
  auto grants = request.initHeld(count);
  for (size_t i = 0; i < count; ++i) encode(held[i], grants[i]);
  request.setCallback(
      connection.export_callback(kj::heap<CallbackServer>(sink, identity.on_evicted)));
  int64_t sent_ns = boottime_ns();
  auto promise =
      request.send()
          .then([&connection, sent_ns, count, tag = identity.session_tag](
                    capnp::Response<wire::Bootstrap::BindResults>&& reply) {
            LoginResult result = check_session(reply, connection, tag, sent_ns);
            if (!result.error.ok()) return result;
            result.grace = reply.getGrace();
            result.reclaim = reply.getReclaim();
            if (!decode_grants(reply.getKept(), count, &result.kept)) {
              return failed<LoginResult>(Errno(EPROTO), "the server's list of leases is malformed");
            }
            return result;
          })
          .catch_(
              [](kj::Exception&& exception) { return handshake_broken<LoginResult>(exception); });
  return until(port, deadline_ns, kj::mv(promise),
               failed<LoginResult>(Errno(ETIMEDOUT), "the server did not answer the bind"));
}

kj::Promise<ReclaimResult> reclaim(uv_io::EventPort& port, Connection& connection,
                                   const ReclaimPart& part, int64_t deadline_ns) {
  auto sent = kj::evalNow([&] {
    auto request = connection.session().reclaimRequest();
    encode(part, request);
    return kj::Promise<capnp::Response<wire::Session::ReclaimResults>>(request.send());
  });
  auto promise = sent.then([leases = part.leases.size(), locks = part.locks.size()](
                               capnp::Response<wire::Session::ReclaimResults>&& reply) {
                       return check_reclaim(reply, leases, locks);
                     })
                     .catch_([](kj::Exception&& exception) {
                       return handshake_broken<ReclaimResult>(exception);
                     });
  return until(port, deadline_ns, kj::mv(promise),
               failed<ReclaimResult>(Errno(ETIMEDOUT), "the server did not answer a reclaim"));
}

kj::Promise<Outcome> attach_data(uv_io::EventPort& port, Connection& connection,
                                 uint64_t session_id, const std::string& token,
                                 int64_t deadline_ns) {
  auto request = connection.bootstrap().attachDataRequest();
  request.setSessionId(session_id);
  request.setToken(to_data(token));
  auto promise =
      request.send()
          .then([&connection](capnp::Response<wire::Bootstrap::AttachDataResults>&& reply) {
            Errno error = to_errno(reply.getErrno());
            if (!error.ok()) {
              return Outcome{error, "the server refused a data connection"};
            }
            if (!reply.hasData()) return Outcome{Errno(EPROTO), "no data service"};
            connection.set_data(reply.getData());
            return Outcome{};
          })
          .catch_([](kj::Exception&& exception) {
            Mapped mapped = map_exception(exception);
            return Outcome{mapped.error, mapped.text};
          });
  return until(port, deadline_ns, kj::mv(promise),
               Outcome{Errno(ETIMEDOUT), "the server did not answer a data connection"});
}

}  // namespace myfs::rpc
