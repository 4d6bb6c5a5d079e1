// Splice: bytes between a file of ours and a descriptor of the process: file, pipe, socket.
// Kernel counterpart: fs/splice.c (splice, sendfile).  Differs: one end is the kernel's, the other
// ours; bytes are copied through a small buffer and never by reference: what a pipe or socket holds
// on to would be frames of the cache that serve other files by then.
// Thread safety: all. Waits of the kernel's end are poll(2), ended by deadline and cancel token.
// Lock rank: f_pos_lock for a moment before and after; i_rwsem inside reads and writes only, never
// while the kernel's end is waited for.
// Owns / is owned by: no state.
// SIGPIPE: none reaches the process: of sockets by MSG_NOSIGNAL, of pipes by blocking it in the
// calling thread for the time of one write(2) and taking it back if that has raised it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sdk/base/call_context.h"
#include "sdk/base/result.h"
#include "sdk/fs/task.h"

namespace myfs::fs {

struct SpliceArgs {
  int fd;                  // of the task
  int64_t* offset;         // null: the position of `fd`
  int kernel_fd;           // of the process
  int64_t* kernel_offset;  // null: its position; else a seekable file
  size_t length;
  bool into_file;    // from the kernel's end into ours, or the other way round
  bool nonblocking;  // SPLICE_F_NONBLOCK
  bool more;         // SPLICE_F_MORE
};

// Bytes moved; 0 at the end of what is read. Fewer than asked for: at its end, when the other end
// would block or failed after some; `into_file`: what a pipe or socket has at once, at most 256
// KiB. EBADF, EINVAL, ESPIPE, EAGAIN, EPIPE, ETIMEDOUT, EINTR; what reads and writes of either end
// say.
Result<size_t> vfs_splice(const CallContext& ctx, TaskStruct& task, const SpliceArgs& args);

}  // namespace myfs::fs
