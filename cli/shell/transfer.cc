// Commands that copy: put (local to MyFS), get (MyFS to local), cp (inside MyFS).

#include "cli/shell/copy.h"
#include "cli/shell/shell.h"

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
  return copy_all(shell, args, from, sources, to, target, args.has('r') || args.has('R'));
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

}  // namespace

void add_transfer_commands(std::vector<Command>& table) {
  table.insert(
      table.end(),
      {{"put", "rR", 1, -1, "put [-r] LOCAL... [PATH]", "copy local files in; -r trees", run_put},
       {"get", "rR", 1, -1, "get [-r] PATH... [LOCAL]", "copy files out; -r trees", run_get},
       {"cp", "rR", 2, -1, "cp [-r] FROM... TO", "copy inside; -r trees", run_cp}});
}

}  // namespace shell
