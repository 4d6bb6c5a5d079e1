#include "cli/shell/command.h"

#include <algorithm>
#include <cctype>
#include <cstring>

namespace shell {
namespace {

const Option* find_by_name(const Command& command, std::string_view name) {
  for (const Option& option : command.options) {
    if (!name.empty() && name == option.name) return &option;
  }
  return nullptr;
}

const Option* find_by_letter(const Command& command, char letter) {
  for (const Option& option : command.options) {
    if (std::string_view(option.letter).find(letter) != std::string_view::npos) return &option;
  }
  return nullptr;
}

// Takes options from the words of one call, from left to right.
class OptionParser {
 public:
  OptionParser(const Command& command, const std::vector<std::string>& words, Args* args,
               std::vector<size_t>* operands)
      : command_(command), words_(words), args_(args), operands_(operands) {}

  std::string run() {
    bool over = command_.raw;
    for (at_ = 0; at_ < words_.size() && error_.empty(); ++at_) {
      const std::string& word = words_[at_];
      bool operand = word.size() < 2 || word[0] != '-' ||
                     word.find_first_not_of(command_.operand_characters) == std::string::npos;
      if (over || operand) {
        operands_->push_back(at_);
      } else if (word == "--") {
        over = true;
      } else if (word[1] == '-') {
        take_long(std::string_view(word).substr(2));
      } else {
        take_letters(std::string_view(word).substr(1));
      }
    }
    return error_;
  }

 private:
  void take_long(std::string_view text) {
    size_t equals = text.find('=');
    std::string name(text.substr(0, equals));
    const Option* option = find_by_name(command_, name);
    if (option == nullptr) {
      error_ = "unknown option --" + name;
    } else if (equals != std::string_view::npos) {
      if (option->takes_value()) {
        args_->add(option->id(), std::string(text.substr(equals + 1)));
      } else {
        error_ = "option --" + name + " takes no value";
      }
    } else if (option->takes_value()) {
      take_next(*option, "--" + name);
    } else {
      args_->add(option->id(), "");
    }
  }

  void take_letters(std::string_view letters) {
    for (size_t i = 0; i < letters.size(); ++i) {
      const Option* option = find_by_letter(command_, letters[i]);
      if (option == nullptr) {
        error_ = "unknown option -" + std::string(letters.substr(i, 1));
        return;
      }
      if (option->takes_value()) {
        if (i + 1 < letters.size()) {
          args_->add(option->id(), std::string(letters.substr(i + 1)));
        } else {
          take_next(*option, "-" + std::string(option->id()));
        }
        return;
      }
      args_->add(option->id(), "");
    }
  }

  void take_next(const Option& option, const std::string& shown) {
    if (at_ + 1 == words_.size()) {
      error_ = "option " + shown + " needs a value";
    } else {
      args_->add(option.id(), words_[++at_]);
    }
  }

  const Command& command_;
  const std::vector<std::string>& words_;
  Args* const args_;
  std::vector<size_t>* const operands_;
  size_t at_ = 0;
  std::string error_;
};

// "-n, --lines LINES".
std::string option_title(const Option& option) {
  std::string title;
  for (char letter : std::string_view(option.letter)) {
    title += std::string(title.empty() ? "-" : ", -") + letter;
  }
  if (option.name[0] != '\0') {
    title += std::string(title.empty() ? "    --" : ", --") + option.name;
  }
  if (option.takes_value()) title += std::string(" ") + option.value;
  return title;
}

}  // namespace

const std::string* Args::value(std::string_view id) const {
  auto found = options_.find(id);
  return found == options_.end() ? nullptr : &found->second.back();
}

const std::vector<std::string>& Args::values(std::string_view id) const {
  static const std::vector<std::string> none;
  auto found = options_.find(id);
  return found == options_.end() ? none : found->second;
}

const std::vector<Command>& commands() {
  static const std::vector<Command> table = [] {
    std::vector<Command> all;
    for (auto add : {add_listing_commands, add_stat_commands, add_find_commands, add_tree_commands,
                     add_file_commands, add_name_commands, add_attribute_commands,
                     add_time_commands, add_xattr_commands, add_acl_commands, add_transfer_commands,
                     add_mount_commands, add_local_commands, add_shell_commands}) {
      add(all);
    }
    std::sort(all.begin(), all.end(),
              [](const Command& a, const Command& b) { return std::strcmp(a.name, b.name) < 0; });
    return all;
  }();
  return table;
}

const Command* find_command(std::string_view name) {
  for (const Command& command : commands()) {
    if (name == command.name) return &command;
  }
  return nullptr;
}

std::string usage(const Command& command) {
  std::string letters, others;
  for (const Option& option : command.options) {
    if (option.letter[0] != '\0' && !option.takes_value()) {
      letters += option.id();
      continue;
    }
    others += option.letter[0] != '\0' ? " [-" + std::string(option.id())
                                       : std::string(" [--") + option.name;
    others += option.takes_value() ? std::string(" ") + option.value + "]" : "]";
  }
  std::string text = command.name;
  if (!letters.empty()) text += " [-" + letters + "]";
  text += others;
  bool word = std::isalpha(static_cast<unsigned char>(command.name[0])) != 0;
  if (command.operands[0] != '\0') text += std::string(word ? " " : "") + command.operands;
  return text;
}

std::string help_text(const Command& command) {
  std::string text = usage(command) + "\n  " + command.summary + "\n";
  size_t width = 0;
  for (const Option& option : command.options) {
    width = std::max(width, option_title(option).size());
  }
  if (!command.options.empty()) text += "\n";
  for (const Option& option : command.options) {
    std::string title = option_title(option);
    text += "  " + title + std::string(width - title.size() + 2, ' ') + option.help + "\n";
  }
  if (command.details[0] != '\0') text += std::string("\n") + command.details;
  return text;
}

Operand operand_kind(const Command& command, const std::vector<std::string>& words, size_t index,
                     bool last) {
  switch (command.kind) {
    case Operands::kText:
      return Operand::kText;
    case Operands::kRemote:
      return Operand::kRemote;
    case Operands::kLocal:
      return Operand::kLocal;
    case Operands::kPut:
      return last && index > 0 ? Operand::kRemote : Operand::kLocal;
    case Operands::kGet:
      return last && index > 0 ? Operand::kLocal : Operand::kRemote;
    case Operands::kTextRemote:
      return index == 0 ? Operand::kText : Operand::kRemote;
    case Operands::kRemoteText:
      return index == 0 ? Operand::kRemote : Operand::kText;
    case Operands::kFind:
      for (size_t i = 0; i <= index && i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word == "(" || word == "!" || (word.size() > 1 && word[0] == '-')) {
          return Operand::kText;
        }
      }
      return Operand::kRemote;
  }
  return Operand::kText;
}

std::string parse_options(const Command& command, const std::vector<std::string>& words, Args* args,
                          std::vector<size_t>* operands) {
  return OptionParser(command, words, args, operands).run();
}

}  // namespace shell
