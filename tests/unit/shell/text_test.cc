// JSON, columns, times, values of extended attributes, human sizes.

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <random>

#include "cli/shell/text/attributes.h"
#include "cli/shell/text/columns.h"
#include "cli/shell/text/format.h"
#include "cli/shell/text/json.h"
#include "cli/shell/text/time_parser.h"
#include "cli/shell/text/xattr_text.h"

namespace shell {
namespace {

using namespace std::string_literals;

TEST(Json, IsReadByOthers) {
  JsonObject object;
  object.add("name", "a\"b\\c\n\x01\x7f\xc3\xa9/").add("size", UINT64_MAX).add("yes", true);
  auto json = nlohmann::json::parse(object.text());
  EXPECT_EQ("a\"b\\c\n\x01\x7f\xc3\xa9/", json["name"]);
  EXPECT_EQ(UINT64_MAX, json["size"].get<uint64_t>());
  EXPECT_EQ(true, json["yes"]);
}

TEST(Json, BytesThatAreNoTextGoInBase64) {
  JsonObject object;
  object.add("name", "a\xff");
  EXPECT_EQ("{\"name_base64\":\"Yf8=\"}", object.text());
  EXPECT_EQ("", base64(""));
  EXPECT_EQ("Zg==", base64("f"));
  EXPECT_EQ("Zm8=", base64("fo"));
  EXPECT_EQ("Zm9v", base64("foo"));
  for (const char* bad : {"\x80", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                          "\xc3", "\xf8\x88\x80\x80\x80"}) {
    EXPECT_FALSE(is_utf8(bad));
  }
  EXPECT_TRUE(is_utf8("\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"));
}

TEST(Json, AttributesOfADevice) {
  struct stat st {};
  st.st_mode = S_IFCHR | 0600;
  st.st_rdev = 0x103;
  st.st_mtim = {1, 5};
  JsonObject object;
  add_attributes(st, &object);
  auto json = nlohmann::json::parse(object.text());
  EXPECT_EQ("character device", json["type"]);
  EXPECT_EQ("0600", json["mode"]);
  EXPECT_EQ(1, json["major"]);
  EXPECT_EQ(3, json["minor"]);
  EXPECT_EQ("1970-01-01T00:00:01.000000005Z", json["mtime"]);
}

TEST(Columns, FillDownward) {
  EXPECT_EQ("", in_columns({}, 80));
  EXPECT_EQ("a  b  c\n", in_columns({"a", "b", "c"}, 80));
  EXPECT_EQ("a   c\nbb\n", in_columns({"a", "bb", "c"}, 6));
  EXPECT_EQ("\xc3\xa9  b\n", in_columns({"\xc3\xa9", "b"}, 4)) << "two bytes, one column";
  EXPECT_EQ("long name\nb\n", in_columns({"long name", "b"}, 3));
}

timespec time_of(const char* text) {
  timespec time{-1, -1};
  EXPECT_TRUE(parse_time(text, {77, 8}, &time)) << text;
  return time;
}

TEST(Times, AsPeopleWriteThem) {
  ::setenv("TZ", "Europe/Berlin", 1);
  ::tzset();
  EXPECT_EQ(77, time_of("now").tv_sec);
  EXPECT_EQ(1, time_of("@1.5").tv_sec);
  EXPECT_EQ(500'000'000, time_of("@1.5").tv_nsec);
  EXPECT_EQ(-2, time_of("@-1.25").tv_sec);
  EXPECT_EQ(750'000'000, time_of("@-1.25").tv_nsec);
  EXPECT_EQ(1'795'233'600, time_of("2026-11-21T04:00Z").tv_sec);
  EXPECT_EQ(1'795'233'600, time_of("2026-11-21 05:00:00 +0100").tv_sec);
  EXPECT_EQ(1'795'233'600, time_of("2026-11-21 02:30:00-01:30").tv_sec);
  EXPECT_EQ(123'456'789, time_of("2026-11-21 04:00:00.123456789").tv_nsec);
  EXPECT_EQ(time_of("2026-11-21 00:00").tv_sec, time_of("2026-11-21").tv_sec);
  ::setenv("TZ", "UTC", 1);
  ::tzset();
  EXPECT_EQ(1'795'233'600, time_of("2026-11-21 04:00").tv_sec);
  timespec time;
  for (const char* bad :
       {"", "@", "@x", "@1x", "2026", "2026-13-01", "2026-02-30", "2026-1-1", "2026-01-01 24:00",
        "2026-01-01 10", "2026-01-01 10:00:60", "2026-01-01 10:00 +1", "2026-01-01x", "tomorrow",
        "@1.", "@99999999999999999999"}) {
    EXPECT_FALSE(parse_time(bad, {0, 0}, &time)) << bad;
  }
}

TEST(Xattrs, ValuesAsGetfattrPrintsThem) {
  EXPECT_EQ("\"a\\\"b\\\\c\\012\"", encode_value("a\"b\\c\n", XattrEncoding::kText));
  EXPECT_EQ("0x00ff", encode_value("\0\xff"s, XattrEncoding::kHex));
  EXPECT_EQ("0sAP8=", encode_value("\0\xff"s, XattrEncoding::kAuto));
  EXPECT_EQ("\"plain text\"", encode_value("plain text", XattrEncoding::kAuto));
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    std::string value;
    for (size_t left = random() % 20; left > 0; --left) {
      value.push_back(static_cast<char>(random() % 256));
    }
    for (auto how : {XattrEncoding::kAuto, XattrEncoding::kText, XattrEncoding::kHex,
                     XattrEncoding::kBase64}) {
      ASSERT_EQ(value, decode_value(encode_value(value, how))) << i;
    }
  }
  EXPECT_EQ("as it is", decode_value("as it is"));
  EXPECT_EQ("h", decode_value("\"\\150\""));
  for (const char* bad : {"0x0", "0xzz", "0sA", "0s=AAA", "0sAA=A", "0s!!!!"}) {
    EXPECT_FALSE(decode_value(bad).has_value()) << bad;
  }
}

TEST(Sizes, ForPeople) {
  const std::pair<uint64_t, const char*> sizes[] = {{0, "0"},
                                                    {1023, "1023"},
                                                    {1024, "1.0K"},
                                                    {1025, "1.1K"},
                                                    {10'000, "9.8K"},
                                                    {10'240, "10K"},
                                                    {10'241, "11K"},
                                                    {1023 << 10, "1023K"},
                                                    {(1 << 20) - 1, "1.0M"},
                                                    {1 << 20, "1.0M"},
                                                    {uint64_t{3} << 40, "3.0T"},
                                                    {UINT64_MAX, "16E"}};
  for (const auto& [bytes, text] : sizes) EXPECT_EQ(text, human_size(bytes)) << bytes;
}

TEST(Modes, CopiesAndTheUmask) {
  mode_t mode = 0;
  ASSERT_TRUE(parse_mode("g=u,o=g-w", 0640, &mode));
  EXPECT_EQ(0664u, mode);
  ASSERT_TRUE(parse_mode("+w", 0444, &mode, 022));
  EXPECT_EQ(0644u, mode);
  ASSERT_TRUE(parse_mode("a+w", 0444, &mode, 022));
  EXPECT_EQ(0666u, mode);
}

}  // namespace
}  // namespace shell
