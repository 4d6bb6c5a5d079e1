#include "sdk/base/ref.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace myfs {
namespace {

struct Node : RefCounted<Node> {
  explicit Node(int* deaths) : deaths(deaths) {}
  virtual ~Node() { ++*deaths; }
  int* deaths;
};
struct Leaf final : Node {
  using Node::Node;
};
// Lives on without references, as an inode in its cache does.
struct Cached : RefCounted<Cached> {
  void last_ref_dropped() { ++drops; }
  int drops = 0;
};

TEST(RefTest, last_reference_deletes) {
  int deaths = 0;
  {
    Ref<Node> a = make_ref<Node>(&deaths);
    EXPECT_EQ(a->ref_count(), 1u);
    {
      Ref<Node> b = a;
      EXPECT_EQ(a->ref_count(), 2u);
      EXPECT_TRUE(a == b);
    }
    EXPECT_EQ(a->ref_count(), 1u);
    EXPECT_EQ(deaths, 0);
  }
  EXPECT_EQ(deaths, 1);
}

TEST(RefTest, a_move_does_not_count) {
  int deaths = 0;
  Ref<Node> a = make_ref<Node>(&deaths);
  Ref<Node> b = std::move(a);
  EXPECT_EQ(b->ref_count(), 1u);
  Ref<Node> c = make_ref<Node>(&deaths);
  c = std::move(b);
  EXPECT_EQ(deaths, 1);
  EXPECT_EQ(c->ref_count(), 1u);
}

TEST(RefTest, converts_to_a_base) {
  int deaths = 0;
  {
    Ref<Leaf> leaf = make_ref<Leaf>(&deaths);
    Ref<Node> node = leaf;
    RefPtr<Node> pointer = Ref<Leaf>(leaf);
    EXPECT_EQ(leaf->ref_count(), 3u);
  }
  EXPECT_EQ(deaths, 1);
}

TEST(RefTest, self_assignment_keeps_the_object) {
  int deaths = 0;
  Ref<Node> a = make_ref<Node>(&deaths);
  Ref<Node>& same = a;
  a = same;
  EXPECT_EQ(a->ref_count(), 1u);
  EXPECT_EQ(deaths, 0);
}

TEST(RefPtrTest, may_be_null) {
  RefPtr<Node> none;
  EXPECT_FALSE(none);
  EXPECT_EQ(none.get(), nullptr);
  EXPECT_FALSE(RefPtr<Node>::try_from(nullptr));
}

TEST(RefPtrTest, to_ref_of_a_temporary_does_not_count) {
  int deaths = 0;
  RefPtr<Node> pointer = make_ref<Node>(&deaths);
  Ref<Node> second = pointer.to_ref();
  EXPECT_EQ(second->ref_count(), 2u);
  Ref<Node> moved = std::move(pointer).to_ref();
  EXPECT_EQ(moved->ref_count(), 2u);
  EXPECT_FALSE(pointer);
}

TEST(RefPtrTest, leak_and_adopt_are_inverse) {
  int deaths = 0;
  RefPtr<Node> pointer = make_ref<Node>(&deaths);
  Node* raw = pointer.leak();
  EXPECT_FALSE(pointer);
  EXPECT_EQ(raw->ref_count(), 1u);
  pointer = RefPtr<Node>::adopt(raw);
  pointer = nullptr;
  EXPECT_EQ(deaths, 1);
}

TEST(RefPtrTest, the_dead_do_not_rise) {
  Cached object;
  EXPECT_TRUE(object.try_ref());
  object.unref();
  EXPECT_EQ(object.drops, 0);
  object.unref();
  EXPECT_EQ(object.drops, 1);
  EXPECT_EQ(object.ref_count(), 0u);
  EXPECT_FALSE(object.try_ref());
  EXPECT_FALSE(RefPtr<Cached>::try_from(&object));
  EXPECT_EQ(object.ref_count(), 0u);
}

TEST(RefTest, counts_across_threads) {
  int deaths = 0;
  {
    Ref<Node> shared = make_ref<Node>(&deaths);
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([copy = shared] {
        for (int n = 0; n < 10'000; ++n) {
          Ref<Node> mine = copy;
          RefPtr<Node> again = RefPtr<Node>::try_from(mine.get());
          ASSERT_TRUE(again);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    threads.clear();
    EXPECT_EQ(shared->ref_count(), 1u);
  }
  EXPECT_EQ(deaths, 1);
}

}  // namespace
}  // namespace myfs
