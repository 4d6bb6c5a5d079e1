// Copy: trees from one side to another, or inside of one.
// Thread safety: the main thread alone.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "cli/shell/shell.h"
#include "cli/shell/tree/side.h"

namespace shell {

inline constexpr size_t kCopyBuffer_bytes = 1 << 20;

struct CopyOptions {
  bool recursive = false;
  bool owners = false;  // owner and group follow, too
  bool bar = false;     // shows how far it is
};

// Copies each of `sources` to `target`, into it if it is a directory; directories only if
// recursive. Modes and times follow, holes stay holes. A file is not copied to itself, nor a
// directory into itself. Complains itself; returns the command's status.
int copy_all(Shell& shell, const Args& args, Side& from, const std::vector<std::string>& sources,
             Side& to, const std::string& target, const CopyOptions& options);

}  // namespace shell
