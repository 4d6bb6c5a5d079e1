#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cli/shell/commands/find_expression.h"

namespace shell {
namespace {

constexpr int64_t kNow = 1'000'000'000;

// Notes what is done.
class World final : public FindWorld {
 public:
  bool is_empty_directory(const FindFile&) override { return empty; }
  std::string link_target(const FindFile&) override { return "to/target"; }
  void print(const FindFile& file, char end) override { done += file.path + (end != 0 ? "" : "0"); }
  void print_long(const FindFile& file) override { done += "ls " + file.path; }
  bool remove(const FindFile& file) override {
    done += "rm " + file.path;
    return true;
  }
  void prune() override { done += "prune"; }
  void quit() override { done += "quit"; }

  bool empty = false;
  std::string done;
};

class Find : public testing::Test {
 protected:
  Find() {
    st_.st_mode = S_IFREG | 0644;
    st_.st_size = 1000;
    st_.st_uid = 1;
    st_.st_gid = 2;
    st_.st_nlink = 3;
    st_.st_ino = 17;
    st_.st_mtim = st_.st_ctim = st_.st_atim = {kNow - 100, 0};
    context_.now = {kNow, 0};
    context_.stat = [](const std::string& path, struct stat* st) {
      *st = {};
      st->st_mtim = {kNow - 200, 5};
      return path == "reference";
    };
  }

  FindPlan plan(const std::vector<std::string>& words) {
    FindPlan plan;
    EXPECT_EQ("", parse_find(words, context_, &plan));
    return plan;
  }
  std::string error(const std::vector<std::string>& words) {
    FindPlan plan;
    return parse_find(words, context_, &plan);
  }
  // What the expression does with the file.
  std::string done(const std::vector<std::string>& words, const std::string& path = "d/File.c") {
    FindPlan made = plan(words);
    world_.done.clear();
    if (made.test) made.test(FindFile{path, st_, 1}, world_);
    return world_.done;
  }
  bool holds(const std::vector<std::string>& words, const std::string& path = "d/File.c") {
    return !done(words, path).empty();
  }

  struct stat st_ {};
  FindContext context_;
  World world_;
};

TEST_F(Find, WithoutAnActionItPrints) {
  EXPECT_EQ("d/File.c", done({}));
  EXPECT_EQ("d/File.c", done({"-true"}));
  EXPECT_EQ("d/File.c0", done({"-print0"}));
  EXPECT_EQ("ls d/File.c", done({"-ls"}));
  EXPECT_EQ("", done({"-false", "-o", "-name", "x"}));
  EXPECT_EQ("d/File.cd/File.c", done({"-print", "-print"}));
  EXPECT_EQ("prune", done({"-prune", "-false"}).substr(0, 5));
  EXPECT_EQ("pruned/File.c", done({"-prune"})) << "-prune is no such action";
  EXPECT_EQ("rm d/File.c", done({"-delete"}));
  EXPECT_TRUE(plan({"-delete"}).depth_first);
}

TEST_F(Find, Names) {
  EXPECT_TRUE(holds({"-name", "File.c"}));
  EXPECT_TRUE(holds({"-name", "*.c"}));
  EXPECT_FALSE(holds({"-name", "file.c"}));
  EXPECT_TRUE(holds({"-iname", "file.C"}));
  EXPECT_FALSE(holds({"-name", "d/*"}));
  EXPECT_TRUE(holds({"-path", "d/*"}));
  EXPECT_TRUE(holds({"-path", "*F*"})) << "* goes over /";
  EXPECT_TRUE(holds({"-ipath", "D/f*"}));
  EXPECT_TRUE(holds({"-name", "dir"}, "some/dir/"));
  EXPECT_TRUE(holds({"-name", "*"}, ".hidden"));
  EXPECT_TRUE(holds({"-name", "/"}, "/"));
  st_.st_mode = S_IFLNK | 0777;
  EXPECT_TRUE(holds({"-lname", "to/*"}));
}

TEST_F(Find, BindsAsFindDoes) {
  EXPECT_TRUE(holds({"-true", "-o", "-false", "-false"})) << "and before or";
  EXPECT_FALSE(holds({"(", "-true", "-o", "-false", ")", "-false"}));
  EXPECT_TRUE(holds({"!", "-false", "-true"}));
  EXPECT_FALSE(holds({"!", "(", "-false", "-o", "-true", ")"}));
  EXPECT_TRUE(holds({"-not", "!", "-true", "-a", "-true"}));
  EXPECT_EQ("", done({"-true", "-or", "-print"})) << "the second is not asked";
  EXPECT_EQ("", done({"-false", "-and", "-print"}));
  EXPECT_EQ("d/File.c0", done({"-false", "-print", "-o", "-print0"}));
}

TEST_F(Find, TypesAndPermissions) {
  EXPECT_TRUE(holds({"-type", "f"}));
  EXPECT_TRUE(holds({"-type", "d,f"}));
  EXPECT_FALSE(holds({"-type", "d,l"}));
  EXPECT_TRUE(holds({"-perm", "644"}));
  EXPECT_FALSE(holds({"-perm", "600"}));
  EXPECT_TRUE(holds({"-perm", "-600"}));
  EXPECT_FALSE(holds({"-perm", "-u+x"}));
  EXPECT_TRUE(holds({"-perm", "/111"}) == false && holds({"-perm", "/101"}) == false);
  EXPECT_TRUE(holds({"-perm", "/u+x,g+r"}));
  EXPECT_TRUE(holds({"-perm", "/0"}));
  EXPECT_TRUE(holds({"-perm", "u=rw,go=r"}));
}

TEST_F(Find, SizesAreRoundedUpToUnits) {
  EXPECT_TRUE(holds({"-size", "1000c"}));
  EXPECT_TRUE(holds({"-size", "2"}));
  EXPECT_TRUE(holds({"-size", "1k"}));
  EXPECT_TRUE(holds({"-size", "1M"}));
  EXPECT_FALSE(holds({"-size", "-1M"}));
  EXPECT_TRUE(holds({"-size", "+999c"}));
  EXPECT_TRUE(holds({"-size", "-2k"}));
  EXPECT_TRUE(holds({"-size", "500w"}));
  st_.st_size = 0;
  EXPECT_TRUE(holds({"-size", "-1M"}));
  EXPECT_TRUE(holds({"-empty"}));
  st_.st_size = int64_t{1} << 40;
  EXPECT_TRUE(holds({"-size", "+1023G"}));
}

TEST_F(Find, Ages) {
  const int64_t day = 86'400;
  st_.st_mtim = {kNow - 2 * day + 1, 0};  // 1 day and 23:59:59
  EXPECT_TRUE(holds({"-mtime", "1"}));
  EXPECT_FALSE(holds({"-mtime", "+1"}));
  EXPECT_TRUE(holds({"-mtime", "-2"}));
  EXPECT_FALSE(holds({"-mtime", "-1"}));
  st_.st_mtim = {kNow + 10, 0};
  EXPECT_TRUE(holds({"-mtime", "-1"})) << "from the future";
  st_.st_mtim = {kNow - 90, 0};
  EXPECT_TRUE(holds({"-mmin", "2"}));
  EXPECT_TRUE(holds({"-mmin", "+1"}));
  EXPECT_TRUE(holds({"-mmin", "-2"}));
  EXPECT_FALSE(holds({"-mmin", "+2"}));
  EXPECT_TRUE(holds({"-newer", "reference"}));
  st_.st_mtim = {kNow - 200, 5};
  EXPECT_FALSE(holds({"-newer", "reference"})) << "the same time";
  st_.st_mtim = {kNow - 200, 6};
  EXPECT_TRUE(holds({"-newer", "reference"}));
  EXPECT_TRUE(holds({"-cnewer", "reference"}));
  EXPECT_TRUE(holds({"-newermt", "@1"}));
  EXPECT_FALSE(holds({"-newermt", "now"}));
}

TEST_F(Find, Numbers) {
  EXPECT_TRUE(holds({"-user", "1", "-group", "2", "-links", "3", "-inum", "17"}));
  EXPECT_TRUE(holds({"-uid", "-2", "-gid", "+1"}));
  EXPECT_FALSE(holds({"-user", "root"}));
  st_.st_uid = 4'000'000'000;
  EXPECT_TRUE(holds({"-nouser"}));
  EXPECT_TRUE(holds({"-uid", "4000000000"}));
}

TEST_F(Find, OptionsHoldForAll) {
  FindPlan made = plan({"-name", "x", "-maxdepth", "3", "-mindepth", "1", "-xdev", "-depth"});
  EXPECT_EQ(3, made.max_depth);
  EXPECT_EQ(1, made.min_depth);
  EXPECT_TRUE(made.one_file_system);
  EXPECT_TRUE(made.depth_first);
  EXPECT_EQ(2u, find_starting_points({"a", "b", "-name", "c"}));
  EXPECT_EQ(1u, find_starting_points({"a", "!", "-name", "c"}));
  EXPECT_EQ(0u, find_starting_points({"(", "-true", ")"}));
  EXPECT_EQ(1u, find_starting_points({"-"})) << "a name";
}

TEST_F(Find, WhatIsWrongIsNamed) {
  EXPECT_THAT(error({"-nonsense"}), testing::HasSubstr("-nonsense: unknown predicate"));
  EXPECT_THAT(error({"-exec", "ls", ";"}), testing::HasSubstr("-exec"));
  EXPECT_THAT(error({"-name"}), testing::HasSubstr("-name: needs a value"));
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"-type", "x"},      {"-type", ""},        {"-type", "f,"},
           {"-type", "fd"},     {"-size", "k"},       {"-size", ""},
           {"-size", "1x"},     {"-size", "--1"},     {"-mtime", "1.5"},
           {"-mtime", "x"},     {"-perm", "9"},       {"-perm", ""},
           {"-newer", "none"},  {"-newermt", "soon"}, {"-user", "no-one"},
           {"-maxdepth", "-1"}, {"-maxdepth"},        {"(", "-true"},
           {"-true", ")"},      {"(", ")"},           {"!"},
           {"-o", "-true"},     {"-true", "-o"},      {"-true", "word"},
           {"-true", "-a"}}) {
    EXPECT_NE("", error(words)) << words[0];
  }
}

}  // namespace
}  // namespace shell
