// Attributes: a struct stat as JSON members.
#pragma once

#include <sys/stat.h>

#include <string>

#include "cli/shell/text/json.h"

namespace shell {

// "2026-11-21T04:05:06.123456789Z".
std::string utc_text(const timespec& t);
// type, mode, ino, dev, nlink, uid, gid, user, group, size, blocks, blksize, atime, mtime, ctime;
// of devices also major and minor. The mode is octal text: "0644".
void add_attributes(const struct stat& st, JsonObject* object);

}  // namespace shell
