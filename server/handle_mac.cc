#include "server/handle_mac.h"

namespace myfs::server {

HandleMac::HandleMac(const SipKey& server_key, uint64_t session_id, uint64_t export_ino) {
  for (uint64_t half = 0; half < 2; ++half) {
    const uint64_t words[3] = {session_id, export_ino, half};
    key_[half] = siphash(server_key, {reinterpret_cast<const char*>(words), sizeof words});
  }
}

Handle HandleMac::seal(uint64_t ino, uint32_t gen) const {
  const uint64_t words[2] = {ino, gen};
  uint64_t mac = siphash(key_, {reinterpret_cast<const char*>(words), sizeof words});
  return Handle{.ino = ino, .gen = gen, .mac = mac};
}

bool HandleMac::valid(const Handle& handle) const {
  return (seal(handle.ino, handle.gen).mac ^ handle.mac) == 0;
}

}  // namespace myfs::server
