// Principal: whom the server takes the callers of a session for: everybody for who he says he is,
// one user for all of them, and as far as the export's squash lets it.
// Kernel counterpart: nfsd_setuser (fs/nfsd/auth.c), root_squash of exports(5).
// Thread safety: values.
// Invariants: (1) server and client judge by the same acting_as(): what a cache answers is what the
// server would have said.
#pragma once

#include <cstdint>

#include "sdk/base/cred.h"

namespace myfs {

inline constexpr uint32_t kNobodyId = 65'534;

struct Squash {
  bool root = false;  // uid 0 and gid 0 act as the anonymous ones
  bool all = false;   // so does everybody, without further groups
  uint32_t anon_uid = kNobodyId, anon_gid = kNobodyId;

  bool any() const { return root || all; }
  Cred applied_to(Cred claimed) const;
  bool operator==(const Squash&) const = default;
};

struct Principal {
  bool anyone = false;  // may assert every uid and gid
  Cred cred{};          // otherwise every call acts as this one
  Squash squash{};

  // Whether callers are who they say they are.
  bool trusts() const { return anyone && !squash.any(); }
  bool trusts(const Cred& claimed) const { return !squash.any() && (anyone || claimed == cred); }
  Cred acting_as(const Cred& claimed) const { return squash.applied_to(anyone ? claimed : cred); }
  bool operator==(const Principal&) const = default;
};

}  // namespace myfs
