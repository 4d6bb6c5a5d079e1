#include "tests/bench/micro/rig.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

namespace myfs::bench {

namespace {

std::string make_dir(const std::string& base) {
  std::string name = base + "/myfs-bench.XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) {
    std::perror(name.c_str());
    std::exit(1);
  }
  return name;
}

// Both sides have the same calls in different clothes.
struct KernelSide {
  int dir;
  int mkdir(const char* path) { return ::mkdirat(dir, path, 0755); }
  int create(const char* path) { return ::openat(dir, path, O_CREAT | O_RDWR, 0644); }
  ssize_t write(int fd, const void* data, size_t size) { return ::write(fd, data, size); }
  int close(int fd) { return ::close(fd); }
};
struct MyfsSide {
  myfs_task* task;
  int mkdir(const char* path) { return myfs_mkdir(task, path, 0755); }
  int create(const char* path) { return myfs_open(task, path, O_CREAT | O_RDWR, 0644); }
  ssize_t write(int fd, const void* data, size_t size) { return myfs_write(task, fd, data, size); }
  int close(int fd) { return myfs_close(task, fd); }
};

template <typename Side>
bool make_file(Side side, const char* path, size_t size_bytes) {
  int fd = side.create(path);
  if (fd < 0) return complain(std::string("create ") + path, fd);
  std::vector<char> block(1 << 20, 'm');
  for (size_t done = 0; done < size_bytes; done += block.size()) {
    ssize_t n = side.write(fd, block.data(), std::min(block.size(), size_bytes - done));
    if (n < 0) return complain(std::string("write ") + path, n);
  }
  int closed = side.close(fd);
  return closed >= 0 || complain(std::string("close ") + path, closed);
}

template <typename Side>
bool make_tree(Side side) {
  for (const char* dir :
       {"a", "a/b", "a/b/c", "a/b/c/d", "a/b/c/d/e", "a/b/c/d/e/f", "a/b/c/d/e/f/g"}) {
    int result = side.mkdir(dir);
    if (result < 0) return complain(std::string("mkdir ") + dir, result);
  }
  return make_file(side, kPath3, 100) && make_file(side, kPath8, 100) &&
         make_file(side, kHotFile, kHotFile_bytes);
}

bool open_task(const std::string& url, const std::string& options, myfs_task** task) {
  myfs_mount_options mount{sizeof mount, options.c_str(), nullptr};
  int result = myfs_open_url(url.c_str(), &mount, task);
  return result >= 0 || complain("mount " + url, result);
}

}  // namespace

bool complain(const std::string& what, int64_t result) {
  myfs_error error{};
  error.size = sizeof error;
  myfs_last_error(&error);
  std::fprintf(stderr, "myfs-bench-micro: %s: %s %s\n", what.c_str(),
               std::strerror(static_cast<int>(result < -1 ? -result : errno)), error.message);
  return false;
}

Mounted::Mounted(const std::string& data_dir, std::vector<std::string> args)
    : server(data_dir, std::move(args)) {}

Mounted::~Mounted() {
  if (task != nullptr) myfs_task_destroy(task);
  if (server.running()) server.terminate();
}

bool Mounted::start(const std::string& options) {
  if (!server.start()) {
    std::fprintf(stderr, "myfs-bench-micro: myfsd: %s\n", server.output().c_str());
    return false;
  }
  return open_task(url(false), options, &task);
}

Rig::Rig(const RigOptions& options) : options_(options) {}

Rig::~Rig() {
  rpc_peer.reset();
  for (myfs_task* task : {ram_tcp, nospin_tcp}) {
    if (task != nullptr) myfs_task_destroy(task);
  }
  for (auto* mounted : {&ram, &nospin, &strict, &relaxed}) mounted->reset();
  for (int fd : {tmpfs_hot, tmpfs, disk}) {
    if (fd >= 0) ::close(fd);
  }
  std::error_code ignored;
  if (!ram_dir_.empty()) std::filesystem::remove_all(ram_dir_, ignored);
  if (!disk_dir_.empty()) std::filesystem::remove_all(disk_dir_, ignored);
}

bool Rig::make_kernel_tree() {
  std::string dir = ram_dir_ + "/kernel";
  if (::mkdir(dir.c_str(), 0755) != 0) return complain(dir, -errno);
  tmpfs = ::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (!make_tree(KernelSide{tmpfs})) return false;
  tmpfs_hot = ::openat(tmpfs, kHotFile, O_RDONLY | O_CLOEXEC);
  disk = ::open((disk_dir_ + "/fdatasync").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  return tmpfs_hot >= 0 && disk >= 0;
}

bool Rig::make_myfs_tree() {
  if (!make_tree(MyfsSide{ram->task})) return false;
  if (!make_file(MyfsSide{ram->task}, kBulkFile, g_bulk_file_bytes)) return false;
  myfs_hot = myfs_open(ram->task, kHotFile, O_RDONLY, 0);
  if (myfs_hot < 0) return complain("open hot", myfs_hot);
  std::vector<char> block(1 << 20);
  for (size_t at = 0; at < kHotFile_bytes; at += block.size()) {
    ssize_t n = myfs_pread(ram->task, myfs_hot, block.data(), block.size(), static_cast<off_t>(at));
    if (n != static_cast<ssize_t>(block.size())) return complain("read hot", n);
  }
  return true;
}

bool Rig::start() {
  // A bare chroot has no /dev/shm.
  bool has_ram = ::access(options_.ram_dir.c_str(), W_OK) == 0;
  ram_dir_ = make_dir(has_ram ? options_.ram_dir : options_.disk_dir);
  disk_dir_ = make_dir(options_.disk_dir);
  if (!make_kernel_tree()) return false;
  ram = std::make_unique<Mounted>(ram_dir_ + "/ram", test::kTcp);
  std::vector<std::string> sleepy = test::kTcp;
  sleepy.insert(sleepy.end(), {"--spin", "0"});
  nospin = std::make_unique<Mounted>(ram_dir_ + "/nospin", sleepy);
  strict = std::make_unique<Mounted>(disk_dir_ + "/strict", std::vector<std::string>{});
  relaxed = std::make_unique<Mounted>(disk_dir_ + "/relaxed",
                                      std::vector<std::string>{"--durability", "relaxed"});
  rpc_peer = std::make_unique<RpcPeer>();
  return ram->start("") && nospin->start("spin=0") && strict->start("") && relaxed->start("") &&
         open_task(ram->url(true), "", &ram_tcp) &&
         open_task(nospin->url(true), "spin=0", &nospin_tcp) && make_myfs_tree() &&
         rpc_peer->start(ram->server);
}

}  // namespace myfs::bench
