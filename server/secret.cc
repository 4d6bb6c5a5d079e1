#include "server/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/escaping.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/random.h"

namespace myfs::server {
namespace {

constexpr size_t kNewSecret_bytes = 32;

Errno bad(const std::string& path, int error, const std::string& why) {
  return fail(Errno(error), "secret file " + path + ": " + why);
}

}  // namespace

Result<std::string> read_secret_file(const std::string& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return bad(path, errno, std::string(Errno(errno).text()));
  absl::Cleanup closer = [fd] { ::close(fd); };
  struct stat status;
  if (::fstat(fd, &status) != 0) return bad(path, errno, std::string(Errno(errno).text()));
  if ((status.st_mode & 077) != 0) {
    return bad(path, EACCES, "others may read or write it; it must have mode 0600 or less");
  }
  char buffer[kSecretFileMax_bytes + 1];
  size_t size = 0;
  while (size < sizeof buffer) {
    ssize_t n = ::read(fd, buffer + size, sizeof buffer - size);
    if (n < 0) return bad(path, errno, std::string(Errno(errno).text()));
    if (n == 0) break;
    size += static_cast<size_t>(n);
  }
  if (size > kSecretFileMax_bytes) {
    return bad(path, EFBIG, "has more than " + std::to_string(kSecretFileMax_bytes) + " bytes");
  }
  while (size > 0 && ::strchr(" \t\r\n", buffer[size - 1]) != nullptr) --size;
  if (size < kSecretFileMin_bytes) {
    return bad(path, EINVAL,
               "has " + std::to_string(size) + " bytes; at least " +
                   std::to_string(kSecretFileMin_bytes) + " are needed");
  }
  return std::string(buffer, size);
}

Result<std::string> read_or_make_secret_file(const std::string& path) {
  if (::access(path.c_str(), F_OK) == 0) return read_secret_file(path);
  char bytes[kNewSecret_bytes];
  random_bytes(bytes, sizeof bytes);
  std::string text = absl::BytesToHexString(absl::string_view(bytes, sizeof bytes)) + "\n";
  std::string temporary = path + ".new";
  ::unlink(temporary.c_str());
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return bad(temporary, errno, std::string(Errno(errno).text()));
  bool written = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                 ::fsync(fd) == 0;
  int error = written ? 0 : errno;
  ::close(fd);
  // Never over a secret that another process has made meanwhile.
  if (error == 0 && ::link(temporary.c_str(), path.c_str()) != 0 && errno != EEXIST) error = errno;
  ::unlink(temporary.c_str());
  if (error != 0) return bad(path, error, std::string(Errno(error).text()));
  return read_secret_file(path);
}

}  // namespace myfs::server
