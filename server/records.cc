#include "server/records.h"

#include <cstring>
#include <type_traits>

#include "sdk/base/limits.h"

namespace myfs::server {
namespace {

constexpr uint8_t kRecordVersion = 1;
constexpr uint8_t kSharedChunkVersion = 2;     // entries name their files, a slot may come twice
constexpr uint8_t kOftenTruncatedVersion = 2;  // an inode that remembers more than the last time
constexpr uint8_t kNameableOrphanVersion = 2;
constexpr uint8_t kVerifiedReplyVersion = 2;
constexpr uint8_t kLastingSessionVersion = 2;  // what it takes to go on after a restart

// ---- keys: big-endian

template <typename T>
void put_big(std::string& key, T value) {
  for (int shift = (sizeof(T) - 1) * 8; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>(value >> shift & 0xff));
  }
}

template <typename T>
T get_big(std::string_view bytes) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value << 8 | static_cast<uint8_t>(bytes[i]));
  }
  return value;
}

std::string number_key(char type, uint64_t number) {
  std::string key(1, type);
  put_big(key, number);
  return key;
}

constexpr size_t kNumberEnd = 9;  // type letter and eight bytes

// ---- values: little-endian

class Encoder {
 public:
  explicit Encoder(uint8_t version = kRecordVersion) { out_.push_back(static_cast<char>(version)); }
  template <typename T>
  Encoder& number(T value) {
    static_assert(std::is_integral_v<T>);
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Encoder& bytes(std::string_view value) {
    number(static_cast<uint32_t>(value.size()));
    out_.append(value);
    return *this;
  }
  template <size_t N>
  Encoder& array(const std::array<uint8_t, N>& value) {
    out_.append(reinterpret_cast<const char*>(value.data()), N);
    return *this;
  }
  Encoder& when(const Time& time) { return number(time.sec).number(time.nsec); }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

// Remembers the first breach instead of returning it from each call: ok() at the end tells.
class Decoder {
 public:
  explicit Decoder(std::string_view in, uint8_t newest = kRecordVersion) : in_(in) {
    number(version_);
    if (version_ < kRecordVersion || version_ > newest) ok_ = false;
  }
  uint8_t version() const { return version_; }
  template <typename T>
  Decoder& number(T& value) {
    value = 0;
    if (std::string_view raw = take(sizeof value); ok_) {
      std::memcpy(&value, raw.data(), sizeof value);
    }
    return *this;
  }
  Decoder& flag(bool& value) {
    uint8_t raw = 0;
    number(raw);
    if (raw > 1) ok_ = false;
    value = raw != 0;
    return *this;
  }
  Decoder& bytes(std::string& value) {
    uint32_t size = 0;
    number(size);
    value = take(size);
    return *this;
  }
  template <size_t N>
  Decoder& array(std::array<uint8_t, N>& value) {
    if (std::string_view raw = take(N); ok_) std::memcpy(value.data(), raw.data(), N);
    return *this;
  }
  Decoder& when(Time& time) {
    number(time.sec).number(time.nsec);
    if (time.nsec >= 1'000'000'000) ok_ = false;
    return *this;
  }
  // A count of elements that need at least `element_bytes` each.
  uint32_t count(size_t element_bytes) {
    uint32_t count = 0;
    number(count);
    if (count > in_.size() / element_bytes) ok_ = false;
    return ok_ ? count : 0;
  }
  void require(bool condition) { ok_ = ok_ && condition; }
  bool ok() const { return ok_; }
  bool more() const { return ok_ && !in_.empty(); }
  bool finished() const { return ok_ && in_.empty(); }

 private:
  std::string_view take(size_t size) {
    if (!ok_ || size > in_.size()) {
      ok_ = false;
      return {};
    }
    std::string_view result = in_.substr(0, size);
    in_.remove_prefix(size);
    return result;
  }

  std::string_view in_;
  bool ok_ = true;
  uint8_t version_ = 0;
};

template <typename T>
Result<T> finish(const Decoder& decoder, T record) {
  if (!decoder.finished()) return Errno(EUCLEAN);
  return record;
}

}  // namespace

// ---- keys

std::string inode_key(uint64_t ino) { return number_key('I', ino); }

std::string dirent_key(uint64_t dir, uint64_t cookie, std::string_view name) {
  std::string key = number_key('E', dir);
  put_big(key, cookie);
  key.append(name);
  return key;
}

std::string parent_key(uint64_t ino, uint64_t parent, std::string_view name) {
  std::string key = number_key('P', ino);
  put_big(key, parent);
  key.append(name);
  return key;
}

std::string xattr_key(uint64_t ino, std::string_view name) {
  return number_key('X', ino).append(name);
}

std::string chunk_key(uint64_t ino, uint32_t chunk) {
  std::string key = number_key('C', ino);
  put_big(key, chunk);
  return key;
}

std::string block_key(BlockId block) { return number_key('B', block); }

std::string deferred_key(BlockId block, uint16_t blk) {
  std::string key = number_key('W', block);
  put_big(key, blk);
  return key;
}

std::string orphan_key(uint64_t ino) { return number_key('O', ino); }
std::string garbage_key(uint64_t ino) { return number_key('G', ino); }

std::string garbage_key(uint64_t ino, BlockId block) {
  std::string key = number_key('G', ino);
  put_big(key, block);
  return key;
}

std::string session_key(uint64_t session) { return number_key('S', session); }

std::string reply_key(uint64_t session, uint16_t slot) {
  std::string key = number_key('R', session);
  put_big(key, slot);
  return key;
}

std::string quota_key(uint64_t dir) { return number_key('Q', dir); }

std::string usage_key(uint64_t dir, Usage what) {
  std::string key = number_key('U', dir);
  key.push_back(static_cast<char>(what));
  return key;
}

std::string meta_key(std::string_view name) { return std::string("M").append(name); }

KeyRange type_range(char type) {
  return {std::string(1, type), std::string(1, static_cast<char>(type + 1))};
}

KeyRange number_range(char type, uint64_t number) {
  return {number_key(type, number),
          number == UINT64_MAX ? type_range(type).second : number_key(type, number + 1)};
}

Result<uint64_t> parse_number(std::string_view key) {
  if (key.size() < kNumberEnd) return Errno(EUCLEAN);
  return get_big<uint64_t>(key.substr(1));
}

Result<DirentKey> parse_dirent_key(std::string_view key) {
  if (key.size() <= kNumberEnd + 8 || key[0] != 'E') return Errno(EUCLEAN);
  return DirentKey{get_big<uint64_t>(key.substr(1)), get_big<uint64_t>(key.substr(kNumberEnd)),
                   key.substr(kNumberEnd + 8)};
}

Result<ParentKey> parse_parent_key(std::string_view key) {
  if (key.size() <= kNumberEnd + 8 || key[0] != 'P') return Errno(EUCLEAN);
  return ParentKey{get_big<uint64_t>(key.substr(1)), get_big<uint64_t>(key.substr(kNumberEnd)),
                   key.substr(kNumberEnd + 8)};
}

Result<uint32_t> parse_chunk_index(std::string_view key) {
  if (key.size() != kNumberEnd + 4 || key[0] != 'C') return Errno(EUCLEAN);
  return get_big<uint32_t>(key.substr(kNumberEnd));
}

Result<uint16_t> parse_slot(std::string_view key) {
  if (key.size() != kNumberEnd + 2) return Errno(EUCLEAN);
  return get_big<uint16_t>(key.substr(kNumberEnd));
}

Result<std::string_view> parse_xattr_name(std::string_view key) {
  if (key.size() <= kNumberEnd || key[0] != 'X') return Errno(EUCLEAN);
  return key.substr(kNumberEnd);
}

Result<std::optional<BlockId>> parse_garbage_block(std::string_view key) {
  if (key.size() == kNumberEnd) return std::optional<BlockId>();
  if (key.size() != kNumberEnd + 8) return Errno(EUCLEAN);
  return std::optional<BlockId>(get_big<uint64_t>(key.substr(kNumberEnd)));
}

// ---- records

Kstat InodeRecord::to_kstat(uint64_t ino) const {
  Kstat stat;
  stat.blksize = kBlockSize_bytes;  // what is read, checked and allocated as a whole
  stat.ino = ino;
  stat.generation = generation;
  stat.mode = mode;
  stat.nlink = nlink;
  stat.uid = uid;
  stat.gid = gid;
  stat.rdev = rdev;
  stat.size = size;
  stat.blocks = blocks;
  stat.flags = flags;
  stat.has_acl = !acl.empty();
  stat.has_default_acl = !default_acl.empty();
  stat.atime = atime;
  stat.mtime = mtime;
  stat.ctime = ctime;
  stat.btime = btime;
  stat.change = change;
  stat.trunc_gen = trunc_gen;
  stat.trunc_size = trunc_size;
  return stat;
}

void InodeRecord::count_truncation(uint64_t new_size) {
  uint32_t first = ++trunc_gen;
  trunc_size = new_size;
  while (!truncations.empty() && truncations.back().size >= new_size) {
    first = truncations.back().first;
    truncations.pop_back();
  }
  if (truncations.size() >= kTruncationsMax) truncations.erase(truncations.begin());
  truncations.push_back({first, new_size});
}

std::optional<uint64_t> InodeRecord::smallest_size_since(uint32_t gen) const {
  if (gen >= trunc_gen) return UINT64_MAX;
  auto after = std::find_if(truncations.begin(), truncations.end(),
                            [gen](const Truncations& t) { return t.first > gen + 1; });
  if (after == truncations.begin()) return std::nullopt;
  return std::prev(after)->size;
}

namespace {

bool may_be_truncations(const InodeRecord& inode) {
  const std::vector<Truncations>& all = inode.truncations;
  if (all.empty() || all.size() > kTruncationsMax) return false;
  for (size_t i = 1; i < all.size(); ++i) {
    if (all[i].first <= all[i - 1].first || all[i].size <= all[i - 1].size) return false;
  }
  return all.front().first != 0 && all.back().first <= inode.trunc_gen &&
         all.back().size == inode.trunc_size && (all.size() > 1 || all[0].first != inode.trunc_gen);
}

}  // namespace

std::string InodeRecord::encode() const {
  const bool one = truncations.size() == 1 && truncations[0].first == trunc_gen;
  const bool often = !truncations.empty() && !one;
  Encoder out(often ? kOftenTruncatedVersion : kRecordVersion);
  out.number(generation).number(mode).number(uid).number(gid).number(nlink).number(flags);
  out.number(rdev).number(size).number(blocks);
  out.when(atime).when(mtime).when(ctime).when(btime);
  out.number(change).number(trunc_gen).number(trunc_size).number(parent).bytes(data);
  if (often) {
    out.number(static_cast<uint32_t>(truncations.size()));
    for (const Truncations& t : truncations) out.number(t.first).number(t.size);
  }
  // Few inodes have any; the records of the others end here.
  if (!acl.empty() || !default_acl.empty()) out.bytes(acl.to_xattr()).bytes(default_acl.to_xattr());
  return out.take();
}

Result<InodeRecord> InodeRecord::decode(std::string_view value) {
  Decoder in(value, kOftenTruncatedVersion);
  InodeRecord r;
  in.number(r.generation).number(r.mode).number(r.uid).number(r.gid).number(r.nlink);
  in.number(r.flags).number(r.rdev).number(r.size).number(r.blocks);
  in.when(r.atime).when(r.mtime).when(r.ctime).when(r.btime);
  in.number(r.change).number(r.trunc_gen).number(r.trunc_size).number(r.parent).bytes(r.data);
  if (in.version() == kOftenTruncatedVersion) {
    r.truncations.resize(in.count(12));
    for (Truncations& t : r.truncations) in.number(t.first).number(t.size);
    in.require(may_be_truncations(r));
  } else if (r.trunc_gen != 0) {
    r.truncations = {{r.trunc_gen, r.trunc_size}};
  }
  if (in.more()) {
    std::string access, inherited;
    in.bytes(access).bytes(inherited);
    Result<PosixAcl> acl = PosixAcl::decode(access), default_acl = PosixAcl::decode(inherited);
    in.require(acl.ok() && default_acl.ok());
    if (acl.ok()) r.acl = std::move(*acl);
    if (default_acl.ok()) r.default_acl = std::move(*default_acl);
    in.require(r.default_acl.empty() || r.is_dir());
  }
  in.require(r.size <= kFileSizeMax_bytes);
  in.require(!r.is_regular() || r.data.size() <= kInlineDataMax_bytes);
  in.require(r.data.size() <= kSymlinkMax_bytes + 1);
  return finish(in, std::move(r));
}

std::string DirentRecord::encode() const {
  return Encoder().number(ino).number(generation).number(type).take();
}

Result<DirentRecord> DirentRecord::decode(std::string_view value) {
  Decoder in(value);
  DirentRecord r;
  in.number(r.ino).number(r.generation).number(r.type);
  in.require(r.ino != 0);
  return finish(in, r);
}

namespace {

// Whether entries lie in other chunks' files, or share a slot.
bool shares(const ChunkRecord& record) {
  std::array<bool, kSlotsMax> taken{};
  for (const BlockEntry& entry : record.entries) {
    if (entry.block != 0 || taken[entry.slot]) return true;
    taken[entry.slot] = true;
  }
  return false;
}

}  // namespace

std::string ChunkRecord::encode() const {
  const bool shared = shares(*this);
  Encoder out(shared ? kSharedChunkVersion : kRecordVersion);
  out.number(block).number(static_cast<uint32_t>(entries.size()));
  for (const BlockEntry& entry : entries) {
    out.number(entry.blk).number(entry.slot).number(entry.length).number(entry.crc);
    if (shared) out.number(entry.block);
  }
  return out.take();
}

Result<ChunkRecord> ChunkRecord::decode(std::string_view value) {
  Decoder in(value, kSharedChunkVersion);
  const bool shared = in.version() == kSharedChunkVersion;
  ChunkRecord r;
  in.number(r.block);
  in.require(r.block != 0 || shared);
  uint32_t count = in.count(shared ? 19 : 11);
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    BlockEntry entry;
    in.number(entry.blk).number(entry.slot).number(entry.length).number(entry.crc);
    if (shared) in.number(entry.block);
    in.require(entry.blk < kBlocksPerChunk && entry.slot < kSlotsMax);
    in.require(entry.length > 0 && entry.length <= kBlockSize_bytes);
    in.require(r.entries.empty() || r.entries.back().blk < entry.blk);
    in.require(entry.block != 0 || r.block != 0);
    r.entries.push_back(entry);
  }
  in.require(!in.ok() || shares(r) == shared);
  return finish(in, std::move(r));
}

std::set<BlockId> ChunkRecord::files() const {
  std::set<BlockId> files;
  if (block != 0) files.insert(block);
  for (const BlockEntry& entry : entries) {
    if (entry.block != 0) files.insert(entry.block);
  }
  return files;
}

std::string RefsRecord::encode() const { return Encoder().number(refs).take(); }

Result<RefsRecord> RefsRecord::decode(std::string_view value) {
  Decoder in(value);
  RefsRecord r;
  in.number(r.refs);
  in.require(r.refs > 0);
  return finish(in, r);
}

std::string DeferredRecord::encode() const {
  Encoder out;
  out.number(ino).number(chunk).number(static_cast<uint32_t>(extents.size()));
  for (const OverlayExtent& extent : extents) {
    out.number(extent.offset).number(extent.length).bytes(extent.data);
  }
  return out.take();
}

Result<DeferredRecord> DeferredRecord::decode(std::string_view value) {
  Decoder in(value);
  DeferredRecord r;
  in.number(r.ino).number(r.chunk);
  uint32_t count = in.count(12);
  uint64_t end = 0;
  for (uint32_t i = 0; i < count && in.ok(); ++i) {
    OverlayExtent extent;
    in.number(extent.offset).number(extent.length).bytes(extent.data);
    in.require(extent.offset >= end && extent.length > 0);
    end = uint64_t{extent.offset} + extent.length;
    in.require(end <= kBlockSize_bytes);
    in.require(extent.data.empty() || extent.data.size() == extent.length);
    r.extents.push_back(std::move(extent));
  }
  return finish(in, std::move(r));
}

std::string OrphanRecord::encode() const {
  Encoder out(kNameableOrphanVersion);
  out.number(static_cast<uint32_t>(sessions.size()));
  for (uint64_t session : sessions) out.number(session);
  return out.number(static_cast<uint8_t>(nameable)).take();
}

Result<OrphanRecord> OrphanRecord::decode(std::string_view value) {
  Decoder in(value, kNameableOrphanVersion);
  OrphanRecord r;
  r.sessions.resize(in.count(8));
  for (uint64_t& session : r.sessions) in.number(session);
  if (in.version() == kNameableOrphanVersion) in.flag(r.nameable);
  return finish(in, std::move(r));
}

std::string SessionRecord::encode() const {
  Encoder out(kLastingSessionVersion);
  out.array(uuid).array(secret).number(epoch).number(static_cast<uint8_t>(state));
  out.number(static_cast<uint8_t>(local)).number(static_cast<uint8_t>(read_only));
  out.number(static_cast<uint8_t>(forced_cred)).number(cred.uid).number(cred.gid);
  out.number(static_cast<uint32_t>(cred.groups.size()));
  for (uint32_t group : cred.groups) out.number(group);
  out.number(root_ino).bytes(address).number(static_cast<uint8_t>(holds));
  out.number(number).number(static_cast<uint8_t>(terms_known)).bytes(export_path);
  out.number(static_cast<uint8_t>(squash.root)).number(static_cast<uint8_t>(squash.all));
  return out.number(squash.anon_uid).number(squash.anon_gid).take();
}

Result<SessionRecord> SessionRecord::decode(std::string_view value) {
  Decoder in(value, kLastingSessionVersion);
  SessionRecord r;
  uint8_t state = 0, holds = 0;
  in.array(r.uuid).array(r.secret).number(r.epoch).number(state);
  in.flag(r.local).flag(r.read_only).flag(r.forced_cred);
  in.number(r.cred.uid).number(r.cred.gid);
  r.cred.groups.resize(in.count(4));
  for (uint32_t& group : r.cred.groups) in.number(group);
  in.number(r.root_ino).bytes(r.address);
  if (in.version() == kLastingSessionVersion) {
    in.number(holds).number(r.number).flag(r.terms_known).bytes(r.export_path);
    in.flag(r.squash.root).flag(r.squash.all).number(r.squash.anon_uid).number(r.squash.anon_gid);
  }
  in.require(state <= static_cast<uint8_t>(State::kClosed));
  in.require(holds <= static_cast<uint8_t>(Holds::kPins));
  r.state = static_cast<State>(state);
  r.holds = static_cast<Holds>(holds);
  return finish(in, std::move(r));
}

std::string ReplyRecord::encode() const {
  Encoder out(verifier == 0 ? kRecordVersion : kVerifiedReplyVersion);
  out.number(slot_seq).number(hash).number(error).number(ino).number(generation);
  out.number(offset).number(count);
  if (verifier != 0) out.number(verifier);
  return out.take();
}

Result<ReplyRecord> ReplyRecord::decode(std::string_view value) {
  Decoder in(value, kVerifiedReplyVersion);
  ReplyRecord r;
  in.number(r.slot_seq).number(r.hash).number(r.error).number(r.ino).number(r.generation);
  in.number(r.offset).number(r.count);
  if (in.version() == kVerifiedReplyVersion) {
    in.number(r.verifier);
    in.require(r.verifier != 0);
  }
  return finish(in, r);
}

std::string QuotaRecord::encode() const {
  return Encoder().number(bytes_max).number(files_max).take();
}

Result<QuotaRecord> QuotaRecord::decode(std::string_view value) {
  Decoder in(value);
  QuotaRecord r;
  in.number(r.bytes_max).number(r.files_max);
  return finish(in, r);
}

std::string SuperRecord::encode() const {
  return Encoder().array(uuid).array(hash_key).array(handle_key).when(created).take();
}

Result<SuperRecord> SuperRecord::decode(std::string_view value) {
  Decoder in(value);
  SuperRecord r;
  in.array(r.uuid).array(r.hash_key).array(r.handle_key).when(r.created);
  return finish(in, r);
}

std::string encode_u64(uint64_t value) { return Encoder().number(value).take(); }

Result<uint64_t> decode_u64(std::string_view value) {
  Decoder in(value);
  uint64_t number = 0;
  in.number(number);
  return finish(in, number);
}

}  // namespace myfs::server
