// Finish: the end of the bridge's task: what was written goes to the server, or is said to be lost.
// Kernel counterpart: generic_shutdown_super (fs/super.c).  Differs: a server that does not answer
// is not waited for.
// Thread safety: none; the mount has ended, and nobody makes calls any more.
// Owns / is owned by: takes the task.
#pragma once

#include <myfs/myfs.h>

#include <string>

namespace bridge {

// Ends the task. A server that answers has 30 s to take what is unwritten, one that does not a few
// seconds. False: something was lost. *said: what is to be told, if anything; the library's log
// names the files.
bool finish(myfs_task* task, std::string* said);

}  // namespace bridge
