// Client: the wiring of a mount: URL and options -> loop, session, super block, place in the name
// space.
// Kernel counterpart: do_new_mount, vfs_get_tree (fs/namespace.c, fs/super.c).
// Thread safety: all.
// Lock rank: kCall for the table; nothing is called under it.
// Owns / is owned by: a ClientTable is shared by the tasks that were copied from one another; it
// holds each mount's loop and embedded server until its super block has ended, by itself, with the
// last who uses it.
#pragma once

#include <myfs/myfs.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/api/embedded_server.h"
#include "sdk/api/runtime.h"
#include "sdk/base/call_context.h"
#include "sdk/base/ref.h"
#include "sdk/base/result.h"
#include "sdk/fs/super_block.h"
#include "sdk/fs/task.h"

namespace myfs::netfs {
class Super;
}

namespace myfs::api {

// One mount, as statistics see it.
struct MountedClient {
  std::string url;
  std::string at;
  std::shared_ptr<EmbeddedServer> server;  // null unless embedded; declared first: stopped last
  std::shared_ptr<uv_io::Loop> loop;
  RefPtr<fs::SuperBlock> sb;  // does not keep it from ending
  netfs::Super& super() const;
};

class ClientTable {
 public:
  void add(MountedClient client);
  // Lets go of what has ended.
  void prune();
  // Without their servers, which end with the mounts, whoever looks at these.
  std::vector<MountedClient> all() const;

 private:
  mutable Mutex mutex_{LockRank::kCall};
  std::vector<MountedClient> clients_ ABSL_GUARDED_BY(mutex_);
};

// The credentials of the task that myfs_open_url makes: those given, else the process's; with the
// uid and gid that the URL or the options name. What is wrong with them is left to mount_url.
Result<CredRef> task_cred(std::string_view url, const myfs_mount_options* options);

// myfs_mount. `options`: comma separated, may be empty.
Result<void> mount_url(const CallContext& ctx, Runtime& runtime, fs::TaskStruct& task,
                       const std::shared_ptr<ClientTable>& table, std::string_view url,
                       std::string_view at, std::string_view options);

}  // namespace myfs::api
