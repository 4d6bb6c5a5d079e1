// Exports: their text, which of them a path belongs to, and what a session of one may assert.
#include "server/export.h"

#include <gtest/gtest.h>

#include "sdk/base/error_detail.h"
#include "tests/unit/server/rig.h"

namespace myfs::server {
namespace {

std::string refusal(const std::string& text) {
  clear_error_detail();
  Result<Export> parsed = parse_export(text);
  EXPECT_EQ(parsed.error(), Errno(EINVAL)) << text;
  return thread_error_detail().message;
}

TEST(ExportText, paths_and_options) {
  Result<Export> plain = parse_export("/");
  ASSERT_TRUE(plain.ok());
  EXPECT_EQ(plain->path, "/");
  EXPECT_FALSE(plain->squash.any());
  Result<Export> full = parse_export("//a//b/:ro,root_squash,anonuid=7,anongid=8");
  ASSERT_TRUE(full.ok()) << thread_error_detail().message;
  EXPECT_EQ(full->path, "/a/b");
  EXPECT_TRUE(full->read_only);
  EXPECT_EQ(full->squash, (Squash{.root = true, .anon_uid = 7, .anon_gid = 8}));
  EXPECT_EQ(parse_export("/a:b:")->path, "/a:b");
  EXPECT_TRUE(parse_export("/a:all_squash")->squash.all);
  EXPECT_FALSE(parse_export("/a:rw,no_root_squash")->squash.any());
}

TEST(ExportText, refusals_name_the_value) {
  EXPECT_NE(refusal("a").find("absolute"), std::string::npos);
  EXPECT_NE(refusal("/a/../b").find("absolute"), std::string::npos);
  EXPECT_NE(refusal("/a:wrong").find("option wrong"), std::string::npos);
  EXPECT_NE(refusal("/a:ro,rw").find("option rw: given twice"), std::string::npos);
  EXPECT_NE(refusal("/a:all_squash,all_squash").find("given twice"), std::string::npos);
  EXPECT_NE(refusal("/a:all_squash,anonuid=x").find("anonuid=x"), std::string::npos);
  EXPECT_NE(refusal("/a:all_squash,anonuid=4294967295").find("4294967295"), std::string::npos);
  EXPECT_NE(refusal("/a:anonuid=5").find("need root_squash"), std::string::npos);
  EXPECT_EQ(parse_exports({"/a", "//a/:ro"}).error(), Errno(EINVAL));
}

TEST(ExportText, the_longest_path_above_counts) {
  auto exports = parse_exports({"/a:ro", "/a/b", "/c"});
  ASSERT_TRUE(exports.ok());
  EXPECT_EQ(find_export(*exports, "a")->path, "/a");
  EXPECT_EQ(find_export(*exports, "/a/x/y")->path, "/a");
  EXPECT_EQ(find_export(*exports, "a/b/z")->path, "/a/b");
  EXPECT_EQ(find_export(*exports, "a/bc")->path, "/a");
  EXPECT_EQ(find_export(*exports, "ab"), nullptr);
  EXPECT_EQ(find_export(*exports, ""), nullptr);
  EXPECT_EQ(find_export({}, "anything")->path, "/");
}

TEST(SquashTest, ids_become_anonymous) {
  const Squash root{.root = true, .anon_uid = 7, .anon_gid = 8};
  EXPECT_EQ(root.applied_to({.uid = 0, .gid = 0, .groups = {0, 5}}),
            (Cred{.uid = 7, .gid = 8, .groups = {8, 5}}));
  EXPECT_EQ(root.applied_to({.uid = 1000, .gid = 0, .groups = {3}}),
            (Cred{.uid = 1000, .gid = 8, .groups = {3}}));
  const Squash all{.all = true, .anon_uid = 7, .anon_gid = 8};
  EXPECT_EQ(all.applied_to({.uid = 1000, .gid = 100, .groups = {3}}),
            (Cred{.uid = 7, .gid = 8, .groups = {}}));
}

class Exported : public testing::Test {
 protected:
  void start(const std::vector<std::string>& exports) {
    rig.halt();
    rig.options.exports = *parse_exports(exports);
    rig.boot();
  }
  Rig rig;
};

TEST_F(Exported, root_is_nobody_where_it_is_squashed) {
  start({"/", "/pub:root_squash,anonuid=7,anongid=8"});
  Client root = rig.login();
  rig.mkdir(root, root.root.handle, "pub");
  Handle pub = rig.lookup(root, root.root.handle, {"pub"}).nodes[0].handle;
  rig.setattr(root, pub, kSetMode, mode_of(0777));
  rig.create(root, pub, "roots", S_IFREG | 0600);
  Client squashed = rig.login({}, false, "pub");
  ASSERT_EQ(rig.login_error, 0);
  ChangedReply made = rig.create(squashed, squashed.root.handle, "f", S_IFREG | 0644);
  EXPECT_EQ(made.node.attr.uid, 7u);
  EXPECT_EQ(made.node.attr.gid, 8u);
  Kstat owner;
  owner.uid = 5;
  EXPECT_EQ(rig.setattr(squashed, made.node.handle, kSetUid, owner).error, EPERM);
  Handle roots = rig.lookup(squashed, squashed.root.handle, {"roots"}).nodes[0].handle;
  EXPECT_EQ(rig.open(squashed, roots, opener(1, kAccessRead, {})).error, EACCES);
  EXPECT_EQ(rig.read(squashed, roots, 0, 1).error, EACCES);
  EXPECT_EQ(rig.create(squashed, squashed.root.handle, "dev", S_IFCHR | 0600).error, EPERM);
  // Others are who they are.
  Client bob = rig.login(user(1000), false, "pub");
  EXPECT_EQ(rig.create(bob, bob.root.handle, "bobs").node.attr.uid, 1000u);
  // The same directory by way of the other export.
  EXPECT_EQ(rig.create(root, pub, "more").node.attr.uid, 0u);
}

TEST_F(Exported, everybody_is_nobody_where_all_are_squashed) {
  start({"/:all_squash"});
  Client bob = rig.login(user(1000));
  EXPECT_EQ(rig.create(bob, bob.root.handle, "f").error, EACCES);
}

TEST_F(Exported, what_is_not_offered_is_refused) {
  start({"/", "/pub"});
  Client root = rig.login();
  rig.mkdir(root, root.root.handle, "pub");
  rig.mkdir(root, root.root.handle, "secret");
  start({"/pub:ro"});
  rig.login();
  EXPECT_EQ(rig.login_error, EACCES);
  rig.login({}, false, "secret");
  EXPECT_EQ(rig.login_error, EACCES);
  Client reader = rig.login({}, false, "/pub/");
  ASSERT_EQ(rig.login_error, 0);
  EXPECT_EQ(rig.create(reader, reader.root.handle, "f").error, EROFS);
}

TEST_F(Exported, an_export_may_lie_below_a_closed_directory) {
  Client root = rig.login();
  Handle closed = rig.mkdir(root, root.root.handle, "closed", 0700).node.handle;
  Handle pub = rig.mkdir(root, closed, "pub", 0755).node.handle;
  rig.mkdir(root, pub, "shut", 0700);
  Handle shut = rig.lookup(root, pub, {"shut"}).nodes[0].handle;
  rig.mkdir(root, shut, "in", 0755);
  start({"/closed/pub:root_squash"});
  rig.login({}, false, "closed/pub");
  EXPECT_EQ(rig.login_error, 0);
  rig.login({}, false, "closed/pub/shut");
  EXPECT_EQ(rig.login_error, 0);
  rig.login({}, false, "closed/pub/shut/in");
  EXPECT_EQ(rig.login_error, EACCES);
}

}  // namespace
}  // namespace myfs::server
