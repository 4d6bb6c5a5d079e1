// Commands on extended attributes: getfattr, setfattr.

#include <regex.h>

#include <algorithm>
#include <memory>

#include "cli/shell/shell.h"
#include "cli/shell/text/json.h"
#include "cli/shell/text/xattr_text.h"
#include "cli/shell/tree/xattrs.h"

namespace shell {
namespace {

Links links_of(const Args& args) { return args.has("h") ? Links::kThemselves : Links::kFollow; }

// Which names getfattr shows: those of user. unless -m says otherwise.
class NameFilter {
 public:
  NameFilter() = default;
  ~NameFilter() {
    if (compiled_) ::regfree(&regex_);
  }
  NameFilter(const NameFilter&) = delete;
  NameFilter& operator=(const NameFilter&) = delete;

  // False: no regular expression.
  bool set(const std::string& pattern) {
    if (pattern == "-") return true;
    compiled_ = ::regcomp(&regex_, pattern.c_str(), REG_EXTENDED | REG_NOSUB) == 0;
    return compiled_;
  }
  bool passes(const std::string& name) const {
    return !compiled_ || ::regexec(&regex_, name.c_str(), 0, nullptr, 0) == 0;
  }

 private:
  regex_t regex_;
  bool compiled_ = false;
};

class AttributePrinter {
 public:
  AttributePrinter(Shell& shell, const Args& args) : shell_(shell), args_(args) {
    if (args.has("json")) json_ = std::make_unique<JsonArray>(shell.out());
  }

  // 0, or the status of wrong usage.
  int prepare() {
    const std::string* pattern = args_.value("m");
    const std::string wanted = pattern != nullptr ? *pattern : "^user\\.";
    if (!filter_.set(wanted)) {
      return shell_.wrong(args_, wanted + ": must be a regular expression, or -");
    }
    const std::string* encoding = args_.value("e");
    if (encoding == nullptr) return 0;
    if (*encoding == "text") encoding_ = XattrEncoding::kText;
    if (*encoding == "hex") encoding_ = XattrEncoding::kHex;
    if (*encoding == "base64") encoding_ = XattrEncoding::kBase64;
    if (encoding_ != XattrEncoding::kAuto) return 0;
    return shell_.wrong(args_, *encoding + ": must be text, hex or base64");
  }

  int print(const std::string& path) {
    std::vector<std::string> names = args_.values("n");
    if (names.empty()) {
      auto listed = list_xattrs(shell_, path, links_of(args_));
      if (!listed) return shell_.fail(args_, path, listed.error());
      names = *std::move(listed);
      std::erase_if(names, [&](const std::string& name) { return !filter_.passes(name); });
      std::sort(names.begin(), names.end());
    }
    return json_ != nullptr ? print_json(path, names) : print_text(path, names);
  }

 private:
  myfs::Result<std::string> value_of(const std::string& path, const std::string& name) {
    return get_xattr(shell_, path, name, links_of(args_));
  }

  int print_text(const std::string& path, const std::vector<std::string>& names) {
    std::string text;
    bool values = args_.has("d") || args_.has("n") || args_.has("e") || args_.has("only-values");
    for (const std::string& name : names) {
      if (!values) {
        text += shell_.out().shown(name) + "\n";
        continue;
      }
      auto value = value_of(path, name);
      if (!value) return shell_.fail(args_, path + ": " + name, value.error());
      text +=
          args_.has("only-values") ? *value : name + "=" + encode_value(*value, encoding_) + "\n";
    }
    if (text.empty()) return 0;
    if (args_.has("only-values")) {
      shell_.out().write(text);
    } else {
      shell_.out().write("# file: " + shell_.out().shown(path) + "\n" + text + "\n");
    }
    return 0;
  }

  int print_json(const std::string& path, const std::vector<std::string>& names) {
    std::string list;
    for (const std::string& name : names) {
      auto value = value_of(path, name);
      if (!value) return shell_.fail(args_, path + ": " + name, value.error());
      JsonObject attribute;
      attribute.add("name", name).add("value", *value);
      list += (list.empty() ? "" : ",") + attribute.text();
    }
    JsonObject object;
    object.add("path", path).add_json("attributes", "[" + list + "]");
    json_->add(object);
    return 0;
  }

  Shell& shell_;
  const Args& args_;
  NameFilter filter_;
  XattrEncoding encoding_ = XattrEncoding::kAuto;
  std::unique_ptr<JsonArray> json_;
};

int run_getfattr(Shell& shell, const Args& args) {
  AttributePrinter printer(shell, args);
  if (int status = printer.prepare(); status != 0) return status;
  int status = 0;
  for (const std::string& path : args.words) {
    if (!shell.stopped()) status |= printer.print(path);
  }
  return status;
}

int run_setfattr(Shell& shell, const Args& args) {
  const std::string* name = args.value("n");
  const std::string* removed = args.value("x");
  if ((name == nullptr) == (removed == nullptr)) {
    return shell.wrong(args, "one of -n NAME and -x NAME is needed");
  }
  const std::string* given = args.value("v");
  const std::string text = given != nullptr ? *given : "";
  auto value = decode_value(text);
  if (!value) return shell.wrong(args, text + ": must be text, 0x and digits, or 0s and base64");
  int status = 0;
  for (const std::string& path : args.words) {
    auto done = removed != nullptr ? remove_xattr(shell, path, *removed, links_of(args))
                                   : set_xattr(shell, path, *name, *value, links_of(args));
    if (!done) status = shell.fail(args, path, done.error());
  }
  return status;
}

}  // namespace

void add_xattr_commands(std::vector<Command>& table) {
  table.push_back({"getfattr",
                   {{"n", "name", "NAME", "only this one, with its value"},
                    {"d", "dump", "", "values, too"},
                    {"e", "encoding", "ENCODING", "values as text, hex or base64"},
                    {"m", "match", "PATTERN", "names that match (default ^user\\.; -: all)"},
                    {"h", "no-dereference", "", "of a symbolic link itself"},
                    {"", "only-values", "", "values as they are and nothing else"},
                    {"", "json", "", "an array of objects: path, attributes (name, value)"}},
                   "PATH...",
                   1,
                   -1,
                   Operands::kRemote,
                   "list extended attributes",
                   "",
                   run_getfattr});
  table.push_back(
      {"setfattr",
       {{"n", "name", "NAME", "set this one"},
        {"v", "value", "VALUE", "to this value (default: no bytes)"},
        {"x", "remove", "NAME", "remove this one"},
        {"h", "no-dereference", "", "of a symbolic link itself"}},
       "PATH...",
       1,
       -1,
       Operands::kRemote,
       "set or remove an extended attribute",
       "VALUE is taken as it is, but for \"text\" with \\ooo, 0x and hexadecimal digits, 0s\n"
       "and base64.\n",
       run_setfattr});
}

}  // namespace shell
