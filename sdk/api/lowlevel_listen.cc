// Listeners of <myfs/lowlevel.h>.

#include "sdk/api/lowlevel_call.h"
#include "sdk/fs/super_block.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

struct myfs_listener final : fs::CacheListener {
  myfs_listener(Ref<fs::Mount> of, myfs_invalidate_fn to_call, void* with)
      : mount(std::move(of)), fn(to_call), context(with) {}

  void invalidate(fs::Inode& inode, fs::LeaseParts parts) override {
    myfs_invalidation what{.size = sizeof what, .what = 0, .ino = inode.i_ino};
    if ((parts & fs::kLeaseA) != 0) what.what |= MYFS_INVAL_ATTR;
    // Who may search it may change: names were told to be kept since everybody might.
    if ((parts & fs::kLeaseA) != 0 && inode.is_dir()) what.what |= MYFS_INVAL_NAMES;
    if ((parts & fs::kLeaseD) != 0) what.what |= MYFS_INVAL_ATTR | MYFS_INVAL_NAMES;
    if ((parts & (fs::kLeaseR | fs::kLeaseW)) != 0) {
      what.what |= MYFS_INVAL_ATTR | MYFS_INVAL_DATA;
    }
    if (what.what != 0) fn(context, &what);
  }
  void invalidate_all() override {
    const myfs_invalidation what{.size = sizeof what,
                                 .what = MYFS_INVAL_ATTR | MYFS_INVAL_NAMES | MYFS_INVAL_DATA,
                                 .ino = 0};
    fn(context, &what);
  }

  const Ref<fs::Mount> mount;
  const myfs_invalidate_fn fn;
  void* const context;
};

extern "C" {

int myfs_ll_listen(myfs_inode* inode, myfs_invalidate_fn fn, void* context,
                   myfs_listener** listener) {
  CallScope scope(api::task_of(inode), nullptr, "listen");
  return scope.run([&]() -> Result<void> {
    if (fn == nullptr || listener == nullptr) return fail(Errno(EINVAL), "nobody would listen");
    auto* made = new myfs_listener(inode->place.mnt.to_ref(), fn, context);
    made->mount->mnt_sb().s_listeners.add(*made);
    *listener = made;
    return ok_result();
  });
}

int myfs_ll_unlisten(myfs_listener* listener) {
  if (listener == nullptr) return 0;
  listener->mount->mnt_sb().s_listeners.remove(*listener);
  delete listener;
  return 0;
}

}  // extern "C"
