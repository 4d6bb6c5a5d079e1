// Calls of the metadata service and of the session.
#include "sdk/base/limits.h"
#include "sdk/rpc/wire_calls.h"

namespace myfs::rpc {
namespace {

constexpr size_t kReaddirEntriesMax = 1 << 17;
constexpr size_t kXattrNamesMax = 65'536;
constexpr size_t kPersistentMax_bytes = 256;

template <typename Params>
void put_sender(const Sender& sender, Params params) {
  if constexpr (requires { params.initOp(); }) encode(sender.op, params.initOp());
  if constexpr (requires { params.initCred(); }) {
    if (sender.cred != nullptr) encode(*sender.cred, params.initCred());
  }
}

void put_opener(const Opener& opener, auto params) {
  if (opener.open_id != 0 || opener.cred != nullptr || opener.access != 0) {
    encode(opener, params.initOpener());
  }
}

Errno decode_changed(wire::Changed::Reader from, uint32_t session, Changed* reply) {
  Errno error;
  return decode(from, session, &error, reply) ? error : Errno(EPROTO);
}

Errno bad_unless(bool good) { return good ? Errno() : Errno(EPROTO); }

}  // namespace

void encode_params(const LookupArgs& args, const Sender& sender,
                   Meta::LookupParams::Builder params) {
  put_sender(sender, params);
  encode(args.dir, params.initDir());
  auto names = params.initNames(args.names.size());
  for (size_t i = 0; i < args.names.size(); ++i) names.set(i, to_data(args.names[i]));
  params.setWant(args.want);
  params.setWantData(args.want_data_bytes);
}

Errno decode_results(Meta::LookupResults::Reader results, const LookupArgs& args, uint32_t session,
                     LookupReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  return bad_unless(decode(results.getDirNode(), session, &reply->dir_node) &&
                    decode_nodes(results.getNodes(), session, args.names.size(), &reply->nodes));
}

void encode_params(const GetattrArgs& args, const Sender& sender,
                   Meta::GetattrParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
  params.setWant(args.want);
  put_opener(args.opener, params);
  params.setMustGrant(args.must_grant);
}

Errno decode_results(Meta::GetattrResults::Reader results, const GetattrArgs&, uint32_t session,
                     Node* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  return bad_unless(decode(results.getNode(), session, reply));
}

void encode_params(const GetattrsArgs& args, const Sender& sender,
                   Meta::GetattrsParams::Builder params) {
  put_sender(sender, params);
  auto nodes = params.initNodes(args.nodes.size());
  for (size_t i = 0; i < args.nodes.size(); ++i) encode(args.nodes[i], nodes[i]);
  params.setWant(args.want);
}

Errno decode_results(Meta::GetattrsResults::Reader results, const GetattrsArgs& args,
                     uint32_t session, NodesReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  return bad_unless(results.getNodes().size() == args.nodes.size() &&
                    decode_nodes(results.getNodes(), session, args.nodes.size(), &reply->nodes));
}

void encode_params(const SetattrArgs& args, const Sender& sender,
                   Meta::SetattrParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
  params.setMask(args.mask);
  encode(args.attr, params.initAttr());
  put_opener(args.opener, params);
}

Errno decode_results(Meta::SetattrResults::Reader results, const SetattrArgs&, uint32_t session,
                     Changed* reply) {
  return decode_changed(results.getReply(), session, reply);
}

void encode_params(const CreateArgs& args, const Sender& sender,
                   Meta::CreateParams::Builder params) {
  put_sender(sender, params);
  encode(args.dir, params.initDir());
  params.setName(to_data(args.name));
  params.setMode(args.mode);
  params.setUmask(args.umask);
  params.setRdev(args.rdev);
  if (!args.target.empty()) params.setTarget(to_data(args.target));
  params.setFlags(args.flags);
  params.setWant(args.want);
  put_opener(args.opener, params);
}

Errno decode_results(Meta::CreateResults::Reader results, const CreateArgs&, uint32_t session,
                     Changed* reply) {
  return decode_changed(results.getReply(), session, reply);
}

void encode_params(const LinkArgs& args, const Sender& sender, Meta::LinkParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
  encode(args.dir, params.initDir());
  params.setName(to_data(args.name));
}

Errno decode_results(Meta::LinkResults::Reader results, const LinkArgs&, uint32_t session,
                     Changed* reply) {
  return decode_changed(results.getReply(), session, reply);
}

void encode_params(const UnlinkArgs& args, const Sender& sender,
                   Meta::UnlinkParams::Builder params) {
  put_sender(sender, params);
  encode(args.dir, params.initDir());
  params.setName(to_data(args.name));
  params.setFlags(args.directory ? 1 : 0);
  params.setVictim(args.known);
}

Errno decode_results(Meta::UnlinkResults::Reader results, const UnlinkArgs&, uint32_t session,
                     Changed* reply) {
  return decode_changed(results.getReply(), session, reply);
}

void encode_params(const RenameArgs& args, const Sender& sender,
                   Meta::RenameParams::Builder params) {
  put_sender(sender, params);
  encode(args.old_dir, params.initOldDir());
  params.setOldName(to_data(args.old_name));
  encode(args.new_dir, params.initNewDir());
  params.setNewName(to_data(args.new_name));
  params.setFlags(args.flags);
  params.setMoved(args.known_moved);
  params.setReplaced(args.known_replaced);
}

Errno decode_results(Meta::RenameResults::Reader results, const RenameArgs&, uint32_t session,
                     Changed* reply) {
  return decode_changed(results.getReply(), session, reply);
}

void encode_params(const ReaddirArgs& args, const Sender& sender,
                   Meta::ReaddirParams::Builder params) {
  put_sender(sender, params);
  encode(args.dir, params.initDir());
  params.setCookie(args.cookie);
  params.setMaxBytes(args.max_bytes);
  params.setPlus(args.plus);
  params.setWant(args.want);
}

Errno decode_results(Meta::ReaddirResults::Reader results, const ReaddirArgs& args,
                     uint32_t session, ReaddirReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  auto entries = results.getEntries();
  if (entries.size() > kReaddirEntriesMax) return Errno(EPROTO);
  reply->eof = results.getEof();
  // A scan that does not advance would never end.
  if (entries.size() == 0 && !reply->eof) return Errno(EPROTO);
  reply->entries.resize(entries.size());
  uint64_t cookie = args.cookie;
  for (size_t i = 0; i < reply->entries.size(); ++i) {
    Entry& entry = reply->entries[i];
    if (!decode(entries[i], session, &entry) || entry.cookie <= cookie) return Errno(EPROTO);
    cookie = entry.cookie;
  }
  return bad_unless(decode(results.getDirNode(), session, &reply->dir_node));
}

void encode_params(const OpenArgs& args, const Sender& sender, Meta::OpenParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
  params.setFlags(args.flags);
  params.setWant(args.want);
  put_opener(args.opener, params);
}

Errno decode_results(Meta::OpenResults::Reader results, const OpenArgs&, uint32_t session,
                     Changed* reply) {
  return decode_changed(results.getReply(), session, reply);
}

void encode_params(const NodeArgs& args, const Sender& sender, Meta::StatfsParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
}

Errno decode_results(Meta::StatfsResults::Reader results, const NodeArgs&, uint32_t,
                     StatfsReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  reply->block_size = results.getBlockSize();
  reply->blocks = results.getBlocks();
  reply->blocks_free = results.getBlocksFree();
  reply->blocks_avail = results.getBlocksAvail();
  reply->files = results.getFiles();
  reply->files_free = results.getFilesFree();
  reply->fsid = results.getFsid();
  reply->name_max = results.getNameMax();
  return bad_unless(reply->block_size != 0);
}

void encode_params(const GetxattrArgs& args, const Sender& sender,
                   Meta::GetxattrParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
  params.setName(to_data(args.name));
}

Errno decode_results(Meta::GetxattrResults::Reader results, const GetxattrArgs&, uint32_t,
                     std::string* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  *reply = to_string(results.getValue());
  return bad_unless(reply->size() <= kXattrValueMax_bytes);
}

void encode_params(const NodeArgs& args, const Sender& sender,
                   Meta::ListxattrParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
}

Errno decode_results(Meta::ListxattrResults::Reader results, const NodeArgs&, uint32_t,
                     ListxattrReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  auto names = results.getNames();
  auto values = results.getValues();
  if (names.size() > kXattrNamesMax || (values.size() != 0 && values.size() != names.size())) {
    return Errno(EPROTO);
  }
  for (auto name : names) {
    std::string_view view = to_view(name);
    if (view.empty() || view.size() > kNameMax_bytes || view.find('\0') != std::string_view::npos) {
      return Errno(EPROTO);
    }
    reply->names.emplace_back(view);
  }
  for (auto value : values) reply->values.push_back(to_string(value));
  return Errno();
}

void encode_params(const SetxattrArgs& args, const Sender& sender,
                   Meta::SetxattrParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
  params.setName(to_data(args.name));
  params.setValue(to_data(args.value));
  params.setFlags(args.flags);
  params.setRemove(args.remove);
}

Errno decode_results(Meta::SetxattrResults::Reader results, const SetxattrArgs&, uint32_t session,
                     Changed* reply) {
  return decode_changed(results.getReply(), session, reply);
}

void encode_params(const LockArgs& args, const Sender& sender, Meta::LockParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
  put_opener(args.opener, params);
  encode(args.range, params.initRange());
  params.setWait(args.wait);
}

Errno decode_results(Meta::LockResults::Reader results, const LockArgs& args, uint32_t,
                     LockReply* reply) {
  Errno error = to_errno(results.getErrno());
  reply->seq = results.getSeq();
  if (error == Errno(EAGAIN) || error == Errno(EDEADLK)) {
    reply->refused = error;
    return {};
  }
  reply->lock_id = results.getLockId();
  reply->queued = results.getQueued();
  return error.ok() ? bad_unless(args.wait || !reply->queued) : error;
}

void encode_params(const LockTestArgs& args, const Sender& sender,
                   Meta::LockTestParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
  encode(args.range, params.initRange());
}

Errno decode_results(Meta::LockTestResults::Reader results, const LockTestArgs&, uint32_t,
                     LockRange* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  return bad_unless(decode(results.getConflict(), reply));
}

void encode_params(const LockIdArgs& args, const Sender& sender,
                   Meta::LockCancelParams::Builder params) {
  put_sender(sender, params);
  params.setLockId(args.lock_id);
}

Errno decode_results(Meta::LockCancelResults::Reader results, const LockIdArgs&, uint32_t,
                     uint64_t* reply) {
  *reply = results.getGranted() ? results.getSeq() : 0;
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  return bad_unless(!results.getGranted() || *reply != 0);
}

void encode_params(const LockReleaseArgs& args, const Sender& sender,
                   Meta::LockReleaseParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
  params.setOwner(args.owner);
  params.setKind(static_cast<uint8_t>(args.kind));
}

Errno decode_results(Meta::LockReleaseResults::Reader results, const LockReleaseArgs&, uint32_t,
                     Nothing*) {
  return to_errno(results.getErrno());
}

void encode_params(const ResolveHandleArgs& args, const Sender& sender,
                   Meta::ResolveHandleParams::Builder params) {
  put_sender(sender, params);
  params.setIno(args.ino);
  params.setGen(args.gen);
  params.setPersistent(to_data(args.persistent));
  if (args.past.ino != 0) encode(args.past, params.initPast());
  params.setPastSession(args.past_session);
}

Errno decode_results(Meta::ResolveHandleResults::Reader results, const ResolveHandleArgs&,
                     uint32_t session, Node* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  return bad_unless(decode(results.getNode(), session, reply));
}

void encode_params(const NodeArgs& args, const Sender& sender,
                   Meta::PersistHandleParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initNode());
}

Errno decode_results(Meta::PersistHandleResults::Reader results, const NodeArgs&, uint32_t,
                     std::string* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  *reply = to_string(results.getPersistent());
  return bad_unless(!reply->empty() && reply->size() <= kPersistentMax_bytes);
}

void encode_params(const NodeArgs& args, const Sender& sender,
                   Meta::ParentOfParams::Builder params) {
  put_sender(sender, params);
  encode(args.node, params.initDir());
}

Errno decode_results(Meta::ParentOfResults::Reader results, const NodeArgs&, uint32_t session,
                     ParentReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  reply->name = to_string(results.getName());
  return bad_unless((reply->name.empty() || is_component(reply->name)) &&
                    decode(results.getNode(), session, &reply->node));
}

void encode_params(const DirStatsArgs& args, const Sender& sender,
                   Meta::DirStatsParams::Builder params) {
  put_sender(sender, params);
  encode(args.dir, params.initDir());
  params.setRecursive(args.recursive);
}

Errno decode_results(Meta::DirStatsResults::Reader results, const DirStatsArgs&, uint32_t,
                     DirStatsReply* reply) {
  *reply = DirStatsReply{results.getEntries(), results.getSubdirs(), results.getBytes()};
  return to_errno(results.getErrno());
}

void encode_params(const Nothing&, const Sender& sender, Meta::SyncParams::Builder params) {
  put_sender(sender, params);
}

Errno decode_results(Meta::SyncResults::Reader results, const Nothing&, uint32_t, uint64_t* reply) {
  *reply = results.getVerifier();
  return to_errno(results.getErrno());
}

void encode_params(const RenewArgs& args, const Sender&,
                   SessionService::RenewParams::Builder params) {
  params.setEpoch(args.epoch);
}

Errno decode_results(SessionService::RenewResults::Reader results, const RenewArgs&, uint32_t,
                     RenewReply* reply) {
  if (Errno error = to_errno(results.getErrno()); !error.ok()) return error;
  reply->term_ms = results.getTermMs();
  reply->server_time_ns = results.getServerTimeNs();
  return bad_unless(reply->term_ms != 0);
}

void encode_params(const ReleaseArgs& args, const Sender&,
                   SessionService::ReleaseParams::Builder params) {
  auto grants = params.initGrants(args.grants.size());
  for (size_t i = 0; i < args.grants.size(); ++i) encode(args.grants[i], grants[i]);
  auto closed = params.initClosed(args.closed.size());
  for (size_t i = 0; i < args.closed.size(); ++i) closed.set(i, args.closed[i]);
}

Errno decode_results(SessionService::ReleaseResults::Reader results, const ReleaseArgs&, uint32_t,
                     Nothing*) {
  return to_errno(results.getErrno());
}

void encode_params(const AckArgs& args, const Sender&, SessionService::AckParams::Builder params) {
  params.setRecallId(args.recall_id);
  params.setIno(args.ino);
  params.setKept(args.kept);
  params.setSeq(args.seq);
  auto opens = params.initOpens(args.opens.size());
  for (size_t i = 0; i < args.opens.size(); ++i) encode(args.opens[i], opens[i]);
  params.setHaveSize(args.have_size);
  params.setSize(args.size);
  params.setMtimeSec(args.mtime.sec);
  params.setMtimeNsec(args.mtime.nsec);
}

Errno decode_results(SessionService::AckResults::Reader results, const AckArgs&, uint32_t,
                     Nothing*) {
  return to_errno(results.getErrno());
}

void encode_params(const GlimpsedArgs& args, const Sender&,
                   SessionService::GlimpsedParams::Builder params) {
  params.setGlimpseId(args.glimpse_id);
  params.setIno(args.ino);
  params.setSize(args.size);
  params.setMtimeSec(args.mtime.sec);
  params.setMtimeNsec(args.mtime.nsec);
  params.setValid(args.valid);
}

Errno decode_results(SessionService::GlimpsedResults::Reader results, const GlimpsedArgs&, uint32_t,
                     Nothing*) {
  return to_errno(results.getErrno());
}

void encode_params(const Nothing&, const Sender&, SessionService::CloseParams::Builder) {}

Errno decode_results(SessionService::CloseResults::Reader results, const Nothing&, uint32_t,
                     Nothing*) {
  return to_errno(results.getErrno());
}

void encode_params(const Nothing&, const Sender&, SessionService::PingParams::Builder) {}

Errno decode_results(SessionService::PingResults::Reader, const Nothing&, uint32_t, Nothing*) {
  return Errno();
}

void encode_params(const Nothing&, const Sender&, SessionService::StatsParams::Builder) {}

Errno decode_results(SessionService::StatsResults::Reader results, const Nothing&, uint32_t,
                     ServerStats* reply) {
  reply->operations = results.getOperations();
  reply->sessions = results.getSessions();
  reply->leases = results.getLeases();
  reply->recalls = results.getRecalls();
  reply->bytes_in = results.getBytesIn();
  reply->bytes_out = results.getBytesOut();
  reply->json = std::string(results.getJson().cStr(), results.getJson().size());
  return Errno();
}

void encode_params(const LockIdArgs& args, const Sender&,
                   SessionService::LockGrantedParams::Builder params) {
  params.setLockId(args.lock_id);
}

Errno decode_results(SessionService::LockGrantedResults::Reader results, const LockIdArgs&,
                     uint32_t, Nothing*) {
  return to_errno(results.getErrno());
}

}  // namespace myfs::rpc
