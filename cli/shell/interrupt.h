// Interrupt: turns Ctrl-C into the cancelling of the running command, never of the shell.
// A handler writes to a pipe, a thread reads it and fires the token of the command that runs; at
// the prompt nothing runs, and the interrupted read of the line editor is all that happens. Thread
// safety: all functions are called by the main thread.
#pragma once

#include <myfs/myfs.hpp>

namespace shell {

// Installs the handler of SIGINT and starts the thread. Once.
void install_interrupts();

// The time during which one command runs.
class CommandScope {
 public:
  CommandScope();
  ~CommandScope();
  const myfs::CancelToken& token() const { return token_; }
  bool interrupted() const;

 private:
  myfs::CancelToken token_;
};

}  // namespace shell
