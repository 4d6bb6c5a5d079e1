#include "sdk/fs/namei_rcu.h"

#include <utility>

#include "sdk/base/rcu.h"
#include "sdk/fs/permission.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

WalkOutcome RcuWalk::fail(int error_number) {
  error = Errno(error_number);
  return WalkOutcome::kError;
}

bool RcuWalk::alive() const { return dentry->d_sb().s_validity.alive(); }

WalkOutcome RcuWalk::start(At at) {
  if (at.path.size() >= kPathMax_bytes) return fail(ENAMETOOLONG);
  if (at.path.empty() && (flags_ & LOOKUP_EMPTY) == 0) return fail(ENOENT);
  rest_ = {at.path.data(), at.path.size()};
  if (!at.path.empty() && at.path[0] == '/') {
    mnt = view_.root_mnt;
    dentry = view_.root;
  } else if (at.start != nullptr) {
    mnt = at.start->mnt.get();
    dentry = at.start->dentry.get();
  } else if (at.dfd == AT_FDCWD) {
    mnt = view_.pwd_mnt;
    dentry = view_.pwd;
  } else {
    const File* file = task_.files.fcheck_rcu(at.dfd);
    if (file == nullptr) return fail(EBADF);
    mnt = file->f_path().mnt.get();
    dentry = file->f_path().dentry.get();
    // Being closed just now: as if it had been closed before.
    if (dentry == nullptr || mnt == nullptr) return fail(EBADF);
  }
  return dentry == nullptr ? fail(ENOENT) : WalkOutcome::kHit;
}

void RcuWalk::start_from(Mount* from_mnt, Dentry* from, std::string_view text) {
  mnt = from_mnt;
  dentry = from;
  rest_ = text;
  if (!text.empty() && text[0] == '/') goto_root();
}

WalkOutcome RcuWalk::run() {
  while (true) {
    // By halves: a copy of the whole member would wait for the stores of its halves.
    const std::string_view text = skip_slashes({rest_.data(), rest_.size()});
    if (text.empty()) {
      rest_ = {};
      if (depth_ == 0) break;
      --depth_;
      rest_ = {stack_[depth_].data, stack_[depth_].size};
      continue;
    }
    missed = text;
    const ScannedName scanned = scan_component(text);
    const std::string_view name = text.substr(0, scanned.size);
    const std::string_view after = text.substr(scanned.size);
    rest_ = after;
    bool is_last = depth_ == 0 && skip_slashes(after).empty();
    if (is_last && !after.empty()) trailing = true;
    if (name.size() > kNameMax_bytes) return fail(ENAMETOOLONG);
    if (is_last && (flags_ & LOOKUP_PARENT) != 0) return stop_before(name);
    if (WalkOutcome outcome = component(name, scanned.hash, is_last);
        outcome != WalkOutcome::kHit) {
      return outcome;
    }
  }
  // "/", ".", "..", or a link whose target ended in one of them.
  if ((flags_ & LOOKUP_PARENT) != 0) last_type = LastType::kRoot;
  if ((trailing || (flags_ & LOOKUP_DIRECTORY) != 0) && !dentry->d_inode()->is_dir()) {
    return fail(ENOTDIR);
  }
  return WalkOutcome::kHit;
}

WalkOutcome RcuWalk::stop_before(std::string_view name) {
  WalkOutcome outcome = may_search(*dentry->d_inode());
  if (outcome == WalkOutcome::kError) return outcome;
  // A miss is none here: whoever asked for the parent asks the server about the name.
  last = name;
  last_type = name == "." ? LastType::kDot : name == ".." ? LastType::kDotDot : LastType::kNorm;
  return WalkOutcome::kHit;
}

const Cred& RcuWalk::acting(const SuperBlock& sb) {
  if (sb.principal_rcu() == nullptr && sb.s_idmap() == nullptr) [[likely]]
    return cred_;
  if (!acting_.has_value() || acting_sb_ != &sb) {
    acting_sb_ = &sb;
    acting_.emplace(cred_, sb);
  }
  return **acting_;
}

WalkOutcome RcuWalk::may_search(const Inode& dir) {
  if (!dir.is_dir()) return fail(ENOTDIR);
  sample_ = dir.i_lease.sample();
  if (!trust || !LeaseWord::covers(sample_, kLeaseA, dir.i_sb().s_validity) ||
      dir.i_changing.load(std::memory_order_acquire) >= Inode::kChangingPerm) {
    return WalkOutcome::kMiss;
  }
  const bool anybody = (dir.i_mode_hint.load(std::memory_order_acquire) & 0111) == 0111;
  if (anybody) return WalkOutcome::kHit;
  const Cred& cred = acting(dir.i_sb());
  if (cred.is_root()) return WalkOutcome::kHit;
  Perm perm;
  if (!dir.perm_hit(&perm)) return WalkOutcome::kMiss;
  error = generic_permission(cred, perm, MAY_EXEC);
  return error.ok() ? WalkOutcome::kHit : WalkOutcome::kError;
}

WalkOutcome RcuWalk::component(std::string_view name, uint32_t hash, bool is_last) {
  const bool dots = name[0] == '.';
  const bool dot = dots && name.size() == 1, dot_dot = dots && name == "..";
  if (dot || dot_dot) [[unlikely]] {
    WalkOutcome outcome = may_search(*dentry->d_inode());
    return outcome == WalkOutcome::kHit && dot_dot ? dotdot() : outcome;
  }
  Dentry* child;
  WalkOutcome outcome = find(name, hash, &child);
  return outcome == WalkOutcome::kHit ? enter(child, is_last) : outcome;
}

WalkOutcome RcuWalk::probe(std::string_view name, Dentry** found) {
  return find(name, d_hash_name(name), found);
}

WalkOutcome RcuWalk::find(std::string_view name, uint32_t hash, Dentry** found) {
  const Inode& dir = *dentry->d_inode();
  if (WalkOutcome outcome = may_search(dir); outcome != WalkOutcome::kHit) return outcome;
  if ((sample_ & kLeaseD) == 0) return WalkOutcome::kMiss;
  const DentryPosition* pos = dentry->d_sb().s_dcache.d_lookup_rcu(dir, name, hash);
  if (pos == nullptr) return absent(dir, name, hash);
  Dentry* child = pos->dentry;
  if (!child->is_true_at(*pos, sample_)) return WalkOutcome::kMiss;
  child->touch();
  *found = child;
  return child->is_negative() ? fail(ENOENT) : WalkOutcome::kHit;
}

WalkOutcome RcuWalk::absent(const Inode& dir, std::string_view name, uint32_t hash) {
  const Dcache& dcache = dentry->d_sb().s_dcache;
  const uint32_t seq = dcache.table_seq();
  const uint64_t complete = Dcache::complete_value(dir, sample_);
  if (complete == 0 || dir.i_changing.load(std::memory_order_acquire) != 0) {
    return WalkOutcome::kMiss;
  }
  // The probe that counts is the one between the two looks at the counters.
  bool surely = dcache.d_lookup_rcu(dir, name, hash) == nullptr && dcache.missed_surely(seq) &&
                Dcache::complete_value(dir, sample_) == complete;
  return surely ? fail(ENOENT) : WalkOutcome::kMiss;
}

WalkOutcome RcuWalk::enter(Dentry* child, bool is_last) {
  const Inode& inode = *child->d_inode();
  if (inode.is_symlink() && (!is_last || trailing || (flags_ & LOOKUP_FOLLOW) != 0)) {
    return follow_link(inode);
  }
  // Asked before the walk may leave this super block.
  const bool mounted = (child->flags() & Dentry::kMounted) != 0;
  if (mounted && !alive()) return WalkOutcome::kMiss;
  dentry = child;
  if (mounted) {
    const Mount* const from = mnt;
    follow_mounts();
    if (mnt != from && (flags_ & LOOKUP_NO_XDEV) != 0) return fail(EXDEV);
  }
  return WalkOutcome::kHit;
}

Errno RcuWalk::may_follow(std::string_view target) const {
  if ((flags_ & LOOKUP_NO_SYMLINKS) != 0) return Errno(ELOOP);
  if (!target.starts_with('/')) return Errno();
  if ((flags_ & LOOKUP_BENEATH) != 0) return Errno(EXDEV);
  return (flags_ & LOOKUP_NO_XDEV) != 0 && mnt != view_.root_mnt ? Errno(EXDEV) : Errno();
}

Errno RcuWalk::may_stay() const { return (flags_ & LOOKUP_BENEATH) != 0 ? Errno(EXDEV) : Errno(); }

void RcuWalk::follow_mounts() {
  while ((dentry->flags() & Dentry::kMounted) != 0) {
    Mount* over = task_.nsproxy->lookup_mnt_rcu(*mnt, *dentry);
    if (over == nullptr) return;
    mnt = over;
    dentry = &over->mnt_root();
  }
}

WalkOutcome RcuWalk::follow_link(const Inode& link) {
  const std::string* target = link.i_link();
  if (target == nullptr) return WalkOutcome::kMiss;
  if (links >= kSymlinksFollowedMax) return fail(ELOOP);
  if (target->empty()) return fail(ENOENT);
  error = may_follow(*target);
  if (!error.ok()) return WalkOutcome::kError;
  const bool absolute = (*target)[0] == '/';
  if (absolute && &view_.root->d_sb() != &dentry->d_sb() && !alive()) return WalkOutcome::kMiss;
  ++links;
  if (std::string_view after = skip_slashes(rest_); !after.empty()) {
    stack_[depth_++] = {after.data(), after.size()};
  }
  rest_ = *target;
  if (absolute) goto_root();
  return WalkOutcome::kHit;
}

void RcuWalk::goto_root() {
  mnt = view_.root_mnt;
  dentry = view_.root;
}

bool RcuWalk::climb_mounts() {
  while (!at_root() && mnt->is_root(*dentry)) {
    const Mount::Place* place = mnt->place_rcu();
    if (place == nullptr) return false;
    mnt = place->parent;
    dentry = place->mountpoint;
  }
  return !at_root();
}

WalkOutcome RcuWalk::dotdot() {
  Mount* const from_mnt = mnt;
  Dentry* const from = dentry;
  const bool leaves = mnt->is_root(*dentry);
  if (leaves && !alive()) return WalkOutcome::kMiss;
  climbed = true;
  if (!climb_mounts()) {
    error = may_stay();
    return error.ok() ? WalkOutcome::kHit : WalkOutcome::kError;
  }
  if (mnt != from_mnt && (flags_ & LOOKUP_NO_XDEV) != 0) return fail(EXDEV);
  const DentryPosition& pos = dentry->position();
  bool known = false;
  if (pos.dir != nullptr) {
    LeaseWord::Sample sample = pos.dir->i_lease.sample();
    known = LeaseWord::covers(sample, kLeaseD, dentry->d_sb().s_validity) &&
            dentry->is_true_at(pos, sample);
  }
  if (!known) {
    mnt = from_mnt;
    dentry = from;
    return WalkOutcome::kMiss;
  }
  if (!is_connected(*mnt, *pos.d_parent)) return fail(ENOENT);
  dentry = pos.d_parent;
  follow_mounts();
  if (mnt != from_mnt && (flags_ & LOOKUP_NO_XDEV) != 0) return fail(EXDEV);
  return WalkOutcome::kHit;
}

std::string RcuWalk::remaining() const {
  std::string text(missed);
  for (int i = depth_; i > 0; --i) {
    text += '/';
    text.append(stack_[i - 1].data, stack_[i - 1].size);
  }
  return text;
}

bool is_connected(const Mount& mnt, const Dentry& dentry) {
  return &mnt.mnt_root() == &mnt.mnt_sb().s_root() || is_subdir(dentry, mnt.mnt_root());
}

WalkOutcome rcu_walk(const CallContext& ctx, const TaskStruct& task, At at, uint32_t flags,
                     absl::FunctionRef<bool(const RcuHit&)> fn, Errno* error) {
  RcuReadGuard guard;
  RcuWalk walk(ctx, task, flags);
  if (walk.start(at) == WalkOutcome::kError) {
    *error = walk.error;
    return WalkOutcome::kError;
  }
  WalkOutcome outcome = walk.run();
  if (outcome == WalkOutcome::kHit && !fn(RcuHit{walk.mnt, walk.dentry, walk.dentry->d_inode()})) {
    outcome = WalkOutcome::kMiss;
  }
  if (outcome == WalkOutcome::kMiss || !walk.alive()) return WalkOutcome::kMiss;
  walk.dentry->d_sb().s_counters.walk_hits.add();
  if (outcome == WalkOutcome::kError) *error = walk.error;
  return outcome;
}

WalkOutcome cached_child(const CallContext& ctx, const TaskStruct& task, const Path& dir,
                         std::string_view name, RefPtr<Dentry>* child, Errno* error) {
  RcuReadGuard guard;
  RcuWalk walk(ctx, task, 0);
  walk.start_from(dir.mnt.get(), dir.dentry.get(), {});
  Dentry* found = nullptr;
  WalkOutcome outcome = walk.probe(name, &found);
  if (outcome == WalkOutcome::kMiss || !walk.alive()) return WalkOutcome::kMiss;
  if (outcome == WalkOutcome::kError) {
    *error = walk.error;
    return outcome;
  }
  *child = RefPtr<Dentry>::try_from(found);
  return *child ? outcome : WalkOutcome::kMiss;
}

}  // namespace myfs::fs
