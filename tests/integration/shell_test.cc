// myfs-shell as people and scripts use it: -c, a script, stdin; output, exit status, quoting,
// pipes, patterns.

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "tests/integration/shell_fixture.h"

namespace myfs::test {
namespace {

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
  EXPECT_EQ("one", out("truncate -s 3 f; cat f"));
  EXPECT_EQ(std::string("one\0\0", 5), out("truncate -s 5 f; cat f"));
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
  EXPECT_NE(std::string::npos, result.err.find("usage: mkdir [-p] [-m MODE] DIR...")) << result.err;
  EXPECT_EQ(2, run("ls -z").status);
  EXPECT_EQ(2, run("chmod 99 .").status);
  EXPECT_EQ(2, run("truncate -s big f").status);
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
  EXPECT_EQ('{', out("stats --json")[0]);
  EXPECT_NE(std::string::npos, out("stats").find("RPCs"));
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

TEST_F(Shell, PatternsStandForPaths) {
  out("mkdir d; touch d/a.c d/b.c d/c.h '*' .hidden; mkdir e; touch e/a.c");
  EXPECT_EQ("d/a.c\nd/b.c\n", out("ls d/*.c"));
  EXPECT_EQ("d/a.c\ne/a.c\n", out("ls */a.c"));
  EXPECT_EQ("d/a.c\nd/c.h\n", out("ls d/{a.c,c.h}"));
  EXPECT_EQ("*\n", out("ls '*'")) << "quoting switches it off";
  EXPECT_EQ("*\n", out("ls \\*"));
  ProgramResult result = run("ls *.none");
  EXPECT_EQ(1, result.status);
  EXPECT_EQ("myfs-shell: ls: *.none: matches nothing (quote it if it is a name)\n", result.err);
  local("one.txt", "1\n");
  local("two.txt", "2\n");
  EXPECT_EQ("1\n2\n", out("lcd " + dir_.path() + "; put *.txt d; cat d/*.txt"))
      << "local patterns of put";
  out("rm -r d e");
  EXPECT_EQ("*\n", out("ls"));
}

TEST_F(Shell, PipesIntoLocalPrograms) {
  std::string bytes;
  for (int i = 0; i < 600'000; ++i) bytes.push_back(static_cast<char>(i * 7 + i / 256));
  local("bytes", bytes);
  out("put " + dir_.path() + "/bytes f; write g some text");
  EXPECT_EQ("600000\n", out("cat f | wc -c"));
  EXPECT_EQ("", out("cat f | cmp - " + dir_.path() + "/bytes")) << "any bytes";
  EXPECT_EQ("TEXT SOME\n", out("cat g | tr a-z A-Z | sed 's/\\(.*\\) \\(.*\\)/\\2 \\1/'"));
  EXPECT_EQ("x;y\n/" + home_.substr(1) + "\n", out("write h 'x;y'; cat h | cat; pwd"));
  ProgramResult result = run("cat missing | wc -c; cat g | (exit 5)");
  EXPECT_EQ("0\n", result.out);
  EXPECT_EQ(5, result.status) << "of the program, if the command did not fail";
  EXPECT_EQ(1, run("cat missing | cat").status);
  EXPECT_EQ(std::string(1, bytes[0]), out("cat f | head -c 1")) << "it has had enough";
}

TEST_F(Shell, OutputGoesToLocalFiles) {
  std::string file = dir_ / "out put";
  EXPECT_EQ("", out("write f text; cat f > '" + file + "'; cat f >> '" + file + "'"));
  EXPECT_EQ("text\ntext\n", slurp(file));
  ProgramResult result = run("pwd > " + dir_.path() + "/none/x");
  EXPECT_EQ(1, result.status);
  EXPECT_NE(std::string::npos, result.err.find("none/x: No such file or directory")) << result.err;
  EXPECT_EQ(1, run("cat f > /dev/full").status);
}

TEST_F(Shell, ConnectsCommands) {
  EXPECT_EQ("a\nc\n", run("write a a && cat a || cat missing; cat none || write c c && cat c").out);
  EXPECT_EQ("", out("cd . || pwd"));
  EXPECT_EQ("c\nc\n", run("cat missing && write x x; cat c 2 || write c c; cat c").out);
}

TEST_F(Shell, AReaderThatGoesAwayEndsIt) {
  local("big", std::string(1'000'000, 'x'));
  out("put " + dir_.path() + "/big big");
  std::string command = bin("myfs-shell") + " -m " + server_->url() + " -c 'cat " + home_ +
                        "/big; write " + home_ + "/after x'";
  ProgramResult result =
      run_program({"/bin/sh", "-c", "{ " + command + "; echo $? >&2; } | head -c 1"});
  EXPECT_EQ("x", result.out);
  EXPECT_EQ("141\n", result.err) << "and no complaint";
  EXPECT_EQ("big\n", out("ls"));
}

TEST_F(Shell, AnInterruptThatIsSentToItEndsLocalProgramsToo) {
  Program program;
  ASSERT_TRUE(program.start(
      {bin("myfs-shell"), "-m", server_->url(), "-c", "!echo ready; exec tail -f /dev/null"}));
  std::string line;
  ASSERT_TRUE(program.receive(&line));
  EXPECT_EQ("ready", line);
  program.kill(SIGINT);
  EXPECT_EQ(130, program.wait());
}

TEST_F(Shell, JsonThatOthersRead) {
  using nlohmann::json;
  out("mkdir -m 751 d; write d/f text; ln -s f d/l; setfattr -n user.a -v 0x00ff d/f; touch "
      "d/'q\"uote'");
  json list = json::parse(out("ls --json d"));
  ASSERT_EQ(3u, list.size());
  EXPECT_EQ("f", list[0]["name"]);
  EXPECT_EQ("d/f", list[0]["path"]);
  EXPECT_EQ(5, list[0]["size"]);
  EXPECT_EQ("f", list[1]["target"]);
  EXPECT_EQ("q\"uote", list[2]["name"]);
  json stat = json::parse(out("stat --json d d/f"));
  EXPECT_EQ("0751", stat[0]["mode"]);
  EXPECT_EQ("regular file", stat[1]["type"]);
  json found = json::parse(out("find d -type f --json"));
  ASSERT_EQ(2u, found.size());
  EXPECT_EQ("d/f", found[0]["path"]);
  EXPECT_EQ(server_->url(), json::parse(out("df --json"))[0]["url"].get<std::string>());
  EXPECT_LT(0, json::parse(out("statfs --json /"))[0]["blocks"]);
  EXPECT_TRUE(json::parse(out("stats --json")).is_object());
  EXPECT_EQ(6, json::parse(out("du --json -b d"))[0]["bytes"]) << "five and those of the link";
  json attributes = json::parse(out("getfattr --json d/f"));
  EXPECT_EQ("user.a", attributes[0]["attributes"][0]["name"]);
  EXPECT_EQ("AP8=", attributes[0]["attributes"][0]["value_base64"]);
  ProgramResult result = run("stat --json missing");
  EXPECT_EQ(1, result.status);
  EXPECT_TRUE(json::parse(result.out).empty()) << "an array all the same";
}

TEST_F(Shell, TimesAndSizes) {
  out("touch -d '2020-02-29 12:34:56.789Z' f; touch -r f g; touch -m -d @5 f; touch -c none");
  nlohmann::json st = nlohmann::json::parse(out("stat --json f g"));
  EXPECT_EQ("1970-01-01T00:00:05.000000000Z", st[0]["mtime"]);
  EXPECT_EQ("2020-02-29T12:34:56.789000000Z", st[0]["atime"]);
  EXPECT_EQ("2020-02-29T12:34:56.789000000Z", st[1]["mtime"]);
  EXPECT_EQ("f\ng\n", out("ls"));
  EXPECT_EQ("3 f\n", out("truncate -s 4 f; truncate -s -1 f; wc -c f"));
  EXPECT_EQ("1027 f\n", out("truncate -s +1K f; truncate -s '<2K' f; wc -c f"));
  EXPECT_EQ("1027 g\n", out("truncate -r f g; wc -c g"));
  EXPECT_EQ(2, run("touch -d someday f").status);
}

TEST_F(Shell, ChangesWholeTrees) {
  out("mkdir -p d/e; touch d/f d/e/g; ln -s none d/l; chmod 600 d/f d/e/g; chmod -R u+rwX,g=u d");
  EXPECT_EQ("./d\n./d/e\n", out("find . -type d -perm 775"));
  EXPECT_EQ("./d/e/g\n./d/f\n", out("find . -type f -perm 660"));
  EXPECT_EQ("./d/f\n", out("chmod a-w d/f; find . -type f -perm 440"));
  if (::geteuid() != 0) return;
  EXPECT_EQ("d\nd/e\nd/e/g\nd/f\nd/l\n", out("chown -R 7 d; chgrp -R 8 d; find d -uid 7 -gid 8"));
}

TEST_F(Shell, CopiesNothingOntoItself) {
  out("mkdir -p d/e; write d/f text; ln d/f same");
  EXPECT_EQ(1, run("cp d/f d/f").status);
  EXPECT_EQ(1, run("cp d/f same").status);
  EXPECT_EQ("text\n", out("cat d/f")) << "and it is still there";
  ProgramResult result = run("cp -r d d/e");
  EXPECT_EQ(1, result.status);
  EXPECT_NE(std::string::npos, result.err.find("into itself")) << result.err;
  EXPECT_EQ("d/e/d\nd/e/d/e\n", out("find d/e/* -type d"));
  EXPECT_EQ(1, run("rm -r .").status);
  EXPECT_EQ(1, run("rm d").status);
}

TEST_F(Shell, MountsFurtherFileSystems) {
  std::string other = "embedded:" + (dir_ / "other");
  std::string at = home_ + "/m";
  std::string begin = "mkdir m; mount " + other + " m; ";
  EXPECT_EQ(server_->url() + " on /\n" + other + " on " + at + "\n", out(begin + "mount"));
  EXPECT_EQ("f\n", out("mount " + other + " m; write m/f text; ls m"));
  std::string mount = "mount " + other + " m; ";
  EXPECT_EQ("text\n", out(mount + "cp m/f copy; umount m; ls m; cat copy"));
  EXPECT_NE(std::string::npos, out(mount + "df m").find(other));
  EXPECT_EQ("m\nm/f\n", out(mount + "find m"));
  EXPECT_EQ("m\n", out(mount + "find m -xdev -maxdepth 0"));
  EXPECT_EQ("sub\n",
            out(mount + "mkdir -p t/sub; chmod 700 t/sub; mv t m; ls m/t; find . -name t -prune "
                        "! -path './m/*'"));
  EXPECT_EQ(1, run("mount myfs+unix:/none m").status);
  EXPECT_EQ(1, run("umount m").status) << "nothing is mounted there";
  EXPECT_EQ(1, run("umount /").status);
  EXPECT_EQ(2, run("mount " + other).status);
}

TEST_F(Shell, EveryCommandHasHelp) {
  std::istringstream list(out("help"));
  std::string line;
  int commands = 0;
  while (std::getline(list, line) && !line.empty()) {
    std::string name = line.substr(0, line.find(' '));
    if (name == "!") continue;
    EXPECT_EQ(0u, out("help " + name).find(name)) << name;
    EXPECT_EQ(out("help " + name), out(name + " --help")) << name;
    ++commands;
  }
  EXPECT_LT(40, commands);
  EXPECT_EQ(1, run("help nonsense").status);
}

}  // namespace
}  // namespace myfs::test
