// Words of a call, help, completion.

#include "cli/shell/command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <set>

#include "cli/shell/line/completion.h"

namespace shell {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const Command kCommand = {"do",
                          {{"a", "all", "", "everything"},
                           {"rR", "", "", "below"},
                           {"n", "number", "N", "so many"},
                           {"", "json", "", "as JSON"},
                           {"", "at", "PLACE", "there"}},
                          "FILE...",
                          1,
                          -1,
                          Operands::kRemote,
                          "does it",
                          "More.\n",
                          nullptr};

struct Parsed {
  Args args;
  std::vector<size_t> operands;
  std::string error;
};

Parsed parse(const std::vector<std::string>& words, const Command& command = kCommand) {
  Parsed parsed;
  parsed.error = parse_options(command, words, &parsed.args, &parsed.operands);
  return parsed;
}

TEST(Command, TakesOptionsFromAnywhere) {
  Parsed parsed = parse({"x", "-aR", "-n", "3", "y", "--json", "--at=here", "--", "-z"});
  EXPECT_EQ("", parsed.error);
  EXPECT_THAT(parsed.operands, ElementsAre(0, 4, 8));
  EXPECT_TRUE(parsed.args.has("a") && parsed.args.has("r") && parsed.args.has("json"));
  EXPECT_FALSE(parsed.args.has("R")) << "known by its first letter";
  EXPECT_EQ("3", *parsed.args.value("n"));
  EXPECT_EQ("here", *parsed.args.value("at"));
  EXPECT_EQ("4", *parse({"-an4"}).args.value("n"));
  EXPECT_EQ("5", *parse({"--number", "1", "--number=5"}).args.value("n"));
  EXPECT_THAT(parse({"-"}).operands, ElementsAre(0)) << "a dash alone is a name";
}

TEST(Command, TellsWhatIsWrong) {
  EXPECT_EQ("unknown option -z", parse({"-az"}).error);
  EXPECT_EQ("unknown option --none", parse({"--none=1"}).error);
  EXPECT_EQ("option -n needs a value", parse({"-n"}).error);
  EXPECT_EQ("option --at needs a value", parse({"--at"}).error);
  EXPECT_EQ("option --json takes no value", parse({"--json=1"}).error);
}

TEST(Command, HelpTellsOfEachOption) {
  EXPECT_EQ("do [-ar] [-n N] [--json] [--at PLACE] FILE...", usage(kCommand));
  EXPECT_EQ(
      "do [-ar] [-n N] [--json] [--at PLACE] FILE...\n"
      "  does it\n"
      "\n"
      "  -a, --all       everything\n"
      "  -r, -R          below\n"
      "  -n, --number N  so many\n"
      "      --json      as JSON\n"
      "      --at PLACE  there\n"
      "\n"
      "More.\n",
      help_text(kCommand));
}

TEST(Command, TheTableIsSound) {
  std::set<std::string> names;
  for (const Command& command : commands()) {
    EXPECT_TRUE(names.insert(command.name).second) << command.name;
    EXPECT_NE(nullptr, command.run) << command.name;
    EXPECT_NE('\0', command.summary[0]) << command.name;
    std::string details = command.details;
    EXPECT_TRUE(details.empty() || details.back() == '\n') << command.name;
    std::set<std::string> seen;
    for (const Option& option : command.options) {
      for (char letter : std::string_view(option.letter)) {
        EXPECT_TRUE(seen.insert(std::string(1, letter)).second) << command.name << " -" << letter;
      }
      EXPECT_NE("", option.id()) << command.name;
      EXPECT_NE('\0', option.help[0]) << command.name;
    }
  }
  EXPECT_EQ(nullptr, find_command("nonsense"));
}

TEST(Command, AModeMayBeginWithADash) {
  const Command* chmod = find_command("chmod");
  ASSERT_NE(nullptr, chmod);
  Parsed parsed = parse({"-R", "-w+x", "f"}, *chmod);
  EXPECT_EQ("", parsed.error);
  EXPECT_THAT(parsed.operands, ElementsAre(1, 2));
  EXPECT_NE("", parse({"-q", "f"}, *chmod).error);
}

class Names final : public NameSource {
 public:
  Names(std::string dir, std::vector<std::string> names)
      : dir_(std::move(dir)), names_(std::move(names)) {}
  int lstat(const std::string& path, struct stat* st) override { return stat(path, st); }
  int stat(const std::string& path, struct stat* st) override {
    *st = {};
    st->st_mode = path.find("dir") != std::string::npos ? S_IFDIR : S_IFREG;
    return 0;
  }
  int list(const std::string& path, std::vector<std::string>* names) override {
    if (path != dir_) return ENOENT;
    *names = names_;
    return 0;
  }

 private:
  std::string dir_;
  std::vector<std::string> names_;
};

Completion completed(const std::string& typed, const std::string& dir = ".",
                     const std::vector<std::string>& names = {".", "..", "file one", "file two",
                                                              "dir", ".hidden", "it's"}) {
  Names remote(dir, names), local(".", {"local", "lo"});
  return complete(typed, remote, local);
}

TEST(Completion, Commands) {
  EXPECT_EQ("ink ", completed("readl").insert);
  EXPECT_THAT(completed("rm").choices, ElementsAre("rm", "rmdir"));
  EXPECT_EQ("r ", completed("ls; rmdi").insert);
  EXPECT_EQ("", completed("xyz").insert);
  EXPECT_EQ("ink ", completed("help readl").insert);
}

TEST(Completion, PathsQuotedAsTheWordIs) {
  EXPECT_EQ("ile\\ ", completed("cat f").insert) << "as far as it is certain";
  EXPECT_EQ("ne ", completed("cat file\\ o").insert);
  EXPECT_EQ("ne' ", completed("cat 'file o").insert);
  EXPECT_EQ("ne\" ", completed("cat \"file o").insert);
  EXPECT_THAT(completed("cat 'file ").choices, ElementsAre("file one", "file two"));
  EXPECT_EQ("\\'s ", completed("cat it").insert);
  EXPECT_EQ("'\\''s' ", completed("cat 'it").insert);
  EXPECT_EQ("ir/", completed("cat d").insert) << "goes on in a directory";
  EXPECT_EQ("idden ", completed("cat .h").insert);
  EXPECT_THAT(completed("cat ").choices, ElementsAre("dir/", "file one", "file two", "it's"));
  EXPECT_EQ("ne ", completed("cat a/b/x", "a/b/", {"xne"}).insert);
  EXPECT_EQ("", completed("cat x", ".", {"x\ny"}).insert) << "cannot be typed";
  EXPECT_EQ("", completed("cat file\\").insert);
  EXPECT_EQ("x", completed("cat ", ".", {"x\xc3\xa9", "x\xc3\xa8"}).insert) << "whole characters";
}

TEST(Completion, EachOnItsSide) {
  EXPECT_EQ("al ", completed("put loc").insert);
  EXPECT_EQ("ir/", completed("put local d").insert);
  EXPECT_EQ("al ", completed("get dir loc").insert);
  EXPECT_EQ("al ", completed("cat f > loc").insert);
  EXPECT_EQ("al ", completed("cat f | wc loc").insert);
  EXPECT_EQ("al ", completed("!cat loc").insert);
  EXPECT_EQ("", completed("chmod f").insert) << "a mode";
  EXPECT_EQ("ir/", completed("chmod 644 d").insert);
  EXPECT_EQ("", completed("find . -name f").insert) << "a pattern";
  EXPECT_EQ("", completed("head -n f").insert) << "a number";
  EXPECT_EQ("", completed("cat # f").insert) << "a remark";
}

TEST(Completion, Options) {
  EXPECT_EQ("n ", completed("ls --jso").insert);
  EXPECT_THAT(completed("ls -").choices, testing::Contains("--json"));
  EXPECT_EQ("", completed("ls -- --jso").insert);
}

}  // namespace
}  // namespace shell
