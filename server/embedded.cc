#include "server/embedded.h"

#include <errno.h>
#include <stdio.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>

#include "sdk/base/clock.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/limits.h"
#include "server/server.h"

#define MYFS_SERVER_API extern "C" __attribute__((visibility("default")))

struct myfs_server {
  std::unique_ptr<myfs::server::Server> server;
};

namespace {

using myfs::Errno;

// The caller's struct may be older and shorter than ours.
myfs_server_options known_options(const myfs_server_options* given) {
  myfs_server_options options{sizeof options, 0, 0, -1};
  if (given != nullptr) {
    std::memcpy(&options, given, std::min(given->size, sizeof options));
  }
  return options;
}

void tell(char* why, size_t why_size, Errno error) {
  if (why == nullptr || why_size == 0) return;
  const std::string& message = myfs::thread_error_detail().message;
  std::string text = message.empty() ? std::string(error.text()) : message;
  std::snprintf(why, why_size, "%s", text.c_str());
}

}  // namespace

MYFS_SERVER_API int myfs_server_start(const char* dir, char* why, size_t why_size,
                                      myfs_server** server) {
  return myfs_server_start_with(dir, nullptr, why, why_size, server);
}

MYFS_SERVER_API int myfs_server_start_with(const char* dir, const myfs_server_options* given,
                                           char* why, size_t why_size, myfs_server** server) {
  int saved_errno = errno;
  myfs::clear_error_detail();
  myfs_server_options wanted = known_options(given);
  myfs::server::ServerOptions options;
  options.data_dir = dir;
  options.durability =
      wanted.relaxed != 0 ? myfs::server::Durability::kRelaxed : myfs::server::Durability::kDurable;
  if (wanted.lease_term_ms > 0) options.lease_term_ns = wanted.lease_term_ms * myfs::kNsPerMs;
  if (wanted.spin_us >= 0) options.spin_ns = wanted.spin_us * myfs::kNsPerUs;
  auto endpoint = myfs::uv_io::Endpoint::parse("unix:" + options.data_dir + "/myfs.sock");
  Errno error = endpoint.error();
  if (error.ok()) {
    options.listen.push_back(*endpoint);
    auto created = myfs::server::Server::create(std::move(options));
    error = created.error();
    if (error.ok()) *server = new myfs_server{std::move(*created)};
  }
  if (!error.ok()) tell(why, why_size, error);
  errno = saved_errno;
  return -error.value();
}

MYFS_SERVER_API int myfs_server_connect(myfs_server* server) {
  int saved_errno = errno;
  auto fd = server->server->connect_local();
  errno = saved_errno;
  return fd.ok() ? *fd : -fd.error().value();
}

MYFS_SERVER_API int myfs_server_stop(myfs_server* server) {
  int saved_errno = errno;
  Errno error = server->server->shutdown();
  delete server;
  errno = saved_errno;
  return -error.value();
}
