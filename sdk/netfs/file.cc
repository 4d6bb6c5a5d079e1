#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/container/inlined_vector.h"
#include "sdk/base/nowait.h"
#include "sdk/fs/namei_ops.h"
#include "sdk/fs/permission.h"
#include "sdk/mm/filemap.h"
#include "sdk/mm/truncate.h"
#include "sdk/netfs/app_lease.h"
#include "sdk/netfs/super.h"

namespace myfs::netfs {

namespace {

// Rounds of a write() that come to nothing, one after the other: what is prepared may be taken away
// again.
constexpr int kIdleRoundsMax = 16;

using IoVecs = absl::InlinedVector<iovec, 8>;

// The part [skip, skip + count) of `all`.
IoVecs slice(fs::IoVec all, size_t skip, size_t count) {
  IoVecs part;
  for (const iovec& v : all) {
    if (count == 0) break;
    if (skip >= v.iov_len) {
      skip -= v.iov_len;
      continue;
    }
    const size_t take = std::min(v.iov_len - skip, count);
    part.push_back({static_cast<std::byte*>(v.iov_base) + skip, take});
    count -= take;
    skip = 0;
  }
  return part;
}

uint32_t may_mask(uint32_t access) {
  const uint32_t reads = (access & rpc::kAccessExec) != 0 ? fs::MAY_EXEC : fs::MAY_READ;
  return ((access & rpc::kAccessRead) != 0 ? reads : 0) |
         ((access & rpc::kAccessWrite) != 0 ? fs::MAY_WRITE : 0);
}

// What is being made has no place yet: who makes it says whose it is.
CredRef opener_cred(const fs::File& file) {
  const RefPtr<fs::Dentry>& dentry = file.f_path().dentry;
  return dentry ? dentry->d_sb().server_cred(file.f_cred) : file.f_cred;
}

bool is_lease_refusal(Errno error) { return error == Errno(EACCES) || error == Errno(EPERM); }

}  // namespace

rpc::Opener opener_of(const fs::File& file) {
  return {.open_id = file.f_open_id,
          .cred = opener_cred(file),
          .access = static_cast<uint8_t>(file.access())};
}

// --- open and close

FileState::FileState(const fs::File& file) {
  open.open_id = file.f_open_id;
  open.cred = opener_cred(file);
  open.access = static_cast<uint8_t>(file.access());
}

KeptState::KeptState(Super& super, NetInode& inode, const fs::File& file)
    : super(super), inode(inode) {
  open.open_id = file.f_open_id;
  open.cred = opener_cred(file);
  open.access = static_cast<uint8_t>(file.access());
}

KeptState::~KeptState() {
  if (linked) super.file_ops().remove_open(inode, open);
}

Result<void> NetFileOps::opened_by_create(const CallContext& ctx, NetInode& inode, fs::File& file,
                                          const Ticket& ticket) {
  auto state = std::make_unique<FileState>(file);
  state->open.cred = inode.i_sb().server_cred(file.f_cred);
  if (!inode.lease.add_open(state->open, ticket, super_.leases())) {
    Result<void> known = register_open(ctx, inode, state->open);
    if (!known.ok()) {
      (void)inode.lease.remove_open(state->open);
      return known;
    }
  }
  file.sample_wb_err(inode.mapping()->wb_err);
  file.f_private = std::move(state);
  return {};
}

Result<void> NetFileOps::register_open(const CallContext& ctx, NetInode& inode,
                                       LeaseRecord::Open& open) {
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
    const rpc::Opener opener{.open_id = open.open_id, .cred = open.cred, .access = open.access};
    MYFS_ASSIGN(const rpc::Changed changed,
                super_.client().open(ctx, {.node = handle, .opener = opener}));
    if (changed.node.has_attr) inode.learn(changed.node, ticket);
    inode.lease.registered(open, ticket.generation);
    return {};
  };
  return super_.call(ctx, inode, ask);
}

void NetFileOps::forget_open(uint64_t open_id, const Ticket& ticket) {
  super_.returns_pending(super_.leases().closed(open_id, ticket.generation));
}

OpenInFlight::OpenInFlight(Super& super, const fs::File& file, const Ticket& ticket,
                           PendingChange* outer)
    : super_(super),
      open_id_(file.f_open_id),
      ticket_(ticket),
      outer_(RefPtr<PendingChange>::try_from(outer)) {}

CallContext OpenInFlight::context(const CallContext& ctx) {
  CallContext with = ctx;
  with.change = this;
  return with;
}

void OpenInFlight::give_up() {
  PendingChange::give_up();
  if (outer_) outer_->give_up();
}

void OpenInFlight::settled() {
  super_.file_ops().forget_open(open_id_, ticket_);
  if (outer_) outer_->settled();
}

bool NetFileOps::open_locally(NetInode& inode, fs::File& file, FileState& state) {
  if ((file.f_flags() & O_TRUNC) != 0) return false;
  // The check that the VFS made may have been under an older A; the cache is asked once more.
  if (!inode.attr_young()) return false;
  const uint32_t mask = may_mask(file.access());
  if (fs::permission_hit(*file.f_cred, inode, mask) != std::optional<Errno>(Errno())) return false;
  const uint32_t version = inode.i_lease.version();
  if (!inode.lease.add_open_if_covered(state.open)) return false;
  if (inode.i_lease.version() == version && super_.validity().alive()) return true;
  if (const uint16_t knows = inode.lease.remove_open(state.open); knows != 0) {
    super_.leases().closed(file.f_open_id, knows);
  }
  return false;
}

Result<void> NetFileOps::open_at_server(const CallContext& ctx, NetInode& inode, fs::File& file,
                                        FileState& state) {
  if (must_not_wait()) return refuse_to_wait();
  const bool truncates = (file.f_flags() & O_TRUNC) != 0;
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
    // R, so that the next open needs no call and the first read none either. A writer gets W with
    // the look-up if it is free, and else when he writes.
    const LeaseParts data = truncates ? fs::kLeaseW : fs::kLeaseR;
    const auto opening = make_ref<OpenInFlight>(super_, file, ticket, ctx.change);
    MYFS_ASSIGN(
        rpc::Changed changed,
        super_.client().open(opening->context(ctx),
                             {.node = handle,
                              .flags = truncates ? rpc::kCreateTrunc : rpc::kOpenMustGrant,
                              .want = static_cast<LeaseParts>(fs::kLeaseA | fs::kLeaseP | data),
                              .opener = opener_of(file)}));
    if (!changed.node.has_attr) {  // a replayed answer
      // A truncation is not made once more in another session.
      Result<rpc::Node> fresh = truncates ? super_.node_after(ctx, inode, handle, changed.node)
                                          : super_.client().getattr(ctx, {.node = handle});
      if (!fresh.ok()) {
        forget_open(file.f_open_id, ticket);
        return fresh.error();
      }
      changed.node = *std::move(fresh);
    }
    const bool known = inode.lease.add_open(state.open, ticket, super_.leases());
    if (truncates) inode.learn_size(changed.node.attr);
    inode.learn(changed.node, ticket);
    if (known) return {};
    Result<void> told = register_open(ctx, inode, state.open);
    if (!told.ok()) (void)inode.lease.remove_open(state.open);
    return told;
  };
  super_.counters().server_opens.add();
  return super_.call(ctx, inode, ask);
}

Result<void> NetFileOps::open_truncating(const CallContext& ctx, NetInode& inode, fs::File& file,
                                         FileState& state) {
  // Nested in the directory's when O_CREAT found the file; directories come first.
  inode.i_rwsem.lock_nested();
  Result<void> result;
  {
    mm::WriteSeqSection hidden(inode.mapping()->i_write_seq);  // lock-free readers wait
    fs::ChangeInFlight change({}, {&inode}, fs::Inode::kChanging + fs::Inode::kChangingData);
    // What was written before the truncation must not come after it.
    result = flush_data(ctx, inode);
    if (result.ok()) result = open_at_server(change.context(ctx), inode, file, state);
  }
  inode.i_rwsem.unlock();
  return result;
}

Result<void> NetFileOps::open(const CallContext& ctx, fs::Inode& vfs_inode, fs::File& file,
                              bool permitted) {
  NetInode& inode = net_inode(vfs_inode);
  if (!inode.is_regular()) {
    CallContext opener = ctx;
    opener.cred = file.f_cred;
    if (!permitted) MYFS_TRY(fs::inode_permission(opener, inode, may_mask(file.access())));
    return keep(ctx, inode, file);
  }
  auto state = std::make_unique<FileState>(file);
  if (open_locally(inode, file, *state)) {
    super_.counters().local_opens.add();
  } else if ((file.f_flags() & O_TRUNC) != 0) {
    MYFS_TRY(open_truncating(ctx, inode, file, *state));
  } else {
    MYFS_TRY(open_at_server(ctx, inode, file, *state));
  }
  file.sample_wb_err(inode.mapping()->wb_err);
  file.f_private = std::move(state);
  return {};
}

Result<void> NetFileOps::open_path(const CallContext& ctx, fs::Inode& inode, fs::File& file) {
  return keep(ctx, net_inode(inode), file);
}

// Under P, which comes with the look-up of a path that is opened and with most other grants, the
// server need not know; else it registers the open.
Result<void> NetFileOps::keep(const CallContext& ctx, NetInode& inode, fs::File& file) {
  auto kept = std::make_unique<KeptState>(super_, inode, file);
  if (!inode.lease.add_open_if_pinned(kept->open)) {
    if (must_not_wait()) return refuse_to_wait();
    auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
      const auto opening = make_ref<OpenInFlight>(super_, file, ticket, ctx.change);
      MYFS_ASSIGN(const rpc::Changed changed,
                  super_.client().open(opening->context(ctx), {.node = handle,
                                                               .want = fs::kLeaseA | fs::kLeaseP,
                                                               .opener = opener_of(file)}));
      const bool known = inode.lease.add_open(kept->open, ticket, super_.leases());
      // A replayed answer brings none.
      if (changed.node.has_attr) inode.learn(changed.node, ticket);
      if (known) return {};
      Result<void> told = register_open(ctx, inode, kept->open);
      if (!told.ok()) (void)inode.lease.remove_open(kept->open);
      return told;
    };
    super_.counters().server_opens.add();
    MYFS_TRY(super_.call(ctx, inode, ask));
  }
  kept->linked = true;
  file.f_private = std::move(kept);
  return {};
}

Result<void> NetFileOps::flush_data(const CallContext& ctx, NetInode& inode) {
  if (!inode.has_dirty_pages()) return {};
  return mm::filemap_write_and_wait_range(ctx, *inode.mapping(), 0, UINT64_MAX);
}

Result<void> NetFileOps::commit_data(const CallContext& ctx, NetInode& inode) {
  if (inode.mapping()->is_clean()) return {};
  return mm::filemap_fsync(ctx, *inode.mapping(), nullptr);
}

Result<void> NetFileOps::sync_and_report(const CallContext& ctx, fs::File& file) {
  Result<void> synced = mm::filemap_fsync(ctx, *net_inode(file.f_inode()).mapping(), nullptr);
  // A failed commit is in wb_err, too, and counts once.
  const Errno recorded = fs::file_check_and_advance_wb_err(file);
  return recorded.ok() ? synced : Result<void>(recorded);
}

Result<void> NetFileOps::flush_and_report(const CallContext& ctx, fs::File& file) {
  MYFS_TRY(flush_data(ctx, net_inode(file.f_inode())));
  return fs::file_check_and_advance_wb_err(file);
}

// Durable, since a loss that is found later could be told to nobody.
Result<void> NetFileOps::flush(const CallContext& ctx, fs::File& file) {
  NetInode& inode = net_inode(file.f_inode());
  if (inode.mapping() == nullptr || !file.may_write()) return {};
  return super_.relaxed() ? flush_and_report(ctx, file) : sync_and_report(ctx, file);
}

void NetFileOps::release(fs::File& file) {
  NetInode& inode = net_inode(file.f_inode());
  if (!inode.is_regular()) return;
  drop_app_lease(inode, file.f_open_id);
  remove_open(inode, static_cast<FileState&>(*file.f_private).open);
}

void NetFileOps::remove_open(NetInode& inode, LeaseRecord::Open& open) {
  const uint16_t knows = inode.lease.remove_open(open);
  inode.forget_told_losses();
  if (knows == 0) return;
  const bool full = super_.leases().closed(open.open_id, knows);
  // A deleted file lives at the server until its last open goes.
  super_.returns_pending(full || inode.i_attr().nlink == 0);
}

// --- read

Result<size_t> NetFileOps::read(const CallContext& ctx, fs::File& file, fs::IoVec to,
                                uint64_t offset) {
  NetInode& inode = net_inode(file.f_inode());
  if (inode.mapping() == nullptr) return Errno(EINVAL);
  if ((file.f_flags() & O_DIRECT) != 0 || inode.content_in_doubt()) {
    return read_uncached(ctx, inode, file, to, offset);
  }
  for (int attempt = 0; attempt < 2; ++attempt) {
    const fs::LeaseWord::Sample sample = inode.i_lease.sample();
    if (fs::LeaseWord::covers(sample, fs::kLeaseR, super_.validity())) {
      Result<size_t> count = mm::filemap_read(ctx, *inode.mapping(), file.f_ra, offset, to);
      if (!count.ok() && count.error() != Errno(EAGAIN)) return count;
      if (count.ok() && inode.i_lease.still(sample, fs::kLeaseR) && super_.validity().alive()) {
        return count;
      }
    }
    // Rule 7: one lost lease, then the server is asked.
    if (attempt != 0) break;
    Result<bool> held = inode.acquire(ctx, fs::kLeaseR, opener_of(file));
    if (!held.ok() && !is_lease_refusal(held.error())) return held.error();
    if (!held.ok() || !*held) break;
  }
  return read_uncached(ctx, inode, file, to, offset);
}

Result<size_t> NetFileOps::read_uncached(const CallContext& ctx, NetInode& inode, fs::File& file,
                                         fs::IoVec to, uint64_t offset) {
  super_.counters().uncached_reads.add();
  // Without a lease the server alone knows what there is; what it lacks of this client's comes
  // first. Lost bytes are told of afterwards.
  if (Result<void> sent = commit_data(ctx, inode); !sent.ok() && !inode.mapping()->is_clean()) {
    return sent.error();
  }
  const size_t wanted = fs::iov_length_bytes(to);
  size_t done = 0;
  while (done < wanted) {
    const size_t part = std::min<size_t>(wanted - done, super_.client().max_io_bytes());
    const IoVecs buffers = slice(to, done, part);
    auto ask = [&](const rpc::Handle& handle, const Ticket&) {
      return super_.client().read(ctx,
                                  {.node = handle,
                                   .opener = opener_of(file),
                                   .off = offset + done,
                                   .len = static_cast<uint32_t>(part)},
                                  buffers);
    };
    Result<rpc::ReadReply> reply = super_.call(ctx, inode, ask);
    if (!reply.ok()) {
      if (done != 0) break;
      return reply.error();
    }
    const uint64_t at = offset + done;
    const size_t got = reply->size > at ? std::min<uint64_t>(part, reply->size - at) : 0;
    done += got;
    if (got < part) break;
  }
  return done;
}

// --- write

struct NetFileOps::Progress {
  Progress(NetInode& inode, fs::IoVec from, uint64_t offset, bool appends)
      : cursor(from),
        left(fs::iov_length_bytes(from)),
        pos(offset),
        append(appends),
        hidden(inode.mapping()->i_write_seq),
        generation(inode.super().validity().generation.load(std::memory_order_acquire)) {}

  mm::IovCursor cursor;
  size_t left;
  size_t done = 0;
  uint64_t pos;  // of the next byte
  const bool append;
  mm::WriteReserve reserve;
  mm::WriteSeqHold hidden;    // lock-free readers see all of it or nothing
  const uint16_t generation;  // of the session in which it began
};

Result<fs::WriteResult> NetFileOps::write(const CallContext& ctx, fs::File& file, fs::IoVec from,
                                          uint64_t offset, bool append) {
  NetInode& inode = net_inode(file.f_inode());
  if (inode.mapping() == nullptr) return Errno(EINVAL);
  // The server takes W from whoever holds it, which writes out what is cached.
  if ((file.f_flags() & O_DIRECT) != 0 || inode.content_in_doubt()) {
    return write_uncached(ctx, inode, file, from, offset, append);
  }
  Progress progress(inode, from, offset, append);
  // Should it fail, the inode may be pinned for nothing.
  Result<void> cached = write_cached(ctx, inode, file, progress);
  const bool flushes = super_.sync_writes() && progress.done != 0;
  if (!cached.ok() && !flushes) super_.put_later(RefPtr<fs::Inode>::try_from(&inode));
  if (cached.error() == Errno(EAGAIN)) {
    Result<fs::WriteResult> rest = write_uncached(
        ctx, inode, file, slice(from, progress.done, progress.left), progress.pos, append);
    cached = rest.error();
    if (rest.ok()) {
      progress.pos = rest->offset + rest->count;
      progress.done += rest->count;
    }
  }
  if (!cached.ok() && progress.done == 0) return cached.error();
  if (flushes) MYFS_TRY(flush_and_report(ctx, file));
  return fs::WriteResult{.count = progress.done, .offset = progress.pos - progress.done};
}

Result<void> NetFileOps::write_cached(const CallContext& ctx, NetInode& inode, fs::File& file,
                                      Progress& progress) {
  bool acquired = false;
  for (int idle = 0; progress.left != 0 && idle < kIdleRoundsMax; ++idle) {
    if (!inode.begin_write()) {
      // Rule 7: one lost lease between two copies, then the server is asked.
      if (std::exchange(acquired, true)) return Errno(EAGAIN);
      progress.reserve.clear();
      Result<bool> held = inode.acquire(ctx, fs::kLeaseW, opener_of(file));
      if (!held.ok() && !is_lease_refusal(held.error())) return held.error();
      if (!held.ok() || !*held) return Errno(EAGAIN);
      // Lost with the lease of before: told by this call, unless it has to tell of bytes.
      if (progress.done == 0) {
        if (Errno lost = fs::file_tell_wb_err(file); !lost.ok()) return lost;
      }
      continue;
    }
    const bool lost = super_.locks().lost_since(inode, file, progress.generation);
    const Result<void> copied =
        lost ? Result<void>(Errno(EIO)) : copy_some(ctx, inode, file, progress);
    inode.end_write();
    if (copied.ok()) {
      if (progress.left == 0) return {};
      idle = 0;
      acquired = false;
    } else if (copied.error() != Errno(EAGAIN)) {
      return copied;
    }
    if (progress.done == 0) progress.hidden.end();
    Result<void> ready = mm::filemap_write_prepare(ctx, *inode.mapping(), progress.pos,
                                                   progress.left, progress.reserve);
    // Who may write but not read cannot have a page filled that he writes in part.
    if (!ready.ok() && is_lease_refusal(ready.error())) return Errno(EAGAIN);
    if (!ready.ok() && ready.error() != Errno(EAGAIN)) return ready;
  }
  return progress.left == 0 ? Errno() : Errno(EAGAIN);
}

Result<void> NetFileOps::copy_some(const CallContext& ctx, NetInode& inode, fs::File& file,
                                   Progress& progress) {
  mm::AddressSpace& mapping = *inode.mapping();
  if (progress.append) progress.pos = mapping.i_size.load(std::memory_order_acquire);
  if (progress.pos > kFileSizeMax_bytes || progress.left > kFileSizeMax_bytes - progress.pos) {
    return Errno(EFBIG);
  }
  inode.set_writer(opener_of(file));
  progress.hidden.begin();
  MYFS_ASSIGN(const size_t count, mm::filemap_write_now(ctx, mapping, progress.pos, progress.cursor,
                                                        progress.left, progress.reserve));
  progress.pos += count;
  progress.done += count;
  progress.left -= count;
  inode.stamp_write();
  return {};
}

Result<fs::WriteResult> NetFileOps::write_uncached(const CallContext& caller, NetInode& inode,
                                                   fs::File& file, fs::IoVec from, uint64_t offset,
                                                   bool append) {
  super_.counters().uncached_writes.add();
  const size_t wanted = fs::iov_length_bytes(from);
  fs::WriteResult result{.offset = offset};
  mm::WriteSeqSection hidden(inode.mapping()->i_write_seq);  // lock-free readers wait
  const fs::ChangeInFlight change({}, {&inode}, fs::Inode::kChanging + fs::Inode::kChangingData);
  const CallContext ctx = change.context(caller);
  const uint16_t began_in = super_.validity().generation.load(std::memory_order_acquire);
  while (result.count < wanted) {
    const size_t part = std::min<size_t>(wanted - result.count, super_.client().max_io_bytes());
    const IoVecs buffers = slice(from, result.count, part);
    size_t written = 0;
    uint32_t written_in = 0;
    auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
      written_in = super_.era();
      if (super_.locks().lost_since(inode, file, began_in)) return Errno(EIO);
      if (append) {
        MYFS_ASSIGN(
            const rpc::AppendReply reply,
            super_.client().append(ctx, {.node = handle, .opener = opener_of(file)}, buffers));
        if (result.count == 0) result.offset = reply.off;
        written = part;
        super_.learn_change(ctx, inode, handle, reply.node, ticket);
        return {};
      }
      MYFS_ASSIGN(const rpc::WriteReply reply,
                  super_.client().write(ctx,
                                        {.node = handle,
                                         .opener = opener_of(file),
                                         .off = offset + result.count,
                                         .flags = rpc::kWriteStable | rpc::kWriteUncached},
                                        buffers));
      written = std::min<size_t>(reply.count, part);
      super_.learn_change(ctx, inode, handle, reply.node, ticket);
      return {};
    };
    if (Result<void> done = super_.call(ctx, inode, ask); !done.ok()) {
      if (result.count == 0) return done.error();
      break;
    }
    if (super_.relaxed()) {
      uint32_t none = 0;
      inode.uncommitted_in.compare_exchange_strong(none, written_in, std::memory_order_acq_rel);
    }
    result.count += written;
    if (written < part) break;
  }
  drop_cached_range(inode, result.offset, result.offset + result.count);
  return result;
}

// --- the rest

Result<void> NetFileOps::commit_answered(const CallContext& ctx, NetInode& inode) {
  const uint32_t sent = inode.commits_sent.load(std::memory_order_acquire);
  const uint32_t written_in = inode.uncommitted_in.exchange(0, std::memory_order_acq_rel);
  uint32_t committed_in = super_.era();
  // Its failures are for whoever asks for them.
  (void)mm::filemap_fsync(ctx, *inode.mapping(), nullptr);
  if (inode.commits_sent.load(std::memory_order_acquire) == sent) {
    auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
      committed_in = super_.era();
      MYFS_ASSIGN(const rpc::CommitReply reply, super_.client().commit(ctx, {.node = handle}));
      if (reply.node.has_attr) inode.learn(reply.node, ticket);
      return {};
    };
    if (Result<void> done = super_.call(ctx, inode, ask); !done.ok()) {
      uint32_t none = 0;
      inode.uncommitted_in.compare_exchange_strong(none, written_in, std::memory_order_acq_rel);
      return done;
    }
  }
  // Also by a server that was begun anew meanwhile.
  const bool other = written_in != committed_in || committed_in != super_.era();
  if (written_in != 0 && other) {
    inode.i_flags.fetch_or(fs::Inode::kLostWrites, std::memory_order_acq_rel);
    inode.mapping()->record_error(Errno(EIO));
    inode.log_loss("the session ended before a commit", "unknown");
  }
  return {};
}

Result<void> NetFileOps::fsync(const CallContext& ctx, fs::File& file, bool datasync) {
  (void)datasync;  // size and times travel with the data
  NetInode& inode = net_inode(file.f_inode());
  // The reply of every change of names and attributes meant that it is durable, or, on a relaxed
  // server, is made so by this.
  if (inode.mapping() == nullptr) {
    MYFS_TRY(super_.client().sync(ctx));
    return {};
  }
  if (super_.relaxed()) MYFS_TRY(commit_answered(ctx, inode));
  return sync_and_report(ctx, file);
}

Result<uint64_t> NetFileOps::seek_data(const CallContext& ctx, fs::File& file, uint64_t offset,
                                       bool hole) {
  NetInode& inode = net_inode(file.f_inode());
  if (inode.mapping() == nullptr) return Errno(EINVAL);
  MYFS_TRY(commit_data(ctx, inode));
  return super_.call(ctx, inode, [&](const rpc::Handle& handle, const Ticket&) {
    return super_.client().seek(
        ctx, {.node = handle, .opener = opener_of(file), .off = offset, .hole = hole});
  });
}

Result<void> NetFileOps::fallocate(const CallContext& ctx, fs::File& file, int mode,
                                   uint64_t offset, uint64_t length) {
  NetInode& inode = net_inode(file.f_inode());
  if (inode.mapping() == nullptr) return Errno(ENODEV);
  const uint16_t began_in = super_.validity().generation.load(std::memory_order_acquire);
  MYFS_TRY(flush_data(ctx, inode));
  mm::WriteSeqSection hidden(inode.mapping()->i_write_seq);  // lock-free readers wait
  auto change = [&](int what) {
    return allocate(ctx, file, static_cast<uint32_t>(what), offset, length, began_in);
  };
  constexpr int kZeroing = FALLOC_FL_ZERO_RANGE;
  const bool grows = (mode & (kZeroing | FALLOC_FL_KEEP_SIZE)) == kZeroing;
  if (!grows) return change(mode);
  // Two changes, since the server makes one at a time: what is there is zeroed, then the file
  // grows.
  MYFS_TRY(change(mode | FALLOC_FL_KEEP_SIZE));
  return change(mode & ~kZeroing);
}

Result<void> NetFileOps::allocate(const CallContext& ctx, fs::File& file, uint32_t mode,
                                  uint64_t offset, uint64_t length, uint16_t began_in) {
  NetInode& inode = net_inode(file.f_inode());
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<void> {
    if (super_.locks().lost_since(inode, file, began_in)) return Errno(EIO);
    MYFS_ASSIGN(rpc::Changed changed, super_.client().fallocate(ctx, {.node = handle,
                                                                      .opener = opener_of(file),
                                                                      .mode = mode,
                                                                      .off = offset,
                                                                      .len = length}));
    MYFS_ASSIGN(changed.node, super_.node_after(ctx, inode, handle, std::move(changed.node)));
    {
      WriteLock lock(inode.mapping()->invalidate_lock);
      if (!mm::invalidate_pages(*inode.mapping()).ok()) mm::discard_pages(*inode.mapping());
    }
    inode.learn_size(changed.node.attr);
    inode.learn(changed.node, ticket);
    return {};
  };
  return super_.call(ctx, inode, ask);
}

Result<void> NetFileOps::sync_range(const CallContext& ctx, fs::File& file, uint64_t from,
                                    uint64_t to, bool start, bool wait) {
  NetInode& inode = net_inode(file.f_inode());
  if (inode.mapping() == nullptr) return {};
  if (start && inode.has_dirty_pages()) {
    MYFS_TRY(mm::filemap_fdatawrite_range(ctx, *inode.mapping(), from, to));
  }
  if (!wait) return {};
  MYFS_TRY(mm::filemap_fdatawait_range(ctx, *inode.mapping(), from, to));
  return fs::file_check_and_advance_wb_err(file);
}

Result<void> NetFileOps::fadvise(const CallContext& ctx, fs::File& file, uint64_t from, uint64_t to,
                                 int advice) {
  NetInode& inode = net_inode(file.f_inode());
  if (inode.mapping() == nullptr) return {};
  mm::AddressSpace& mapping = *inode.mapping();
  mm::FileRaState& ra = file.f_ra;
  switch (advice) {
    case POSIX_FADV_NORMAL:
    case POSIX_FADV_RANDOM:
    case POSIX_FADV_SEQUENTIAL:
      ra.random.store(advice == POSIX_FADV_RANDOM, std::memory_order_relaxed);
      ra.sequential.store(advice == POSIX_FADV_SEQUENTIAL, std::memory_order_relaxed);
      if (advice == POSIX_FADV_NORMAL) ra.noreuse.store(false, std::memory_order_relaxed);
      return {};
    case POSIX_FADV_NOREUSE:
      ra.noreuse.store(true, std::memory_order_relaxed);
      return {};
    case POSIX_FADV_WILLNEED:
      // No lease, no cache: then it is asked for when it is read.
      if (Result<bool> held = inode.acquire(ctx, fs::kLeaseR, opener_of(file));
          held.ok() && *held) {
        mm::force_page_cache_readahead(ctx, mapping, from, to);
      }
      return {};
    case POSIX_FADV_DONTNEED: {
      if (inode.has_dirty_pages()) {
        (void)mm::filemap_fdatawrite_range(ctx, mapping, from, to, mm::IoKind::kWrite, true);
      }
      // Half a page may be needed for its other half; what is not committed stays.
      const uint64_t size = mapping.i_size.load(std::memory_order_acquire);
      const uint64_t first = (from + kPageSize_bytes - 1) / kPageSize_bytes * kPageSize_bytes;
      const uint64_t end = to >= size ? UINT64_MAX : to / kPageSize_bytes * kPageSize_bytes;
      if (first >= end) return {};
      WriteLock lock(mapping.invalidate_lock);
      (void)mm::invalidate_pages_range(mapping, first, end);
      return {};
    }
    default:
      return Errno(EINVAL);
  }
}

Result<fs::DirPage> NetFileOps::readdir(const CallContext& ctx, fs::File& file, uint64_t cookie) {
  constexpr uint32_t kPage_bytes = 256 << 10;
  NetInode& inode = net_inode(file.f_inode());
  fs::Dentry& dir = *file.f_path().dentry;
  CallContext as_opener = ctx;
  as_opener.cred = file.f_cred;
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<fs::DirPage> {
    MYFS_ASSIGN(
        rpc::ReaddirReply reply,
        super_.client().readdir(as_opener, {.dir = handle,
                                            .cookie = cookie,
                                            .max_bytes = kPage_bytes,
                                            .plus = true,
                                            .want = fs::kLeaseA | fs::kLeaseD | fs::kLeaseR}));
    fs::DirPage page;
    page.eof = reply.eof;
    page.learned = reply.dir_node.has_attr;
    const Kstat stat = inode.learn(reply.dir_node, ticket);
    page.version = {inode.i_lease.sample(), reply.dir_node.has_attr ? stat.change : 0};
    page.entries.reserve(reply.entries.size());
    for (rpc::Entry& entry : reply.entries) {
      if (entry.node.has_attr) {
        MYFS_ASSIGN(Ref<NetInode> child, super_.learn(entry.node, ticket, nullptr));
        child->set_place(inode, entry.name);
        super_.sb().s_dcache.d_learn(dir, entry.name, child, page.version);
      } else {
        page.learned = false;
      }
      page.entries.push_back({.name = std::move(entry.name),
                              .cookie = entry.cookie,
                              .ino = entry.ino,
                              .type = entry.type});
    }
    return page;
  };
  return super_.call_dir(ctx, inode, ask);
}

}  // namespace myfs::netfs
