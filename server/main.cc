// myfsd: the server as a program: options, readiness, signals.
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "sdk/base/error_detail.h"
#include "sdk/base/log.h"
#include "server/fsck.h"
#include "server/secret.h"
#include "server/server.h"

namespace myfs::server {
namespace {

constexpr int kLargestPayload_bytes = 16 << 20, kKeptWhenFree_bytes = 128 << 20;
constexpr int kExitOk = 0, kExitFailure = 1, kExitUsage = 2;

struct CommandLine {
  std::string data_dir;
  std::vector<std::string> listen;
  int ready_fd = -1;
  std::string durability = "strict";
  int64_t lease_term_s = kDefaultLeaseTerm_ns / 1'000'000'000;
  std::string secret_file;
  bool insecure_tcp = false;
  bool forget_sessions = false;
  std::string log_level = "warning";
  int64_t spin_us = kDefaultSpin_ns / 1000;
  std::string fsck_dir;
  bool repair = false;
  std::vector<std::string> exports;
};

void declare(CLI::App& app, CommandLine& line) {
  auto* data = app.add_option("--data", line.data_dir, "Data directory; made if it is missing");
  app.add_option("--listen", line.listen,
                 "tcp:HOST:PORT or unix:PATH; may be repeated "
                 "(default: tcp:127.0.0.1:7460 and unix:DIR/myfs.sock)")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--ready-fd", line.ready_fd, "Write the ready line to this descriptor as well")
      ->check(CLI::Range(0, 65535));
  app.add_option("--durability", line.durability,
                 "strict: an answered change is durable; relaxed: within 50 ms")
      ->check(CLI::IsMember({"strict", "relaxed"}))
      ->capture_default_str();
  app.add_option("--lease-term", line.lease_term_s, "Seconds that a client may be silent")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  app.add_option("--secret-file", line.secret_file,
                 "Secret of TCP clients (default: DIR/secret, made if it is missing)");
  app.add_flag("--forget-sessions", line.forget_sessions,
               "End the sessions of the last run: their clients lose locks and unwritten data");
  app.add_flag("--insecure-tcp", line.insecure_tcp,
               "Believe what TCP clients say about who they are");
  app.add_option("--export", line.exports,
                 "PATH[:OPTION,...] that clients may mount; may be repeated (default: everything, "
                 "as it is). Options: ro, rw, root_squash, no_root_squash, all_squash, anonuid=N, "
                 "anongid=N")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--log-level", line.log_level, "error, warning, info or debug")
      ->check(CLI::IsMember({"error", "warning", "info", "debug"}))
      ->capture_default_str();
  app.add_option("--spin", line.spin_us, "Microseconds to look for work before sleeping; 0: never")
      ->check(CLI::Range(0, 200))
      ->capture_default_str();
  auto* fsck = app.add_option("--fsck", line.fsck_dir,
                              "Check the data directory DIR without changing it and exit: "
                              "0 clean, 2 damaged, 3 could not be read");
  app.add_flag("--repair", line.repair,
               "With --fsck: mend what can be mended and exit: 0 clean, 1 repaired, 2 damage is "
               "left, 3 could not be read or written. What has lost its name or its inode comes "
               "into /lost+found; content is never changed")
      ->needs(fsck);
  app.set_version_flag("--version", std::string("myfsd " MYFS_VERSION " (protocol ") +
                                        std::to_string(kProtocolVersion) + ")");
  fsck->excludes(data);
}

// Says on stderr what thread_error_detail() knows.
int failed(Errno error) {
  const std::string& message = thread_error_detail().message;
  std::fprintf(stderr, "myfsd: %s\n",
               message.empty() ? std::string(error.text()).c_str() : message.c_str());
  return kExitFailure;
}

Result<ServerOptions> to_options(const CommandLine& line) {
  ServerOptions options;
  options.data_dir = line.data_dir;
  options.durability = line.durability == "strict" ? Durability::kDurable : Durability::kRelaxed;
  options.lease_term_ns = line.lease_term_s * 1'000'000'000;
  options.insecure_tcp = line.insecure_tcp;
  options.forget_sessions = line.forget_sessions;
  options.spin_ns = line.spin_us * 1000;
  std::vector<std::string> listen = line.listen;
  if (listen.empty()) {
    listen = {"tcp:127.0.0.1:" + std::to_string(kDefaultPort),
              "unix:" + line.data_dir + "/myfs.sock"};
  }
  for (const std::string& text : listen) {
    MYFS_ASSIGN(uv_io::Endpoint endpoint, uv_io::Endpoint::parse(text));
    options.listen.push_back(std::move(endpoint));
  }
  MYFS_ASSIGN(options.exports, parse_exports(line.exports));
  return options;
}

Result<void> find_secret(const CommandLine& line, ServerOptions& options) {
  if (!line.secret_file.empty()) {
    MYFS_ASSIGN(options.secret, read_secret_file(line.secret_file));
    return ok_result();
  }
  bool tcp = false;
  for (const auto& endpoint : options.listen) {
    tcp = tcp || endpoint.kind == uv_io::Endpoint::Kind::kTcp;
  }
  if (!tcp || line.insecure_tcp) return ok_result();
  MYFS_TRY(make_data_dir(line.data_dir));
  MYFS_ASSIGN(options.secret, read_or_make_secret_file(line.data_dir + "/secret"));
  return ok_result();
}

void announce(const Server& server, int ready_fd) {
  std::string text = "myfsd: ready";
  for (const auto& endpoint : server.endpoints()) text += " " + endpoint.text();
  text += "\n";
  std::fputs(text.c_str(), stdout);
  std::fflush(stdout);
  if (ready_fd < 0) return;
  if (::write(ready_fd, text.data(), text.size()) < 0) {
    std::fprintf(stderr, "myfsd: --ready-fd %d: %s\n", ready_fd,
                 std::string(Errno(errno).text()).c_str());
  }
  if (ready_fd > STDERR_FILENO) ::close(ready_fd);
}

int serve(const CommandLine& line) {
  auto options = to_options(line);
  if (!options.ok()) {
    (void)failed(options.error());
    return kExitUsage;
  }
  if (auto secret = find_secret(line, *options); !secret.ok()) return failed(secret.error());
  if (line.insecure_tcp) {
    std::fputs("myfsd: --insecure-tcp: TCP clients are believed whoever they say they are\n",
               stderr);
  }
  // Before any thread: all of them inherit the mask, and this one waits for the signals.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);

  auto server = Server::create(std::move(*options));
  if (!server.ok()) return failed(server.error());
  announce(**server, line.ready_fd);
  int signal_number = 0;
  sigwait(&signals, &signal_number);
  log(LogLevel::kInfo, "myfsd: %s: shutting down", ::strsignal(signal_number));
  // Who presses Ctrl-C once more does not want to wait for clients.
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_UNBLOCK, &interrupt, nullptr);
  if (Errno error = (*server)->shutdown(); !error.ok()) {
    std::fprintf(stderr, "myfsd: shutdown: %s\n", std::string(error.text()).c_str());
    return kExitFailure;
  }
  return kExitOk;
}

// Payloads of megabytes come and go all the time: by default each of them would be given back to
// the system and faulted in again, which halves the throughput.
void keep_freed_memory() {
  ::mallopt(M_MMAP_THRESHOLD, kLargestPayload_bytes);
  ::mallopt(M_TRIM_THRESHOLD, kKeptWhenFree_bytes);
}

int run(int argc, char** argv) {
  CLI::App app("MyFS server", "myfsd");
  CommandLine line;
  declare(app, line);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    int status = app.exit(error);
    return status == 0 ? kExitOk : kExitUsage;
  }
  LogLevel level = LogLevel::kWarning;
  keep_freed_memory();
  raise_file_limit();
  (void)parse_log_level(line.log_level, &level);
  set_log_level(level);
  if (!line.fsck_dir.empty()) {
    return run_fsck(line.fsck_dir, line.repair ? FsckMode::kRepair : FsckMode::kCheck, std::cout);
  }
  if (line.data_dir.empty()) {
    std::fputs("myfsd: --data DIR is required\nRun with --help for more information.\n", stderr);
    return kExitUsage;
  }
  return serve(line);
}

}  // namespace
}  // namespace myfs::server

int main(int argc, char** argv) try {
  return myfs::server::run(argc, argv);
} catch (const std::exception& e) {
  fprintf(stderr, "myfsd: %s\n", e.what());
  return 1;
}
