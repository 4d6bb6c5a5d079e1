// main() of the tests that run by system calls: on tmpfs, whose kernel is the oracle, or on MyFS
// through myfs-fuse: MYFS_KERNEL=tmpfs or fuse. Needs root and, for fuse, /dev/fuse: without them
// it fails. The tests, their servers and bridges live in name spaces of processes and of mounts of
// their own, so that nothing of them outlives this process, however it ends.
//
// What cannot be the same is left out, as kernel.txt says line by line: PROGRAM WHERE SUITE.TEST
// REASON, with WHERE tmpfs, fuse or both. A line that names no test is an error.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/support/kernel/task.h"

namespace myfs::test {
namespace {

constexpr char kMemory[] = "/dev/shm";

// Of this program posix.NAME.kernel.
std::string own_name() {
  const std::string whole = program_invocation_short_name;
  const size_t begin = whole.find('.') + 1;
  return whole.substr(begin, whole.rfind('.') - begin);
}

bool is_test(const std::string& name) {
  const testing::UnitTest& all = *testing::UnitTest::GetInstance();
  for (int i = 0; i < all.total_test_suite_count(); ++i) {
    const testing::TestSuite& suite = *all.GetTestSuite(i);
    for (int n = 0; n < suite.total_test_count(); ++n) {
      if (std::string(suite.name()) + "." + suite.GetTestInfo(n)->name() == name) return true;
    }
  }
  return false;
}

// Adds the tests of this program that the list `file` leaves out on `where`. False and a message:
// the list is wrong.
bool left_out(const char* file, const std::string& where, std::string* filter) {
  std::ifstream list(file);
  std::string program, at, test, reason, line;
  if (!list) return std::fprintf(stderr, "%s: cannot be read\n", file), false;
  while (std::getline(list, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    words >> program >> at >> test >> reason;
    if (program != own_name()) continue;
    if (!is_test(test) || reason.empty() || (at != "tmpfs" && at != "fuse" && at != "both")) {
      std::fprintf(stderr, "%s: no such test, or no reason: %s\n", file, line.c_str());
      return false;
    }
    if (at == "both" || at == where) *filter += ":" + test;
  }
  return true;
}

class EndRoots : public testing::EmptyTestEventListener {
  void OnTestSuiteEnd(const testing::TestSuite&) override { end_kernel_roots(); }
};

// Waits for `child` and for whatever else is left to this process; ends with the child's status.
[[noreturn]] void follow(pid_t child) {
  int status = 0;
  for (pid_t ended = 0; ended != child;) {
    ended = ::wait(&status);
    if (ended < 0 && errno != EINTR) break;
  }
  if (child < 0 || !WIFEXITED(status)) {
    std::fprintf(stderr, "the tests ended by signal %d\n", child < 0 ? 0 : WTERMSIG(status));
    ::_exit(1);
  }
  ::_exit(WEXITSTATUS(status));
}

// Returns in a process of name spaces of its own. Their first process waits for it and is killed
// with this one; the kernel kills all others with the first.
bool enter_name_spaces() {
  if (::geteuid() != 0) return std::fprintf(stderr, "this needs root\n"), false;
  if (::unshare(CLONE_NEWNS | CLONE_NEWPID) != 0) return std::perror("unshare"), false;
  int alive[2];
  if (::pipe2(alive, O_CLOEXEC) != 0) return std::perror("pipe"), false;
  const pid_t first = ::fork();
  if (first != 0) {
    ::close(alive[0]);
    follow(first);
  }
  ::close(alive[1]);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The caller may have gone before that.
  pollfd gone{alive[0], POLLIN, 0};
  if (::poll(&gone, 1, 0) != 0) ::_exit(1);
  ::close(alive[0]);
  // What is mounted here is nobody else's. The bridge asks /proc for the groups of its callers.
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      ::mount("proc", "/proc", "proc", 0, nullptr) != 0 ||
      // Servers store in memory, so that no disk decides how long this takes.
      ::mount("tmpfs", kMemory, "tmpfs", 0, nullptr) != 0 || ::setenv("TMPDIR", kMemory, 1) != 0) {
    return std::perror("mount"), false;
  }
  const pid_t tests = ::fork();
  if (tests != 0) follow(tests);
  return true;
}

int run(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const char* where = std::getenv("MYFS_KERNEL");
  if (where == nullptr || (std::string(where) != "tmpfs" && std::string(where) != "fuse")) {
    std::fprintf(stderr, "MYFS_KERNEL must be tmpfs or fuse\n");
    return 1;
  }
  if (std::string(where) == "fuse" && ::access("/dev/fuse", R_OK | W_OK) != 0) {
    std::fprintf(stderr, "there is no /dev/fuse: load the module fuse (modprobe fuse)\n");
    return 1;
  }
  std::string filter;
  if (!left_out(MYFS_KERNEL_LIST, where, &filter) || !enter_name_spaces()) return 1;
  std::string& asked = testing::FLAGS_gtest_filter;
  if (asked.find('-') == std::string::npos) asked += "-";
  asked += filter;
  testing::UnitTest::GetInstance()->listeners().Append(new EndRoots);
  return RUN_ALL_TESTS();
}

}  // namespace
}  // namespace myfs::test

int main(int argc, char** argv) { return myfs::test::run(argc, argv); }
