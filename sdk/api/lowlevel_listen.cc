// Listeners of <myfs/lowlevel.h>.

#include "sdk/api/lowlevel_call.h"
#include "sdk/fs/super_block.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

struct myfs_listener final : fs::CacheListener {
  myfs_listener(Ref<fs::SuperBlock> of, myfs_invalidate_fn to_call, void* with)
      : sb(std::move(of)), fn(to_call), context(with) {}

  void invalidate(fs::Inode& inode, fs::LeaseParts parts) override {
    const myfs_invalidation what{
        .size = sizeof what, .what = api::invalidated(inode, parts), .ino = inode.i_ino};
    if (what.what != 0) fn(context, &what);
  }
  void invalidate_all() override {
    const myfs_invalidation what{.size = sizeof what,
                                 .what = MYFS_INVAL_ATTR | MYFS_INVAL_NAMES | MYFS_INVAL_DATA,
                                 .ino = 0};
    fn(context, &what);
  }

  const uv_io::ForkGuard fork_guard;
  const Ref<fs::SuperBlock> sb;  // does not keep it from ending
  const myfs_invalidate_fn fn;
  void* const context;
};

extern "C" {

int myfs_ll_listen(myfs_inode* inode, myfs_invalidate_fn fn, void* context,
                   myfs_listener** listener) {
  CallScope scope(api::task_of(inode), nullptr, "listen");
  return scope.run([&]() -> Result<void> {
    if (fn == nullptr || listener == nullptr) return fail(Errno(EINVAL), "nobody would listen");
    auto* made = new myfs_listener(Ref<fs::SuperBlock>(inode->place.mnt->mnt_sb()), fn, context);
    made->sb->s_listeners.add(*made);
    *listener = made;
    return ok_result();
  });
}

int myfs_ll_unlisten(myfs_listener* listener) {
  if (listener == nullptr || !listener->fork_guard.same_process()) return 0;
  listener->sb->s_listeners.remove(*listener);
  delete listener;
  return 0;
}

}  // extern "C"
