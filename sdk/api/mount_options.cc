#include "sdk/api/mount_options.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <iterator>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "sdk/base/clock.h"
#include "sdk/base/error_detail.h"

namespace myfs::api {
namespace {

constexpr uint32_t kIoMin_bytes = 4 << 10;
constexpr int64_t kTimeoutMin_ns = 100 * kNsPerMs, kTimeoutMax_ns = 3600 * kNsPerSec;
constexpr int64_t kSpinMax_ns = 200 * kNsPerUs;
constexpr uint64_t kCacheSizeMin_bytes = 16 << 20;

bool number(std::string_view text, uint64_t* out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

// One option: its range in words, and how a value is taken; false: outside of the range.
struct Spec {
  const char* name;
  const char* group;  // options of one group exclude each other
  const char* range;
  bool (*take)(std::string_view value, MountOptions* options);
};

bool take_io(std::string_view value, uint32_t* out) {
  uint64_t bytes = 0;
  if (!parse_size_bytes(value, &bytes) || bytes < kIoMin_bytes || bytes > kIoMax_bytes)
    return false;
  if ((bytes & (bytes - 1)) != 0) return false;
  *out = static_cast<uint32_t>(bytes);
  return true;
}

bool take_timeout(std::string_view value, int64_t* out) {
  int64_t ns = 0;
  if (!parse_duration_ns(value, &ns) || ns < kTimeoutMin_ns || ns > kTimeoutMax_ns) return false;
  *out = ns;
  return true;
}

bool take_id(std::string_view value, std::optional<uint32_t>* out) {
  uint64_t id = 0;
  if (!number(value, &id) || id >= UINT32_MAX) return false;
  *out = static_cast<uint32_t>(id);
  return true;
}

bool take_flag(std::string_view value, bool* out, bool setting) {
  *out = setting;
  return value.empty();
}

constexpr const char* kIoRange = "4K..4M, a power of two";
constexpr const char* kTimeoutRange = "100ms..1h";
constexpr const char* kFlagRange = "no value";

constexpr Spec kSpecs[] = {
    {"server", "server", "host names or addresses, joined by +",
     [](std::string_view v, MountOptions* o) {
       for (absl::string_view host : absl::StrSplit(absl::string_view(v.data(), v.size()), '+')) {
         if (host.empty()) return false;
         o->servers.emplace_back(host);
       }
       return true;
     }},
    {"port", "port", "1..65535",
     [](std::string_view v, MountOptions* o) {
       uint64_t port = 0;
       if (!number(v, &port) || port < 1 || port > 65535) return false;
       o->port = static_cast<uint16_t>(port);
       return true;
     }},
    {"rsize", "rsize", kIoRange,
     [](std::string_view v, MountOptions* o) { return take_io(v, &o->rsize_bytes); }},
    {"wsize", "wsize", kIoRange,
     [](std::string_view v, MountOptions* o) { return take_io(v, &o->wsize_bytes); }},
    {"hard", "hard, soft", kFlagRange,
     [](std::string_view v, MountOptions* o) { return take_flag(v, &o->soft, false); }},
    {"soft", "hard, soft", kFlagRange,
     [](std::string_view v, MountOptions* o) { return take_flag(v, &o->soft, true); }},
    {"timeout", "timeout", kTimeoutRange,
     [](std::string_view v, MountOptions* o) { return take_timeout(v, &o->timeout_ns); }},
    {"connect_timeout", "connect_timeout", kTimeoutRange,
     [](std::string_view v, MountOptions* o) { return take_timeout(v, &o->connect_timeout_ns); }},
    {"cache_timeout", "cache_timeout", "0..1h",
     [](std::string_view v, MountOptions* o) {
       int64_t ns = 0;
       if (!parse_duration_ns(v, &ns) || ns > kTimeoutMax_ns) return false;
       o->cache_timeout_ns = ns;
       return true;
     }},
    {"connections", "connections", "1..16",
     [](std::string_view v, MountOptions* o) {
       uint64_t count = 0;
       if (!number(v, &count) || count < 1 || count > kDataConnectionsMax) return false;
       o->connections = static_cast<int>(count);
       return true;
     }},
    {"cache_size", "cache_size", "at least 16M",
     [](std::string_view v, MountOptions* o) {
       uint64_t bytes = 0;
       if (!parse_size_bytes(v, &bytes) || bytes < kCacheSizeMin_bytes) return false;
       o->cache_size_bytes = bytes;
       return true;
     }},
    {"ro", "ro, rw", kFlagRange,
     [](std::string_view v, MountOptions* o) { return take_flag(v, &o->read_only, true); }},
    {"rw", "ro, rw", kFlagRange,
     [](std::string_view v, MountOptions* o) { return take_flag(v, &o->read_only, false); }},
    {"uid", "uid", "0..4294967294",
     [](std::string_view v, MountOptions* o) { return take_id(v, &o->uid); }},
    {"gid", "gid", "0..4294967294",
     [](std::string_view v, MountOptions* o) { return take_id(v, &o->gid); }},
    {"sec", "sec", "peer, token",
     [](std::string_view v, MountOptions* o) {
       o->token = v == "token";
       return v == "peer" || v == "token";
     }},
    {"secret_file", "secret_file", "a path",
     [](std::string_view v, MountOptions* o) {
       o->secret_file = std::string(v);
       return !v.empty();
     }},
    {"salvage_dir", "salvage_dir", "a path",
     [](std::string_view v, MountOptions* o) {
       o->salvage_dir = std::string(v);
       return !v.empty();
     }},
    {"spin", "spin", "0..200us",
     [](std::string_view v, MountOptions* o) {
       int64_t ns = 0;
       if (!parse_duration_ns(v, &ns) || ns > kSpinMax_ns) return false;
       o->spin_ns = ns;
       return true;
     }},
    {"idmap", "idmap", "u:FS:HOST:COUNT, g:... and b:... for both, joined by +, not overlapping",
     [](std::string_view v, MountOptions* o) {
       Result<IdMap> map = IdMap::parse(v);
       if (!map.ok()) return false;
       o->idmap = std::make_shared<const IdMap>(*std::move(map));
       return true;
     }},
    {"write_policy", "write_policy", "async, sync",
     [](std::string_view v, MountOptions* o) {
       o->write_sync = v == "sync";
       return v == "async" || v == "sync";
     }},
};

const Spec* find_spec(std::string_view name) {
  for (const Spec& spec : kSpecs) {
    if (name == spec.name) return &spec;
  }
  return nullptr;
}

std::string known_options() {
  std::string names;
  for (const Spec& spec : kSpecs) absl::StrAppend(&names, names.empty() ? "" : ", ", spec.name);
  return names;
}

// Each group at most once in one list.
Result<std::map<std::string, std::pair<const Spec*, std::string>>> sort_options(
    const OptionList& list) {
  std::map<std::string, std::pair<const Spec*, std::string>> groups;
  for (const auto& [name, value] : list) {
    const Spec* spec = find_spec(name);
    if (spec == nullptr) {
      return fail(Errno(EINVAL),
                  absl::StrCat("option ", name, ": unknown; there are ", known_options()));
    }
    auto [found, inserted] = groups.try_emplace(spec->group, spec, value);
    if (inserted) continue;
    if (found->second.first == spec) {
      return fail(Errno(EINVAL), absl::StrCat("option ", name, "=", value, ": given twice"));
    }
    return fail(Errno(EINVAL),
                absl::StrCat("option ", name, ": contradicts option ", found->second.first->name));
  }
  return groups;
}

}  // namespace

bool parse_duration_ns(std::string_view text, int64_t* ns) {
  static constexpr std::pair<std::string_view, int64_t> kUnits[] = {{"us", kNsPerUs},
                                                                    {"ms", kNsPerMs},
                                                                    {"s", kNsPerSec},
                                                                    {"m", 60 * kNsPerSec},
                                                                    {"h", 3600 * kNsPerSec}};
  int64_t scale = kNsPerSec;
  for (const auto& [unit, unit_ns] : kUnits) {
    if (text.size() <= unit.size() || text.substr(text.size() - unit.size()) != unit) continue;
    scale = unit_ns;
    text.remove_suffix(unit.size());
    break;
  }
  uint64_t count = 0;
  if (!number(text, &count) || count > static_cast<uint64_t>(INT64_MAX / scale)) return false;
  *ns = static_cast<int64_t>(count) * scale;
  return true;
}

bool parse_size_bytes(std::string_view text, uint64_t* bytes) {
  unsigned shift = 0;
  if (!text.empty()) {
    size_t unit = std::string_view("KMG").find(text.back());
    if (unit != std::string_view::npos) {
      shift = 10 * (static_cast<unsigned>(unit) + 1);
      text.remove_suffix(1);
    }
  }
  if (!number(text, bytes) || *bytes > (UINT64_MAX >> shift)) return false;
  *bytes <<= shift;
  return true;
}

Result<MountOptions> parse_mount_options(const OptionList& more, const OptionList& url_options) {
  MYFS_ASSIGN(auto groups, sort_options(url_options));
  MYFS_ASSIGN(auto others, sort_options(more));
  groups.merge(others);
  MountOptions options;
  for (const auto& [group, setting] : groups) {
    const auto& [spec, value] = setting;
    if (!spec->take(value, &options)) {
      return fail(Errno(EINVAL),
                  absl::StrCat("option ", spec->name, "=", value, ": must be ", spec->range));
    }
  }
  return options;
}

Result<fs::Reconfigure> parse_remount_options(const OptionList& list,
                                              std::optional<uint64_t>* cache_size_bytes) {
  constexpr std::string_view kLive[] = {
      "ro", "rw", "hard", "soft", "timeout", "cache_timeout", "cache_size", "write_policy"};
  MYFS_ASSIGN(const MountOptions options, parse_mount_options(list, {}));
  fs::Reconfigure change;
  for (const auto& [name, value] : list) {
    if (std::find(std::begin(kLive), std::end(kLive), name) == std::end(kLive)) {
      return fail(Errno(EINVAL), absl::StrCat("option ", name,
                                              ": cannot be changed while mounted; ro, rw, hard, "
                                              "soft, timeout, cache_timeout, cache_size, "
                                              "write_policy can"));
    }
    if (name == "ro" || name == "rw") change.read_only = options.read_only;
    if (name == "hard" || name == "soft") change.soft = options.soft;
    if (name == "timeout") change.timeout_ns = options.timeout_ns;
    if (name == "cache_timeout") change.attr_timeout_ns = options.cache_timeout_ns;
    if (name == "write_policy") change.sync_writes = options.write_sync;
  }
  *cache_size_bytes = options.cache_size_bytes;
  return change;
}

}  // namespace myfs::api
