#include "sdk/netfs/addr.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "sdk/mm/runtime.h"
#include "sdk/netfs/super.h"

namespace myfs::netfs {

namespace {

struct RpcGrant final : mm::Admission::Grant {
  explicit RpcGrant(rpc::Admission taken) : admission(std::move(taken)) {}
  rpc::Admission admission;
};

class RpcQueued final : public mm::QueuedAdmission {
 public:
  explicit RpcQueued(std::unique_ptr<rpc::QueuedAdmission> queued) : queued_(std::move(queued)) {}
  Result<mm::Admission> take() override {
    MYFS_ASSIGN(rpc::Admission admission, queued_->take());
    return mm::Admission(std::make_unique<RpcGrant>(std::move(admission)));
  }

 private:
  const std::unique_ptr<rpc::QueuedAdmission> queued_;
};

rpc::AdmitArgs admit_args(mm::IoKind kind, size_t bytes) {
  rpc::AdmitArgs args{.bytes = static_cast<uint32_t>(bytes)};
  args.changes = kind != mm::IoKind::kRead && kind != mm::IoKind::kReadahead;
  if (kind == mm::IoKind::kRecallWrite) args.urgency = rpc::Urgency::kRecall;
  return args;
}

rpc::Admission take(mm::Admission& admission) {
  return std::move(admission.as<RpcGrant>()->admission);
}

NetInode& host_of(const mm::AddressSpace& mapping) {
  return *static_cast<NetInode*>(mapping.host());
}

std::vector<iovec> frames(std::span<mm::Page* const> pages, size_t size_bytes) {
  std::vector<iovec> iov;
  iov.reserve(pages.size());
  for (mm::Page* page : pages) {
    const size_t part = std::min(size_bytes, kPageSize_bytes);
    iov.push_back({page->data(), part});
    size_bytes -= part;
  }
  return iov;
}

// Zeroes what the server did not fill: bytes at and behind `end` (of the file or of the answer).
void zero_behind(std::span<mm::Page* const> pages, uint64_t end) {
  for (mm::Page* page : pages) {
    if (end >= page->offset() + kPageSize_bytes) continue;
    const size_t keep = end > page->offset() ? end - page->offset() : 0;
    page->zero(keep, kPageSize_bytes - keep);
  }
}

// What a COMMIT would have made durable.
std::vector<mm::PageRef> unstable_pages(const mm::AddressSpace& mapping) {
  std::vector<mm::PageRef> pages;
  for (uint64_t index = mapping.next_tagged(mm::PageTag::kUnstable, 0); index != UINT64_MAX;
       index = mapping.next_tagged(mm::PageTag::kUnstable, index + 1)) {
    if (mm::PageRef page = mapping.find_get_page(index)) pages.push_back(std::move(page));
  }
  return pages;
}

void note_uncommitted(NetInode& inode, const mm::AddressSpace& mapping, Errno error,
                      std::string_view why) {
  const uint64_t size = mapping.i_size.load(std::memory_order_acquire);
  for (const mm::PageRef& page : unstable_pages(mapping)) {
    mm::Page* one = page.get();
    if (one->offset() >= size) continue;
    inode.note_lost({&one, 1}, one->offset(), std::min(kPageSize_bytes, size - one->offset()),
                    error, why);
  }
}

}  // namespace

std::unique_ptr<mm::QueuedAdmission> NetAddressSpaceOps::queue_for_admission(mm::IoKind kind,
                                                                             size_t bytes,
                                                                             Waker& waker) {
  return std::make_unique<RpcQueued>(
      super_.client().queue_for_admission(admit_args(kind, bytes), waker));
}

void NetAddressSpaceOps::expect(int waiting) { super_.client().expect(waiting); }

Result<mm::Admission> NetAddressSpaceOps::admit(const CallContext& ctx, mm::IoKind kind,
                                                size_t bytes) {
  const rpc::AdmitArgs args = admit_args(kind, bytes);
  const bool waits = kind != mm::IoKind::kReadahead && kind != mm::IoKind::kFlush;
  MYFS_ASSIGN(rpc::Admission admission,
              waits ? super_.client().admit(ctx, args) : super_.client().try_admit(args));
  return mm::Admission(std::make_unique<RpcGrant>(std::move(admission)));
}

void NetAddressSpaceOps::read_pages(mm::Admission admission, mm::AddressSpace& mapping,
                                    std::span<mm::Page* const> pages) {
  NetInode& inode = host_of(mapping);
  const fs::LeaseWord::Sample sample = inode.i_lease.sample();
  rpc::Handle handle;
  if (!fs::LeaseWord::covers(sample, fs::kLeaseR, super_.validity()) || !inode.handle(&handle)) {
    mm::end_page_reads(pages, Errno(EAGAIN));
    return;
  }
  const uint64_t offset = pages.front()->offset();
  const size_t size_bytes = pages.size() * kPageSize_bytes;
  const std::vector<iovec> iov = frames(pages, size_bytes);
  rpc::ReadArgs args{.node = handle,
                     .opener = inode.lease.any_reader(),
                     .off = offset,
                     .len = static_cast<uint32_t>(size_bytes)};
  std::vector<mm::Page*> held(pages.begin(), pages.end());
  auto done = [&inode, sample, held = std::move(held)](Result<rpc::ReadReply> reply) {
    Errno error = reply.error();
    if (reply.ok()) {
      zero_behind(held, reply->size);
      if (!inode.i_lease.still(sample, fs::kLeaseR)) error = Errno(EAGAIN);
    } else if (error == rpc::kSessionLost) {
      error = Errno(EAGAIN);
    }
    mm::end_page_reads(held, error);
  };
  super_.client().read_async(super_.background_ctx(), args, iov, take(admission), std::move(done));
}

void NetAddressSpaceOps::write_pages(mm::Admission admission, mm::AddressSpace& mapping,
                                     const mm::WriteRequest& request) {
  NetInode& inode = host_of(mapping);
  rpc::Handle handle;
  rpc::WriteArgs args{.opener = inode.writer(),
                      .off = request.offset,
                      // Not the pages' own: truncations under W are ours, and the pages that
                      // outlived one have been cut already (NetInode::learn_size).
                      .trunc_gen = mapping.trunc_gen.load(std::memory_order_acquire),
                      .has_trunc_gen = true,
                      .flags = rpc::kWriteWriteback};
  if (request.durable) args.flags |= rpc::kWriteStable;
  bool lost;
  {
    MutexLock lock(inode.lease.mu);
    lost = inode.lease.pages_generation !=
           super_.validity().generation.load(std::memory_order_acquire);
    args.lease_seq = inode.lease.grant_seq_locked();
    args.mtime = inode.i_attr().mtime;
  }
  if (lost || !inode.handle(&handle)) {
    RefPtr<fs::Inode> hold = RefPtr<fs::Inode>::try_from(&inode);
    inode.note_lost(request.pages, request.offset, request.size_bytes, Errno(EIO),
                    "the session ended");
    for (mm::Page* page : request.pages) mm::end_page_writeback(*page, Errno(EIO), false);
    if (hold) super_.put_later(std::move(hold));
    return;
  }
  args.node = handle;
  const std::vector<iovec> iov = frames(request.pages, request.size_bytes);
  std::vector<mm::Page*> held(request.pages.begin(), request.pages.end());
  const Ticket ticket = super_.leases().begin_call();
  auto done = [this, &inode, &mapping, ticket, offset = request.offset, size = request.size_bytes,
               held = std::move(held)](Result<rpc::WriteReply> reply) {
    // Before the pages are let go: with the last of them the inode may lose its pin.
    RefPtr<fs::Inode> hold = RefPtr<fs::Inode>::try_from(&inode);
    Errno error = reply.error();
    std::string why;
    bool unstable = false;
    if (reply.ok()) {
      if (reply->node.has_attr) inode.learn(reply->node, ticket);
      unstable = !reply->stable;
      if (unstable) {
        const uint64_t old = inode.unstable_verifier.exchange(reply->verifier);
        if (old != 0 && old != reply->verifier) mm::redirty_unstable(mapping);
      }
    } else if (inode.is_gone(error)) {
      error = Errno();
    } else if (error == rpc::kSessionLost || error == Errno(ESTALE)) {
      error = Errno(EIO);  // the right to write these pages ended with their session
      why = "the session ended";
    }
    super_.leases().end_call(ticket);
    const bool failed = !error.ok() && error != Errno(EAGAIN);
    if (failed && why.empty()) why = absl::StrCat("a write failed: ", std::string(error.name()));
    if (failed) inode.note_lost(held, offset, size, error, why);
    for (mm::Page* page : held) mm::end_page_writeback(*page, error, unstable);
    super_.runtime().writeback().kick();
    if (hold) super_.put_later(std::move(hold));
  };
  super_.client().write_async(super_.background_ctx(), args, iov, take(admission), std::move(done));
}

void NetAddressSpaceOps::commit_pages(mm::Admission admission, mm::AddressSpace& mapping,
                                      uint32_t round) {
  NetInode& inode = host_of(mapping);
  rpc::CommitArgs args{.verifier = inode.unstable_verifier.load(std::memory_order_acquire)};
  bool lost;
  {
    MutexLock lock(inode.lease.mu);
    lost = inode.lease.pages_generation !=
           super_.validity().generation.load(std::memory_order_acquire);
  }
  if (lost || !inode.handle(&args.node)) {
    RefPtr<fs::Inode> hold = RefPtr<fs::Inode>::try_from(&inode);
    note_uncommitted(inode, mapping, Errno(EIO), "the session ended before a commit");
    mm::end_commit(mapping, round, Errno(EIO));
    if (hold) super_.put_later(std::move(hold));
    return;
  }
  inode.commits_sent.fetch_add(1, std::memory_order_acq_rel);
  const Ticket ticket = super_.leases().begin_call();
  auto done = [this, &inode, &mapping, ticket, round,
               sent = args.verifier](Result<rpc::CommitReply> reply) {
    RefPtr<fs::Inode> hold = RefPtr<fs::Inode>::try_from(&inode);
    Errno error = reply.error();
    if (reply.ok()) {
      if (reply->node.has_attr) inode.learn(reply->node, ticket);
      if (reply->verifier != sent) {
        mm::redirty_unstable(mapping);
        error = Errno(EAGAIN);
      }
    } else if (inode.is_gone(error)) {
      error = Errno();
    } else if (error == rpc::kSessionLost) {
      error = Errno(EIO);
    }
    const bool failed = !error.ok() && error != Errno(EAGAIN);
    if (failed) {
      note_uncommitted(inode, mapping, error,
                       absl::StrCat("a commit failed: ", std::string(error.name())));
    }
    super_.leases().end_call(ticket);
    mm::end_commit(mapping, round, error);
    if (hold) super_.put_later(std::move(hold));
  };
  super_.client().commit_async(super_.background_ctx(), args, take(admission), std::move(done));
}

bool NetAddressSpaceOps::wait(Event& event, int64_t deadline_ns) {
  return super_.client().wait_for(event, deadline_ns);
}

size_t NetAddressSpaceOps::rsize_bytes() const {
  return std::min<size_t>(super_.options().rsize_bytes, super_.client().max_io_bytes());
}

size_t NetAddressSpaceOps::wsize_bytes() const {
  return std::min<size_t>(super_.options().wsize_bytes, super_.client().max_io_bytes());
}

}  // namespace myfs::netfs
