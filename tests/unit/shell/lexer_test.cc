#include "cli/shell/line/lexer.h"

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

Words texts(const Statement& statement) {
  Words result;
  for (const Word& word : statement.words) result.push_back(word.text());
  return result;
}

std::vector<Words> commands(std::string_view text) {
  std::vector<Words> result;
  for (const Statement& statement : lex(text).statements) result.push_back(texts(statement));
  return result;
}

Words words(std::string_view line) {
  LexResult result = lex(line);
  EXPECT_EQ("", result.error) << line;
  EXPECT_EQ(1u, result.statements.size()) << line;
  return result.statements.empty() ? Words() : texts(result.statements[0]);
}

Statement statement(std::string_view line) {
  LexResult result = lex(line);
  EXPECT_EQ("", result.error) << line;
  EXPECT_EQ(1u, result.statements.size()) << line;
  return result.statements.empty() ? Statement() : result.statements[0];
}

TEST(Lexer, SplitsAtBlanks) {
  EXPECT_THAT(words("a b\tc"), ElementsAre("a", "b", "c"));
  EXPECT_THAT(words("  a   b  \r"), ElementsAre("a", "b"));
  EXPECT_THAT(commands(""), IsEmpty());
  EXPECT_THAT(commands(" \t ; ;\n;"), IsEmpty());
}

TEST(Lexer, SplitsCommands) {
  EXPECT_THAT(commands("a b; c;;d\ne"),
              ElementsAre(Words{"a", "b"}, Words{"c"}, Words{"d"}, Words{"e"}));
  EXPECT_THAT(commands("a;"), ElementsAre(Words{"a"}));
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
  EXPECT_THAT(commands("a # b ; c\nd"), ElementsAre(Words{"a"}, Words{"d"}));
  EXPECT_THAT(words("a#b"), ElementsAre("a#b"));
  EXPECT_THAT(commands("# only"), IsEmpty());
}

TEST(Lexer, LocalCommandsAreNotSplit) {
  EXPECT_THAT(commands("!echo 'a; b' | wc"), ElementsAre(Words{"!", "echo 'a; b' | wc"}));
  EXPECT_THAT(commands("pwd; !ls\ncd"), ElementsAre(Words{"pwd"}, Words{"!", "ls"}, Words{"cd"}));
  EXPECT_THAT(words("echo a!b !"), ElementsAre("echo", "a!b", "!"));
}

TEST(Lexer, WhatIsOpenIsNamedAndWhatCameBeforeIsKept) {
  LexResult result = lex("pwd; write f 'open");
  EXPECT_EQ("unterminated quote '", result.error);
  EXPECT_THAT(commands("pwd; write f 'open"), ElementsAre(Words{"pwd"}));
  EXPECT_EQ("unterminated quote \"", lex("a \"b").error);
  EXPECT_NE("", lex("a \\").error);
}

TEST(Lexer, WhatIsQuotedIsNoPattern) {
  EXPECT_EQ("*.c", statement("*.c").words[0].pattern);
  EXPECT_EQ("\\*.c", statement("'*'.c").words[0].pattern);
  EXPECT_EQ("a\\?\\[b\\]", statement("\"a?[b]\"").words[0].pattern);
  EXPECT_EQ("\\{a\\,b\\}", statement("\\{a\\,b\\}").words[0].pattern);
  EXPECT_EQ("{a\\,b}", statement("{'a,b'}").words[0].pattern);
}

TEST(Lexer, PipesGoToALocalProgram) {
  Statement piped = statement("cat f | sort | uniq -c > out");
  EXPECT_THAT(texts(piped), ElementsAre("cat", "f"));
  EXPECT_EQ(Statement::Sink::kProgram, piped.sink);
  EXPECT_EQ(" sort | uniq -c > out", piped.program);
  EXPECT_EQ("wc -l", statement("cat f|wc -l").program);
  EXPECT_THAT(commands("cat f | sed 's/;/|/'; ls"), ElementsAre(Words{"cat", "f"}, Words{"ls"}));
  EXPECT_EQ(" sed 's/;/|/'", lex("cat f | sed 's/;/|/'; ls").statements[0].program);
  EXPECT_EQ(" (wc; cat)", lex("cat f | (wc; cat) && ls").statements[0].program.substr(0, 10));
  EXPECT_EQ(2u, lex("cat f | (wc; cat) && ls").statements.size());
  EXPECT_EQ(2u, lex("cat f | wc # a; b\nls").statements.size());
  EXPECT_THAT(words("write 'a|b' c\\|d"), ElementsAre("write", "a|b", "c|d"));
  EXPECT_NE("", lex("| wc").error);
  EXPECT_NE("", lex("cat f |").error);
}

TEST(Lexer, OutputGoesToLocalFiles) {
  Statement file = statement("stats --json > 'the file' more");
  EXPECT_EQ(Statement::Sink::kFile, file.sink);
  EXPECT_EQ("the file", file.file.text());
  EXPECT_THAT(texts(file), ElementsAre("stats", "--json", "more"));
  EXPECT_EQ(Statement::Sink::kFileAppend, statement("ls>>f").sink);
  EXPECT_THAT(words("write 'a>b' c\\>d"), ElementsAre("write", "a>b", "c>d"));
  for (const char* wrong : {"> f", "ls >", "ls > a > b", "ls > a | b", "ls 2>x", "cat < f"}) {
    EXPECT_NE("", lex(wrong).error) << wrong;
  }
}

TEST(Lexer, ConnectsStatements) {
  using When = Statement::When;
  LexResult result = lex("a && b || c; d\ne &&\n f");
  ASSERT_EQ("", result.error);
  ASSERT_EQ(6u, result.statements.size());
  const When expected[] = {When::kAlways, When::kAfterSuccess, When::kAfterFailure,
                           When::kAlways, When::kAlways,       When::kAfterSuccess};
  for (size_t i = 0; i < 6; ++i) EXPECT_EQ(expected[i], result.statements[i].when) << i;
  for (const char* wrong : {"&& a", "a && && b", "a ||"}) {
    EXPECT_NE("", lex(wrong).error) << wrong;
  }
  EXPECT_THAT(words("a&b c"), ElementsAre("a&b", "c"));
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
