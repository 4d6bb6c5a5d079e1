#include "sdk/fs/namei.h"

#include <utility>
#include <vector>

#include "sdk/base/error_detail.h"
#include "sdk/base/nowait.h"
#include "sdk/base/rcu.h"
#include "sdk/fs/namei_rcu.h"
#include "sdk/fs/permission.h"
#include "sdk/fs/super_block.h"

namespace myfs::fs {

namespace {

// Restarts after the cache let go of what the walk stood on, before it asks for every name.
constexpr int kRestartsMax = 3;

// Asks the file system where `dentry`, a directory's, hangs. The answer's position is right.
Result<Ref<Dentry>> confirm_position(const CallContext& ctx, Dentry& dentry) {
  if (must_not_wait()) return refuse_to_wait();
  InodeOps& op = dentry.d_inode()->i_op();
  if (!dentry.is_root()) {
    Ref<Dentry> parent = dentry.d_parent();
    const std::string name = dentry.d_name();
    const std::string_view names[] = {name};
    ReadLock lock(parent->d_inode()->i_rwsem);
    Result<LookupChain> chain =
        parent->d_inode()->i_op().lookup(ctx, *parent, names, LookupIntent::kWalk);
    if (chain.ok() && !chain->empty() && chain->front().error.ok() && chain->front().dentry &&
        chain->front().dentry->d_inode() == dentry.d_inode()) {
      return std::move(chain->front().dentry).to_ref();
    }
  }
  return op.get_parent(ctx, dentry);
}

// Climbs from `at` to `root`, whatever the cache knows; `fn` gets each name on the way, the last
// one first. EXDEV: it is not below the root; ENOENT: it, or a directory above it, was removed.
template <typename Fn>
Result<void> climb_to(const CallContext& ctx, Path at, const Path& root, Fn fn) {
  while (at.mnt != root.mnt || !is_same_place(*at.dentry, *root.dentry)) {
    if (at.mnt->is_root(*at.dentry)) {
      at = at.mnt->mountpoint();
      if (!at) return Errno(EXDEV);
      continue;
    }
    if ((at.inode().i_flags.load(std::memory_order_acquire) & Inode::kDead) != 0) {
      return Errno(ENOENT);
    }
    if (!position_known(*at.dentry)) {
      Result<Ref<Dentry>> here = confirm_position(ctx, *at.dentry);
      if (!here.ok()) return here.error() == Errno(ESTALE) ? Errno(ENOENT) : here.error();
      at.dentry = std::move(here).value();
    }
    MYFS_TRY(fn(at.dentry->d_name()));
    at.dentry = at.dentry->d_parent();
  }
  return ok_result();
}

class Walk {
 public:
  Walk(const CallContext& ctx, const TaskStruct& task, uint32_t flags, LookupIntent intent)
      : ctx_(ctx), task_(task), flags_(flags), intent_(intent) {}

  Result<WalkResult> from(At at) {
    at_ = at;
    return run();
  }
  Result<WalkResult> from(const Path& start, std::string_view text, int* links, const Path* root) {
    place_ = start_ = start;
    if (root != nullptr) {
      root_ = *root;
      scope_ = {root_.mnt.get(), root_.dentry.get(), root_.mnt.get(), root_.dentry.get()};
    }
    text_.assign(text);
    start_text_ = text;
    links_ = *links;
    if (text.size() >= kPathMax_bytes) return Errno(ENAMETOOLONG);
    if (text.empty()) return Errno(ENOENT);
    Result<WalkResult> result = run();
    *links = links_;
    return result;
  }

 private:
  enum class Next : uint8_t { kWalk, kDone };

  Result<WalkResult> run();
  RcuWalk rcu_walk_here() const { return RcuWalk(ctx_, task_, flags_, root_ ? &scope_ : nullptr); }
  // The warm part: kHit fills the result, kMiss leaves place_ and text_ where to ask.
  WalkOutcome walk_cached(Errno* error);
  void restart();
  // One question to the file system, and along its answer.
  Result<Next> ask();
  Result<Next> ask_names();
  Result<void> ask_dotdot();
  Result<void> check_below_root();
  bool answered_meanwhile(std::string_view name);
  Result<Next> follow_chain(LookupChain& chain, const std::vector<size_t>& ends);
  Result<void> follow_link(Inode& link, std::string_view after);
  bool cross_mounts(Path* path);
  void collect_names(std::vector<std::string_view>* names, std::vector<size_t>* ends) const;
  Errno note(Errno error, std::string_view component) {
    thread_error_detail().component.assign(first_component(component));
    return error;
  }

  const CallContext& ctx_;
  const TaskStruct& task_;
  const uint32_t flags_;
  const LookupIntent intent_;

  At at_;
  Path start_;  // instead of at_, if set
  std::string_view start_text_;
  Path root_;  // instead of the task's, if set
  FsStruct::View scope_;
  bool climbed_ = false;

  Path next_;         // what walk_cached found
  Path place_;        // where the walk stands, held; empty: at its beginning
  std::string text_;  // the rest of the path from there
  int links_ = 0;
  bool trailing_ = false;
  bool trust_ = true;
  int restarts_ = 0;
  bool rechecked_ = false;
  WalkResult result_;
};

void Walk::restart() {
  place_ = start_;
  text_.assign(start_text_);
  trailing_ = false;
  links_ = 0;
  if (++restarts_ > kRestartsMax) trust_ = false;
}

WalkOutcome Walk::walk_cached(Errno* error) {
  RcuReadGuard guard;
  RcuWalk walk = rcu_walk_here();
  walk.links = links_;
  walk.trailing = trailing_;
  walk.trust = trust_;
  const std::string text = std::move(text_);
  WalkOutcome outcome = WalkOutcome::kHit;
  if (place_) {
    walk.start_from(place_.mnt.get(), place_.dentry.get(), text);
  } else {
    outcome = walk.start(at_);
  }
  if (walk.dentry == nullptr) {
    *error = walk.error;
    return WalkOutcome::kError;
  }
  if (outcome == WalkOutcome::kHit) outcome = walk.run();
  if (outcome != WalkOutcome::kMiss && trust_ && !walk.alive()) {
    // Nothing that was seen can be believed: ask for each name.
    trust_ = false;
    return WalkOutcome::kMiss;
  }
  if (outcome == WalkOutcome::kError) {
    *error = note(walk.error, walk.missed);
    return outcome;
  }
  next_.mnt = RefPtr<Mount>::try_from(walk.mnt);
  next_.dentry = RefPtr<Dentry>::try_from(walk.dentry);
  links_ = walk.links;
  climbed_ |= walk.climbed;
  trailing_ = walk.trailing;
  if (outcome == WalkOutcome::kMiss) {
    text_ = walk.remaining();
  } else {
    result_.last.assign(walk.last);
    result_.last_type = walk.last_type;
    result_.trailing_slash = walk.trailing;
    if (!place_) walk.dentry->d_sb().s_counters.walk_hits.add();
  }
  return outcome;
}

Result<WalkResult> Walk::run() {
  while (true) {
    Errno error;
    const bool trusted = trust_;
    WalkOutcome outcome = walk_cached(&error);
    if (outcome == WalkOutcome::kError) return error;
    if (trusted != trust_ || !next_.mnt || !next_.dentry) {
      restart();
      next_ = Path();
      continue;
    }
    place_ = std::exchange(next_, Path());
    if (outcome == WalkOutcome::kHit) break;
    MYFS_ASSIGN(Next next, ask());
    if (next == Next::kDone) break;
    if (text_.empty() && (flags_ & LOOKUP_PARENT) == 0) break;
  }
  if (root_ && climbed_) MYFS_TRY(check_below_root());
  result_.path = std::move(place_);
  return std::move(result_);
}

Result<Walk::Next> Walk::ask() {
  if (must_not_wait()) return refuse_to_wait();
  std::string_view name = first_component(text_);
  if ((place_.inode().i_flags.load(std::memory_order_acquire) & Inode::kDead) != 0 &&
      name != "..") {
    return note(Errno(ENOENT), name);
  }
  if (name != "." && name != "..") return ask_names();
  MYFS_TRY(inode_permission(ctx_, place_.inode(), MAY_EXEC));
  if (name == "..") MYFS_TRY(ask_dotdot());
  text_.erase(0, name.size());
  // Slashes alone are no path any more: "/" would be the root.
  text_.erase(0, text_.size() - skip_slashes(text_).size());
  if (text_.empty() && (flags_ & LOOKUP_PARENT) != 0) result_.last_type = LastType::kRoot;
  return text_.empty() ? Next::kDone : Next::kWalk;
}

Result<void> Walk::ask_dotdot() {
  Path from;
  {
    RcuReadGuard guard;
    RcuWalk walk = rcu_walk_here();
    walk.start_from(place_.mnt.get(), place_.dentry.get(), {});
    const bool has_parent = walk.climb_mounts();
    from.mnt = RefPtr<Mount>::try_from(walk.mnt);
    from.dentry = RefPtr<Dentry>::try_from(walk.dentry);
    if (!has_parent || !from.mnt || !from.dentry) return walk.may_stay();
  }
  climbed_ = true;
  const bool stays = (flags_ & LOOKUP_NO_XDEV) != 0;
  if (stays && from.mnt != place_.mnt) return Errno(EXDEV);
  Result<Ref<Dentry>> here = confirm_position(ctx_, *from.dentry);
  const bool removed =
      !here.ok() && (here.error() == Errno(ENOENT) || here.error() == Errno(ESTALE));
  if (!here.ok() && !removed) return here.error();
  // A removed directory keeps the parent that it had.
  Dentry& hangs = removed ? *from.dentry : **here;
  place_ = Path{from.mnt, hangs.d_parent()};
  if (!is_connected(*place_.mnt, *place_.dentry)) return Errno(ENOENT);
  return cross_mounts(&place_) && stays ? Errno(EXDEV) : Errno();
}

// Somebody may have moved a directory out of the root's tree while the walk was in it.
Result<void> Walk::check_below_root() {
  Path at = place_;
  while (!at.inode().is_dir()) {
    const bool leaves = at.mnt->is_root(*at.dentry);
    at = leaves ? at.mnt->mountpoint() : Path{at.mnt, at.dentry->d_parent()};
    if (!at) return Errno(EXDEV);
  }
  return climb_to(ctx_, std::move(at), root_,
                  [](const std::string&) -> Result<void> { return ok_result(); });
}

void Walk::collect_names(std::vector<std::string_view>* names, std::vector<size_t>* ends) const {
  std::string_view text = text_;
  size_t at = 0;
  while (names->size() < kLookupNamesMax) {
    at = text.size() - skip_slashes(text.substr(at)).size();
    std::string_view name = first_component(text.substr(at));
    if (name.empty() || name == "." || name == "..") return;
    const bool is_last = skip_slashes(text.substr(at + name.size())).empty();
    // A name too long is the walk's to report, after those before it.
    if (name.size() > kNameMax_bytes || (is_last && (flags_ & LOOKUP_PARENT) != 0)) return;
    at += name.size();
    names->push_back(name);
    ends->push_back(at);
  }
}

bool Walk::answered_meanwhile(std::string_view name) {
  if (!trust_ || std::exchange(rechecked_, true)) return false;
  RcuReadGuard guard;
  RcuWalk walk = rcu_walk_here();
  walk.start_from(place_.mnt.get(), place_.dentry.get(), {});
  Dentry* found;
  return walk.probe(name, &found) != WalkOutcome::kMiss;
}

Result<Walk::Next> Walk::ask_names() {
  std::vector<std::string_view> names;
  std::vector<size_t> ends;
  collect_names(&names, &ends);
  if (names.empty()) return Errno(EIO);
  Inode& dir = place_.inode();
  LookupChain chain;
  {
    ReadLock lock(dir.i_rwsem);
    // Whoever held the lock may have learned the name.
    if (answered_meanwhile(names[0])) return Next::kWalk;
    place_.dentry->d_sb().s_counters.lookups.add();
    Result<LookupChain> answer = dir.i_op().lookup(ctx_, *place_.dentry, names, intent_);
    if (!answer.ok()) return note(answer.error(), names[0]);
    chain = std::move(answer).value();
  }
  rechecked_ = false;
  if (chain.empty() || chain.size() > names.size()) return note(Errno(EIO), names[0]);
  return follow_chain(chain, ends);
}

Result<Walk::Next> Walk::follow_chain(LookupChain& chain, const std::vector<size_t>& ends) {
  const std::string whole = text_;
  for (size_t i = 0; i < chain.size(); ++i) {
    const std::string_view rest = std::string_view(whole).substr(ends[i]);
    const bool is_last = skip_slashes(rest).empty();
    if (is_last && !rest.empty()) trailing_ = true;
    LookupStep& step = chain[i];
    const size_t begin = i == 0 ? 0 : ends[i - 1];
    std::string_view name = skip_slashes(std::string_view(whole).substr(begin, ends[i] - begin));
    if (!step.error.ok()) return note(step.error, name);
    if (!step.dentry || step.dentry->is_negative()) return note(Errno(ENOENT), name);
    Inode& inode = *step.dentry->d_inode();
    text_.assign(skip_slashes(rest));
    if (inode.is_symlink() && (!is_last || trailing_ || (flags_ & LOOKUP_FOLLOW) != 0)) {
      MYFS_TRY(follow_link(inode, skip_slashes(rest)));
      return Next::kWalk;
    }
    place_.dentry = step.dentry;
    const bool crossed = cross_mounts(&place_);
    if (crossed && (flags_ & LOOKUP_NO_XDEV) != 0) return note(Errno(EXDEV), name);
    const bool must_be_dir = !is_last || trailing_ || (flags_ & LOOKUP_DIRECTORY) != 0;
    if (must_be_dir && !place_.inode().is_dir()) return note(Errno(ENOTDIR), name);
    if (is_last) {
      result_.has_stat = step.has_stat && !crossed;
      result_.stat = step.stat;
      return Next::kDone;
    }
    // What the answer says further on lies below the place that is covered.
    if (crossed) return Next::kWalk;
  }
  return Next::kWalk;
}

Result<void> Walk::follow_link(Inode& link, std::string_view after) {
  if (links_ >= kSymlinksFollowedMax) return Errno(ELOOP);
  ++links_;
  if (link.i_link() == nullptr) {
    MYFS_ASSIGN(std::string target, link.i_op().readlink(ctx_, link));
    link.set_link(target);
  }
  std::string text = *link.i_link();
  if (text.empty()) return Errno(ENOENT);
  {
    RcuReadGuard guard;
    RcuWalk walk = rcu_walk_here();
    walk.start_from(place_.mnt.get(), place_.dentry.get(), {});
    MYFS_TRY(Result<void>(walk.may_follow(text)));
  }
  if (!after.empty()) text.append("/").append(after);
  text_ = std::move(text);
  return ok_result();
}

bool Walk::cross_mounts(Path* path) {
  if ((path->dentry->flags() & Dentry::kMounted) == 0) return false;
  Path top;
  {
    RcuReadGuard guard;
    RcuWalk walk = rcu_walk_here();
    walk.start_from(path->mnt.get(), path->dentry.get(), {});
    walk.follow_mounts();
    top.mnt = RefPtr<Mount>::try_from(walk.mnt);
    top.dentry = RefPtr<Dentry>::try_from(walk.dentry);
  }
  // A mount that goes away just now: as if it had gone before.
  if (!top.mnt || !top.dentry || top.dentry == path->dentry) return false;
  *path = std::move(top);
  return true;
}

}  // namespace

bool position_known(const Dentry& dentry) {
  RcuReadGuard guard;
  const DentryPosition& pos = dentry.position();
  if (pos.dir == nullptr) return false;
  const Validity& validity = dentry.d_sb().s_validity;
  LeaseWord::Sample sample = pos.dir->i_lease.sample();
  return LeaseWord::covers(sample, kLeaseD, validity) && dentry.is_true_at(pos, sample) &&
         validity.alive();
}

Result<WalkResult> path_lookup(const CallContext& ctx, const TaskStruct& task, At at,
                               uint32_t flags, LookupIntent intent) {
  return Walk(ctx, task, flags, intent).from(at);
}

Result<WalkResult> path_lookup_from(const CallContext& ctx, const TaskStruct& task,
                                    const Path& start, std::string_view path, uint32_t flags,
                                    LookupIntent intent, int* links, const Path* root) {
  return Walk(ctx, task, flags, intent).from(start, path, links, root);
}

Result<std::string> d_path(const CallContext& ctx, const TaskStruct& task, const Path& path) {
  const Path root = task.fs.root();
  if (!root) return Errno(ENOENT);
  std::string text;
  Result<void> climbed = climb_to(ctx, path, root, [&](const std::string& name) -> Result<void> {
    text.insert(0, "/" + name);
    return text.size() >= kPathMax_bytes ? Errno(ENAMETOOLONG) : Errno();
  });
  if (!climbed.ok()) return climbed.error() == Errno(EXDEV) ? Errno(ENOENT) : climbed.error();
  return text.empty() ? std::string("/") : text;
}

}  // namespace myfs::fs
