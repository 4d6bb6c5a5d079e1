#include "sdk/base/random.h"

#include <errno.h>
#include <sys/random.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "sdk/base/sync.h"

namespace myfs {

void random_bytes(void* out, size_t size_bytes) {
  auto* cursor = static_cast<uint8_t*>(out);
  if (SimHooks* hooks = sim_hooks(); hooks != nullptr) {
    while (size_bytes > 0) {
      uint64_t word = hooks->random_u64();
      size_t n = size_bytes < sizeof word ? size_bytes : sizeof word;
      std::memcpy(cursor, &word, n);
      cursor += n;
      size_bytes -= n;
    }
    return;
  }
  while (size_bytes > 0) {
    ssize_t n = ::getrandom(cursor, size_bytes, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      std::perror("getrandom");
      std::abort();
    }
    cursor += n;
    size_bytes -= static_cast<size_t>(n);
  }
}

uint64_t random_u64() {
  uint64_t value;
  random_bytes(&value, sizeof value);
  return value;
}

std::array<uint8_t, 16> random_uuid() {
  std::array<uint8_t, 16> uuid;
  random_bytes(uuid.data(), uuid.size());
  uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x40);
  uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80);
  return uuid;
}

uint64_t random_below(uint64_t bound) { return random_u64() % bound; }

}  // namespace myfs
