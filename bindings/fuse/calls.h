// Calls: what can be cancelled when the mount ends: the token of each thread that serves requests.
// Kernel counterpart: fuse_abort_conn (fs/fuse/dev.c).
// Thread safety: all.
// Lock rank: mutex_, a leaf; tokens are fired and freed under it.
// Owns / is owned by: one of the process, never freed, since threads may end after everything else.
// Invariants: (1) after stop() every token that stands is fired, and every new one from the start.
#pragma once

#include <myfs/myfs.h>

#include <mutex>
#include <set>

namespace bridge {

class Calls {
 public:
  static Calls& all();

  // A new token, which drop() ends.
  myfs_cancel* make();
  void drop(myfs_cancel* token);
  // What waits for the server gives up, now and from now on: nobody will hear the answer.
  void stop();

 private:
  std::mutex mutex_;
  std::set<myfs_cancel*> tokens_;
  bool stopped_ = false;
};

}  // namespace bridge
