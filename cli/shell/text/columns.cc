#include "cli/shell/text/columns.h"

#include <algorithm>

namespace shell {
namespace {

constexpr size_t kGap = 2;

size_t characters(const std::string& name) {
  return static_cast<size_t>(std::count_if(name.begin(), name.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  }));
}

// The widths of the columns with so many rows.
std::vector<size_t> widths(const std::vector<std::string>& names, size_t rows) {
  std::vector<size_t> result;
  for (size_t i = 0; i < names.size(); ++i) {
    if (i % rows == 0) result.push_back(0);
    result.back() = std::max(result.back(), characters(names[i]));
  }
  return result;
}

bool fits(const std::vector<size_t>& columns, size_t width) {
  size_t total = 0;
  for (size_t column : columns) total += column + kGap;
  return total <= width + kGap;
}

}  // namespace

std::string in_columns(const std::vector<std::string>& names, size_t width) {
  if (names.empty()) return {};
  size_t rows = 1;
  while (rows < names.size() && !fits(widths(names, rows), width)) ++rows;
  std::vector<size_t> columns = widths(names, rows);
  std::string text;
  for (size_t row = 0; row < rows; ++row) {
    for (size_t i = row, column = 0; i < names.size(); i += rows, ++column) {
      text += names[i];
      bool last = i + rows >= names.size();
      if (!last) text.append(columns[column] - characters(names[i]) + kGap, ' ');
    }
    text += '\n';
  }
  return text;
}

}  // namespace shell
