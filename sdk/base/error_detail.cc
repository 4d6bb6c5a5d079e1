#include "sdk/base/error_detail.h"

#include <utility>

namespace myfs {

ErrorDetail& thread_error_detail() {
  thread_local ErrorDetail detail;
  return detail;
}

void clear_error_detail() {
  ErrorDetail& detail = thread_error_detail();
  if (detail.error.ok()) return;
  detail = ErrorDetail{};
}

Errno fail(Errno error, std::string message) {
  ErrorDetail& detail = thread_error_detail();
  detail.error = error;
  detail.message = std::move(message);
  return error;
}

}  // namespace myfs
