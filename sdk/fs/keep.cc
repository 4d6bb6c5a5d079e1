#include "sdk/fs/keep.h"

#include <algorithm>

#include "sdk/base/rcu.h"
#include "sdk/fs/namei.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

constexpr int64_t kKeepMax_ns = 3600 * kNsPerSec;

// Until the session's lease ends; to be asked after everything else.
int64_t left_ns(const SuperBlock& sb) {
  const int64_t deadline = sb.s_validity.deadline_ns.load(std::memory_order_acquire);
  if (deadline == kNoDeadline) return kKeepMax_ns;
  return std::clamp<int64_t>(deadline - boottime_ns(), 0, kKeepMax_ns);
}

bool everybody_searches(const Inode& dir) {
  const LeaseWord::Sample sample = dir.i_lease.sample();
  return LeaseWord::covers(sample, kLeaseA, dir.i_sb().s_validity) &&
         dir.i_changing.load(std::memory_order_acquire) < Inode::kChangingPerm &&
         (dir.i_mode_hint.load(std::memory_order_acquire) & 0111) == 0111 &&
         dir.i_lease.still(sample, kLeaseA);
}

}  // namespace

int64_t keep_attr_ns(const Inode& inode, Kstat* stat) {
  const SuperBlock& sb = inode.i_sb();
  if (!sb.s_listeners.any() || !inode.attr_young() || !inode.attr_hit(stat)) return 0;
  sb.show(stat);
  return left_ns(sb);
}

int64_t keep_name_ns(const Dentry& dentry) {
  if (!dentry.d_sb().s_listeners.any()) return 0;
  RcuReadGuard guard;
  const DentryPosition& pos = dentry.position();
  if (pos.dir == nullptr || !everybody_searches(*pos.dir) || !position_known(dentry)) return 0;
  return left_ns(dentry.d_sb());
}

int64_t keep_absence_ns(const Inode& dir, std::string_view name) {
  SuperBlock& sb = dir.i_sb();
  if (!sb.s_listeners.any()) return 0;
  RcuReadGuard guard;
  const LeaseWord::Sample sample = dir.i_lease.sample();
  if (!LeaseWord::covers(sample, kLeaseD, sb.s_validity) || !everybody_searches(dir)) return 0;
  const DentryPosition* pos = sb.s_dcache.d_lookup_rcu(dir, name, d_hash_name(name));
  if (pos == nullptr || !pos->dentry->is_negative() || !pos->dentry->is_true_at(*pos, sample)) {
    return 0;
  }
  return left_ns(sb);
}

}  // namespace myfs::fs
