#include "tests/fuzz/hostile_client.h"

#include <capnp/any.h>
#include <capnp/dynamic.h>
#include <capnp/message.h>

#include <cstdio>
#include <cstring>

#include "myfs/myfs.capnp.h"
#include "sdk/base/limits.h"

namespace myfs::fuzz {
namespace {

constexpr uint32_t kCallbackExport = 5;
constexpr uint16_t kLogin = 1, kBind = 2, kAttachData = 3;  // of Bootstrap
constexpr uint16_t kMeta = 0, kAck = 3;                     // of Session

// By errno, -1: an exception.
std::map<std::string, std::map<int, int>> g_answers;

void count_answer(capnp::InterfaceSchema::Method method, capnp::rpc::Return::Reader answer) {
  const std::string name = method.getProto().getName().cStr();
  if (answer.isException()) ++g_answers[name][-1];
  if (!answer.isResults()) return;
  auto results =
      answer.getResults().getContent().getAs<capnp::DynamicStruct>(method.getResultType());
  if (results.getSchema().findFieldByName("reply") != nullptr)
    results = results.get("reply").as<capnp::DynamicStruct>();
  if (results.getSchema().findFieldByName("errno") != nullptr)
    ++g_answers[name][results.get("errno").as<int>()];
}

kj::Array<capnp::word> copy_of(kj::ArrayPtr<const capnp::word> words) {
  auto copy = kj::heapArray<capnp::word>(words.size());
  if (words.size() > 0) std::memcpy(copy.begin(), words.begin(), words.asBytes().size());
  return copy;
}

}  // namespace

HostileClient::HostileClient(MemoryWire& wire, Vocabulary& vocabulary)
    : wire_(wire), vocabulary_(vocabulary) {
  capnp::MallocMessageBuilder message;
  message.initRoot<capnp::rpc::Message>().initBootstrap().setQuestionId(0);
  questions_[0] = Question{};
  send(message);
}

capnp::InterfaceSchema HostileClient::schema_of(Kind kind) {
  switch (kind) {
    case kSession:
      return capnp::Schema::from<wire::Session>();
    case kMetadata:
      return capnp::Schema::from<wire::MetadataService>();
    case kData:
      return capnp::Schema::from<wire::DataService>();
    default:
      return capnp::Schema::from<wire::Bootstrap>();
  }
}

void HostileClient::send(capnp::MessageBuilder& message) {
  auto words = capnp::messageToFlatArray(message);
  if (said_.size() >= kRemembered) said_.erase(said_.begin());
  said_.push_back(copy_of(words));
  wire_.to_stream.push_back(kj::mv(words));
}

void HostileClient::begin_call(capnp::rpc::Call::Builder call, Kind kind, uint16_t method) {
  uint32_t id = next_question_++;
  questions_[id] = Question{.kind = kind, .method = method, .asked = true};
  call.setQuestionId(id);
  call.setInterfaceId(schema_of(kind).getProto().getId());
  call.setMethodId(method);
}

void HostileClient::target(capnp::rpc::MessageTarget::Builder to, Kind kind, Input& input) {
  uint8_t choice = input.byte();
  if (choice >= 248) {
    auto promised = to.initPromisedAnswer();
    promised.setQuestionId(choice >= 252 ? input.below(next_question_ + 2) : 0);
    auto transform = promised.initTransform(input.byte() % 3);
    for (auto op : transform) op.setGetPointerField(input.byte() % 8);
  } else if (choice >= 244) {
    to.setImportedCap(input.byte());
  } else {
    Kind of = choice >= 240 ? static_cast<Kind>(input.byte() % kKinds) : kind;
    to.setImportedCap(exports_[of].empty() ? 0 : exports_[of][choice % exports_[of].size()]);
  }
}

void HostileClient::describe(capnp::rpc::CapDescriptor::Builder to, Input& input) {
  switch (input.byte()) {
    case 255:
      to.setNone();
      break;
    case 254:
      to.setReceiverHosted(input.byte());
      break;
    case 253:
      to.initReceiverAnswer().setQuestionId(input.byte());
      break;
    case 252:
      to.setSenderPromise(input.byte());
      break;
    case 251:
      to.initThirdPartyHosted().setVineId(1);
      break;
    default:
      to.setSenderHosted(kCallbackExport);
  }
}

void HostileClient::call(Kind kind, uint16_t method, Input& input, bool anywhere) {
  capnp::MallocMessageBuilder message;
  auto call = message.initRoot<capnp::rpc::Message>().initCall();
  begin_call(call, kind, method);
  if (anywhere) {
    target(call.initTarget(), kind, input);
  } else {
    call.initTarget().setImportedCap(exports_[kind].empty() ? 0 : exports_[kind].back());
  }
  auto payload = call.initParams();
  capnp::BuilderCapabilityTable table;
  auto schema = schema_of(kind).getMethods()[method].getParamType();
  auto params = table.imbue(payload.getContent()).initAs<capnp::DynamicStruct>(schema);
  vocabulary_.fill(params, input);
  auto descriptors = payload.initCapTable(static_cast<unsigned>(table.getTable().size()));
  for (auto descriptor : descriptors) describe(descriptor, input);
  send(message);
}

void HostileClient::log_in(char client, uint32_t uid) {
  capnp::MallocMessageBuilder message;
  auto call = message.initRoot<capnp::rpc::Message>().initCall();
  begin_call(call, kBootstrap, kLogin);
  call.initTarget().setImportedCap(exports_[kBootstrap].empty() ? 0 : exports_[kBootstrap][0]);
  auto payload = call.initParams();
  capnp::BuilderCapabilityTable table;
  auto login = table.imbue(payload.getContent()).initAs<wire::Bootstrap::LoginParams>();
  auto uuid = login.initClient(16);
  std::memset(uuid.begin(), client, uuid.size());
  login.initCred().setUid(uid);
  login.setCallback(
      capnp::Capability::Client(KJ_EXCEPTION(FAILED, "none")).castAs<wire::ClientCallback>());
  payload.initCapTable(1)[0].setSenderHosted(kCallbackExport);
  send(message);
}

void HostileClient::ask_for_metadata() {
  Input none(nullptr, 0);
  call(kSession, kMeta, none, false);
}

void HostileClient::attach_data() {
  capnp::MallocMessageBuilder message;
  auto call = message.initRoot<capnp::rpc::Message>().initCall();
  begin_call(call, kBootstrap, kAttachData);
  call.initTarget().setImportedCap(exports_[kBootstrap].empty() ? 0 : exports_[kBootstrap][0]);
  auto attach = call.initParams().getContent().initAs<wire::Bootstrap::AttachDataParams>();
  attach.setSessionId(vocabulary_.newest("sessionId"));
  const std::string token = vocabulary_.newest_bytes("dataToken");
  attach.setToken({reinterpret_cast<const kj::byte*>(token.data()), token.size()});
  send(message);
}

void HostileClient::look_up(const std::vector<std::string>& names) {
  capnp::MallocMessageBuilder message;
  auto call = message.initRoot<capnp::rpc::Message>().initCall();
  begin_call(call, kMetadata, 0);
  call.initTarget().setImportedCap(exports_[kMetadata].empty() ? 0 : exports_[kMetadata].back());
  auto look_up = call.initParams().getContent().initAs<wire::MetadataService::LookupParams>();
  vocabulary_.first_handle(look_up.initDir());
  auto list = look_up.initNames(static_cast<unsigned>(names.size()));
  for (unsigned i = 0; i < names.size(); ++i) {
    list.set(i, {reinterpret_cast<const kj::byte*>(names[i].data()), names[i].size()});
  }
  send(message);
}

// As it should be, or nearly.
void HostileClient::acknowledge(Input& input) {
  capnp::MallocMessageBuilder message;
  auto call = message.initRoot<capnp::rpc::Message>().initCall();
  begin_call(call, kSession, kAck);
  call.initTarget().setImportedCap(exports_[kSession].empty() ? 0 : exports_[kSession].back());
  auto ack = call.initParams().getContent().initAs<wire::Session::AckParams>();
  if (input.rarely()) vocabulary_.fill(ack, input);
  ack.setRecallId(vocabulary_.newest("recallId"));
  ack.setIno(vocabulary_.newest("ino"));
  ack.setSeq(vocabulary_.newest("seq"));
  ack.setKept(input.sometimes() ? input.byte() : 0);
  send(message);
}

void HostileClient::answer(Input& input) {
  capnp::MallocMessageBuilder message;
  auto answer = message.initRoot<capnp::rpc::Message>().initReturn();
  uint32_t id = asked_.empty() ? input.byte() : input.pick(asked_);
  answer.setAnswerId(id);
  answer.setReleaseParamCaps(input.sometimes());
  switch (input.byte() % 8) {
    case 0:
      answer.initException().setReason("no");
      answer.getException().setType(static_cast<capnp::rpc::Exception::Type>(input.byte() % 4));
      break;
    case 1:
      answer.setCanceled();
      break;
    case 2:
      answer.setTakeFromOtherQuestion(input.byte());
      break;
    case 3:
      answer.setResultsSentElsewhere();
      break;
    default: {
      auto results = answer.initResults();
      if (input.rarely()) describe(results.initCapTable(1)[0], input);
    }
  }
  send(message);
}

// What Cap'n Proto's peers say among themselves.
void HostileClient::say_low_level(Input& input) {
  capnp::MallocMessageBuilder message;
  auto root = message.initRoot<capnp::rpc::Message>();
  switch (input.byte() % 8) {
    case 0:
    case 1: {
      auto finish = root.initFinish();
      finish.setQuestionId(input.below(next_question_ + 2));
      finish.setReleaseResultCaps(input.sometimes());
      break;
    }
    case 2: {
      auto release = root.initRelease();
      release.setId(input.byte() % 16);
      release.setReferenceCount(input.rarely() ? static_cast<uint32_t>(input.word()) : 1);
      break;
    }
    case 3: {
      auto disembargo = root.initDisembargo();
      target(disembargo.initTarget(), kSession, input);
      if (input.sometimes()) {
        disembargo.getContext().setSenderLoopback(input.byte());
      } else {
        disembargo.getContext().setReceiverLoopback(input.byte());
      }
      break;
    }
    case 4: {
      auto resolve = root.initResolve();
      resolve.setPromiseId(input.byte() % 16);
      describe(resolve.initCap(), input);
      break;
    }
    case 5:
      root.initBootstrap().setQuestionId(input.byte());
      break;
    case 6:
      root.initUnimplemented().initAbort().setReason("?");
      break;
    default:
      if (input.rarely())
        root.initAbort().setReason("enough");
      else
        root.initFinish().setQuestionId(next_question_ - 1);
  }
  send(message);
}

// One of the last messages: as it was, cut off, or with bytes changed.
void HostileClient::say_again(Input& input) {
  if (said_.empty()) return;
  kj::ArrayPtr<const capnp::word> old = said_[said_.size() - 1 - input.byte() % said_.size()];
  uint8_t how = input.byte();
  size_t words = old.size();
  if (how >= 160 && how < 192) words = input.below(static_cast<uint32_t>(words + 1));
  auto message = copy_of(old.slice(0, words));
  auto bytes = message.asBytes();
  for (unsigned i = 0; how >= 192 && i < how % 4 + 1u && bytes.size() > 0; ++i) {
    bytes[input.below(static_cast<uint32_t>(std::min<size_t>(bytes.size(), 65536)))] = input.byte();
  }
  wire_.to_stream.push_back(kj::mv(message));
}

void HostileClient::say_anything(Input& input) {
  std::string bytes = input.bytes(8 + 8 * (input.byte() % 32));
  auto words = kj::heapArray<capnp::word>(1 + (bytes.size() + 7) / 8);
  std::memset(words.begin(), 0, words.asBytes().size());
  auto size = static_cast<uint32_t>(words.size() - 1);
  std::memcpy(words.asBytes().begin() + 4, &size, sizeof size);  // one segment
  std::memcpy(words.begin() + 1, bytes.data(), bytes.size());
  wire_.to_stream.push_back(kj::mv(words));
}

// A method of an interface, or, where the connection has no capability of that, of one that it has.
void HostileClient::call_some(Kind kind, uint8_t choice, Input& input) {
  if (exports_[kind].empty() && !input.rarely()) {
    for (Kind other : {kData, kMetadata, kSession, kBootstrap}) {
      if (exports_[other].empty()) continue;
      kind = other;
      break;
    }
  }
  call(kind, static_cast<uint16_t>(choice % schema_of(kind).getMethods().size()), input, true);
}

void HostileClient::act(Input& input) {
  uint8_t choice = input.byte();
  if (choice < 96) {
    call_some(kMetadata, choice, input);
  } else if (choice < 152) {
    call_some(kData, choice, input);
  } else if (choice < 176) {
    call_some(kSession, choice, input);
  } else if (choice < 192) {
    call_some(kBootstrap, choice, input);
  } else if (choice < 208) {
    acknowledge(input);
  } else if (choice < 218) {
    answer(input);
  } else if (choice < 232) {
    say_low_level(input);
  } else if (choice < 248) {
    say_again(input);
  } else if (choice < 254) {
    say_anything(input);
  } else {
    wire_.hung_up = true;
  }
}

void HostileClient::hear() {
  while (!wire_.from_stream.empty()) {
    auto words = kj::mv(wire_.from_stream.front());
    wire_.from_stream.pop_front();
    capnp::ReaderOptions options;
    options.traversalLimitInWords = UINT64_MAX;
    capnp::FlatArrayMessageReader message(words, options);
    auto root = message.getRoot<capnp::rpc::Message>();
    if (root.isReturn()) hear_return(root.getReturn());
    if (root.isCall()) hear_call(root.getCall());
  }
}

void HostileClient::hear_return(capnp::rpc::Return::Reader answer) {
  auto it = questions_.find(answer.getAnswerId());
  if (it == questions_.end()) return;
  const Question question = it->second;
  if (question.asked) count_answer(schema_of(question.kind).getMethods()[question.method], answer);
  if (!answer.isResults()) return;
  auto payload = answer.getResults();
  Kind gives = kKinds;
  if (!question.asked) gives = kBootstrap;
  if (question.asked && question.kind == kBootstrap && question.method == kAttachData)
    gives = kData;
  if (question.asked && question.kind == kBootstrap &&
      (question.method == kLogin || question.method == kBind))
    gives = kSession;
  if (question.asked && question.kind == kSession && question.method == kMeta) gives = kMetadata;
  for (auto descriptor : payload.getCapTable()) {
    if (gives == kKinds || !descriptor.isSenderHosted()) continue;
    exports_[gives].push_back(descriptor.getSenderHosted());
  }
  if (!question.asked) return;
  auto schema = schema_of(question.kind).getMethods()[question.method].getResultType();
  vocabulary_.learn(payload.getContent().getAs<capnp::DynamicStruct>(schema));
}

void HostileClient::tell_answers() {
  for (const auto& [method, errors] : g_answers) {
    std::fprintf(stderr, "%-16s", method.c_str());
    for (const auto& [error, count] : errors) std::fprintf(stderr, " %d:%d", error, count);
    std::fprintf(stderr, "\n");
  }
}

void HostileClient::hear_call(capnp::rpc::Call::Reader call) {
  if (asked_.size() >= kRemembered) asked_.erase(asked_.begin());
  asked_.push_back(call.getQuestionId());
  capnp::InterfaceSchema schema = capnp::Schema::from<wire::ClientCallback>();
  if (call.getMethodId() >= schema.getMethods().size()) return;
  vocabulary_.learn(call.getParams().getContent().getAs<capnp::DynamicStruct>(
      schema.getMethods()[call.getMethodId()].getParamType()));
}

}  // namespace myfs::fuzz
