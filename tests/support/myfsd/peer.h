// Peer: a client in a process of its own, which does what the test says, line by line. Answers are
// "0", a number, a text, or "<ENOENT>".
#pragma once

#include <signal.h>

#include <string>

#include "tests/support/myfsd/program.h"

namespace myfs::test {

class Peer {
 public:
  // user: "UID:GID[:GROUP,...]" to become before anything else; empty: the test's own.
  // claimed: credentials that it makes its task with, in the same form.
  explicit Peer(const std::string& url, const std::string& user = {},
                const std::string& claimed = {}) {
    std::vector<std::string> command = {bin("tests/myfs-test-peer")};
    if (!user.empty()) command.push_back(user);
    started_ = program_.start(command);
    mounted_ = started_ ? program_.ask("mount " + url + " " + claimed) : "<not started>";
  }

  // Orderly, so that its session ends with it.
  ~Peer() {
    program_.kill(SIGCONT);
    program_.wait();
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // What mounting answered: "0".
  const std::string& mounted() const { return mounted_; }
  // Commands: peer_main.cc lists them.
  std::string operator()(const std::string& line) { return program_.ask(line); }
  // So that the answer can be taken later.
  bool send(const std::string& line) { return program_.send(line); }
  std::string receive() {
    std::string answer;
    return program_.receive(&answer) ? answer : "<no answer>";
  }
  // Ends its task; its exit status.
  int end() { return program_.wait(); }
  Program& program() { return program_; }

 private:
  Program program_;
  bool started_ = false;
  std::string mounted_;
};

}  // namespace myfs::test
