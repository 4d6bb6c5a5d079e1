// RpcCodec: the structs of the schema to and from the shard's plain values; no decisions.
// Kernel counterpart: fs/nfsd/nfs4xdr.c.
// Thread safety: functions without state; a reader or builder belongs to its loop.
#pragma once

#include <capnp/any.h>

#include <string>
#include <vector>

#include "myfs/myfs.capnp.h"
#include "sdk/base/principal.h"
#include "server/requests.h"
#include "server/types.h"

namespace myfs::server {

inline std::string_view to_view(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}
inline std::string to_string(capnp::Data::Reader data) { return std::string(to_view(data)); }
inline capnp::Data::Reader to_data(std::string_view bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

template <typename T, typename List>
std::vector<T> to_vector(List list) {
  std::vector<T> out;
  out.reserve(list.size());
  for (T value : list) out.push_back(value);
  return out;
}

Op decode(wire::Op::Reader op);
// EINVAL: more groups than kGroupsMax.
Errno decode(wire::Cred::Reader from, Cred* cred);
Handle decode(wire::Handle::Reader handle);
Opener decode(wire::Opener::Reader opener);
Opener decode(wire::OpenRecord::Reader open);
Grant decode(wire::Grant::Reader grant);
Kstat decode(wire::Attr::Reader attr);
std::vector<Handle> decode(capnp::List<wire::Handle>::Reader handles);

void encode(const Principal& from, wire::Principal::Builder to);
void encode(const Handle& from, wire::Handle::Builder to);
void encode(const Kstat& from, wire::Attr::Builder to);
void encode(const Grant& from, wire::Grant::Builder to);
void encode(const NodeReply& from, wire::Node::Builder to);
void encode(const ChangedReply& from, wire::Changed::Builder to);

// What makes two requests in one slot the same: every byte of the arguments, of long data the size
// and the beginning.
uint64_t hash_of(capnp::AnyStruct::Reader params, uint16_t method);

}  // namespace myfs::server
