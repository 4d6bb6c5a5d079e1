// Fault: a planted defect, by which the suites that judge MyFS prove that they can fail.
// MYFS_FAULT=NAME in the environment plants one, in builds with -DMYFS_FAULTS=ON only; everywhere
// else MYFS_FAULTY() is false and nothing of this is compiled.
// Kernel counterpart: fault injection (lib/fault-inject.c).  Differs: silent wrong results, which
// only somebody who looks at them can find, instead of errors.
// Thread safety: all.
// Invariants: (1) the environment is read once, when the program starts; a name that is none ends
// the program with the list of those that are.
#pragma once

#if MYFS_FAULTS

#include <cstdint>

namespace myfs {

enum class Fault : uint8_t {
  kNone,
  kSetuidKeep,  // setuid_keep: chown, write and truncate leave setuid and setgid bits
  kLosePage,    // lose_page: one of 1000 pages that a write fills stays as it was
  kFlockNoop,   // flock_noop: locks are granted to everybody
  kFlipRead,    // flip_read: one of 1000 reads shows a wrong byte
};

// Null: none. A name that is none: ends the program, status 2.
Fault fault_of_name(const char* name);
// Whether `fault` is planted and this is one time of `one_in`.
bool fault_strikes(Fault fault, uint32_t one_in);

}  // namespace myfs

#define MYFS_FAULTY(fault, one_in) ::myfs::fault_strikes(::myfs::Fault::fault, one_in)

#else

#define MYFS_FAULTY(fault, one_in) false

#endif
