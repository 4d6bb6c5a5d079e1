// Calls of the data service.
#include <algorithm>
#include <cstring>

#include "sdk/base/limits.h"
#include "sdk/rpc/wire_calls.h"

namespace myfs::rpc {
namespace {

constexpr size_t kExtentsMax = 65'536;

void put_opener(const Opener& opener, wire::Opener::Builder to) { encode(opener, to); }

template <typename Params>
void put_payload(const Payload& payload, Params params) {
  if (!payload.by_reference()) {
    params.setData(to_data(payload.bytes()));
    return;
  }
  auto orphanage = capnp::Orphanage::getForMessageContaining(params);
  params.adoptData(orphanage.referenceExternalData(to_data(payload.bytes())));
}

// Puts `data`, then zeroes up to `count` bytes, into the spans.
void scatter(capnp::Data::Reader data, size_t count, const absl::InlinedVector<iovec, 8>& to) {
  size_t done = 0;
  for (const iovec& span : to) {
    if (done >= count) return;
    size_t here = std::min(span.iov_len, count - done);
    size_t copied = done < data.size() ? std::min(here, data.size() - done) : 0;
    if (copied != 0) std::memcpy(span.iov_base, data.begin() + done, copied);
    if (here > copied) std::memset(static_cast<char*>(span.iov_base) + copied, 0, here - copied);
    done += here;
  }
}

Errno bad_unless(bool good) { return good ? Errno() : Errno(EPROTO); }

}  // namespace

void encode_params(const ReadJob& job, const Sender&, Data::ReadParams::Builder params) {
  encode(job.args.node, params.initNode());
  put_opener(job.args.opener, params.initOpener());
  params.setOff(job.args.off);
  params.setLen(job.args.len);
}

Errno decode_results(Data::ReadResults::Reader results, const ReadJob& job, uint32_t,
                     ReadReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  capnp::Data::Reader data = results.getData();
  reply->size = results.getSize();
  reply->change = results.getChange();
  const ReadArgs& args = job.args;
  uint64_t available = reply->size > args.off ? reply->size - args.off : 0;
  reply->count = static_cast<uint32_t>(std::min<uint64_t>(args.len, available));
  reply->eof = available <= args.len;
  if (data.size() > reply->count) return Errno(EPROTO);
  scatter(data, reply->count, job.to);
  return Errno();
}

void encode_params(const WriteJob& job, const Sender& sender, Data::WriteParams::Builder params) {
  const WriteArgs& args = job.args;
  encode(sender.op, params.initOp());
  encode(args.node, params.initNode());
  put_opener(args.opener, params.initOpener());
  params.setOff(args.off);
  put_payload(job.payload, params);
  params.setLeaseSeq(args.lease_seq);
  params.setTruncGen(args.trunc_gen);
  params.setHasTruncGen(args.has_trunc_gen);
  params.setFlags(args.flags);
  params.setMtimeSec(args.mtime.sec);
  params.setMtimeNsec(args.mtime.nsec);
}

Errno decode_results(Data::WriteResults::Reader results, const WriteJob& job, uint32_t session,
                     WriteReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  reply->replayed = results.getReplayed();
  reply->count = results.getCount();
  reply->verifier = results.getVerifier();
  reply->stable = results.getStable();
  return bad_unless(reply->count <= job.payload.size() &&
                    decode(results.getNode(), session, &reply->node));
}

void encode_params(const AppendJob& job, const Sender& sender, Data::AppendParams::Builder params) {
  encode(sender.op, params.initOp());
  encode(job.args.node, params.initNode());
  put_opener(job.args.opener, params.initOpener());
  put_payload(job.payload, params);
}

Errno decode_results(Data::AppendResults::Reader results, const AppendJob& job, uint32_t session,
                     AppendReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  reply->replayed = results.getReplayed();
  reply->off = results.getOff();
  return bad_unless(reply->off <= kFileSizeMax_bytes - job.payload.size() &&
                    decode(results.getNode(), session, &reply->node));
}

void encode_params(const CommitArgs& args, const Sender& sender,
                   Data::CommitParams::Builder params) {
  encode(sender.op, params.initOp());
  encode(args.node, params.initNode());
  params.setVerifier(args.verifier);
  params.setDataOnly(args.data_only);
}

Errno decode_results(Data::CommitResults::Reader results, const CommitArgs&, uint32_t session,
                     CommitReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  reply->verifier = results.getVerifier();
  return bad_unless(decode(results.getNode(), session, &reply->node));
}

void encode_params(const FallocateArgs& args, const Sender& sender,
                   Data::FallocateParams::Builder params) {
  encode(sender.op, params.initOp());
  encode(args.node, params.initNode());
  put_opener(args.opener, params.initOpener());
  params.setMode(args.mode);
  params.setOff(args.off);
  params.setLen(args.len);
}

Errno decode_results(Data::FallocateResults::Reader results, const FallocateArgs&, uint32_t session,
                     Changed* reply) {
  Errno error;
  return decode(results.getReply(), session, &error, reply) ? error : Errno(EPROTO);
}

void encode_params(const SeekArgs& args, const Sender&, Data::SeekParams::Builder params) {
  encode(args.node, params.initNode());
  put_opener(args.opener, params.initOpener());
  params.setOff(args.off);
  params.setHole(args.hole);
}

Errno decode_results(Data::SeekResults::Reader results, const SeekArgs& args, uint32_t,
                     uint64_t* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  *reply = results.getOff();
  return bad_unless(*reply >= args.off && *reply <= kFileSizeMax_bytes);
}

void encode_params(const ExtentsArgs& args, const Sender&, Data::ExtentsParams::Builder params) {
  encode(args.node, params.initNode());
  put_opener(args.opener, params.initOpener());
  params.setOff(args.off);
  params.setLen(args.len);
  params.setMax(args.max);
}

Errno decode_results(Data::ExtentsResults::Reader results, const ExtentsArgs& args, uint32_t,
                     ExtentsReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  auto extents = results.getExtents();
  if (extents.size() > args.max || extents.size() > kExtentsMax) return Errno(EPROTO);
  reply->last = results.getLast();
  reply->extents.resize(extents.size());
  for (size_t i = 0; i < reply->extents.size(); ++i) {
    if (!decode(extents[i], &reply->extents[i])) return Errno(EPROTO);
  }
  return Errno();
}

void encode_params(const CopyArgs& args, const Sender& sender, Data::CopyParams::Builder params) {
  encode(sender.op, params.initOp());
  encode(args.from, params.initFrom());
  put_opener(args.from_opener, params.initFromOpener());
  params.setFromOff(args.from_off);
  encode(args.to, params.initTo());
  put_opener(args.to_opener, params.initToOpener());
  params.setToOff(args.to_off);
  params.setLen(args.len);
  params.setClone(args.clone);
}

Errno decode_results(Data::CopyResults::Reader results, const CopyArgs& args, uint32_t session,
                     CopyReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  reply->replayed = results.getReplayed();
  reply->count = results.getCount();
  const bool to_the_end = args.clone && args.len == 0;
  return bad_unless((to_the_end || reply->count <= args.len) &&
                    decode(results.getNode(), session, &reply->node));
}

void encode_params(const ReadManyArgs& args, const Sender& sender,
                   Data::ReadManyParams::Builder params) {
  if (sender.cred != nullptr) encode(*sender.cred, params.initCred());
  auto nodes = params.initNodes(args.nodes.size());
  for (size_t i = 0; i < args.nodes.size(); ++i) encode(args.nodes[i], nodes[i]);
  params.setMaxBytes(args.max_bytes);
}

Errno decode_results(Data::ReadManyResults::Reader results, const ReadManyArgs& args,
                     uint32_t session, NodesReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  if (results.getNodes().size() != args.nodes.size() ||
      !decode_nodes(results.getNodes(), session, args.nodes.size(), &reply->nodes)) {
    return Errno(EPROTO);
  }
  for (const Node& node : reply->nodes) {
    if (node.data.size() > args.max_bytes) return Errno(EPROTO);
  }
  return Errno();
}

}  // namespace myfs::rpc
