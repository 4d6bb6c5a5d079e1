// myfs-shell: an interactive shell on a MyFS file system.

#include <langinfo.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>

#include "cli/shell/line/line_editor.h"
#include "cli/shell/run/interrupt.h"
#include "cli/shell/shell.h"

namespace {

// $XDG_DATA_HOME/myfs or ~/.local/share/myfs, made if need be.
std::string user_directory() {
  const char* xdg = std::getenv("XDG_DATA_HOME");
  const char* home = std::getenv("HOME");
  std::string dir = xdg != nullptr && xdg[0] == '/' ? xdg
                    : home != nullptr               ? std::string(home) + "/.local/share"
                                                    : std::string("/tmp");
  dir += "/myfs";
  for (size_t slash = dir.find('/', 1); slash != std::string::npos;
       slash = dir.find('/', slash + 1)) {
    ::mkdir(dir.substr(0, slash).c_str(), 0700);
  }
  ::mkdir(dir.c_str(), 0700);
  return dir;
}

std::string default_url() {
  const char* url = std::getenv("MYFS_URL");
  return url != nullptr && url[0] != '\0' ? url : "embedded:" + user_directory() + "/data";
}

int run_interactively(shell::Shell& shell) {
  shell::LineEditor editor(user_directory() + "/history",
                           [&](const std::string& typed) { return shell.complete(typed); });
  shell.set_history(&editor);
  std::printf("MyFS %s on %s. `help` lists the commands.\n", myfs_version(), shell.url().c_str());
  int status = 0;
  while (!shell.done()) {
    auto cwd = shell.task().getcwd();
    std::string line;
    auto outcome = editor.read("myfs:" + (cwd ? *cwd : std::string("?")) + "> ", &line);
    if (outcome == shell::LineEditor::Outcome::kEnd) {
      std::printf("\n");
      break;
    }
    if (outcome == shell::LineEditor::Outcome::kInterrupted) continue;
    if (int result = shell.run(line); result != 0) status = result;
  }
  shell.set_history(nullptr);
  return status;
}

int run_stream(shell::Shell& shell, std::istream& in) {
  int status = 0;
  std::string line;
  while (!shell.done() && std::getline(in, line)) {
    if (int result = shell.run(line); result != 0) status = result;
  }
  return status;
}

// Names are UTF-8, whatever the terminal's owner says of his texts.
void set_characters() {
  std::setlocale(LC_CTYPE, "");
  if (std::strcmp(::nl_langinfo(CODESET), "UTF-8") != 0) std::setlocale(LC_CTYPE, "C.UTF-8");
}

// A reader that goes away is an error of writing and not our end.
void ignore_broken_pipes() {
  struct sigaction action = {};
  action.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &action, nullptr);
}

}  // namespace

int main(int argc, char** argv) try {
  CLI::App app(
      "An interactive shell on a MyFS file system. Without -c and SCRIPT it reads commands from "
      "stdin.");
  std::string url, commands, script, options;
  app.add_option(
      "-m,--mount", url,
      "URL of the file system (default $MYFS_URL, else one in the user's data directory)");
  app.add_option("-o,--options", options, "mount options, comma separated");
  CLI::Option* command =
      app.add_option("-c,--command", commands, "run these commands, print only what they print");
  app.add_option("SCRIPT", script, "file of commands")->excludes(command);
  app.set_version_flag("--version", std::string("myfs-shell ") + myfs_version());
  app.footer(
      "Exit status: that of the last failed command, 0 if none failed. 1: it failed; 2: wrong "
      "usage; 130: interrupted; 141: nobody reads the output; of a local program: its own.");
  CLI11_PARSE(app, argc, argv);

  if (url.empty()) url = default_url();
  std::ifstream file;
  if (!script.empty()) {
    file.open(script);
    if (!file) {
      std::fprintf(stderr, "myfs-shell: %s: %s\n", script.c_str(), std::strerror(errno));
      return 2;
    }
  }
  auto task = myfs::Task::open(url, options);
  if (!task) {
    std::fprintf(stderr, "myfs-shell: %s: %s\n", url.c_str(), task.error().message().c_str());
    return 1;
  }
  mode_t mask = ::umask(022);
  ::umask(mask);
  task->umask(mask);
  shell::install_interrupts();
  ignore_broken_pipes();
  set_characters();
  shell::Shell shell(std::move(*task), url, options);
  int status = 0;
  if (*command) {
    status = shell.run(commands);
  } else if (!script.empty()) {
    status = run_stream(shell, file);
  } else if (::isatty(STDIN_FILENO) == 1) {
    status = run_interactively(shell);
  } else {
    status = run_stream(shell, std::cin);
  }
  int closed = shell.close();
  return status != 0 ? status : closed;
} catch (const std::exception& e) {
  std::fprintf(stderr, "myfs-shell: %s\n", e.what());
  return 1;
}
