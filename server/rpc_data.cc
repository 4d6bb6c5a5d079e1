// The handlers of DataService: arguments in, body of data_handlers.h, results out.
#include <capnp/orphan.h>

#include <optional>

#include "sdk/uv/message_stream.h"
#include "server/copy_handlers.h"
#include "server/data_handlers.h"
#include "server/rpc_services.h"

namespace myfs::server {
namespace {

// Each method of DataService in the hashes that slots keep.
constexpr uint16_t kMethodWrite = 101, kMethodAppend = 102, kMethodCommit = 103,
                   kMethodFallocate = 104, kMethodCopy = 105;

class DataImpl final : public wire::DataService::Server {
 public:
  explicit DataImpl(Bound bound) : bound_(std::move(bound)) {}

  kj::Promise<void> read(ReadContext context) override {
    auto params = context.getParams();
    ReadArgs args{.node = decode(params.getNode()),
                  .opener = decode(params.getOpener()),
                  .off = params.getOff(),
                  .len = params.getLen()};
    auto state = std::make_shared<ReadState>();
    return run_call<ReadAnswer>(
        bound_, CallHead{.traits = {.pass = read_pass(args.node)}}, context,
        [args, state](Turn& turn, ReadAnswer& reply) {
          return myfs::server::read(turn, args, *state, state, reply);
        },
        [pins = bound_.pins](auto context, ReadAnswer& reply) {
          fill_read(context, reply, pins.get());
        });
  }

  kj::Promise<void> write(WriteContext context) override {
    auto params = context.getParams();
    WriteArgs args;
    args.node = decode(params.getNode());
    args.opener = decode(params.getOpener());
    args.off = params.getOff();
    args.data = bytes_of(params.getData());
    args.lease_seq = params.getLeaseSeq();
    args.trunc_gen = params.getTruncGen();
    args.has_trunc_gen = params.getHasTruncGen();
    args.crcs = to_vector<uint32_t>(params.getCrcs());
    args.flags = params.getFlags();
    args.mtime = {params.getMtimeSec(), std::min(params.getMtimeNsec(), 999'999'999u)};
    auto state = std::make_shared<WriteState>();
    CallHead head = change(params, kMethodWrite, true);
    if ((args.flags & kWriteWriteback) != 0) head.traits.pass = write_pass(args.node);
    return run_call<WriteAnswer>(
        bound_, head, context,
        [args, state](Turn& turn, WriteAnswer& reply) {
          return myfs::server::write(turn, args, state, reply);
        },
        [](auto context, const WriteAnswer& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          results.setReplayed(reply.replayed);
          results.setCount(static_cast<uint32_t>(reply.count));
          results.setVerifier(reply.verifier);
          results.setStable(reply.stable);
          if (reply.node.has_attr) encode(reply.node, results.initNode());
        });
  }

  kj::Promise<void> append(AppendContext context) override {
    auto params = context.getParams();
    WriteArgs args;
    args.node = decode(params.getNode());
    args.opener = decode(params.getOpener());
    args.data = bytes_of(params.getData());
    args.append = true;
    args.flags = kWriteStable | kWriteUncached;
    auto state = std::make_shared<WriteState>();
    return run_call<WriteAnswer>(
        bound_, change(params, kMethodAppend, true), context,
        [args, state](Turn& turn, WriteAnswer& reply) {
          return myfs::server::write(turn, args, state, reply);
        },
        [](auto context, const WriteAnswer& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          results.setReplayed(reply.replayed);
          results.setOff(reply.off);
          if (reply.node.has_attr) encode(reply.node, results.initNode());
        });
  }

  kj::Promise<void> commit(CommitContext context) override {
    auto params = context.getParams();
    CommitArgs args{.node = decode(params.getNode()),
                    .verifier = params.getVerifier(),
                    .data_only = params.getDataOnly()};
    auto content = std::make_shared<ContentChange>();
    CallHead head = change(params, kMethodCommit);
    head.traits.pass = write_pass(args.node);
    return run_call<WriteAnswer>(
        bound_, head, context,
        [args, content](Turn& turn, WriteAnswer& reply) {
          return myfs::server::commit(turn, args, content, reply);
        },
        [](auto context, const WriteAnswer& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          // Of a replay, too, the one under which it was executed: bytes may have been lost before.
          results.setVerifier(reply.verifier);
          if (reply.node.has_attr) encode(reply.node, results.initNode());
        });
  }

  kj::Promise<void> fallocate(FallocateContext context) override {
    auto params = context.getParams();
    FallocateArgs args{.node = decode(params.getNode()),
                       .opener = decode(params.getOpener()),
                       .mode = params.getMode(),
                       .off = params.getOff(),
                       .len = params.getLen()};
    auto content = std::make_shared<ContentChange>();
    CallHead head = change(params, kMethodFallocate);
    head.cred = args.opener.cred;
    return run_call<ChangedReply>(
        bound_, head, context,
        [args, content](Turn& turn, ChangedReply& reply) {
          return myfs::server::fallocate(turn, args, content, reply);
        },
        [](auto context, const ChangedReply& reply) {
          encode(reply, context.getResults().initReply());
        });
  }

  kj::Promise<void> seek(SeekContext context) override {
    auto params = context.getParams();
    SeekArgs args{.node = decode(params.getNode()),
                  .opener = decode(params.getOpener()),
                  .off = params.getOff(),
                  .hole = params.getHole()};
    return run_call<SeekReply>(
        bound_, CallHead(), context,
        [args, state = std::make_shared<WalkState>()](Turn& turn, SeekReply& reply) {
          return myfs::server::seek(turn, args, state, reply);
        },
        [](auto context, const SeekReply& reply) {
          context.getResults().setErrno(reply.error);
          context.getResults().setOff(reply.off);
        });
  }

  kj::Promise<void> extents(ExtentsContext context) override {
    auto params = context.getParams();
    ExtentsArgs args{.node = decode(params.getNode()),
                     .opener = decode(params.getOpener()),
                     .off = params.getOff(),
                     .len = params.getLen(),
                     .max = params.getMax()};
    return run_call<ExtentsReply>(
        bound_, CallHead(), context,
        [args, state = std::make_shared<WalkState>()](Turn& turn, ExtentsReply& reply) {
          return myfs::server::extents(turn, args, state, reply);
        },
        [](auto context, const ExtentsReply& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          results.setLast(reply.last);
          auto list = results.initExtents(static_cast<unsigned>(reply.extents.size()));
          for (unsigned i = 0; i < reply.extents.size(); ++i) {
            list[i].setOff(reply.extents[i].offset);
            list[i].setLen(reply.extents[i].length);
            list[i].setShared(reply.extents[i].shared);
          }
        });
  }

  kj::Promise<void> copy(CopyContext context) override {
    auto params = context.getParams();
    CopyArgs args{.from = decode(params.getFrom()),
                  .to = decode(params.getTo()),
                  .from_opener = decode(params.getFromOpener()),
                  .to_opener = decode(params.getToOpener()),
                  .from_off = params.getFromOff(),
                  .to_off = params.getToOff(),
                  .len = params.getLen(),
                  .clone = params.getClone()};
    auto state = std::make_shared<CopyState>();
    CallHead head = change(params, kMethodCopy);
    head.cred = args.to_opener.cred;
    return run_call<CopyAnswer>(
        bound_, head, context,
        [args, state](Turn& turn, CopyAnswer& reply) {
          return args.clone ? myfs::server::clone(turn, args, state, reply)
                            : myfs::server::copy(turn, args, state, reply);
        },
        [](auto context, const CopyAnswer& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          results.setReplayed(reply.replayed);
          results.setCount(reply.count);
          if (reply.node.has_attr) encode(reply.node, results.initNode());
        });
  }

  kj::Promise<void> ping(PingContext context) override {
    context.getResults().setPayload(context.getParams().getPayload());
    return kj::READY_NOW;
  }

  kj::Promise<void> readMany(ReadManyContext context) override {
    auto params = context.getParams();
    CallHead head;
    if (!decode(params.getCred(), &head.cred).ok()) {
      context.getResults().setErrno(EINVAL);
      return kj::READY_NOW;
    }
    auto state = std::make_shared<ReadManyState>();
    return run_call<NodesReply>(
        bound_, head, context,
        [nodes = decode(params.getNodes()), max = params.getMaxBytes(), state](
            Turn& turn, NodesReply& reply) { return read_many(turn, nodes, max, state, reply); },
        [](auto context, const NodesReply& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          auto nodes = results.initNodes(static_cast<unsigned>(reply.nodes.size()));
          for (unsigned i = 0; i < reply.nodes.size(); ++i) encode(reply.nodes[i], nodes[i]);
        });
  }

 private:
  // Content that is large enough to be sent from where it lies is not copied into the message.
  static void fill_read(ReadContext context, ReadAnswer& reply, uv_io::MessagePins* pins) {
    constexpr uint64_t kFixedWords = 32;
    auto buffer = std::make_shared<DataBuffer>(std::move(reply.data));
    const capnp::Data::Reader data(buffer->data(), buffer->size());
    const bool refers = pins != nullptr && data.size() > uv_io::kSegmentByReference_bytes;
    const uint64_t words = kFixedWords + (refers ? 0 : data.size() / sizeof(capnp::word) + 1);
    std::optional<uv_io::MessagePins::Watch> watch;
    if (refers) watch.emplace(*pins);
    auto results = context.getResults(capnp::MessageSize{words, 0});
    results.setErrno(reply.error);
    if (reply.error != 0) return;
    results.setEof(reply.eof);
    results.setSize(reply.size);
    results.setChange(reply.change);
    if (refers && watch->pin(data.begin(), buffer)) {
      auto orphanage = capnp::Orphanage::getForMessageContaining(results);
      results.adoptData(orphanage.referenceExternalData(data));
    } else {
      results.setData(data);
    }
  }
  static std::span<const uint8_t> bytes_of(capnp::Data::Reader data) {
    return {data.begin(), data.size()};
  }
  template <typename Params>
  static CallHead change(Params params, uint16_t method, bool needs_params = false) {
    CallHead head;
    head.needs_params = needs_params;
    head.has_op = true;
    head.op = decode(params.getOp());
    head.hash = hash_of(params, method);
    return head;
  }

  const Bound bound_;
};

}  // namespace

wire::DataService::Client make_data_service(Bound bound) {
  return wire::DataService::Client(kj::heap<DataImpl>(std::move(bound)));
}

}  // namespace myfs::server
