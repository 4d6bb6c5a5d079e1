// myfs-tree: copies trees into MyFS and checks them through another client; the program behind
// quickstart.sh.

#include <CLI/CLI.hpp>
#include <cstdio>
#include <string>
#include <vector>

#include "examples/tree/put.h"

namespace {

int report(const std::string& what, const myfs::Error& error) {
  std::fprintf(stderr, "myfs-tree: %s: %s\n", what.c_str(), error.message().c_str());
  return 1;
}

std::string base_name(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path.substr(path.rfind('/') + 1);
}

int run_put(const std::string& url, const std::vector<std::string>& trees, unsigned threads,
            const std::string& manifest_file) {
  tree::PutOptions options;
  options.threads = threads;
  for (const std::string& local : trees) options.trees.emplace_back(local, "/" + base_name(local));
  auto task = myfs::Task::open(url);
  if (!task) return report(url, task.error());
  task->umask(0);
  std::vector<tree::Entry> manifest;
  bool good = tree::put(*task, options, &manifest);
  if (auto closed = task->close(); !closed) return report("close", closed.error());
  if (!tree::write_manifest(manifest_file, manifest)) return 1;
  return good ? 0 : 1;
}

int run_verify(const std::string& url, unsigned threads, const std::string& manifest_file) {
  std::vector<tree::Entry> manifest;
  if (!tree::read_manifest(manifest_file, &manifest)) return 1;
  auto task = myfs::Task::open(url);
  if (!task) return report(url, task.error());
  bool good = tree::verify(*task, manifest, threads);
  if (auto closed = task->close(); !closed) return report("close", closed.error());
  return good ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Copies trees into MyFS and checks them through another client.");
  app.require_subcommand(1);
  std::string url, manifest, dir;
  std::vector<std::string> trees;
  unsigned threads = 32;
  uint64_t entries = 0;

  CLI::App* put = app.add_subcommand("put", "copy local trees to the root of a file system");
  put->add_option("-m,--mount", url, "URL of the file system")->required();
  put->add_option("--manifest", manifest, "file that will list what was copied")->required();
  put->add_option("--threads", threads, "threads that copy")->check(CLI::Range(1, 64));
  put->add_option("TREE", trees, "local directories")->required();

  CLI::App* verify = app.add_subcommand("verify", "compare a file system with a manifest");
  verify->add_option("-m,--mount", url, "URL of the file system")->required();
  verify->add_option("--manifest", manifest, "what `put` wrote")->required();
  verify->add_option("--threads", threads, "threads that read")->check(CLI::Range(1, 64));

  CLI::App* oddities = app.add_subcommand("oddities", "make a local tree of rarities");
  oddities->add_option("DIR", dir, "directory to fill")->required();
  oddities->add_option("--entries", entries, "so many further small files");
  CLI11_PARSE(app, argc, argv);

  if (*put) return run_put(url, trees, threads, manifest);
  if (*verify) return run_verify(url, threads, manifest);
  return tree::make_oddities(dir, entries) ? 0 : 1;
}
