// LeaseCache: what the kernel may keep, and for how long an invalidation waits for it.

#include "bindings/fuse/lease_cache.h"

#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bridge {
namespace {

// What the kernel was told, and a hand that holds it up.
struct Told {
  std::mutex held_up;
  std::atomic<int> begun{0};
  std::vector<std::string> forgotten;  // after the cache was stopped
};

class SlowKernel final : public KernelCache {
 public:
  explicit SlowKernel(Told* told) : told_(told) {}
  void forget_attr(fuse_ino_t ino) override { note(std::to_string(ino)); }
  void forget_name(fuse_ino_t dir, const std::string& name) override {
    note(std::to_string(dir) + "/" + name);
  }

 private:
  void note(std::string what) {
    ++told_->begun;
    told_->begun.notify_all();
    std::lock_guard lock(told_->held_up);
    told_->forgotten.push_back(std::move(what));
  }
  Told* const told_;
};

class LeaseCacheTest : public testing::Test {
 protected:
  LeaseCacheTest() { cache_.start(std::make_unique<SlowKernel>(&told_)); }
  double keep_attr() { return LeaseCache::Window(&cache_, cache_.moment()).timeout(60'000); }
  double keep_name(fuse_ino_t dir, const char* name) {
    return LeaseCache::Window(&cache_, cache_.moment()).name_timeout(dir, name, 60'000);
  }
  void invalidate(uint64_t ino, unsigned what) {
    const myfs_invalidation invalidation{sizeof invalidation, what, ino};
    LeaseCache::on_invalidate(&cache_, &invalidation);
  }

  Told told_;
  Nodes nodes_;
  LeaseCache cache_{nodes_};
};

TEST_F(LeaseCacheTest, the_kernel_forgets_before_an_invalidation_returns) {
  EXPECT_EQ(1, keep_attr());
  EXPECT_EQ(1, keep_name(7, "n"));
  EXPECT_EQ(1, keep_name(8, "other"));
  invalidate(7, MYFS_INVAL_ATTR | MYFS_INVAL_NAMES);
  EXPECT_EQ((std::vector<std::string>{"7", "7/n"}), told_.forgotten);
  EXPECT_EQ(1, keep_attr());
}

TEST_F(LeaseCacheTest, an_answer_that_was_asked_for_before_an_invalidation_is_not_kept) {
  const uint64_t since = cache_.moment();
  invalidate(7, MYFS_INVAL_ATTR);
  EXPECT_EQ(0, LeaseCache::Window(&cache_, since).timeout(60'000));
}

TEST_F(LeaseCacheTest, what_is_not_kept_needs_no_telling) {
  invalidate(7, MYFS_INVAL_ATTR);
  cache_.stop();
  EXPECT_EQ(0u, told_.forgotten.size());
}

TEST_F(LeaseCacheTest, nothing_may_be_kept_while_the_kernel_is_being_told) {
  EXPECT_EQ(1, keep_attr());
  std::unique_lock hand(told_.held_up);
  std::thread recall([this] { invalidate(7, MYFS_INVAL_ATTR); });
  told_.begun.wait(0);
  EXPECT_EQ(0, keep_attr());
  EXPECT_EQ(0, keep_name(7, "n"));
  hand.unlock();
  recall.join();
  EXPECT_EQ(1, keep_attr());
}

TEST_F(LeaseCacheTest, all_that_wait_for_a_slow_kernel_wait_until_one_moment) {
  EXPECT_EQ(1, keep_attr());
  std::unique_lock hand(told_.held_up);
  invalidate(7, MYFS_INVAL_ATTR);  // until what was given has run out
  for (uint64_t ino = 8; ino < 100; ++ino) {
    EXPECT_EQ(0, keep_attr());
    invalidate(ino, MYFS_INVAL_ATTR);
  }
  hand.unlock();
  cache_.stop();
  EXPECT_EQ(std::vector<std::string>{"7"}, told_.forgotten);
}

}  // namespace
}  // namespace bridge
