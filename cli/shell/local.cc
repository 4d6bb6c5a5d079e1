// Commands on the shell itself and on the local side: help, exit, lcd, lpwd, !.

#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cli/shell/shell.h"

namespace shell {
namespace {

int run_help(Shell&, const Args& args) {
  for (const Command& command : commands()) {
    if (!args.words.empty() && args.words[0] != command.name) continue;
    std::printf("%-34s %s\n", command.usage, command.help);
  }
  if (args.words.empty() || find_command(args.words[0]) != nullptr) return 0;
  std::fprintf(stderr, "help: %s: unknown command\n", args.words[0].c_str());
  return 1;
}

int run_exit(Shell& shell, const Args&) {
  shell.quit();
  return 0;
}

int run_lcd(Shell& shell, const Args& args) {
  const char* home = std::getenv("HOME");
  std::string dir = !args.words.empty() ? args.words[0] : home != nullptr ? home : "/";
  return ::chdir(dir.c_str()) == 0 ? 0 : shell.fail(args, dir, std::strerror(errno));
}

int run_lpwd(Shell& shell, const Args& args) {
  char* cwd = ::getcwd(nullptr, 0);
  if (cwd == nullptr) return shell.fail(args, ".", std::strerror(errno));
  std::printf("%s\n", cwd);
  std::free(cwd);
  return 0;
}

int run_local(Shell& shell, const Args& args) {
  std::fflush(stdout);
  const std::string& command = args.words[0];
  if (command.find_first_not_of(" \t") == std::string::npos) {
    std::fprintf(stderr, "usage: !COMMAND\n");
    return 2;
  }
  int status = std::system(command.c_str());
  if (status < 0) return shell.fail(args, command, std::strerror(errno));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

void add_shell_commands(std::vector<Command>& table) {
  table.insert(table.end(),
               {{"help", "", 0, 1, "help [COMMAND]", "list the commands", run_help},
                {"exit", "", 0, 0, "exit", "leave the shell (also: quit, Ctrl-D)", run_exit},
                {"quit", "", 0, 0, "quit", "leave the shell", run_exit},
                {"lcd", "", 0, 1, "lcd [DIR]", "change the local directory", run_lcd},
                {"lpwd", "", 0, 0, "lpwd", "show the local directory", run_lpwd},
                {"!", nullptr, 1, 1, "!COMMAND", "run a local command", run_local}});
}

}  // namespace shell
