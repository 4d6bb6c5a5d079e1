// One call of MyFS and of the model, and the comparison.
#include "tests/model/ops.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/support/myfsd/client.h"

namespace myfs::test {
namespace {

constexpr int kOpenFilesMax = 6;  // of a client

std::string shown(int64_t result) { return result < 0 ? error_text(result) : absl::StrCat(result); }

}  // namespace

std::string same(int64_t expected, int64_t actual, const char* what) {
  if (expected == actual) return "";
  return absl::StrCat(what, " ", shown(actual), ", not ", shown(expected), "; ", last_message());
}

// Where two contents part.
std::string same_bytes(std::string_view expected, std::string_view actual) {
  if (expected == actual) return "";
  const auto at = static_cast<size_t>(
      std::mismatch(expected.begin(), expected.end(), actual.begin(), actual.end()).first -
      expected.begin());
  std::string text = absl::StrCat("content differs at ", at, " of ", expected.size());
  if (actual.size() != expected.size()) absl::StrAppend(&text, " (there are ", actual.size(), ")");
  if (at < std::min(expected.size(), actual.size())) {
    size_t end = at;
    while (end < std::min(expected.size(), actual.size()) && expected[end] != actual[end]) ++end;
    absl::StrAppend(&text, ": ", static_cast<int>(actual[at]), ", not ",
                    static_cast<int>(expected[at]), ", up to ", end);
  }
  return text;
}

std::string payload(uint64_t seed, int64_t size) {
  Dice dice(seed);
  std::string text(static_cast<size_t>(size), '\0');
  const uint64_t step = dice.next() | 1;
  uint64_t x = dice.next();
  for (char& c : text) {
    x += step;
    c = static_cast<char>('!' + (x >> 40) % 94);
  }
  return text;
}

namespace {

bool equal(const timespec& a, const timespec& b) {
  return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

// The first time it is learned; from then on it must stay until a change.
std::string same_time(const char* what, std::optional<timespec>* known, const timespec& actual) {
  if (!known->has_value()) *known = actual;
  if (equal(**known, actual)) return "";
  return absl::StrCat(what, " ", actual.tv_sec, ".", actual.tv_nsec, ", not ", (*known)->tv_sec,
                      ".", (*known)->tv_nsec, "; ");
}

}  // namespace

Driver::Driver(std::vector<myfs_task*> tasks)
    : tasks_(std::move(tasks)), model_(static_cast<int>(tasks_.size())) {
  for (myfs_task* task : tasks_) {
    myfs_task* looker = nullptr;
    EXPECT_EQ(0, myfs_task_clone(task, nullptr, &looker)) << last_message();
    lookers_.push_back(looker);
  }
}

Driver::~Driver() {
  while (!mapped_.empty()) {
    const auto [client, slot] = mapped_.begin()->first;
    EXPECT_EQ("", run_munmap(client, slot));
  }
  if (scratch_ >= 0) ::close(scratch_);
  for (myfs_task* looker : lookers_) EXPECT_EQ(0, myfs_task_destroy(looker)) << last_message();
}

std::string Driver::run(const Op& op) {
  std::string difference = write_stores_before(op);
  return difference.empty() ? run_one(op) : difference;
}

std::string Driver::run_one(const Op& op) {
  switch (op.call) {
    case Call::kOpen:
    case Call::kClose:
    case Call::kDup:
    case Call::kDup2:
      return run_open(op);
    case Call::kRead:
    case Call::kPread:
    case Call::kPreadv:
      return run_read(op);
    case Call::kWrite:
    case Call::kPwrite:
    case Call::kPwritev2:
    case Call::kCopy:
    case Call::kClone:
      return run_content(op);
    case Call::kLseek:
      return run_lseek(op);
    case Call::kTruncate:
    case Call::kFtruncate:
    case Call::kFallocate:
    case Call::kFsync:
    case Call::kFadvise:
      return run_size(op);
    case Call::kStat:
    case Call::kFstat:
      return run_stat(op);
    case Call::kChmod:
    case Call::kFchmod:
    case Call::kUtimens:
      return run_attributes(op);
    case Call::kSetxattr:
    case Call::kGetxattr:
    case Call::kListxattr:
    case Call::kRemovexattr:
      return run_xattr(op);
    case Call::kReaddir:
      return run_readdir(op);
    case Call::kFlock:
    case Call::kLock:
    case Call::kTestLock:
      return run_locks(op);
    case Call::kMmap:
      return run_mmap(op);
    case Call::kStore:
      return run_store(op);
    case Call::kLoad:
      return run_load(op);
    case Call::kMsync:
      return run_msync(op);
    case Call::kMunmap:
      return run_munmap(op.client, op.to % kSlots);
    default:
      return run_names(op);
  }
}

std::string Driver::run_open(const Op& op) {
  switch (op.call) {
    case Call::kDup:
      if (model_.open_files(op.client) >= kOpenFilesMax) return "";
      return same(model_.dup(op.client, op.fd), myfs_dup(task(op), op.fd));
    case Call::kDup2:
      return same(model_.dup2(op.client, op.fd, op.to), myfs_dup2(task(op), op.fd, op.to));
    case Call::kOpen:
      if (model_.open_files(op.client) < kOpenFilesMax) {
        const int flags = static_cast<int>(op.flags);
        return same(model_.open(op.client, op.fd, op.path, flags, 0644),
                    myfs_openat(task(op), op.fd, op.path.c_str(), flags, 0644));
      }
      [[fallthrough]];  // there are enough
    default:
      return same(model_.close(op.client, op.to), myfs_close(task(op), op.to));
  }
}

std::string Driver::run_read(const Op& op) {
  const int64_t offset = op.call == Call::kRead ? -1 : op.offset;
  std::string expected, actual(static_cast<size_t>(op.size), '\1');
  const int64_t result = model_.read(op.client, op.fd, op.size, offset, &expected);
  ssize_t count = 0;
  if (op.call == Call::kPreadv) {
    const size_t first = actual.size() / 3 / 512 * 512;  // for O_DIRECT
    const iovec parts[] = {
        {actual.data(), first}, {actual.data(), 0}, {actual.data() + first, actual.size() - first}};
    count = myfs_preadv(task(op), op.fd, parts, 3, offset);
  } else if (op.call == Call::kPread) {
    count = myfs_pread(task(op), op.fd, actual.data(), actual.size(), offset);
  } else {
    count = myfs_read(task(op), op.fd, actual.data(), actual.size());
  }
  if (std::string difference = same(result, count); !difference.empty()) return difference;
  return same_bytes(expected, std::string_view(actual).substr(0, expected.size()));
}

std::string Driver::run_content(const Op& op) {
  if (op.call == Call::kCopy) {
    int64_t from = op.offset, to = static_cast<int64_t>(op.seed % (256 << 10));
    int64_t *in = op.flags % 2 == 0 ? &from : nullptr, *out = op.flags % 3 != 0 ? &to : nullptr;
    int64_t model_from = from, model_to = to;
    const ssize_t count =
        myfs_copy_file_range(task(op), op.fd, in, op.to, out, static_cast<size_t>(op.size), 0);
    const int64_t expected =
        model_.copy(op.client, op.fd, in == nullptr ? nullptr : &model_from, op.to,
                    out == nullptr ? nullptr : &model_to, op.size, count);
    return same(expected, count) + same(model_from, from, "offset_in") +
           same(model_to, to, "offset_out");
  }
  if (op.call == Call::kClone) {
    const auto to = static_cast<int64_t>(op.seed % (256 << 10));
    return same(model_.clone(op.client, op.fd, op.offset, op.to, to, op.size),
                myfs_clone_file_range(task(op), op.fd, op.offset, op.to, to, op.size));
  }
  const std::string data = payload(op.seed, op.size);
  OpenFile* file = model_.file(op.client, op.fd);
  const bool direct = file != nullptr && (file->flags & O_DIRECT) != 0;
  if (op.call == Call::kPwritev2) {
    const bool append = op.flags % 3 == 0 && !direct, at_position = op.flags % 5 == 0;
    const int64_t offset = at_position ? -1 : op.offset;
    const size_t first = data.size() / 2 / 512 * 512;
    char* from = const_cast<char*>(data.data());
    iovec parts[] = {{from, first}, {from + first, data.size() - first}};
    return same(model_.write(op.client, op.fd, data, offset, append),
                myfs_pwritev2(task(op), op.fd, parts, 2, offset, append ? RWF_APPEND : 0));
  }
  if (op.call == Call::kPwrite) {
    return same(model_.write(op.client, op.fd, data, op.offset, false),
                myfs_pwrite(task(op), op.fd, data.data(), data.size(), op.offset));
  }
  return same(model_.write(op.client, op.fd, data, -1, false),
              myfs_write(task(op), op.fd, data.data(), data.size()));
}

std::string Driver::run_size(const Op& op) {
  switch (op.call) {
    case Call::kTruncate:
      return same(model_.truncate(op.client, op.path, op.offset),
                  myfs_truncate(task(op), op.path.c_str(), op.offset));
    case Call::kFtruncate:
      return same(model_.ftruncate(op.client, op.fd, op.offset),
                  myfs_ftruncate(task(op), op.fd, op.offset));
    case Call::kFallocate: {
      const int mode = static_cast<int>(op.flags);
      return same(model_.fallocate(op.client, op.fd, mode, op.offset, op.size),
                  myfs_fallocate(task(op), op.fd, mode, op.offset, op.size));
    }
    case Call::kFadvise: {
      const int advice = static_cast<int>(op.flags % 6);
      return same(model_.advise(op.client, op.fd),
                  myfs_posix_fadvise(task(op), op.fd, op.offset, op.size, advice));
    }
    default: {
      const int expected = model_.sync(op.client, op.fd, op.flags % 4 == 1);
      switch (op.flags % 4) {
        case 0:
          return same(expected, myfs_fdatasync(task(op), op.fd));
        case 1:
          return same(expected, myfs_syncfs(task(op), op.fd));
        default:
          return same(expected, myfs_fsync(task(op), op.fd));
      }
    }
  }
}

std::string Driver::run_lseek(const Op& op) {
  constexpr int kWhence[] = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE};
  OpenFile* file = model_.file(op.client, op.fd);
  if (file != nullptr && file->node->is_dir()) return "";  // positions of a directory are opaque
  const int whence = kWhence[op.flags % std::size(kWhence)];
  const int64_t offset = whence == SEEK_END || whence == SEEK_CUR ? op.size - 3000 : op.offset;
  const int64_t actual = myfs_lseek(task(op), op.fd, offset, whence);
  return same(model_.lseek(op.client, op.fd, offset, whence, actual), actual);
}

std::string Driver::run_names(const Op& op) {
  myfs_task* t = task(op);
  const char *path = op.path.c_str(), *other = op.other.c_str();
  switch (op.call) {
    case Call::kMkdir:
      return same(model_.mkdir(op.client, op.fd, op.path, 0755),
                  myfs_mkdirat(t, op.fd, path, 0755));
    case Call::kMknod: {
      const auto mode = static_cast<mode_t>(op.flags) | 0644;
      return same(model_.mknod(op.client, op.fd, op.path, mode),
                  myfs_mknodat(t, op.fd, path, mode, 0));
    }
    case Call::kSymlink:
      return same(model_.symlink(op.client, op.other, op.fd, op.path),
                  myfs_symlinkat(t, other, op.fd, path));
    case Call::kReadlink: {
      std::string expected, actual(4096, '\0');
      const int64_t result = model_.readlink(op.client, op.fd, op.path, &expected);
      const ssize_t count = myfs_readlinkat(t, op.fd, path, actual.data(), actual.size());
      actual.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
      return same(result, count) + same_bytes(expected, actual);
    }
    case Call::kUnlink:
      return same(model_.unlink(op.client, op.fd, op.path, false),
                  myfs_unlinkat(t, op.fd, path, 0));
    case Call::kRmdir:
      return same(model_.unlink(op.client, op.fd, op.path, true),
                  myfs_unlinkat(t, op.fd, path, AT_REMOVEDIR));
    case Call::kLink: {
      const int flags = static_cast<int>(op.flags);
      return same(model_.link(op.client, op.fd, op.path, op.to, op.other, flags),
                  myfs_linkat(t, op.fd, path, op.to, other, flags));
    }
    case Call::kLinkTmpfile:
      return same(model_.link(op.client, op.fd, "", op.to, op.other, AT_EMPTY_PATH),
                  myfs_linkat(t, op.fd, "", op.to, other, AT_EMPTY_PATH));
    default: {
      const auto flags = static_cast<unsigned>(op.flags);
      return same(model_.rename(op.client, op.fd, op.path, op.to, op.other, flags),
                  myfs_renameat2(t, op.fd, path, op.to, other, flags));
    }
  }
}

std::string Driver::same_stat(Node* node, const struct stat& st) {
  std::string difference;
  auto check = [&](const char* what, uint64_t expected, uint64_t actual) {
    if (expected != actual)
      absl::StrAppend(&difference, what, " ", actual, ", not ", expected, "; ");
  };
  check("type and mode", node->type | node->mode, st.st_mode);
  check("links", node->links, st.st_nlink);
  if (node->is_file()) check("size", node->data.size(), static_cast<uint64_t>(st.st_size));
  if (node->is_link()) check("size", node->target.size(), static_cast<uint64_t>(st.st_size));
  if (!node->ino.has_value()) node->ino = st.st_ino;
  check("inode", *node->ino, st.st_ino);
  difference += same_time("mtime", &node->mtime, st.st_mtim);
  difference += same_time("ctime", &node->ctime, st.st_ctim);
  return difference;
}

std::string Driver::run_stat(const Op& op) {
  int expected = 0;
  struct stat st {};
  Node* node;
  int actual;
  if (op.call == Call::kFstat) {
    node = model_.of(op.client, op.fd, true, &expected);
    actual = myfs_fstat(task(op), op.fd, &st);
  } else {
    const bool follow = op.flags % 2 == 0;
    node = model_.at(op.client, op.fd, op.path, follow, &expected);
    actual = myfs_fstatat(task(op), op.fd, op.path.c_str(), &st, follow ? 0 : AT_SYMLINK_NOFOLLOW);
  }
  std::string difference = same(expected, actual);
  return difference.empty() && node != nullptr ? same_stat(node, st) : difference;
}

std::string Driver::run_attributes(const Op& op) {
  int expected = 0;
  const mode_t mode = 0600 | (static_cast<mode_t>(op.seed) & 0177);
  if (op.call == Call::kFchmod) {
    Node* node = model_.of(op.client, op.fd, false, &expected);
    if (node != nullptr) {
      node->mode = mode | 0100;
      node->changed_status();
    }
    return same(expected, myfs_fchmod(task(op), op.fd, mode | 0100));
  }
  Node* node = model_.at(op.client, op.fd, op.path, true, &expected);
  if (node != nullptr) node->changed_status();
  if (op.call == Call::kChmod) {
    if (node != nullptr) node->mode = mode | 0100;
    return same(expected, myfs_fchmodat(task(op), op.fd, op.path.c_str(), mode | 0100, 0));
  }
  const timespec mtime{static_cast<time_t>(op.seed % 2'000'000'000),
                       static_cast<long>(op.flags % 1'000'000'000)};
  const timespec times[2] = {{1, 2}, mtime};
  if (node != nullptr) node->mtime = mtime;
  return same(expected, myfs_utimensat(task(op), op.fd, op.path.c_str(), times, 0));
}

std::string Driver::run_xattr(const Op& op) {
  myfs_task* t = task(op);
  const char *path = op.path.c_str(), *name = op.other.c_str();
  if (op.call == Call::kSetxattr) {
    constexpr int kFlags[] = {0, 0, XATTR_CREATE, XATTR_REPLACE};
    const int flags = kFlags[op.flags % std::size(kFlags)];
    const std::string value = payload(op.seed, op.size % 300);
    return same(model_.setxattr(op.path, op.other, value, flags),
                myfs_setxattr(t, path, name, value.data(), value.size(), flags, 0));
  }
  if (op.call == Call::kRemovexattr) {
    return same(model_.removexattr(op.path, op.other), myfs_removexattr(t, path, name, 0));
  }
  std::string actual(512, '\0'), expected;
  if (op.call == Call::kGetxattr) {
    const size_t size = op.flags % 3 == 0 ? 0 : op.flags % 400;
    const int64_t result = model_.getxattr(op.path, op.other, size, &expected);
    const ssize_t count = myfs_getxattr(t, path, name, actual.data(), size, 0);
    return same(result, count) +
           same_bytes(expected, std::string_view(actual).substr(0, expected.size()));
  }
  int error = 0;
  Node* node = model_.at(op.client, AT_FDCWD, op.path, true, &error);
  const ssize_t count = myfs_listxattr(t, path, actual.data(), actual.size(), 0);
  if (node == nullptr) return same(error, count);
  std::set<std::string> names, listed;
  for (const auto& [key, unused] : node->xattrs) names.insert(key);
  for (ssize_t at = 0; at < count;
       at += static_cast<ssize_t>(strlen(&actual[static_cast<size_t>(at)])) + 1) {
    listed.insert(&actual[static_cast<size_t>(at)]);
  }
  if (count >= 0 && names == listed) return "";
  return absl::StrCat("listxattr ", shown(count), ": ", listed.size(), " names, not ",
                      names.size());
}

std::string Driver::compare_dir(myfs_task* t, Node* node, const std::string& path) {
  myfs_dir* dir = nullptr;
  if (int result = myfs_opendir(t, path.c_str(), &dir); result < 0) return same(0, result);
  std::map<std::string, Node*> missing = node->entries;
  std::string difference;
  myfs_dirent entry;
  int result;
  while ((result = myfs_readdir(dir, &entry)) == 1) {
    const std::string name(entry.name, entry.name_length);
    if (name == "." || name == "..") continue;
    auto found = missing.find(name);
    if (found == missing.end()) {
      absl::StrAppend(&difference, "there is '", name, "'; ");
      continue;
    }
    Node* child = found->second;
    missing.erase(found);
    if (!child->ino.has_value()) child->ino = entry.ino;
    if (*child->ino != entry.ino || IFTODT(child->type) != entry.type) {
      absl::StrAppend(&difference, "'", name, "' has inode ", entry.ino, ", not ", *child->ino,
                      ", or another type; ");
    }
  }
  difference += same(0, result) + same(0, myfs_closedir(dir));
  for (const auto& [name, unused] : missing) absl::StrAppend(&difference, "'", name, "' lacks; ");
  return difference;
}

std::string Driver::run_readdir(const Op& op) {
  int error = 0;
  Node* node = model_.at(op.client, AT_FDCWD, op.path, true, &error);
  if (node != nullptr && node->is_dir()) {
    model_.unlock_posix(op.client, node);  // by closedir, as by any close
    return compare_dir(task(op), node, op.path);
  }
  myfs_dir* dir = nullptr;
  return same(node == nullptr ? error : -ENOTDIR, myfs_opendir(task(op), op.path.c_str(), &dir));
}

std::string Driver::run_locks(const Op& op) {
  if (op.call == Call::kFlock) {
    constexpr int kHow[] = {LOCK_SH, LOCK_EX, LOCK_UN};
    const int how = kHow[op.flags % 3];
    return same(model_.flock(op.client, op.fd, how), myfs_flock(task(op), op.fd, how | LOCK_NB));
  }
  constexpr short kTypes[] = {F_RDLCK, F_WRLCK, F_UNLCK};
  const bool ofd = op.flags % 2 == 0;
  const bool test = op.call == Call::kTestLock;
  const short type = kTypes[op.seed % (test ? 2 : 3)];
  const int first = static_cast<int>(op.offset % kLockCells);
  const int last =
      op.size % 3 == 0 ? kLockCells - 1 : std::min<int>(first + static_cast<int>(op.size % 4), 14);
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = first;
  lock.l_len = last == kLockCells - 1 || last < first ? 0 : last - first + 1;
  const int end = lock.l_len == 0 ? kLockCells - 1 : last;
  if (!test) {
    return same(model_.lock(op.client, op.fd, ofd, type, first, end),
                myfs_lock(task(op), op.fd, ofd ? F_OFD_SETLK : F_SETLK, &lock));
  }
  bool held = false;
  const int expected = model_.test_lock(op.client, op.fd, ofd, type, first, end, &held);
  const int actual = myfs_lock(task(op), op.fd, ofd ? F_OFD_GETLK : F_GETLK, &lock);
  return same(expected, actual) + (expected == 0 ? same(held, lock.l_type != F_UNLCK, "held") : "");
}

// --- everything

std::string Driver::compare_file(myfs_task* t, Node* node, const std::string& path) {
  const int fd = myfs_open(t, path.c_str(), O_RDONLY, 0);
  if (fd < 0) return same(0, fd);
  const auto looker = std::find(lookers_.begin(), lookers_.end(), t) - lookers_.begin();
  std::string expected = node->data;
  model_.memory().overlay(static_cast<int>(looker), node, 0, &expected);
  std::string actual(node->data.size() + 1, '\1');
  const ssize_t count = myfs_pread(t, fd, actual.data(), actual.size(), 0);
  actual.resize(static_cast<size_t>(std::max<ssize_t>(count, 0)));
  return same(static_cast<int64_t>(node->data.size()), count) + same_bytes(expected, actual) +
         same(0, myfs_close(t, fd));
}

std::string Driver::compare_tree(myfs_task* t, Node* dir, const std::string& path) {
  std::string difference = compare_dir(t, dir, path.empty() ? "/" : path);
  for (const auto& [name, node] : dir->entries) {
    if (!difference.empty()) return absl::StrCat(path, ": ", difference);
    const std::string below = absl::StrCat(path, "/", name);
    struct stat st {};
    difference = same(0, myfs_lstat(t, below.c_str(), &st));
    if (difference.empty()) difference = same_stat(node, st);
    if (difference.empty() && node->is_file()) difference = compare_file(t, node, below);
    if (!difference.empty()) return absl::StrCat(below, ": ", difference);
    if (node->is_dir()) difference = compare_tree(t, node, below);
  }
  return difference;
}

std::string Driver::compare_all() {
  for (size_t i = 0; i < lookers_.size(); ++i) {
    const std::string difference = compare_tree(lookers_[i], model_.tree().root(), "");
    if (!difference.empty()) return absl::StrCat("client ", i, ", all of it: ", difference);
  }
  return "";
}

}  // namespace myfs::test
