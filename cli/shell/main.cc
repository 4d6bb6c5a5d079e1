// myfs-shell: an interactive shell on a MyFS file system.

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

#include "cli/shell/interrupt.h"
#include "cli/shell/line_editor.h"
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
  std::setlocale(LC_CTYPE, "");
  shell::LineEditor editor(user_directory() + "/history");
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
  app.footer("Exit status: that of the last failed command, 0 if none failed.");
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
  task->umask(::umask(022));
  shell::install_interrupts();
  shell::Shell shell(std::move(*task), url);
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
  // What could not be printed is no success.
  if ((std::fflush(stdout) != 0 || std::ferror(stdout) != 0) && status == 0) {
    std::fprintf(stderr, "myfs-shell: cannot write the output\n");
    status = 1;
  }
  int closed = shell.close();
  return status != 0 ? status : closed;
} catch (const std::exception& e) {
  std::fprintf(stderr, "myfs-shell: %s\n", e.what());
  return 1;
}
