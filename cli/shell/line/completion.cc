#include "cli/shell/line/completion.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string_view>

#include "cli/shell/command.h"
#include "cli/shell/line/lexer.h"

namespace shell {
namespace {

constexpr char kCursor = '\x01';    // stands at the end of what is typed; nobody types it
constexpr size_t kMaxMarked = 100;  // choices that are asked whether they are directories

// The statement that is being typed.
struct Typed {
  Statement statement;
  char quote = 0;  // the quotation that is open at the cursor
};

// With whatever closes the quotation at the cursor the line is a whole one.
std::optional<Typed> read_typed(const std::string& text) {
  if (!text.empty() && text.back() == '\\') return std::nullopt;
  for (char quote : {'\0', '\'', '"'}) {
    std::string line = text + kCursor;
    if (quote != 0) line.push_back(quote);
    LexResult lexed = lex(line);
    if (!lexed.error.empty() || lexed.statements.empty()) continue;
    return Typed{std::move(lexed.statements.back()), quote};
  }
  return std::nullopt;
}

// Takes the cursor from the end; false: it is not there.
bool take_cursor(std::string* text) {
  if (text->empty() || text->back() != kCursor) return false;
  text->pop_back();
  return true;
}

std::string quoted_for(std::string_view text, char quote) {
  static constexpr std::string_view kSpecial = " \t!\"#$&'()*;<>?[\\]`{|}~";
  std::string result;
  for (char c : text) {
    if (quote == '\'' && c == '\'') {
      result += "'\\''";
      continue;
    }
    bool escape = quote == 0 ? kSpecial.find(c) != std::string_view::npos
                             : quote == '"' && std::strchr("\"\\$`", c) != nullptr;
    if (escape) result.push_back('\\');
    result.push_back(c);
  }
  return result;
}

// What all have in common, to the last whole character.
std::string common_prefix(const std::vector<std::string>& names) {
  std::string prefix = names[0];
  for (const std::string& name : names) {
    size_t same = 0;
    while (same < prefix.size() && same < name.size() && prefix[same] == name[same]) ++same;
    while (same > 0 && same < prefix.size() &&
           (static_cast<unsigned char>(prefix[same]) & 0xc0) == 0x80) {
      --same;
    }
    prefix.resize(same);
  }
  return prefix;
}

// `names` begin with `start`; `end` tells what follows a single one.
template <typename End>
Completion choose(std::vector<std::string> names, const std::string& start, char quote, End end) {
  Completion result;
  if (names.empty()) return result;
  std::string prefix = common_prefix(names);
  result.insert = quoted_for(prefix.substr(std::min(start.size(), prefix.size())), quote);
  if (names.size() == 1) {
    result.insert += end(names[0]);
  } else if (result.insert.empty()) {
    result.choices = std::move(names);
  }
  return result;
}

std::string close_word(char quote) { return quote != 0 ? std::string(1, quote) + " " : " "; }

Completion complete_word(const std::vector<std::string>& words, const std::string& start,
                         char quote) {
  std::vector<std::string> found;
  for (const std::string& word : words) {
    if (word.compare(0, start.size(), start) == 0) found.push_back(word);
  }
  return choose(std::move(found), start, quote,
                [&](const std::string&) { return close_word(quote); });
}

Completion complete_command(const std::string& start, char quote) {
  std::vector<std::string> names;
  for (const Command& command : commands()) {
    if (command.name[0] != '!') names.push_back(command.name);
  }
  return complete_word(names, start, quote);
}

Completion complete_option(const Command& command, const std::string& start, char quote) {
  std::vector<std::string> names = {"--help"};
  for (const Option& option : command.options) {
    if (option.name[0] != '\0') names.push_back(std::string("--") + option.name);
    if (option.name[0] == '\0') names.push_back("-" + std::string(option.id()));
  }
  std::sort(names.begin(), names.end());
  return complete_word(names, start, quote);
}

bool has_control(const std::string& name) {
  return std::any_of(name.begin(), name.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Completion complete_path(const std::string& start, char quote, NameSource& source) {
  size_t slash = start.rfind('/');
  std::string dir = slash == std::string::npos ? "" : start.substr(0, slash + 1);
  std::string prefix = start.substr(dir.size());
  std::vector<std::string> names, found;
  if (source.list(dir.empty() ? "." : dir, &names) != 0) return {};
  for (const std::string& name : names) {
    bool hidden = name[0] == '.' && prefix.empty();
    bool fits = name != "." && name != ".." && name.compare(0, prefix.size(), prefix) == 0;
    if (fits && !hidden && !has_control(name)) found.push_back(name);
  }
  std::sort(found.begin(), found.end());
  auto is_directory = [&](const std::string& name) {
    struct stat st;
    return source.stat(dir + name, &st) == 0 && S_ISDIR(st.st_mode);
  };
  Completion result = choose(std::move(found), prefix, quote, [&](const std::string& name) {
    return is_directory(name) ? std::string("/") : close_word(quote);
  });
  for (size_t i = 0; i < result.choices.size() && i < kMaxMarked; ++i) {
    if (is_directory(result.choices[i])) result.choices[i] += "/";
  }
  return result;
}

Completion complete_operand(const Command& command, const std::vector<std::string>& before,
                            const std::string& start, char quote, NameSource& remote,
                            NameSource& local) {
  Args args;
  std::vector<size_t> operands;
  // An option that waits for its value is an error.
  if (!parse_options(command, before, &args, &operands).empty()) return {};
  std::vector<std::string> words;
  words.reserve(operands.size() + 1);
  for (size_t index : operands) words.push_back(before[index]);
  words.push_back(start);
  Operand kind = operand_kind(command, words, words.size() - 1, true);
  if (kind == Operand::kText) {
    return command.kind == Operands::kText && std::strcmp(command.name, "help") == 0
               ? complete_command(start, quote)
               : Completion();
  }
  Completion result = complete_path(start, quote, kind == Operand::kLocal ? local : remote);
  bool either = command.kind == Operands::kPut || command.kind == Operands::kGet;
  if (!either || !result.insert.empty() || !result.choices.empty()) return result;
  return complete_path(start, quote, kind == Operand::kLocal ? remote : local);
}

// The last word of a local command, quotes aside.
Completion complete_local(const std::string& program, NameSource& local) {
  size_t blank = program.find_last_of(" \t|<>;&");
  std::string word = blank == std::string::npos ? program : program.substr(blank + 1);
  if (word.find_first_of("'\"\\$`") != std::string::npos) return {};
  return complete_path(word, 0, local);
}

}  // namespace

Completion complete(const std::string& typed, NameSource& remote, NameSource& local) {
  auto line = read_typed(typed);
  if (!line) return {};
  Statement& statement = line->statement;
  if (statement.sink == Statement::Sink::kProgram) {
    return take_cursor(&statement.program) ? complete_local(statement.program, local)
                                           : Completion();
  }
  std::string file = statement.file.text();
  if (take_cursor(&file)) return complete_path(file, line->quote, local);
  std::vector<std::string> words;
  words.reserve(statement.words.size());
  for (const Word& word : statement.words) words.push_back(word.text());
  if (!take_cursor(&words.back())) return {};
  if (words[0] == "!") return complete_local(words.back(), local);
  std::string start = words.back();
  if (words.size() == 1) return complete_command(start, line->quote);
  const Command* command = find_command(words[0]);
  if (command == nullptr) return {};
  std::vector<std::string> before(words.begin() + 1, words.end() - 1);
  bool over = std::find(before.begin(), before.end(), "--") != before.end();
  if (!start.empty() && start[0] == '-' && !over) {
    return complete_option(*command, start, line->quote);
  }
  return complete_operand(*command, before, start, line->quote, remote, local);
}

}  // namespace shell
