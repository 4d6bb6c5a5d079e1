#include "cli/shell/text/json.h"

#include <cstdio>

#include "cli/shell/run/output.h"

namespace shell {
namespace {

// Bytes of the UTF-8 character that `text` begins with; 0: none.
size_t utf8_length(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates and what lies beyond Unicode.
  bool wrong = (lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) > 0x9f) ||
               (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) > 0x8f);
  return wrong ? 0 : length;
}

}  // namespace

bool is_utf8(std::string_view bytes) {
  while (!bytes.empty()) {
    size_t length = utf8_length(bytes);
    if (length == 0) return false;
    bytes.remove_prefix(length);
  }
  return true;
}

std::string base64(std::string_view bytes) {
  static constexpr char kDigits[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0u);
    }
    for (size_t j = 0; j < 4; ++j) {
      text.push_back(i + j > bytes.size() ? '=' : kDigits[group >> (18 - 6 * j) & 63]);
    }
  }
  return text;
}

std::string json_string(std::string_view text) {
  std::string result = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') {
      result.push_back('\\');
      result.push_back(c);
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
      result += escape;
    } else {
      result.push_back(c);
    }
  }
  return result + "\"";
}

JsonObject& JsonObject::add_json(std::string_view key, std::string_view json) {
  if (!members_.empty()) members_ += ",";
  members_.append(json_string(key)).append(":").append(json);
  return *this;
}

JsonObject& JsonObject::add(std::string_view key, std::string_view bytes) {
  if (is_utf8(bytes)) return add_json(key, json_string(bytes));
  return add_json(std::string(key) + "_base64", json_string(base64(bytes)));
}

JsonObject& JsonObject::add(std::string_view key, uint64_t number) {
  return add_json(key, std::to_string(number));
}

JsonObject& JsonObject::add(std::string_view key, bool value) {
  return add_json(key, value ? "true" : "false");
}

JsonArray::JsonArray(Output& out) : out_(out) { out_.write("["); }

JsonArray::~JsonArray() { out_.write(first_ ? "]\n" : "\n]\n"); }

bool JsonArray::add(const JsonObject& element) {
  out_.write(first_ ? "\n" : ",\n");
  first_ = false;
  return out_.write(element.text());
}

}  // namespace shell
