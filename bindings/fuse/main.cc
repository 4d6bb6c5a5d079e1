// myfs-fuse: mounts a MyFS file system through the kernel's FUSE.

#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <exception>
#include <iterator>
#include <string>
#include <thread>
#include <utility>

#include "bindings/fuse/bridge.h"
#include "bindings/fuse/calls.h"
#include "bindings/fuse/command_line.h"
#include "bindings/fuse/device.h"
#include "bindings/fuse/finish.h"

namespace bridge {

namespace {

constexpr unsigned kBackgroundRequests = 64;
// Requests that wait for other clients must not keep those out that these wait for.
constexpr unsigned kThreadsMax = 1024, kThreadsIdle = 16;
constexpr int kEndSignals[] = {SIGINT, SIGTERM, SIGHUP};

// Tells the parent that the mount stands, and leaves the terminal.
void detach(int ready_fd) {
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) dup2(null, fd);
  close(null);
  if (chdir("/") != 0) _exit(kExitFailure);
  const char ready = kExitOk;
  (void)!write(ready_fd, &ready, 1);
  close(ready_fd);
}

void on_init(void* userdata, fuse_conn_info* conn) {
  const auto want = [conn](unsigned bits) { conn->want |= conn->capable & bits; };
  want(FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_ASYNC_READ | FUSE_CAP_ASYNC_DIO |
       FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO |
       FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_HANDLE_KILLPRIV | FUSE_CAP_CACHE_SYMLINKS |
       FUSE_CAP_DONT_MASK);
  conn->want &= ~(FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_POSIX_ACL | FUSE_CAP_EXPORT_SUPPORT |
                  FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
                  FUSE_CAP_EXPLICIT_INVAL_DATA);
  auto* bridge = static_cast<Bridge*>(userdata);
  if (bridge->kernel_checks) want(FUSE_CAP_POSIX_ACL);
  conn->max_write = kIoMax_bytes;
  conn->max_read = kIoMax_bytes;
  conn->max_background = kBackgroundRequests;
  if (bridge->ready_fd >= 0) return detach(std::exchange(bridge->ready_fd, -1));
  printf("myfs-fuse: mounted at %s\n", bridge->mountpoint.c_str());
  fflush(stdout);
}

fuse_lowlevel_ops handlers() {
  fuse_lowlevel_ops ops{};
  ops.init = on_init;
  set_name_handlers(&ops);
  set_attr_handlers(&ops);
  set_file_handlers(&ops);
  set_dir_handlers(&ops);
  set_lock_handlers(&ops);
  return ops;
}

int fail(const std::string& what) {
  fprintf(stderr, "myfs-fuse: %s\n", what.c_str());
  return kExitFailure;
}

int library_failed(const std::string& what, int result) {
  myfs_error error{};
  error.size = sizeof error;
  const bool known = myfs_last_error(&error) == 0 && error.message[0] != '\0';
  fail(what + ": " + (known ? error.message : strerror(-result)));
  return result == -EINVAL ? kExitUsage : kExitFailure;
}

sigset_t end_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (int number : kEndSignals) sigaddset(&set, number);
  return set;
}

// libfuse's arguments: what the kernel is told about the mount.
std::string mount_options(const CommandLine& line) {
  std::string options = "subtype=myfs,max_read=" + std::to_string(kIoMax_bytes);
  if (line.kernel_options.find("fsname=") == std::string::npos) {
    std::string name = line.url.substr(0, line.url.find('?'));
    for (size_t at = 0; (at = name.find(',', at)) != std::string::npos; at += 2) {
      name.insert(at, "\\");
    }
    options += ",fsname=" + name;
  }
  if (line.allow_other) options += ",allow_other";
  if (line.read_only) options += ",ro";
  if (!line.kernel_options.empty()) options += "," + line.kernel_options;
  return options;
}

// What the kernel keeps of a session. What it does not know is no error.
class SessionCache final : public KernelCache {
 public:
  explicit SessionCache(fuse_session* session) : session_(session) {}
  // Attributes alone: it keeps no content (bridge.h).
  void forget_attr(fuse_ino_t ino) override {
    fuse_lowlevel_notify_inval_inode(session_, ino, -1, 0);
  }
  void forget_name(fuse_ino_t dir, const std::string& name) override {
    fuse_lowlevel_notify_inval_entry(session_, dir, name.data(), name.size());
  }

 private:
  fuse_session* const session_;
};

// Ends the session on a signal: libfuse's loop is told, and so are the calls that wait for a
// server: the loop joins their threads.
class Ending {
 public:
  explicit Ending(fuse_session* session) {
    sem_init(&told_, 0, 0);
    session_ = session;
    ending_ = this;
    struct sigaction action {};
    action.sa_handler = on_signal;  // without SA_RESTART: the loop's wait is interrupted
    for (size_t i = 0; i < std::size(kEndSignals); ++i) {
      sigaction(kEndSignals[i], &action, &before_[i]);
    }
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, nullptr);
    thread_ = std::thread([this] {
      while (sem_wait(&told_) != 0) {
      }
      Calls::all().stop();
    });
  }
  ~Ending() {
    for (size_t i = 0; i < std::size(kEndSignals); ++i) {
      sigaction(kEndSignals[i], &before_[i], nullptr);
    }
    sem_post(&told_);
    thread_.join();
    sem_destroy(&told_);
  }
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;

 private:
  static void on_signal(int) {
    const int saved = errno;
    fuse_session_exit(ending_->session_);
    sem_post(&ending_->told_);
    errno = saved;
  }

  static inline Ending* ending_ = nullptr;
  fuse_session* session_ = nullptr;
  sem_t told_;
  struct sigaction before_[std::size(kEndSignals)];
  std::thread thread_;
};

// The session between mount and umount.
class Session {
 public:
  Session(const CommandLine& line, Bridge* bridge) : ops_(handlers()) {
    const std::string options = mount_options(line);
    fuse_opt_add_arg(&args_, "myfs-fuse");
    fuse_opt_add_arg(&args_, "-o");
    fuse_opt_add_arg(&args_, options.c_str());
    if (line.debug) fuse_opt_add_arg(&args_, "-d");
    session_ = fuse_session_new(&args_, &ops_, sizeof ops_, bridge);
  }
  ~Session() {
    if (mounted_) fuse_session_unmount(session_);
    if (session_ != nullptr) fuse_session_destroy(session_);
    fuse_opt_free_args(&args_);
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // False: libfuse has said why.
  bool mount(const std::string& at) {
    if (session_ == nullptr) return false;
    mounted_ = fuse_session_mount(session_, at.c_str()) == 0;
    return mounted_ && take_over_device(session_);
  }
  // Until the mount ends, or a signal comes. `caches`: for the time of it the kernel may keep what
  // leases cover; or null.
  int run(Bridge* caches, Waits* waits) {
    if (caches != nullptr) {
      caches->lease_cache = std::make_unique<LeaseCache>(caches->nodes);
      caches->lease_cache->start(std::make_unique<SessionCache>(session_));
      if (!caches->lease_cache->listen(caches->nodes.find(FUSE_ROOT_ID))) return -EINVAL;
    }
    const sigset_t signals = end_signals();
    const Ending ending(session_);
    pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    fuse_loop_config* config = fuse_loop_cfg_create();
    fuse_loop_cfg_set_clone_fd(config, 0);
    fuse_loop_cfg_set_max_threads(config, kThreadsMax);
    fuse_loop_cfg_set_idle_threads(config, kThreadsIdle);
    const int result = fuse_session_loop_mt(session_, config);
    fuse_loop_cfg_destroy(config);
    // Whoever waits for a lock asks what may be kept when he gets it.
    waits->stop();
    if (caches != nullptr) caches->lease_cache = nullptr;
    return result;
  }

 private:
  fuse_args args_ = FUSE_ARGS_INIT(0, nullptr);
  const fuse_lowlevel_ops ops_;
  fuse_session* session_ = nullptr;
  bool mounted_ = false;
};

int connect(const CommandLine& line, Bridge* bridge) {
  myfs_mount_options options{};
  options.size = sizeof options;
  options.options = line.library_options.c_str();
  int result = myfs_open_url(line.url.c_str(), &options, &bridge->task);
  if (result < 0) return library_failed(line.url, result);
  myfs_entry root{};
  root.size = sizeof root;
  result = myfs_ll_open_path(bridge->task, nullptr, "/", &root);
  if (result < 0) return library_failed(line.url, result);
  bridge->nodes.set_root(root);
  return kExitOk;
}

// `ready_fd`: of the parent that waits, or -1.
int serve(const CommandLine& line, int ready_fd) {
  // All threads but this one inherit the mask: a signal finds the thread that waits for it.
  const sigset_t signals = end_signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  Bridge bridge;
  bridge.ready_fd = ready_fd;
  bridge.mountpoint = line.mountpoint;
  bridge.kernel_checks = line.kernel_checks;
  int status = connect(line, &bridge);
  if (status == kExitOk) {
    Session session(line, &bridge);
    if (!session.mount(line.mountpoint)) {
      status = fail("could not mount at " + line.mountpoint);
    } else {
      const int result = session.run(line.lease_cache ? &bridge : nullptr, &bridge.waits);
      if (result < 0) status = fail(std::string("the device failed: ") + strerror(-result));
    }
  }
  std::string said;
  const bool kept = finish(bridge.task, &said);
  if (!said.empty()) fail(said);
  return kept || status != kExitOk ? status : kExitFailure;
}

// Serves in a child; returns when it has mounted, or its exit status.
int serve_in_background(const CommandLine& line) {
  int pipe_fds[2];
  if (pipe2(pipe_fds, O_CLOEXEC) != 0) return fail(std::string("pipe: ") + strerror(errno));
  const pid_t child = fork();
  if (child < 0) return fail(std::string("fork: ") + strerror(errno));
  if (child == 0) {
    close(pipe_fds[0]);
    setsid();
    return serve(line, pipe_fds[1]);
  }
  close(pipe_fds[1]);
  char ready;
  const ssize_t got = read(pipe_fds[0], &ready, 1);
  close(pipe_fds[0]);
  if (got == 1) return kExitOk;
  int status = 0;
  waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : kExitFailure;
}

int run(int argc, char** argv) {
  CommandLine line;
  int status;
  if (!parse_command_line(argc, argv, &line, &status)) return status;
  std::string why;
  if (!check_device(&why)) return fail(why);
  return line.foreground ? serve(line, -1) : serve_in_background(line);
}

}  // namespace

}  // namespace bridge

int main(int argc, char** argv) {
  try {
    return bridge::run(argc, argv);
  } catch (const std::exception& error) {
    fprintf(stderr, "myfs-fuse: %s\n", error.what());
    return bridge::kExitFailure;
  }
}
