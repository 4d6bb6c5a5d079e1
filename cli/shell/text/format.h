// Format: how the shell shows attributes and reads numbers.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>

namespace shell {

std::string mode_text(mode_t mode);        // "drwxr-xr-x"
std::string time_text(const timespec& t);  // "2026-11-21 04:05:06.123456789 +0000"
std::string user_text(uid_t uid);          // name or number
std::string group_text(gid_t gid);
const char* kind_text(mode_t mode);  // "regular file"
// One line of `ls -l` without the name. human: sizes such as 1.5M; numeric: owner and group as
// numbers.
std::string long_line(const struct stat& st, bool human = false, bool numeric = false);

// As `ls -h` and `du -h` say it, rounded up: "0", "1023", "1.0K", "9.9K", "10K", "1.5M".
std::string human_size(uint64_t bytes);

// "644" or "u+x,go-w,o=u" applied to `old`; what names nobody ("+w") spares the bits of `mask`.
// False: not a mode.
bool parse_mode(const std::string& text, mode_t old, mode_t* mode, mode_t mask = 0);
// "10", "4K", "1M", "2G". False: not a size, or above 2^63 - 1.
bool parse_size(const std::string& text, uint64_t* size);
// A name or a number of the local user database.
bool parse_user(const std::string& text, uid_t* uid);
bool parse_group(const std::string& text, gid_t* gid);

}  // namespace shell
