#include "sdk/api/mount_url.h"

#include <gtest/gtest.h>

#include "sdk/base/error_detail.h"

namespace myfs::api {
namespace {

TEST(MountUrl, TcpWithDefaults) {
  auto url = parse_mount_url("myfs://server");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ(MountUrl::Kind::kTcp, url->kind);
  EXPECT_EQ(std::vector<std::string>{"server:7460"}, url->servers);
  EXPECT_EQ("/", url->export_path);
  EXPECT_TRUE(url->options.empty());
}

TEST(MountUrl, SeveralServersPortsSubdirectoryAndOptions) {
  auto url = parse_mount_url("myfs://a:1,[fe80::1]:65535,10.0.0.1/sub/a%20b?ro&rsize=4K");
  ASSERT_TRUE(url.ok());
  EXPECT_EQ((std::vector<std::string>{"a:1", "[fe80::1]:65535", "10.0.0.1:7460"}), url->servers);
  EXPECT_EQ("/sub/a b", url->export_path);
  EXPECT_EQ((OptionList{{"ro", ""}, {"rsize", "4K"}}), url->options);
}

TEST(MountUrl, UnixAndEmbeddedTakeAbsolutePaths) {
  auto socket = parse_mount_url("myfs+unix:/run/a%3fb.sock");
  ASSERT_TRUE(socket.ok());
  EXPECT_EQ(MountUrl::Kind::kUnix, socket->kind);
  EXPECT_EQ("/run/a?b.sock", socket->path);
  auto embedded = parse_mount_url("embedded:/data?soft");
  ASSERT_TRUE(embedded.ok());
  EXPECT_EQ(MountUrl::Kind::kEmbedded, embedded->kind);
  EXPECT_EQ("/data", embedded->path);
}

class BadUrl : public testing::TestWithParam<const char*> {};

TEST_P(BadUrl, IsRefusedWithItsText) {
  clear_error_detail();
  auto url = parse_mount_url(GetParam());
  ASSERT_FALSE(url.ok());
  EXPECT_EQ(Errno(EINVAL), url.error());
  EXPECT_NE("", thread_error_detail().message);
}

INSTANTIATE_TEST_SUITE_P(Each, BadUrl,
                         testing::Values("", "server", "http://server/", "myfs://", "myfs:///x",
                                         "myfs://a:0/", "myfs://a:65536/", "myfs://a:/",
                                         "myfs://a,,b/", "myfs://fe80::1/", "myfs://a/%2",
                                         "myfs://a/%zz", "myfs://a/%00",
                                         "myfs+unix:", "myfs+unix:relative",
                                         "embedded:", "embedded:x", "myfs://a/?=1"));

}  // namespace
}  // namespace myfs::api
