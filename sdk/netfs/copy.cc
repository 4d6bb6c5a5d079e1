// Ranges that the server copies, and where files have content.
#include <algorithm>
#include <utility>

#include "sdk/mm/filemap.h"
#include "sdk/mm/truncate.h"
#include "sdk/netfs/super.h"

namespace myfs::netfs {

Result<uint64_t> NetFileOps::copy_piece(const CallContext& ctx, fs::File& from, fs::File& to,
                                        rpc::CopyArgs args, uint16_t began_in) {
  NetInode& source = net_inode(from.f_inode());
  NetInode& inode = net_inode(to.f_inode());
  args.from_opener = opener_of(from);
  args.to_opener = opener_of(to);
  uint32_t written_in = 0;
  auto ask = [&](const rpc::Handle& handle, const Ticket& ticket) -> Result<uint64_t> {
    written_in = super_.era();
    if (super_.locks().lost_since(source, from, began_in) ||
        super_.locks().lost_since(inode, to, began_in)) {
      return Errno(EIO);
    }
    args.to = handle;
    MYFS_ASSIGN(args.from, super_.handle_of(ctx, source));
    MYFS_ASSIGN(const rpc::CopyReply reply, super_.client().copy(ctx, args));
    super_.learn_change(ctx, inode, handle, reply.node, ticket);
    return reply.count;
  };
  MYFS_ASSIGN(const uint64_t count, super_.call(ctx, inode, ask));
  if (super_.relaxed()) {
    uint32_t none = 0;
    inode.uncommitted_in.compare_exchange_strong(none, written_in, std::memory_order_acq_rel);
  }
  return count;
}

Result<uint64_t> NetFileOps::copy_file_range(const CallContext& ctx, fs::File& from,
                                             uint64_t from_offset, fs::File& to, uint64_t to_offset,
                                             uint64_t length) {
  NetInode& source = net_inode(from.f_inode());
  NetInode& inode = net_inode(to.f_inode());
  if (source.mapping() == nullptr || inode.mapping() == nullptr) return Errno(EINVAL);
  const uint16_t began_in = super_.validity().generation.load(std::memory_order_acquire);
  // The server takes W back before it copies; what is written now it need not wait for.
  MYFS_TRY(flush_data(ctx, source));
  MYFS_TRY(flush_data(ctx, inode));
  mm::WriteSeqSection hidden(inode.mapping()->i_write_seq);  // lock-free readers wait
  uint64_t done = 0;
  Errno error;
  while (done < length) {
    Result<uint64_t> count = copy_piece(
        ctx, from, to,
        {.from_off = from_offset + done, .to_off = to_offset + done, .len = length - done},
        began_in);
    error = count.error();
    if (!count.ok() || *count == 0) break;
    done += *count;
    // The end of the source may be where the copy has just put it.
    if (&source == &inode) break;
  }
  if (done == 0) return error.ok() ? Result<uint64_t>(done) : Result<uint64_t>(error);
  drop_cached_range(inode, to_offset, to_offset + done);
  return done;
}

Result<void> NetFileOps::remap_file_range(const CallContext& ctx, fs::File& from,
                                          uint64_t from_offset, fs::File& to, uint64_t to_offset,
                                          uint64_t length) {
  NetInode& source = net_inode(from.f_inode());
  NetInode& inode = net_inode(to.f_inode());
  if (source.mapping() == nullptr || inode.mapping() == nullptr) return Errno(EINVAL);
  const uint16_t began_in = super_.validity().generation.load(std::memory_order_acquire);
  MYFS_TRY(flush_data(ctx, source));
  MYFS_TRY(flush_data(ctx, inode));
  mm::WriteSeqSection hidden(inode.mapping()->i_write_seq);  // lock-free readers wait
  constexpr uint64_t kAtOnce = uint64_t{16} << 30;           // as much as a server shares
  uint64_t done = 0;
  Result<uint64_t> count = kAtOnce;
  while (count.ok() && *count == kAtOnce && (length == 0 || done < length)) {
    count = copy_piece(ctx, from, to,
                       {.from_off = from_offset + done,
                        .to_off = to_offset + done,
                        .len = length == 0 ? 0 : length - done,
                        .clone = true},
                       began_in);
    if (count.ok()) done += *count;
  }
  if (done != 0) drop_cached_range(inode, to_offset, to_offset + done);
  if (!count.ok()) return count.error();
  return {};
}

// What was cached of these bytes is old (rule 2); readers wait for i_rwsem meanwhile.
void NetFileOps::drop_cached_range(NetInode& inode, uint64_t from, uint64_t to) {
  mm::AddressSpace& mapping = *inode.mapping();
  WriteLock lock(mapping.invalidate_lock);
  if (!mm::invalidate_pages_range(mapping, from, to).ok()) mm::discard_pages(mapping);
  if (mapping.i_size.load(std::memory_order_acquire) < to) mm::truncate_setsize(mapping, to);
}

Result<fs::FileExtents> NetFileOps::fiemap(const CallContext& ctx, fs::File& file, uint64_t offset,
                                           uint64_t length, size_t max) {
  NetInode& inode = net_inode(file.f_inode());
  if (inode.mapping() == nullptr) return Errno(EOPNOTSUPP);
  MYFS_TRY(commit_data(ctx, inode));
  constexpr size_t kAtOnce = 4096;  // as many as a server gives
  auto ask = [&](const rpc::Handle& handle, const Ticket&) {
    return super_.client().extents(ctx, {.node = handle,
                                         .opener = opener_of(file),
                                         .off = offset,
                                         .len = length,
                                         .max = static_cast<uint32_t>(std::min(max, kAtOnce))});
  };
  MYFS_ASSIGN(const rpc::ExtentsReply reply, super_.call(ctx, inode, ask));
  fs::FileExtents found;
  found.last = reply.last;
  for (const rpc::Extent& extent : reply.extents) {
    if (!extent.hole)
      found.extents.push_back(
          {.offset = extent.off, .length = extent.len, .shared = extent.shared});
  }
  return found;
}

}  // namespace myfs::netfs
