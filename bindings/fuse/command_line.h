// CommandLine: what the user of myfs-fuse asked for.
// Thread safety: a value; a pure function.
#pragma once

#include <string>

namespace bridge {

struct CommandLine {
  std::string url;
  std::string mountpoint;  // absolute
  bool foreground = false;
  bool debug = false;
  bool allow_other = false;
  bool read_only = false;
  bool lease_cache = false;
  bool kernel_checks = false;
  std::string library_options;  // of myfs_mount, comma separated
  std::string kernel_options;   // of mount(8), comma separated
};

// True: go on. False: *status is the exit status; what is to be said has been said.
bool parse_command_line(int argc, char** argv, CommandLine* line, int* status);

inline constexpr int kExitOk = 0, kExitFailure = 1, kExitUsage = 2;

}  // namespace bridge
