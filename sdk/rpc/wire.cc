#include "sdk/rpc/wire.h"

#include <memory>

#include "sdk/base/limits.h"

namespace myfs::rpc {
namespace {

constexpr int32_t kErrnoMax = 4095;
constexpr uint32_t kNsecMax = 999'999'999;
constexpr size_t kExtentsMax = 65'536;
constexpr size_t kServersMax = 4'096;
constexpr uint16_t kSlotsMax = 4'096;
constexpr size_t kSecretMax_bytes = 64;
constexpr size_t kTokenMax_bytes = 256;

bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

// OpenRecord and Opener have the same fields in two wire structs.
template <typename Builder>
void encode_opener(const Opener& from, Builder to) {
  to.setOpenId(from.open_id);
  to.setAccess(from.access);
  if (from.cred != nullptr) encode(*from.cred, to.initCred());
}

template <typename Reader>
bool decode_opener(Reader from, Opener* to) {
  to->open_id = from.getOpenId();
  to->access = from.getAccess();
  to->cred = nullptr;
  if (!from.hasCred()) return true;
  auto cred = std::make_shared<Cred>();
  if (!decode(from.getCred(), cred.get())) return false;
  to->cred = std::move(cred);
  return true;
}

}  // namespace

bool is_component(std::string_view name) {
  return !name.empty() && name.size() <= kNameMax_bytes && name != "." && name != ".." &&
         !has_nul(name) && name.find('/') == std::string_view::npos;
}

Errno to_errno(int32_t value) {
  return value < 0 || value > kErrnoMax ? Errno(EPROTO) : Errno(value);
}

void encode(const Op& from, wire::Op::Builder to) {
  to.setEpoch(from.epoch);
  to.setSlot(from.slot);
  to.setSlotSeq(from.slot_seq);
}

bool decode(wire::Op::Reader from, Op* to) {
  *to = Op{from.getEpoch(), from.getSlot(), from.getSlotSeq()};
  return true;
}

void encode(const Cred& from, wire::Cred::Builder to) {
  to.setUid(from.uid);
  to.setGid(from.gid);
  if (from.groups.empty()) return;
  auto groups = to.initGroups(from.groups.size());
  for (size_t i = 0; i < from.groups.size(); ++i) groups.set(i, from.groups[i]);
}

bool decode(wire::Cred::Reader from, Cred* to) {
  to->uid = from.getUid();
  to->gid = from.getGid();
  auto groups = from.getGroups();
  if (groups.size() > kGroupsMax) return false;
  to->groups.clear();
  for (uint32_t group : groups) to->groups.push_back(group);
  return true;
}

void encode(const Handle& from, wire::Handle::Builder to) {
  to.setIno(from.ino);
  to.setGen(from.gen);
  to.setMac(from.mac);
}

bool decode(wire::Handle::Reader from, uint32_t session, Handle* to) {
  *to = Handle{from.getIno(), from.getGen(), session, from.getMac()};
  if (to->ino == 0) to->session = 0;
  return true;
}

void encode(const Attr& from, wire::Attr::Builder to) {
  to.setIno(from.ino);
  to.setGen(from.generation);
  to.setMode(from.mode);
  to.setNlink(from.nlink);
  to.setUid(from.uid);
  to.setGid(from.gid);
  to.setRdev(from.rdev);
  to.setSize(from.size);
  to.setBlocks(from.blocks);
  to.setBlksize(from.blksize);
  to.setFlags(from.flags);
  to.setAtimeSec(from.atime.sec);
  to.setAtimeNsec(from.atime.nsec);
  to.setMtimeSec(from.mtime.sec);
  to.setMtimeNsec(from.mtime.nsec);
  to.setCtimeSec(from.ctime.sec);
  to.setCtimeNsec(from.ctime.nsec);
  to.setBtimeSec(from.btime.sec);
  to.setBtimeNsec(from.btime.nsec);
  to.setChange(from.change);
  to.setTruncGen(from.trunc_gen);
  to.setTruncSize(from.trunc_size);
}

bool decode(wire::Attr::Reader from, Attr* to) {
  to->ino = from.getIno();
  to->generation = from.getGen();
  to->mode = from.getMode();
  to->nlink = from.getNlink();
  to->uid = from.getUid();
  to->gid = from.getGid();
  to->rdev = from.getRdev();
  to->size = from.getSize();
  to->blocks = from.getBlocks();
  to->blksize = from.getBlksize();
  to->flags = from.getFlags();
  to->atime = Time{from.getAtimeSec(), from.getAtimeNsec()};
  to->mtime = Time{from.getMtimeSec(), from.getMtimeNsec()};
  to->ctime = Time{from.getCtimeSec(), from.getCtimeNsec()};
  to->btime = Time{from.getBtimeSec(), from.getBtimeNsec()};
  to->change = from.getChange();
  to->trunc_gen = from.getTruncGen();
  to->trunc_size = from.getTruncSize();
  return to->atime.nsec <= kNsecMax && to->mtime.nsec <= kNsecMax && to->ctime.nsec <= kNsecMax &&
         to->btime.nsec <= kNsecMax && to->size <= kFileSizeMax_bytes;
}

void encode(const Grant& from, wire::Grant::Builder to) {
  to.setIno(from.ino);
  to.setParts(from.parts);
  to.setSeq(from.seq);
  to.setSpaceBytes(from.space_bytes);
}

bool decode(wire::Grant::Reader from, Grant* to) {
  *to = Grant{from.getIno(), from.getParts(), from.getSeq(), from.getSpaceBytes()};
  return true;
}

void encode(const Node& from, wire::Node::Builder to) {
  to.setErrno(from.error.value());
  encode(from.handle, to.initHandle());
  if (from.has_attr) encode(from.attr, to.initAttr());
  to.setHasAttr(from.has_attr);
  if (from.grant != Grant{}) encode(from.grant, to.initGrant());
  if (!from.target.empty()) to.setTarget(to_data(from.target));
  if (!from.data.empty()) to.setData(to_data(from.data));
  if (!from.acl.empty()) to.setAcl(to_data(from.acl.to_xattr()));
  to.setHasDefaultAcl(from.attr.has_default_acl);
}

bool decode(wire::Node::Reader from, uint32_t session, Node* to) {
  to->error = Errno(from.getErrno());
  if (to_errno(from.getErrno()) != to->error) return false;
  to->has_attr = from.getHasAttr();
  if (to->has_attr && !decode(from.getAttr(), &to->attr)) return false;
  std::string_view target = to_view(from.getTarget());
  if (target.size() > kSymlinkMax_bytes || has_nul(target)) return false;
  to->target = target;
  to->data = to_string(from.getData());
  Result<PosixAcl> acl = PosixAcl::decode(to_view(from.getAcl()));
  if (!acl.ok()) return false;
  to->acl = std::move(*acl);
  to->attr.has_acl = !to->acl.empty();
  to->attr.has_default_acl = from.getHasDefaultAcl();
  return decode(from.getHandle(), session, &to->handle) && decode(from.getGrant(), &to->grant);
}

void encode(const Extent& from, wire::Extent::Builder to) {
  to.setOff(from.off);
  to.setLen(from.len);
  to.setServer(from.server);
  to.setHole(from.hole);
  to.setShared(from.shared);
}

bool decode(wire::Extent::Reader from, Extent* to) {
  *to = Extent{from.getOff(), from.getLen(), from.getServer(), from.getHole(), from.getShared()};
  return to->off <= kFileSizeMax_bytes;
}

void encode(const Layout& from, wire::Layout::Builder to) {
  to.setEpoch(from.epoch);
  auto stripes = to.initStripes(from.stripes.size());
  for (size_t i = 0; i < from.stripes.size(); ++i) encode(from.stripes[i], stripes[i]);
}

bool decode(wire::Layout::Reader from, Layout* to) {
  to->epoch = from.getEpoch();
  auto stripes = from.getStripes();
  if (stripes.size() > kExtentsMax) return false;
  to->stripes.resize(stripes.size());
  for (size_t i = 0; i < to->stripes.size(); ++i) {
    if (!decode(stripes[i], &to->stripes[i])) return false;
  }
  return true;
}

void encode(const Opener& from, wire::Opener::Builder to) { encode_opener(from, to); }
bool decode(wire::Opener::Reader from, Opener* to) { return decode_opener(from, to); }
void encode(const OpenRecord& from, wire::OpenRecord::Builder to) { encode_opener(from, to); }
bool decode(wire::OpenRecord::Reader from, OpenRecord* to) { return decode_opener(from, to); }

void encode(const Entry& from, wire::Entry::Builder to) {
  to.setName(to_data(from.name));
  to.setCookie(from.cookie);
  to.setIno(from.ino);
  to.setType(from.type);
  if (from.node.handle.ino != 0 || !from.node.error.ok()) encode(from.node, to.initNode());
}

bool decode(wire::Entry::Reader from, uint32_t session, Entry* to) {
  std::string_view name = to_view(from.getName());
  if (!is_component(name)) return false;
  to->name = name;
  to->cookie = from.getCookie();
  to->ino = from.getIno();
  to->type = from.getType();
  return !from.hasNode() || decode(from.getNode(), session, &to->node);
}

void encode(const LockRange& from, wire::LockRange::Builder to) {
  to.setType(static_cast<uint8_t>(from.type));
  to.setStart(from.start);
  to.setLen(from.len);
  to.setOwner(from.owner);
  to.setKind(static_cast<uint8_t>(from.kind));
  to.setPid(from.pid);
}

bool decode(wire::LockRange::Reader from, LockRange* to) {
  if (from.getType() > static_cast<uint8_t>(LockType::kUnlock) ||
      from.getKind() > static_cast<uint8_t>(LockKind::kFlock)) {
    return false;
  }
  to->type = static_cast<LockType>(from.getType());
  to->start = from.getStart();
  to->len = from.getLen();
  to->owner = from.getOwner();
  to->kind = static_cast<LockKind>(from.getKind());
  to->pid = from.getPid();
  return true;
}

void encode(const Changed& from, Errno error, wire::Changed::Builder to) {
  to.setErrno(error.value());
  to.setReplayed(from.replayed);
  encode(from.node, to.initNode());
  encode(from.dir, to.initDir());
  encode(from.other_dir, to.initOtherDir());
  encode(from.victim, to.initVictim());
  encode(from.layout, to.initLayout());
}

bool decode(wire::Changed::Reader from, uint32_t session, Errno* error, Changed* to) {
  *error = Errno(from.getErrno());
  if (to_errno(from.getErrno()) != *error) return false;
  if (!error->ok()) return true;
  to->replayed = from.getReplayed();
  return decode(from.getNode(), session, &to->node) && decode(from.getDir(), session, &to->dir) &&
         decode(from.getOtherDir(), session, &to->other_dir) &&
         decode(from.getVictim(), session, &to->victim) && decode(from.getLayout(), &to->layout);
}

void encode(const RecallItem& from, wire::RecallItem::Builder to) {
  to.setRecallId(from.recall_id);
  to.setIno(from.ino);
  to.setSeq(from.seq);
  to.setParts(from.parts);
}

bool decode(wire::RecallItem::Reader from, RecallItem* to) {
  *to = RecallItem{from.getRecallId(), from.getIno(), from.getSeq(), from.getParts()};
  return true;
}

void encode(const SessionInfo& from, wire::SessionInfo::Builder to) {
  to.setSessionId(from.session_id);
  to.setEpoch(from.epoch);
  to.setSecret(to_data(from.secret));
  to.setTermMs(from.term_ms);
  to.setSlots(from.slots);
  to.setDataToken(to_data(from.data_token));
  encode(from.root, to.initRoot());
  to.setBootVerifier(from.boot_verifier);
  to.setMaxIoBytes(from.max_io_bytes);
  to.setCreditBytes(from.credit_bytes);
  to.setMaxLeases(from.max_leases);
  to.setRelaxed(from.relaxed);
  to.setReadOnly(from.read_only);
  if (!from.principal.trusts()) {
    auto principal = to.initPrincipal();
    principal.setAnyone(from.principal.anyone);
    encode(from.principal.cred, principal.initCred());
    principal.setSquashRoot(from.principal.squash.root);
    principal.setSquashAll(from.principal.squash.all);
    principal.setAnonUid(from.principal.squash.anon_uid);
    principal.setAnonGid(from.principal.squash.anon_gid);
  }
  auto servers = to.initServers(from.servers.size());
  for (size_t i = 0; i < from.servers.size(); ++i) servers.set(i, from.servers[i].c_str());
  auto shards = to.initShards(from.shards.size());
  for (size_t i = 0; i < from.shards.size(); ++i) {
    shards[i].setFirst(from.shards[i].first);
    shards[i].setLast(from.shards[i].last);
    shards[i].setServer(from.shards[i].server);
  }
  auto seqs = to.initSlotSeqs(from.slot_seqs.size());
  for (size_t i = 0; i < from.slot_seqs.size(); ++i) seqs.set(i, from.slot_seqs[i]);
}

bool decode(wire::Principal::Reader from, Principal* to) {
  to->anyone = from.getAnyone();
  to->squash = Squash{.root = from.getSquashRoot(),
                      .all = from.getSquashAll(),
                      .anon_uid = from.getAnonUid(),
                      .anon_gid = from.getAnonGid()};
  return decode(from.getCred(), &to->cred);
}

bool decode(wire::SessionInfo::Reader from, uint32_t session, SessionInfo* to) {
  to->session_id = from.getSessionId();
  to->epoch = from.getEpoch();
  to->secret = to_string(from.getSecret());
  to->term_ms = from.getTermMs();
  to->slots = from.getSlots();
  to->data_token = to_string(from.getDataToken());
  to->boot_verifier = from.getBootVerifier();
  to->max_io_bytes = from.getMaxIoBytes();
  to->credit_bytes = from.getCreditBytes();
  to->max_leases = from.getMaxLeases();
  to->relaxed = from.getRelaxed();
  to->read_only = from.getReadOnly();
  if (from.hasPrincipal() && !decode(from.getPrincipal(), &to->principal)) return false;
  auto servers = from.getServers();
  auto shards = from.getShards();
  auto seqs = from.getSlotSeqs();
  if (servers.size() > kServersMax || shards.size() > kServersMax || seqs.size() > kSlotsMax ||
      to->slots > kSlotsMax || to->slots <= kReservedSlots || to->term_ms == 0 ||
      to->max_io_bytes < kPageSize_bytes || to->secret.size() > kSecretMax_bytes ||
      to->data_token.size() > kTokenMax_bytes) {
    return false;
  }
  to->servers.clear();
  for (auto server : servers) to->servers.emplace_back(server.cStr(), server.size());
  to->shards.clear();
  for (auto shard : shards) {
    to->shards.push_back(ShardRange{shard.getFirst(), shard.getLast(), shard.getServer()});
  }
  to->slot_seqs.clear();
  for (uint64_t seq : seqs) to->slot_seqs.push_back(seq);
  return decode(from.getRoot(), session, &to->root);
}

bool decode_nodes(capnp::List<wire::Node>::Reader from, uint32_t session, size_t max,
                  std::vector<Node>* to) {
  if (from.size() > max) return false;
  to->resize(from.size());
  for (size_t i = 0; i < to->size(); ++i) {
    if (!decode(from[i], session, &(*to)[i])) return false;
  }
  return true;
}

bool decode_grants(capnp::List<wire::Grant>::Reader from, size_t max, std::vector<Grant>* to) {
  if (from.size() > max) return false;
  to->resize(from.size());
  for (size_t i = 0; i < to->size(); ++i) {
    if (!decode(from[i], &(*to)[i])) return false;
  }
  return true;
}

}  // namespace myfs::rpc
