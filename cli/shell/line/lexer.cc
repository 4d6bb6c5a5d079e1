#include "cli/shell/line/lexer.h"

#include "cli/shell/line/program_text.h"

namespace shell {
namespace {

constexpr std::string_view kPatternCharacters = "*?[]{},!-^~\\";

void push_quoted(std::string* pattern, char c) {
  if (kPatternCharacters.find(c) != std::string_view::npos) pattern->push_back('\\');
  pattern->push_back(c);
}

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  LexResult run() {
    while (at_ < text_.size() && result_.error.empty()) step();
    end_statement();
    if (result_.error.empty() && needs_more_) fail("nothing follows && or ||");
    return std::move(result_);
  }

 private:
  using When = Statement::When;
  using Sink = Statement::Sink;

  bool next_is(std::string_view token) const { return text_.substr(at_, token.size()) == token; }

  void step() {
    char c = text_[at_];
    if (c == ' ' || c == '\t' || c == '\r') {
      end_word();
      ++at_;
    } else if (c == ';' || c == '\n') {
      end_statement();
      ++at_;
    } else if (next_is("&&") || next_is("||")) {
      connector(c == '&' ? When::kAfterSuccess : When::kAfterFailure);
    } else if (c == '|') {
      program();
    } else if (c == '>') {
      redirection();
    } else if (c == '<') {
      fail("< is not known: quote it if it is part of a name");
    } else if (c == '#' && !in_word_) {
      size_t end = text_.find('\n', at_);
      at_ = end == std::string_view::npos ? text_.size() : end;
    } else if (c == '!' && !in_word_ && statement_.words.empty()) {
      local_command();
    } else {
      in_word_ = true;
      word_char(c);
    }
  }

  void word_char(char c) {
    if (c == '\'') {
      size_t end = text_.find('\'', at_ + 1);
      if (end == std::string_view::npos) return fail("unterminated quote '");
      for (char quoted : text_.substr(at_ + 1, end - at_ - 1)) push_quoted(&word_, quoted);
      at_ = end + 1;
    } else if (c == '"') {
      ++at_;
      double_quoted();
    } else if (c == '\\') {
      if (at_ + 1 == text_.size()) return fail("nothing follows the last backslash");
      if (text_[at_ + 1] != '\n') push_quoted(&word_, text_[at_ + 1]);
      at_ += 2;
    } else {
      word_.push_back(c);
      ++at_;
    }
  }

  void double_quoted() {
    static constexpr std::string_view kEscapable = "\"\\$`";
    for (; at_ < text_.size(); ++at_) {
      if (text_[at_] == '"') {
        ++at_;
        return;
      }
      bool escape = text_[at_] == '\\' && at_ + 1 < text_.size() &&
                    kEscapable.find(text_[at_ + 1]) != std::string_view::npos;
      if (escape) ++at_;
      push_quoted(&word_, text_[at_]);
    }
    fail("unterminated quote \"");
  }

  void connector(When when) {
    end_statement();
    if (needs_more_ || result_.statements.empty()) return fail("nothing stands before && or ||");
    at_ += 2;
    statement_.when = when;
    needs_more_ = true;
  }

  void program() {
    end_word();
    if (statement_.words.empty()) return fail("nothing stands before |");
    if (statement_.sink != Sink::kStdout) return fail("both > and |");
    size_t length = program_text_length(text_.substr(at_ + 1));
    statement_.program = text_.substr(at_ + 1, length);
    if (statement_.program.find_first_not_of(" \t\r") == std::string::npos) {
      return fail("nothing follows |");
    }
    statement_.sink = Sink::kProgram;
    at_ += 1 + length;
  }

  void redirection() {
    bool number = in_word_ && word_.find_first_not_of("0123456789") == std::string::npos;
    if (number) return fail("only the standard output is redirected");
    end_word();
    if (statement_.words.empty()) return fail("nothing stands before >");
    if (statement_.sink != Sink::kStdout || awaits_file_) return fail("> stands there twice");
    bool append = next_is(">>");
    at_ += append ? 2 : 1;
    statement_.sink = append ? Sink::kFileAppend : Sink::kFile;
    awaits_file_ = true;
  }

  void local_command() {
    size_t end = text_.find('\n', at_);
    if (end == std::string_view::npos) end = text_.size();
    std::string_view command = text_.substr(at_ + 1, end - at_ - 1);
    statement_.words = {Word{"!"}, Word{escape_pattern(command)}};
    at_ = end;
  }

  void fail(const char* error) {
    if (result_.error.empty()) result_.error = error;
    statement_ = {};
    in_word_ = awaits_file_ = false;
  }

  void end_word() {
    if (in_word_ && awaits_file_) {
      statement_.file.pattern = std::move(word_);
      awaits_file_ = false;
    } else if (in_word_) {
      statement_.words.push_back(Word{std::move(word_)});
    }
    word_.clear();
    in_word_ = false;
  }

  void end_statement() {
    end_word();
    if (awaits_file_) return fail("nothing follows >");
    if (statement_.words.empty()) return;
    result_.statements.push_back(std::move(statement_));
    statement_ = {};
    needs_more_ = false;
  }

  const std::string_view text_;
  size_t at_ = 0;
  bool in_word_ = false;
  bool awaits_file_ = false;  // after '>'
  bool needs_more_ = false;   // after && or ||
  std::string word_;
  Statement statement_;
  LexResult result_;
};

}  // namespace

std::string Word::text() const { return unescape_pattern(pattern); }

std::string escape_pattern(std::string_view text) {
  std::string pattern;
  for (char c : text) push_quoted(&pattern, c);
  return pattern;
}

std::string unescape_pattern(std::string_view pattern) {
  std::string text;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '\\' && i + 1 < pattern.size()) ++i;
    text.push_back(pattern[i]);
  }
  return text;
}

LexResult lex(std::string_view text) { return Lexer(text).run(); }

std::string quote(std::string_view word) {
  static constexpr std::string_view kSafe =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./,:+=@%";
  if (!word.empty() && word.find_first_not_of(kSafe) == std::string_view::npos) {
    return std::string(word);
  }
  std::string result = "'";
  for (char c : word) {
    if (c == '\'') {
      result += "'\\''";
    } else {
      result.push_back(c);
    }
  }
  return result + "'";
}

}  // namespace shell
