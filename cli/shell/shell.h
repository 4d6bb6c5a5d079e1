// Shell: one task, one local directory, and the commands that act on both.
// Commands print results to stdout and complaints to stderr ("rm: /a: no such file or directory"),
// and return an exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
#pragma once

#include <myfs/myfs.hpp>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/shell/interrupt.h"

namespace shell {

class Shell;

// The words after the command's name, flags taken out.
struct Args {
  std::string command;
  std::string flags;  // each letter given
  std::vector<std::string> words;
  bool has(char flag) const { return flags.find(flag) != std::string::npos; }
};

struct Command {
  const char* name;
  const char* flags;  // letters that it knows; nullptr: all words are operands
  int min_words;
  int max_words;  // -1: any number
  const char* usage;
  const char* help;
  int (*run)(Shell&, const Args&);
};

// All commands, sorted by name.
const std::vector<Command>& commands();
const Command* find_command(std::string_view name);

class Shell {
 public:
  Shell(myfs::Task task, std::string url) : task_(std::move(task)), url_(std::move(url)) {}

  // Runs every command of the text. Returns the status of the last failed one, 0 if none failed.
  int run(std::string_view text);
  bool done() const { return done_; }
  void quit() { done_ = true; }
  // Ends the task; 1 with a complaint if data could not be written back.
  int close();

  myfs::Task& task() { return task_; }
  const std::string& url() const { return url_; }
  // How the running command's calls are made: Ctrl-C cancels them.
  myfs::Call call() const { return {.cancel = &scope_->token()}; }
  bool interrupted() const { return scope_ != nullptr && scope_->interrupted(); }

  // Complains on stderr and returns 1: "cat: /a: no such file or directory".
  int fail(const Args& args, const std::string& what, const myfs::Error& error) const;
  int fail(const Args& args, const std::string& what, const std::string& reason) const;

 private:
  int run_command(const std::vector<std::string>& words);

  myfs::Task task_;
  const std::string url_;
  bool done_ = false;
  std::unique_ptr<CommandScope> scope_;
};

// Command families, each in its own file.
void add_listing_commands(std::vector<Command>& table);
void add_file_commands(std::vector<Command>& table);
void add_name_commands(std::vector<Command>& table);
void add_transfer_commands(std::vector<Command>& table);
void add_shell_commands(std::vector<Command>& table);

// "a/b" + "c" = "a/b/c".
std::string join(const std::string& dir, std::string_view name);
// Last component without trailing slashes; "/" for the root.
std::string base_name(std::string_view path);

}  // namespace shell
