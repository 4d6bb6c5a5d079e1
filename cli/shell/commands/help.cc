// Commands on the shell itself: help, history, sync, umask, exit, quit.

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "cli/shell/shell.h"
#include "cli/shell/text/format.h"

namespace shell {
namespace {

constexpr char kSyntax[] =
    "\n"
    "`help COMMAND` or `COMMAND --help` tells all of one. Words are quoted as in sh. * ? [a-z] "
    "and\n"
    "{a,b} in paths stand for what exists; what matches nothing is an error.\n"
    "  COMMAND | PROGRAM        pipes what it prints into a local program\n"
    "  COMMAND > FILE, >> FILE  writes it to a local file\n"
    "  A; B   A && B   A || B   the next one; if A succeeded; if A failed\n";

int run_help(Shell& shell, const Args& args) {
  if (!args.words.empty()) {
    const Command* command = find_command(args.words[0]);
    if (command == nullptr) return shell.fail(args, args.words[0], "unknown command");
    shell.out().write(help_text(*command));
    return 0;
  }
  size_t width = 0;
  for (const Command& command : commands()) width = std::max(width, std::strlen(command.name));
  for (const Command& command : commands()) {
    shell.out().print("%-*s  %s\n", static_cast<int>(width), command.name, command.summary);
  }
  shell.out().write(kSyntax);
  return 0;
}

int run_history(Shell& shell, const Args& args) {
  LineHistory* history = shell.history();
  if (history == nullptr) return 0;
  if (args.has("c")) {
    history->clear_lines();
    return 0;
  }
  size_t number = 0;
  for (const std::string& line : history->lines()) {
    shell.out().print("%5zu  %s\n", ++number, shell.out().shown(line).c_str());
  }
  return 0;
}

int run_sync(Shell& shell, const Args& args) {
  auto done = shell.task().sync(shell.call());
  return done ? 0 : shell.fail(args, "/", done.error());
}

int run_umask(Shell& shell, const Args& args) {
  mode_t mask = shell.task().umask(0);
  mode_t wanted = mask;
  if (!args.words.empty()) {
    bool octal = args.words[0].find_first_not_of("01234567") == std::string::npos;
    if (!octal || !parse_mode(args.words[0], 0, &wanted) || wanted > 0777) {
      shell.task().umask(mask);
      return shell.wrong(args, args.words[0] + ": must be octal up to 777");
    }
  }
  shell.task().umask(wanted);
  if (args.words.empty()) shell.out().print("%04o\n", mask);
  return 0;
}

int run_exit(Shell& shell, const Args&) {
  shell.quit();
  return 0;
}

}  // namespace

void add_shell_commands(std::vector<Command>& table) {
  constexpr auto kText = Operands::kText;
  table.push_back(
      {"help", {}, "[COMMAND]", 0, 1, kText, "list the commands, or explain one", "", run_help});
  table.push_back({"history",
                   {{"c", "clear", "", "forget them"}},
                   "",
                   0,
                   0,
                   kText,
                   "list the lines that were typed",
                   "",
                   run_history});
  table.push_back({"sync",
                   {},
                   "",
                   0,
                   0,
                   kText,
                   "write everything back to the servers",
                   "It returns when all is durable.\n",
                   run_sync});
  table.push_back({"umask",
                   {},
                   "[MODE]",
                   0,
                   1,
                   kText,
                   "show or set the bits that new files do not get",
                   "",
                   run_umask});
  table.push_back(
      {"exit", {}, "", 0, 0, kText, "leave the shell (also: quit, Ctrl-D)", "", run_exit});
  table.push_back({"quit", {}, "", 0, 0, kText, "leave the shell", "", run_exit});
}

}  // namespace shell
