// Crc32c: the checksum of file content, polynomial 0x1EDC6F41.
// Kernel counterpart: lib/libcrc32c.c, arch/x86/crypto/crc32c-intel_glue.c.
// Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace myfs::server {

// The sum of the bytes summed into `crc` so far (0 at the start) followed by `data`.
uint32_t crc32c_extend(uint32_t crc, std::span<const uint8_t> data);
inline uint32_t crc32c(std::span<const uint8_t> data) { return crc32c_extend(0, data); }

// Without the processor's instruction: what other machines run, and what tests compare with.
uint32_t crc32c_software(uint32_t crc, std::span<const uint8_t> data);

}  // namespace myfs::server
