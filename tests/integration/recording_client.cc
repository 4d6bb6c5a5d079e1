#include "tests/integration/recording_client.h"

#include <fcntl.h>
#include <linux/fs.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

namespace myfs::test {
namespace {

std::string object(const char* type, int number) { return type + (":" + std::to_string(number)); }
std::string lock_path(int number) { return "/lock" + std::to_string(number); }
std::string log_path(int number) { return "/log" + std::to_string(number); }
std::string tree_path(int tree, const std::string& name) {
  return "/t" + std::to_string(tree) + "/" + name;
}

std::string cells_path(int cell) { return "/cells" + std::to_string(cell / 4); }
// Those of the first file lie in one page, of the second in pages and chunks of their own.
off_t cell_offset(int cell) {
  static constexpr off_t kFar[] = {0, 8192 - 16, 1 << 20, (4 << 20) + 4096};
  return cell < 4 ? 16 * cell : kFar[cell - 4];
}

std::string errno_name(int64_t result) {
  const char* name = ::strerrorname_np(static_cast<int>(-result));
  return name != nullptr ? name : "?";
}

// Of the calling thread's last failure.
bool in_doubt() {
  myfs_error error{};
  error.size = sizeof error;
  return myfs_last_error(&error) != 0 || error.in_doubt != 0;
}

}  // namespace

RecordingClient::RecordingClient(Client& client, lin::Recorder& recorder, std::string name,
                                 uint64_t seed)
    : client_(client), recorder_(recorder), name_(std::move(name)), random_(seed) {}

void RecordingClient::wrong(const std::string& what, int64_t result) {
  errors_.push_back(name_ + " " + what + ": " + errno_name(result) + " " + last_message());
}

// The loss of a session, or of its server, is told by EIO.
bool RecordingClient::is_fault(const std::string& what, int64_t result) {
  if (result == -EIO) return true;
  wrong(what, result);
  return false;
}

std::string RecordingClient::value() {
  std::string text = name_ + "-" + std::to_string(values_++);
  text.resize(kRecordBytes, '.');
  return text;
}

void RecordingClient::settle(uint64_t id, const std::string& what, int64_t result,
                             const Words& success, const std::vector<int>& refusals) {
  if (result >= 0) return recorder_.returned(id, success);
  if (std::count(refusals.begin(), refusals.end(), -result) > 0) {
    return recorder_.returned(id, {errno_name(result)});
  }
  bool open = in_doubt();
  is_fault(what, result);
  if (open) return recorder_.unknown(id, errno_name(result));
  recorder_.without_effect(id);
}

// A write that failed may have been made durable in part, or be written later.
void RecordingClient::settle_write(uint64_t id, const std::string& what, int64_t result) {
  if (result == static_cast<int64_t>(kRecordBytes)) return recorder_.returned(id, {"ok"});
  if (result >= 0) errors_.push_back(what + ": short");
  is_fault(what, result);
  recorder_.unknown(id, errno_name(result));
}

bool RecordingClient::make_objects() {
  auto check = [&](const std::string& path, int64_t result) {
    if (result < 0) wrong("make " + path, result);
  };
  for (int cell = 0; cell < kRegisters; ++cell) {
    std::string path = cells_path(cell);
    check(path, client_.put(path, "", O_SYNC));
    check(path, myfs_truncate(client_, path.c_str(), 8 << 20));
  }
  for (int i = 0; i < kLocks; ++i) check(lock_path(i), client_.put(lock_path(i), "", O_SYNC));
  for (int i = 0; i < kTrees; ++i) {
    for (const char* dir : {"", "a", "b"}) {
      check(tree_path(i, dir), myfs_mkdir(client_, tree_path(i, dir).c_str(), 0755));
    }
  }
  return errors_.empty();
}

// Descriptors that stay open, over the end of sessions too. -errno of an open.
int RecordingClient::fd_of(const std::string& path, int flags) {
  std::string key = path + " " + std::to_string(flags);
  auto found = fds_.find(key);
  if (found != fds_.end()) return found->second;
  int fd = client_.open(path, flags);
  if (fd >= 0) {
    fds_[key] = fd;
  } else {
    is_fault("open " + path, fd);
  }
  return fd;
}

// Some cells by writes that stay in the cache, and one fsync, at which all of them return.
void RecordingClient::write_cells() {
  std::vector<std::pair<uint64_t, int64_t>> written;
  std::string path = cells_path(static_cast<int>(below(2)) * 4);
  int fd = fd_of(path, O_RDWR);
  if (fd < 0) return;
  int first = path == cells_path(0) ? 0 : 4;
  for (int cell = first; cell < first + 4; ++cell) {
    if (below(2) == 0) continue;
    std::string text = value();
    uint64_t id = recorder_.invoke(name_, object("register", cell), {"write", text});
    written.emplace_back(id, myfs_pwrite(client_, fd, text.data(), text.size(), cell_offset(cell)));
  }
  int synced = myfs_fsync(client_, fd);
  for (auto& [id, result] : written) settle_write(id, "pwrite", synced < 0 ? synced : result);
}

void RecordingClient::write_cell_synced(int cell) {
  int fd = fd_of(cells_path(cell), O_RDWR | O_SYNC);
  if (fd < 0) return;
  std::string text = value();
  uint64_t id = recorder_.invoke(name_, object("register", cell), {"write", text});
  settle_write(id, "pwrite", myfs_pwrite(client_, fd, text.data(), text.size(), cell_offset(cell)));
}

void RecordingClient::read_cell(int cell) {
  int fd = fd_of(cells_path(cell), O_RDWR);
  if (fd < 0) return;
  std::string text(kRecordBytes, '?');
  uint64_t id = recorder_.invoke(name_, object("register", cell), {"read"});
  ssize_t n = myfs_pread(client_, fd, text.data(), text.size(), cell_offset(cell));
  if (n == static_cast<ssize_t>(kRecordBytes)) {
    if (text == std::string(kRecordBytes, '\0')) text.clear();
    return recorder_.returned(id, {text});
  }
  is_fault("pread", n);
  recorder_.without_effect(id);
}

void RecordingClient::append(int log) {
  std::string text = value();
  bool sync_each = below(2) == 0;
  int flags = O_WRONLY | O_APPEND | O_CREAT | (sync_each ? O_SYNC : 0);
  int fd = client_.open(log_path(log), flags);
  if (fd < 0) {
    is_fault("open " + log_path(log), fd);
    return;
  }
  uint64_t id = recorder_.invoke(name_, object("log", log), {"append", text});
  int64_t result = myfs_write(client_, fd, text.data(), text.size());
  // What close is told counts as well: nobody else will be.
  int synced = sync_each || below(2) == 0 ? 0 : myfs_fsync(client_, fd);
  int closed = myfs_close(client_, fd);
  if (synced < 0) result = synced;
  if (closed < 0) result = closed;
  settle_write(id, "append", result);
}

void RecordingClient::read_log(int log) {
  uint64_t id = recorder_.invoke(name_, object("log", log), {"read"});
  int fd = client_.open(log_path(log), O_RDONLY);
  if (fd == -ENOENT) return recorder_.returned(id, {});
  std::string text(1 << 20, '?');
  ssize_t n = fd < 0 ? fd : myfs_pread(client_, fd, text.data(), text.size(), 0);
  if (fd >= 0) myfs_close(client_, fd);
  if (n < 0) {
    is_fault("read " + log_path(log), n);
    return recorder_.without_effect(id);
  }
  Words records;
  text.resize(static_cast<size_t>(n));
  for (size_t at = 0; at < text.size(); at += kRecordBytes) {
    records.push_back(text.substr(at, kRecordBytes));
  }
  recorder_.returned(id, records);
}

void RecordingClient::create(int tree, const std::string& name) {
  uint64_t id = recorder_.invoke(name_, object("names", tree), {"create", name});
  int fd = client_.open(tree_path(tree, name), O_RDWR | O_CREAT | O_EXCL);
  struct stat st {};
  bool known = fd >= 0 && myfs_fstat(client_, fd, &st) == 0;
  Words success = {"ok"};
  if (known) success.push_back(std::to_string(st.st_ino));
  settle(id, "create", fd, success, {EEXIST});
  if (fd >= 0) myfs_close(client_, fd);
}

// -1, or with `open` a descriptor of O_PATH.
int RecordingClient::lookup(int tree, const std::string& name, bool open) {
  std::string path = tree_path(tree, name);
  uint64_t id = recorder_.invoke(name_, object("names", tree), {"lookup", name});
  struct stat st {};
  int fd = open ? client_.open(path, O_PATH) : -1;
  int result = !open     ? myfs_lstat(client_, path.c_str(), &st)
               : fd >= 0 ? myfs_fstat(client_, fd, &st)
                         : fd;
  if (result == 0) {
    recorder_.returned(id, {std::to_string(st.st_ino)});
  } else if (result == -ENOENT) {
    recorder_.returned(id, {"ENOENT"});
  } else {
    recorder_.without_effect(id);
    // Removed, and the session that had it open is over.
    if (fd < 0 || result != -ESTALE) is_fault("lookup", result);
    if (fd >= 0) myfs_close(client_, fd);
    return -1;
  }
  return fd >= 0 ? fd : -1;
}

void RecordingClient::link_open(int tree, const std::string& from, const std::string& to) {
  int fd = lookup(tree, from, true);
  struct stat st {};
  if (fd < 0) return;
  if (myfs_fstat(client_, fd, &st) == 0) {
    uint64_t id = recorder_.invoke(name_, object("names", tree),
                                   {"link_open", std::to_string(st.st_ino), to});
    int result = myfs_linkat(client_, fd, "", AT_FDCWD, tree_path(tree, to).c_str(), AT_EMPTY_PATH);
    // Removed, and the session that had it open is over.
    if (result == -ESTALE) result = -ENOENT;
    settle(id, "linkat", result, {"ok"}, {ENOENT, EEXIST});
  }
  myfs_close(client_, fd);
}

void RecordingClient::list(int tree, const std::string& dir) {
  uint64_t id = recorder_.invoke(name_, object("names", tree), {"list", dir + "/"});
  myfs_dir* stream = nullptr;
  int result = myfs_opendir(client_, tree_path(tree, dir).c_str(), &stream);
  Words seen;
  myfs_dirent entry;
  while (result >= 0 && (result = myfs_readdir(stream, &entry)) == 1) {
    std::string name(entry.name, entry.name_length);
    if (name == "." || name == "..") continue;
    seen.insert(seen.end(), {dir + "/" + name, std::to_string(entry.ino)});
  }
  if (stream != nullptr) myfs_closedir(stream);
  if (result == 0) return recorder_.returned(id, seen);
  is_fault("list", result);
  recorder_.without_effect(id);
}

void RecordingClient::change_names(int tree) {
  auto name = [&] { return std::string(below(2) == 0 ? "a/n" : "b/n") + std::to_string(below(4)); };
  std::string a = name(), b = name();
  std::string from = tree_path(tree, a), to = tree_path(tree, b);
  auto rename = [&](const char* kind, unsigned flags, const std::vector<int>& refusals) {
    uint64_t id = recorder_.invoke(name_, object("names", tree), {kind, a, b});
    settle(id, kind, myfs_rename2(client_, from.c_str(), to.c_str(), flags), {"ok"}, refusals);
  };
  switch (below(7)) {
    case 0:
    case 1:
      return create(tree, a);
    case 2: {
      uint64_t id = recorder_.invoke(name_, object("names", tree), {"unlink", a});
      return settle(id, "unlink", myfs_unlink(client_, from.c_str()), {"ok"}, {ENOENT});
    }
    case 3:
      return rename("rename", 0, {ENOENT});
    case 4:
      return rename("rename_noreplace", RENAME_NOREPLACE, {ENOENT, EEXIST});
    case 5:
      return rename("exchange", RENAME_EXCHANGE, {ENOENT});
    default:
      return link_open(tree, a, b);
  }
}

void RecordingClient::lock(int number) {
  int fd = fd_of(lock_path(number), O_RDWR);
  if (fd < 0) return;
  struct flock lock {};
  Words call = {"unlock", name_};
  lock.l_type = F_UNLCK;
  if (below(2) == 0) {
    bool exclusive = below(2) == 0;
    lock.l_type = exclusive ? F_WRLCK : F_RDLCK;
    call = {"lock", name_, exclusive ? "exclusive" : "shared"};
  }
  uint64_t id = recorder_.invoke(name_, object("lock", number), call);
  settle(id, call[0], myfs_lock(client_, fd, F_SETLK, &lock), {"ok"},
         lock.l_type == F_UNLCK ? std::vector<int>() : std::vector<int>{EAGAIN});
}

int RecordingClient::end() {
  std::vector<uint64_t> ids;
  for (int i = 0; i < kLocks; ++i) {
    ids.push_back(recorder_.invoke(name_, object("lock", i), {"die", name_}));
  }
  int result = client_.end();
  for (uint64_t id : ids) recorder_.returned(id, {"ok"});
  return result;
}

void RecordingClient::step(int number) {
  int log = number / kOperationsPerLog + static_cast<int>(below(2));
  auto cell = [&] { return static_cast<int>(below(kRegisters)); };
  auto tree = [&] { return static_cast<int>(below(kTrees)); };
  switch (below(16)) {
    case 0:
      return write_cells();
    case 1:
    case 2:
      return write_cell_synced(cell());
    case 3:
    case 4:
    case 5:
      return read_cell(cell());
    case 6:
    case 7:
      return append(log);
    case 8:
      return read_log(log);
    case 9:
    case 10:
    case 11:
      return change_names(tree());
    case 12:
      lookup(tree(), (below(2) == 0 ? "a/n" : "b/n") + std::to_string(below(4)), false);
      return;
    case 13:
      return list(tree(), below(2) == 0 ? "a" : "b");
    default:
      return lock(static_cast<int>(below(kLocks)));
  }
}

void RecordingClient::query_all(int logs) {
  for (int cell = 0; cell < kRegisters; ++cell) read_cell(cell);
  for (int log = 0; log < logs; ++log) read_log(log);
  for (int tree = 0; tree < kTrees; ++tree) {
    for (const char* dir : {"a", "b"}) list(tree, dir);
  }
}

}  // namespace myfs::test
