// EmbeddedServer: a server inside this process, from libmyfs-server.so.0, for URLs "embedded:".
// Kernel counterpart: none.
// Thread safety: all.
// Lock rank: kUnranked for the table of servers: starting and stopping sleeps, nothing of the VFS
// is held.
// Owns / is owned by: owned by the mounts that use it; the last one stops it. libmyfs.so never
// links the server: it is loaded.
#pragma once

#include <memory>
#include <string>

#include "sdk/base/result.h"

namespace myfs::api {

class EmbeddedServer {
 public:
  // The server of that data directory in this process; started if there is none. EBUSY: another
  // process serves it. ENOENT, EACCES, EPROTO (a newer format), ELIBACC (the library cannot be
  // loaded); the error detail tells why.
  static Result<std::shared_ptr<EmbeddedServer>> get(const std::string& data_dir);
  ~EmbeddedServer();  // a clean shutdown
  EmbeddedServer(const EmbeddedServer&) = delete;
  EmbeddedServer& operator=(const EmbeddedServer&) = delete;

  // A connected stream socket; the caller owns it.
  Result<int> connect();

 private:
  struct Library;
  EmbeddedServer(const Library& library, void* server) : library_(library), server_(server) {}
  static Result<const Library*> load();

  const Library& library_;
  void* const server_;
};

}  // namespace myfs::api
