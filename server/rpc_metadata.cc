// The handlers of MetadataService: arguments in, body of namespace.h, results out.
#include <sys/stat.h>

#include "server/data_handlers.h"
#include "server/lock_handlers.h"
#include "server/namespace.h"
#include "server/rpc_services.h"

namespace myfs::server {
namespace {

template <typename Context>
void fill_changed(Context context, const ChangedReply& reply) {
  encode(reply, context.getResults().initReply());
}

void encode_nodes(const std::vector<NodeReply>& from, capnp::List<wire::Node>::Builder to) {
  for (unsigned i = 0; i < from.size(); ++i) encode(from[i], to[i]);
}

class MetadataImpl final : public wire::MetadataService::Server {
 public:
  explicit MetadataImpl(Bound bound) : bound_(std::move(bound)) {}

  kj::Promise<void> lookup(LookupContext context) override {
    auto params = context.getParams();
    LookupArgs args{.dir = decode(params.getDir()),
                    .names = {},
                    .want = params.getWant(),
                    .want_data = params.getWantData()};
    for (auto name : params.getNames()) args.names.push_back(to_string(name));
    return run<LookupReply>(
        context, query(params),
        [args](Turn& turn, LookupReply& reply) { return myfs::server::lookup(turn, args, reply); },
        [](auto context, const LookupReply& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          if (reply.error != 0) return;
          encode(reply.dir, results.initDirNode());
          encode_nodes(reply.nodes, results.initNodes(static_cast<unsigned>(reply.nodes.size())));
        });
  }

  kj::Promise<void> getattr(GetattrContext context) override {
    auto params = context.getParams();
    GetattrArgs args{.node = decode(params.getNode()),
                     .want = params.getWant(),
                     .opener = decode(params.getOpener()),
                     .must_grant = params.getMustGrant()};
    return run_node(context, query(params), [args](Turn& turn, NodeOnlyReply& reply) {
      return myfs::server::getattr(turn, args, reply);
    });
  }

  kj::Promise<void> getattrs(GetattrsContext context) override {
    auto params = context.getParams();
    return run<NodesReply>(
        context, query(params),
        [nodes = decode(params.getNodes()), want = params.getWant()](Turn& turn,
                                                                     NodesReply& reply) {
          return myfs::server::getattrs(turn, nodes, want, reply);
        },
        [](auto context, const NodesReply& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          encode_nodes(reply.nodes, results.initNodes(static_cast<unsigned>(reply.nodes.size())));
        });
  }

  kj::Promise<void> setattr(SetattrContext context) override {
    auto params = context.getParams();
    SetattrArgs args{.node = decode(params.getNode()),
                     .mask = params.getMask(),
                     .attr = decode(params.getAttr()),
                     .opener = decode(params.getOpener())};
    return run_changed(context, change(params, 2),
                       [args, content = new_content()](Turn& turn, ChangedReply& reply) {
                         return myfs::server::setattr(turn, args, content, reply);
                       });
  }

  kj::Promise<void> create(CreateContext context) override {
    auto params = context.getParams();
    CreateArgs args{.dir = decode(params.getDir()),
                    .name = to_string(params.getName()),
                    .mode = params.getMode(),
                    .umask = params.getUmask(),
                    .rdev = params.getRdev(),
                    .target = to_string(params.getTarget()),
                    .flags = params.getFlags(),
                    .want = params.getWant(),
                    .opener = decode(params.getOpener())};
    CallHead head = change(params, 3);
    head.traits.opens = opened_by(args);
    return run_changed(context, head,
                       [args, content = new_content()](Turn& turn, ChangedReply& reply) {
                         return myfs::server::create(turn, args, content, reply);
                       });
  }

  kj::Promise<void> link(LinkContext context) override {
    auto params = context.getParams();
    LinkArgs args{.node = decode(params.getNode()),
                  .dir = decode(params.getDir()),
                  .name = to_string(params.getName())};
    return run_changed(context, change(params, 4), [args](Turn& turn, ChangedReply& reply) {
      return myfs::server::link(turn, args, reply);
    });
  }

  kj::Promise<void> unlink(UnlinkContext context) override {
    auto params = context.getParams();
    UnlinkArgs args{.dir = decode(params.getDir()),
                    .name = to_string(params.getName()),
                    .flags = params.getFlags(),
                    .known = params.getVictim()};
    return run_changed(context, change(params, 5), [args](Turn& turn, ChangedReply& reply) {
      return myfs::server::unlink(turn, args, reply);
    });
  }

  kj::Promise<void> rename(RenameContext context) override {
    auto params = context.getParams();
    RenameArgs args{.old_dir = decode(params.getOldDir()),
                    .new_dir = decode(params.getNewDir()),
                    .old_name = to_string(params.getOldName()),
                    .new_name = to_string(params.getNewName()),
                    .flags = params.getFlags(),
                    .known_moved = params.getMoved(),
                    .known_replaced = params.getReplaced()};
    return run_changed(context, change(params, 6), [args](Turn& turn, ChangedReply& reply) {
      return myfs::server::rename(turn, args, reply);
    });
  }

  kj::Promise<void> readdir(ReaddirContext context) override {
    auto params = context.getParams();
    ReaddirArgs args{.dir = decode(params.getDir()),
                     .cookie = params.getCookie(),
                     .max_bytes = params.getMaxBytes(),
                     .plus = params.getPlus(),
                     .want = params.getWant()};
    return run<ReaddirReply>(
        context, query(params),
        [args](Turn& turn, ReaddirReply& reply) {
          return myfs::server::readdir(turn, args, reply);
        },
        [](auto context, const ReaddirReply& reply) { fill_readdir(context, reply); });
  }

  kj::Promise<void> open(OpenContext context) override {
    auto params = context.getParams();
    OpenArgs args{.node = decode(params.getNode()),
                  .flags = params.getFlags(),
                  .want = params.getWant(),
                  .opener = decode(params.getOpener())};
    CallHead head = change(params, 8);
    head.traits.opens = args.opener;
    return run_changed(context, head,
                       [args, content = new_content()](Turn& turn, ChangedReply& reply) {
                         return myfs::server::open(turn, args, content, reply);
                       });
  }

  kj::Promise<void> statfs(StatfsContext context) override {
    auto params = context.getParams();
    return run<StatfsReply>(
        context, query(params),
        [node = decode(params.getNode())](Turn& turn, StatfsReply& reply) {
          return myfs::server::statfs(turn, node, reply);
        },
        [](auto context, const StatfsReply& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          results.setBlockSize(reply.block_size);
          results.setBlocks(reply.blocks);
          results.setBlocksFree(reply.blocks_free);
          results.setBlocksAvail(reply.blocks_avail);
          results.setFiles(reply.files);
          results.setFilesFree(reply.files_free);
          results.setFsid(reply.fsid);
          results.setNameMax(kNameMax_bytes);
        });
  }

  kj::Promise<void> getxattr(GetxattrContext context) override {
    auto params = context.getParams();
    XattrArgs args{
        .node = decode(params.getNode()), .name = to_string(params.getName()), .value = {}};
    return run<XattrReply>(
        context, query(params),
        [args](Turn& turn, XattrReply& reply) { return myfs::server::getxattr(turn, args, reply); },
        [](auto context, const XattrReply& reply) {
          context.getResults().setErrno(reply.error);
          context.getResults().setValue(to_data(reply.value));
        });
  }

  kj::Promise<void> listxattr(ListxattrContext context) override {
    auto params = context.getParams();
    return run<XattrReply>(
        context, query(params),
        [node = decode(params.getNode())](Turn& turn, XattrReply& reply) {
          return myfs::server::listxattr(turn, node, reply);
        },
        [](auto context, const XattrReply& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          auto names = results.initNames(static_cast<unsigned>(reply.names.size()));
          for (unsigned i = 0; i < reply.names.size(); ++i) names.set(i, to_data(reply.names[i]));
          auto values = results.initValues(static_cast<unsigned>(reply.values.size()));
          for (unsigned i = 0; i < reply.values.size(); ++i)
            values.set(i, to_data(reply.values[i]));
        });
  }

  kj::Promise<void> setxattr(SetxattrContext context) override {
    auto params = context.getParams();
    XattrArgs args{.node = decode(params.getNode()),
                   .name = to_string(params.getName()),
                   .value = to_string(params.getValue()),
                   .flags = params.getFlags(),
                   .remove = params.getRemove()};
    return run_changed(context, change(params, 12), [args](Turn& turn, ChangedReply& reply) {
      return myfs::server::setxattr(turn, args, reply);
    });
  }

  kj::Promise<void> resolveHandle(ResolveHandleContext context) override {
    auto params = context.getParams();
    ResolveArgs args{.ino = params.getIno(),
                     .gen = params.getGen(),
                     .persistent = to_string(params.getPersistent()),
                     .past = decode(params.getPast()),
                     .past_session = params.getPastSession()};
    return run_node(context, query(params), [args](Turn& turn, NodeOnlyReply& reply) {
      return resolve_handle(turn, args, reply);
    });
  }

  kj::Promise<void> persistHandle(PersistHandleContext context) override {
    auto params = context.getParams();
    return run<PersistReply>(
        context, query(params),
        [node = decode(params.getNode())](Turn& turn, PersistReply& reply) {
          return persist_handle(turn, node, reply);
        },
        [](auto context, const PersistReply& reply) {
          context.getResults().setErrno(reply.error);
          context.getResults().setPersistent(to_data(reply.persistent));
        });
  }

  kj::Promise<void> parentOf(ParentOfContext context) override {
    auto params = context.getParams();
    return run<NodeOnlyReply>(
        context, query(params),
        [dir = decode(params.getDir()), search = std::make_shared<ParentSearch>()](
            Turn& turn, NodeOnlyReply& reply) { return parent_of(turn, dir, search, reply); },
        [](auto context, const NodeOnlyReply& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          if (reply.error != 0) return;
          encode(reply.node, results.initNode());
          results.setName(to_data(reply.name));
        });
  }

  kj::Promise<void> dirStats(DirStatsContext context) override {
    auto params = context.getParams();
    return run<DirStatsReply>(
        context, query(params),
        [dir = decode(params.getDir()), recursive = params.getRecursive(),
         walk = std::make_shared<DirStatsWalk>()](Turn& turn, DirStatsReply& reply) {
          return dir_stats(turn, dir, recursive, walk, reply);
        },
        [](auto context, const DirStatsReply& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          results.setEntries(reply.entries);
          results.setSubdirs(reply.subdirs);
          results.setBytes(reply.bytes);
        });
  }

  kj::Promise<void> sync(SyncContext context) override {
    auto params = context.getParams();
    auto error = std::make_shared<Errno>();
    return run<SyncReply>(
        context, without_cred(params, 21),
        [error](Turn& turn, SyncReply&) { return sync_all(turn, error); },
        [shard = bound_.shard](auto context, const SyncReply& reply) {
          context.getResults().setErrno(reply.error);
          context.getResults().setVerifier(shard->verifier());
        });
  }

  kj::Promise<void> lock(LockContext context) override {
    auto params = context.getParams();
    LockArgs args{.node = decode(params.getNode()),
                  .opener = decode(params.getOpener()),
                  .wait = params.getWait()};
    if (Errno error = decode_range(params.getRange(), &args.range); !error.ok()) {
      context.getResults().setErrno(error.value());
      return kj::READY_NOW;
    }
    return run<LockReply>(
        context, change(params, 13),
        [args](Turn& turn, LockReply& reply) { return myfs::server::lock(turn, args, reply); },
        [](auto context, const LockReply& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          results.setLockId(reply.lock_id);
          results.setQueued(reply.queued);
          results.setSeq(reply.seq);
        });
  }

  kj::Promise<void> lockTest(LockTestContext context) override {
    auto params = context.getParams();
    LockArgs args{.node = decode(params.getNode())};
    if (Errno error = decode_range(params.getRange(), &args.range); !error.ok()) {
      context.getResults().setErrno(error.value());
      return kj::READY_NOW;
    }
    return run<LockReply>(
        context, query(params),
        [args](Turn& turn, LockReply& reply) { return lock_test(turn, args, reply); },
        [](auto context, const LockReply& reply) {
          auto results = context.getResults();
          results.setErrno(reply.error);
          auto range = results.initConflict();
          const LockRange& from = reply.conflict;
          LockType type = reply.conflicts ? from.type : LockType::kUnlock;
          range.setType(static_cast<uint8_t>(type));
          range.setStart(from.first);
          range.setLen(from.last == UINT64_MAX ? 0 : from.last - from.first + 1);
          range.setOwner(from.owner.number);
          range.setKind(static_cast<uint8_t>(from.owner.kind));
          range.setPid(from.pid);
        });
  }

  kj::Promise<void> lockCancel(LockCancelContext context) override {
    auto params = context.getParams();
    return run<LockReply>(
        context, without_cred(params, 15),
        [id = params.getLockId()](Turn& turn, LockReply& reply) {
          return lock_cancel(turn, id, reply);
        },
        [](auto context, const LockReply& reply) {
          context.getResults().setErrno(reply.error);
          context.getResults().setGranted(reply.granted);
          context.getResults().setSeq(reply.seq);
        });
  }

  kj::Promise<void> lockRelease(LockReleaseContext context) override {
    auto params = context.getParams();
    LockRange range;
    Errno error = decode_lock(0, params.getKind(), 0, 0, params.getOwner(), 0, &range);
    if (!error.ok()) {
      context.getResults().setErrno(error.value());
      return kj::READY_NOW;
    }
    return run<LockReply>(
        context, without_cred(params, 16),
        [node = decode(params.getNode()), range](Turn& turn, LockReply& reply) {
          return lock_release(turn, node, range.owner.number, range.owner.kind, reply);
        },
        [](auto context, const LockReply& reply) {
          context.getResults().setErrno(reply.error);
          context.getResults().setSeq(reply.seq);
        });
  }

  kj::Promise<void> watch(WatchContext context) override { return refuse(context); }
  kj::Promise<void> unwatch(UnwatchContext context) override { return refuse(context); }
  kj::Promise<void> quota(QuotaContext context) override { return refuse(context); }

 private:
  template <typename Params>
  static CallHead query(Params params) {
    CallHead head;
    if (!decode(params.getCred(), &head.cred).ok())
      head.cred = Cred{.uid = UINT32_MAX, .gid = UINT32_MAX, .groups = {}};
    return head;
  }
  template <typename Params>
  static CallHead change(Params params, uint16_t method) {
    CallHead head = query(params);
    head.has_op = true;
    head.op = decode(params.getOp());
    head.hash = hash_of(params, method);
    return head;
  }
  template <typename Params>
  static CallHead without_cred(Params params, uint16_t method) {
    CallHead head;
    head.has_op = true;
    head.op = decode(params.getOp());
    head.hash = hash_of(params, method);
    return head;
  }
  static Errno decode_range(wire::LockRange::Reader from, LockRange* to) {
    return decode_lock(from.getType(), from.getKind(), from.getStart(), from.getLen(),
                       from.getOwner(), from.getPid(), to);
  }
  static ContentChangeRef new_content() { return std::make_shared<ContentChange>(); }

  template <typename Context>
  static void fill_readdir(Context context, const ReaddirReply& reply) {
    auto results = context.getResults();
    results.setErrno(reply.error);
    if (reply.error != 0) return;
    encode(reply.dir, results.initDirNode());
    results.setEof(reply.eof);
    auto entries = results.initEntries(static_cast<unsigned>(reply.entries.size()));
    for (unsigned i = 0; i < reply.entries.size(); ++i) {
      const EntryReply& from = reply.entries[i];
      auto to = entries[i];
      to.setName(to_data(from.name));
      to.setCookie(from.cookie);
      to.setIno(from.ino);
      to.setType(from.type);
      if (from.has_node) encode(from.node, to.initNode());
    }
  }

  template <typename Reply, typename Context, typename Fill>
  kj::Promise<void> run(Context context, const CallHead& head,
                        typename TypedRequest<Reply>::Body body, Fill fill) {
    if (!bound_.current()) {
      Reply stale;
      stale.error = ESTALE;
      fill(context, stale);
      return kj::READY_NOW;
    }
    return run_call<Reply>(bound_, head, context, std::move(body), std::move(fill));
  }
  template <typename Context>
  kj::Promise<void> run_changed(Context context, const CallHead& head,
                                TypedRequest<ChangedReply>::Body body) {
    return run<ChangedReply>(context, head, std::move(body),
                             [](auto context, const auto& reply) { fill_changed(context, reply); });
  }
  template <typename Context>
  kj::Promise<void> run_node(Context context, const CallHead& head,
                             TypedRequest<NodeOnlyReply>::Body body) {
    return run<NodeOnlyReply>(context, head, std::move(body),
                              [](auto context, const NodeOnlyReply& reply) {
                                context.getResults().setErrno(reply.error);
                                if (reply.error != 0) return;
                                encode(reply.node, context.getResults().initNode());
                              });
  }
  template <typename Context>
  kj::Promise<void> refuse(Context context) {
    ++bound_.shard->counters().operations;
    context.getResults().setErrno(EOPNOTSUPP);
    return kj::READY_NOW;
  }

  const Bound bound_;
};

}  // namespace

wire::MetadataService::Client make_metadata_service(Bound bound) {
  return wire::MetadataService::Client(kj::heap<MetadataImpl>(std::move(bound)));
}

}  // namespace myfs::server
