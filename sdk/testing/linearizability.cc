#include <myfs/linearizability.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace myfs::lin {
namespace {

using Operations = std::vector<const Operation*>;

constexpr size_t kNever = SIZE_MAX;      // the place of a return that does not come
constexpr size_t kEntryOverhead = 64;    // of a remembered configuration, beyond its bytes
constexpr size_t kShownOperations = 40;  // of each list in a report

// When an operation began and ended, as places in the order of all events of its object.
struct Span {
  size_t begin = 0;
  size_t end = kNever;
};

// In the order of invocation. At one time invocations come first: what touches is concurrent.
std::vector<Span> spans_of(const Operations& operations) {
  std::vector<std::tuple<int64_t, bool, size_t>> events;
  for (size_t i = 0; i < operations.size(); ++i) {
    events.emplace_back(operations[i]->invoked_ns, false, i);
    if (!operations[i]->open()) events.emplace_back(operations[i]->returned_ns, true, i);
  }
  std::sort(events.begin(), events.end());
  std::vector<Span> spans(operations.size());
  for (size_t place = 0; place < events.size(); ++place) {
    auto [time_ns, ends, i] = events[place];
    (ends ? spans[i].end : spans[i].begin) = place;
  }
  return spans;
}

// Over the orders of one object's operations [Wing & Gong, Lowe]. Open operations come late: all
// configurations with fewer of them are visited before, so what they lead to is nothing new if it
// could be had without them.
//
// Invariants: (1) order_ lists the operations done on the way to current_; (2) the others are
// linked in the order of invocation; (3) visited_ has each configuration that a choice has led to,
// or one that leads wherever it does.
class Search {
 public:
  enum class Verdict { kOrdered, kNoOrder, kGaveUp };

  Search(const Operations& operations, const Model& model, size_t memory_bytes)
      : model_(model), memory_bytes_(memory_bytes), spans_(spans_of(operations)) {
    auto count = static_cast<uint32_t>(operations.size());
    next_.resize(count + 1);
    previous_.resize(count + 1);
    for (uint32_t i = 0; i <= count; ++i) {
      next_[i] = i == count ? 0 : i + 1;
      previous_[i] = i == 0 ? count : i - 1;
    }
    for (const Span& span : spans_) left_ += span.end != kNever;
    bytes_ = count * (sizeof(Span) + 3 * sizeof(uint32_t));
  }

  Verdict run() {
    Node root;
    root.state = model_.initial();
    nodes_.push_back(std::move(root));
    if (left_ > 0) expand();
    while (left_ > 0) {
      if (now_.empty()) now_.swap(later_);
      if (now_.empty()) return Verdict::kNoOrder;
      Step step = now_.back();
      now_.pop_back();
      take(step);
      size_t bytes = bytes_ + (now_.capacity() + later_.capacity()) * sizeof(Step);
      peak_bytes_ = std::max(peak_bytes_, bytes);
      if (bytes > memory_bytes_) return Verdict::kGaveUp;
    }
    return Verdict::kOrdered;
  }

  uint64_t steps() const { return steps_; }
  size_t peak_bytes() const { return peak_bytes_; }
  // The longest order after which nothing was possible, and the state after it.
  const std::vector<uint32_t>& best_order() const { return best_order_; }
  const State& best_state() const { return best_state_; }

  // Operations that can be next in real time, in the order of invocation.
  static std::vector<uint32_t> frontier(const std::vector<Span>& spans,
                                        const std::vector<bool>& done) {
    std::vector<uint32_t> result;
    size_t limit = kNever;
    for (uint32_t i = 0; i < spans.size(); ++i) {
      if (done[i]) continue;
      if (spans[i].begin > limit) break;
      result.push_back(i);
      limit = std::min(limit, spans[i].end);
    }
    return result;
  }

 private:
  // A configuration, and how it was come by.
  struct Node {
    uint32_t parent = 0;
    uint32_t operation = 0;
    uint32_t depth = 0;
    uint32_t end = 0;  // behind the greatest number done of those not open
    State state;
  };
  struct Step {
    uint32_t from = 0;
    uint32_t operation = 0;
    bool chosen = true;  // there are others
  };

  uint32_t head() const { return static_cast<uint32_t>(spans_.size()); }
  bool is_open(uint32_t i) const { return spans_[i].end == kNever; }

  void do_next(uint32_t i) {
    next_[previous_[i]] = next_[i];
    previous_[next_[i]] = previous_[i];
    order_.push_back(i);
    if (is_open(i)) {
      open_done_.push_back(i);
    } else {
      --left_;
    }
  }
  void undo_last() {
    uint32_t i = order_.back();
    next_[previous_[i]] = i;
    previous_[next_[i]] = i;
    order_.pop_back();
    if (is_open(i)) {
      open_done_.pop_back();
    } else {
      ++left_;
    }
  }

  void go_to(uint32_t target) {
    std::vector<uint32_t> down;
    for (uint32_t at = target; at != current_;) {
      if (nodes_[at].depth >= nodes_[current_].depth) {
        down.push_back(at);
        at = nodes_[at].parent;
      } else {
        undo_last();
        current_ = nodes_[current_].parent;
      }
    }
    for (; !down.empty(); down.pop_back()) do_next(nodes_[down.back()].operation);
    current_ = target;
  }

  void take(const Step& step) {
    go_to(step.from);
    const Node& from = nodes_[step.from];
    Node next;
    next.parent = step.from;
    next.operation = step.operation;
    next.depth = from.depth + 1;
    next.end = is_open(step.operation) ? from.end : std::max(from.end, step.operation + 1);
    model_.apply(step.operation, from.state, &next.state);
    do_next(step.operation);
    if (step.chosen && !remember(next)) return undo_last();
    bytes_ += sizeof next + next.state.capacity();
    current_ = static_cast<uint32_t>(nodes_.size());
    nodes_.push_back(std::move(next));
    if (left_ > 0) expand();
  }

  // Finds what can come next. What leaves every state as it is can as well come at once: then it is
  // the only choice. Who has to end first is in front.
  void expand() {
    size_t limit = kNever;
    for (uint32_t i = next_[head()]; i != head() && spans_[i].begin < limit; i = next_[i]) {
      limit = std::min(limit, spans_[i].end);
    }
    const State& state = nodes_[current_].state;
    std::vector<uint32_t> choices;
    for (uint32_t i = next_[head()]; i != head() && spans_[i].begin < limit; i = next_[i]) {
      State after;
      ++steps_;
      if (!model_.apply(i, state, &after) || (is_open(i) && after == state)) continue;
      if (!is_open(i) && model_.is_query(i)) return now_.push_back({current_, i, false});
      choices.push_back(i);
    }
    std::sort(choices.begin(), choices.end(), [&](uint32_t a, uint32_t b) {
      return std::tie(spans_[b].end, spans_[b].begin) < std::tie(spans_[a].end, spans_[a].begin);
    });
    for (uint32_t i : choices) (is_open(i) ? later_ : now_).push_back({current_, i, true});
    if (choices.empty() && (order_.size() > best_order_.size() || best_order_.empty())) {
      best_order_ = order_;
      best_state_ = state;
    }
  }

  // False: this configuration was here before, or one that can do whatever it can: with the same
  // state, the same operations done of those that must be, and some fewer open ones.
  bool remember(const Node& node) {
    std::string key(reinterpret_cast<const char*>(&node.end), sizeof node.end);
    uint32_t holes = 0;
    for (uint32_t i = next_[head()]; i != head() && i < node.end; i = next_[i]) {
      if (is_open(i)) continue;
      key.append(reinterpret_cast<const char*>(&i), sizeof i);
      ++holes;
    }
    key.append(reinterpret_cast<const char*>(&holes), sizeof holes);
    key.append(node.state);
    size_t size = key.capacity() + kEntryOverhead;
    auto [entry, fresh] = visited_.try_emplace(std::move(key));
    if (fresh) bytes_ += size;
    std::vector<uint32_t> open = open_done_;
    std::sort(open.begin(), open.end());
    for (const std::vector<uint32_t>& fewer : entry->second) {
      if (std::includes(open.begin(), open.end(), fewer.begin(), fewer.end())) return false;
    }
    bytes_ += sizeof(std::vector<uint32_t>) + open.capacity() * sizeof(uint32_t);
    entry->second.push_back(std::move(open));
    return true;
  }

  const Model& model_;
  const size_t memory_bytes_;
  const std::vector<Span> spans_;
  std::vector<uint32_t> next_, previous_;  // of those not done; the last element is the head
  size_t left_ = 0;                        // operations that must still be done
  std::vector<Node> nodes_;
  uint32_t current_ = 0;
  std::vector<Step> now_;    // the last one first
  std::vector<Step> later_;  // open operations: when now_ is empty
  std::vector<uint32_t> order_;
  std::vector<uint32_t> open_done_;  // of order_, those that are open
  std::vector<uint32_t> best_order_;
  State best_state_;
  // By all but the open operations done: these.
  absl::flat_hash_map<std::string, std::vector<std::vector<uint32_t>>> visited_;
  uint64_t steps_ = 0;
  size_t bytes_ = 0, peak_bytes_ = 0;
};

// One object's history.
class ObjectCheck {
 public:
  ObjectCheck(std::string name, Operations operations, const Specification& specification,
              const CheckOptions& options)
      : name_(std::move(name)),
        operations_(std::move(operations)),
        specification_(specification),
        options_(options) {
    std::stable_sort(operations_.begin(), operations_.end(),
                     [](auto* a, auto* b) { return a->invoked_ns < b->invoked_ns; });
  }

  // Adds what it did to `result`; sets outcome, object and report unless all is well.
  void run(CheckResult* result) {
    std::string why;
    std::unique_ptr<Model> model = specification_.model(operations_, &why);
    if (model == nullptr) {
      result->outcome = Outcome::kMalformed;
      result->object = name_;
      result->report = absl::StrCat("object ", name_, ": ", why);
      return;
    }
    Search search(operations_, *model, options_.memory_bytes);
    Search::Verdict verdict = search.run();
    ++result->objects;
    result->operations += operations_.size();
    result->steps += search.steps();
    result->peak_bytes = std::max(result->peak_bytes, search.peak_bytes());
    if (verdict == Search::Verdict::kGaveUp) result->gave_up.push_back(name_);
    if (verdict != Search::Verdict::kNoOrder) return;
    result->outcome = Outcome::kNotLinearizable;
    result->object = name_;
    result->report = explain();
  }

 private:
  // The history up to an event: what has not returned by then is open.
  struct Prefix {
    std::vector<Operation> operations;
    Operations pointers;
    std::unique_ptr<Model> model;
    std::unique_ptr<Search> search;
    Search::Verdict verdict = Search::Verdict::kGaveUp;
  };

  Prefix prefix(const Operation& last) const {
    Prefix result;
    for (const Operation* operation : operations_) {
      if (operation->invoked_ns > last.returned_ns) break;
      Operation& copy = result.operations.emplace_back(*operation);
      if (copy.open() || copy.returned_ns <= last.returned_ns) continue;
      copy.returned_ns = kOpen;
      copy.result.clear();
      copy.note = "later";
    }
    for (const Operation& operation : result.operations) result.pointers.push_back(&operation);
    std::string why;
    result.model = specification_.model(result.pointers, &why);
    if (result.model == nullptr) return result;
    result.search = std::make_unique<Search>(result.pointers, *result.model, options_.memory_bytes);
    result.verdict = result.search->run();
    return result;
  }

  // That a prefix has no order is true of every longer one as well, so the shortest is found by
  // bisection.
  std::string explain() const {
    Operations by_return;
    for (const Operation* operation : operations_) {
      if (!operation->open()) by_return.push_back(operation);
    }
    std::stable_sort(by_return.begin(), by_return.end(),
                     [](auto* a, auto* b) { return a->returned_ns < b->returned_ns; });
    size_t below = 0, at = by_return.size() - 1;
    while (below < at) {
      size_t middle = below + (at - below) / 2;
      if (prefix(*by_return[middle]).verdict == Search::Verdict::kNoOrder) {
        at = middle;
      } else {
        below = middle + 1;
      }
    }
    return report(prefix(*by_return[at]), *by_return[at]);
  }

  std::string line(const Operation& operation) const {
    int64_t zero = operations_.front()->invoked_ns;
    auto ms = [&](int64_t time_ns) { return static_cast<double>(time_ns - zero) / 1e6; };
    std::string end = operation.open() ? "..." : absl::StrFormat("%.3f", ms(operation.returned_ns));
    return absl::StrFormat("  %12.3f to %12s ms  %s\n", ms(operation.invoked_ns), end,
                           to_text(operation));
  }

  template <class Indexes>
  std::string lines(const Prefix& prefix, const Indexes& indexes) const {
    std::string text;
    size_t left_out = indexes.size() - std::min(indexes.size(), kShownOperations);
    if (left_out > 0) absl::StrAppend(&text, "  (", left_out, " before these)\n");
    for (size_t i = left_out; i < indexes.size(); ++i) text += line(*prefix.pointers[indexes[i]]);
    return text;
  }

  std::string report(const Prefix& prefix, const Operation& last) const {
    std::vector<uint32_t> all;
    for (uint32_t i = 0; i < prefix.pointers.size(); ++i) all.push_back(i);
    std::string text =
        absl::StrCat("object ", name_, " is not linearizable. Of its ", operations_.size(),
                     " operations the first ", all.size(), ", until the return of\n", line(last),
                     "have no order. These are, by invocation:\n", lines(prefix, all));
    if (prefix.search == nullptr) return text;
    const std::vector<uint32_t>& order = prefix.search->best_order();
    std::vector<bool> done(prefix.pointers.size(), false);
    for (uint32_t i : order) done[i] = true;
    absl::StrAppend(&text, "The longest order has ", order.size(), " of them:\n",
                    lines(prefix, order),
                    "The state is then: ", prefix.model->describe(prefix.search->best_state()),
                    "\nNone of these can come next:\n",
                    lines(prefix, Search::frontier(spans_of(prefix.pointers), done)));
    return text;
  }

  const std::string name_;
  Operations operations_;
  const Specification& specification_;
  const CheckOptions& options_;
};

}  // namespace

CheckResult check(const History& history, const CheckOptions& options,
                  const Specifications& specifications) {
  std::map<std::string, Operations> objects;
  for (const Operation& operation : history.operations) {
    objects[operation.object].push_back(&operation);
  }
  CheckResult result;
  for (auto& [name, operations] : objects) {
    auto found = specifications.find(name.substr(0, name.find(':')));
    if (found == specifications.end()) {
      result.outcome = Outcome::kMalformed;
      result.object = name;
      result.report = absl::StrCat("object ", name, ": no specification for its type");
      return result;
    }
    ObjectCheck(name, std::move(operations), *found->second, options).run(&result);
    if (result.outcome != Outcome::kLinearizable) return result;
  }
  if (result.gave_up.empty()) return result;
  result.outcome = Outcome::kGaveUp;
  result.object = result.gave_up.front();
  result.report = absl::StrCat("gave up ", result.gave_up.size(), " objects, the first is ",
                               result.object, ": its search needs more than ", options.memory_bytes,
                               " bytes (CheckOptions::memory_bytes)");
  return result;
}

}  // namespace myfs::lin
