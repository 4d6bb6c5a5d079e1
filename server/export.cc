#include "server/export.h"

#include <charconv>
#include <set>

#include "absl/strings/str_cat.h"
#include "sdk/base/error_detail.h"

namespace myfs::server {
namespace {

Errno wrong(std::string_view text, const std::string& what) {
  return fail(Errno(EINVAL), "--export " + std::string(text) + ": " + what);
}

// One slash before each name and none at the end; false: not absolute, or with "." or "..".
bool normalise(std::string_view path, std::string* out) {
  if (path.empty() || path[0] != '/') return false;
  out->clear();
  while (!path.empty()) {
    path.remove_prefix(1);
    std::string_view name = path.substr(0, path.find('/'));
    path.remove_prefix(name.size());
    if (name == "." || name == "..") return false;
    if (!name.empty()) out->append("/").append(name);
  }
  if (out->empty()) *out = "/";
  return true;
}

bool parse_id(std::string_view text, uint32_t* id) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *id);
  return error == std::errc() && end == text.data() + text.size() && *id != UINT32_MAX;
}

// False: unknown, or out of its range.
bool take(std::string_view option, Export* to) {
  constexpr std::string_view kUid = "anonuid=", kGid = "anongid=";
  if (option == "ro" || option == "rw") {
    to->read_only = option == "ro";
  } else if (option == "root_squash" || option == "no_root_squash") {
    to->squash.root = option == "root_squash";
  } else if (option == "all_squash") {
    to->squash.all = true;
  } else if (option.starts_with(kUid)) {
    return parse_id(option.substr(kUid.size()), &to->squash.anon_uid);
  } else if (option.starts_with(kGid)) {
    return parse_id(option.substr(kGid.size()), &to->squash.anon_gid);
  } else {
    return false;
  }
  return true;
}

// Options that exclude each other, or themselves, have one name here.
std::string_view group_of(std::string_view option) {
  if (option == "ro" || option == "rw") return "ro, rw";
  if (option == "root_squash" || option == "no_root_squash") return "root_squash, no_root_squash";
  return option.substr(0, option.find('='));
}

}  // namespace

Result<Export> parse_export(std::string_view text) {
  Export result;
  const size_t colon = text.rfind(':');
  std::string_view options = colon == text.npos ? std::string_view() : text.substr(colon + 1);
  if (!normalise(text.substr(0, colon), &result.path))
    return wrong(text, "the path must be absolute, without '.' and '..'");
  std::set<std::string_view> given;
  while (!options.empty()) {
    std::string_view option = options.substr(0, options.find(','));
    options.remove_prefix(std::min(option.size() + 1, options.size()));
    if (!take(option, &result)) {
      return wrong(text, absl::StrCat("option ", std::string(option),
                                      ": there are ro, rw, root_squash, no_root_squash, "
                                      "all_squash, anonuid=N, anongid=N with N 0..4294967294"));
    }
    if (!given.insert(group_of(option)).second)
      return wrong(text, absl::StrCat("option ", std::string(option), ": given twice"));
  }
  const bool anonymous = given.contains("anonuid") || given.contains("anongid");
  if (anonymous && !result.squash.any())
    return wrong(text, "anonuid and anongid need root_squash or all_squash");
  return result;
}

Result<std::vector<Export>> parse_exports(const std::vector<std::string>& texts) {
  std::vector<Export> exports;
  std::set<std::string> paths;
  for (const std::string& text : texts) {
    MYFS_ASSIGN(Export one, parse_export(text));
    if (!paths.insert(one.path).second) return wrong(text, "the path is given twice");
    exports.push_back(std::move(one));
  }
  return exports;
}

const Export* find_export(const std::vector<Export>& exports, std::string_view path) {
  static const Export everything{.path = "/"};
  if (exports.empty()) return &everything;
  std::string wanted;
  if (!normalise("/" + std::string(path), &wanted)) return nullptr;
  const Export* best = nullptr;
  for (const Export& one : exports) {
    const bool above = one.path == "/" || wanted == one.path || wanted.starts_with(one.path + "/");
    if (above && (best == nullptr || best->path.size() < one.path.size())) best = &one;
  }
  return best;
}

}  // namespace myfs::server
