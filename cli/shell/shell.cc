#include "cli/shell/shell.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cli/shell/lexer.h"

namespace shell {
namespace {

constexpr int kUsage = 2, kInterrupted = 130;

bool take_flags(const Command& command, const std::vector<std::string>& words, Args* args) {
  bool flags_over = command.flags == nullptr;
  for (size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (flags_over || word.size() < 2 || word[0] != '-') {
      args->words.push_back(word);
    } else if (word == "--") {
      flags_over = true;
    } else {
      for (char flag : word.substr(1)) {
        if (std::strchr(command.flags, flag) == nullptr) {
          std::fprintf(stderr, "%s: unknown option -%c\n", command.name, flag);
          return false;
        }
        args->flags.push_back(flag);
      }
    }
  }
  auto count = static_cast<int>(args->words.size());
  return count >= command.min_words && (command.max_words < 0 || count <= command.max_words);
}

}  // namespace

const std::vector<Command>& commands() {
  static const std::vector<Command> table = [] {
    std::vector<Command> all;
    add_listing_commands(all);
    add_file_commands(all);
    add_name_commands(all);
    add_transfer_commands(all);
    add_shell_commands(all);
    std::sort(all.begin(), all.end(),
              [](const Command& a, const Command& b) { return std::strcmp(a.name, b.name) < 0; });
    return all;
  }();
  return table;
}

const Command* find_command(std::string_view name) {
  for (const Command& command : commands()) {
    if (name == command.name) return &command;
  }
  return nullptr;
}

int Shell::run(std::string_view text) {
  LexResult lexed = lex(text);
  int status = 0;
  for (const std::vector<std::string>& words : lexed.commands) {
    int result = run_command(words);
    if (result != 0) status = result;
    if (done_ || result == kInterrupted) return status;
  }
  if (lexed.error.empty()) return status;
  std::fprintf(stderr, "myfs-shell: %s\n", lexed.error.c_str());
  return kUsage;
}

int Shell::run_command(const std::vector<std::string>& words) {
  const Command* command = find_command(words[0]);
  if (command == nullptr) {
    std::fprintf(stderr, "myfs-shell: %s: unknown command; `help` lists them\n", words[0].c_str());
    return kUsage;
  }
  Args args;
  args.command = command->name;
  if (!take_flags(*command, words, &args)) {
    std::fprintf(stderr, "usage: %s\n", command->usage);
    return kUsage;
  }
  scope_ = std::make_unique<CommandScope>();
  int status = command->run(*this, args);
  if (scope_->interrupted()) status = kInterrupted;
  scope_.reset();
  std::fflush(stdout);
  return status;
}

int Shell::close() {
  if (auto closed = task_.close(); !closed) {
    std::fprintf(stderr, "myfs-shell: %s: %s\n", url_.c_str(), closed.error().message().c_str());
    return 1;
  }
  return 0;
}

int Shell::fail(const Args& args, const std::string& what, const myfs::Error& error) const {
  if (error.value() == ECANCELED && interrupted()) return kInterrupted;
  return fail(args, what, error.message());
}

int Shell::fail(const Args& args, const std::string& what, const std::string& reason) const {
  std::fprintf(stderr, "%s: %s: %s\n", args.command.c_str(), what.c_str(), reason.c_str());
  return 1;
}

std::string join(const std::string& dir, std::string_view name) {
  std::string result = dir;
  if (!result.empty() && result.back() != '/') result.push_back('/');
  return result.append(name);
}

std::string base_name(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  if (path == "/") return "/";
  return std::string(path.substr(path.rfind('/') + 1));
}

}  // namespace shell
