// Lexer: splits text into statements and words with the quoting of sh: '...' literal, "..." with \"
// \\ \$ \`, backslash, # comments; ';', newline, && and || between statements, '|' before a local
// program, '>' and '>>' before a local file. It expands nothing.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace shell {

// A word with what was quoted: each character that patterns know, *?[]{},\ and others, stands
// behind a backslash if it was quoted.
struct Word {
  std::string pattern;
  // The characters themselves.
  std::string text() const;
};

// The pattern that means this text and nothing else.
std::string escape_pattern(std::string_view text);
// The reverse: without its backslashes.
std::string unescape_pattern(std::string_view pattern);

struct Statement {
  enum class When { kAlways, kAfterSuccess, kAfterFailure };
  enum class Sink { kStdout, kProgram, kFile, kFileAppend };
  When when = When::kAlways;  // what the status of the statement before must be
  std::vector<Word> words;    // not empty; the first is the command
  Sink sink = Sink::kStdout;
  std::string program;  // kProgram: for the local sh
  Word file;            // kFile, kFileAppend
};

struct LexResult {
  std::vector<Statement> statements;
  std::string error;  // "unterminated quote '"; then statements is what came before
};

// A statement that begins with '!' is {"!", rest of the line}: quoting there is the local shell's.
// So it is in what follows '|', up to a ';', &&, || or newline outside of its quotes.
LexResult lex(std::string_view text);

// The word quoted so that lex() gives it back and nothing in it is a pattern.
std::string quote(std::string_view word);

}  // namespace shell
