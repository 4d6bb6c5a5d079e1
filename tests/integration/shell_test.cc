// myfs-shell as people and scripts use it: -c, a script, stdin, a terminal; output, exit status,
// quoting, Ctrl-C.

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

class Shell : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    suite_dir_ = std::make_unique<TempDir>();
    server_ = std::make_unique<MyfsdProcess>(*suite_dir_ / "data");
    ASSERT_TRUE(server_->start()) << server_->output();
  }
  static void TearDownTestSuite() {
    server_.reset();
    suite_dir_.reset();
  }
  void SetUp() override {
    home_ = std::string("/") + testing::UnitTest::GetInstance()->current_test_info()->name();
    ::setenv("HOME", dir_.path().c_str(), 1);
    ::unsetenv("XDG_DATA_HOME");
    ::unsetenv("MYFS_URL");
    ASSERT_EQ(0, run("mkdir " + home_).status);
  }

  // Runs commands by -c, in this test's directory unless it is made just now.
  ProgramResult run(const std::string& commands, const std::string& input = {}) {
    std::string text = commands;
    if (commands != "mkdir " + home_) text = "cd " + home_ + "; " + commands;
    return run_program({bin("myfs-shell"), "-m", server_->url(), "-c", text}, input);
  }
  // Its stdout, which must be all that it says.
  std::string out(const std::string& commands) {
    ProgramResult result = run(commands);
    EXPECT_EQ(0, result.status) << commands << ": " << result.err;
    EXPECT_EQ("", result.err) << commands;
    return result.out;
  }
  std::string local(const std::string& name, const std::string& content) {
    std::string path = dir_ / name;
    std::ofstream(path) << content;
    return path;
  }
  static std::string slurp(const std::string& path) {
    std::ifstream in(path);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }

  static std::unique_ptr<TempDir> suite_dir_;
  static std::unique_ptr<MyfsdProcess> server_;
  TempDir dir_;
  std::string home_;
};

std::unique_ptr<TempDir> Shell::suite_dir_;
std::unique_ptr<MyfsdProcess> Shell::server_;

TEST_F(Shell, OneLineOfTheReadme) {
  std::string text = local("h", "127.0.0.1 localhost\n");
  std::string said = out("mkdir a; put " + text + " a/h; cat a/h; stat a/h");
  EXPECT_EQ(0u, said.find("127.0.0.1 localhost\n  File: a/h\n  Size: 20\t")) << said;
  EXPECT_NE(std::string::npos, said.find("regular file")) << said;
}

TEST_F(Shell, WritesAndShows) {
  EXPECT_EQ("one two\n", out("write f one   two; cat f"));
  EXPECT_EQ("one two\nmore\n", out("write -a f more; cat f"));
  EXPECT_EQ("one two\n", out("head -n 1 f"));
  EXPECT_EQ("more\n", out("tail -n 1 f"));
  EXPECT_EQ("one", out("truncate 3 f; cat f"));
  EXPECT_EQ(std::string("one\0\0", 5), out("truncate 5 f; cat f"));
  EXPECT_EQ("", out("touch empty; cat empty"));
  EXPECT_EQ("empty\nf\n", out("ls"));
}

TEST_F(Shell, HeadAndTailOfManyLines) {
  std::string text;
  for (int i = 1; i <= 50'000; ++i) text += std::to_string(i) + "\n";
  local("big", text);
  out("put " + dir_.path() + "/big big");
  EXPECT_EQ("1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n", out("head big"));
  EXPECT_EQ("49999\n50000\n", out("tail -n 2 big"));
  EXPECT_EQ(text, out("tail -n 100000 big"));
  EXPECT_EQ(text.substr(text.find("20001\n")), out("tail -n 30000 big"));
  EXPECT_EQ("", out("head -n 0 big; tail -n 0 big"));
  std::string text_end = local("end", "a\nno newline");
  EXPECT_EQ("no newline", out("put " + text_end + " end; tail -n 1 end"));
}

TEST_F(Shell, ListsDirectories) {
  out("mkdir -p d/e/f; write d/.hidden x; write d/b x; ln -s b d/link; mkdir d/a");
  EXPECT_EQ("a\nb\ne\nlink\n", out("ls d"));
  std::string all = out("ls -a d");
  EXPECT_EQ(".\n..\n.hidden\na\nb\ne\nlink\n", all);
  std::string lines = out("chmod 640 d/b; ls -l d");
  EXPECT_NE(std::string::npos, lines.find("-rw-r-----   1 ")) << lines;
  EXPECT_NE(std::string::npos, lines.find("lrwxrwxrwx   1 ")) << lines;
  EXPECT_NE(std::string::npos, lines.find(" link -> b\n")) << lines;
  EXPECT_EQ("d:\na\nb\ne\nlink\n\nd/a:\n\nd/e:\nf\n\nd/e/f:\n", out("ls -R d"));
  EXPECT_EQ("b\n", out("readlink d/link"));
}

TEST_F(Shell, MovesCopiesAndRemoves) {
  out("mkdir d; write f text; mv f d; cp d/f d/g; ln d/g h; ln -s g d/l");
  EXPECT_EQ("f\ng\nl\n", out("ls d"));
  EXPECT_EQ("text\n", out("cat h"));
  out("cp -r d copy; rm -r d; rm h");
  EXPECT_EQ("copy\n", out("ls"));
  EXPECT_EQ("f\ng\nl\n", out("ls copy"));
  EXPECT_EQ("g\n", out("readlink copy/l"));
  out("mkdir empty; rmdir empty; rm -f missing; rm copy/f copy/g");
  EXPECT_EQ("l\n", out("ls copy"));
}

TEST_F(Shell, PutsAndGetsTrees) {
  namespace fs = std::filesystem;
  fs::create_directories(dir_ / "tree/sub");
  local("tree/sub/file", std::string(300'000, 'x') + "end");
  local("tree/empty", "");
  fs::create_symlink("sub/file", dir_ / "tree/link");
  ASSERT_EQ(0, ::mkfifo((dir_ / "tree/fifo").c_str(), 0600));
  ASSERT_EQ(0, ::chmod((dir_ / "tree/sub/file").c_str(), 0751));
  timespec times[2] = {{1000, 0}, {2000, 123}};
  ASSERT_EQ(0, ::utimensat(AT_FDCWD, (dir_ / "tree/empty").c_str(), times, 0));
  out("put -r " + dir_.path() + "/tree tree");
  EXPECT_EQ("empty\nfifo\nlink\nsub\n", out("ls tree"));
  out("get -r tree " + dir_.path() + "/back");
  EXPECT_EQ(slurp(dir_ / "tree/sub/file"), slurp(dir_ / "back/sub/file"));
  EXPECT_EQ("sub/file", fs::read_symlink(dir_ / "back/link").string());
  struct stat st;
  ASSERT_EQ(0, ::stat((dir_ / "back/sub/file").c_str(), &st));
  EXPECT_EQ(0751u, st.st_mode & 07777);
  ASSERT_EQ(0, ::stat((dir_ / "back/empty").c_str(), &st));
  EXPECT_EQ(2000, st.st_mtim.tv_sec);
  EXPECT_EQ(123, st.st_mtim.tv_nsec);
  ASSERT_EQ(0, ::lstat((dir_ / "back/fifo").c_str(), &st));
  EXPECT_TRUE(S_ISFIFO(st.st_mode));
  EXPECT_EQ(1, run("put " + dir_.path() + "/tree other").status) << "a directory without -r";
}

TEST_F(Shell, QuotesAsShDoes) {
  EXPECT_EQ("a  b\n", out("write f 'a  b'; cat f"));
  EXPECT_EQ("it's $HOME \\n\n", out("write f \"it's \\$HOME \\n\"; cat f"));
  EXPECT_EQ("a;b#c\n", out("write f a\\;b#c; cat f # a remark"));
  out("mkdir 'with space' \"semi;colon\" quo\\'te");
  EXPECT_EQ("f\nquo'te\nsemi;colon\nwith space\n", out("ls"));
  EXPECT_EQ(1, run("mkdir ''").status) << "an empty name is a name";
}

TEST_F(Shell, StatusIsThatOfTheLastFailedCommand) {
  EXPECT_EQ(0, run("pwd").status);
  ProgramResult result = run("cat missing; pwd");
  EXPECT_EQ(1, result.status);
  EXPECT_EQ(home_ + "\n", result.out) << "what comes after it is run";
  EXPECT_NE(std::string::npos, result.err.find("cat: missing: No such file or directory"))
      << result.err;
  result = run("nonsense");
  EXPECT_EQ(2, result.status);
  EXPECT_NE(std::string::npos, result.err.find("nonsense")) << result.err;
  result = run("mkdir");
  EXPECT_EQ(2, result.status);
  EXPECT_NE(std::string::npos, result.err.find("usage: mkdir [-p] DIR...")) << result.err;
  EXPECT_EQ(2, run("ls -z").status);
  EXPECT_EQ(2, run("chmod 99 .").status);
  EXPECT_EQ(2, run("truncate big f").status);
  EXPECT_EQ(2, run("head -n x f").status);
  result = run("write f 'open");
  EXPECT_EQ(2, result.status);
  EXPECT_NE(std::string::npos, result.err.find("unterminated quote")) << result.err;
  EXPECT_EQ(7, run("!exit 7").status);
  EXPECT_EQ(1, run("rmdir /; cd missing").status);
}

TEST_F(Shell, ChangesModesAndOwners) {
  out("write f x; chmod u=rw,g=r,o= f; mkdir d; chmod 2770 d");
  std::string said = out("stat f d");
  EXPECT_NE(std::string::npos, said.find("(0640/-rw-r-----)")) << said;
  EXPECT_NE(std::string::npos, said.find("(2770/drwxrws---)")) << said;
  ProgramResult result = run("chown nobody-of-this-name f");
  EXPECT_EQ(2, result.status);
  if (::geteuid() == 0) {
    said = out("chown 1234:5678 f; stat f");
    EXPECT_NE(std::string::npos, said.find("Uid: (1234/")) << said;
    EXPECT_NE(std::string::npos, said.find("Gid: (5678/")) << said;
  }
}

TEST_F(Shell, LocalSide) {
  EXPECT_EQ(dir_.path() + "\n", out("lcd " + dir_.path() + "; lpwd"));
  local("here", "local text\n");
  EXPECT_EQ("local text\n", out("lcd " + dir_.path() + "; put here; cat here"));
  EXPECT_EQ("from sh\n", out("!echo from sh"));
}

TEST_F(Shell, DfStatsAndHelp) {
  std::string df = out("df");
  EXPECT_EQ(0u, df.find("Filesystem")) << df;
  EXPECT_NE(std::string::npos, df.find(server_->url())) << df;
  EXPECT_EQ('{', out("stats")[0]);
  std::string help = out("help");
  for (const char* command :
       {"ls",    "cd",       "pwd",   "cat",   "head", "tail",     "put",   "get",   "cp",
        "mv",    "rm",       "mkdir", "rmdir", "ln",   "readlink", "stat",  "chmod", "chown",
        "touch", "truncate", "df",    "write", "lcd",  "lpwd",     "stats", "help",  "exit"}) {
    EXPECT_NE(std::string::npos, ("\n" + help).find("\n" + std::string(command))) << command;
  }
  EXPECT_EQ(0u, out("help cat").find("cat FILE..."));
}

TEST_F(Shell, ScriptsAndStdin) {
  std::string script = local("script", "# a script\ncd " + home_ +
                                           "\nwrite f 1\n\ncat f missing\n"
                                           "write f 2\nexit\nwrite f 3\n");
  ProgramResult result = run_program({bin("myfs-shell"), "-m", server_->url(), script});
  EXPECT_EQ(1, result.status);
  EXPECT_EQ("1\n", result.out);
  EXPECT_EQ("2\n", out("cat f"));
  result = run_program({bin("myfs-shell"), "-m", server_->url()}, "cd " + home_ + "\ncat f\npwd");
  EXPECT_EQ(0, result.status) << result.err;
  EXPECT_EQ("2\n" + home_ + "\n", result.out);
  result = run_program({bin("myfs-shell"), "-m", server_->url(), dir_ / "no-script"});
  EXPECT_EQ(2, result.status);
  EXPECT_NE(std::string::npos, result.err.find("no-script")) << result.err;
}

TEST_F(Shell, WhereItConnectsTo) {
  ::setenv("MYFS_URL", server_->url().c_str(), 1);
  ProgramResult result = run_program({bin("myfs-shell"), "-c", "pwd"});
  EXPECT_EQ("/\n", result.out) << result.err;
  ::setenv("MYFS_URL", "myfs://127.0.0.1:1/", 1);
  result = run_program({bin("myfs-shell"), "-c", "pwd"});
  EXPECT_EQ(1, result.status);
  EXPECT_NE(std::string::npos, result.err.find("127.0.0.1:1")) << result.err;
  result = run_program({bin("myfs-shell"), "-m", "nonsense", "-c", "pwd"});
  EXPECT_EQ(1, result.status);
  EXPECT_NE(std::string::npos, result.err.find("nonsense")) << result.err;
  result = run_program({bin("myfs-shell"), "-m", server_->url(), "-o", "ro", "-c", "mkdir /x"});
  EXPECT_EQ(1, result.status);
  EXPECT_NE(std::string::npos, result.err.find("Read-only")) << result.err;
  EXPECT_EQ(0, run_program({bin("myfs-shell"), "--version"}).status);
  EXPECT_NE(0, run_program({bin("myfs-shell"), "--colour"}).status);
}

// The default: a data directory of the user's own, with a server inside of the shell.
TEST_F(Shell, EmbeddedInTheUsersDirectory) {
  ProgramResult result = run_program({bin("myfs-shell"), "-c", "write /f kept"});
  EXPECT_EQ(0, result.status) << result.err;
  EXPECT_TRUE(std::filesystem::exists(dir_ / ".local/share/myfs/data"));
  result = run_program({bin("myfs-shell"), "-c", "cat /f"});
  EXPECT_EQ("kept\n", result.out) << result.err;
  std::string url = "embedded:" + (dir_ / "mine");
  result = run_program({bin("myfs-shell"), "-m", url, "-c", "mkdir /a; write /a/f x; ls /a"});
  EXPECT_EQ("f\n", result.out) << result.err;
  ProgramResult fsck = run_program({bin("myfsd"), "--fsck", dir_ / "mine"});
  EXPECT_EQ(0, fsck.status) << fsck.out << fsck.err;
  // If a server serves the directory already, that one is used.
  url = "embedded:" + server_->data_dir();
  result = run_program({bin("myfs-shell"), "-m", url, "-c", "stat " + home_});
  EXPECT_EQ(0, result.status) << result.err;
}

// Output that nobody reads, and a full disk for it, are no success.
TEST_F(Shell, OutputThatCannotBeWritten) {
  out("write f text");
  ProgramResult result = run_program(
      {"/bin/sh", "-c",
       bin("myfs-shell") + " -m " + server_->url() + " -c 'cat " + home_ + "/f' > /dev/full"});
  EXPECT_NE(0, result.status);
}

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
  terminal.type("ls\n");
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

}  // namespace
}  // namespace myfs::test
