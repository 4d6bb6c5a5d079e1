// What went wrong last, and the log.

#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>

#include "sdk/api/call_scope.h"
#include "sdk/api/json_out.h"
#include "sdk/base/log.h"

using namespace myfs;  // the facade's own rooms only

namespace {

template <size_t kSize>
void copy_text(const std::string& from, char (&to)[kSize]) {
  size_t length = from.copy(to, kSize - 1);
  to[length] = '\0';
}

}  // namespace

extern "C" {

const char* myfs_version(void) { return "0.1.0"; }

int myfs_last_error(myfs_error* error) {
  if (error == nullptr || error->size != sizeof(myfs_error)) return -EINVAL;
  const ErrorDetail& detail = thread_error_detail();
  error->error = detail.error.value();
  error->retriable = detail.retriable ? 1 : 0;
  error->in_doubt = detail.in_doubt ? 1 : 0;
  copy_text(detail.operation, error->operation);
  copy_text(detail.component, error->component);
  copy_text(detail.server, error->server);
  copy_text(detail.message, error->message);
  copy_text(detail.cause, error->cause);
  return 0;
}

ssize_t myfs_last_error_json(char* buffer, size_t size) {
  const ErrorDetail& detail = thread_error_detail();
  nlohmann::json json = {{"error", detail.error.value()},
                         {"name", std::string(detail.error.name())},
                         {"text", std::string(detail.error.text())},
                         {"operation", detail.operation},
                         {"component", detail.component},
                         {"server", detail.server},
                         {"message", detail.message},
                         {"retriable", detail.retriable},
                         {"in_doubt", detail.in_doubt},
                         {"cause", detail.cause}};
  return api::json_out(json, buffer, size);
}

void myfs_set_log(myfs_log_fn fn, void* context, int max_level) {
  int level = max_level < 0 ? 0 : (max_level > 3 ? 3 : max_level);
  set_log_level(static_cast<LogLevel>(level));
  if (fn == nullptr) {
    set_log_sink(nullptr);
    return;
  }
  set_log_sink([fn, context](LogLevel line_level, std::string_view line) {
    fn(context, static_cast<int>(line_level), std::string(line).c_str());
  });
}

myfs_cancel* myfs_cancel_create(void) { return new (std::nothrow) myfs_cancel; }
void myfs_cancel_fire(myfs_cancel* cancel) {
  if (cancel != nullptr) cancel->token.cancel();
}
void myfs_cancel_destroy(myfs_cancel* cancel) { delete cancel; }

}  // extern "C"
