// NetAddressSpaceOps: pages to and from the server.
// Kernel counterpart: fs/ceph/addr.c, fs/nfs/read.c, write.c.  Differs: slot and credits are taken
// by admit() before any page lock (docs/locking.md).
// Thread safety: all; completions run on the I/O loop with LEAF locks only.
// Owns / is owned by: part of a Super; AddressSpace::host() is the NetInode.
// Invariants: (1) a page is cached only if R was held unbroken from before the READ was sent until
// its reply was taken in; (2) pages dirtied in a lost session are never written in another; (3) all
// unstable pages of an inode were written under one boot verifier.
#pragma once

#include "sdk/mm/address_space.h"

namespace myfs::netfs {

class NetInode;
class Super;

class NetAddressSpaceOps final : public mm::AddressSpaceOps {
 public:
  explicit NetAddressSpaceOps(Super& super) : super_(super) {}

  Result<mm::Admission> admit(const CallContext& ctx, mm::IoKind kind, size_t bytes) override;
  std::unique_ptr<mm::QueuedAdmission> queue_for_admission(mm::IoKind kind, size_t bytes,
                                                           Waker& waker) override;
  void expect(int waiting) override;
  void read_pages(mm::Admission admission, mm::AddressSpace& mapping,
                  std::span<mm::Page* const> pages) override;
  void write_pages(mm::Admission admission, mm::AddressSpace& mapping,
                   const mm::WriteRequest& request) override;
  void commit_pages(mm::Admission admission, mm::AddressSpace& mapping, uint32_t round) override;
  bool wait(Event& event, int64_t deadline_ns) override;
  size_t rsize_bytes() const override;
  size_t wsize_bytes() const override;

 private:
  Super& super_;
};

}  // namespace myfs::netfs
