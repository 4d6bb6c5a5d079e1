// Random lists, modes and callers: each step is taken on a directory of the kernel's, too, and
// must come to the same errno, mode, owner and lists; then everybody's access() must agree. Needs
// root.

#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <functional>
#include <random>
#include <vector>

#include "tests/posix/api_test.h"
#include "tests/support/myfsd/acl_bytes.h"

namespace myfs::test {
namespace {

struct Who {
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};

// The kernel's side: a directory, and system calls made by children that have become somebody.
class KernelSide {
 public:
  explicit KernelSide(const std::string& path)
      : dir_(::open(path.c_str(), O_RDONLY | O_DIRECTORY)) {}
  ~KernelSide() { ::close(dir_); }
  // What `fn`, which returns -1 with errno or not -1, comes to as `who`: 0 or -errno.
  int as(const Who& who, const std::function<int()>& fn) const {
    const pid_t child = ::fork();
    if (child == 0) {
      const bool became = ::fchdir(dir_) == 0 &&
                          ::setgroups(who.groups.size(), who.groups.data()) == 0 &&
                          ::setresgid(who.gid, who.gid, who.gid) == 0 &&
                          ::setresuid(who.uid, who.uid, who.uid) == 0;
      if (!became) ::_exit(255);
      ::_exit(fn() == -1 ? errno : 0);
    }
    int status = 0;
    EXPECT_EQ(child, ::waitpid(child, &status, 0));
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 255) << status;
    return -WEXITSTATUS(status);
  }
  int dir() const { return dir_; }

 private:
  const int dir_;
};

// What is to be seen of a name.
struct Seen {
  int error = 0;
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  std::string access, inherited;
  bool operator==(const Seen&) const = default;
};
std::string hex(const std::string& bytes) {
  std::string text;
  for (unsigned char c : bytes) {
    text += "0123456789abcdef"[c >> 4];
    text += "0123456789abcdef"[c & 15];
  }
  return text;
}
void PrintTo(const Seen& seen, std::ostream* out) {
  *out << "error " << seen.error << " mode " << std::oct << seen.mode << std::dec << " owner "
       << seen.uid << ":" << seen.gid << " access " << hex(seen.access) << " default "
       << hex(seen.inherited);
}

class AclKernel : public ApiTest {
 protected:
  void SetUp() override {
    ASSERT_EQ(0u, ::geteuid()) << "this test needs root";
    ApiTest::SetUp();
    ::umask(022);  // whatever the test was started with
    std::filesystem::create_directory(*dir_ / "kernel");
    kernel_ = std::make_unique<KernelSide>(*dir_ / "kernel");
    ASSERT_EQ(0, myfs_chmod(task_, ".", 0755));
    // Another client, which must know of everything at once.
    ASSERT_EQ(0, myfs_open_url(server_->url().c_str(), nullptr, &other_)) << last_message();
    ASSERT_EQ(0, myfs_chdir(other_, home().c_str()));
  }
  void TearDown() override {
    EXPECT_EQ(0, myfs_task_destroy(other_));
    ApiTest::TearDown();
  }

  // --- random things
  uint32_t below(uint32_t end) { return static_cast<uint32_t>(random_() % end); }
  uid_t some_uid() { return 1000 + below(4); }
  gid_t some_gid() { return 2000 + below(4); }
  Who somebody() {
    Who who{below(10) == 0 ? 0 : some_uid(), some_gid(), {}};
    for (uint32_t i = below(3); i > 0; --i) who.groups.push_back(some_gid());
    return who;
  }
  mode_t some_mode() { return below(4) == 0 ? below(010000) : below(01000); }
  std::string some_acl() {
    auto perm = [&] { return static_cast<uint16_t>(below(8)); };
    std::vector<AclItem> items = {{1, perm()}};
    for (uint32_t i = below(3); i > 0; --i) items.push_back({2, perm(), some_uid()});
    items.push_back({4, perm()});
    for (uint32_t i = below(3); i > 0; --i) items.push_back({8, perm(), some_gid()});
    if (items.size() > 2 || below(3) == 0) items.push_back({16, perm()});
    items.push_back({32, perm()});
    std::string bytes = acl_bytes(items);
    if (below(8) == 0) bytes[below(static_cast<uint32_t>(bytes.size()))] ^= 1 << below(8);
    if (below(20) == 0) bytes.resize(below(static_cast<uint32_t>(bytes.size())));
    return bytes;
  }
  const char* some_name() { return below(2) == 0 ? "d" : "d/f"; }

  // --- both sides
  struct Call {
    explicit Call(const Who& who)
        : cred{sizeof cred, who.uid, who.gid, who.groups.data(), who.groups.size()} {}
    operator const myfs_call*() const { return &call; }
    myfs_cred cred;
    myfs_call call{sizeof(myfs_call), &cred, 0, nullptr};
  };
  Seen seen_by_kernel(const char* path) {
    Seen seen;
    struct stat st {};
    if (::fstatat(kernel_->dir(), path, &st, AT_SYMLINK_NOFOLLOW) != 0) seen.error = errno;
    fill(&seen, st);
    const std::string full = *dir_ / ("kernel/" + std::string(path));
    auto get = [&](const char* name) {
      std::string value(1 << 12, '\0');
      ssize_t n = ::lgetxattr(full.c_str(), name, value.data(), value.size());
      if (n < 0) return error_text(-errno);
      value.resize(static_cast<size_t>(n));
      return value;
    };
    seen.access = get(kAclAccess);
    seen.inherited = get(kAclDefault);
    return seen;
  }
  static Seen seen_by(myfs_task* task, const char* path) {
    Seen seen;
    struct stat st {};
    seen.error = -myfs_lstat(task, path, &st);
    fill(&seen, st);
    auto get = [&](const char* name) {
      std::string value(1 << 12, '\0');
      ssize_t n = myfs_getxattr(task, path, name, value.data(), value.size(), 1);
      if (n < 0) return error_text(n);
      value.resize(static_cast<size_t>(n));
      return value;
    };
    seen.access = get(kAclAccess);
    seen.inherited = get(kAclDefault);
    return seen;
  }
  static void fill(Seen* seen, const struct stat& st) {
    seen->mode = st.st_mode;
    seen->uid = st.st_uid;
    seen->gid = st.st_gid;
  }

  void change_list(const Who& who) {
    const char* path = some_name();
    const char* name = below(3) == 0 ? kAclDefault : kAclAccess;
    const std::string value = some_acl();
    const bool removes = below(6) == 0;
    step_ = std::string(removes ? "remove " : "set ") + name + " of " + path + " " + hex(value);
    const int expected = kernel_->as(who, [&] {
      return removes ? ::removexattr(path, name)
                     : ::setxattr(path, name, value.data(), value.size(), 0);
    });
    const Call call(who);
    EXPECT_EQ(expected,
              removes ? myfs_removexattr_x(task_, call, path, name, 0)
                      : myfs_setxattr_x(task_, call, path, name, value.data(), value.size(), 0, 0));
  }
  void change_mode(const Who& who) {
    const char* path = some_name();
    const mode_t mode = some_mode();
    step_ = std::string("chmod ") + path + " " + std::to_string(mode);
    const int expected = kernel_->as(who, [&] { return ::chmod(path, mode); });
    EXPECT_EQ(expected, myfs_chmod_x(task_, Call(who), path, mode));
  }
  void change_owner(const Who& who) {
    const char* path = some_name();
    const uid_t uid = below(2) == 0 ? some_uid() : static_cast<uid_t>(-1);
    const gid_t gid = below(2) == 0 ? some_gid() : static_cast<gid_t>(-1);
    step_ = std::string("chown ") + path + " " + std::to_string(uid) + ":" + std::to_string(gid);
    const int expected = kernel_->as(who, [&] { return ::chown(path, uid, gid); });
    EXPECT_EQ(expected, myfs_chown_x(task_, Call(who), path, uid, gid));
  }
  void make_one(const Who& who) {
    const mode_t umask = below(01000), mode = some_mode();
    const uint32_t kind = below(3);
    step_ = "make " + std::to_string(kind) + " mode " + std::to_string(mode) + " umask " +
            std::to_string(umask);
    const int expected = kernel_->as(who, [&] {
      ::umask(umask);
      if (kind == 0) return ::mkdir("d/new", mode);
      if (kind == 1) return ::mknod("d/new", S_IFIFO | mode, 0);
      return ::open("d/new", O_CREAT | O_EXCL | O_RDWR, mode);
    });
    const Call call(who);
    myfs_umask(task_, umask);
    int made = kind == 0   ? myfs_mkdir_x(task_, call, "d/new", mode)
               : kind == 1 ? myfs_mknod_x(task_, call, "d/new", S_IFIFO | mode, 0)
                           : myfs_open_x(task_, call, "d/new", O_CREAT | O_EXCL | O_RDWR, mode);
    if (kind == 2 && made >= 0) made = myfs_close(task_, made);
    EXPECT_EQ(expected, made);
    EXPECT_EQ(seen_by_kernel("d/new"), seen_by(other_, "d/new"));
    if (expected != 0) return;
    ::unlinkat(kernel_->dir(), "d/new", kind == 0 ? AT_REMOVEDIR : 0);
    EXPECT_EQ(0, kind == 0 ? myfs_rmdir(task_, "d/new") : myfs_unlink(task_, "d/new"));
  }
  // Write permission of the directory, and its sticky bit.
  void take_name(const Who& who) {
    const uid_t owner = some_uid();
    const bool renames = below(2) == 0;
    if (below(2) == 0) {  // by chance few directories are both sticky and open to others
      EXPECT_EQ(0, ::fchmodat(kernel_->dir(), "d", 01777, 0));
      EXPECT_EQ(0, myfs_chmod(task_, "d", 01777));
    }
    step_ = std::string(renames ? "rename" : "unlink") + " of a file of " + std::to_string(owner);
    const int made = ::openat(kernel_->dir(), "d/old", O_CREAT | O_RDWR, 0644);
    ASSERT_GE(made, 0);
    EXPECT_EQ(0, ::fchown(made, owner, owner));
    ::close(made);
    make_file("d/old", "");
    EXPECT_EQ(0, myfs_chown(task_, "d/old", owner, owner));
    const int expected =
        kernel_->as(who, [&] { return renames ? ::rename("d/old", "d/new") : ::unlink("d/old"); });
    const Call call(who);
    EXPECT_EQ(expected, renames ? myfs_rename_x(task_, call, "d/old", "d/new")
                                : myfs_unlink_x(task_, call, "d/old"));
    for (const char* path : {"d/old", "d/new"}) {
      const int here = ::unlinkat(kernel_->dir(), path, 0) == 0 ? 0 : -errno;
      EXPECT_EQ(here, myfs_unlink(other_, path)) << path;
    }
  }
  void compare_access(const Who& who) {
    const Call call(who);
    for (const char* path : {"d", "d/f"}) {
      // All of them in one child: bit n tells that mask n is granted.
      const int granted = -kernel_->as(who, [&] {
        int bits = 0;
        for (int mask = 1; mask < 8; ++mask) {
          if (::access(path, mask) == 0) bits |= 1 << (mask - 1);
        }
        errno = bits;
        return bits == 0 ? 0 : -1;
      });
      for (int mask = 1; mask < 8; ++mask) {
        const int expected = (granted >> (mask - 1) & 1) != 0 ? 0 : -EACCES;
        EXPECT_EQ(expected, myfs_access_x(task_, call, path, mask)) << path << " " << mask;
        EXPECT_EQ(expected, myfs_access_x(other_, call, path, mask)) << path << " " << mask;
      }
    }
  }

  std::mt19937_64 random_{20261121};
  std::unique_ptr<KernelSide> kernel_;
  myfs_task* other_ = nullptr;
  std::string step_;
};

TEST_F(AclKernel, RandomStepsComeToTheSame) {
  ASSERT_EQ(0, ::mkdirat(kernel_->dir(), "d", 0755));
  const int made = ::openat(kernel_->dir(), "d/f", O_CREAT | O_RDWR, 0644);
  ASSERT_GE(made, 0);
  ::close(made);
  make_dir("d", 0755);
  make_file("d/f", "");
  for (int i = 0; i < 600 && !HasFailure(); ++i) {
    const Who who = below(2) == 0 ? Who{0, 0, {}} : somebody();
    switch (below(6)) {
      case 0:
      case 1:
        change_list(who);
        break;
      case 2:
        change_mode(who);
        break;
      case 3:
        change_owner(who);
        break;
      case 4:
        take_name(who);
        break;
      default:
        make_one(who);
    }
    for (const char* path : {"d", "d/f"}) {
      EXPECT_EQ(seen_by_kernel(path), seen_by(other_, path)) << path;
    }
    for (int j = 0; j < 2; ++j) {
      const Who asks = somebody();
      compare_access(asks);
      EXPECT_FALSE(HasFailure()) << "asked by " << asks.uid << ":" << asks.gid << " of "
                                 << asks.groups.size() << " more groups";
    }
    EXPECT_FALSE(HasFailure()) << "step " << i << ": " << step_ << " by " << who.uid << ":"
                               << who.gid;
  }
}

}  // namespace
}  // namespace myfs::test
