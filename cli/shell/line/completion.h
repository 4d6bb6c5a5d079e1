// Completion: what Tab does to a line that is being typed: commands, their options, and paths on
// the side where the command looks for them.
// Thread safety: the main thread alone.
#pragma once

#include <string>
#include <vector>

#include "cli/shell/tree/name_source.h"

namespace shell {

struct Completion {
  std::string insert;                // goes to the cursor, quoted as the word there is
  std::vector<std::string> choices;  // to show if nothing can be inserted
};

// `typed` is the line up to the cursor.
Completion complete(const std::string& typed, NameSource& remote, NameSource& local);

}  // namespace shell
