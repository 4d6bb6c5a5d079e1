#include "cli/shell/text/attributes.h"

#include <sys/sysmacros.h>
#include <time.h>

#include <cstdio>

#include "cli/shell/text/format.h"

namespace shell {

std::string utc_text(const timespec& t) {
  tm utc;
  char date[48], text[80];
  if (::gmtime_r(&t.tv_sec, &utc) == nullptr) return std::to_string(t.tv_sec);
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
  std::snprintf(text, sizeof text, "%s.%09ldZ", date, t.tv_nsec);
  return text;
}

void add_attributes(const struct stat& st, JsonObject* object) {
  char mode[16];
  std::snprintf(mode, sizeof mode, "%04o", st.st_mode & 07777);
  object->add("type", kind_text(st.st_mode))
      .add("mode", mode)
      .add("ino", uint64_t{st.st_ino})
      .add("dev", uint64_t{st.st_dev})
      .add("nlink", uint64_t{st.st_nlink})
      .add("uid", uint64_t{st.st_uid})
      .add("gid", uint64_t{st.st_gid})
      .add("user", user_text(st.st_uid))
      .add("group", group_text(st.st_gid))
      .add("size", static_cast<uint64_t>(st.st_size))
      .add("blocks", static_cast<uint64_t>(st.st_blocks))
      .add("blksize", static_cast<uint64_t>(st.st_blksize));
  if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
    object->add("major", uint64_t{major(st.st_rdev)}).add("minor", uint64_t{minor(st.st_rdev)});
  }
  object->add("atime", utc_text(st.st_atim))
      .add("mtime", utc_text(st.st_mtim))
      .add("ctime", utc_text(st.st_ctim));
}

}  // namespace shell
