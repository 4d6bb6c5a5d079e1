#include "cli/shell/text/format.h"

#include <grp.h>
#include <pwd.h>
#include <sys/sysmacros.h>
#include <time.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <map>
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

// Takes the letters of "ugoa" from the front; the bits that they stand for.
mode_t take_who(std::string_view* clause) {
  mode_t who = 0;
  size_t at = 0;
  for (; at < clause->size(); ++at) {
    char c = (*clause)[at];
    if (c != 'u' && c != 'g' && c != 'o' && c != 'a') break;
    who |= c == 'u' ? 04700 : c == 'g' ? 02070 : c == 'o' ? 01007 : 07777;
  }
  clause->remove_prefix(at);
  return who;
}

// The bits of one letter behind + - or =; false: none such.
bool letter_bits(char letter, mode_t mode, mode_t* bits) {
  mode_t three = 0;
  switch (letter) {
    case 'r':
      *bits |= 0444;
      return true;
    case 'w':
      *bits |= 0222;
      return true;
    case 'x':
      *bits |= 0111;
      return true;
    case 'X':
      *bits |= S_ISDIR(mode) || (mode & 0111) != 0 ? 0111 : 0;
      return true;
    case 's':
      *bits |= 06000;
      return true;
    case 't':
      *bits |= 01000;
      return true;
    case 'u':
      three = mode >> 6 & 7;
      break;
    case 'g':
      three = mode >> 3 & 7;
      break;
    case 'o':
      three = mode & 7;
      break;
    default:
      return false;
  }
  *bits |= three * 0111;
  return true;
}

// One clause of a symbolic mode: [ugoa]*([+-=][rwxXstugo]*)+.
bool apply_clause(std::string_view clause, mode_t* mode, mode_t mask) {
  mode_t who = take_who(&clause);
  mode_t spared = who == 0 ? mask & 0777 : 0;
  if (who == 0) who = 07777;
  if (clause.empty()) return false;
  while (!clause.empty()) {
    char operation = clause[0];
    if (operation != '+' && operation != '-' && operation != '=') return false;
    size_t end = std::min(clause.find_first_of("+-=", 1), clause.size());
    mode_t bits = 0;
    for (char letter : clause.substr(1, end - 1)) {
      if (!letter_bits(letter, *mode, &bits)) return false;
    }
    bits &= who & ~spared;
    if (operation == '+') *mode |= bits;
    if (operation == '-') *mode &= ~bits;
    if (operation == '=') *mode = (*mode & ~(who & 07777)) | bits;
    clause.remove_prefix(end);
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
  // A long listing asks for the same few over and over.
  thread_local std::map<uid_t, std::string> known;
  auto [at, is_new] = known.try_emplace(uid);
  if (!is_new) return at->second;
  passwd entry, *found = nullptr;
  auto buffer = database_buffer();
  ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found);
  return at->second = found != nullptr ? found->pw_name : std::to_string(uid);
}

std::string group_text(gid_t gid) {
  thread_local std::map<gid_t, std::string> known;
  auto [at, is_new] = known.try_emplace(gid);
  if (!is_new) return at->second;
  group entry, *found = nullptr;
  auto buffer = database_buffer();
  ::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found);
  return at->second = found != nullptr ? found->gr_name : std::to_string(gid);
}

std::string long_line(const struct stat& st, bool human, bool numeric) {
  std::string size = std::to_string(st.st_size);
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
    size = std::to_string(major(st.st_rdev)) + ", " + std::to_string(minor(st.st_rdev));
  } else if (human) {
    size = human_size(static_cast<uint64_t>(st.st_size));
  }
  std::string user = numeric ? std::to_string(st.st_uid) : user_text(st.st_uid);
  std::string group = numeric ? std::to_string(st.st_gid) : group_text(st.st_gid);
  char line[256];
  std::snprintf(line, sizeof line, "%s %3llu %-8s %-8s %10s %.16s", mode_text(st.st_mode).c_str(),
                static_cast<unsigned long long>(st.st_nlink), user.c_str(), group.c_str(),
                size.c_str(), time_text(st.st_mtim).c_str());
  return line;
}

std::string human_size(uint64_t bytes) {
  static constexpr char kUnits[] = "KMGTPE";
  if (bytes < 1024) return std::to_string(bytes);
  int unit = 0;
  while (unit < 5 && bytes >> (10 * (unit + 2)) != 0) ++unit;
  auto one = uint64_t{1} << (10 * (unit + 1));
  // Tenths, rounded up; from ten units on whole ones.
  uint64_t whole = bytes / one, rest = bytes % one;
  uint64_t tenths = whole * 10 + static_cast<uint64_t>(
                                     (static_cast<unsigned __int128>(rest) * 10 + one - 1) / one);
  char text[32];
  if (tenths < 100) {
    std::snprintf(text, sizeof text, "%llu.%llu%c", static_cast<unsigned long long>(tenths / 10),
                  static_cast<unsigned long long>(tenths % 10), kUnits[unit]);
    return text;
  }
  whole += rest != 0 ? 1 : 0;
  if (whole == 1024 && unit < 5) return std::string("1.0") + kUnits[unit + 1];
  return std::to_string(whole) + kUnits[unit];
}

bool parse_mode(const std::string& text, mode_t old, mode_t* mode, mode_t mask) {
  unsigned value = 0;
  if (whole_number(text, 8, &value)) {
    *mode = value;
    return value <= 07777;
  }
  *mode = old;
  std::string_view rest = text;
  while (true) {
    size_t comma = rest.find(',');
    if (!apply_clause(rest.substr(0, comma), mode, mask)) return false;
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
