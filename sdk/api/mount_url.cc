#include "sdk/api/mount_url.h"

#include <charconv>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "sdk/base/error_detail.h"
#include "sdk/base/limits.h"

namespace myfs::api {
namespace {

Errno bad(std::string_view what, std::string_view why) {
  return fail(Errno(EINVAL), absl::StrCat("URL ", absl::string_view(what.data(), what.size()), ": ",
                                          absl::string_view(why.data(), why.size())));
}

Result<std::string> percent_decode(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      result.push_back(text[i]);
      continue;
    }
    unsigned value = 0;
    const char* begin = text.data() + i + 1;
    if (i + 2 >= text.size()) return bad(text, "a '%' needs two hexadecimal digits");
    auto [end, error] = std::from_chars(begin, begin + 2, value, 16);
    if (error != std::errc() || end != begin + 2) {
      return bad(text, "a '%' needs two hexadecimal digits");
    }
    if (value == 0) return bad(text, "%00 cannot be part of a name");
    result.push_back(static_cast<char>(value));
    i += 2;
  }
  return result;
}

// "host", "host:port", "[v6]", "[v6]:port".
Result<std::string> parse_server(std::string_view text) {
  std::string_view host = text, port;
  size_t colon = text.rfind(':');
  size_t bracket = text.rfind(']');
  if (colon != std::string_view::npos && (bracket == std::string_view::npos || colon > bracket)) {
    host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (port.empty()) return bad(text, "a port must follow the ':'");
  }
  if (host.empty() || host == "[]") return bad(text, "a host is missing");
  if (host.find(':') != std::string_view::npos && host.front() != '[') {
    return bad(text, "an IPv6 address must stand in brackets");
  }
  uint32_t number = kDefaultPort;
  if (!port.empty()) {
    auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
    bool good = error == std::errc() && end == port.data() + port.size();
    if (!good || number < 1 || number > 65535) return bad(text, "the port must be 1..65535");
  }
  return absl::StrCat(absl::string_view(host.data(), host.size()), ":", number);
}

Result<void> parse_tcp(std::string_view rest, MountUrl* url) {
  size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  while (true) {
    size_t comma = authority.find(',');
    MYFS_ASSIGN(std::string server, parse_server(authority.substr(0, comma)));
    url->servers.push_back(std::move(server));
    if (comma == std::string_view::npos) break;
    authority.remove_prefix(comma + 1);
  }
  if (slash == std::string_view::npos) return {};
  MYFS_ASSIGN(url->export_path, percent_decode(rest.substr(slash)));
  return {};
}

bool take_prefix(std::string_view* text, std::string_view prefix) {
  if (text->substr(0, prefix.size()) != prefix) return false;
  text->remove_prefix(prefix.size());
  return true;
}

}  // namespace

Result<OptionList> parse_option_list(std::string_view text, char separator) {
  OptionList list;
  while (!text.empty()) {
    size_t end = text.find(separator);
    std::string_view item = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    size_t equals = item.find('=');
    MYFS_ASSIGN(std::string name, percent_decode(item.substr(0, equals)));
    std::string value;
    if (equals != std::string_view::npos) {
      MYFS_ASSIGN(value, percent_decode(item.substr(equals + 1)));
    }
    if (name.empty()) return bad(item, "an option without a name");
    list.emplace_back(std::move(name), std::move(value));
  }
  return list;
}

Result<MountUrl> parse_mount_url(std::string_view text) {
  MountUrl url;
  std::string_view rest = text;
  std::string_view query;
  if (size_t mark = rest.find('?'); mark != std::string_view::npos) {
    query = rest.substr(mark + 1);
    rest = rest.substr(0, mark);
  }
  MYFS_ASSIGN(url.options, parse_option_list(query, '&'));
  if (take_prefix(&rest, "myfs://")) {
    url.kind = MountUrl::Kind::kTcp;
    MYFS_TRY(parse_tcp(rest, &url));
    return url;
  }
  if (take_prefix(&rest, "myfs+unix:")) {
    url.kind = MountUrl::Kind::kUnix;
  } else if (take_prefix(&rest, "embedded:")) {
    url.kind = MountUrl::Kind::kEmbedded;
  } else {
    return bad(text, "must begin with myfs://, myfs+unix: or embedded:");
  }
  MYFS_ASSIGN(url.path, percent_decode(rest));
  if (url.path.empty() || url.path.front() != '/') {
    return bad(text, "an absolute path must follow the scheme");
  }
  return url;
}

}  // namespace myfs::api
