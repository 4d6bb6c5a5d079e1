// Commands that copy: put (local to MyFS), get (MyFS to local), cp (inside MyFS).

#include "cli/shell/shell.h"
#include "cli/shell/tree/copy.h"

namespace shell {
namespace {

// "put a b c TO"; with one word the target is the current directory.
int transfer(Shell& shell, const Args& args, Side& from, Side& to) {
  std::vector<std::string> sources = args.words;
  std::string target = ".";
  if (sources.size() > 1) {
    target = sources.back();
    sources.pop_back();
  }
  CopyOptions options;
  options.recursive = args.has("r");
  options.bar = !args.has("q");
  return copy_all(shell, args, from, sources, to, target, options);
}

int run_put(Shell& shell, const Args& args) {
  return transfer(shell, args, *local_side(), *task_side(shell));
}
int run_get(Shell& shell, const Args& args) {
  return transfer(shell, args, *task_side(shell), *local_side());
}
int run_cp(Shell& shell, const Args& args) {
  auto side = task_side(shell);
  return transfer(shell, args, *side, *side);
}

constexpr char kDetails[] =
    "Modes and times of modification follow, holes stay holes, symbolic links stay links with -r.\n"
    "If stderr is a terminal, a bar shows how far it is.\n";

}  // namespace

void add_transfer_commands(std::vector<Command>& table) {
  std::vector<Option> options = {{"rR", "recursive", "", "directories and all below them, too"},
                                 {"q", "quiet", "", "no bar"}};
  table.push_back({"put", options, "LOCAL... [PATH]", 1, -1, Operands::kPut,
                   "copy local files in (default: to the current directory)", kDetails, run_put});
  table.push_back({"get", options, "PATH... [LOCAL]", 1, -1, Operands::kGet,
                   "copy files out (default: to the local directory)", kDetails, run_get});
  table.push_back(
      {"cp", options, "FROM... TO", 2, -1, Operands::kRemote, "copy inside", kDetails, run_cp});
}

}  // namespace shell
