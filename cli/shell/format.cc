#include "cli/shell/format.h"

#include <grp.h>
#include <pwd.h>
#include <sys/sysmacros.h>
#include <time.h>

#include <charconv>
#include <cstdio>
#include <string_view>
#include <vector>

namespace shell {
namespace {

template <typename T>
bool whole_number(std::string_view text, int base, T* out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out, base);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

std::vector<char> database_buffer() { return std::vector<char>(16384); }

// One clause of a symbolic mode: [ugoa]*([+-=][rwxXst]*)+.
bool apply_clause(std::string_view clause, mode_t* mode) {
  mode_t who = 0;
  size_t at = 0;
  for (; at < clause.size() && std::string_view("ugoa").find(clause[at]) != std::string_view::npos;
       ++at) {
    switch (clause[at]) {
      case 'u':
        who |= 04700;
        break;
      case 'g':
        who |= 02070;
        break;
      case 'o':
        who |= 01007;
        break;
      default:
        who |= 07777;
        break;
    }
  }
  if (who == 0) who = 07777;
  if (at == clause.size()) return false;
  while (at < clause.size()) {
    char operation = clause[at++];
    if (operation != '+' && operation != '-' && operation != '=') return false;
    mode_t bits = 0;
    for (; at < clause.size() && std::string_view("+-=").find(clause[at]) == std::string_view::npos;
         ++at) {
      switch (clause[at]) {
        case 'r':
          bits |= 0444;
          break;
        case 'w':
          bits |= 0222;
          break;
        case 'x':
          bits |= 0111;
          break;
        case 'X':
          bits |= S_ISDIR(*mode) || (*mode & 0111) != 0 ? 0111 : 0;
          break;
        case 's':
          bits |= 06000;
          break;
        case 't':
          bits |= 01000;
          break;
        default:
          return false;
      }
    }
    bits &= who;
    if (operation == '+') *mode |= bits;
    if (operation == '-') *mode &= ~bits;
    if (operation == '=') *mode = (*mode & ~(who & 07777)) | bits;
  }
  return true;
}

}  // namespace

const char* kind_text(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "regular file";
    case S_IFDIR:
      return "directory";
    case S_IFLNK:
      return "symbolic link";
    case S_IFIFO:
      return "fifo";
    case S_IFSOCK:
      return "socket";
    case S_IFCHR:
      return "character device";
    case S_IFBLK:
      return "block device";
    default:
      return "unknown";
  }
}

std::string mode_text(mode_t mode) {
  static constexpr struct {
    mode_t type;
    char letter;
  } kTypes[] = {{S_IFREG, '-'},  {S_IFDIR, 'd'}, {S_IFLNK, 'l'}, {S_IFIFO, 'p'},
                {S_IFSOCK, 's'}, {S_IFCHR, 'c'}, {S_IFBLK, 'b'}};
  std::string text = "?rwxrwxrwx";
  for (const auto& type : kTypes) {
    if ((mode & S_IFMT) == type.type) text[0] = type.letter;
  }
  for (int i = 0; i < 9; ++i) {
    if ((mode & (0400u >> i)) == 0) text[static_cast<size_t>(i) + 1] = '-';
  }
  if ((mode & S_ISUID) != 0) text[3] = (mode & 0100) != 0 ? 's' : 'S';
  if ((mode & S_ISGID) != 0) text[6] = (mode & 0010) != 0 ? 's' : 'S';
  if ((mode & S_ISVTX) != 0) text[9] = (mode & 0001) != 0 ? 't' : 'T';
  return text;
}

std::string time_text(const timespec& t) {
  tm local;
  char date[32], zone[8], result[64];
  if (::localtime_r(&t.tv_sec, &local) == nullptr) return std::to_string(t.tv_sec);
  strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &local);
  strftime(zone, sizeof zone, "%z", &local);
  std::snprintf(result, sizeof result, "%s.%09ld %s", date, t.tv_nsec, zone);
  return result;
}

std::string user_text(uid_t uid) {
  passwd entry, *found = nullptr;
  auto buffer = database_buffer();
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->pw_name : std::to_string(uid);
}

std::string group_text(gid_t gid) {
  group entry, *found = nullptr;
  auto buffer = database_buffer();
  ::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found);
  return found != nullptr ? found->gr_name : std::to_string(gid);
}

std::string long_line(const struct stat& st) {
  char size[32], line[256];
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
    std::snprintf(size, sizeof size, "%u, %u", major(st.st_rdev), minor(st.st_rdev));
  } else {
    std::snprintf(size, sizeof size, "%lld", static_cast<long long>(st.st_size));
  }
  std::snprintf(line, sizeof line, "%s %3llu %-8s %-8s %10s %.16s", mode_text(st.st_mode).c_str(),
                static_cast<unsigned long long>(st.st_nlink), user_text(st.st_uid).c_str(),
                group_text(st.st_gid).c_str(), size, time_text(st.st_mtim).c_str());
  return line;
}

bool parse_mode(const std::string& text, mode_t old, mode_t* mode) {
  unsigned value = 0;
  if (whole_number(text, 8, &value)) {
    *mode = value;
    return value <= 07777;
  }
  *mode = old;
  std::string_view rest = text;
  while (true) {
    size_t comma = rest.find(',');
    if (!apply_clause(rest.substr(0, comma), mode)) return false;
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  *mode &= 07777;
  return true;
}

bool parse_size(const std::string& text, uint64_t* size) {
  static constexpr std::string_view kUnits = "KMGT";
  std::string_view digits = text;
  unsigned shift = 0;
  if (!digits.empty()) {
    size_t unit = kUnits.find(digits.back());
    if (unit != std::string_view::npos) {
      shift = 10 * (static_cast<unsigned>(unit) + 1);
      digits.remove_suffix(1);
    }
  }
  if (!whole_number(digits, 10, size) || *size > (uint64_t{INT64_MAX} >> shift)) return false;
  *size <<= shift;
  return true;
}

bool parse_user(const std::string& text, uid_t* uid) {
  if (whole_number(text, 10, uid)) return true;
  passwd entry, *found = nullptr;
  auto buffer = database_buffer();
  ::getpwnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return false;
  *uid = found->pw_uid;
  return true;
}

bool parse_group(const std::string& text, gid_t* gid) {
  if (whole_number(text, 10, gid)) return true;
  group entry, *found = nullptr;
  auto buffer = database_buffer();
  ::getgrnam_r(text.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) return false;
  *gid = found->gr_gid;
  return true;
}

}  // namespace shell
