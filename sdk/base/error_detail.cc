#include "sdk/base/error_detail.h"

#include <utility>

namespace myfs {

constinit thread_local bool error_detail_internal::t_touched = false;

ErrorDetail& thread_error_detail() {
  thread_local ErrorDetail detail;
  error_detail_internal::t_touched = true;
  return detail;
}

void error_detail_internal::clear() {
  thread_error_detail() = ErrorDetail{};
  t_touched = false;
}

Errno fail(Errno error, std::string message) {
  ErrorDetail& detail = thread_error_detail();
  detail.error = error;
  detail.message = std::move(message);
  return error;
}

}  // namespace myfs
