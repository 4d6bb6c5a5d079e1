// Columns: names side by side, as many as fit, down each column first.
#pragma once

#include <string>
#include <vector>

namespace shell {

// Lines with newlines; names of UTF-8 count by their characters.
std::string in_columns(const std::vector<std::string>& names, size_t width);

}  // namespace shell
