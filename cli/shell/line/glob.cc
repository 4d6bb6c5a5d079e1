#include "cli/shell/line/glob.h"

#include <fnmatch.h>

#include <algorithm>

#include "cli/shell/line/lexer.h"

namespace shell {
namespace {

// One pair of braces: where it begins and ends, and its top-level commas.
struct Braces {
  size_t open = 0, close = 0;
  std::vector<size_t> commas;
};

// The pair that begins at `open`; no value without its end or without a comma.
std::optional<Braces> braces_at(const std::string& pattern, size_t open) {
  Braces found{open, 0, {}};
  int depth = 0;
  for (size_t i = open; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '{') {
      ++depth;
    } else if (pattern[i] == ',' && depth == 1) {
      found.commas.push_back(i);
    } else if (pattern[i] == '}' && --depth == 0) {
      found.close = i;
      break;
    }
  }
  if (found.close == 0 || found.commas.empty()) return std::nullopt;
  return found;
}

std::optional<Braces> first_braces(const std::string& pattern) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '{') {
      if (auto found = braces_at(pattern, i)) return found;
    }
  }
  return std::nullopt;
}

// Extends each of `paths` by the component.
std::vector<std::string> step(const std::vector<std::string>& paths, const std::string& component,
                              NameSource& names) {
  std::vector<std::string> result;
  for (const std::string& path : paths) {
    if (!has_magic(component)) {
      result.push_back(path + unescape_pattern(component));
      continue;
    }
    std::vector<std::string> here;
    if (names.list(path.empty() ? "." : path, &here) != 0) continue;
    std::sort(here.begin(), here.end());
    for (const std::string& name : here) {
      if (name == "." || name == "..") continue;
      if (::fnmatch(component.c_str(), name.c_str(), FNM_PERIOD) == 0) {
        result.push_back(path + name);
      }
    }
  }
  return result;
}

}  // namespace

std::vector<std::string> expand_braces(const std::string& pattern) {
  auto braces = first_braces(pattern);
  if (!braces) return {pattern};
  std::vector<std::string> result;
  std::string before = pattern.substr(0, braces->open);
  std::vector<std::string> tails = expand_braces(pattern.substr(braces->close + 1));
  std::vector<size_t> ends = braces->commas;
  ends.push_back(braces->close);
  size_t begin = braces->open + 1;
  for (size_t end : ends) {
    for (const std::string& part : expand_braces(pattern.substr(begin, end - begin))) {
      for (const std::string& tail : tails) result.push_back(before + part + tail);
    }
    begin = end + 1;
  }
  return result;
}

bool has_magic(std::string_view pattern) {
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\') {
      ++i;
    } else if (pattern[i] == '*' || pattern[i] == '?' || pattern[i] == '[') {
      return true;
    }
  }
  return false;
}

std::vector<std::string> glob(const std::string& pattern, NameSource& names) {
  std::vector<std::string> paths = {""};
  size_t at = 0;
  while (at < pattern.size() && !paths.empty()) {
    size_t slash = std::min(pattern.find('/', at), pattern.size());
    if (slash > at) paths = step(paths, pattern.substr(at, slash - at), names);
    size_t next = std::min(pattern.find_first_not_of('/', slash), pattern.size());
    for (std::string& path : paths) path += pattern.substr(slash, next - slash);
    at = next;
  }
  // What follows the last pattern has been taken on trust.
  std::erase_if(paths, [&](const std::string& path) {
    struct stat st;
    return names.lstat(path, &st) != 0;
  });
  return paths;
}

std::optional<std::vector<std::string>> expand(const std::string& pattern, NameSource& names,
                                               std::string* failed) {
  std::vector<std::string> result;
  for (const std::string& one : expand_braces(pattern)) {
    if (!has_magic(one)) {
      result.push_back(unescape_pattern(one));
      continue;
    }
    std::vector<std::string> paths = glob(one, names);
    if (paths.empty()) {
      *failed = unescape_pattern(one);
      return std::nullopt;
    }
    result.insert(result.end(), paths.begin(), paths.end());
  }
  return result;
}

}  // namespace shell
