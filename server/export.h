// Export: a directory that clients may mount, and on what terms.
// Kernel counterpart: struct svc_export, exports(5).  Differs: the terms are the session's: who
// mounts a directory has them in all that lies below, also where other exports begin.
// Thread safety: values and pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sdk/base/principal.h"
#include "sdk/base/result.h"

namespace myfs::server {

struct Export {
  std::string path{};  // "/a/b"; "/": the root
  bool read_only = false;
  Squash squash{};
};

// "PATH[:OPTION,...]", an option one of ro, rw, root_squash, no_root_squash, all_squash, anonuid=N,
// anongid=N; what follows the last ':' are options. EINVAL; the error's detail names what is wrong.
Result<Export> parse_export(std::string_view text);
// All of them. EINVAL: also a path given twice.
Result<std::vector<Export>> parse_exports(const std::vector<std::string>& texts);
// On whose terms `path` may be mounted: the longest of `exports` that is it or lies above it. Null:
// on nobody's. Without any export everything is offered as it is.
const Export* find_export(const std::vector<Export>& exports, std::string_view path);

}  // namespace myfs::server
