#include "cli/shell/tree/copy.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <utility>

namespace shell {
namespace {

// What the server copies at a time: enough to be quick, little enough for a bar and for Ctrl-C.
constexpr size_t kCopyRange_bytes = 64 << 20;

using FileId = std::pair<dev_t, ino_t>;

FileId id_of(const struct stat& st) { return {st.st_dev, st.st_ino}; }

class Copier {
 public:
  Copier(Shell& shell, const Args& args, Side& from, Side& to, const CopyOptions& options)
      : shell_(shell),
        args_(args),
        from_(from),
        to_(to),
        options_(options),
        bar_(args.command),
        buffer_(kCopyBuffer_bytes) {
    if (options.bar) shell_.set_bar(&bar_);
  }
  ~Copier() { shell_.set_bar(nullptr); }

  // Adds the tree to what the bar awaits.
  void count(const std::string& source, bool follow);
  int copy(const std::string& source, const std::string& target, bool follow);
  void finish() {
    if (options_.bar) bar_.finish();
  }
  bool shows_bar() const { return options_.bar && bar_.shown(); }

 private:
  int fail(const std::string& path, int error) { return shell_.fail_errno(args_, path, error); }
  bool same_side() const { return &from_ == &to_; }
  int copy_directory(const std::string& source, const std::string& target, const struct stat& st);
  int copy_file(const std::string& source, const std::string& target, const struct stat& st);
  int copy_bytes(int in, int out, const std::string& source, const std::string& target);
  bool copy_at_the_server(int in, int out, const std::string& target, int* status);
  void advance(ssize_t bytes);
  int write_all(int out, size_t length, off_t at, const std::string& target);
  int dress(const std::string& target, const struct stat& st);

  Shell& shell_;
  const Args& args_;
  Side& from_;
  Side& to_;
  const CopyOptions options_;
  ProgressBar bar_;
  std::vector<char> buffer_;
  std::set<FileId> made_;  // directories that we made or wrote into, on the same side
};

void Copier::count(const std::string& source, bool follow) {
  struct stat st;
  if (shell_.interrupted()) return;
  if ((follow ? from_.stat(source, &st) : from_.lstat(source, &st)) != 0) return;
  if (S_ISREG(st.st_mode)) bar_.progress().expect(1, static_cast<uint64_t>(st.st_size));
  std::vector<std::string> names;
  if (!S_ISDIR(st.st_mode) || !options_.recursive || from_.list(source, &names) != 0) return;
  for (const std::string& name : names) {
    if (name != "." && name != "..") count(join(source, name), false);
  }
}

int Copier::dress(const std::string& target, const struct stat& st) {
  if (options_.owners) {
    if (int error = to_.lchown(target, st.st_uid, st.st_gid); error != 0) {
      return fail(target, error);
    }
  }
  if (!S_ISLNK(st.st_mode)) {
    if (int error = to_.chmod(target, st.st_mode & 07777); error != 0) return fail(target, error);
  }
  int error = to_.set_mtime(target, st.st_mtim);
  return error == 0 ? 0 : fail(target, error);
}

int Copier::copy_directory(const std::string& source, const std::string& target,
                           const struct stat& st) {
  if (!options_.recursive) return shell_.fail(args_, source, "is a directory (use -r)");
  if (made_.count(id_of(st)) != 0) {
    return shell_.fail(args_, source, "a directory is not copied into itself");
  }
  std::vector<std::string> names;
  if (int error = from_.list(source, &names); error != 0) return fail(source, error);
  // Writable for ourselves until the content is there.
  int error = to_.mkdir(target, (st.st_mode & 0777) | 0700);
  struct stat there;
  if (error == EEXIST) {
    error = to_.stat(target, &there) == 0 && S_ISDIR(there.st_mode) ? 0 : EEXIST;
  }
  if (error != 0) return fail(target, error);
  if (same_side() && to_.stat(target, &there) == 0) made_.insert(id_of(there));
  int status = 0;
  for (const std::string& name : names) {
    if (shell_.interrupted()) return kInterrupted;
    if (name == "." || name == "..") continue;
    status |= copy(join(source, name), join(target, name), false);
  }
  return status | dress(target, st);
}

int Copier::write_all(int out, size_t length, off_t at, const std::string& target) {
  for (size_t done = 0; done < length;) {
    ssize_t n =
        to_.pwrite(out, buffer_.data() + done, length - done, at + static_cast<off_t>(done));
    if (n < 0) return fail(target, static_cast<int>(-n));
    done += static_cast<size_t>(n);
  }
  return 0;
}

void Copier::advance(ssize_t bytes) {
  bar_.progress().advance(static_cast<uint64_t>(bytes));
  if (options_.bar) bar_.draw();
}

// False: it cannot be done there, and nothing has been.
bool Copier::copy_at_the_server(int in, int out, const std::string& target, int* status) {
  off_t at = 0;
  while (true) {
    if (shell_.interrupted()) return *status = kInterrupted, true;
    ssize_t n = from_.copy_range(in, out, at, kCopyRange_bytes);
    if (n < 0 && at == 0 && n != -ENOSPC && n != -ECANCELED) return false;
    if (n < 0) return *status = fail(target, static_cast<int>(-n)), true;
    if (n == 0) return true;
    at += n;
    advance(n);
  }
}

int Copier::copy_bytes(int in, int out, const std::string& source, const std::string& target) {
  int status = 0;
  if (same_side() && copy_at_the_server(in, out, target, &status)) return status;
  off_t at = 0;
  while (true) {
    if (shell_.interrupted()) return kInterrupted;
    ssize_t n = from_.pread(in, buffer_.data(), buffer_.size(), at);
    if (n < 0) return fail(source, static_cast<int>(-n));
    if (n == 0) break;
    bool zeros = std::all_of(buffer_.begin(), buffer_.begin() + n, [](char c) { return c == 0; });
    if (!zeros) {
      if (int status = write_all(out, static_cast<size_t>(n), at, target); status != 0) {
        return status;
      }
    }
    at += n;
    advance(n);
  }
  int error = to_.ftruncate(out, at);
  return error == 0 ? 0 : fail(target, error);
}

int Copier::copy_file(const std::string& source, const std::string& target, const struct stat& st) {
  struct stat there;
  if (same_side() && to_.stat(target, &there) == 0 && id_of(there) == id_of(st)) {
    return shell_.fail(args_, source, "is the same file as " + target);
  }
  bar_.progress().begin(source);
  int in = from_.open(source, O_RDONLY, 0);
  if (in < 0) return fail(source, -in);
  int out = to_.open(target, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (out < 0) {
    from_.close(in);
    return fail(target, -out);
  }
  int status = copy_bytes(in, out, source, target);
  from_.close(in);
  if (int error = to_.close(out); error != 0 && status == 0) status = fail(target, error);
  if (status == 0) status = dress(target, st);
  if (status == 0) bar_.progress().item_done();
  return status;
}

int Copier::copy(const std::string& source, const std::string& target, bool follow) {
  struct stat st;
  int error = follow ? from_.stat(source, &st) : from_.lstat(source, &st);
  if (error != 0) return fail(source, error);
  if (S_ISDIR(st.st_mode)) return copy_directory(source, target, st);
  if (S_ISREG(st.st_mode)) return copy_file(source, target, st);
  if (S_ISLNK(st.st_mode)) {
    std::string link;
    if (error = from_.readlink(source, &link); error != 0) return fail(source, error);
    if (error = to_.symlink(link, target); error != 0) return fail(target, error);
  } else if (error = to_.mknod(target, st.st_mode, st.st_rdev); error != 0) {
    return fail(target, error);
  }
  return dress(target, st);
}

}  // namespace

int copy_all(Shell& shell, const Args& args, Side& from, const std::vector<std::string>& sources,
             Side& to, const std::string& target, const CopyOptions& options) {
  struct stat st;
  bool into = to.stat(target, &st) == 0 && S_ISDIR(st.st_mode);
  if (sources.size() > 1 && !into) return shell.fail(args, target, "is no directory");
  Copier copier(shell, args, from, to, options);
  if (copier.shows_bar()) {
    for (const std::string& source : sources) copier.count(source, !options.recursive);
  }
  int status = 0;
  for (const std::string& source : sources) {
    if (shell.interrupted()) return kInterrupted;
    status |=
        copier.copy(source, into ? join(target, base_name(source)) : target, !options.recursive);
  }
  if (!shell.interrupted()) copier.finish();
  return status;
}

}  // namespace shell
