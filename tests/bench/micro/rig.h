// Rig: servers, mounted tasks and the same tree of files on MyFS and on tmpfs.
// Thread safety: what it hands out may be used by any thread.
#pragma once

#include <myfs/myfs.h>

#include <memory>
#include <string>

#include "tests/bench/micro/raw_peer.h"
#include "tests/bench/micro/rpc_peer.h"
#include "tests/support/myfsd/process.h"

namespace myfs::bench {

inline constexpr size_t kHotFile_bytes = 32 << 20;
inline constexpr size_t kBulkIo_bytes = 1 << 20;
// Names below the root, on both sides.
inline constexpr const char* kPath3 = "a/b/file";
inline constexpr const char* kPath8 = "a/b/c/d/e/f/g/file";
inline constexpr const char* kPathMissing = "a/b/missing";
inline constexpr const char* kHotFile = "hot";
inline constexpr const char* kBulkFile = "bulk";

struct RigOptions {
  std::string ram_dir = "/dev/shm";  // servers of hits and transfers, and the kernel's side
  std::string disk_dir = "/tmp";     // servers of the create rates
  size_t bulk_mib = 128;             // the file of the transfers
};

// Set once, before the rig starts.
inline size_t g_bulk_file_bytes = 0;

// A server and a task on it.
struct Mounted {
  Mounted(const std::string& data_dir, std::vector<std::string> args);
  ~Mounted();
  bool start(const std::string& options);  // over the unix socket
  std::string url(bool tcp) const { return tcp ? server.tcp_url() : server.url(); }

  test::MyfsdProcess server;
  myfs_task* task = nullptr;
};

class Rig {
 public:
  // Forks the raw peers: to be made before the process has threads.
  explicit Rig(const RigOptions& options);
  ~Rig();
  // Starts servers and makes trees; false after a message.
  bool start();

  RawPeer unix_peer{RawPeer::Kind::kUnix};
  RawPeer tcp_peer{RawPeer::Kind::kTcp};
  int tmpfs = -1;      // directory descriptor
  int tmpfs_hot = -1;  // of its kHotFile
  int disk = -1;       // descriptor of a file for fdatasync
  int myfs_hot = -1;
  std::unique_ptr<Mounted> ram;      // strict, in RAM
  std::unique_ptr<Mounted> nospin;   // in RAM, neither side spins
  std::unique_ptr<Mounted> strict;   // on disk
  std::unique_ptr<Mounted> relaxed;  // on disk
  myfs_task* ram_tcp = nullptr;
  myfs_task* nospin_tcp = nullptr;
  std::unique_ptr<RpcPeer> rpc_peer;  // of `ram`

 private:
  bool make_kernel_tree();
  bool make_myfs_tree();

  const RigOptions options_;
  std::string ram_dir_;
  std::string disk_dir_;
};

// Says what failed, with the library's detail; false.
bool complain(const std::string& what, int64_t result);

}  // namespace myfs::bench
