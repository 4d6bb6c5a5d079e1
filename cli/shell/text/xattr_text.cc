#include "cli/shell/text/xattr_text.h"

#include <cctype>
#include <cstdio>

#include "cli/shell/text/json.h"

namespace shell {
namespace {

bool mostly_printable(std::string_view value) {
  size_t others = 0;
  for (char c : value) {
    if (std::isprint(static_cast<unsigned char>(c)) == 0) ++others;
  }
  return value.size() >= others * 8;
}

std::string quoted(std::string_view value) {
  std::string text = "\"";
  for (char c : value) {
    if (c == '"' || c == '\\') {
      text.push_back('\\');
      text.push_back(c);
    } else if (c == '\n' || c == '\r' || c == '\0') {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\%03o", static_cast<unsigned>(c));
      text += escape;
    } else {
      text.push_back(c);
    }
  }
  return text + "\"";
}

std::string hex(std::string_view value) {
  std::string text = "0x";
  for (char c : value) {
    char digits[4];
    std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(c));
    text += digits;
  }
  return text;
}

bool is_octal(char c) { return c >= '0' && c <= '7'; }

std::string unquoted(std::string_view text) {
  std::string value;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      value.push_back(text[i]);
    } else if (i + 3 < text.size() && is_octal(text[i + 1]) && is_octal(text[i + 2]) &&
               is_octal(text[i + 3])) {
      value.push_back(static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                                        (text[i + 3] - '0')));
      i += 3;
    } else {
      value.push_back(text[++i]);
    }
  }
  return value;
}

int digit(char c, int base) {
  int value = 99;
  if (c >= '0' && c <= '9') value = c - '0';
  if (c >= 'a' && c <= 'f') value = c - 'a' + 10;
  if (c >= 'A' && c <= 'F') value = c - 'A' + 10;
  return value < base ? value : -1;
}

std::optional<std::string> from_hex(std::string_view text) {
  std::string value;
  if (text.size() % 2 != 0) return std::nullopt;
  for (size_t i = 0; i < text.size(); i += 2) {
    int high = digit(text[i], 16), low = digit(text[i + 1], 16);
    if (high < 0 || low < 0) return std::nullopt;
    value.push_back(static_cast<char>(high * 16 + low));
  }
  return value;
}

int base64_digit(char c) {
  if (c >= 'A' && c <= 'Z') return c - 'A';
  if (c >= 'a' && c <= 'z') return c - 'a' + 26;
  if (c >= '0' && c <= '9') return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

std::optional<std::string> from_base64(std::string_view text) {
  std::string value;
  unsigned bits = 0, count = 0;
  size_t padding = 0;
  if (text.size() % 4 != 0) return std::nullopt;
  for (char c : text) {
    if (c == '=') {
      ++padding;
      continue;
    }
    int part = base64_digit(c);
    if (part < 0 || padding > 0) return std::nullopt;
    bits = bits << 6 | static_cast<unsigned>(part);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    value.push_back(static_cast<char>(bits >> count & 0xff));
  }
  if (padding > 2) return std::nullopt;
  return value;
}

}  // namespace

std::string encode_value(std::string_view value, XattrEncoding encoding) {
  if (encoding == XattrEncoding::kAuto) {
    encoding = mostly_printable(value) ? XattrEncoding::kText : XattrEncoding::kBase64;
  }
  if (encoding == XattrEncoding::kText) return quoted(value);
  return encoding == XattrEncoding::kHex ? hex(value) : "0s" + base64(value);
}

std::optional<std::string> decode_value(std::string_view text) {
  std::string_view start = text.substr(0, 2);
  if (start == "0x" || start == "0X") return from_hex(text.substr(2));
  if (start == "0s" || start == "0S") return from_base64(text.substr(2));
  bool is_quoted = text.size() >= 2 && text.front() == '"' && text.back() == '"';
  return is_quoted ? unquoted(text.substr(1, text.size() - 2)) : std::string(text);
}

}  // namespace shell
