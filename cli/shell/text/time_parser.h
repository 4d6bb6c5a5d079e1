// TimeParser: points in time as people write them.
#pragma once

#include <time.h>

#include <string_view>

namespace shell {

// "now", "@1700000000.5" (seconds since 1970), "2026-11-21", "2026-11-21 04:05",
// "2026-11-21T04:05:06.789"; the last two followed by Z, UTC or an offset such as +02:00, -0530,
// else local time. False: none of these, or no such day or time.
bool parse_time(std::string_view text, const timespec& now, timespec* time);

}  // namespace shell
