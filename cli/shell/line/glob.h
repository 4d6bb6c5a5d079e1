// Glob: makes paths of patterns as sh does: {a,b} first, then * ? [a-z] [!a-z] [[:alpha:]] in each
// component of a path. A leading dot is matched by a dot alone, a '/' by nothing. Patterns come
// from the lexer: what was quoted stands behind backslashes.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/shell/tree/name_source.h"

namespace shell {

// "a{b,c{d,e}}" = "ab", "acd", "ace". Braces without a comma mean themselves.
std::vector<std::string> expand_braces(const std::string& pattern);

// Whether it has a * ? or [ that was not quoted.
bool has_magic(std::string_view pattern);

// The paths that exist and match, sorted; what cannot be listed matches nothing. The pattern has
// no braces.
std::vector<std::string> glob(const std::string& pattern, NameSource& names);

// All paths of a word: braces, then patterns. A pattern that matches nothing: no value, and
// `failed` tells which.
std::optional<std::vector<std::string>> expand(const std::string& pattern, NameSource& names,
                                               std::string* failed);

}  // namespace shell
