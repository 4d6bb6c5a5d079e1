// Remove: takes a tree away, the way rm -r does.
// Thread safety: the main thread alone.
#pragma once

#include <string>

#include "cli/shell/shell.h"

namespace shell {

// Removes the directory and all below; what cannot be removed is told of and left, and all others
// go. `bar`: null, or shows how many are gone. Returns the command's status.
int remove_tree(Shell& shell, const Args& args, const std::string& path, ProgressBar* bar);

}  // namespace shell
