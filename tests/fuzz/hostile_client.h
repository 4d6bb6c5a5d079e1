// HostileClient: one connection to a server, over which anything is said: calls of any method with
// arguments right and wrong, the messages of Cap'n Proto's own level, old messages again.
// Kernel counterpart: none.
// Thread safety: one thread.
// Owns / is owned by: owned by the target; borrows the vocabulary, which several may share, so that
// one says what another has heard.
#pragma once

#include <capnp/rpc.capnp.h>
#include <capnp/schema.h>

#include <array>
#include <map>
#include <string>
#include <vector>

#include "tests/fuzz/input.h"
#include "tests/fuzz/memory_stream.h"
#include "tests/fuzz/vocabulary.h"

namespace myfs::fuzz {

class HostileClient {
 public:
  HostileClient(MemoryWire& wire, Vocabulary& vocabulary);

  // Sends one message, or hangs up.
  void act(Input& input);
  // Reads what has come: learns, and remembers what it was asked.
  void hear();

  // The beginning of an honest session: each needs the answer to the one before to have been heard.
  void log_in(char client, uint32_t uid);
  void ask_for_metadata();
  void attach_data();
  void look_up(const std::vector<std::string>& names);

  // What the server has answered to all clients of the process, for people.
  static void tell_answers();

 private:
  enum Kind : uint8_t { kBootstrap, kSession, kMetadata, kData, kKinds };
  struct Question {
    Kind kind = kBootstrap;
    uint16_t method = 0;
    bool asked = false;
  };

  static capnp::InterfaceSchema schema_of(Kind kind);
  void send(capnp::MessageBuilder& message);
  void call(Kind kind, uint16_t method, Input& input, bool anywhere);
  void call_some(Kind kind, uint8_t choice, Input& input);
  void begin_call(capnp::rpc::Call::Builder call, Kind kind, uint16_t method);
  void target(capnp::rpc::MessageTarget::Builder to, Kind kind, Input& input);
  void describe(capnp::rpc::CapDescriptor::Builder to, Input& input);
  void acknowledge(Input& input);
  void answer(Input& input);
  void say_low_level(Input& input);
  void say_again(Input& input);
  void say_anything(Input& input);
  void hear_return(capnp::rpc::Return::Reader answer);
  void hear_call(capnp::rpc::Call::Reader call);

  static constexpr size_t kRemembered = 32;

  MemoryWire& wire_;
  Vocabulary& vocabulary_;
  uint32_t next_question_ = 1;
  std::map<uint32_t, Question> questions_;
  std::array<std::vector<uint32_t>, kKinds> exports_;  // the server's, of each kind
  std::vector<uint32_t> asked_;                        // questions of the server
  std::vector<kj::Array<capnp::word>> said_;
};

}  // namespace myfs::fuzz
