#include "cli/shell/text/format.h"

#include <gtest/gtest.h>
#include <sys/sysmacros.h>

#include <cstdlib>

namespace shell {
namespace {

TEST(Format, Modes) {
  EXPECT_EQ("-rwxr-x--x", mode_text(S_IFREG | 0751));
  EXPECT_EQ("drwxrwxrwt", mode_text(S_IFDIR | 01777));
  EXPECT_EQ("drwxrwx--T", mode_text(S_IFDIR | 01770));
  EXPECT_EQ("-rwsr-sr-x", mode_text(S_IFREG | 06755));
  EXPECT_EQ("-rwSr-Sr--", mode_text(S_IFREG | 06644));
  EXPECT_EQ("l---------", mode_text(S_IFLNK));
  EXPECT_EQ("prw-------", mode_text(S_IFIFO | 0600));
  EXPECT_EQ("srw-------", mode_text(S_IFSOCK | 0600));
  EXPECT_EQ("crw-------", mode_text(S_IFCHR | 0600));
  EXPECT_EQ("brw-------", mode_text(S_IFBLK | 0600));
}

TEST(Format, Kinds) {
  EXPECT_STREQ("regular file", kind_text(S_IFREG));
  EXPECT_STREQ("directory", kind_text(S_IFDIR));
  EXPECT_STREQ("symbolic link", kind_text(S_IFLNK));
  EXPECT_STREQ("fifo", kind_text(S_IFIFO));
}

TEST(Format, TimesToTheNanosecond) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  EXPECT_EQ("1970-01-01 00:00:01.000000002 +0000", time_text({1, 2}));
  EXPECT_EQ("2033-05-18 03:33:20.999999999 +0000", time_text({2'000'000'000, 999'999'999}));
}

TEST(Format, LongLines) {
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  struct stat st {};
  st.st_mode = S_IFREG | 0644;
  st.st_nlink = 12;
  st.st_uid = st.st_gid = 4'000'000'000;
  st.st_size = 123'456;
  EXPECT_EQ("-rw-r--r--  12 4000000000 4000000000     123456 1970-01-01 00:00", long_line(st));
  st.st_mode = S_IFBLK | 0600;
  st.st_rdev = makedev(8, 17);
  EXPECT_NE(std::string::npos, long_line(st).find(" 8, 17 ")) << long_line(st);
}

TEST(Format, NamesOfUsers) {
  EXPECT_EQ("root", user_text(0));
  EXPECT_EQ("root", group_text(0));
  EXPECT_EQ("4000000000", user_text(4'000'000'000));
  uid_t uid = 1;
  EXPECT_TRUE(parse_user("root", &uid));
  EXPECT_EQ(0u, uid);
  EXPECT_TRUE(parse_user("4242", &uid));
  EXPECT_EQ(4242u, uid);
  EXPECT_FALSE(parse_user("no-such-user-here", &uid));
  EXPECT_FALSE(parse_user("", &uid));
  gid_t gid = 1;
  EXPECT_TRUE(parse_group("root", &gid));
  EXPECT_EQ(0u, gid);
  EXPECT_FALSE(parse_group("-1", &gid));
}

mode_t parsed(const char* text, mode_t old) {
  mode_t mode = 0;
  EXPECT_TRUE(parse_mode(text, old, &mode)) << text;
  return mode;
}

TEST(Format, ParsesModes) {
  EXPECT_EQ(0644u, parsed("644", 0));
  EXPECT_EQ(07777u, parsed("7777", 0));
  EXPECT_EQ(0u, parsed("0", 0777));
  EXPECT_EQ(0744u, parsed("u+x", 0644));
  EXPECT_EQ(0755u, parsed("+x", 0644));
  EXPECT_EQ(0600u, parsed("go-rwx", 0677));
  EXPECT_EQ(0640u, parsed("u=rw,g=r,o=", 0777));
  EXPECT_EQ(0755u, parsed("a+X", 0744));
  EXPECT_EQ(0644u, parsed("a+X", 0644));
  EXPECT_EQ(0755u, parsed("a+X", S_IFDIR | 0644));
  EXPECT_EQ(04755u, parsed("u+s", 0755));
  EXPECT_EQ(02755u, parsed("g+s", 0755));
  EXPECT_EQ(01777u, parsed("+t", 0777));
  EXPECT_EQ(0451u, parsed("u-w,u=r,g+x,g=rx-w,o=x", 0777));
  mode_t mode = 0;
  for (const char* bad : {"", "8", "77777", "u", "u+q", "x+r", "u+x,", ",", "-1", "0x1ff"}) {
    EXPECT_FALSE(parse_mode(bad, 0644, &mode)) << bad;
  }
}

TEST(Format, ParsesSizes) {
  uint64_t size = 0;
  const std::pair<const char*, uint64_t> good[] = {{"0", 0},
                                                   {"10", 10},
                                                   {"4K", 4096},
                                                   {"1M", 1 << 20},
                                                   {"2G", uint64_t{2} << 30},
                                                   {"1T", uint64_t{1} << 40},
                                                   {"9223372036854775807", INT64_MAX}};
  for (const auto& [text, value] : good) {
    EXPECT_TRUE(parse_size(text, &size)) << text;
    EXPECT_EQ(value, size) << text;
  }
  for (const char* bad :
       {"", "K", "-1", "1k", "1.5M", "9223372036854775808", "8589934592G", "1 "}) {
    EXPECT_FALSE(parse_size(bad, &size)) << bad;
  }
}

}  // namespace
}  // namespace shell
