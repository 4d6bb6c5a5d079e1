#include "sdk/rpc/method.h"

#include <array>

namespace myfs::rpc {

std::string_view method_name(Method method) {
  static constexpr std::array<std::string_view, kMethodCount> kNames = {
      "hello",        "login",         "bind",          "attachData", "renew",     "release",
      "ack",          "glimpsed",      "close",         "ping",       "stats",     "lockGranted",
      "newDataToken", "lookup",        "getattr",       "getattrs",   "setattr",   "create",
      "link",         "unlink",        "rename",        "readdir",    "open",      "statfs",
      "getxattr",     "listxattr",     "setxattr",      "lock",       "lockTest",  "lockCancel",
      "lockRelease",  "resolveHandle", "persistHandle", "parentOf",   "dirStats",  "sync",
      "read",         "write",         "append",        "commit",     "fallocate", "seek",
      "extents",      "copy",          "dataPing",      "readMany"};
  static_assert(!kNames.back().empty());
  auto index = static_cast<size_t>(method);
  return index < kNames.size() ? kNames[index] : "?";
}

}  // namespace myfs::rpc
