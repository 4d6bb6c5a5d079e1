// Json: results as JSON texts (RFC 8259). Names and values in a file system are bytes: what is no
// UTF-8 goes in base64 under the key "KEY_base64" in place of "KEY", so that nothing is lost.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shell {

class Output;

bool is_utf8(std::string_view bytes);
std::string base64(std::string_view bytes);
// With its quotes. Precondition: UTF-8.
std::string json_string(std::string_view text);

class JsonObject {
 public:
  JsonObject& add(std::string_view key, std::string_view bytes);
  JsonObject& add(std::string_view key, const char* bytes) {
    return add(key, std::string_view(bytes));
  }
  JsonObject& add(std::string_view key, uint64_t number);
  JsonObject& add(std::string_view key, bool value);
  // A JSON text as it is.
  JsonObject& add_json(std::string_view key, std::string_view json);
  std::string text() const { return "{" + members_ + "}"; }

 private:
  std::string members_;
};

// An array that is printed as it grows, one element a line; the end comes with the destructor.
class JsonArray {
 public:
  explicit JsonArray(Output& out);
  ~JsonArray();
  JsonArray(const JsonArray&) = delete;
  JsonArray& operator=(const JsonArray&) = delete;
  bool add(const JsonObject& element);

 private:
  Output& out_;
  bool first_ = true;
};

}  // namespace shell
