#include "cli/shell/lexer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace shell {
namespace {

using Words = std::vector<std::string>;
using testing::ElementsAre;
using testing::IsEmpty;

Words words(std::string_view line) {
  LexResult result = lex(line);
  EXPECT_EQ("", result.error) << line;
  EXPECT_EQ(1u, result.commands.size()) << line;
  return result.commands.empty() ? Words() : result.commands[0];
}

TEST(Lexer, SplitsAtBlanks) {
  EXPECT_THAT(words("a b\tc"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(words("  a   b  \r"), ElementsAre("a", "b"));
  EXPECT_THAT(lex("").commands, IsEmpty());
  EXPECT_THAT(lex(" \t ; ;\n;").commands, IsEmpty());
}

TEST(Lexer, SplitsCommands) {
  EXPECT_THAT(lex("a b; c;;d\ne").commands,
              ElementsAre(Words{"a", "b"}, Words{"c"}, Words{"d"}, Words{"e"}));
  EXPECT_THAT(lex("a;").commands, ElementsAre(Words{"a"}));
}

TEST(Lexer, SingleQuotesAreLiteral) {
  EXPECT_THAT(words("w 'a b;#\\\"'"), ElementsAre("w", "a b;#\\\""));
  EXPECT_THAT(words("''"), ElementsAre(""));
  EXPECT_THAT(words("a'b'c"), ElementsAre("abc"));
  EXPECT_THAT(words("'a\nb'"), ElementsAre("a\nb"));
}

TEST(Lexer, DoubleQuotesKnowFourEscapes) {
  EXPECT_THAT(words(R"("a b")"), ElementsAre("a b"));
  EXPECT_THAT(words(R"("\" \\ \$ \` \n \'")"), ElementsAre(R"(" \ $ ` \n \')"));
  EXPECT_THAT(words(R"(x"" y)"), ElementsAre("x", "y"));
  EXPECT_THAT(words(R"("" y)"), ElementsAre("", "y"));
}

TEST(Lexer, BackslashTakesTheNextCharacter) {
  EXPECT_THAT(words(R"(a\ b \; \# \' \" \\)"), ElementsAre("a b", ";", "#", "'", "\"", "\\"));
  EXPECT_THAT(words("a\\\nb"), ElementsAre("ab")) << "a line that goes on";
}

TEST(Lexer, RemarksReachToTheEndOfTheLine) {
  EXPECT_THAT(lex("a # b ; c\nd").commands, ElementsAre(Words{"a"}, Words{"d"}));
  EXPECT_THAT(words("a#b"), ElementsAre("a#b"));
  EXPECT_THAT(lex("# only").commands, IsEmpty());
}

TEST(Lexer, LocalCommandsAreNotSplit) {
  EXPECT_THAT(lex("!echo 'a; b' | wc").commands, ElementsAre(Words{"!", "echo 'a; b' | wc"}));
  EXPECT_THAT(lex("pwd; !ls\ncd").commands,
              ElementsAre(Words{"pwd"}, Words{"!", "ls"}, Words{"cd"}));
  EXPECT_THAT(words("echo a!b !"), ElementsAre("echo", "a!b", "!"));
}

TEST(Lexer, WhatIsOpenIsNamedAndWhatCameBeforeIsKept) {
  LexResult result = lex("pwd; write f 'open");
  EXPECT_EQ("unterminated quote '", result.error);
  EXPECT_THAT(result.commands, ElementsAre(Words{"pwd"}));
  EXPECT_EQ("unterminated quote \"", lex("a \"b").error);
  EXPECT_NE("", lex("a \\").error);
}

TEST(Lexer, QuoteIsUndoneByLex) {
  EXPECT_EQ("plain-1.txt", quote("plain-1.txt"));
  EXPECT_EQ("''", quote(""));
  EXPECT_EQ("'a b'", quote("a b"));
  // Every byte, and words of random bytes.
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string word;
    for (size_t left = random() % 12; left > 0; --left) {
      word.push_back(static_cast<char>(i < 256 ? i : random() % 256));
    }
    ASSERT_THAT(words("x " + quote(word)), ElementsAre("x", word)) << i;
  }
}

}  // namespace
}  // namespace shell
