#include "cli/shell/line/glob.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <map>

namespace shell {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Directories with their names; every name is also a file.
class FakeNames final : public NameSource {
 public:
  explicit FakeNames(std::map<std::string, std::vector<std::string>> directories)
      : directories_(std::move(directories)) {}

  int lstat(const std::string& path, struct stat*) override {
    std::string rest = path;
    while (rest.size() > 1 && rest.back() == '/') rest.pop_back();
    if (directories_.count(rest) != 0) return 0;
    size_t slash = rest.rfind('/');
    std::string dir = slash == std::string::npos ? "." : slash == 0 ? "/" : rest.substr(0, slash);
    while (dir.size() > 1 && dir.back() == '/') dir.pop_back();
    auto found = directories_.find(dir);
    if (found == directories_.end()) return ENOENT;
    for (const std::string& name : found->second) {
      if (name == rest.substr(slash + 1)) return 0;
    }
    return ENOENT;
  }
  int stat(const std::string& path, struct stat* st) override { return lstat(path, st); }
  int list(const std::string& path, std::vector<std::string>* names) override {
    std::string rest = path;
    while (rest.size() > 1 && rest.back() == '/') rest.pop_back();
    auto found = directories_.find(rest);
    if (found == directories_.end()) return ENOTDIR;
    *names = found->second;
    names->insert(names->end(), {".", ".."});
    return 0;
  }

 private:
  std::map<std::string, std::vector<std::string>> directories_;
};

class Glob : public testing::Test {
 protected:
  std::vector<std::string> all(const std::string& pattern) {
    failed_.clear();
    auto result = expand(pattern, names_, &failed_);
    return result ? *result : std::vector<std::string>();
  }

  FakeNames names_{{{".", {"b.c", "a.c", "d", "e", ".h.c", "x*y", "\xc3\xa9", "b\xff"}},
                    {"d", {"1.c", "2.h", "s"}},
                    {"d/s", {"deep.c"}},
                    {"e", {"1.c"}},
                    {"/", {"bin", "boot"}},
                    {"/bin", {"ls"}},
                    {"/boot", {"vm"}}}};
  std::string failed_;
};

TEST_F(Glob, MatchesNamesInOrder) {
  EXPECT_THAT(all("*.c"), ElementsAre("a.c", "b.c"));
  EXPECT_THAT(all("[!a].c"), ElementsAre("b.c"));
  EXPECT_THAT(all("[[:alpha:]].c"), ElementsAre("a.c", "b.c"));
  EXPECT_THAT(all("?.c"), ElementsAre("a.c", "b.c"));
}

TEST_F(Glob, ALeadingDotIsMatchedByADotAlone) {
  EXPECT_THAT(all(".*"), ElementsAre(".h.c"));
  EXPECT_THAT(all("?h.c"), IsEmpty());
}

TEST_F(Glob, GoesThroughDirectories) {
  EXPECT_THAT(all("*/*.c"), ElementsAre("d/1.c", "e/1.c"));
  EXPECT_THAT(all("d/*/*"), ElementsAre("d/s/deep.c"));
  EXPECT_THAT(all("*/1.c"), ElementsAre("d/1.c", "e/1.c"));
  EXPECT_THAT(all("/b*/*"), ElementsAre("/bin/ls", "/boot/vm"));
  EXPECT_THAT(all("/b*"), ElementsAre("/bin", "/boot"));
  EXPECT_THAT(all("d//*.h"), ElementsAre("d//2.h"));
}

TEST_F(Glob, OneThatMatchesNothingIsNamed) {
  EXPECT_THAT(all("*.none"), IsEmpty());
  EXPECT_EQ("*.none", failed_);
  EXPECT_THAT(all("*/none"), IsEmpty());
  EXPECT_THAT(all("missing/*"), IsEmpty());
}

TEST_F(Glob, WhatWasQuotedIsTakenAsItIs) {
  EXPECT_THAT(all("x\\*y"), ElementsAre("x*y"));
  EXPECT_THAT(all("x\\**"), ElementsAre("x*y"));
  EXPECT_THAT(all("\\*.c"), ElementsAre("*.c")) << "a new name";
  EXPECT_FALSE(has_magic("a\\*\\[\\?"));
}

TEST_F(Glob, NamesOfAnyBytes) { EXPECT_THAT(all("b*"), ElementsAre("b.c", "b\xff")); }

TEST_F(Glob, BracesStandForEachOfTheirParts) {
  EXPECT_THAT(expand_braces("a{b,c{d,e}}f"), ElementsAre("abf", "acdf", "acef"));
  EXPECT_THAT(expand_braces("{a,b}{1,2}"), ElementsAre("a1", "a2", "b1", "b2"));
  EXPECT_THAT(expand_braces("x{,y}"), ElementsAre("x", "xy"));
  EXPECT_THAT(expand_braces("{}{a}{a"), ElementsAre("{}{a}{a"));
  EXPECT_THAT(expand_braces("{a\\,b}"), ElementsAre("{a\\,b}"));
  EXPECT_THAT(expand_braces("\\{a,b}"), ElementsAre("\\{a,b}"));
  EXPECT_THAT(expand_braces("{{a,b}"), ElementsAre("{a", "{b"));
  EXPECT_THAT(all("{new,d}/{*.h,x}"), IsEmpty()) << "new/*.h matches nothing";
  EXPECT_EQ("new/*.h", failed_);
  EXPECT_THAT(all("d/{*.h,x}"), ElementsAre("d/2.h", "d/x"));
}

}  // namespace
}  // namespace shell
