#include "examples/tree/entry.h"

#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>

namespace tree {
namespace {

std::string encode(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string result;
  for (unsigned char c : text) {
    if (c > 0x20 && c < 0x7f && c != '%') {
      result.push_back(static_cast<char>(c));
    } else {
      result.push_back('%');
      result.push_back(kHex[c >> 4]);
      result.push_back(kHex[c & 15]);
    }
  }
  return result.empty() ? "%" : result;
}

bool decode(std::string_view text, std::string* out) {
  out->clear();
  if (text == "%") return true;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out->push_back(text[i]);
      continue;
    }
    unsigned value = 0;
    if (i + 3 > text.size()) return false;
    auto [end, error] = std::from_chars(text.data() + i + 1, text.data() + i + 3, value, 16);
    if (error != std::errc() || end != text.data() + i + 3) return false;
    out->push_back(static_cast<char>(value));
    i += 2;
  }
  return true;
}

std::vector<std::string_view> split(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    size_t blank = line.find(' ');
    fields.push_back(line.substr(0, blank));
    if (blank == std::string_view::npos) return fields;
    line.remove_prefix(blank + 1);
  }
}

template <typename T>
bool number(std::string_view text, T* out) {
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return error == std::errc() && end == text.data() + text.size();
}

}  // namespace

Entry entry_of(const struct stat& st, std::string path) {
  Entry entry;
  entry.path = std::move(path);
  entry.mode = st.st_mode;
  entry.uid = st.st_uid;
  entry.gid = st.st_gid;
  entry.rdev = S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode) ? st.st_rdev : 0;
  entry.size = S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? static_cast<uint64_t>(st.st_size) : 0;
  entry.mtime_sec = st.st_mtim.tv_sec;
  entry.mtime_nsec = static_cast<uint32_t>(st.st_mtim.tv_nsec);
  return entry;
}

std::string to_line(const Entry& entry) {
  char numbers[192];
  std::snprintf(numbers, sizeof numbers, "%u %u %u %llu %llu %lld %u ", entry.mode, entry.uid,
                entry.gid, static_cast<unsigned long long>(entry.rdev),
                static_cast<unsigned long long>(entry.size),
                static_cast<long long>(entry.mtime_sec), entry.mtime_nsec);
  return numbers + encode(entry.path) + ' ' + encode(entry.target) + ' ' + encode(entry.sha256) +
         ' ' + encode(entry.same_as);
}

bool parse_line(std::string_view line, Entry* entry) {
  std::vector<std::string_view> f = split(line);
  return f.size() == 11 && number(f[0], &entry->mode) && number(f[1], &entry->uid) &&
         number(f[2], &entry->gid) && number(f[3], &entry->rdev) && number(f[4], &entry->size) &&
         number(f[5], &entry->mtime_sec) && number(f[6], &entry->mtime_nsec) &&
         decode(f[7], &entry->path) && decode(f[8], &entry->target) &&
         decode(f[9], &entry->sha256) && decode(f[10], &entry->same_as);
}

bool write_manifest(const std::string& file, const std::vector<Entry>& entries) {
  std::ofstream out(file, std::ios::binary | std::ios::trunc);
  for (const Entry& entry : entries) out << to_line(entry) << '\n';
  out.close();
  if (out) return true;
  std::fprintf(stderr, "myfs-tree: %s: %s\n", file.c_str(), std::strerror(errno));
  return false;
}

bool read_manifest(const std::string& file, std::vector<Entry>* entries) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "myfs-tree: %s: %s\n", file.c_str(), std::strerror(errno));
    return false;
  }
  std::string line;
  while (std::getline(in, line)) {
    Entry entry;
    if (!parse_line(line, &entry)) {
      std::fprintf(stderr, "myfs-tree: %s: line %zu is no entry\n", file.c_str(),
                   entries->size() + 1);
      return false;
    }
    entries->push_back(std::move(entry));
  }
  return true;
}

std::string printable(std::string_view path) { return encode(path); }

}  // namespace tree
