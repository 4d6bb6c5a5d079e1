// Interrupt: turns Ctrl-C into the cancelling of the running command, never of the shell.
// A handler notes it in an event descriptor and wakes a thread, which fires the token of the
// command that runs. At the prompt nothing runs: the line editor waits for the descriptor as well
// as for the terminal and drops its line. One that comes between the two, when the line is read and
// its command has not begun, is kept for the command; none is lost, wherever it comes.
// Thread safety: all functions are called by the main thread.
#pragma once

#include <myfs/myfs.hpp>

namespace shell {

// Installs the handler of SIGINT and starts the thread. Once.
void install_interrupts();
// Whether the last one came from a process, to us alone, and not from the terminal, which tells the
// local programs that we run as well.
bool interrupt_was_sent();
// Readable from an interrupt on, until it is forgotten.
int interrupt_fd();
// The line editor has seen it: it is not for the next command.
void forget_interrupt();

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
