// Admission: the right to send one call: credits for one operation and its bytes and, if it changes
// something, a slot.
// Kernel counterpart: struct nfs4_slot with rpc_reserved transport slot (net/sunrpc/xprt.c:
// xprt_reserve).
// Thread safety: one thread at a time, as a value.
// Lock rank: acquired before ranks kInvalidate and kPage (coherency rule 11); acquiring may wait,
// giving back never does.
// Owns / is owned by: the caller until it is moved into a call, which keeps it until the final
// reply.
// Invariants: (1) a slot is given back only after its call's final reply; (2) what is set aside for
// recalls is never handed to Urgency::kNormal.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "sdk/base/result.h"
#include "sdk/base/waker.h"
#include "sdk/rpc/meta_calls.h"

namespace myfs::rpc {

class Admitter;
inline constexpr uint16_t kNoSlot = 0xffff;

struct AdmitArgs {
  uint32_t bytes = 0;    // payload in either direction
  bool changes = false;  // needs a slot
  Urgency urgency = Urgency::kNormal;
};

class Admission {
 public:
  Admission() = default;
  Admission(Admission&& other) noexcept { *this = std::move(other); }
  Admission& operator=(Admission&& other) noexcept {
    if (this != &other) {
      give_back();
      admitter_ = std::move(other.admitter_);
      other.admitter_ = nullptr;
      bytes_ = other.bytes_;
      slot_ = other.slot_;
      reserved_ = other.reserved_;
      incarnation_ = other.incarnation_;
    }
    return *this;
  }
  ~Admission() { give_back(); }

  bool valid() const { return admitter_ != nullptr; }
  uint32_t bytes() const { return bytes_; }
  uint16_t slot() const { return slot_; }  // kNoSlot: none

 private:
  friend class Admitter;
  void give_back();

  std::shared_ptr<Admitter> admitter_;
  uint32_t bytes_ = 0;
  uint16_t slot_ = kNoSlot;
  bool reserved_ = false;     // from what is set aside for recalls
  uint64_t incarnation_ = 0;  // the session that the slot belongs to
};

// A place in the queue for an Admission without a thread that waits there. Destroyed: it is left,
// and the waker is not called any more.
class QueuedAdmission {
 public:
  virtual ~QueuedAdmission() = default;
  // What it came to; EAGAIN: nothing yet, the waker tells when to ask again; ESHUTDOWN. Nothing
  // more comes after an Admission or ESHUTDOWN.
  virtual Result<Admission> take() = 0;
};

}  // namespace myfs::rpc
