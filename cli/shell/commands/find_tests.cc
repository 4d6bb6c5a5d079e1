#include "cli/shell/commands/find_tests.h"

#include <fnmatch.h>
#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "cli/shell/text/format.h"
#include "cli/shell/text/time_parser.h"

namespace shell {
namespace {

constexpr int64_t kSecond_ns = 1'000'000'000;

// "+5": more, "-5": less, "5": exactly.
struct Comparison {
  char sign = '=';
  uint64_t number = 0;
  bool holds(int64_t value) const {
    auto wanted = static_cast<int64_t>(number);
    return sign == '+' ? value > wanted : sign == '-' ? value < wanted : value == wanted;
  }
};

std::optional<Comparison> comparison(std::string_view text) {
  Comparison result;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    result.sign = text[0];
    text.remove_prefix(1);
  }
  if (!find_number(text, &result.number) || result.number > INT64_MAX) return std::nullopt;
  return result;
}

// A test of one number of the attributes.
template <typename Get>
FindTest number_test(const std::string& value, Get get) {
  auto wanted = comparison(value);
  if (!wanted) return {};
  return [wanted = *wanted, get](const FindFile& file, FindWorld&) {
    return wanted.holds(static_cast<int64_t>(get(file.attributes)));
  };
}

FindTest name_test(const std::string& pattern, bool whole_path, int flags) {
  return [=](const FindFile& file, FindWorld&) {
    std::string subject = file.path;
    if (!whole_path) {
      while (subject.size() > 1 && subject.back() == '/') subject.pop_back();
      if (subject != "/") subject.erase(0, subject.rfind('/') + 1);
    }
    return ::fnmatch(pattern.c_str(), subject.c_str(), flags) == 0;
  };
}

FindTest link_name_test(const std::string& pattern, int flags) {
  return [=](const FindFile& file, FindWorld& world) {
    return S_ISLNK(file.attributes.st_mode) &&
           ::fnmatch(pattern.c_str(), world.link_target(file).c_str(), flags) == 0;
  };
}

// "f", "d,l".
FindTest type_test(const std::string& value) {
  static constexpr std::pair<char, mode_t> kTypes[] = {
      {'f', S_IFREG},  {'d', S_IFDIR}, {'l', S_IFLNK}, {'p', S_IFIFO},
      {'s', S_IFSOCK}, {'c', S_IFCHR}, {'b', S_IFBLK}};
  std::vector<mode_t> wanted;
  for (size_t i = 0; i < value.size(); i += 2) {
    auto found = std::find_if(std::begin(kTypes), std::end(kTypes),
                              [&](const auto& type) { return type.first == value[i]; });
    bool last = i + 1 == value.size();
    if (found == std::end(kTypes) || (!last && value[i + 1] != ',')) return {};
    wanted.push_back(found->second);
    if (!last && i + 2 == value.size()) return {};
  }
  if (wanted.empty()) return {};
  return [wanted](const FindFile& file, FindWorld&) {
    mode_t type = file.attributes.st_mode & S_IFMT;
    return std::find(wanted.begin(), wanted.end(), type) != wanted.end();
  };
}

// Sizes are rounded up to whole units: -size -1M means empty.
FindTest size_test(std::string value) {
  static const std::map<char, uint64_t> units = {{'c', 1},        {'w', 2},        {'b', 512},
                                                 {'k', 1u << 10}, {'M', 1u << 20}, {'G', 1u << 30}};
  uint64_t unit = 512;
  if (!value.empty()) {
    if (auto found = units.find(value.back()); found != units.end()) {
      unit = found->second;
      value.pop_back();
    }
  }
  return number_test(value, [unit](const struct stat& st) {
    auto size = static_cast<uint64_t>(st.st_size);
    return size / unit + (size % unit != 0 ? 1 : 0);
  });
}

// Exactly: 644; all of: -644; any of: /644. Octal or symbolic.
FindTest permission_test(std::string value) {
  char how = '=';
  if (!value.empty() && (value[0] == '-' || value[0] == '/')) {
    how = value[0];
    value.erase(0, 1);
  }
  mode_t wanted = 0;
  if (!parse_mode(value, 0, &wanted)) return {};
  return [how, wanted](const FindFile& file, FindWorld&) {
    mode_t mode = file.attributes.st_mode & 07777;
    if (how == '-') return (mode & wanted) == wanted;
    if (how == '/') return wanted == 0 || (mode & wanted) != 0;
    return mode == wanted;
  };
}

enum class Stamp { kAccess, kModify, kChange };

const timespec& stamp_of(const struct stat& st, Stamp stamp) {
  return stamp == Stamp::kAccess ? st.st_atim : stamp == Stamp::kModify ? st.st_mtim : st.st_ctim;
}

// Whole days of age, the fraction left out; of minutes a begun one counts.
FindTest age_test(const std::string& value, Stamp stamp, int64_t unit_s, timespec now) {
  auto wanted = comparison(value);
  if (!wanted) return {};
  return [=, wanted = *wanted](const FindFile& file, FindWorld&) {
    const timespec& then = stamp_of(file.attributes, stamp);
    __int128 age_ns =
        static_cast<__int128>(now.tv_sec - then.tv_sec) * kSecond_ns + (now.tv_nsec - then.tv_nsec);
    __int128 unit_ns = static_cast<__int128>(unit_s) * kSecond_ns;
    bool days = unit_s > 60;
    auto floor = static_cast<int64_t>(age_ns / unit_ns - (age_ns % unit_ns < 0 ? 1 : 0));
    bool fraction = age_ns % unit_ns != 0;
    int64_t units = floor;
    // Of minutes "+1" is anything above 60 s and "-1" anything below.
    if (!days && wanted.sign != '-' && fraction) ++units;
    return wanted.holds(units);
  };
}

FindTest newer_than(timespec limit, Stamp stamp) {
  return [=](const FindFile& file, FindWorld&) {
    const timespec& then = stamp_of(file.attributes, stamp);
    return std::pair(then.tv_sec, then.tv_nsec) > std::pair(limit.tv_sec, limit.tv_nsec);
  };
}

FindTest newer_test(const std::string& path, Stamp stamp, const FindContext& context) {
  struct stat st;
  if (!context.stat(path, &st)) return {};
  return newer_than(st.st_mtim, stamp);
}

FindTest newer_time_test(const std::string& text, const FindContext& context) {
  timespec limit;
  return parse_time(text, context.now, &limit) ? newer_than(limit, Stamp::kModify) : FindTest();
}

FindTest user_test(const std::string& value) {
  uid_t uid = 0;
  if (!parse_user(value, &uid)) return {};
  return [uid](const FindFile& file, FindWorld&) { return file.attributes.st_uid == uid; };
}

FindTest group_test(const std::string& value) {
  gid_t gid = 0;
  if (!parse_group(value, &gid)) return {};
  return [gid](const FindFile& file, FindWorld&) { return file.attributes.st_gid == gid; };
}

using Maker = std::function<FindTest(const std::string&, const FindContext&)>;

Maker age(Stamp stamp, int64_t unit_s) {
  return [=](const std::string& value, const FindContext& context) {
    return age_test(value, stamp, unit_s, context.now);
  };
}

Maker name(bool whole_path, int flags) {
  return [=](const std::string& value, const FindContext&) {
    return name_test(value, whole_path, flags);
  };
}

template <typename Get>
Maker number(Get get) {
  return [=](const std::string& value, const FindContext&) { return number_test(value, get); };
}

Maker plain(FindTest (*make)(std::string)) {
  return [make](const std::string& value, const FindContext&) { return make(value); };
}

Maker newer(Stamp stamp) {
  return [=](const std::string& value, const FindContext& context) {
    return newer_test(value, stamp, context);
  };
}

const std::map<std::string_view, Maker>& makers() {
  constexpr int64_t kDay = 86'400, kMinute = 60;
  static const std::map<std::string_view, Maker> table = {
      {"-name", name(false, 0)},
      {"-iname", name(false, FNM_CASEFOLD)},
      {"-path", name(true, 0)},
      {"-wholename", name(true, 0)},
      {"-ipath", name(true, FNM_CASEFOLD)},
      {"-lname", [](const auto& value, const auto&) { return link_name_test(value, 0); }},
      {"-ilname",
       [](const auto& value, const auto&) { return link_name_test(value, FNM_CASEFOLD); }},
      {"-type", [](const auto& value, const auto&) { return type_test(value); }},
      {"-size", plain(size_test)},
      {"-perm", plain(permission_test)},
      {"-mtime", age(Stamp::kModify, kDay)},
      {"-atime", age(Stamp::kAccess, kDay)},
      {"-ctime", age(Stamp::kChange, kDay)},
      {"-mmin", age(Stamp::kModify, kMinute)},
      {"-amin", age(Stamp::kAccess, kMinute)},
      {"-cmin", age(Stamp::kChange, kMinute)},
      {"-newer", newer(Stamp::kModify)},
      {"-anewer", newer(Stamp::kAccess)},
      {"-cnewer", newer(Stamp::kChange)},
      {"-newermt", newer_time_test},
      {"-user", [](const auto& value, const auto&) { return user_test(value); }},
      {"-group", [](const auto& value, const auto&) { return group_test(value); }},
      {"-uid", number([](const struct stat& st) { return st.st_uid; })},
      {"-gid", number([](const struct stat& st) { return st.st_gid; })},
      {"-links", number([](const struct stat& st) { return st.st_nlink; })},
      {"-inum", number([](const struct stat& st) { return st.st_ino; })}};
  return table;
}

bool unknown_user(uid_t uid) { return user_text(uid) == std::to_string(uid); }
bool unknown_group(gid_t gid) { return group_text(gid) == std::to_string(gid); }

bool is_empty(const FindFile& file, FindWorld& world) {
  if (S_ISREG(file.attributes.st_mode)) return file.attributes.st_size == 0;
  return S_ISDIR(file.attributes.st_mode) && world.is_empty_directory(file);
}

}  // namespace

std::optional<FindAction> find_action(std::string_view name) {
  if (name == "-print" || name == "-print0") {
    char end = name == "-print" ? '\n' : '\0';
    return FindAction{true, [end](const FindFile& file, FindWorld& world) {
                        world.print(file, end);
                        return true;
                      }};
  }
  if (name == "-ls") {
    return FindAction{true, [](const FindFile& file, FindWorld& world) {
                        world.print_long(file);
                        return true;
                      }};
  }
  if (name == "-delete") {
    return FindAction{true,
                      [](const FindFile& file, FindWorld& world) { return world.remove(file); }};
  }
  if (name == "-prune" || name == "-quit") {
    bool quits = name == "-quit";
    return FindAction{false, [quits](const FindFile&, FindWorld& world) {
                        quits ? world.quit() : world.prune();
                        return true;
                      }};
  }
  return std::nullopt;
}

FindTest find_plain_test(std::string_view name) {
  if (name == "-empty") return is_empty;
  if (name == "-true" || name == "-false") {
    bool value = name == "-true";
    return [value](const FindFile&, FindWorld&) { return value; };
  }
  if (name == "-nouser") {
    return [](const FindFile& file, FindWorld&) { return unknown_user(file.attributes.st_uid); };
  }
  if (name == "-nogroup") {
    return [](const FindFile& file, FindWorld&) { return unknown_group(file.attributes.st_gid); };
  }
  return {};
}

bool find_takes_value(std::string_view name) { return makers().find(name) != makers().end(); }

FindTest find_value_test(const std::string& name, const std::string& value,
                         const FindContext& context) {
  return makers().at(name)(value, context);
}

bool find_number(std::string_view text, uint64_t* number) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *number);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

}  // namespace shell
