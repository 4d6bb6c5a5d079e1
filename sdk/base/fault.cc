#include "sdk/base/fault.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace myfs {

namespace {

constexpr struct {
  const char* name;
  Fault fault;
} kFaults[] = {{"setuid_keep", Fault::kSetuidKeep},
               {"lose_page", Fault::kLosePage},
               {"flock_noop", Fault::kFlockNoop},
               {"flip_read", Fault::kFlipRead}};
constexpr int kExitUsage = 2;

const Fault planted = fault_of_name(std::getenv("MYFS_FAULT"));
constinit std::atomic<uint32_t> times{0};

}  // namespace

Fault fault_of_name(const char* name) {
  if (name == nullptr) return Fault::kNone;
  for (const auto& known : kFaults) {
    if (std::strcmp(name, known.name) == 0) return known.fault;
  }
  std::fprintf(stderr, "MYFS_FAULT=%s: no such fault; there are:", name);
  for (const auto& known : kFaults) std::fprintf(stderr, " %s", known.name);
  std::fprintf(stderr, "\n");
  std::_Exit(kExitUsage);
}

bool fault_strikes(Fault fault, uint32_t one_in) {
  if (fault != planted) return false;
  return times.fetch_add(1, std::memory_order_relaxed) % one_in == one_in - 1;
}

}  // namespace myfs
