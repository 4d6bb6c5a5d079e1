#include "cli/shell/commands/find_expression.h"

#include <algorithm>

#include "cli/shell/commands/find_tests.h"

namespace shell {
namespace {

using Test = FindTest;

// Recursive descent: list of -o, list of -a, one factor.
class FindParser {
 public:
  FindParser(const std::vector<std::string>& words, const FindContext& context, FindPlan* plan)
      : words_(words), context_(context), plan_(plan) {}

  std::string run() {
    Test test = at_end() ? always() : alternatives();
    if (error_.empty() && !at_end()) fail(words_[at_], "has no ( before it");
    if (!error_.empty()) return error_;
    if (!acts_) {
      test = both(std::move(test), [](const FindFile& file, FindWorld& world) {
        world.print(file, '\n');
        return true;
      });
    }
    plan_->test = std::move(test);
    return {};
  }

 private:
  static Test always() {
    return [](const FindFile&, FindWorld&) { return true; };
  }
  static Test both(Test first, Test second) {
    return [first = std::move(first), second = std::move(second)](const FindFile& file,
                                                                  FindWorld& world) {
      return first(file, world) && second(file, world);
    };
  }

  bool at_end() const { return at_ == words_.size(); }
  bool take(std::string_view a, std::string_view b) {
    if (at_end() || (words_[at_] != a && words_[at_] != b)) return false;
    ++at_;
    return true;
  }
  Test fail(const std::string& word, const std::string& reason) {
    if (error_.empty()) error_ = word + ": " + reason;
    return always();
  }

  Test alternatives() {
    Test test = conjunction();
    while (error_.empty() && take("-o", "-or")) {
      Test other = conjunction();
      test = [first = std::move(test), second = std::move(other)](const FindFile& file,
                                                                  FindWorld& world) {
        return first(file, world) || second(file, world);
      };
    }
    return test;
  }

  bool ends_conjunction() const {
    return at_end() || words_[at_] == "-o" || words_[at_] == "-or" || words_[at_] == ")";
  }

  Test conjunction() {
    Test test = factor();
    while (error_.empty() && !ends_conjunction()) {
      take("-a", "-and");
      test = both(std::move(test), factor());
    }
    return test;
  }

  Test factor() {
    if (ends_conjunction()) return fail(at_end() ? words_.back() : words_[at_], "nothing follows");
    if (take("!", "-not")) {
      return [inner = factor()](const FindFile& file, FindWorld& world) {
        return !inner(file, world);
      };
    }
    if (take("(", "(")) {
      Test inner = alternatives();
      if (error_.empty() && !take(")", ")")) return fail("(", "has no ) behind it");
      return inner;
    }
    return primary();
  }

  Test primary() {
    const std::string& name = words_[at_++];
    if (take_option(name)) return always();
    if (auto action = find_action(name)) {
      acts_ = acts_ || action->prints;
      if (name == "-delete") plan_->depth_first = true;
      return action->run;
    }
    if (auto test = find_plain_test(name)) return test;
    if (!find_takes_value(name)) return fail(name, "unknown predicate (`help find` lists them)");
    if (at_end()) return fail(name, "needs a value");
    const std::string& value = words_[at_++];
    Test test = find_value_test(name, value, context_);
    return test ? test : fail(name, "wrong value " + value);
  }

  // -depth, -maxdepth and others, which hold for all of the expression.
  bool take_option(const std::string& name) {
    if (name == "-depth") return plan_->depth_first = true;
    if (name == "-xdev" || name == "-mount") return plan_->one_file_system = true;
    if (name != "-maxdepth" && name != "-mindepth") return false;
    uint64_t levels = 0;
    if (at_end() || !find_number(words_[at_], &levels) || levels > INT_MAX) {
      fail(name, "needs a number of levels");
    } else {
      ++at_;
      (name == "-maxdepth" ? plan_->max_depth : plan_->min_depth) = static_cast<int>(levels);
    }
    return true;
  }

  const std::vector<std::string>& words_;
  const FindContext& context_;
  FindPlan* const plan_;
  size_t at_ = 0;
  bool acts_ = false;
  std::string error_;
};

}  // namespace

size_t find_starting_points(const std::vector<std::string>& words) {
  auto first = std::find_if(words.begin(), words.end(), [](const std::string& word) {
    return word == "(" || word == ")" || word == "!" || (word.size() > 1 && word[0] == '-');
  });
  return static_cast<size_t>(first - words.begin());
}

std::string parse_find(const std::vector<std::string>& words, const FindContext& context,
                       FindPlan* plan) {
  return FindParser(words, context, plan).run();
}

}  // namespace shell
