// Command: what the shell knows of a command, and the words of one call sorted by that. Parsing,
// usage lines, help and completion all come from the one description, so that none of them can tell
// of an option that another does not know.
// Thread safety: the table is made once and is constant; all else belongs to its caller.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace shell {

class Shell;

struct Option {
  const char* letter;  // "r" of -r, "rR" if -R means the same; "" if it has none
  const char* name;    // "recursive" of --recursive; "" if it has none
  const char* value;   // what its value is called in the help; "" if it takes none
  const char* help;
  // How has() and value() know it.
  std::string_view id() const {
    return letter[0] != '\0' ? std::string_view(letter, 1) : std::string_view(name);
  }
  bool takes_value() const { return value[0] != '\0'; }
};

// What the operands are: patterns in them are expanded and completion is made accordingly.
enum class Operands {
  kText,        // no paths
  kRemote,      // paths in MyFS
  kLocal,       // paths of the local system
  kPut,         // local ones; the last in MyFS, if there are several
  kGet,         // in MyFS; the last local, if there are several
  kTextRemote,  // a text, then paths in MyFS
  kRemoteText,  // a path in MyFS, then text
  kFind,        // paths in MyFS up to the first word of find's expression
};
enum class Operand { kText, kRemote, kLocal };

// The words of a call, options taken out.
class Args {
 public:
  std::string command;
  std::vector<std::string> words;  // the operands

  // Whether the option was given: "r", or the long name of one without a letter.
  bool has(std::string_view id) const { return options_.find(id) != options_.end(); }
  // Its last value; null if it was not given.
  const std::string* value(std::string_view id) const;
  const std::vector<std::string>& values(std::string_view id) const;
  void add(std::string_view id, std::string value) {
    options_[std::string(id)].push_back(std::move(value));
  }

 private:
  std::map<std::string, std::vector<std::string>, std::less<>> options_;
};

struct Command {
  const char* name;
  std::vector<Option> options;
  const char* operands;  // of the usage line: "FROM... TO"
  int min_words;
  int max_words;  // -1: any number
  Operands kind;
  const char* summary;  // one line
  const char* details;  // more lines of help, each with its newline; "" if there is none
  int (*run)(Shell&, const Args&);
  // It reads its options itself: every word is an operand.
  bool raw = false;
  // A word of these characters alone is an operand, also if it begins with a dash.
  const char* operand_characters = "";
};

// All commands, sorted by name.
const std::vector<Command>& commands();
const Command* find_command(std::string_view name);

// "ls [-alR] [--json] [PATH...]".
std::string usage(const Command& command);
// Everything that `help NAME` prints.
std::string help_text(const Command& command);

// What the operand of this index is; `words` are the operands before it and itself, `last` tells
// whether none follows.
Operand operand_kind(const Command& command, const std::vector<std::string>& words, size_t index,
                     bool last);

// Takes the options out of `words`, which begin after the command's name: -r, -rf, -n 3, -n3,
// --json, --name=VALUE, --name VALUE; "--" ends them. `operands` gets the indices of all others.
// Returns what is wrong, or an empty text.
std::string parse_options(const Command& command, const std::vector<std::string>& words, Args* args,
                          std::vector<size_t>* operands);

// Command families, each in its own file of commands/.
void add_listing_commands(std::vector<Command>& table);
void add_stat_commands(std::vector<Command>& table);
void add_find_commands(std::vector<Command>& table);
void add_tree_commands(std::vector<Command>& table);
void add_file_commands(std::vector<Command>& table);
void add_name_commands(std::vector<Command>& table);
void add_attribute_commands(std::vector<Command>& table);
void add_time_commands(std::vector<Command>& table);
void add_xattr_commands(std::vector<Command>& table);
void add_acl_commands(std::vector<Command>& table);
void add_transfer_commands(std::vector<Command>& table);
void add_mount_commands(std::vector<Command>& table);
void add_local_commands(std::vector<Command>& table);
void add_shell_commands(std::vector<Command>& table);

}  // namespace shell
