// Ref: an intrusive counted reference that is never null; RefPtr: one that may be.
// Kernel counterpart: kref / refcount_t (include/linux/refcount.h), iget/iput, dget/dput.
// Thread safety: the count is atomic; one Ref object is as thread-safe as a pointer.
// Invariants: (1) an object is born with count 1, adopted by make_ref; (2) a count that reached 0
// never rises again (try_ref is increment-unless-zero), so type-stable objects found under rcu can
// be taken safely.
#pragma once

#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace myfs {

// Base of counted objects. `last_ref_dropped()` runs when the count reaches 0; its default deletes
// the object. A class whose objects live on without references (inode and dentry caches) hides it
// with its own.
template <typename Self>
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void ref() const {
    [[maybe_unused]] uint32_t old = count_.fetch_add(1, std::memory_order_relaxed);
    assert(old != 0);
  }
  bool try_ref() const {
    uint32_t old = count_.load(std::memory_order_relaxed);
    while (old != 0) {
      if (count_.compare_exchange_weak(old, old + 1, std::memory_order_acquire,
                                       std::memory_order_relaxed)) {
        return true;
      }
    }
    return false;
  }
  void unref() const {
    if (count_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      const_cast<Self*>(static_cast<const Self*>(this))->last_ref_dropped();
    }
  }
  uint32_t ref_count() const { return count_.load(std::memory_order_acquire); }

  void last_ref_dropped() { delete static_cast<Self*>(this); }

 protected:
  ~RefCounted() = default;
  // For caches that revive an unreferenced object under their own lock, and for those that kill it
  // for good.
  mutable std::atomic<uint32_t> count_{1};
};

template <typename T>
class RefPtr;

template <typename T>
class Ref {
 public:
  struct Adopt {};
  explicit Ref(T& object) : object_(&object) { object.ref(); }
  Ref(T* object, Adopt) : object_(object) { assert(object != nullptr); }
  Ref(const Ref& other) : object_(other.object_) { object_->ref(); }
  Ref(Ref&& other) noexcept : object_(other.object_) { other.object_ = nullptr; }
  template <typename U>
  requires std::is_convertible_v<U*, T*> Ref(const Ref<U>& other) : object_(other.get()) {
    object_->ref();
  }
  template <typename U>
  requires std::is_convertible_v<U*, T*> Ref(Ref<U>&& other)
  noexcept : object_(other.leak()) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->unref();
  }

  T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  // Gives the reference away without dropping it.
  T* leak() { return std::exchange(object_, nullptr); }
  bool operator==(const Ref& other) const { return object_ == other.object_; }

 private:
  T* object_;  // null only after a move
};

template <typename T>
class RefPtr {
 public:
  RefPtr() = default;
  RefPtr(std::nullptr_t) {}
  RefPtr(Ref<T> ref) : object_(ref.leak()) {}
  template <typename U>
  requires std::is_convertible_v<U*, T*> RefPtr(Ref<U> ref) : object_(ref.leak()) {}
  static RefPtr adopt(T* object) {
    RefPtr result;
    result.object_ = object;
    return result;
  }
  // Takes a reference unless the object is null or already dead.
  static RefPtr try_from(T* object) {
    return object != nullptr && object->try_ref() ? adopt(object) : RefPtr();
  }
  RefPtr(const RefPtr& other) : object_(other.object_) {
    if (object_ != nullptr) object_->ref();
  }
  RefPtr(RefPtr&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  RefPtr& operator=(RefPtr other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~RefPtr() {
    if (object_ != nullptr) object_->unref();
  }

  explicit operator bool() const { return object_ != nullptr; }
  T* get() const { return object_; }
  T& operator*() const {
    assert(object_ != nullptr);
    return *object_;
  }
  T* operator->() const {
    assert(object_ != nullptr);
    return object_;
  }
  // Precondition: not null.
  Ref<T> to_ref() const& { return Ref<T>(*object_); }
  Ref<T> to_ref() && { return Ref<T>(std::exchange(object_, nullptr), typename Ref<T>::Adopt{}); }
  T* leak() { return std::exchange(object_, nullptr); }
  bool operator==(const RefPtr& other) const { return object_ == other.object_; }

 private:
  T* object_ = nullptr;
};

template <typename T, typename... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...), typename Ref<T>::Adopt{});
}

}  // namespace myfs
