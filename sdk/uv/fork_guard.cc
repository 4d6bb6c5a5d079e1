#include "sdk/uv/fork_guard.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

namespace myfs::uv_io {
namespace {

std::atomic<uint64_t>* make_word() {
  long page_bytes = ::sysconf(_SC_PAGESIZE);
  void* page = ::mmap(nullptr, static_cast<size_t>(page_bytes), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED ||
      ::madvise(page, static_cast<size_t>(page_bytes), MADV_WIPEONFORK) != 0) {
    std::perror("myfs: MADV_WIPEONFORK");
    std::abort();
  }
  return static_cast<std::atomic<uint64_t>*>(page);
}

}  // namespace

uint64_t fork_generation() {
  static std::atomic<uint64_t>* const word = make_word();
  // Copied by fork(), unlike the word: so a child's number is above its parent's.
  static std::atomic<uint64_t> newest{0};
  uint64_t generation = word->load(std::memory_order_relaxed);
  if (generation != 0) [[likely]]
    return generation;
  uint64_t mine = newest.fetch_add(1, std::memory_order_relaxed) + 1;
  uint64_t expected = 0;
  return word->compare_exchange_strong(expected, mine) ? mine : expected;
}

}  // namespace myfs::uv_io
