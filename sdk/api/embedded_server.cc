#include "sdk/api/embedded_server.h"

#include <dlfcn.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/log.h"
#include "sdk/base/sync.h"

namespace myfs::api {
namespace {

constexpr char kLibrary[] = "libmyfs-server.so.0";
constexpr size_t kWhyMax_bytes = 512;

struct Servers {
  Mutex mutex{LockRank::kUnranked};
  std::map<std::string, std::weak_ptr<EmbeddedServer>> by_dir ABSL_GUARDED_BY(mutex);
};
Servers& servers() {
  static Servers* const instance = new Servers;
  return *instance;
}

// One name for one directory, also before it exists.
std::string canonical(const std::string& dir) {
  char* resolved = ::realpath(dir.c_str(), nullptr);
  if (resolved == nullptr) return dir;
  std::string result = resolved;
  std::free(resolved);
  return result;
}

// Beside this library, else wherever the loader looks. Not left to the library's run path: a
// sanitizer's dlopen does not know on whose behalf it is called.
std::string library_path() {
  Dl_info self;
  if (::dladdr(kLibrary, &self) == 0 || self.dli_fname == nullptr) return kLibrary;
  std::string path = self.dli_fname;
  path.resize(path.rfind('/') + 1);
  path += kLibrary;
  return ::access(path.c_str(), F_OK) == 0 ? path : kLibrary;
}

}  // namespace

struct EmbeddedServer::Library {
  // As server/embedded.h declares them.
  int (*start)(const char* dir, char* why, size_t why_size, void** server);
  int (*connect)(void* server);
  int (*stop)(void* server);
};

Result<const EmbeddedServer::Library*> EmbeddedServer::load() {
  static Mutex mutex{LockRank::kUnranked};
  static const Library* loaded = nullptr;
  MutexLock lock(mutex);
  if (loaded != nullptr) return loaded;
  // Never closed: it has threads and thread-local objects of its own.
  void* handle = ::dlopen(library_path().c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = ::dlerror();
    return fail(Errno(ELIBACC), absl::StrCat("embedded server: ", why != nullptr ? why : kLibrary));
  }
  Library library;
  library.start = reinterpret_cast<decltype(library.start)>(::dlsym(handle, "myfs_server_start"));
  library.connect =
      reinterpret_cast<decltype(library.connect)>(::dlsym(handle, "myfs_server_connect"));
  library.stop = reinterpret_cast<decltype(library.stop)>(::dlsym(handle, "myfs_server_stop"));
  if (library.start == nullptr || library.connect == nullptr || library.stop == nullptr) {
    return fail(Errno(ELIBACC), absl::StrCat("embedded server: ", kLibrary, " is of another kind"));
  }
  loaded = new Library(library);
  return loaded;
}

Result<std::shared_ptr<EmbeddedServer>> EmbeddedServer::get(const std::string& data_dir) {
  MYFS_ASSIGN(const Library* library, load());
  // Held over the start: a second mount of the directory waits and then shares the server.
  MutexLock lock(servers().mutex);
  if (auto found = servers().by_dir[canonical(data_dir)].lock()) return found;
  char why[kWhyMax_bytes] = "";
  void* server = nullptr;
  int result = library->start(data_dir.c_str(), why, sizeof why, &server);
  if (result < 0) return fail(Errno(-result), absl::StrCat("embedded server: ", why));
  std::shared_ptr<EmbeddedServer> started(new EmbeddedServer(*library, server));
  servers().by_dir[canonical(data_dir)] = started;
  return started;
}

EmbeddedServer::~EmbeddedServer() {
  int result = library_.stop(server_);
  if (result < 0) {
    Errno error(-result);
    log(LogLevel::kError, "embedded server: shutdown: %s", std::string(error.text()));
  }
}

Result<int> EmbeddedServer::connect() {
  int fd = library_.connect(server_);
  if (fd < 0) return Errno(-fd);
  return fd;
}

}  // namespace myfs::api
