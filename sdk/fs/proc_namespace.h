// ProcNamespace: the mounts of a task as text.
// Kernel counterpart: fs/proc_namespace.c (/proc/self/mountinfo).  Differs: device numbers are
// those of st_dev; nothing else.
// Thread safety: all.
// Lock rank: takes namespace_sem, under which it holds no mount: a umount beside it would be EBUSY.
#pragma once

#include <string>

#include "sdk/fs/task.h"

namespace myfs::fs {

// A line of proc(5)'s /proc/PID/mountinfo for each mount that the task can reach, parents before
// what is mounted on them. Paths are those that the cache knows.
std::string show_mountinfo(const TaskStruct& task);

}  // namespace myfs::fs
