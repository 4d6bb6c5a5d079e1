#include "cli/shell/text/acl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace shell {
namespace {

using namespace std::string_literals;

// As the kernel stores u::rw-,u:1000:rwx,g::r--,m::rwx,o::r--.
const std::string kBytes = "\x02\0\0\0"s + "\x01\0\x06\0\xff\xff\xff\xff"s +
                           "\x02\0\x07\0\xe8\x03\0\0"s + "\x04\0\x04\0\xff\xff\xff\xff"s +
                           "\x10\0\x07\0\xff\xff\xff\xff"s + "\x20\0\x04\0\xff\xff\xff\xff"s;

Acl parsed(const std::string& text) {
  std::vector<AclChange> changes;
  std::string error;
  EXPECT_TRUE(parse_acl(text, true, &changes, &error)) << text << ": " << error;
  Acl acl;
  for (const AclChange& change : changes) acl.set(change.entry);
  return acl;
}

TEST(Acl, BytesAreThoseOfTheKernel) {
  Acl acl;
  ASSERT_TRUE(Acl::decode(kBytes, &acl));
  EXPECT_EQ("user::rw-\nuser:1000:rwx\ngroup::r--\nmask::rwx\nother::r--\n", acl.text("", true));
  EXPECT_EQ(kBytes, acl.encode());
  EXPECT_EQ(kBytes, parsed("o::r,m::rwx,g::r,u:1000:rwx,u::rw").encode()) << "in any order";
}

TEST(Acl, BytesThatAreNoListAreRefused) {
  Acl acl;
  EXPECT_FALSE(Acl::decode("", &acl));
  EXPECT_FALSE(Acl::decode("\x01\0\0\0"s, &acl)) << "another version";
  for (size_t length = 0; length < kBytes.size(); ++length) {
    bool whole = length >= 4 && (length - 4) % 8 == 0;
    EXPECT_EQ(whole, Acl::decode(kBytes.substr(0, length), &acl)) << length;
  }
  std::string wrong = kBytes;
  wrong[4] = 3;
  EXPECT_FALSE(Acl::decode(wrong, &acl)) << "no such tag";
  wrong = kBytes;
  wrong[6] = 8;
  EXPECT_FALSE(Acl::decode(wrong, &acl)) << "no such permission";
  wrong = kBytes + kBytes.substr(4, 8);
  EXPECT_FALSE(Acl::decode(wrong, &acl)) << "twice";
}

TEST(Acl, EncodingIsUndoneByDecoding) {
  std::mt19937 random(1);
  for (int i = 0; i < 200; ++i) {
    Acl acl = Acl::from_mode(random() % 01000);
    for (size_t left = random() % 6; left > 0; --left) {
      AclTag tag = random() % 2 == 0 ? AclTag::kUser : AclTag::kGroup;
      acl.set({tag, static_cast<uint16_t>(random() % 8), static_cast<uint32_t>(random() % 5)});
    }
    acl.recalculate_mask();
    EXPECT_EQ("", acl.complaint());
    Acl again;
    ASSERT_TRUE(Acl::decode(acl.encode(), &again));
    EXPECT_EQ(acl.text("", true), again.text("", true));
  }
}

TEST(Acl, OfAMode) {
  Acl acl = Acl::from_mode(0754);
  EXPECT_EQ("user::rwx\ngroup::r-x\nother::r--\n", acl.text("", true));
  EXPECT_TRUE(acl.is_minimal());
  EXPECT_EQ(0754u, acl.mode());
  acl.recalculate_mask();
  EXPECT_TRUE(acl.is_minimal()) << "it needs no mask";
}

TEST(Acl, TheMaskBoundsTheGroupClass) {
  Acl acl = parsed("u::rw,u:1000:rwx,g::rwx,g:7:r,m::r,o::rwx");
  EXPECT_EQ(
      "default:user::rw-\n"
      "default:user:1000:rwx\t#effective:r--\n"
      "default:group::rwx\t#effective:r--\n"
      "default:group:7:r--\n"
      "default:mask::r--\n"
      "default:other::rwx\n",
      acl.text("default:", true));
  acl.recalculate_mask();
  EXPECT_EQ(7, acl.find(AclTag::kMask)->permissions);
  acl = parsed("u::rw,u:1000:x,g::r,m::rwx,o::-");
  acl.recalculate_mask();
  EXPECT_EQ(5, acl.find(AclTag::kMask)->permissions);
  acl.set({AclTag::kMask, 4});
  acl.set({AclTag::kGroupObj, 6});
  acl.remove_extended();
  EXPECT_EQ("user::rw-\ngroup::r--\nother::---\n", acl.text("", true)) << "nobody gains";
}

TEST(Acl, NamesOfUsers) {
  EXPECT_EQ("user::rwx\nuser:root:r--\ngroup:root:-w-\n",
            parsed("u::rwx,u:root:r,g:0:w").text("", false));
}

TEST(Acl, ParsesLongAndShortForms) {
  EXPECT_EQ(parsed("u::rw,g:5:rx,m:rwx,o:r").encode(),
            parsed("user::rw-, group:5:r-x ,mask::7,other::4,").encode());
  std::vector<AclChange> changes;
  std::string error;
  ASSERT_TRUE(parse_acl("d:u:1:rwX,default:o::-,u::r", true, &changes, &error));
  ASSERT_EQ(3u, changes.size());
  EXPECT_TRUE(changes[0].of_default && changes[1].of_default && !changes[2].of_default);
  EXPECT_TRUE(changes[0].entry.conditional_execute);
  EXPECT_EQ(6, changes[0].entry.permissions);
  changes.clear();
  ASSERT_TRUE(parse_acl("u:5,g:6:,m,d:m::,d:u:7", false, &changes, &error)) << error;
  ASSERT_EQ(5u, changes.size());
  EXPECT_EQ(5u, changes[0].entry.id);
  EXPECT_EQ(AclTag::kMask, changes[2].entry.tag);
  EXPECT_TRUE(changes[3].of_default);
  for (const char* wrong : {"", ",", "u", "u:r", "u:no-such-user:r", "x::r", "u::rwz", "u::8",
                            "m:5:r", "o:5:r", "u:1:r:x", "u::", "d::r"}) {
    changes.clear();
    EXPECT_FALSE(parse_acl(wrong, true, &changes, &error)) << wrong;
  }
  EXPECT_FALSE(parse_acl("u:5:rwx", false, &changes, &error)) << "permissions of what goes";
}

TEST(Acl, WhatTheKernelWouldRefuseIsNamed) {
  EXPECT_EQ("", parsed("u::r,g::r,o::r").complaint());
  EXPECT_EQ("no entry user::", parsed("g::r,o::r").complaint());
  EXPECT_EQ("no entry mask::", parsed("u::r,u:5:r,g::r,o::r").complaint());
}

}  // namespace
}  // namespace shell
