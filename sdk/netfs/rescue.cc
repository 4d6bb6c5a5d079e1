#include "sdk/netfs/rescue.h"

#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "sdk/base/clock.h"
#include "sdk/base/error_detail.h"
#include "sdk/netfs/lost_writes.h"

namespace myfs::netfs {

namespace {

constexpr size_t kBuffer_bytes = 1 << 20;
constexpr int kNamesTried = 10'000;  // of one inode within one second
constexpr mode_t kMode = 0600;       // what others may see of the file is not known here

class Fd {
 public:
  explicit Fd(int fd = -1) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

Errno failed(std::string_view what, const std::string& file) {
  const Errno error(errno);
  return fail(error, absl::StrCat(std::string(what), " ", file, ": ", std::string(error.name()),
                                  " (", std::string(error.text()), ")"));
}

// "2026-11-22T07:01:45Z"; without separators: "20261122T070145Z".
std::string utc(int64_t ns, bool separators) {
  const time_t seconds = ns / kNsPerSec;
  tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[32];
  ::strftime(text, sizeof text, separators ? "%Y-%m-%dT%H:%M:%SZ" : "%Y%m%dT%H%M%SZ", &parts);
  return text;
}

Result<void> write_all(int fd, const char* from, size_t count, int64_t offset,
                       const std::string& file) {
  while (count != 0) {
    const ssize_t written = ::pwrite(fd, from, count, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("cannot write", file);
    from += written;
    offset += written;
    count -= static_cast<size_t>(written);
  }
  return ok_result();
}

Result<void> sync_file(int fd, const std::string& file) {
  return ::fsync(fd) == 0 ? ok_result() : Result<void>(failed("cannot sync", file));
}

std::string describe(const LostWrites& lost, const std::string& data_name) {
  nlohmann::ordered_json json = {{"myfs_lost_writes", 1},
                                 {"mount", lost.mount},
                                 {"path", lost.path},
                                 {"inode", lost.ino},
                                 {"generation", lost.generation},
                                 {"reason", lost.why},
                                 {"error", std::string(lost.error.name())},
                                 {"time", utc(lost.when_ns, true)},
                                 {"file_size", lost.file_size},
                                 {"data", data_name}};
  nlohmann::ordered_json ranges = nlohmann::ordered_json::array();
  for (const LostWrites::Range& range : lost.ranges()) {
    ranges.push_back({{"offset", range.offset}, {"length", range.size_bytes}});
  }
  json["ranges"] = std::move(ranges);
  constexpr auto kReplace = nlohmann::ordered_json::error_handler_t::replace;
  std::string text = json.dump(2, ' ', false, kReplace);
  // Names may be anything; a description is UTF-8.
  if (text.find("\xef\xbf\xbd") != std::string::npos) {
    json["path_hex"] = absl::BytesToHexString(lost.path);
    text = json.dump(2, ' ', false, kReplace);
  }
  return text + "\n";
}

}  // namespace

struct RescueDir::Pair {
  std::string name;  // without suffix
  Fd data, json;
};

Result<std::shared_ptr<const RescueDir>> RescueDir::open(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() < 0) return failed("option salvage_dir: cannot open", path);
  if (::faccessat(fd.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    return failed("option salvage_dir: cannot write to", path);
  }
  char* absolute = ::realpath(path.c_str(), nullptr);
  std::string known = absolute != nullptr ? absolute : path;
  ::free(absolute);
  return std::shared_ptr<const RescueDir>(new RescueDir(std::move(known), fd.release()));
}

RescueDir::~RescueDir() { ::close(fd_); }

Result<RescueDir::Pair> RescueDir::create_pair(const LostWrites& lost) const {
  const std::string stem = absl::StrFormat("lost-%s-i%d", utc(lost.when_ns, false), lost.ino);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
  for (int i = 1; i <= kNamesTried; ++i) {
    Pair pair;
    pair.name = i == 1 ? stem : absl::StrCat(stem, "-", i);
    // The description's name is taken first: whoever finds it empty finds it unfinished.
    const std::string json = pair.name + ".json", data = pair.name + ".data";
    pair.json = Fd(::openat(fd_, json.c_str(), kFlags, kMode));
    if (pair.json.get() < 0 && errno == EEXIST) continue;
    if (pair.json.get() < 0) return failed("cannot create", absl::StrCat(path_, "/", json));
    pair.data = Fd(::openat(fd_, data.c_str(), kFlags, kMode));
    if (pair.data.get() >= 0) return pair;
    const bool taken = errno == EEXIST;
    const Errno error = failed("cannot create", absl::StrCat(path_, "/", data));
    (void)::unlinkat(fd_, json.c_str(), 0);
    if (!taken) return error;
  }
  return fail(Errno(EEXIST), absl::StrCat("no name is free like ", path_, "/", stem, ".data"));
}

Result<std::string> RescueDir::save(const LostWrites& lost) const {
  MYFS_ASSIGN(Pair pair, create_pair(lost));
  const std::string data = absl::StrCat(path_, "/", pair.name, ".data");
  const std::string json = absl::StrCat(path_, "/", pair.name, ".json");
  uint64_t saved = 0;
  auto save_bytes = [&]() -> Result<void> {
    std::vector<char> buffer(kBuffer_bytes);
    for (const LostWrites::Range& range : lost.ranges()) {
      for (uint64_t done = 0; done < range.size_bytes;) {
        const size_t part = std::min<uint64_t>(buffer.size(), range.size_bytes - done);
        const size_t count = lost.read(range.offset + done, buffer.data(), part);
        if (count == 0) return fail(Errno(EIO), absl::StrCat("bytes are missing for ", data));
        MYFS_TRY(write_all(pair.data.get(), buffer.data(), count,
                           static_cast<int64_t>(range.offset + done), data));
        done += count;
        saved += count;
      }
    }
    return sync_file(pair.data.get(), data);
  };
  auto save_all = [&]() -> Result<void> {
    MYFS_TRY(save_bytes());
    const std::string text = describe(lost, pair.name + ".data");
    MYFS_TRY(write_all(pair.json.get(), text.data(), text.size(), 0, json));
    MYFS_TRY(sync_file(pair.json.get(), json));
    return sync_file(fd_, path_);
  };
  if (Result<void> written = save_all(); !written.ok()) {
    // What could be saved stays, without a description.
    (void)::unlinkat(fd_, (pair.name + ".json").c_str(), 0);
    if (saved == 0) (void)::unlinkat(fd_, (pair.name + ".data").c_str(), 0);
    return fail(written.error(),
                absl::StrCat(thread_error_detail().message, "; of ", lost.size_bytes(), " bytes ",
                             saved, " are in ", saved == 0 ? "no file" : data));
  }
  return json;
}

}  // namespace myfs::netfs
