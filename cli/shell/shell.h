// Shell: one task, one local directory, and the commands that act on both.
// Commands print results to out() and complaints to stderr ("myfs-shell: rm: /a: No such file or
// directory"), and return an exit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
// Thread safety: the main thread alone.
#pragma once

#include <myfs/myfs.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/shell/command.h"
#include "cli/shell/line/completion.h"
#include "cli/shell/line/lexer.h"
#include "cli/shell/run/interrupt.h"
#include "cli/shell/run/output.h"
#include "cli/shell/run/progress.h"

namespace shell {

inline constexpr int kFailed = 1, kUsage = 2, kInterrupted = 130, kBrokenPipe = 141;

// The lines that were typed, if somebody keeps them.
class LineHistory {
 public:
  virtual ~LineHistory() = default;
  virtual std::vector<std::string> lines() const = 0;  // oldest first
  virtual void clear_lines() = 0;
};

struct MountPoint {
  std::string at;  // absolute
  std::string url;
  bool read_only;
};

class Shell {
 public:
  Shell(myfs::Task task, const std::string& url, const std::string& options);

  // Runs every statement of the text. Returns the status of the last failed one, 0 if none failed.
  int run(std::string_view text);
  bool done() const { return done_; }
  void quit() { done_ = true; }
  // Ends the task; 1 with a complaint if data could not be written back.
  int close();

  myfs::Task& task() { return task_; }
  const std::string& url() const { return mounts_[0].url; }
  // What is mounted, in the order of mounting; the first is at "/".
  std::vector<MountPoint>& mounts() { return mounts_; }
  // The path from the root on, without "." and "..", by the letters alone.
  std::string absolute(const std::string& path);

  // What Tab does; gives up after a while, and at Ctrl-C.
  Completion complete(const std::string& typed);

  // How the running command's calls are made: Ctrl-C cancels them.
  myfs::Call call() const { return {.deadline_ms = deadline_ms_, .cancel = &scope_->token()}; }
  bool interrupted() const { return scope_ != nullptr && scope_->interrupted(); }
  // Nobody waits for more: interrupted, or what is printed arrives no more.
  bool stopped() const { return interrupted() || out_->error() != 0; }
  Output& out() { return *out_; }

  // Complains on stderr and returns 1: "myfs-shell: cat: /a: No such file or directory".
  int fail(const Args& args, const std::string& what, const myfs::Error& error) const;
  int fail(const Args& args, const std::string& what, const std::string& reason) const;
  int fail_errno(const Args& args, const std::string& what, int error) const;
  // Complains of what the user wrote and returns 2.
  int wrong(const Args& args, const std::string& reason) const;

  // The bar of the running command, so that complaints go around it; null: none.
  void set_bar(ProgressBar* bar) { bar_ = bar; }
  void set_history(LineHistory* history) { history_ = history; }
  LineHistory* history() const { return history_; }

 private:
  int run_statement(const Statement& statement);
  int run_into_sink(const Statement& statement, const Command& command, const Args& args);
  int run_into_file(const Statement& statement, const Command& command, const Args& args);
  int run_into_program(const Statement& statement, const Command& command, const Args& args);
  // Runs it with its output going to `fd`; `piped`: to a local program, which may have had enough.
  int run_into(int fd, bool piped, const Command& command, const Args& args);
  bool take_words(const Statement& statement, const Command& command, Args* args, int* status);
  bool expand_operands(const Statement& statement, const Command& command,
                       const std::vector<size_t>& operands, Args* args);
  void complain(const std::string& text) const;

  myfs::Task task_;
  std::vector<MountPoint> mounts_;
  bool done_ = false;
  std::unique_ptr<CommandScope> scope_;
  int64_t deadline_ms_ = 0;  // of each call; 0: none
  Output* out_ = nullptr;
  ProgressBar* bar_ = nullptr;
  LineHistory* history_ = nullptr;
};

// "a/b" + "c" = "a/b/c".
std::string join(const std::string& dir, std::string_view name);
// Last component without trailing slashes; "/" for the root.
std::string base_name(std::string_view path);

}  // namespace shell
