// The text of acl(5), as setfacl(1) takes it.

#include <optional>
#include <utility>

#include "cli/shell/text/acl.h"
#include "cli/shell/text/format.h"

namespace shell {
namespace {

std::string trimmed(const std::string& text) {
  size_t first = text.find_first_not_of(" \t");
  return first == std::string::npos ? ""
                                    : text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  size_t at = 0;
  for (size_t end; (end = text.find(separator, at)) != std::string::npos; at = end + 1) {
    parts.push_back(trimmed(text.substr(at, end - at)));
  }
  parts.push_back(trimmed(text.substr(at)));
  return parts;
}

// "u" and "user" are the same.
bool is(const std::string& word, const std::string& name) {
  return word == name || word == name.substr(0, 1);
}

// "rw", "r-x", "-", "rX", "6".
bool take_permissions(const std::string& text, AclEntry* entry) {
  if (text.size() == 1 && text[0] >= '0' && text[0] <= '7') {
    entry->permissions = static_cast<uint16_t>(text[0] - '0');
    return true;
  }
  for (char c : text) {
    if (c == 'X') {
      entry->conditional_execute = true;
    } else if (c != '-') {
      size_t bit = std::string_view("xwr").find(c);
      if (bit == std::string_view::npos) return false;
      entry->permissions |= static_cast<uint16_t>(1u << bit);
    }
  }
  return !text.empty();
}

// The tag and id of "user", "joe".
bool take_subject(const std::string& kind, const std::string& name, AclEntry* entry) {
  if (is(kind, "user")) {
    entry->tag = name.empty() ? AclTag::kUserObj : AclTag::kUser;
    return name.empty() || parse_user(name, &entry->id);
  }
  if (is(kind, "group")) {
    entry->tag = name.empty() ? AclTag::kGroupObj : AclTag::kGroup;
    return name.empty() || parse_group(name, &entry->id);
  }
  entry->tag = is(kind, "mask") ? AclTag::kMask : AclTag::kOther;
  return name.empty() && (is(kind, "mask") || is(kind, "other"));
}

std::optional<AclChange> parse_entry(const std::string& text, bool with_permissions) {
  std::vector<std::string> parts = split(text, ':');
  AclChange change{false, {AclTag::kOther, 0}};
  if (parts.size() > 1 && is(parts[0], "default")) {
    change.of_default = true;
    parts.erase(parts.begin());
  }
  // "joe:rw" is short for "user:joe:rw", "other:r" for "other::r".
  const std::string& kind = parts[0];
  bool other = is(kind, "mask") || is(kind, "other");
  if (with_permissions && other && parts.size() == 2) parts.insert(parts.begin() + 1, "");
  if (with_permissions) {
    if (parts.size() != 3 || !take_permissions(parts[2], &change.entry)) return std::nullopt;
  } else {
    while (parts.size() > 1 && parts.back().empty()) parts.pop_back();
    if (parts.size() > 2) return std::nullopt;
    parts.resize(2);
  }
  if (!take_subject(parts[0], parts[1], &change.entry)) return std::nullopt;
  return change;
}

}  // namespace

bool parse_acl(const std::string& text, bool with_permissions, std::vector<AclChange>* changes,
               std::string* error) {
  for (const std::string& part : split(text, ',')) {
    if (part.empty()) continue;
    auto change = parse_entry(part, with_permissions);
    if (!change) {
      *error = part + (with_permissions ? ": must be like u:NAME:rwx, g::r, m::rx, o::-, d:u:NAME:r"
                                        : ": must be like u:NAME, g:NAME, m, d:u:NAME");
      return false;
    }
    changes->push_back(*change);
  }
  if (!changes->empty()) return true;
  *error = "no entry";
  return false;
}

}  // namespace shell
