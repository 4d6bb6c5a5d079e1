// JsonOut: a JSON value into a caller's buffer.
// Thread safety: pure function.
#pragma once

#include <sys/types.h>

#include <cstring>
#include <nlohmann/json.hpp>
#include <string>

namespace myfs::api {

// Bytes that are not UTF-8 (names may be anything) become U+FFFD. Returns the length without NUL;
// stores at most size - 1 bytes and a NUL, nothing if size is 0.
inline ssize_t json_out(const nlohmann::json& json, char* buffer, size_t size) {
  std::string text = json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (buffer != nullptr && size > 0) {
    size_t length = text.copy(buffer, size - 1);
    buffer[length] = '\0';
  }
  return static_cast<ssize_t>(text.size());
}

}  // namespace myfs::api
