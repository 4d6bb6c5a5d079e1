// Device: the conversation with /dev/fuse, with what this version of libfuse cannot say in it.
// Kernel counterpart: fs/fuse/dev.c; process_init_reply (fs/fuse/inode.c).
// Differs from libfuse's own: the answer to FUSE_INIT also allows mapped files of direct_io opens
// to be shared (Linux 6.6), without which mmap(MAP_SHARED) is ENODEV; and a FUSE_TMPFILE
// (Linux 6.1), which has the form of a FUSE_CREATE with O_TMPFILE, is handed on as one.
// Thread safety: all.
#pragma once

#include <string>

#include "bindings/fuse/fuse_api.h"

namespace bridge {

// Whether the device can be opened; else *why says what to do.
bool check_device(std::string* why);
// After fuse_session_mount(). False: no memory.
bool take_over_device(fuse_session* session);

}  // namespace bridge
