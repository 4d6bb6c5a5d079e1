// siphash: a keyed hash of short strings, for whom the key is secret not to be foreseen.
// Kernel counterpart: lib/siphash.c.  Thread safety: all.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace myfs::server {

using SipKey = std::array<uint64_t, 2>;

// SipHash-2-4.
uint64_t siphash(const SipKey& key, std::string_view data);

}  // namespace myfs::server
