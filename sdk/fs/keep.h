// Keep: how long somebody outside, who listens (cache_listener.h), may keep what an answer said.
// Kernel counterpart: entry_valid and attr_valid of fs/fuse.  Differs: what is told is covered by a
// lease at this moment, and not for longer than the lease lasts if nothing is heard any more.
// Thread safety: all.
// Invariants: (1) what is told to be kept was true under the lease that covers it: whoever heard no
// invalidate() since before he asked may keep it.
#pragma once

#include <cstdint>
#include <string_view>

#include "sdk/base/kstat.h"
#include "sdk/fs/dentry.h"

namespace myfs::fs {

// From now; 0: not at all. `*stat` becomes the attributes that may be kept.
int64_t keep_attr_ns(const Inode& inode, Kstat* stat);
// That the name leads to this inode. 0 also if not everybody may search the directory: who keeps
// names asks nobody.
int64_t keep_name_ns(const Dentry& dentry);
// That there is no such name.
int64_t keep_absence_ns(const Inode& dir, std::string_view name);

}  // namespace myfs::fs
