#include "sdk/uv/word_pool.h"

#include <bit>

#include "sdk/base/memory_meter.h"

namespace myfs::uv_io {
namespace {

// A power of two, and beside it the one and a half of it.
size_t class_of(size_t words) {
  size_t power = std::bit_ceil(words);
  size_t between = power / 4 * 3;
  return words <= between ? between : power;
}

// Frees a block and has it counted no more, wherever it ends.
class Counted final : public kj::ArrayDisposer {
 public:
  static kj::Array<capnp::word> allocate(size_t words) {
    static const Counted disposer;
    TransferMemory::add(static_cast<int64_t>(words * sizeof(capnp::word)));
    return kj::Array<capnp::word>(new capnp::word[words], words, disposer);
  }

 protected:
  void disposeImpl(void* first, size_t, size_t words, size_t, void (*)(void*)) const override {
    TransferMemory::add(-static_cast<int64_t>(words * sizeof(capnp::word)));
    delete[] static_cast<capnp::word*>(first);
  }
};

}  // namespace

// Disposes of a view of a block by giving the block back. Lives as long as the view.
class WordPool::Return final : public kj::ArrayDisposer {
 public:
  Return(kj::Own<WordPool> pool, kj::Array<capnp::word> block)
      : pool_(kj::mv(pool)), block_(kj::mv(block)) {}

  capnp::word* begin() { return block_.begin(); }

 protected:
  void disposeImpl(void*, size_t, size_t, size_t, void (*)(void*)) const override {
    auto* self = const_cast<Return*>(this);
    kj::Own<WordPool> pool = kj::mv(self->pool_);
    pool->give_back(kj::mv(self->block_));
    delete self;
  }

 private:
  kj::Own<WordPool> pool_;
  kj::Array<capnp::word> block_;
};

kj::Array<capnp::word> WordPool::take(size_t words) {
  if (words < kPooledMin_bytes / sizeof(capnp::word)) return kj::heapArray<capnp::word>(words);
  const size_t size = class_of(words);
  kj::Array<capnp::word> block;
  for (size_t i = idle_.size(); i-- > 0;) {
    if (idle_[i].size() != size) continue;
    block = kj::mv(idle_[i]);
    idle_.erase(idle_.begin() + static_cast<ptrdiff_t>(i));
    idle_words_ -= size;
    break;
  }
  if (block.size() == 0) block = Counted::allocate(size);
  auto* disposer = new Return(kj::addRef(*this), kj::mv(block));
  return kj::Array<capnp::word>(disposer->begin(), words, *disposer);
}

void WordPool::give_back(kj::Array<capnp::word> words) {
  if ((idle_words_ + words.size()) * sizeof(capnp::word) > kPooled_bytes) return;
  idle_words_ += words.size();
  idle_.push_back(kj::mv(words));
}

}  // namespace myfs::uv_io
