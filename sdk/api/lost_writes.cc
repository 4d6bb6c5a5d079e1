// Lost writes: <myfs/lost_writes.h>.

#include <myfs/lost_writes.h>

#include <memory>
#include <utility>
#include <vector>

#include "sdk/api/call_scope.h"
#include "sdk/fs/namei.h"
#include "sdk/netfs/super.h"
#include "sdk/uv/fork_guard.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

struct myfs_lost_reader {
  const netfs::LostWrites& lost;
};

namespace {

class Handler final : public netfs::LostWritesDesk::Handler {
 public:
  Handler(myfs_lost_writes_fn fn, void* context) : fn_(fn), context_(context) {}

  bool lost(const netfs::LostWrites& what) override {
    std::vector<myfs_lost_range> ranges;
    ranges.reserve(what.ranges().size());
    for (const netfs::LostWrites::Range& range : what.ranges()) {
      ranges.push_back({range.offset, range.size_bytes});
    }
    const myfs_lost_reader reader{what};
    const myfs_lost_writes told{.size = sizeof told,
                                .mount = what.mount.c_str(),
                                .path = what.path.c_str(),
                                .ino = what.ino,
                                .generation = what.generation,
                                .file_size = what.file_size,
                                .error = what.error.value(),
                                .reason = what.why.c_str(),
                                .ranges = ranges.data(),
                                .range_count = ranges.size(),
                                .reader = &reader};
    return fn_(context_, &told) == 0;
  }

 private:
  const myfs_lost_writes_fn fn_;
  void* const context_;
};

}  // namespace

struct myfs_lost_listener {
  const uv_io::ForkGuard fork_guard{};
  std::shared_ptr<netfs::LostWritesDesk> desk;  // which may outlive its mount
  std::shared_ptr<Handler> handler;
};

extern "C" {

int myfs_on_lost_writes_x(myfs_task* task, const myfs_call* call, const char* path,
                          myfs_lost_writes_fn fn, void* context, myfs_lost_listener** listener) {
  CallScope scope(task, call, "on_lost_writes");
  return scope.run([&]() -> Result<void> {
    if (fn == nullptr || listener == nullptr) return fail(Errno(EINVAL), "nobody would be told");
    MYFS_ASSIGN(const fs::At at, api::path_at(path));
    MYFS_ASSIGN(const fs::WalkResult found,
                fs::path_lookup(scope.ctx(), scope.task(), at, fs::LOOKUP_FOLLOW));
    auto& super = static_cast<netfs::Super&>(found.path.mnt->mnt_sb().s_op());
    std::unique_ptr<myfs_lost_listener> made(
        new myfs_lost_listener{.desk = super.lost_writes().shared_from_this(),
                               .handler = std::make_shared<Handler>(fn, context)});
    made->desk->add(made->handler);
    *listener = made.release();
    return ok_result();
  });
}
int myfs_on_lost_writes(myfs_task* task, const char* path, myfs_lost_writes_fn fn, void* context,
                        myfs_lost_listener** listener) {
  return myfs_on_lost_writes_x(task, nullptr, path, fn, context, listener);
}

int myfs_off_lost_writes(myfs_lost_listener* listener) {
  if (listener == nullptr || !listener->fork_guard.same_process()) return 0;
  listener->desk->remove(*listener->handler);
  delete listener;
  return 0;
}

ssize_t myfs_lost_read(const myfs_lost_reader* reader, void* buffer, size_t size, off_t offset) {
  clear_error_detail();
  if (reader == nullptr || buffer == nullptr || offset < 0) {
    return -fail(Errno(EINVAL), "lost_read: null, or a negative offset").value();
  }
  return static_cast<ssize_t>(reader->lost.read(static_cast<uint64_t>(offset), buffer, size));
}

}  // extern "C"
