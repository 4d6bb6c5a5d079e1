#include "server/rpc_codec.h"

#include <algorithm>

#include "server/handle_mac.h"

namespace myfs::server {
namespace {

constexpr size_t kHashedData_bytes = 512;
constexpr int kHashDepthMax = 16;

void absorb(capnp::AnyStruct::Reader from, std::string* out, int depth);

void absorb_list(capnp::AnyPointer::Reader from, std::string* out, int depth) {
  auto list = from.getAs<capnp::AnyList>();
  uint32_t size = list.size();
  out->append(reinterpret_cast<const char*>(&size), sizeof size);
  switch (list.getElementSize()) {
    case capnp::ElementSize::BYTE: {
      auto data = from.getAs<capnp::Data>();
      out->append(reinterpret_cast<const char*>(data.begin()),
                  std::min(data.size(), kHashedData_bytes));
      break;
    }
    case capnp::ElementSize::FOUR_BYTES:
      for (uint32_t word : list.as<capnp::List<uint32_t>>())
        out->append(reinterpret_cast<const char*>(&word), sizeof word);
      break;
    case capnp::ElementSize::EIGHT_BYTES:
      for (uint64_t word : list.as<capnp::List<uint64_t>>())
        out->append(reinterpret_cast<const char*>(&word), sizeof word);
      break;
    case capnp::ElementSize::INLINE_COMPOSITE:
      for (auto element : list.as<capnp::List<capnp::AnyStruct>>()) absorb(element, out, depth);
      break;
    case capnp::ElementSize::POINTER:
      for (auto element : list.as<capnp::List<capnp::Data>>()) {
        uint64_t bytes = element.size();
        out->append(reinterpret_cast<const char*>(&bytes), sizeof bytes);
        out->append(to_view(element));
      }
      break;
    default:
      break;
  }
}

void absorb(capnp::AnyStruct::Reader from, std::string* out, int depth) {
  if (depth > kHashDepthMax) return;
  auto data = from.getDataSection();
  out->append(reinterpret_cast<const char*>(data.begin()), data.size());
  for (auto pointer : from.getPointerSection()) {
    if (pointer.isNull()) {
      out->push_back('0');
    } else if (pointer.isStruct()) {
      out->push_back('s');
      absorb(pointer.getAs<capnp::AnyStruct>(), out, depth + 1);
    } else if (pointer.isList()) {
      out->push_back('l');
      absorb_list(pointer, out, depth + 1);
    }
  }
}

// Who does not say who he is, is nobody: least of all uid 0.
template <typename Reader>
Opener decode_opener(Reader from) {
  Opener opener{.open_id = from.getOpenId(), .cred = {}, .access = from.getAccess()};
  if (!from.hasCred() || !decode(from.getCred(), &opener.cred).ok()) {
    opener.cred = Cred{.uid = UINT32_MAX, .gid = UINT32_MAX, .groups = {}};
  }
  return opener;
}

uint32_t checked_nsec(uint32_t nsec) { return std::min(nsec, 999'999'999u); }

}  // namespace

Op decode(wire::Op::Reader op) {
  return Op{.epoch = op.getEpoch(), .slot = op.getSlot(), .slot_seq = op.getSlotSeq()};
}

Errno decode(wire::Cred::Reader from, Cred* cred) {
  auto groups = from.getGroups();
  if (groups.size() > kGroupsMax) return Errno(EINVAL);
  cred->uid = from.getUid();
  cred->gid = from.getGid();
  cred->groups = to_vector<uint32_t>(groups);
  return {};
}

Handle decode(wire::Handle::Reader handle) {
  return Handle{.ino = handle.getIno(), .gen = handle.getGen(), .mac = handle.getMac()};
}

Opener decode(wire::Opener::Reader from) { return decode_opener(from); }

Opener decode(wire::OpenRecord::Reader from) { return decode_opener(from); }

Grant decode(wire::Grant::Reader grant) {
  return Grant{.ino = grant.getIno(),
               .parts = grant.getParts(),
               .seq = grant.getSeq(),
               .space_bytes = grant.getSpaceBytes()};
}

Kstat decode(wire::Attr::Reader from) {
  Kstat attr;
  attr.mode = from.getMode();
  attr.uid = from.getUid();
  attr.gid = from.getGid();
  attr.size = from.getSize();
  attr.atime = {from.getAtimeSec(), checked_nsec(from.getAtimeNsec())};
  attr.mtime = {from.getMtimeSec(), checked_nsec(from.getMtimeNsec())};
  return attr;
}

std::vector<Handle> decode(capnp::List<wire::Handle>::Reader handles) {
  std::vector<Handle> out;
  out.reserve(handles.size());
  for (auto handle : handles) out.push_back(decode(handle));
  return out;
}

void encode(const Principal& from, wire::Principal::Builder to) {
  to.setAnyone(from.anyone);
  auto cred = to.initCred();
  cred.setUid(from.cred.uid);
  cred.setGid(from.cred.gid);
  auto groups = cred.initGroups(static_cast<unsigned>(from.cred.groups.size()));
  for (unsigned i = 0; i < from.cred.groups.size(); ++i) groups.set(i, from.cred.groups[i]);
  to.setSquashRoot(from.squash.root);
  to.setSquashAll(from.squash.all);
  to.setAnonUid(from.squash.anon_uid);
  to.setAnonGid(from.squash.anon_gid);
}

void encode(const Handle& from, wire::Handle::Builder to) {
  to.setIno(from.ino);
  to.setGen(from.gen);
  to.setMac(from.mac);
}

void encode(const Kstat& from, wire::Attr::Builder to) {
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
  to.setMtimeSec(from.mtime.sec);
  to.setCtimeSec(from.ctime.sec);
  to.setBtimeSec(from.btime.sec);
  to.setAtimeNsec(from.atime.nsec);
  to.setMtimeNsec(from.mtime.nsec);
  to.setCtimeNsec(from.ctime.nsec);
  to.setBtimeNsec(from.btime.nsec);
  to.setChange(from.change);
  to.setTruncGen(from.trunc_gen);
  to.setTruncSize(from.trunc_size);
}

void encode(const Grant& from, wire::Grant::Builder to) {
  to.setIno(from.ino);
  to.setParts(from.parts);
  to.setSeq(from.seq);
  to.setSpaceBytes(from.space_bytes);
}

void encode(const NodeReply& from, wire::Node::Builder to) {
  to.setErrno(from.error);
  if (from.handle.ino != 0) encode(from.handle, to.initHandle());
  to.setHasAttr(from.has_attr);
  if (from.has_attr) encode(from.attr, to.initAttr());
  if (from.grant.seq != 0) encode(from.grant, to.initGrant());
  if (!from.target.empty()) to.setTarget(to_data(from.target));
  if (!from.data.empty()) to.setData(to_data(from.data));
  if (!from.acl.empty()) to.setAcl(to_data(from.acl));
  to.setHasDefaultAcl(from.attr.has_default_acl);
}

void encode(const ChangedReply& from, wire::Changed::Builder to) {
  to.setErrno(from.error);
  to.setReplayed(from.replayed);
  auto put = [](const NodeReply& node) { return node.handle.ino != 0 || node.error != 0; };
  if (put(from.node)) encode(from.node, to.initNode());
  if (put(from.dir)) encode(from.dir, to.initDir());
  if (put(from.other_dir)) encode(from.other_dir, to.initOtherDir());
  if (put(from.victim)) encode(from.victim, to.initVictim());
  if (from.error != 0 || from.replayed || !from.node.has_attr) return;
  if ((from.node.attr.mode & S_IFMT) != S_IFREG) return;
  auto layout = to.initLayout();
  layout.setEpoch(1);
  layout.initStripes(1)[0].setLen(UINT64_MAX);
}

uint64_t hash_of(capnp::AnyStruct::Reader params, uint16_t method) {
  std::string bytes(reinterpret_cast<const char*>(&method), sizeof method);
  absorb(params, &bytes, 0);
  return siphash({0, 0}, bytes);
}

}  // namespace myfs::server
