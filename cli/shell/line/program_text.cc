#include "cli/shell/line/program_text.h"

namespace shell {
namespace {

// Behind the quotation that begins at `at`.
size_t skip_quotation(std::string_view text, size_t at) {
  char quote = text[at++];
  while (at < text.size() && text[at] != quote) {
    at += text[at] == '\\' && quote != '\'' ? 2 : 1;
  }
  return at + 1;
}

bool is_blank(char c) { return c == ' ' || c == '\t'; }

}  // namespace

size_t program_text_length(std::string_view text) {
  int depth = 0;
  size_t at = 0;
  while (at < text.size()) {
    char c = text[at];
    if (c == '\'' || c == '"' || c == '`') {
      at = skip_quotation(text, at);
    } else if (c == '\\') {
      at += 2;
    } else if (c == '#' && (at == 0 || is_blank(text[at - 1]))) {
      size_t end = text.find('\n', at);
      at = end == std::string_view::npos ? text.size() : end;
    } else {
      bool pair = at + 1 < text.size() && text[at + 1] == c && (c == '&' || c == '|');
      if (depth == 0 && (c == ';' || c == '\n' || pair)) return at;
      if (c == '(') ++depth;
      if (c == ')' && depth > 0) --depth;
      ++at;
    }
  }
  return text.size();
}

}  // namespace shell
