// myfs-shell on a terminal: Ctrl-C, Ctrl-D, history, completion, progress bars.

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "tests/integration/shell_fixture.h"

namespace myfs::test {
namespace {

// A shell on a terminal.
class Terminal {
 public:
  explicit Terminal(const std::vector<std::string>& command) {
    std::vector<std::string> words = command;
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    winsize size{24, 200, 0, 0};
    ::setenv("TERM", "dumb", 1);
    pid_ = ::forkpty(&fd_, nullptr, nullptr, &size);
    if (pid_ == 0) {
      ::execv(pointers[0], pointers.data());
      ::_exit(127);
    }
  }
  ~Terminal() {
    if (pid_ > 0) ::kill(pid_, SIGKILL);
    if (pid_ > 0) wait();
    ::close(fd_);
  }
  void type(const std::string& text) {
    EXPECT_EQ(static_cast<ssize_t>(text.size()), ::write(fd_, text.data(), text.size()));
  }
  // Reads until `text` has come and forgets what was up to its end; a test that waits for too long
  // fails and shows what came instead.
  bool expect(const std::string& text) {
    while (true) {
      size_t found = seen_.find(text);
      if (found != std::string::npos) {
        seen_.erase(0, found + text.size());
        return true;
      }
      pollfd waiting{fd_, POLLIN, 0};
      char buffer[4096];
      ssize_t n = ::poll(&waiting, 1, 30'000) == 1 ? ::read(fd_, buffer, sizeof buffer) : -1;
      if (n <= 0) {
        ADD_FAILURE() << "no '" << text << "' but: " << seen_;
        return false;
      }
      seen_.append(buffer, static_cast<size_t>(n));
    }
  }
  int wait() {
    int status = 0;
    char buffer[4096];
    // Until it closes the terminal.
    while (::read(fd_, buffer, sizeof buffer) > 0) {
    }
    ::waitpid(pid_, &status, 0);
    pid_ = -1;
    return exit_status(status);
  }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
  int fd_ = -1;
  std::string seen_;
};

TEST_F(Shell, CtrlCStopsTheCommandAndNotTheShell) {
  out("write seen first");
  out("write f text");
  Terminal terminal({bin("myfs-shell"), "-m", server_->url()});
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("cat " + home_ + "/seen\n");
  ASSERT_TRUE(terminal.expect("first\r\n"));
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  // With a server that answers nothing cat prints what is cached and waits for the other file.
  server_->send_signal(SIGSTOP);
  terminal.type("cat " + home_ + "/seen " + home_ + "/f\n");
  ASSERT_TRUE(terminal.expect("first\r\n"));
  terminal.type("\x03");
  EXPECT_TRUE(terminal.expect("myfs:/> "));
  server_->send_signal(SIGCONT);
  terminal.type("cat " + home_ + "/f\n");
  EXPECT_TRUE(terminal.expect("text\r\n"));
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  // At the prompt it drops the line.
  terminal.type("rm " + home_ + "/f\x03");
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("cd " + home_ + "\n");
  ASSERT_TRUE(terminal.expect("myfs:" + home_ + "> "));
  terminal.type("ls -1\n");
  EXPECT_TRUE(terminal.expect("f\r\n"));
  terminal.type("exit\n");
  EXPECT_EQ(130, terminal.wait()) << "the status of the last failed command";
}

TEST_F(Shell, CtrlDEndsItAndHistoryIsKept) {
  {
    Terminal terminal({bin("myfs-shell"), "-m", server_->url()});
    ASSERT_TRUE(terminal.expect("myfs:/> "));
    terminal.type("help pwd\n");
    ASSERT_TRUE(terminal.expect("show the directory"));
    ASSERT_TRUE(terminal.expect("myfs:/> "));
    terminal.type("\x04");
    EXPECT_EQ(0, terminal.wait());
  }
  EXPECT_NE(std::string::npos, slurp(dir_ / ".local/share/myfs/history").find("pwd"));
  Terminal again({bin("myfs-shell"), "-m", server_->url()});
  ASSERT_TRUE(again.expect("myfs:/> "));
  again.type("\x10\n");  // Ctrl-P: the line before
  EXPECT_TRUE(again.expect("show the directory"));
  ASSERT_TRUE(again.expect("myfs:/> "));
  again.type("exit\n");
  again.wait();
}

TEST_F(Shell, TabCompletesCommands) {
  Terminal terminal({bin("myfs-shell"), "-m", server_->url()});
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("readl\t /none\n");
  EXPECT_TRUE(terminal.expect("readlink: /none: No such file"));
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("exit\n");
  EXPECT_EQ(1, terminal.wait());
}

TEST_F(Shell, CtrlCEndsLocalProgramsToo) {
  out("write seen first");
  Terminal terminal({bin("myfs-shell"), "-m", server_->url()});
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("cat " + home_ + "/seen | (cat; exec tail -f /dev/null)\n");
  ASSERT_TRUE(terminal.expect("first\r\n"));
  terminal.type("\x03");
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("!echo local; exec tail -f /dev/null\n");
  ASSERT_TRUE(terminal.expect("local\r\n"));
  terminal.type("\x03");
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("pwd && exit\n");
  ASSERT_TRUE(terminal.expect("/\r\n"));
  EXPECT_EQ(130, terminal.wait());
}

TEST_F(Shell, TabCompletesRemotePathsAndOptions) {
  out("mkdir -p 'some dir/inner'; write 'some dir/inner/file.txt' found; write other x");
  Terminal terminal({bin("myfs-shell"), "-m", server_->url()});
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("cd " + home_ + "\n");
  ASSERT_TRUE(terminal.expect("myfs:" + home_ + "> "));
  terminal.type("cat so\tin\tf\t\n");
  EXPECT_TRUE(terminal.expect("found\r\n"));
  ASSERT_TRUE(terminal.expect("myfs:" + home_ + "> "));
  terminal.type("cat 'so\tin\tf\t\n");
  EXPECT_TRUE(terminal.expect("found\r\n"));
  ASSERT_TRUE(terminal.expect("myfs:" + home_ + "> "));
  terminal.type("ls \t");
  EXPECT_TRUE(terminal.expect("other  some dir/"));
  terminal.type("--js\tother\n");
  EXPECT_TRUE(terminal.expect("\"path\":\"other\""));
  ASSERT_TRUE(terminal.expect("myfs:" + home_ + "> "));
  terminal.type("!ls " + dir_.path() + "/.loc\t\n");
  EXPECT_TRUE(terminal.expect(".local/"));
  EXPECT_TRUE(terminal.expect("share\r\n"));
  ASSERT_TRUE(terminal.expect("myfs:" + home_ + "> "));
  terminal.type("exit\n");
  EXPECT_EQ(0, terminal.wait());
}

TEST_F(Shell, BarsShowHowFarACopyIs) {
  std::filesystem::create_directories(dir_ / "tree/sub");
  local("tree/sub/one", std::string(3 << 20, 'x'));
  local("tree/two", std::string(1 << 20, 'y'));
  Terminal terminal({bin("myfs-shell"), "-m", server_->url()});
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("put -r " + dir_.path() + "/tree " + home_ + "/tree\n");
  EXPECT_TRUE(terminal.expect("/4.0M"));
  EXPECT_TRUE(terminal.expect("100% [====================] 4.0M/4.0M"));
  EXPECT_TRUE(terminal.expect("put: 2 files, 4.0M in "));
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("get -r " + home_ + "/tree " + dir_.path() + "/back\n");
  EXPECT_TRUE(terminal.expect("get: 2 files, 4.0M in "));
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("rm -r " + home_ + "/tree\n");
  EXPECT_TRUE(terminal.expect("rm " + home_ + "/tree/"));
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("exit\n");
  EXPECT_EQ(0, terminal.wait());
  EXPECT_EQ(slurp(dir_ / "tree/sub/one"), slurp(dir_ / "back/sub/one"));
  EXPECT_EQ("", run("put -r " + dir_.path() + "/tree quiet").err) << "no terminal, no bar";
}

TEST_F(Shell, HistoryIsListed) {
  Terminal terminal({bin("myfs-shell"), "-m", server_->url()});
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("pwd\n");
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("history\n");
  EXPECT_TRUE(terminal.expect("    1  pwd\r\n    2  history\r\n"));
  ASSERT_TRUE(terminal.expect("myfs:/> "));
  terminal.type("exit\n");
  EXPECT_EQ(0, terminal.wait());
}

}  // namespace
}  // namespace myfs::test
