// MountUrl: what a URL names: servers or a data directory, a subdirectory, options.
// Kernel counterpart: the `source` of struct fs_context, parsed as nfs_parse_source does.
// Thread safety: a value; parse_mount_url is a pure function.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sdk/base/result.h"

namespace myfs::api {

// name and value, percent-decoded; a flag has an empty value.
using OptionList = std::vector<std::pair<std::string, std::string>>;

struct MountUrl {
  enum class Kind { kTcp, kUnix, kEmbedded };
  Kind kind = Kind::kTcp;
  std::vector<std::string> servers;  // kTcp: "host:port", IPv6 as "[addr]:port"; at least one
  std::string path;               // kUnix: of the socket; kEmbedded: the data directory; absolute
  std::string export_path = "/";  // kTcp: the subdirectory
  OptionList options;
};

// EINVAL; the error detail names what is wrong and where.
Result<MountUrl> parse_mount_url(std::string_view url);

// "a=1,b,c=x%2Cy" with `separator` between the options. EINVAL as above.
Result<OptionList> parse_option_list(std::string_view text, char separator);

}  // namespace myfs::api
