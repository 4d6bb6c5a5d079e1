// The checker itself: what it says about a violation, its bounds, and specifications of users.
#include <gmock/gmock.h>

#include <algorithm>

#include "tests/unit/testing/histories.h"

namespace myfs::lin {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Check, NothingIsLinearizable) {
  CheckResult result = check(History{});
  EXPECT_EQ(Outcome::kLinearizable, result.outcome);
  EXPECT_EQ(0u, result.objects);
  EXPECT_EQ(Outcome::kLinearizable, outcome("register:1", {open("a", 0, {"write", "x"})}));
}

TEST(Check, WhatTouchesIsConcurrent) {
  auto with = [](int64_t begin) {
    return outcome("register:1",
                   {done("a", 0, 5, {"write", "x"}), done("b", begin, begin + 1, {"read"}, {""})});
  };
  EXPECT_EQ(Outcome::kLinearizable, with(5));
  EXPECT_EQ(Outcome::kNotLinearizable, with(6));
}

TEST(Check, EachObjectIsCheckedByItself) {
  History history = of("register:1", {done("a", 0, 1, {"write", "x"})});
  for (const auto& [object, seen] : {std::pair("register:2", ""), std::pair("register:3", "x")}) {
    History more = of(object, {done("a", 2, 3, {"read"}, {seen})});
    history.operations.push_back(more.operations[0]);
  }
  CheckResult result = check(history);
  EXPECT_EQ(Outcome::kNotLinearizable, result.outcome);
  EXPECT_EQ("register:3", result.object);
  EXPECT_THAT(result.report, HasSubstr("object register:3 is not linearizable"));
  history.operations.pop_back();
  result = check(history);
  EXPECT_EQ(Outcome::kLinearizable, result.outcome) << result.report;
  EXPECT_EQ(2u, result.objects);
  EXPECT_EQ(2u, result.operations);
  EXPECT_EQ("", result.object);
}

TEST(Check, AReportHasTheShortestPrefixTheLongestOrderAndWhatCannotFollow) {
  CheckResult result =
      check(of("register:1", {done("a", 0, 1'000'000, {"write", "x"}),
                              done("b", 2'000'000, 9'000'000, {"write", "y"}),
                              done("c", 3'000'000, 4'000'000, {"read"}, {"y"}),
                              done("c", 5'000'000, 6'000'000, {"read"}, {"x"}),
                              done("d", 7'000'000, 8'000'000, {"read"}, {"z"}),
                              done("d", 12'000'000, 13'000'000, {"write", "later"})}));
  EXPECT_EQ(Outcome::kNotLinearizable, result.outcome);
  // The read of z is wrong as well, but later.
  EXPECT_EQ(
      "object register:1 is not linearizable. Of its 6 operations the first 4, until the return "
      "of\n"
      "         5.000 to        6.000 ms  c read -> x\n"
      "have no order. These are, by invocation:\n"
      "         0.000 to        1.000 ms  a write x -> ok\n"
      "         2.000 to          ... ms  b write y -> ? (later)\n"
      "         3.000 to        4.000 ms  c read -> y\n"
      "         5.000 to        6.000 ms  c read -> x\n"
      "The longest order has 3 of them:\n"
      "         0.000 to        1.000 ms  a write x -> ok\n"
      "         2.000 to          ... ms  b write y -> ? (later)\n"
      "         3.000 to        4.000 ms  c read -> y\n"
      "The state is then: y\n"
      "None of these can come next:\n"
      "         5.000 to        6.000 ms  c read -> x\n",
      result.report);
}

TEST(Check, AReportOfALongHistoryIsShort) {
  std::vector<Operation> operations;
  for (int i = 0; i < 1000; ++i) {
    operations.push_back(done("a", 10 * i, 10 * i + 1, {"append", std::to_string(i)}));
  }
  operations.push_back(done("b", 20'000, 20'001, {"read"}, {"0", "1"}));
  CheckResult result = check(of("log:1", operations));
  EXPECT_EQ(Outcome::kNotLinearizable, result.outcome);
  EXPECT_THAT(result.report, HasSubstr("(961 before these)"));
  EXPECT_THAT(result.report, HasSubstr("The state is then: 1000 records, number 2 is 1\n"));
  EXPECT_LT(std::count(result.report.begin(), result.report.end(), '\n'), 100);
}

// Writes of which nobody knows the outcome, and a read that no order explains: all subsets count.
std::vector<Operation> hard(int unknown) {
  std::vector<Operation> operations;
  for (int i = 0; i < unknown; ++i) {
    operations.push_back(open("a", 0, {"create", std::to_string(i)}));
  }
  operations.push_back(done("b", 2, 3, {"lookup", "x"}, {"1"}));
  return operations;
}

TEST(Check, WhoHasTooLittleMemoryGivesUpAndSaysSo) {
  CheckOptions options;
  options.memory_bytes = 1 << 20;
  History history = of("names:1", hard(24));
  CheckResult result = check(history, options);
  EXPECT_EQ(Outcome::kGaveUp, result.outcome);
  EXPECT_EQ("names:1", result.object);
  EXPECT_THAT(result.report, HasSubstr("names:1: its search needs more than 1048576 bytes"));
  EXPECT_THAT(result.gave_up, ElementsAre("names:1"));
  EXPECT_LT(result.peak_bytes, size_t{2} << 20);
  // A violation elsewhere counts more.
  History wrong = of("register:1", {done("a", 0, 1, {"read"}, {"x"})});
  history.operations.push_back(wrong.operations[0]);
  result = check(history, options);
  EXPECT_EQ(Outcome::kNotLinearizable, result.outcome);
  EXPECT_EQ("register:1", result.object);
  EXPECT_THAT(result.gave_up, ElementsAre("names:1"));
  // With enough of it there is an answer.
  EXPECT_EQ(Outcome::kNotLinearizable, check(of("names:1", hard(10))).outcome);
}

// No configuration twice: 2^n subsets are visited, not n! orders.
TEST(Check, AConfigurationIsVisitedOnce) {
  CheckResult result = check(of("names:1", hard(10)));
  EXPECT_EQ(Outcome::kNotLinearizable, result.outcome);
  EXPECT_LT(result.steps, 11u << 10);
}

// Who has not needed an open operation can do all that is possible with it gone.
TEST(Check, AnOpenOperationThatLeavesNoTraceCostsNothing) {
  std::vector<Operation> operations;
  for (int i = 0; i < 30; ++i) {
    operations.push_back(open("a", 0, {"write", "open" + std::to_string(i)}));
  }
  for (int i = 0; i < 100; ++i) {
    std::string value = std::to_string(i);
    operations.push_back(done("b", 10 * i, 10 * i + 1, {"write", value}));
    operations.push_back(done("b", 10 * i + 2, 10 * i + 3, {"read"}, {value}));
  }
  operations.push_back(done("b", 2000, 2001, {"read"}, {"never"}));
  CheckResult result = check(of("register:1", operations));
  EXPECT_EQ(Outcome::kNotLinearizable, result.outcome);
  EXPECT_LT(result.steps, 1'000'000u);
}

// A counter that counts modulo 3, as a user would write it.
class Counter : public Specification {
 public:
  class Counting : public Model {
   public:
    explicit Counting(std::vector<const Operation*> operations)
        : operations_(std::move(operations)) {}
    State initial() const override { return "0"; }
    bool apply(size_t i, const State& before, State* after) const override {
      *after = std::string(1, before == "2" ? '0' : static_cast<char>(before[0] + 1));
      return operations_[i]->open() || operations_[i]->result[0] == *after;
    }
    std::string describe(const State& state) const override { return "it is " + state; }

   private:
    const std::vector<const Operation*> operations_;
  };
  std::unique_ptr<Model> model(const std::vector<const Operation*>& operations,
                               std::string*) const override {
    return std::make_unique<Counting>(operations);
  }
};

// Stairs: a call names the steps that it can take, as "01" for the one from 0 to 1.
class Stairs : public Specification {
 public:
  class Climbing : public Model {
   public:
    explicit Climbing(std::vector<const Operation*> operations)
        : operations_(std::move(operations)) {}
    State initial() const override { return "0"; }
    bool apply(size_t i, const State& before, State* after) const override {
      for (const std::string& step : operations_[i]->call) {
        if (step.substr(0, 1) != before) continue;
        *after = step.substr(1);
        return true;
      }
      return false;
    }
    std::string describe(const State& state) const override { return "at " + state; }

   private:
    const std::vector<const Operation*> operations_;
  };
  std::unique_ptr<Model> model(const std::vector<const Operation*>& operations,
                               std::string*) const override {
    return std::make_unique<Climbing>(operations);
  }
};

// Either can take the first step, only `both` the second one: at 1 it matters who is used up.
TEST(Check, TheSameStateWithOtherOpenOperationsLeftIsAnotherConfiguration) {
  Stairs stairs;
  const Operation both = open("a", 0, {"01", "12"}), one = open("b", 0, {"01"});
  const Operation top = done("c", 5, 6, {"22"}, {});
  for (const auto& operations : {std::vector{both, one, top}, std::vector{one, both, top}}) {
    EXPECT_EQ(Outcome::kLinearizable,
              check(of("stairs:1", operations), {}, {{"stairs", &stairs}}).outcome);
  }
}

TEST(Check, SpecificationsOfUsersAreUsed) {
  Counter counter;
  Specifications mine = {{"counter", &counter}};
  auto with = [&](Words results) {
    std::vector<Operation> operations;
    for (const std::string& result : results) {
      operations.push_back(done("a", 0, 10, {"next"}, {result}));
    }
    operations.push_back(open("b", 0, {"next"}));
    return check(of("counter:1", operations), {}, mine);
  };
  EXPECT_EQ(Outcome::kLinearizable, with({"0", "2", "1"}).outcome);
  EXPECT_EQ(Outcome::kLinearizable, with({"0", "2"}).outcome) << "the open one has got 1";
  EXPECT_EQ(Outcome::kNotLinearizable, with({"0", "0"}).outcome);
  EXPECT_THAT(with({"2", "2"}).report, HasSubstr("it is 2"));
  EXPECT_EQ(Outcome::kMalformed, check(of("register:1", hard(1)), {}, mine).outcome);
}

}  // namespace
}  // namespace myfs::lin
