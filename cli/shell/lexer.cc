#include "cli/shell/lexer.h"

namespace shell {
namespace {

class Lexer {
 public:
  explicit Lexer(std::string_view line) : line_(line) {}

  LexResult run() {
    while (at_ < line_.size() && result_.error.empty()) step();
    end_command();
    return std::move(result_);
  }

 private:
  void step() {
    char c = line_[at_];
    if (c == ' ' || c == '\t' || c == '\r') {
      end_word();
      ++at_;
    } else if (c == ';' || c == '\n') {
      end_command();
      ++at_;
    } else if (c == '#' && !in_word_) {
      size_t end = line_.find('\n', at_);
      at_ = end == std::string_view::npos ? line_.size() : end;
    } else if (c == '!' && !in_word_ && words_.empty()) {
      local_command();
    } else {
      in_word_ = true;
      word_char(c);
    }
  }

  void word_char(char c) {
    if (c == '\'') {
      size_t end = line_.find('\'', at_ + 1);
      if (end == std::string_view::npos) return fail("unterminated quote '");
      word_.append(line_.substr(at_ + 1, end - at_ - 1));
      at_ = end + 1;
    } else if (c == '"') {
      ++at_;
      double_quoted();
    } else if (c == '\\') {
      if (at_ + 1 == line_.size()) return fail("nothing follows the last backslash");
      if (line_[at_ + 1] != '\n') word_.push_back(line_[at_ + 1]);
      at_ += 2;
    } else {
      word_.push_back(c);
      ++at_;
    }
  }

  void double_quoted() {
    static constexpr std::string_view kEscapable = "\"\\$`";
    for (; at_ < line_.size(); ++at_) {
      if (line_[at_] == '"') {
        ++at_;
        return;
      }
      bool escape = line_[at_] == '\\' && at_ + 1 < line_.size() &&
                    kEscapable.find(line_[at_ + 1]) != std::string_view::npos;
      if (escape) ++at_;
      word_.push_back(line_[at_]);
    }
    fail("unterminated quote \"");
  }

  void local_command() {
    size_t end = line_.find('\n', at_);
    if (end == std::string_view::npos) end = line_.size();
    words_ = {"!", std::string(line_.substr(at_ + 1, end - at_ - 1))};
    at_ = end;
  }

  void fail(const char* error) {
    result_.error = error;
    words_.clear();
    in_word_ = false;
  }

  void end_word() {
    if (in_word_) words_.push_back(std::move(word_));
    word_.clear();
    in_word_ = false;
  }

  void end_command() {
    end_word();
    if (!words_.empty()) result_.commands.push_back(std::move(words_));
    words_.clear();
  }

  const std::string_view line_;
  size_t at_ = 0;
  bool in_word_ = false;
  std::string word_;
  std::vector<std::string> words_;
  LexResult result_;
};

}  // namespace

LexResult lex(std::string_view line) { return Lexer(line).run(); }

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
