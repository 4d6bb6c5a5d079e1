// FindTests: the single predicates of find(1), by their names.
// Thread safety: constant.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cli/shell/commands/find_expression.h"

namespace shell {

using FindTest = std::function<bool(const FindFile&, FindWorld&)>;

struct FindAction {
  bool prints;  // it takes the place of the -print that stands for "no action"
  FindTest run;
};

// -print, -print0, -ls, -delete, -prune, -quit.
std::optional<FindAction> find_action(std::string_view name);
// -empty, -nouser, -nogroup, -true, -false; empty: none of them.
FindTest find_plain_test(std::string_view name);
// Whether it is a test that is followed by a value.
bool find_takes_value(std::string_view name);
// That test; empty: the value is wrong.
FindTest find_value_test(const std::string& name, const std::string& value,
                         const FindContext& context);

// Digits and nothing else.
bool find_number(std::string_view text, uint64_t* number);

}  // namespace shell
