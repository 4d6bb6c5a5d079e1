// KstatOut: attributes in the forms of the C library.
// Kernel counterpart: cp_new_stat, cp_statx (fs/stat.c).
// Thread safety: pure functions.
#pragma once

#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>

#include "sdk/base/kstat.h"
#include "sdk/fs/super_block.h"

namespace myfs::api {

void to_stat(const Kstat& from, struct stat* to);
void to_statx(const Kstat& from, struct statx* to);
void to_statfs(const fs::Kstatfs& from, struct statfs* to);
void to_statvfs(const fs::Kstatfs& from, struct statvfs* to);

}  // namespace myfs::api
