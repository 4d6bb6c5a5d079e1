// TwoClients: a server process and two mounts of it; what one does, the other must see at once.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "tests/support/myfsd/client.h"
#include "tests/support/myfsd/process.h"
#include "tests/support/myfsd/temp_dir.h"

namespace myfs::test {

class TwoClients : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_TRUE(server_.start()) << server_.output();
    a_ = std::make_unique<Client>(server_.url());
    b_ = std::make_unique<Client>(server_.url());
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

  TempDir dir_;
  MyfsdProcess server_{dir_.path()};
  std::unique_ptr<Client> a_, b_;
};

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
