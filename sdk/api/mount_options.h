// MountOptions: how one mount behaves, read from text.
// Kernel counterpart: fs_parameter_spec and fs_parse (fs/fs_parser.c), Opt_* of fs/nfs.
// Thread safety: values; pure functions.
// Invariants: (1) what parse_mount_options returns is inside every range that the table of options
// states.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sdk/api/mount_url.h"
#include "sdk/base/limits.h"
#include "sdk/base/result.h"
#include "sdk/fs/super_block.h"

namespace myfs::api {

struct MountOptions {
  std::vector<std::string> servers;  // option `server` with `port`: replaces those of the URL
  std::optional<uint16_t> port;
  uint32_t rsize_bytes = kDefaultIo_bytes;
  uint32_t wsize_bytes = kDefaultIo_bytes;
  bool soft = false;
  int64_t timeout_ns = kDefaultTimeout_ns;
  int64_t connect_timeout_ns = kDefaultConnectTimeout_ns;
  std::optional<int64_t> cache_timeout_ns;  // unset: the lease alone decides
  int connections = 2;
  std::optional<uint64_t> cache_size_bytes;
  bool read_only = false;
  std::optional<uint32_t> uid, gid;
  bool token = false;  // sec=token
  std::string secret_file;
  std::string salvage_dir;  // empty: none
  int64_t spin_ns = kDefaultSpin_ns;
  bool write_sync = false;
  std::shared_ptr<const IdMap> idmap;
};

// `url_options` win over `more`. EINVAL: an unknown, repeated, contradicting or out-of-range
// option; the error detail names the option, the value and the range.
Result<MountOptions> parse_mount_options(const OptionList& more, const OptionList& url_options);

// Those of a mount that can be given to it while it lives. EINVAL: also for one that cannot.
Result<fs::Reconfigure> parse_remount_options(const OptionList& list,
                                              std::optional<uint64_t>* cache_size_bytes);

// "100ms", "5s", "2m", "1h", "30" = seconds, "50us"; at least 0. False: not a time.
bool parse_duration_ns(std::string_view text, int64_t* ns);
// "4096", "4K", "16M", "1G". False: not a size.
bool parse_size_bytes(std::string_view text, uint64_t* bytes);

}  // namespace myfs::api
