// Wire: the structs of the schema to and from plain values; no logic beyond checking what came in.
// Kernel counterpart: fs/nfs/nfs4xdr.c.
// Thread safety: functions without state; a reader or builder belongs to its loop.
// Invariants: (1) every decode checks all that types.h promises and returns false otherwise; (2)
// encoding the same value twice gives the same bytes, so that a retry in a slot is what the first
// sending was.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "myfs/myfs.capnp.h"
#include "sdk/rpc/types.h"

namespace myfs::rpc {

// One call that changes something: names it in the server's slot table.
struct Op {
  uint64_t epoch = 0;
  uint16_t slot = 0;
  uint64_t slot_seq = 0;
  bool operator==(const Op&) const = default;
};

// Who sends a call, beside its arguments.
struct Sender {
  const Cred* cred = nullptr;  // null: none is sent
  Op op;
};

inline capnp::Data::Reader to_data(std::string_view bytes) {
  return capnp::Data::Reader(reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size());
}
inline std::string_view to_view(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}
inline std::string to_string(capnp::Data::Reader data) { return std::string(to_view(data)); }

// A single component: 1..kNameMax_bytes, not "." or "..", without '/' and NUL.
bool is_component(std::string_view name);
// The errno of a reply or node: EPROTO for what is none.
Errno to_errno(int32_t value);

void encode(const Op& from, wire::Op::Builder to);
void encode(const Cred& from, wire::Cred::Builder to);
void encode(const Handle& from, wire::Handle::Builder to);
void encode(const Attr& from, wire::Attr::Builder to);
void encode(const Grant& from, wire::Grant::Builder to);
void encode(const Node& from, wire::Node::Builder to);
void encode(const Extent& from, wire::Extent::Builder to);
void encode(const Layout& from, wire::Layout::Builder to);
void encode(const Opener& from, wire::Opener::Builder to);
void encode(const OpenRecord& from, wire::OpenRecord::Builder to);
void encode(const Entry& from, wire::Entry::Builder to);
void encode(const LockRange& from, wire::LockRange::Builder to);
void encode(const Changed& from, Errno error, wire::Changed::Builder to);
void encode(const RecallItem& from, wire::RecallItem::Builder to);
void encode(const SessionInfo& from, wire::SessionInfo::Builder to);

// False: the peer sent nonsense. `session` tags the handles.
[[nodiscard]] bool decode(wire::Op::Reader from, Op* to);
[[nodiscard]] bool decode(wire::Cred::Reader from, Cred* to);
[[nodiscard]] bool decode(wire::Handle::Reader from, uint32_t session, Handle* to);
[[nodiscard]] bool decode(wire::Attr::Reader from, Attr* to);
[[nodiscard]] bool decode(wire::Grant::Reader from, Grant* to);
[[nodiscard]] bool decode(wire::Node::Reader from, uint32_t session, Node* to);
[[nodiscard]] bool decode(wire::Extent::Reader from, Extent* to);
[[nodiscard]] bool decode(wire::Layout::Reader from, Layout* to);
[[nodiscard]] bool decode(wire::Opener::Reader from, Opener* to);
[[nodiscard]] bool decode(wire::OpenRecord::Reader from, OpenRecord* to);
[[nodiscard]] bool decode(wire::Entry::Reader from, uint32_t session, Entry* to);
[[nodiscard]] bool decode(wire::LockRange::Reader from, LockRange* to);
// `error` is the reply's; the rest is decoded only if it is 0.
[[nodiscard]] bool decode(wire::Changed::Reader from, uint32_t session, Errno* error, Changed* to);
[[nodiscard]] bool decode(wire::RecallItem::Reader from, RecallItem* to);
[[nodiscard]] bool decode(wire::Principal::Reader from, Principal* to);
bool decode(wire::SessionInfo::Reader from, uint32_t session, SessionInfo* to);

// At most `max` nodes.
[[nodiscard]] bool decode_nodes(capnp::List<wire::Node>::Reader from, uint32_t session, size_t max,
                                std::vector<Node>* to);
[[nodiscard]] bool decode_grants(capnp::List<wire::Grant>::Reader from, size_t max,
                                 std::vector<Grant>* to);

}  // namespace myfs::rpc
