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

// Without any instruction made for it: what other machines run, and what tests compare with.
uint32_t crc32c_software(uint32_t crc, std::span<const uint8_t> data);

using Crc32cFunction = uint32_t (*)(uint32_t crc, std::span<const uint8_t> data);
struct Crc32cMethod {
  const char* name;
  Crc32cFunction extend;
};
// What this processor can do, the fastest, which crc32c_extend() uses, last. For tests.
std::span<const Crc32cMethod> crc32c_methods();

}  // namespace myfs::server
