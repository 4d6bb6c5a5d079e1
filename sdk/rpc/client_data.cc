// The calls of Client that go over the data connections.
#include <algorithm>
#include <cstring>

#include "sdk/rpc/client_impl.h"

namespace myfs::rpc {
namespace {

template <typename Reply>
void fail_now(Completion<Reply>& done, Errno error) {
  done(error);
}

ReadJob read_job(ReadArgs args, Buffers destination) {
  args.len = static_cast<uint32_t>(std::min<size_t>(args.len, total_bytes(destination)));
  ReadJob job;
  job.args = std::move(args);
  job.to.assign(destination.begin(), destination.end());
  return job;
}

}  // namespace

void Client::read_async(const CallContext& ctx, ReadArgs args, Buffers destination,
                        Admission admission, Completion<ReadReply> done) {
  if (!admission.valid()) return fail_now(done, Errno(EINVAL));
  impl_->call_async<ReadCall>(ctx, read_job(std::move(args), destination), std::move(admission),
                              std::move(done));
}

void Client::write_async(const CallContext& ctx, WriteArgs args, Buffers source,
                         Admission admission, Completion<WriteReply> done) {
  if (!admission.valid() || admission.slot() == kNoSlot || total_bytes(source) > kIoMax_bytes) {
    return fail_now(done, Errno(EINVAL));
  }
  impl_->call_async<WriteCall>(ctx, WriteJob{std::move(args), Payload::borrow(source)},
                               std::move(admission), std::move(done));
}

void Client::commit_async(const CallContext& ctx, CommitArgs args, Admission admission,
                          Completion<CommitReply> done) {
  if (!admission.valid() || admission.slot() == kNoSlot) return fail_now(done, Errno(EINVAL));
  impl_->call_async<CommitCall>(ctx, args, std::move(admission), std::move(done));
}

Result<ReadReply> Client::read(const CallContext& ctx, ReadArgs args, Buffers destination) {
  uint32_t bytes = args.len;
  return impl_->call<ReadCall>(ctx, read_job(std::move(args), destination), bytes);
}

Result<WriteReply> Client::write(const CallContext& ctx, WriteArgs args, Buffers source) {
  size_t bytes = total_bytes(source);
  if (bytes > kIoMax_bytes) return Errno(EINVAL);
  return impl_->call<WriteCall>(ctx, WriteJob{std::move(args), Payload::copy(source)},
                                static_cast<uint32_t>(bytes));
}

Result<AppendReply> Client::append(const CallContext& ctx, AppendArgs args, Buffers source) {
  size_t bytes = total_bytes(source);
  if (bytes > kIoMax_bytes) return Errno(EINVAL);
  return impl_->call<AppendCall>(ctx, AppendJob{std::move(args), Payload::copy(source)},
                                 static_cast<uint32_t>(bytes));
}

Result<CommitReply> Client::commit(const CallContext& ctx, CommitArgs args, Urgency urgency) {
  return impl_->call<CommitCall>(ctx, args, 0, urgency);
}

Result<Changed> Client::fallocate(const CallContext& ctx, FallocateArgs args) {
  return impl_->call<FallocateCall>(ctx, std::move(args));
}

Result<uint64_t> Client::seek(const CallContext& ctx, SeekArgs args) {
  return impl_->call<SeekCall>(ctx, std::move(args));
}

Result<ExtentsReply> Client::extents(const CallContext& ctx, ExtentsArgs args) {
  return impl_->call<ExtentsCall>(ctx, std::move(args));
}

Result<CopyReply> Client::copy(const CallContext& ctx, CopyArgs args) {
  return impl_->call<CopyCall>(ctx, std::move(args));
}

Result<NodesReply> Client::read_many(const CallContext& ctx, ReadManyArgs args) {
  auto bytes = static_cast<uint32_t>(
      std::min<uint64_t>(uint64_t{args.max_bytes} * args.nodes.size(), kMessageMax_bytes));
  return impl_->call<ReadManyCall>(ctx, std::move(args), bytes);
}

}  // namespace myfs::rpc
