// Vocabulary: what one has heard in a session, and what one makes of it: arguments that are right,
// nearly right, or nonsense, for any struct of the protocol.
// Kernel counterpart: none (syzkaller's resources are the nearest).
// Thread safety: one thread.
// Owns / is owned by: owned by a hostile peer.
// Invariants: (1) the same calls in the same order give the same messages; (2) it remembers a
// bounded number of values of each field.
#pragma once

#include <capnp/dynamic.h>
#include <capnp/schema.h>

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "myfs/myfs.capnp.h"
#include "tests/fuzz/input.h"

namespace myfs::fuzz {

class Vocabulary {
 public:
  // Remembers the numbers, byte strings and handles of a message, under the names of its fields.
  void learn(capnp::DynamicStruct::Reader from, int depth = 0);
  // Sets every field. Capabilities are set to a broken one, or left out.
  void fill(capnp::DynamicStruct::Builder to, Input& input, int depth = 0);
  // Changes one field somewhere below.
  void distort(capnp::DynamicStruct::Builder to, Input& input, int depth = 0);

  // The newest value of a field; 0 or empty: none was seen.
  uint64_t newest(const std::string& field) const;
  std::string newest_bytes(const std::string& field) const;
  // Of what the session began with.
  void first_handle(wire::Handle::Builder to) const;
  // The next number of a slot, or one that it should not be.
  uint64_t slot_seq(uint16_t slot, Input& input);

 private:
  static constexpr size_t kRemembered = 12;
  struct Handle {
    uint64_t ino = 0;
    uint32_t gen = 0;
    uint64_t mac = 0;
    bool is_dir = false;
  };

  uint64_t number(const std::string& field, Input& input);
  std::string data(const std::string& field, Input& input);
  void fill_field(capnp::DynamicStruct::Builder to, capnp::StructSchema::Field field, Input& input,
                  int depth);
  void fill_struct(capnp::DynamicStruct::Builder to, Input& input, int depth);
  void fill_list(capnp::DynamicStruct::Builder to, capnp::StructSchema::Field field, Input& input,
                 int depth);
  void fill_op(capnp::DynamicStruct::Builder to, Input& input);
  void learn_handle(wire::Handle::Reader handle, bool is_dir);
  // Mostly of a directory where one is wanted, else of something else.
  void fill_handle(wire::Handle::Builder to, bool of_dir, Input& input);
  void fill_cred(capnp::DynamicStruct::Builder to, Input& input);
  static void set_number(capnp::DynamicStruct::Builder to, capnp::StructSchema::Field field,
                         uint64_t value);
  template <typename T>
  static void remember(std::vector<T>& where, T value) {
    if (where.size() >= kRemembered) where.erase(where.begin());
    where.push_back(std::move(value));
  }

  std::map<std::string, std::vector<uint64_t>> numbers_;
  std::map<std::string, std::vector<std::string>> bytes_;
  std::vector<Handle> handles_;
  std::array<uint64_t, 66> slot_seqs_{};
};

}  // namespace myfs::fuzz
