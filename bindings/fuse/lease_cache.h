// LeaseCache: what the kernel may keep under -o lease_cache: time-outs for answers that leases
// cover, and the way back when one ends.
// Kernel counterpart: fuse_reverse_inval_entry, fuse_reverse_inval_inode (fs/fuse).
//
// An answer goes out with a time-out only if no invalidation has begun since its request came
// (Window). An invalidation first ends all windows, then has the kernel forget by its own thread,
// and returns when the kernel has, or when every time-out that was given has run out: the
// kernel takes a name back only under the lock of the directory, which a request may hold that
// waits for the very recall. Meanwhile no time-out is given, so what was given has run out for
// all recalls at one moment: however many there are, they may take kTimeout + kSlack longer than
// without this option, and no more.
//
// Thread safety: all. Callbacks of the library run on its threads, never on one that serves a
// request.
// Lock rank: replies_ (shared while an answer is written), then names_mutex_, then queue_mutex_.
// Invariants: (1) a name that the kernel may keep is in names_; (2) no time-out is longer than
// kTimeout or than the lease.
#pragma once

#include <myfs/lowlevel.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <thread>
#include <vector>

#include "bindings/fuse/fuse_api.h"
#include "bindings/fuse/kept_names.h"
#include "bindings/fuse/nodes.h"

namespace bridge {

// What keeps the answers; it is told by one thread, and may take its time.
class KernelCache {
 public:
  virtual ~KernelCache() = default;
  virtual void forget_attr(fuse_ino_t ino) = 0;
  virtual void forget_name(fuse_ino_t dir, const std::string& name) = 0;
};

class LeaseCache {
 public:
  explicit LeaseCache(const Nodes& nodes) : nodes_(nodes) {}
  ~LeaseCache() { stop(); }
  LeaseCache(const LeaseCache&) = delete;
  LeaseCache& operator=(const LeaseCache&) = delete;

  void start(std::unique_ptr<KernelCache> kernel);
  // From now on what the library says about the mount of `root` is heard. False: it refused.
  bool listen(myfs_inode* root);
  void stop();

  // While it lives no invalidation begins; short: around the writing of one answer.
  class Window {
   public:
    // `since`: moment() when the request came. `cache` null: nothing may be kept.
    Window(LeaseCache* cache, uint64_t since);
    // Seconds for what may be kept that long; 0: not at all.
    double timeout(int64_t keep_ms);
    // The same for a name in `dir`, which is remembered.
    double name_timeout(fuse_ino_t dir, const char* name, int64_t keep_ms);

   private:
    LeaseCache* const cache_;
    std::shared_lock<std::shared_mutex> lock_;
    bool open_ = false;
  };
  uint64_t moment() const { return moment_.load(std::memory_order_acquire); }
  // myfs_invalidate_fn.
  static void on_invalidate(void* self, const myfs_invalidation* what);
  // The caller has changed who may search the directory: its names are to be asked for again. Waits
  // for nobody: the kernel holds the directory's lock until it is answered.
  void forget_names(fuse_ino_t dir);

 private:
  void invalidate(const myfs_invalidation& what);

  static constexpr std::chrono::milliseconds kTimeout{1000};
  // Beyond the time-outs, for an answer that the kernel takes in late.
  static constexpr std::chrono::milliseconds kSlack{500};
  static constexpr size_t kNamesMax = 1'000'000;
  using Clock = KeptNames::Clock;
  using Names = KeptNames::Names;
  struct Job {
    fuse_ino_t ino = 0;
    bool attr = false;
    Names names;
    bool done = false;  // under queue_mutex_
  };

  Names take_names(fuse_ino_t dir);
  void end_windows();
  std::shared_ptr<Job> post(fuse_ino_t ino, bool attr, Names names);
  void notify();

  const Nodes& nodes_;
  std::unique_ptr<KernelCache> kernel_;
  myfs_listener* listener_ = nullptr;

  std::atomic<uint64_t> moment_{0};
  std::atomic<size_t> jobs_{0};  // posted and not done
  // When the last time-out that was given runs out.
  std::atomic<Clock::rep> run_out_{0};
  std::shared_mutex replies_;

  std::mutex names_mutex_;
  KeptNames names_{kTimeout + kSlack, kNamesMax};

  std::mutex queue_mutex_;
  std::condition_variable queue_changed_, job_done_;
  std::deque<std::shared_ptr<Job>> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace bridge
