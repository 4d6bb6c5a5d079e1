#include "server/store/meta_store.h"

#include <cstring>

namespace myfs::server {

int64_t decode_counter(std::string_view value) {
  int64_t counter = 0;
  if (value.size() == sizeof counter) std::memcpy(&counter, value.data(), sizeof counter);
  return counter;
}

std::string encode_counter(int64_t value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace myfs::server
