#include "tests/fuzz/vocabulary.h"

#include <capnp/capability.h>
#include <sys/stat.h>

namespace myfs::fuzz {
namespace {

constexpr int kDepthMax = 6;
constexpr uint32_t kUids[] = {1000, 0, 1001, 65534, UINT32_MAX};
constexpr const char* kNames[] = {"f",
                                  "g",
                                  "d",
                                  "new",
                                  "link",
                                  "other",
                                  ".",
                                  "..",
                                  "f/../g",
                                  "",
                                  "lost+found",
                                  "a",
                                  "b",
                                  "user.x",
                                  "trusted.x",
                                  "system.posix_acl_access",
                                  "system.posix_acl_default"};
constexpr uint64_t kBoundaries[] = {0,
                                    1,
                                    4095,
                                    4096,
                                    65535,
                                    65536,
                                    (4 << 20) - 1,
                                    4 << 20,
                                    (4 << 20) + 1,
                                    0x7fffffff,
                                    0x80000000,
                                    0xffffffff,
                                    uint64_t{1} << 53,
                                    (uint64_t{1} << 54) - 1,
                                    INT64_MAX,
                                    uint64_t{1} << 63,
                                    UINT64_MAX - 1,
                                    UINT64_MAX};

// Fields that mean what others are called.
std::string meaning_of(const std::string& field) {
  if (field == "token") return "dataToken";
  if (field == "leaseSeq") return "seq";
  if (field == "kept" || field == "want") return "parts";
  if (field == "victim" || field == "moved" || field == "replaced") return "ino";
  if (field == "pastSession") return "sessionId";
  if (field == "bootVerifier") return "verifier";
  return field;
}

bool is_number(capnp::Type type) {
  switch (type.which()) {
    case capnp::schema::Type::BOOL:
    case capnp::schema::Type::INT8:
    case capnp::schema::Type::INT16:
    case capnp::schema::Type::INT32:
    case capnp::schema::Type::INT64:
    case capnp::schema::Type::UINT8:
    case capnp::schema::Type::UINT16:
    case capnp::schema::Type::UINT32:
    case capnp::schema::Type::UINT64:
      return true;
    default:
      return false;
  }
}

uint64_t to_number(capnp::DynamicValue::Reader value) {
  switch (value.getType()) {
    case capnp::DynamicValue::BOOL:
      return value.as<bool>() ? 1 : 0;
    case capnp::DynamicValue::INT:
      return static_cast<uint64_t>(value.as<int64_t>());
    case capnp::DynamicValue::UINT:
      return value.as<uint64_t>();
    default:
      return 0;
  }
}

capnp::DynamicValue::Reader of_type(capnp::Type type, uint64_t value) {
  switch (type.which()) {
    case capnp::schema::Type::BOOL:
      return (value & 1) != 0;
    case capnp::schema::Type::INT8:
      return static_cast<int8_t>(value);
    case capnp::schema::Type::INT16:
      return static_cast<int16_t>(value);
    case capnp::schema::Type::INT32:
      return static_cast<int32_t>(value);
    case capnp::schema::Type::INT64:
      return static_cast<int64_t>(value);
    case capnp::schema::Type::UINT8:
      return static_cast<uint8_t>(value);
    case capnp::schema::Type::UINT16:
      return static_cast<uint16_t>(value);
    case capnp::schema::Type::UINT32:
      return static_cast<uint32_t>(value);
    default:
      return value;
  }
}

capnp::Data::Reader to_data(const std::string& bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

}  // namespace

void Vocabulary::learn(capnp::DynamicStruct::Reader from, int depth) {
  if (depth > kDepthMax) return;
  if (from.getSchema() == capnp::Schema::from<wire::Handle>()) return;
  if (from.getSchema() == capnp::Schema::from<wire::Node>()) {
    auto node = from.as<wire::Node>();
    learn_handle(node.getHandle(), S_ISDIR(node.getAttr().getMode()));
  }
  for (auto field : from.getSchema().getFields()) {
    const std::string name = meaning_of(field.getProto().getName().cStr());
    capnp::Type type = field.getType();
    if (is_number(type)) {
      if (uint64_t value = to_number(from.get(field)); value != 0) remember(numbers_[name], value);
    } else if (type.isData()) {
      auto bytes = from.get(field).as<capnp::Data>();
      if (bytes.size() > 0) {
        remember(bytes_[name], std::string(reinterpret_cast<const char*>(bytes.begin()),
                                           std::min<size_t>(bytes.size(), 256)));
      }
    } else if (type.isStruct() && from.has(field)) {
      learn(from.get(field).as<capnp::DynamicStruct>(), depth + 1);
    } else if (type.isList() && type.asList().getElementType().isStruct() && from.has(field)) {
      auto list = from.get(field).as<capnp::DynamicList>();
      for (unsigned i = 0; i < std::min(list.size(), 8u); ++i) {
        learn(list[i].as<capnp::DynamicStruct>(), depth + 1);
      }
    }
  }
}

void Vocabulary::learn_handle(wire::Handle::Reader handle, bool is_dir) {
  if (handle.getIno() == 0) return;
  for (Handle& known : handles_) {
    if (known.ino == handle.getIno() && known.mac == handle.getMac()) return;
  }
  // The first one, of the root, stays.
  if (handles_.size() >= kRemembered) handles_.erase(handles_.begin() + 1);
  handles_.push_back(
      {.ino = handle.getIno(), .gen = handle.getGen(), .mac = handle.getMac(), .is_dir = is_dir});
}

uint64_t Vocabulary::newest(const std::string& field) const {
  auto it = numbers_.find(field);
  return it == numbers_.end() ? 0 : it->second.back();
}

std::string Vocabulary::newest_bytes(const std::string& field) const {
  auto it = bytes_.find(field);
  return it == bytes_.end() ? std::string() : it->second.back();
}

void Vocabulary::first_handle(wire::Handle::Builder to) const {
  if (handles_.empty()) return;
  Handle root = handles_.front();
  for (const Handle& known : handles_) {
    if (known.ino == root.ino) root = known;  // of a later session
  }
  to.setIno(root.ino);
  to.setGen(root.gen);
  to.setMac(root.mac);
}

uint64_t Vocabulary::slot_seq(uint16_t slot, Input& input) {
  uint64_t& seq = slot_seqs_[slot % slot_seqs_.size()];
  switch (input.byte()) {
    case 255:
      return seq;  // again
    case 254:
      return seq == 0 ? 0 : seq - 1;
    case 253:
      return seq += 1 + input.byte();
    case 252:
      return input.word();
    default:
      return ++seq;
  }
}

uint64_t Vocabulary::number(const std::string& field, Input& input) {
  const uint8_t kind = input.byte();
  if (kind < 96) {
    auto it = numbers_.find(meaning_of(field));
    if (it != numbers_.end()) return it->second[kind % it->second.size()];
    return kind % 16;
  }
  if (kind < 160) return kind - 96;
  if (kind < 208) return kBoundaries[input.below(std::size(kBoundaries))];
  if (kind < 232) return input.byte() | static_cast<uint64_t>(input.byte()) << 8;
  if (kind < 244) return uint64_t{1} << (input.byte() % 64);
  return input.word();
}

std::string Vocabulary::data(const std::string& field, Input& input) {
  const uint8_t kind = input.byte();
  const bool is_name =
      field == "name" || field == "oldName" || field == "newName" || field == "names";
  if (is_name && kind < 224) return kNames[kind % std::size(kNames)];
  if (field == "client" && kind < 224) return std::string(16, static_cast<char>('A' + kind % 4));
  if (field == "export" && kind < 224) return kind < 160 ? "" : kNames[kind % 4];
  if (kind < 160) {
    auto it = bytes_.find(meaning_of(field));
    if (it != bytes_.end()) return it->second[kind % it->second.size()];
  }
  if (kind < 200) return std::string(kind, 'x');
  if (kind < 232) return input.bytes(input.byte());
  if (kind < 248) return std::string(kBoundaries[1 + input.below(5)], 'y');
  return std::string(300'000, 'z');
}

void Vocabulary::set_number(capnp::DynamicStruct::Builder to, capnp::StructSchema::Field field,
                            uint64_t value) {
  to.set(field, of_type(field.getType(), value));
}

void Vocabulary::fill_op(capnp::DynamicStruct::Builder to, Input& input) {
  auto op = to.as<wire::Op>();
  uint64_t epoch = newest("epoch");
  op.setEpoch(input.rarely() ? number("epoch", input) : epoch);
  auto slot = static_cast<uint16_t>(2 + input.byte() % 4);
  if (input.rarely()) slot = static_cast<uint16_t>(number("slot", input));
  op.setSlot(slot);
  op.setSlotSeq(slot_seq(slot, input));
}

void Vocabulary::fill_handle(wire::Handle::Builder to, bool of_dir, Input& input) {
  Handle value;
  const uint8_t which = input.byte();
  std::vector<Handle> fit;
  for (const Handle& known : handles_) {
    if (known.is_dir == of_dir) fit.push_back(known);
  }
  const std::vector<Handle>& from = fit.empty() || which >= 224 ? handles_ : fit;
  if (!from.empty()) value = from[from.size() - 1 - which % from.size()];
  switch (input.byte()) {
    case 255:
      value.mac ^= 1;
      break;
    case 254:
      value.gen += 1;
      break;
    case 253:
      value.ino = number("ino", input);
      break;
    case 252:
      value = {};
      break;
    default:
      break;
  }
  to.setIno(value.ino);
  to.setGen(value.gen);
  to.setMac(value.mac);
}

void Vocabulary::fill_cred(capnp::DynamicStruct::Builder to, Input& input) {
  auto cred = to.as<wire::Cred>();
  uint8_t kind = input.byte();
  cred.setUid(kUids[kind % std::size(kUids)]);
  cred.setGid(kUids[kind / 8 % std::size(kUids)]);
  if (kind >= 250) {
    auto groups = cred.initGroups(kind == 255 ? 70'000 : 20);
    for (unsigned i = 0; i < groups.size(); ++i) groups.set(i, i * 7);
  }
}

void Vocabulary::fill_list(capnp::DynamicStruct::Builder to, capnp::StructSchema::Field field,
                           Input& input, int depth) {
  capnp::Type element = field.getType().asList().getElementType();
  const std::string name = field.getProto().getName().cStr();
  unsigned size = input.byte() % 4;
  if (input.rarely()) size = input.below(300);
  auto list = to.init(field, size).as<capnp::DynamicList>();
  for (unsigned i = 0; i < size; ++i) {
    if (is_number(element)) {
      list.set(i, of_type(element, number(name, input)));
    } else if (element.isData()) {
      std::string bytes = data(name, input);
      list.set(i, to_data(bytes));
    } else if (element.isStruct()) {
      fill(list[i].as<capnp::DynamicStruct>(), input, depth + 1);
    }
  }
}

void Vocabulary::fill_field(capnp::DynamicStruct::Builder to, capnp::StructSchema::Field field,
                            Input& input, int depth) {
  const std::string name = field.getProto().getName().cStr();
  capnp::Type type = field.getType();
  if (is_number(type)) {
    set_number(to, field, number(name, input));
  } else if (type.isData()) {
    std::string bytes = data(name, input);
    to.set(field, to_data(bytes));
  } else if (type.isText()) {
    to.set(field, input.sometimes() ? "why not" : "");
  } else if (type.isStruct() && type.asStruct() == capnp::Schema::from<wire::Handle>()) {
    const bool of_dir = name == "dir" || name == "oldDir" || name == "newDir";
    fill_handle(to.init(field).as<capnp::DynamicStruct>().as<wire::Handle>(), of_dir, input);
  } else if (type.isStruct()) {
    fill(to.init(field).as<capnp::DynamicStruct>(), input, depth + 1);
  } else if (type.isList()) {
    fill_list(to, field, input, depth);
  } else if (type.isInterface() && !input.rarely()) {
    to.set(field, capnp::Capability::Client(KJ_EXCEPTION(FAILED, "none"))
                      .castAs<capnp::DynamicCapability>(type.asInterface()));
  }
}

void Vocabulary::fill(capnp::DynamicStruct::Builder to, Input& input, int depth) {
  if (depth > kDepthMax) return;
  auto schema = to.getSchema();
  if (schema == capnp::Schema::from<wire::Op>()) return fill_op(to, input);
  if (schema == capnp::Schema::from<wire::Handle>())
    return fill_handle(to.as<wire::Handle>(), false, input);
  if (schema == capnp::Schema::from<wire::Cred>()) return fill_cred(to, input);
  for (auto field : schema.getFields()) fill_field(to, field, input, depth);
}

void Vocabulary::distort(capnp::DynamicStruct::Builder to, Input& input, int depth) {
  auto fields = to.getSchema().getFields();
  if (fields.size() == 0) return;
  auto field = fields[input.byte() % fields.size()];
  capnp::Type type = field.getType();
  if (type.isStruct() && to.has(field) && depth < kDepthMax && !input.rarely()) {
    return distort(to.get(field).as<capnp::DynamicStruct>(), input, depth + 1);
  }
  if (type.isList() && type.asList().getElementType().isStruct() && to.has(field) &&
      depth < kDepthMax && !input.rarely()) {
    auto list = to.get(field).as<capnp::DynamicList>();
    if (list.size() > 0) {
      return distort(list[input.byte() % list.size()].as<capnp::DynamicStruct>(), input, depth + 1);
    }
  }
  if (input.rarely()) return to.clear(field);
  fill_field(to, field, input, depth);
}

}  // namespace myfs::fuzz
