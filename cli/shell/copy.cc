#include "cli/shell/copy.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace shell {
namespace {

class Copier {
 public:
  Copier(Shell& shell, const Args& args, Side& from, Side& to, bool recursive)
      : shell_(shell), args_(args), from_(from), to_(to), recursive_(recursive) {}

  int copy(const std::string& source, const std::string& target, bool follow);

 private:
  int fail(const std::string& path, int error) {
    return shell_.fail(args_, path, ::strerrordesc_np(error));
  }
  int copy_directory(const std::string& source, const std::string& target, const struct stat& st);
  int copy_file(const std::string& source, const std::string& target, const struct stat& st);
  int copy_bytes(int in, int out, const std::string& source, const std::string& target);
  int dress(const std::string& target, const struct stat& st);

  Shell& shell_;
  const Args& args_;
  Side& from_;
  Side& to_;
  const bool recursive_;
};

int Copier::dress(const std::string& target, const struct stat& st) {
  if (!S_ISLNK(st.st_mode)) {
    if (int error = to_.chmod(target, st.st_mode & 07777); error != 0) return fail(target, error);
  }
  int error = to_.set_mtime(target, st.st_mtim);
  return error == 0 ? 0 : fail(target, error);
}

int Copier::copy_directory(const std::string& source, const std::string& target,
                           const struct stat& st) {
  if (!recursive_) return shell_.fail(args_, source, "is a directory (use -r)");
  std::vector<std::string> names;
  if (int error = from_.list(source, &names); error != 0) return fail(source, error);
  // Writable for ourselves until the content is there.
  int error = to_.mkdir(target, (st.st_mode & 0777) | 0700);
  if (error == EEXIST) {
    struct stat there;
    error = to_.stat(target, &there) == 0 && S_ISDIR(there.st_mode) ? 0 : EEXIST;
  }
  if (error != 0) return fail(target, error);
  int status = 0;
  for (const std::string& name : names) {
    if (shell_.interrupted()) return 1;
    if (name == "." || name == "..") continue;
    status |= copy(join(source, name), join(target, name), false);
  }
  return status | dress(target, st);
}

int Copier::copy_bytes(int in, int out, const std::string& source, const std::string& target) {
  std::vector<char> buffer(kCopyBuffer_bytes);
  off_t at = 0;
  while (true) {
    if (shell_.interrupted()) return 1;
    ssize_t n = from_.pread(in, buffer.data(), buffer.size(), at);
    if (n < 0) return fail(source, static_cast<int>(-n));
    if (n == 0) break;
    auto length = static_cast<size_t>(n);
    bool zeros = std::all_of(buffer.begin(), buffer.begin() + n, [](char c) { return c == 0; });
    for (size_t done = 0; !zeros && done < length;) {
      ssize_t w =
          to_.pwrite(out, buffer.data() + done, length - done, at + static_cast<off_t>(done));
      if (w < 0) return fail(target, static_cast<int>(-w));
      done += static_cast<size_t>(w);
    }
    at += n;
  }
  int error = to_.ftruncate(out, at);
  return error == 0 ? 0 : fail(target, error);
}

int Copier::copy_file(const std::string& source, const std::string& target, const struct stat& st) {
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
  return status != 0 ? status : dress(target, st);
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
             Side& to, const std::string& target, bool recursive) {
  struct stat st;
  bool into = to.stat(target, &st) == 0 && S_ISDIR(st.st_mode);
  if (sources.size() > 1 && !into) return shell.fail(args, target, "is no directory");
  Copier copier(shell, args, from, to, recursive);
  int status = 0;
  for (const std::string& source : sources) {
    if (shell.interrupted()) return 1;
    status |= copier.copy(source, into ? join(target, base_name(source)) : target, !recursive);
  }
  return status;
}

}  // namespace shell
