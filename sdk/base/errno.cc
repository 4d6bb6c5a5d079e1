#include "sdk/base/errno.h"

#include <cstring>

namespace myfs {

std::string_view Errno::name() const {
  if (value_ == 0) return "OK";
  const char* name = ::strerrorname_np(value_);
  return name != nullptr ? name : "E?";
}

std::string_view Errno::text() const {
  const char* text = ::strerrordesc_np(value_);
  return text != nullptr ? text : "unknown error";
}

}  // namespace myfs
