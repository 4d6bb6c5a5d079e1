// RpcPeer: READs and WRITEs of 1 MiB on rpc::Client alone: what the protocol costs without the
// cache above it.
// Thread safety: one thread at a time.
#pragma once

#include <cstddef>
#include <memory>

#include "tests/support/myfsd/process.h"

namespace myfs::bench {

class RpcPeer {
 public:
  RpcPeer();
  ~RpcPeer();
  RpcPeer(const RpcPeer&) = delete;
  RpcPeer& operator=(const RpcPeer&) = delete;

  // Logs in over TCP, finds kBulkFile and makes a file of its own, with the lease to write back to
  // it. False after a message.
  bool start(const test::MyfsdProcess& server);
  // All of kBulkFile, in order, with `depth` requests outstanding.
  bool read_bulk(size_t depth);
  // As many bytes into its own file, as write-back sends them.
  bool write_bulk(size_t depth);
  // Makes durable what write_bulk() wrote, so that the server has nothing left to do.
  bool commit();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace myfs::bench
