#include "sdk/mm/address_space.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "sdk/base/rcu.h"
#include "sdk/mm/page_state.h"
#include "sdk/mm/runtime.h"
#include "sdk/mm/wait_table.h"

namespace myfs::mm {

namespace {
constexpr unsigned kShift = 6;
constexpr unsigned kSlots = 1u << kShift;
constexpr uint64_t kSlotMask = kSlots - 1;
constexpr uint64_t kIndexMax = kFileSizeMax_bytes / kPageSize_bytes;
}  // namespace

// Slots hold pages where shift is 0, else nodes. Freed by rcu. All but the slots under i_pages.
struct AddressSpace::Node {
  std::array<Slot, kSlots> slots{};
  std::array<uint64_t, kPageTags> tags{};  // bit per slot: the tag is set somewhere below
  uint64_t present = 0;                    // bit per slot: not null
  uint64_t base = 0;                       // index of the first page below
  Node* parent = nullptr;
  unsigned shift = 0;

  static Node* of(uintptr_t root) { return reinterpret_cast<Node*>(root & ~uintptr_t{1}); }
  unsigned slot_of(uint64_t index) const {
    return static_cast<unsigned>((index >> shift) & kSlotMask);
  }
  bool reaches(uint64_t index) const { return (index >> shift) < kSlots; }  // of a root
  Node* child(unsigned slot) const {
    return reinterpret_cast<Node*>(slots[slot].load(std::memory_order_relaxed));
  }
  Page* page(unsigned slot) const {
    return reinterpret_cast<Page*>(slots[slot].load(std::memory_order_relaxed));
  }
  void put(unsigned slot, const void* entry) {
    slots[slot].store(reinterpret_cast<uintptr_t>(entry), std::memory_order_release);
  }
  uint64_t bits(int tag) const { return tag < 0 ? present : tags[static_cast<size_t>(tag)]; }

  uint64_t next(int tag, uint64_t from) const {
    unsigned first = from <= base ? 0 : slot_of(from);
    for (uint64_t left = bits(tag) >> first << first; left != 0; left &= left - 1) {
      auto slot = static_cast<unsigned>(std::countr_zero(left));
      uint64_t start = base + (uint64_t{slot} << shift);
      if (shift == 0) return start;
      uint64_t found = child(slot)->next(tag, std::max(from, start));
      if (found != UINT64_MAX) return found;
    }
    return UINT64_MAX;
  }
};

AddressSpace::AddressSpace(Runtime& runtime, AddressSpaceOps& ops, void* host)
    : runtime_(runtime), ops_(ops), host_(host) {}

AddressSpace::~AddressSpace() {
  assert(root_.load() == 0 && nr_pages() == 0 && is_clean());
  assert(!wb_listed_ && wb_users_ == 0);
}

const AddressSpace::Slot* AddressSpace::slot_rcu(uint64_t index) const {
  uintptr_t root = root_.load(std::memory_order_acquire);
  if ((root & 1) == 0) return index == 0 ? &root_ : nullptr;
  const Node* node = Node::of(root);
  if (!node->reaches(index)) return nullptr;
  while (true) {
    const Slot& slot = node->slots[node->slot_of(index)];
    if (node->shift == 0) return &slot;
    uintptr_t entry = slot.load(std::memory_order_acquire);
    if (entry == 0) return nullptr;
    node = reinterpret_cast<const Node*>(entry);
  }
}

PageRef AddressSpace::find_get_page(uint64_t index) const {
  RcuReadGuard guard;
  while (true) {
    Page* page = lookup_rcu(index);
    if (page == nullptr) return {};
    if (!page->try_ref()) continue;  // freed since; the slot has changed
    if (page->mapping() == this && page->index() == index && lookup_rcu(index) == page) {
      return PageRef::adopt(page);
    }
    page->unref();
  }
}

Result<PageRef> AddressSpace::find_lock_page(const CallContext& ctx, uint64_t index) {
  while (true) {
    PageRef page = find_get_page(index);
    if (!page) return page;
    MYFS_TRY(lock_page(ctx, *this, *page));
    {
      MutexLock lock(i_pages_);
      if (slot_locked(index) == page.get()) return page;
    }
    page->unlock();
  }
}

AddressSpace::Node* AddressSpace::leaf_locked(uint64_t index) const {
  uintptr_t root = root_.load(std::memory_order_relaxed);
  if ((root & 1) == 0) return nullptr;
  Node* node = Node::of(root);
  if (!node->reaches(index)) return nullptr;
  while (node != nullptr && node->shift != 0) {
    node = node->child(node->slot_of(index));
  }
  return node;
}

Page* AddressSpace::slot_locked(uint64_t index) const {
  uintptr_t root = root_.load(std::memory_order_relaxed);
  if ((root & 1) == 0) return index == 0 ? reinterpret_cast<Page*>(root) : nullptr;
  Node* leaf = leaf_locked(index);
  return leaf == nullptr ? nullptr : leaf->page(leaf->slot_of(index));
}

// Makes the tree reach `index` and returns the leaf. A direct root page moves into a node.
AddressSpace::Node* AddressSpace::grow_to_locked(uint64_t index) {
  auto make = [this](unsigned shift, uint64_t base, Node* parent) {
    runtime_.budget().charge_always(MemClass::kArena, sizeof(Node));
    Node* node = new Node;
    node->shift = shift;
    node->base = base;
    node->parent = parent;
    return node;
  };
  uintptr_t root = root_.load(std::memory_order_relaxed);
  if (root == 0) {
    // Straight to the height that is needed: an empty node below would never be taken out again.
    unsigned shift = 0;
    while ((index >> shift) >= kSlots) shift += kShift;
    root = reinterpret_cast<uintptr_t>(make(shift, 0, nullptr)) | 1;
    root_tags_ = 0;
    root_.store(root, std::memory_order_release);
  }
  while ((root & 1) == 0 || !Node::of(root)->reaches(index)) {
    bool leaf = (root & 1) == 0;
    Node* node = make(leaf ? 0 : Node::of(root)->shift + kShift, 0, nullptr);
    void* child = leaf ? reinterpret_cast<void*>(root) : Node::of(root);
    node->put(0, child);
    node->present = 1;
    for (size_t tag = 0; tag < kPageTags; ++tag) {
      bool set = leaf ? (root_tags_ >> tag & 1) != 0 : Node::of(root)->tags[tag] != 0;
      node->tags[tag] = set ? 1 : 0;
    }
    if (!leaf) Node::of(root)->parent = node;
    root_tags_ = 0;
    root = reinterpret_cast<uintptr_t>(node) | 1;
    root_.store(root, std::memory_order_release);
  }
  Node* node = Node::of(root);
  while (node->shift != 0) {
    unsigned slot = node->slot_of(index);
    Node* child = node->child(slot);
    if (child == nullptr) {
      unsigned shift = node->shift - kShift;
      child = make(shift, index >> (shift + kShift) << (shift + kShift), node);
      node->put(slot, child);
      node->present |= uint64_t{1} << slot;
    }
    node = child;
  }
  return node;
}

void AddressSpace::erase_slot_locked(uint64_t index) {
  Node* node = leaf_locked(index);
  if (node == nullptr) {
    assert(index == 0);
    root_tags_ = 0;
    root_.store(0, std::memory_order_release);
    return;
  }
  for (size_t tag = 0; tag < kPageTags; ++tag) untag_locked(index, static_cast<PageTag>(tag));
  while (true) {
    unsigned slot = node->slot_of(index);
    node->put(slot, nullptr);
    node->present &= ~(uint64_t{1} << slot);
    if (node->present != 0) return;
    Node* parent = node->parent;
    if (parent == nullptr) root_.store(0, std::memory_order_release);
    runtime_.budget().uncharge(MemClass::kArena, sizeof(Node));
    rcu_delete(node);
    if (parent == nullptr) return;
    node = parent;
  }
}

void AddressSpace::tag_locked(uint64_t index, PageTag tag) {
  auto t = static_cast<size_t>(tag);
  uintptr_t root = root_.load(std::memory_order_relaxed);
  if ((root & 1) == 0) {
    root_tags_ |= 1u << t;
    return;
  }
  for (Node* node = leaf_locked(index); node != nullptr; node = node->parent) {
    node->tags[t] |= uint64_t{1} << node->slot_of(index);
  }
}

void AddressSpace::untag_locked(uint64_t index, PageTag tag) {
  auto t = static_cast<size_t>(tag);
  uintptr_t root = root_.load(std::memory_order_relaxed);
  if ((root & 1) == 0) {
    if (index == 0) root_tags_ &= ~(1u << t);
    return;
  }
  for (Node* node = leaf_locked(index); node != nullptr; node = node->parent) {
    node->tags[t] &= ~(uint64_t{1} << node->slot_of(index));
    if (node->tags[t] != 0) return;
  }
}

bool AddressSpace::tagged_locked(uint64_t index, PageTag tag) const {
  auto t = static_cast<size_t>(tag);
  uintptr_t root = root_.load(std::memory_order_relaxed);
  if ((root & 1) == 0) return index == 0 && (root_tags_ >> t & 1) != 0;
  Node* leaf = leaf_locked(index);
  return leaf != nullptr && (leaf->tags[t] >> leaf->slot_of(index) & 1) != 0;
}

uint64_t AddressSpace::next_locked(int tag, uint64_t from) const {
  uintptr_t root = root_.load(std::memory_order_relaxed);
  if (root == 0) return UINT64_MAX;
  if ((root & 1) == 0) {
    bool hit = from == 0 && (tag < 0 || (root_tags_ >> tag & 1) != 0);
    return hit ? 0 : UINT64_MAX;
  }
  if (!Node::of(root)->reaches(from)) return UINT64_MAX;
  return Node::of(root)->next(tag, from);
}

void AddressSpace::insert_locked(Page& page, uint64_t index) {
  page.ref();  // the tree's
  page.index_.store(index, std::memory_order_relaxed);
  page.mapping_.store(this, std::memory_order_release);
  page.set_flags(kPageLocked);
  if (index == 0 && root_.load(std::memory_order_relaxed) == 0) {
    root_tags_ = 0;
    root_.store(reinterpret_cast<uintptr_t>(&page), std::memory_order_release);
  } else {
    Node* leaf = grow_to_locked(index);
    leaf->put(leaf->slot_of(index), &page);
    leaf->present |= uint64_t{1} << leaf->slot_of(index);
  }
}

bool AddressSpace::add_locked(Page& page, uint64_t index) {
  assert(index <= kIndexMax);
  MutexLock lock(i_pages_);
  if (slot_locked(index) != nullptr) return false;
  insert_locked(page, index);
  nr_pages_.fetch_add(1, std::memory_order_relaxed);
  return true;
}

size_t AddressSpace::add_run_locked(std::span<const PageRef> pages, uint64_t index) {
  assert(index + pages.size() <= kIndexMax + 1);
  MutexLock lock(i_pages_);
  size_t count = 0;
  while (count < pages.size() && slot_locked(index + count) == nullptr) {
    insert_locked(*pages[count], index + count);
    ++count;
  }
  nr_pages_.fetch_add(count, std::memory_order_relaxed);
  return count;
}

void AddressSpace::remove_locked(Page& page) {
  {
    MutexLock lock(i_pages_);
    uint64_t index = page.index();
    assert(slot_locked(index) == &page);
    assert(!tagged_locked(index, PageTag::kWriteback));
    undirty_locked(page);
    unstable_to_clean_locked(page);
    erase_slot_locked(index);
    page.bump_generation();
    page.mapping_.store(nullptr, std::memory_order_release);
    nr_pages_.fetch_sub(1, std::memory_order_relaxed);
  }
  page.unref();
}

bool AddressSpace::remove_clean_locked(Page& page) {
  {
    MutexLock lock(i_pages_);
    uint64_t index = page.index();
    bool lacks = (page.flags() & (kPageDirty | kPageWriteback | kPageUnstable)) != 0;
    if (lacks || slot_locked(index) != &page || tagged_locked(index, PageTag::kWriteback)) {
      return false;
    }
    erase_slot_locked(index);
    page.bump_generation();
    page.mapping_.store(nullptr, std::memory_order_release);
    nr_pages_.fetch_sub(1, std::memory_order_relaxed);
  }
  page.unref();
  return true;
}

bool AddressSpace::replace_locked(Page& page, Page& copy) {
  {
    MutexLock lock(i_pages_);
    uint64_t index = page.index();
    assert(slot_locked(index) == &page);
    if (!page.test(kPageWriteback)) return false;
    undirty_locked(page);
    copy.ref();  // the tree's
    copy.index_.store(index, std::memory_order_relaxed);
    copy.mapping_.store(this, std::memory_order_release);
    copy.set_flags(kPageLocked | kPageUptodate);
    if (Node* leaf = leaf_locked(index); leaf != nullptr) {
      leaf->put(leaf->slot_of(index), &copy);
    } else {
      root_.store(reinterpret_cast<uintptr_t>(&copy), std::memory_order_release);
    }
    page.bump_generation();
  }
  page.unref();  // the tree's; the write in flight holds another
  runtime_.stats().pages_copied_on_write.add();
  return true;
}

uint64_t AddressSpace::next_present(uint64_t from) const {
  MutexLock lock(i_pages_);
  return next_locked(-1, from);
}

uint64_t AddressSpace::next_tagged(PageTag tag, uint64_t from) const {
  if (nr_tagged(tag) == 0) return UINT64_MAX;
  MutexLock lock(i_pages_);
  return next_locked(static_cast<int>(tag), from);
}

std::vector<PageRef> AddressSpace::gang_lookup(uint64_t from, uint64_t last, size_t max) const {
  std::vector<PageRef> found;
  MutexLock lock(i_pages_);
  for (uint64_t index = next_locked(-1, from); index <= last && index != UINT64_MAX;
       index = next_locked(-1, index + 1)) {
    Page* page = slot_locked(index);
    page->ref();  // the tree holds one, so it is not zero
    found.push_back(PageRef::adopt(page));
    if (found.size() == max) break;
  }
  return found;
}

std::vector<AddressSpace::ByteRange> AddressSpace::unwritten_ranges(size_t max) const {
  std::vector<ByteRange> ranges;
  uint64_t size = i_size.load(std::memory_order_acquire);
  MutexLock lock(i_pages_);
  for (uint64_t from = 0; from <= kIndexMax;) {
    uint64_t index = UINT64_MAX;
    for (int tag = 0; tag < static_cast<int>(kPageTags); ++tag) {
      index = std::min(index, next_locked(tag, from));
    }
    uint64_t offset = index * kPageSize_bytes;
    if (index == UINT64_MAX || offset >= size) break;
    uint64_t bytes = std::min<uint64_t>(kPageSize_bytes, size - offset);
    if (!ranges.empty() && ranges.back().offset + ranges.back().size_bytes == offset) {
      ranges.back().size_bytes += bytes;
    } else if (ranges.size() == max) {
      break;
    } else {
      ranges.push_back({offset, bytes});
    }
    from = index + 1;
  }
  return ranges;
}

Result<void> lock_page(const CallContext& ctx, AddressSpace& mapping, Page& page) {
  if (page.try_lock()) return {};
  lock_rank_assert_may_sleep();
  bool locked = false;
  Result<void> waited = wait_for_key(ctx, mapping.ops(), &page, [&page, &locked] {
    locked = PageState::try_lock_or_mark(page);
    return locked;
  });
  assert(waited.ok() == locked);
  if (locked) lock_rank_acquire(LockRank::kPage, true, &page);
  return waited;
}

Result<void> wait_on_page_locked(const CallContext& ctx, AddressSpace& mapping, Page& page) {
  lock_rank_assert_may_sleep();
  return wait_for_key(ctx, mapping.ops(), &page,
                      [&page] { return PageState::unlocked_or_mark(page); });
}

}  // namespace myfs::mm
