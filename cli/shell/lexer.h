// Lexer: splits a line into commands and words with the quoting of sh: '...' literal, "..." with \"
// \\ \$ \`, backslash, # comments,
// ';' and newline between commands. No expansion.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shell {

struct LexResult {
  std::vector<std::vector<std::string>> commands;  // words of each; none is empty
  std::string error;  // "unterminated quote '"; then commands is what came before
};

// A command that begins with '!' is {"!", rest of the line}: quoting there is the local shell's.
LexResult lex(std::string_view line);

// The word quoted so that lex() gives it back.
std::string quote(std::string_view word);

}  // namespace shell
