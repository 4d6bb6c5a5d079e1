// Random: numbers for identities (cryptographic) and for jitter (fast); a simulation supplies both
// from its seed. Thread safety: all.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace myfs {

// From the kernel's getrandom(2); aborts if the kernel has none, since identities must be unique.
void random_bytes(void* out, size_t size_bytes);
uint64_t random_u64();
std::array<uint8_t, 16> random_uuid();

// A value in [0, bound); bound > 0. Not for secrets.
uint64_t random_below(uint64_t bound);

}  // namespace myfs
