// Target: what every fuzz target has: the entry that libFuzzer and our own driver call, the check
// that ends a run, and the limits that a run is held to.
// Thread safety: one thread calls the entry.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "sdk/base/sync.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace myfs::fuzz {

inline constexpr size_t kInputMax_bytes = 4096;
inline constexpr size_t kAllocationMax_bytes = 64 << 20;  // of one malloc()
inline constexpr size_t kResidentMax_bytes = size_t{2} << 30;
inline constexpr int kCpuMax_s = 60;  // of one input: longer is a hang

// What must be true whatever the input says.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: violated: %s\n", what);
  std::abort();
}

// Takes the calling thread's randomness and clocks, so that an input does the same every time.
// Nothing may wait or start a thread.
class OneThread final : public SimHooks {
 public:
  OneThread() { g_sim_hooks.store(this); }
  ~OneThread() override { g_sim_hooks.store(nullptr); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

  bool wait(const void*, int64_t) override {
    require(false, "the only thread never waits");
    return false;
  }
  void wake_all(const void*) override {}
  void yield_point(const char*) override {}
  std::thread spawn(std::string, std::function<void()>) override {
    require(false, "no thread is started");
    return {};
  }
  void join(std::thread&) override { require(false, "no thread is joined"); }
  int64_t boottime_ns() override { return now_ns; }
  int64_t realtime_ns() override { return kEpoch_ns + now_ns; }
  uint64_t random_u64() override {
    // splitmix64
    uint64_t z = random_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  bool owns_this_thread() override { return true; }

  int64_t now_ns = 1'000'000'000'000;

 private:
  static constexpr int64_t kEpoch_ns = 1'700'000'000'000'000'000;
  uint64_t random_ = 1;
};

}  // namespace myfs::fuzz
