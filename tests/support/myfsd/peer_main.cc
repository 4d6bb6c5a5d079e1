// myfs-test-peer [UID:GID[:GROUP,...]]: the process behind Peer. Reads a command a line from stdin,
// answers each with a line. Words are separated by single spaces and contain none.

#include <grp.h>
#include <myfs/myfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <functional>
#include <iostream>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace {

struct User {
  myfs_cred cred{sizeof(myfs_cred), 0, 0, nullptr, 0};
  std::vector<gid_t> groups;
};

// "UID:GID[:GROUP,...]".
User parse_user(const std::string& text) {
  User user;
  std::istringstream in(text);
  std::string word;
  std::getline(in, word, ':');
  user.cred.uid = static_cast<uid_t>(std::stoul(word));
  std::getline(in, word, ':');
  user.cred.gid = static_cast<gid_t>(std::stoul(word));
  while (std::getline(in, word, ',')) user.groups.push_back(static_cast<gid_t>(std::stoul(word)));
  user.cred.groups = user.groups.data();
  user.cred.ngroups = user.groups.size();
  return user;
}

std::string text_of(int64_t result) {
  if (result >= 0) return std::to_string(result);
  const char* name = ::strerrorname_np(static_cast<int>(-result));
  return std::string("<") + (name != nullptr ? name : "?") + ">";
}
int64_t number_at(const std::vector<std::string>& words, size_t i) {
  return std::stoll(words.at(i), nullptr, 0);
}

class PeerClient {
 public:
  PeerClient() {
    add_file_handlers();
    add_name_handlers();
  }
  ~PeerClient() { end(); }
  int end() { return myfs_task_destroy(std::exchange(task_, nullptr)); }
  std::string run(const std::vector<std::string>& words);

 private:
  using Words = std::vector<std::string>;
  using Handler = std::function<int64_t(const Words&)>;

  int64_t mount(const Words& w) {
    User claimed;
    bool claims = w.size() > 2 && !w[2].empty();
    if (claims) claimed = parse_user(w[2]);
    myfs_mount_options options{sizeof options, nullptr, claims ? &claimed.cred : nullptr};
    return myfs_open_url(w[1].c_str(), &options, &task_);
  }
  int64_t put(const Words& w, int flags) {
    int fd = myfs_open_x(task_, call(), w[1].c_str(), O_WRONLY | O_CREAT | flags, 0644);
    if (fd < 0) return fd;
    std::string text = w.size() > 2 ? w[2] : "";
    ssize_t n = myfs_write_x(task_, call(), fd, text.data(), text.size());
    int closed = myfs_close(task_, fd);
    return n < 0 ? n : closed;
  }
  std::string get(int fd) {
    if (fd < 0) return text_of(fd);
    std::string text;
    char buffer[65536];
    ssize_t n = 0;
    while ((n = myfs_pread(task_, fd, buffer, sizeof buffer, static_cast<off_t>(text.size()))) >
           0) {
      text.append(buffer, static_cast<size_t>(n));
    }
    return n < 0 ? text_of(n) : text;
  }
  std::string get(const std::string& path) {
    int fd = myfs_open_x(task_, call(), path.c_str(), O_RDONLY, 0);
    std::string text = get(fd);
    if (fd >= 0) myfs_close(task_, fd);
    return text;
  }
  std::string list(const std::string& path);
  int64_t append_lines(const std::string& path, const std::string& tag, int count);
  int64_t stat_field(const std::string& path,
                     const std::function<int64_t(const struct stat&)>& of) {
    struct stat st;
    int result = myfs_lstat_x(task_, call(), path.c_str(), &st);
    return result < 0 ? result : of(st);
  }
  // The whole file, for its task, without waiting.
  int64_t lock(const Words& w, int type) {
    struct flock lock {};
    lock.l_type = static_cast<short>(type);
    return myfs_lock_x(task_, call(), static_cast<int>(number_at(w, 1)), F_SETLK, &lock);
  }
  uint64_t rpcs() {
    myfs_stats stats{};
    stats.size = sizeof stats;
    myfs_get_stats(task_, &stats);
    return stats.rpcs - stats.renewals;
  }
  const myfs_call* call() {
    call_ = {sizeof(myfs_call), as_.has_value() ? &as_->cred : nullptr, 0, nullptr};
    return &call_;
  }
  void add_file_handlers();
  void add_name_handlers();

  myfs_task* task_ = nullptr;
  std::optional<User> as_;
  myfs_call call_{};
  std::map<std::string, Handler> handlers_;
};

// Lines "TAG i", each by one write.
int64_t PeerClient::append_lines(const std::string& path, const std::string& tag, int count) {
  int fd = myfs_open_x(task_, call(), path.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (fd < 0) return fd;
  ssize_t result = 0;
  for (int i = 0; i < count && result >= 0; ++i) {
    std::string line = tag + " " + std::to_string(i) + "\n";
    result = myfs_write_x(task_, call(), fd, line.data(), line.size());
    if (result >= 0 && result != static_cast<ssize_t>(line.size())) result = -EIO;
  }
  int closed = myfs_close(task_, fd);
  return result < 0 ? result : closed;
}

std::string PeerClient::list(const std::string& path) {
  myfs_dir* dir = nullptr;
  int result = myfs_opendir_x(task_, call(), path.c_str(), &dir);
  if (result < 0) return text_of(result);
  std::map<std::string, int> names;
  myfs_dirent entry;
  while (myfs_readdir(dir, &entry) == 1) ++names[entry.name];
  myfs_closedir(dir);
  std::string text;
  for (const auto& [name, count] : names) {
    for (int i = 0; i < count && name != "." && name != ".."; ++i) text += name + " ";
  }
  return text;
}

const char* text_at(const std::vector<std::string>& words, size_t i) { return words.at(i).c_str(); }

// mount URL [CLAIMED]; as USER | as -: whom the following calls act for.
// open PATH FLAGS; write FD TEXT (at its position); fsync FD; close FD.
void PeerClient::add_file_handlers() {
  auto& t = handlers_;
  t["mount"] = [this](const Words& w) { return mount(w); };
  t["as"] = [this](const Words& w) {
    as_.reset();
    // Its pointer to the groups stays good: a vector's elements stay where they are.
    if (w.at(1) != "-") as_ = parse_user(w[1]);
    return 0;
  };
  t["put"] = [this](const Words& w) { return put(w, O_TRUNC); };
  t["append"] = [this](const Words& w) { return put(w, O_APPEND); };
  t["append_lines"] = [this](const Words& w) {
    return append_lines(w.at(1), w.at(2), static_cast<int>(number_at(w, 3)));
  };
  t["open"] = [this](const Words& w) {
    return myfs_open_x(task_, call(), text_at(w, 1), static_cast<int>(number_at(w, 2)), 0644);
  };
  t["write"] = [this](const Words& w) {
    return myfs_write_x(task_, call(), static_cast<int>(number_at(w, 1)), text_at(w, 2),
                        w[2].size());
  };
  t["fsync"] = [this](const Words& w) {
    return myfs_fsync(task_, static_cast<int>(number_at(w, 1)));
  };
  t["close"] = [this](const Words& w) {
    return myfs_close(task_, static_cast<int>(number_at(w, 1)));
  };
  t["lock"] = [this](const Words& w) { return lock(w, F_WRLCK); };
  t["unlock"] = [this](const Words& w) { return lock(w, F_UNLCK); };
  t["truncate"] = [this](const Words& w) {
    return myfs_truncate_x(task_, call(), text_at(w, 1), number_at(w, 2));
  };
  t["rpcs"] = [this](const Words&) { return static_cast<int64_t>(rpcs()); };
  t["end"] = [this](const Words&) { return end(); };
}

void PeerClient::add_name_handlers() {
  auto& t = handlers_;
  t["mkdir"] = [this](const Words& w) { return myfs_mkdir_x(task_, call(), text_at(w, 1), 0755); };
  t["rmdir"] = [this](const Words& w) { return myfs_rmdir_x(task_, call(), text_at(w, 1)); };
  t["unlink"] = [this](const Words& w) { return myfs_unlink_x(task_, call(), text_at(w, 1)); };
  t["rename"] = [this](const Words& w) {
    return myfs_rename_x(task_, call(), text_at(w, 1), text_at(w, 2));
  };
  t["link"] = [this](const Words& w) {
    return myfs_link_x(task_, call(), text_at(w, 1), text_at(w, 2));
  };
  t["symlink"] = [this](const Words& w) {
    return myfs_symlink_x(task_, call(), text_at(w, 1), text_at(w, 2));
  };
  t["chmod"] = [this](const Words& w) {
    return myfs_chmod_x(task_, call(), text_at(w, 1), static_cast<mode_t>(number_at(w, 2)));
  };
  t["chown"] = [this](const Words& w) {
    return myfs_chown_x(task_, call(), text_at(w, 1), static_cast<uid_t>(number_at(w, 2)),
                        static_cast<gid_t>(number_at(w, 3)));
  };
  t["exists"] = [this](const Words& w) {
    return stat_field(w.at(1), [](const struct stat&) { return 0; });
  };
  t["size"] = [this](const Words& w) {
    return stat_field(w.at(1), [](const struct stat& st) { return st.st_size; });
  };
  t["mode"] = [this](const Words& w) {
    return stat_field(w.at(1), [](const struct stat& st) { return st.st_mode & 07777; });
  };
  t["nlink"] = [this](const Words& w) {
    return stat_field(w.at(1),
                      [](const struct stat& st) { return static_cast<int64_t>(st.st_nlink); });
  };
}

std::string PeerClient::run(const std::vector<std::string>& words) {
  // get PATH, read FD and list PATH answer with text.
  if (words.size() == 2 && words[0] == "get") return get(words[1]);
  if (words.size() == 2 && words[0] == "read") return get(std::stoi(words[1]));
  if (words.size() == 2 && words[0] == "list") return list(words[1]);
  auto found = handlers_.find(words[0]);
  return found == handlers_.end() ? "<no such command>" : text_of(found->second(words));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1) {
    User user = parse_user(argv[1]);
    gid_t gid = user.cred.gid;
    uid_t uid = user.cred.uid;
    bool changed = ::setgroups(user.groups.size(), user.groups.data()) == 0 &&
                   ::setresgid(gid, gid, gid) == 0 && ::setresuid(uid, uid, uid) == 0;
    if (!changed) {
      std::perror("myfs-test-peer: cannot become the user");
      return 99;
    }
  }
  PeerClient client;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::vector<std::string> words;
    std::istringstream in(line);
    for (std::string word; std::getline(in, word, ' ');) words.push_back(word);
    if (words.empty()) continue;
    std::cout << client.run(words) << std::endl;
  }
  return client.end() == 0 ? 0 : 1;
}
