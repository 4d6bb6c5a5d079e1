// Generated: each operation of one client against each lease that another one holds. Afterwards the
// holder's view of the whole tree equals that of a client that has just come, the operation has had
// its effect, and the recall that it needs has been seen.

#include <sys/xattr.h>

#include <functional>
#include <set>
#include <sstream>

#include "tests/integration/two_clients.h"

namespace myfs::test {
namespace {

// Letters of Holder: whom the operation must recall something from.
struct Operation {
  const char* name;
  const char* recalls;
  std::function<int(Client&, const std::string& dir)> run;
};
struct Holder {
  char letter;
  const char* name;
  std::function<void(Client&, const std::string& dir)> take;
};

timespec kOld[2] = {{1000, 1}, {2000, 2}};

int write_at(Client& client, const std::string& path, const std::string& text, int flags) {
  int fd = client.open(path, O_WRONLY | flags);
  if (fd < 0) return fd;
  ssize_t n = myfs_write(client, fd, text.data(), text.size());
  int closed = myfs_close(client, fd);
  return n < 0 ? static_cast<int>(n) : closed;
}

const std::vector<Operation>& operations() {
  using S = const std::string&;
  static const std::vector<Operation> table = {
      {"create", "l", [](Client& c, S d) { return c.put(d + "/new", "new"); }},
      {"mkdir", "l", [](Client& c, S d) { return myfs_mkdir(c, (d + "/new").c_str(), 0755); }},
      {"mknod", "l",
       [](Client& c, S d) { return myfs_mknod(c, (d + "/new").c_str(), S_IFIFO | 0600, 0); }},
      {"symlink", "l", [](Client& c, S d) { return myfs_symlink(c, "x", (d + "/new").c_str()); }},
      {"unlink", "ls", [](Client& c, S d) { return myfs_unlink(c, (d + "/file").c_str()); }},
      {"rmdir", "l", [](Client& c, S d) { return myfs_rmdir(c, (d + "/sub").c_str()); }},
      {"link", "ls",
       [](Client& c, S d) { return myfs_link(c, (d + "/file").c_str(), (d + "/new").c_str()); }},
      {"rename", "l",
       [](Client& c, S d) { return myfs_rename(c, (d + "/file").c_str(), (d + "/new").c_str()); }},
      {"rename_over", "l",
       [](Client& c, S d) {
         return myfs_rename(c, (d + "/other").c_str(), (d + "/file").c_str());
       }},
      {"rename_into", "l",
       [](Client& c, S d) {
         return myfs_rename(c, (d + "/file").c_str(), (d + "/sub/file").c_str());
       }},
      {"exchange", "l",
       [](Client& c, S d) {
         return myfs_rename2(c, (d + "/file").c_str(), (d + "/other").c_str(), 2);
       }},
      {"chmod", "s", [](Client& c, S d) { return myfs_chmod(c, (d + "/file").c_str(), 0600); }},
      {"chmod_dir", "s", [](Client& c, S d) { return myfs_chmod(c, d.c_str(), 0711); }},
      {"chown", "s",
       [](Client& c, S d) {
         uid_t uid = ::geteuid() == 0 ? 1000 : ::geteuid();
         return myfs_chown(c, (d + "/file").c_str(), uid, ::getegid());
       }},
      {"utimens", "srw",
       [](Client& c, S d) { return myfs_utimens(c, (d + "/file").c_str(), kOld, 0); }},
      {"utimens_dir", "sl", [](Client& c, S d) { return myfs_utimens(c, d.c_str(), kOld, 0); }},
      {"shrink", "srw", [](Client& c, S d) { return myfs_truncate(c, (d + "/file").c_str(), 3); }},
      {"grow", "srw",
       [](Client& c, S d) { return myfs_truncate(c, (d + "/file").c_str(), 20'000); }},
      {"overwrite", "srw", [](Client& c, S d) { return write_at(c, d + "/file", "WRITTEN", 0); }},
      {"append", "srw",
       [](Client& c, S d) { return write_at(c, d + "/file", "APPENDED", O_APPEND); }},
      {"open_trunc", "srw", [](Client& c, S d) { return write_at(c, d + "/file", "", O_TRUNC); }},
      {"setxattr", "s",
       [](Client& c, S d) {
         return myfs_setxattr(c, (d + "/file").c_str(), "user.b", "2", 1, 0, 0);
       }},
      {"removexattr", "s",
       [](Client& c, S d) { return myfs_removexattr(c, (d + "/file").c_str(), "user.a", 0); }},
  };
  return table;
}

const std::vector<Holder>& holders() {
  using S = const std::string&;
  // Descriptors stay open until the client ends.
  static const std::vector<Holder> table = {
      {'n', "nothing", [](Client&, S) {}},
      {'s', "stat",
       [](Client& c, S d) {
         c.stat(d);
         c.stat(d + "/file");
       }},
      {'l', "listing",
       [](Client& c, S d) {
         c.list(d);
         EXPECT_EQ(-ENOENT, c.find(d + "/new"));
         c.stat(d);
       }},
      {'r', "read", [](Client& c, S d) { EXPECT_EQ(10'000u, c.get(c.open(d + "/file")).size()); }},
      {'w', "write",
       [](Client& c, S d) {
         int fd = c.open(d + "/file", O_RDWR);
         EXPECT_EQ(5, myfs_pwrite(c, fd, "DIRTY", 5, 5000));
       }},
      {'o', "open", [](Client& c, S d) { EXPECT_GE(c.open(d + "/file", O_RDWR), 0); }},
  };
  return table;
}

// Everything that can be seen of a tree, times of access apart.
void describe(Client& client, const std::string& path, std::ostringstream& out) {
  struct stat st;
  int result = myfs_lstat(client, path.c_str(), &st);
  out << path << " ";
  if (result < 0) {
    out << error_text(result) << "\n";
    return;
  }
  out << st.st_ino << " " << std::oct << st.st_mode << std::dec << " " << st.st_nlink << " "
      << st.st_uid << ":" << st.st_gid << " " << st.st_mtim.tv_sec << "." << st.st_mtim.tv_nsec
      << " c" << st.st_ctim.tv_sec << "." << st.st_ctim.tv_nsec;
  char list[256];
  ssize_t names = myfs_listxattr(client, path.c_str(), list, sizeof list, 1);
  out << " xattrs:"
      << (names < 0 ? error_text(names) : std::string(list, static_cast<size_t>(names)));
  if (S_ISREG(st.st_mode)) {
    std::string text = client.get(path);
    out << " " << st.st_size << ":" << text.substr(0, 12) << ".." << std::hash<std::string>()(text)
        << "\n";
  } else if (S_ISDIR(st.st_mode)) {
    out << "\n";
    for (const std::string& name : client.list(path)) describe(client, path + "/" + name, out);
  } else {
    out << "\n";
  }
}

std::string snapshot(Client& client, const std::string& dir) {
  std::ostringstream out;
  // Names that come or go, whatever the listing says.
  for (const char* name : {"new", "file", "other", "sub/file"}) {
    out << name << error_text(client.find(dir + "/" + name)) << " ";
  }
  describe(client, dir, out);
  return out.str();
}

class RecallMatrix : public TwoClients {
 protected:
  void run(const Operation& operation, const Holder& holder) {
    std::string dir = "/" + std::string(operation.name) + "-" + holder.name;
    ASSERT_EQ(0, myfs_mkdir(a(), dir.c_str(), 0755));
    ASSERT_EQ(0, myfs_mkdir(a(), (dir + "/sub").c_str(), 0755));
    ASSERT_EQ(0, a().put(dir + "/file", std::string(10'000, 'f')));
    ASSERT_EQ(0, a().put(dir + "/other", "other"));
    ASSERT_EQ(0, myfs_setxattr(a(), (dir + "/file").c_str(), "user.a", "1", 1, 0, 0));
    std::string before;
    {
      Client fresh(url());
      before = snapshot(fresh, dir);
    }
    Client b(url());
    holder.take(b, dir);
    uint64_t recalls = b.stats().recalls;
    ASSERT_EQ(0, operation.run(a(), dir)) << last_message();
    std::string seen = snapshot(b, dir);
    uint64_t recalled = b.stats().recalls - recalls;
    Client fresh(url());
    EXPECT_EQ(snapshot(fresh, dir), seen);
    EXPECT_EQ(seen, snapshot(a(), dir));
    EXPECT_NE(before, seen) << "the operation had no effect";
    if (std::strchr(operation.recalls, holder.letter) != nullptr) {
      EXPECT_GE(recalled, 1u) << "no recall was seen";
    }
    expect_dirty_data(operation.name, holder, dir, fresh);
  }

  // What the holder had written before the operation is there unless the operation took it away.
  void expect_dirty_data(const std::string& operation, const Holder& holder, const std::string& dir,
                         Client& fresh) {
    static const std::set<std::string> gone = {"unlink", "rename_over", "shrink", "open_trunc"};
    if (holder.letter != 'w' || gone.count(operation) != 0) return;
    static const std::map<std::string, std::string> moved = {
        {"rename", "/new"}, {"rename_into", "/sub/file"}, {"exchange", "/other"}};
    auto found = moved.find(operation);
    std::string path = dir + (found != moved.end() ? found->second : "/file");
    std::string text = fresh.get(path);
    ASSERT_GE(text.size(), 10'000u) << path;
    EXPECT_EQ("DIRTY", text.substr(5000, 5));
  }
};
MYFS_ON_BOTH_TRANSPORTS(RecallMatrix);

TEST_P(RecallMatrix, EachOperationAgainstEachLease) {
  for (const Operation& operation : operations()) {
    for (const Holder& holder : holders()) {
      SCOPED_TRACE(std::string(operation.name) + " against " + holder.name);
      run(operation, holder);
      if (HasFatalFailure()) return;
    }
  }
}

}  // namespace
}  // namespace myfs::test
