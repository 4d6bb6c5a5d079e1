#include "sdk/base/posix_acl.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "sdk/base/limits.h"

namespace myfs {
namespace {

using enum AclTag;

AclEntry entry(AclTag tag, uint16_t perm, uint32_t id = kAclNoId) { return {tag, perm, id}; }

// user::rw-, user:7:rwx, group::r--, group:8:-w-, mask::rw-, other::---
PosixAcl full() {
  return PosixAcl({entry(kUserObj, 6), entry(kUser, 7, 7), entry(kGroupObj, 4), entry(kGroup, 2, 8),
                   entry(kMask, 6), entry(kOther, 0)});
}
PosixAcl minimal(uint16_t user, uint16_t group, uint16_t other) {
  return PosixAcl({entry(kUserObj, user), entry(kGroupObj, group), entry(kOther, other)});
}

TEST(PosixAcl, FormatIsTheKernels) {
  const std::string bytes(
      "\2\0\0\0"
      "\1\0\6\0\377\377\377\377"
      "\4\0\4\0\377\377\377\377"
      "\40\0\0\0\377\377\377\377",
      28);
  EXPECT_EQ(minimal(6, 4, 0).to_xattr(), bytes);
  Result<PosixAcl> read = PosixAcl::from_xattr(bytes);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, minimal(6, 4, 0));
  EXPECT_EQ(*PosixAcl::from_xattr(full().to_xattr()), full());
}

TEST(PosixAcl, NothingAndAHeaderAloneAreNoList) {
  EXPECT_TRUE(PosixAcl::from_xattr("")->empty());
  EXPECT_TRUE(PosixAcl::from_xattr(std::string_view("\2\0\0\0", 4))->empty());
  EXPECT_EQ(PosixAcl().to_xattr(), "");
}

TEST(PosixAcl, IdsOfEntriesThatNameNobodyAreNotRead) {
  std::string bytes = minimal(6, 4, 0).to_xattr();
  bytes[8] = 3;  // the owner's id
  EXPECT_EQ(*PosixAcl::from_xattr(bytes), minimal(6, 4, 0));
}

TEST(PosixAcl, WhatIsNoListIsRefused) {
  EXPECT_EQ(PosixAcl::from_xattr("abc").error(), Errno(EINVAL));
  EXPECT_EQ(PosixAcl::from_xattr(std::string_view("\3\0\0\0", 4)).error(), Errno(EOPNOTSUPP));
  EXPECT_EQ(PosixAcl::from_xattr(full().to_xattr() + "x").error(), Errno(EINVAL));
  PosixAcl nobody({entry(kUserObj, 6), entry(kUser, 7, kAclNoId)});
  EXPECT_EQ(PosixAcl::from_xattr(nobody.to_xattr()).error(), Errno(EINVAL));
  for (uint16_t tag : {0, 3, 64}) {
    PosixAcl odd({entry(static_cast<AclTag>(tag), 6)});
    EXPECT_EQ(PosixAcl::from_xattr(odd.to_xattr()).error(), Errno(EINVAL)) << tag;
  }
}

TEST(PosixAcl, OrderAndMaskAreRequired) {
  EXPECT_TRUE(full().valid().ok());
  EXPECT_TRUE(minimal(7, 7, 7).valid().ok());
  // The kernel takes a second entry for one user.
  std::vector<AclEntry> twice = full().entries();
  twice.insert(twice.begin() + 2, entry(kUser, 1, 7));
  EXPECT_TRUE(PosixAcl(twice).valid().ok());
  const std::vector<std::vector<AclEntry>> wrong = {
      {},
      {entry(kUserObj, 6), entry(kGroupObj, 4)},
      {entry(kGroupObj, 4), entry(kUserObj, 6), entry(kOther, 0)},
      {entry(kUserObj, 8), entry(kGroupObj, 4), entry(kOther, 0)},
      {entry(kUserObj, 6), entry(kUserObj, 6), entry(kGroupObj, 4), entry(kOther, 0)},
      {entry(kUserObj, 6), entry(kUser, 6, 7), entry(kGroupObj, 4), entry(kOther, 0)},
      {entry(kUserObj, 6), entry(kGroupObj, 4), entry(kGroup, 6, 7), entry(kOther, 0)},
      {entry(kUserObj, 6), entry(kGroupObj, 4), entry(kMask, 6)},
      {entry(kUserObj, 6), entry(kGroupObj, 4), entry(kMask, 6), entry(kMask, 6), entry(kOther, 0)},
      {entry(kUserObj, 6), entry(kGroupObj, 4), entry(kGroupObj, 4), entry(kOther, 0)},
      {entry(kUserObj, 6), entry(kGroupObj, 4), entry(kUser, 4, 7), entry(kMask, 6),
       entry(kOther, 0)},
      {entry(kUserObj, 6), entry(kGroupObj, 4), entry(kMask, 6), entry(kGroup, 4, 7),
       entry(kOther, 0)},
      {entry(kUserObj, 6), entry(kGroupObj, 4), entry(kOther, 0), entry(kOther, 0)},
      {entry(kUser, 6, 7), entry(kGroupObj, 4), entry(kMask, 4), entry(kOther, 0)},
  };
  for (size_t i = 0; i < wrong.size(); ++i) {
    EXPECT_EQ(PosixAcl(wrong[i]).valid(), Errno(EINVAL)) << i;
    if (i == 0) continue;  // nothing at all is no list, which may be
    EXPECT_FALSE(PosixAcl::decode(PosixAcl(wrong[i]).to_xattr()).ok()) << i;
  }
}

TEST(PosixAcl, DecodeBoundsTheLength) {
  auto with_users = [](size_t count) {
    std::vector<AclEntry> entries = {entry(kUserObj, 6)};
    for (size_t i = 0; i < count; ++i) {
      entries.push_back(entry(kUser, 4, static_cast<uint32_t>(i)));
    }
    for (AclTag tag : {kGroupObj, kMask, kOther}) entries.push_back(entry(tag, 4));
    return PosixAcl(entries).to_xattr();
  };
  EXPECT_TRUE(PosixAcl::decode(with_users(kAclEntriesMax - 4)).ok());
  EXPECT_FALSE(PosixAcl::decode(with_users(kAclEntriesMax - 3)).ok());
}

TEST(PosixAcl, ModeOfAList) {
  uint32_t mode = S_IFREG | 04777;
  EXPECT_TRUE(minimal(6, 4, 1).equiv_mode(&mode));
  EXPECT_EQ(mode, S_IFREG | 04641u);
  mode = S_IFREG;
  EXPECT_FALSE(full().equiv_mode(&mode));
  EXPECT_EQ(mode, S_IFREG | 0660u);
  // A mask alone is more than the bits can say.
  PosixAcl masked({entry(kUserObj, 6), entry(kGroupObj, 7), entry(kMask, 4), entry(kOther, 0)});
  EXPECT_FALSE(masked.equiv_mode(&mode));
  EXPECT_EQ(mode, S_IFREG | 0640u);
}

TEST(PosixAcl, TheFirstEntryThatFitsDecidesAndTheMaskLimitsIt) {
  const PosixAcl acl = full();
  auto may = [&](const Cred& cred, uint32_t want) {
    return acl.permission(cred, 5, 50, want).ok();
  };
  const Cred owner{.uid = 5, .gid = 8, .groups = {}}, named{.uid = 7, .gid = 50, .groups = {}},
      member{.uid = 9, .gid = 50, .groups = {}}, other_group{.uid = 9, .gid = 8, .groups = {}},
      both{.uid = 9, .gid = 8, .groups = {50}}, stranger{.uid = 9, .gid = 9, .groups = {}};
  EXPECT_TRUE(may(owner, 6));
  EXPECT_FALSE(may(owner, 1));
  EXPECT_TRUE(may(named, 6));
  EXPECT_FALSE(may(named, 1));
  EXPECT_TRUE(may(member, 4));
  EXPECT_FALSE(may(member, 2));
  EXPECT_TRUE(may(other_group, 2));
  EXPECT_TRUE(may(both, 4));
  EXPECT_TRUE(may(both, 2));
  EXPECT_FALSE(may(both, 6));  // no single group grants both
  EXPECT_FALSE(may(stranger, 4));
  EXPECT_TRUE(may(stranger, 0));
}

TEST(PosixAcl, WhatIsNewHasWhatBothGrant) {
  PosixAcl acl = full();
  uint32_t mode = S_IFREG | 02744;
  EXPECT_FALSE(acl.create_masq(&mode));
  EXPECT_EQ(mode, S_IFREG | 02640u);
  EXPECT_EQ(acl, PosixAcl({entry(kUserObj, 6), entry(kUser, 7, 7), entry(kGroupObj, 4),
                           entry(kGroup, 2, 8), entry(kMask, 4), entry(kOther, 0)}));
  PosixAcl plain = minimal(7, 5, 5);
  mode = S_IFDIR | 0770;
  EXPECT_TRUE(plain.create_masq(&mode));
  EXPECT_EQ(mode, S_IFDIR | 0750u);
}

TEST(PosixAcl, ChmodChangesTheClasses) {
  PosixAcl acl = full();
  acl.chmod_masq(0531);
  EXPECT_EQ(acl, PosixAcl({entry(kUserObj, 5), entry(kUser, 7, 7), entry(kGroupObj, 4),
                           entry(kGroup, 2, 8), entry(kMask, 3), entry(kOther, 1)}));
  PosixAcl plain = minimal(0, 0, 0);
  plain.chmod_masq(0531);
  EXPECT_EQ(plain, minimal(5, 3, 1));
}

}  // namespace
}  // namespace myfs
