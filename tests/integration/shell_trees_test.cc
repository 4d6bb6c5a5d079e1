// What myfs-shell says of a tree, against what the local tools say of the same tree: find, du,
// tree, getfattr, setfacl and getfacl, none of which was written here.

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "cli/shell/text/acl.h"
#include "tests/integration/shell_fixture.h"

namespace myfs::test {
namespace {

namespace fs = std::filesystem;

std::multiset<std::string> split(const std::string& text, char separator) {
  std::multiset<std::string> parts;
  size_t at = 0;
  for (size_t end; (end = text.find(separator, at)) != std::string::npos; at = end + 1) {
    parts.insert(text.substr(at, end - at));
  }
  return parts;
}

class ShellTrees : public Shell {
 protected:
  void SetUp() override {
    Shell::SetUp();
    ::setenv("LC_ALL", "C.UTF-8", 1);
    make_tree();
    out("put -r " + tree_ + " tree");
  }

  void make_tree() {
    for (const char* dir :
         {"a/b/c", "empty", "with space", "\xc3\xa9t\xc3\xa9", ".hidden", "a/x"}) {
      fs::create_directories(tree_ + "/" + dir);
    }
    const std::pair<const char*, size_t> files[] = {{"a/one", 1},
                                                    {"a/b/zero", 0},
                                                    {"a/b/c/block", 512},
                                                    {"a/b/c/more", 513},
                                                    {"with space/Name.C", 7},
                                                    {"with space/name.c", 1024},
                                                    {".hidden/.dot", 3},
                                                    {"\xc3\xa9t\xc3\xa9/\xc3\xb1.c", 4096},
                                                    {"new\nline", 12},
                                                    {"star*", 1025},
                                                    {"a/x/large", 1'200'000}};
    // Far from the edges of whole days, and of the minutes that are asked for.
    constexpr int kAges_h[] = {0, 3, 5, 30, 34, 54, 60, 80, 85, 250, 9000};
    int i = 0;
    for (const auto& [name, size] : files) {
      std::ofstream(tree_ + "/" + name) << std::string(size, 'x');
      ::chmod((tree_ + "/" + name).c_str(), i % 3 == 0 ? 0644 : i % 3 == 1 ? 0755 : 0600);
      timespec old[2] = {{0, UTIME_OMIT}, {::time(nullptr) - kAges_h[i] * 3600, 5000}};
      ::utimensat(AT_FDCWD, (tree_ + "/" + name).c_str(), old, 0);
      ++i;
    }
    fs::create_symlink("one", tree_ + "/a/link");
    fs::create_symlink("nowhere", tree_ + "/broken");
    fs::create_symlink("a/b", tree_ + "/to-dir");
    ASSERT_EQ(0, ::mkfifo((tree_ + "/fifo").c_str(), 0600));
  }

  // What a local command prints in the tree.
  std::string there(const std::string& command) {
    ProgramResult result = run_program({"/bin/sh", "-c", "cd " + tree_ + " && " + command});
    EXPECT_EQ(0, result.status) << command << ": " << result.err;
    return result.out;
  }
  std::string here(const std::string& command) { return out("cd tree; " + command); }

  void expect_same_found(const std::string& expression) {
    EXPECT_EQ(split(there("find " + expression + " -print0"), '\0'),
              split(here("find " + expression + " -print0"), '\0'))
        << expression;
  }

  const std::string tree_ = dir_ / "tree";
};

TEST_F(ShellTrees, FindFindsWhatFindFinds) {
  for (const char* expression : {"",
                                 ".",
                                 "a",
                                 "a/",
                                 "./a empty",
                                 "a/link",
                                 "to-dir",
                                 ". -type f",
                                 ". -type d",
                                 ". -type l,p",
                                 ". -name '*.c'",
                                 ". -iname '*.c'",
                                 ". -name '.*'",
                                 ". -name '?.c'",
                                 ". -name 'star\\*'",
                                 ". -name '*e'",
                                 ". -path '*/b/*'",
                                 ". -path './a*'",
                                 ". -ipath '*NAME*'",
                                 ". -lname 'no*'",
                                 ". -maxdepth 1",
                                 ". -mindepth 2",
                                 ". -mindepth 1 -maxdepth 2",
                                 ". -depth -name b",
                                 ". ! -type f",
                                 ". ! \\( -type f -o -type d \\)",
                                 ". \\( -name a -prune -o -true \\)",
                                 ". \\( -path ./a/b -prune -o -type f \\)",
                                 ". \\( -type f -a -name '*e' -o -type d -a -name 'a' \\)",
                                 ". -false"}) {
    expect_same_found(expression);
  }
}

TEST_F(ShellTrees, FindAsksForAttributesAsFindDoes) {
  for (const char* expression : {". -type f -size 1",
                                 ". -type f -size +1",
                                 ". -type f -size -2k",
                                 ". -size 513c",
                                 ". -type f -size +1M",
                                 ". -type f -size -1M",
                                 ". -type f -empty",
                                 ". -type d -empty",
                                 ". -empty",
                                 ". -perm 644",
                                 ". -perm -111",
                                 ". -perm /022",
                                 ". -type f -perm -u+x,g+r",
                                 ". -newer a/one",
                                 ". -not -newer a/b/zero -type f",
                                 ". -type f -mtime 0",
                                 ". -type f -mtime +0",
                                 ". -type f -mtime 1",
                                 ". -type f -mtime -3",
                                 ". -type f -mmin -100",
                                 ". -type f -mmin +100",
                                 ". -type f -amin -1000",
                                 ". \\( -user root -o -user 0 \\)",
                                 ". -uid +0",
                                 ". -gid 0",
                                 ". -type f -links 1",
                                 ". -type f -links +1",
                                 ". -inum 0",
                                 ". -nouser",
                                 ". -type f -newermt 2020-02-29"}) {
    expect_same_found(expression);
  }
}

TEST_F(ShellTrees, FindDeletesWhatFindDeletes) {
  for (const char* expression : {"a -name 'z*' -delete", "with\\ space -delete",
                                 ". -type l -delete", ". -type d -empty -delete"}) {
    there(std::string("find ") + expression);
    here(std::string("find ") + expression);
    expect_same_found(".");
  }
  EXPECT_EQ(1, run("cd tree; find a -maxdepth 0 -delete").status) << "not empty";
}

TEST_F(ShellTrees, FindPrintsAndQuits) {
  EXPECT_EQ("./.hidden\n", here("find . -name .hidden -print -quit"));
  EXPECT_EQ("./a/one\n", here("find . -name one"));
  EXPECT_EQ(std::string("a/one\0", 6), here("find a -name one -print0"));
  ProgramResult result = run("find missing . -maxdepth 0");
  EXPECT_EQ(1, result.status);
  EXPECT_EQ(".\n", result.out);
  EXPECT_EQ("myfs-shell: find: missing: No such file or directory\n", result.err);
  EXPECT_EQ(2, run("find . -exec ls ;").status);
  EXPECT_EQ(2, run("find . -name").status);
}

// Paths from the top of the tree; `path` as du says it.
bool is_below(const std::string& directory, std::string path) {
  if (path == ".") return true;
  if (path.compare(0, 2, "./") == 0) path.erase(0, 2);
  return directory == path || directory.compare(0, path.size() + 1, path + "/") == 0;
}

// Sizes of directories are a matter of each file system: they are taken out.
TEST_F(ShellTrees, DirstatCountsAtTheServer) {
  EXPECT_EQ("", out("mkdir -p counted/sub; write counted/f 12345; write counted/sub/g 123"));
  EXPECT_EQ("3 entries, 1 directories, 10 bytes\tcounted\n", out("dirstat counted"));
  EXPECT_EQ("2 entries, 1 directories, 6 bytes\tcounted\n", out("dirstat -1 counted"));
  const auto counted = nlohmann::json::parse(out("dirstat --json counted"));
  EXPECT_EQ(3, counted[0]["entries"]);
  EXPECT_EQ(10, counted[0]["bytes"]);
  EXPECT_EQ("", out("refresh counted"));
}

TEST_F(ShellTrees, DuSumsAsDuDoes) {
  there("ln a/one a/same");
  here("ln a/one a/same");
  std::map<std::string, long long> directories;
  for (const auto& entry : fs::recursive_directory_iterator(tree_)) {
    struct stat st;
    ASSERT_EQ(0, ::lstat(entry.path().c_str(), &st));
    if (S_ISDIR(st.st_mode))
      directories[entry.path().string().substr(tree_.size() + 1)] = st.st_size;
  }
  struct stat st;
  ASSERT_EQ(0, ::lstat(tree_.c_str(), &st));
  directories[""] = st.st_size;
  auto expected = [&](const std::string& options) {
    std::multiset<std::string> lines;
    std::string text = there("du -0 " + options);
    for (const std::string& line : split(text, '\0')) {
      size_t tab = line.find('\t');
      std::string path = line.substr(tab + 1);
      long long bytes = std::stoll(line);
      for (const auto& [dir, size] : directories) {
        if (is_below(dir, path)) bytes -= size;
      }
      lines.insert(std::to_string(bytes) + "\t" + path);
    }
    return lines;
  };
  // The name with a newline would be two lines of ours.
  for (const char* options : {"-b", "-b -s", "-b -d 1", "-b -s a", "-b a/b", "-b -l a", "-ab a"}) {
    EXPECT_EQ(expected(options), split(here(std::string("du ") + options), '\n')) << options;
  }
  EXPECT_EQ("1.2M\ta/x/large\n", here("du -h --apparent-size a/x/large"));
  EXPECT_EQ(there("du -h --apparent-size a/x/large"), here("du -h --apparent-size a/x/large"));
  EXPECT_EQ("1200000\ta/x/large\n1200000\ttotal\n", here("du -b -c a/x/large"));
}

std::string with_plain_blanks(std::string text) {
  for (size_t at; (at = text.find("\xc2\xa0")) != std::string::npos;) text.replace(at, 2, " ");
  return text;
}

TEST_F(ShellTrees, TreeDrawsAsTreeDoes) {
  there("rm 'new\nline'");
  here("rm 'new\nline'");
  for (const char* options :
       {"", "-a", "-d", "-L 2", "-f a", "-a --dirsfirst", "-a --noreport a"}) {
    EXPECT_EQ(with_plain_blanks(there(std::string("tree ") + options)),
              here(std::string("tree ") + options))
        << options;
  }
}

TEST_F(ShellTrees, GetfattrPrintsAsGetfattrDoes) {
  const char* commands[] = {"setfattr -n user.text -v 'some \"quoted\" text' a/one",
                            "setfattr -n user.empty a/one",
                            "setfattr -n user.bytes -v 0x00ff80 a/one",
                            "setfattr -n user.base -v 0sAAECAw== a/one",
                            "setfattr -n user.gone -v x a/one",
                            "setfattr -x user.gone a/one",
                            "setfattr -n user.octal -v '\"a\\012b\"' a/one"};
  for (const char* command : commands) {
    there(command);
    here(command);
  }
  for (const char* command : {"getfattr a/one", "getfattr -d a/one", "getfattr -d -e hex a/one",
                              "getfattr -d -e base64 a/one", "getfattr -d -e text a/one",
                              "getfattr -n user.text a/one", "getfattr -d -m 'e' a/one",
                              "getfattr --only-values -n user.bytes a/one", "getfattr a/b/zero"}) {
    EXPECT_EQ(there(command), here(command)) << command;
  }
  EXPECT_EQ(1, run("getfattr -n user.none tree/a/one").status);
  EXPECT_EQ(2, run("setfattr -v x tree/a/one").status);
  EXPECT_EQ(2, run("setfattr -n user.x -v 0xz tree/a/one").status);
}

// The kernel's bytes of lists that the local setfacl makes.
TEST_F(ShellTrees, ListsOfTheKernelAreRead) {
  std::mt19937 random(7);
  for (int i = 0; i < 20; ++i) {
    std::string text = "u::" + std::to_string(random() % 8);
    text += ",g::" + std::to_string(random() % 8) + ",o::" + std::to_string(random() % 8);
    for (size_t left = random() % 4 + 1; left > 0; --left) {
      text += std::string(random() % 2 == 0 ? ",u:" : ",g:") + std::to_string(random() % 9 + 1) +
              ":" + std::to_string(random() % 8);
    }
    if (random() % 2 == 0) text += ",m::" + std::to_string(random() % 8);
    there("setfacl -b a/one; setfacl -m " + text + " a/one");
    std::string bytes(4096, '\0');
    ssize_t length = ::getxattr((tree_ + "/a/one").c_str(), "system.posix_acl_access", bytes.data(),
                                bytes.size());
    ASSERT_LT(0, length) << text;
    bytes.resize(static_cast<size_t>(length));
    shell::Acl acl;
    ASSERT_TRUE(shell::Acl::decode(bytes, &acl)) << text;
    EXPECT_EQ(bytes, acl.encode()) << text;
    EXPECT_EQ(there("getfacl -cn a/one"), acl.text("", true) + "\n") << text;
    std::vector<shell::AclChange> changes;
    std::string error;
    ASSERT_TRUE(shell::parse_acl(text, true, &changes, &error)) << error;
    shell::Acl mine;
    for (const shell::AclChange& change : changes) mine.set(change.entry);
    if (mine.find(shell::AclTag::kMask) == nullptr) mine.recalculate_mask();
    EXPECT_EQ(bytes, mine.encode()) << text;
  }
}

TEST_F(ShellTrees, GetfaclShowsTheModeWhereThereIsNoList) {
  there("chmod 4754 a/one");
  here("chmod 4754 a/one");
  EXPECT_EQ(there("getfacl -n a/one"), here("getfacl -n a/one"));
  EXPECT_EQ(there("getfacl -cn a"), here("getfacl -cn a"));
  here("setfacl -m g::rwx,o::- a/one");
  there("setfacl -m g::rwx,o::- a/one");
  EXPECT_EQ(there("getfacl -n a/one"), here("getfacl -n a/one"));
  EXPECT_EQ(2, run("setfacl -m nonsense tree/a/one").status);
  EXPECT_EQ(2, run("setfacl tree/a/one").status);
  EXPECT_EQ(1, run("setfacl -m d:u::rwx tree/a/one").status) << "no directory";
}

TEST_F(ShellTrees, SetfaclChangesAsSetfaclDoes) {
  for (const char* change : {"-m u:1234:rwx a/one",
                             "-m g:77:r a/one",
                             "-x u:1234 a/one",
                             "-m m::r a/one",
                             "-m u:5:rw a/one",
                             "-n -m u:6:rwx a/one",
                             "-x g:77 a/one",
                             "-x u:999 a/one",
                             "-x m a/one",
                             "-m u::rwx,g::rx,o::- a/one",
                             "-b a/one",
                             "-m d:u:1234:rwx a/b",
                             "-m u:8:rX,d:g:9:rX a/b",
                             "-d -m u:3:r a/b",
                             "-x d:u:1234 a/b",
                             "-R -m u:55:rX a/b",
                             "-R -m d:u:55:rX a/b",
                             "-k a/b",
                             "-x g a/one",
                             "--set u::rw,g::r,o::-,u:4:7 a/one",
                             "--set u::rw a/one",
                             "-m x:1:r a/one",
                             "-m d:u:3:r a/one",
                             "-R -b a/b",
                             "-R -k a/b",
                             "-m d:u::rwx a/b"}) {
    ProgramResult local_one =
        run_program({"/bin/sh", "-c", "cd " + tree_ + " && setfacl " + change});
    ProgramResult remote_one = run(std::string("cd tree; setfacl ") + change);
    EXPECT_EQ(local_one.status, remote_one.status) << change << ": " << remote_one.err;
    for (const char* path : {"a/one", "a/b", "a/b/c", "a/b/c/block"}) {
      std::string get = std::string("getfacl -n ") + path;
      ASSERT_EQ(there(get), here(get)) << change;
    }
  }
}

}  // namespace
}  // namespace myfs::test
