#include <myfs/linearizability.h>

#include <algorithm>
#include <utility>

namespace myfs::lin {
namespace {

using Operations = std::vector<const Operation*>;
using Words = std::vector<std::string>;

// The word that a call begins with, if it has as many arguments as that wants.
bool is_call(const Operation& operation, std::string_view kind, size_t arguments) {
  return operation.call.size() == arguments + 1 && operation.call[0] == kind;
}

// An open operation may have had any result.
bool may_answer(const Operation& operation, std::string_view result) {
  return operation.open() || (operation.result.size() == 1 && operation.result[0] == result);
}

bool answers_one_of(const Operation& operation, std::initializer_list<std::string_view> results) {
  return operation.open() ||
         (operation.result.size() == 1 &&
          std::find(results.begin(), results.end(), operation.result[0]) != results.end());
}

// A model that has the operations and no other parts.
class PlainModel : public Model {
 public:
  explicit PlainModel(const Operations& operations) : operations_(operations) {}
  State initial() const override { return {}; }

 protected:
  const Operation& at(size_t i) const { return *operations_[i]; }

 private:
  const Operations operations_;
};

// A specification whose operations can be judged one by one.
template <class OfType>
class PlainSpecification : public Specification {
 public:
  std::unique_ptr<Model> model(const Operations& operations, std::string* why) const override {
    for (const Operation* operation : operations) {
      if (OfType::understands(*operation)) continue;
      *why = "no such operation or result: " + to_text(*operation);
      return nullptr;
    }
    return std::make_unique<OfType>(operations);
  }
};

class Register : public PlainModel {
 public:
  using PlainModel::PlainModel;
  static bool understands(const Operation& operation) {
    if (is_call(operation, "read", 0)) return operation.open() || operation.result.size() == 1;
    return is_call(operation, "write", 1) && may_answer(operation, "ok");
  }
  bool apply(size_t i, const State& before, State* after) const override {
    bool writes = at(i).call.size() == 2;
    *after = writes ? at(i).call[1] : before;
    return writes || may_answer(at(i), before);
  }
  bool is_query(size_t i) const override { return at(i).call[0] == "read"; }
};

// The longest read tells the order of the records that it shows: what is appended at one of these
// places is the record that stands there. The state is the number of records.
class Log : public PlainModel {
 public:
  explicit Log(const Operations& operations) : PlainModel(operations) {
    for (const Operation* operation : operations) {
      if (operation->call.size() != 1 || operation->open()) continue;
      if (operation->result.size() > longest_.size()) longest_ = operation->result;
    }
  }
  static bool understands(const Operation& operation) {
    return is_call(operation, "read", 0) ||
           (is_call(operation, "append", 1) && may_answer(operation, "ok"));
  }
  State initial() const override { return "0"; }
  bool apply(size_t i, const State& before, State* after) const override {
    size_t size = std::stoull(before);
    bool appends = at(i).call.size() == 2;
    *after = appends ? std::to_string(size + 1) : before;
    if (appends) return size >= longest_.size() || longest_[size] == at(i).call[1];
    const Words& seen = at(i).result;
    return at(i).open() ||
           (seen.size() == size && std::equal(seen.begin(), seen.end(), longest_.begin()));
  }
  bool is_query(size_t i) const override { return at(i).call[0] == "read"; }
  std::string describe(const State& state) const override {
    size_t size = std::stoull(state), known = std::min(size, longest_.size());
    std::string text = state + " records";
    if (known > 0) text += ", number " + std::to_string(known) + " is " + longest_[known - 1];
    return text;
  }

 private:
  Words longest_;
};

// Names and identities. "?7" is the identity of what operation 7 has created, as long as nobody has
// seen it.
class Directory {
 public:
  explicit Directory(const State& state) {
    for (size_t at = 0; at < state.size();) {
      size_t middle = state.find('\0', at), end = state.find('\0', middle + 1);
      names_.emplace(state.substr(at, middle - at), state.substr(middle + 1, end - middle - 1));
      at = end + 1;
    }
  }
  State state() const {
    State state;
    for (const auto& [name, identity] : names_) {
      state.append(name).push_back('\0');
      state.append(identity).push_back('\0');
    }
    return state;
  }

  const std::map<std::string, std::string>& names() const { return names_; }
  bool has(const std::string& name) const { return names_.count(name) > 0; }
  const std::string& of(const std::string& name) const { return names_.at(name); }
  void set(const std::string& name, std::string identity) { names_[name] = std::move(identity); }
  void erase(const std::string& name) { names_.erase(name); }
  bool has_identity(const std::string& identity) const {
    return std::any_of(names_.begin(), names_.end(),
                       [&](const auto& entry) { return entry.second == identity; });
  }
  // Whether what `name` names may be `identity`; from now on it is.
  bool learn(const std::string& name, const std::string& identity) {
    if (!has(name)) return false;
    const std::string known = of(name);
    if (known == identity || identity == "-") return true;
    if (known[0] != '?' || has_identity(identity)) return false;
    for (auto& entry : names_) {
      if (entry.second == known) entry.second = identity;
    }
    return true;
  }

 private:
  std::map<std::string, std::string> names_;
};

class Names : public PlainModel {
 public:
  explicit Names(const Operations& operations) : PlainModel(operations) {
    for (const Operation* operation : operations) {
      if (operation->call[0] != "create") continue;
      learns_ = learns_ || operation->open() || operation->result == Words{"ok"};
    }
  }

  static bool understands(const Operation& operation) {
    for (const std::string& word : operation.call) {
      if (word.find('\0') != std::string::npos) return false;
    }
    if (is_call(operation, "lookup", 1)) return operation.open() || operation.result.size() == 1;
    if (is_call(operation, "list", 0) || is_call(operation, "list", 1)) {
      return operation.open() || operation.result.size() % 2 == 0;
    }
    if (is_call(operation, "create", 1)) {
      return answers_one_of(operation, {"ok", "EEXIST"}) ||
             (operation.result.size() == 2 && operation.result[0] == "ok" &&
              !operation.result[1].empty() && operation.result[1][0] != '?');
    }
    if (is_call(operation, "unlink", 1) || is_call(operation, "rename", 2) ||
        is_call(operation, "exchange", 2)) {
      return answers_one_of(operation, {"ok", "ENOENT"});
    }
    bool makes_name = is_call(operation, "link", 2) || is_call(operation, "link_open", 2) ||
                      is_call(operation, "rename_noreplace", 2);
    return makes_name && answers_one_of(operation, {"ok", "ENOENT", "EEXIST"});
  }

  bool apply(size_t i, const State& before, State* after) const override {
    Directory names(before);
    const std::string& kind = at(i).call[0];
    bool possible = false;
    if (kind == "lookup") {
      possible = lookup(at(i), &names);
    } else if (kind == "list") {
      possible = list(at(i), &names);
    } else {
      std::string answer = change(i, &names);
      bool changes = answer == "ok";
      possible = at(i).open() ? changes : at(i).result[0] == answer;
    }
    *after = names.state();
    return possible;
  }
  bool is_query(size_t i) const override {
    const std::string& kind = at(i).call[0];
    const Words& result = at(i).result;
    bool fails = result.size() == 1 && (result[0] == "ENOENT" || result[0] == "EEXIST");
    return fails || ((kind == "lookup" || kind == "list") && !learns_);
  }

  std::string describe(const State& state) const override {
    const Directory directory(state);
    std::string text;
    for (const auto& [name, identity] : directory.names()) {
      text += (text.empty() ? "" : " ") + name + "=" + identity;
    }
    return text.empty() ? "(no names)" : text;
  }

 private:
  static bool lookup(const Operation& operation, Directory* names) {
    const std::string& name = operation.call[1];
    if (operation.open()) return false;
    if (operation.result[0] == "ENOENT") return !names->has(name);
    return names->learn(name, operation.result[0]);
  }

  static bool list(const Operation& operation, Directory* names) {
    if (operation.open()) return false;
    std::string_view prefix = operation.call.size() == 2 ? operation.call[1] : std::string_view();
    auto expected = std::count_if(names->names().begin(), names->names().end(), [&](auto& entry) {
      return entry.first.compare(0, prefix.size(), prefix) == 0;
    });
    if (static_cast<size_t>(expected) * 2 != operation.result.size()) return false;
    std::map<std::string, std::string> seen;
    for (size_t i = 0; i < operation.result.size(); i += 2) {
      const std::string& name = operation.result[i];
      if (name.compare(0, prefix.size(), prefix) != 0) return false;
      if (!seen.emplace(name, operation.result[i + 1]).second) return false;
      if (!names->learn(name, operation.result[i + 1])) return false;
    }
    return true;
  }

  // Executes a change; returns what its caller is told.
  std::string change(size_t i, Directory* names) const {
    const Operation& operation = at(i);
    const std::string& kind = operation.call[0];
    const std::string& a = operation.call[1];
    if (kind == "create") {
      if (names->has(a)) return "EEXIST";
      bool told = !operation.open() && operation.result.size() == 2;
      if (told && names->has_identity(operation.result[1])) return "in use";
      names->set(a, told ? operation.result[1] : "?" + std::to_string(i));
      return "ok";
    }
    if (kind == "unlink") {
      if (!names->has(a)) return "ENOENT";
      names->erase(a);
      return "ok";
    }
    const std::string& b = operation.call[2];
    if (kind == "link_open") {
      // The kernel makes sure of the new name first.
      if (names->has(b)) return "EEXIST";
      if (!names->has_identity(a)) return "ENOENT";
      names->set(b, a);
      return "ok";
    }
    if (!names->has(a)) return "ENOENT";
    if (kind == "link" || kind == "rename_noreplace") {
      if (names->has(b)) return "EEXIST";
      names->set(b, names->of(a));
      if (kind != "link") names->erase(a);
    } else if (kind == "rename") {
      if (names->has(b) && names->of(b) == names->of(a)) return "ok";
      names->set(b, names->of(a));
      names->erase(a);
    } else {
      if (!names->has(b)) return "ENOENT";
      std::string was = names->of(b);
      names->set(b, names->of(a));
      names->set(a, was);
    }
    return "ok";
  }

  bool learns_ = false;  // there are files whose identity only a query tells
};

// The state is a letter and an owner for each holder, as in "sone\0stwo\0".
class Lock : public PlainModel {
 public:
  using PlainModel::PlainModel;
  static bool understands(const Operation& operation) {
    for (const std::string& word : operation.call) {
      if (word.find('\0') != std::string::npos) return false;
    }
    if (is_call(operation, "unlock", 1) || is_call(operation, "die", 1)) {
      return may_answer(operation, "ok");
    }
    return is_call(operation, "lock", 2) && answers_one_of(operation, {"ok", "EAGAIN"}) &&
           (operation.call[2] == "exclusive" || operation.call[2] == "shared");
  }

  bool apply(size_t i, const State& before, State* after) const override {
    const std::string& owner = at(i).call[1];
    std::map<std::string, char> holders = holders_of(before);
    bool free = true;
    holders.erase(owner);
    if (at(i).call[0] == "lock") {
      bool exclusive = at(i).call[2] == "exclusive";
      for (const auto& [other, type] : holders) free = free && type == 's' && !exclusive;
      if (free) holders[owner] = exclusive ? 'e' : 's';
    }
    if (!free) *after = before;
    for (const auto& [holder, type] : holders) {
      if (free) after->append(1, type).append(holder).push_back('\0');
    }
    return at(i).open() ? free : at(i).result[0] == (free ? "ok" : "EAGAIN");
  }

  bool is_query(size_t i) const override { return at(i).result[0] == "EAGAIN"; }
  std::string describe(const State& state) const override {
    const std::map<std::string, char> holders = holders_of(state);
    std::string text;
    for (const auto& [owner, type] : holders) {
      text += (text.empty() ? "" : ", ") + owner + (type == 'e' ? " exclusive" : " shared");
    }
    return text.empty() ? "free" : text;
  }

 private:
  static std::map<std::string, char> holders_of(const State& state) {
    std::map<std::string, char> holders;
    for (size_t at = 0; at < state.size();) {
      size_t end = state.find('\0', at);
      holders[state.substr(at + 1, end - at - 1)] = state[at];
      at = end + 1;
    }
    return holders;
  }
};

}  // namespace

Model::~Model() = default;
bool Model::is_query(size_t) const { return false; }
std::string Model::describe(const State& state) const { return state; }
Specification::~Specification() = default;

const Specifications& ready_made() {
  static const PlainSpecification<Register> registers;
  static const PlainSpecification<Log> logs;
  static const PlainSpecification<Names> names;
  static const PlainSpecification<Lock> locks;
  static const Specifications all = {
      {"register", &registers}, {"log", &logs}, {"names", &names}, {"lock", &locks}};
  return all;
}

}  // namespace myfs::lin
