#include "sdk/api/mount_options.h"

#include <gtest/gtest.h>

#include "sdk/base/clock.h"
#include "sdk/base/error_detail.h"

namespace myfs::api {
namespace {

Result<MountOptions> parse(const std::string& text, const std::string& url = "") {
  auto more = parse_option_list(text, ',');
  auto query = parse_option_list(url, '&');
  if (!more.ok()) return more.error();
  if (!query.ok()) return query.error();
  return parse_mount_options(*more, *query);
}

TEST(MountOptions, Defaults) {
  auto options = parse("");
  ASSERT_TRUE(options.ok());
  EXPECT_EQ(uint32_t{1} << 20, options->rsize_bytes);
  EXPECT_FALSE(options->soft);
  EXPECT_EQ(30 * kNsPerSec, options->timeout_ns);
  EXPECT_EQ(10 * kNsPerSec, options->connect_timeout_ns);
  EXPECT_FALSE(options->cache_timeout_ns.has_value());
  EXPECT_EQ(2, options->connections);
  EXPECT_EQ(50 * kNsPerUs, options->spin_ns);
}

TEST(MountOptions, EveryOptionIsTaken) {
  auto o = parse(
      "rsize=4K,wsize=4M,soft,timeout=1h,connect_timeout=100ms,cache_timeout=0,connections=16,"
      "cache_size=16M,ro,uid=5,gid=6,sec=token,secret_file=/s,spin=200us,write_policy=sync");
  ASSERT_TRUE(o.ok()) << thread_error_detail().message;
  EXPECT_EQ(uint32_t{4} << 10, o->rsize_bytes);
  EXPECT_EQ(uint32_t{4} << 20, o->wsize_bytes);
  EXPECT_TRUE(o->soft);
  EXPECT_EQ(3600 * kNsPerSec, o->timeout_ns);
  EXPECT_EQ(100 * kNsPerMs, o->connect_timeout_ns);
  EXPECT_EQ(0, o->cache_timeout_ns);
  EXPECT_EQ(16, o->connections);
  EXPECT_EQ(uint64_t{16} << 20, o->cache_size_bytes);
  EXPECT_TRUE(o->read_only);
  EXPECT_EQ(5u, o->uid);
  EXPECT_EQ(6u, o->gid);
  EXPECT_TRUE(o->token);
  EXPECT_EQ("/s", o->secret_file);
  EXPECT_EQ(200 * kNsPerUs, o->spin_ns);
  EXPECT_TRUE(o->write_sync);
}

TEST(MountOptions, TheUrlWins) {
  auto o = parse("rsize=4K,soft,ro", "rsize=8K&hard");
  ASSERT_TRUE(o.ok()) << thread_error_detail().message;
  EXPECT_EQ(uint32_t{8} << 10, o->rsize_bytes);
  EXPECT_FALSE(o->soft);
  EXPECT_TRUE(o->read_only);
}

struct Bad {
  const char* text;
  const char* named;  // what the message must contain
};
class BadOption : public testing::TestWithParam<Bad> {};

TEST_P(BadOption, IsRefusedAndNamed) {
  clear_error_detail();
  auto o = parse(GetParam().text);
  ASSERT_FALSE(o.ok()) << GetParam().text;
  EXPECT_EQ(Errno(EINVAL), o.error());
  EXPECT_NE(std::string::npos, thread_error_detail().message.find(GetParam().named))
      << thread_error_detail().message;
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadOption,
    testing::Values(Bad{"rsize=3", "rsize=3: must be 4K..4M"}, Bad{"rsize=2K", "4K..4M"},
                    Bad{"rsize=8M", "4K..4M"}, Bad{"wsize=5K", "power of two"},
                    Bad{"connections=0", "1..16"}, Bad{"connections=17", "1..16"},
                    Bad{"timeout=99ms", "100ms..1h"}, Bad{"timeout=61m", "100ms..1h"},
                    Bad{"connect_timeout=x", "100ms..1h"}, Bad{"spin=201us", "0..200us"},
                    Bad{"cache_size=1M", "at least 16M"}, Bad{"port=0", "1..65535"},
                    Bad{"port=65536", "1..65535"}, Bad{"sec=none", "peer, token"},
                    Bad{"write_policy=lazy", "async, sync"}, Bad{"soft=1", "no value"},
                    Bad{"hard,soft", "contradicts"}, Bad{"ro,rw", "contradicts"},
                    Bad{"ro,ro", "twice"}, Bad{"colour=red", "unknown"}, Bad{"uid=-1", "uid=-1"},
                    Bad{"secret_file=", "a path"}));

TEST(Duration, Units) {
  int64_t ns = 0;
  EXPECT_TRUE(parse_duration_ns("30", &ns));
  EXPECT_EQ(30 * kNsPerSec, ns);
  EXPECT_TRUE(parse_duration_ns("2m", &ns));
  EXPECT_EQ(120 * kNsPerSec, ns);
  EXPECT_TRUE(parse_duration_ns("7us", &ns));
  EXPECT_EQ(7 * kNsPerUs, ns);
  for (const char* bad : {"", "s", "-1s", "1.5s", "1 s", "99999999999999h"}) {
    EXPECT_FALSE(parse_duration_ns(bad, &ns)) << bad;
  }
}

}  // namespace
}  // namespace myfs::api
