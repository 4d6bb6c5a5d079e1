// TwoClients: a server process and two mounts of it, over each transport; what one does, the other
// must see at once. At the end the store is sound.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/myfsd/client.h"
#include "tests/support/myfsd/peer.h"
#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {

enum class Transport { kUnix, kTcp };

class TwoClients : public testing::TestWithParam<Transport> {
 protected:
  explicit TwoClients(const std::vector<std::string>& more_args = {})
      : server_(dir_ / "data", with_tcp(more_args)) {}

  void SetUp() override {
    ASSERT_TRUE(server_.start()) << server_.output();
    ASSERT_NE("", server_.tcp_address()) << server_.ready_addresses();
    a_ = std::make_unique<Client>(url());
    b_ = std::make_unique<Client>(url());
    ASSERT_EQ(0, myfs_chmod(*a_, "/", 0777));
  }
  void TearDown() override {
    b_.reset();
    a_.reset();
    if (!server_.running()) return;
    EXPECT_EQ(0, server_.terminate()) << server_.output();
    ProgramResult fsck = server_.fsck();
    EXPECT_EQ(0, fsck.status) << fsck.out << fsck.err;
  }

  Client& a() { return *a_; }
  Client& b() { return *b_; }
  std::string url() const {
    return GetParam() == Transport::kTcp ? server_.tcp_url() : server_.url();
  }

  TempDir dir_;
  MyfsdProcess server_;
  std::unique_ptr<Client> a_, b_;

 private:
  static std::vector<std::string> with_tcp(std::vector<std::string> args) {
    args.insert(args.end(), kTcp.begin(), kTcp.end());
    return args;
  }
};

inline std::string transport_name(const testing::TestParamInfo<Transport>& info) {
  return info.param == Transport::kTcp ? "Tcp" : "Unix";
}

// Each test of such a suite runs over both.
#define MYFS_ON_BOTH_TRANSPORTS(suite)                                                      \
  INSTANTIATE_TEST_SUITE_P(Over, suite, testing::Values(Transport::kUnix, Transport::kTcp), \
                           transport_name)

// Text that differs in every place, so that a misplaced byte shows.
inline std::string pattern(size_t size, uint64_t seed) {
  std::string text(size, '\0');
  uint64_t x = seed * 0x9e3779b97f4a7c15 + 1;
  for (char& c : text) {
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    c = static_cast<char>('a' + x % 26);
  }
  return text;
}

}  // namespace myfs::test
