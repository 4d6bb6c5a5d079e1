// Commands on the local side: lcd, lpwd, !.

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "cli/shell/run/local_program.h"
#include "cli/shell/shell.h"

namespace shell {
namespace {

int run_lcd(Shell& shell, const Args& args) {
  const char* home = std::getenv("HOME");
  std::string dir = !args.words.empty() ? args.words[0] : home != nullptr ? home : "/";
  return ::chdir(dir.c_str()) == 0 ? 0 : shell.fail_errno(args, dir, errno);
}

int run_lpwd(Shell& shell, const Args& args) {
  char* cwd = ::getcwd(nullptr, 0);
  if (cwd == nullptr) return shell.fail_errno(args, ".", errno);
  shell.out().write(std::string(cwd) + "\n");
  std::free(cwd);
  return 0;
}

int run_local(Shell& shell, const Args& args) {
  const std::string& command = args.words[0];
  if (command.find_first_not_of(" \t\r") == std::string::npos) {
    return shell.wrong(args, "a local command must follow");
  }
  std::fflush(stdout);
  LocalProgram program(command, -1);
  if (program.error() != 0) return shell.fail_errno(args, command, program.error());
  return program.wait();
}

}  // namespace

void add_local_commands(std::vector<Command>& table) {
  table.push_back({"lcd",
                   {},
                   "[DIR]",
                   0,
                   1,
                   Operands::kLocal,
                   "change the local directory (default: home)",
                   "",
                   run_lcd});
  table.push_back(
      {"lpwd", {}, "", 0, 0, Operands::kText, "show the local directory", "", run_lpwd});
  table.push_back({"!",
                   {},
                   "COMMAND",
                   1,
                   1,
                   Operands::kText,
                   "run a local command",
                   "The rest of the line is the local sh's. Its exit status is the command's.\n",
                   run_local,
                   true});
}

}  // namespace shell
