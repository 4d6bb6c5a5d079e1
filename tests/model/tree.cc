#include "tests/model/tree.h"

namespace myfs::test {
namespace {

constexpr int kLinksFollowedMax = 40;

bool is_dots(const std::string& name) { return name == "." || name == ".."; }

}  // namespace

Tree::Tree() {
  root_ = make(S_IFDIR, 0755);
  root_->parent = root_;
  root_->links = 2;
}

Node* Tree::make(mode_t type, mode_t mode) {
  Node& node = nodes_.emplace_back();
  node.type = type;
  node.mode = mode;
  return &node;
}

void Tree::enter(Node* dir, const std::string& name, Node* node) {
  dir->entries[name] = node;
  dir->changed();
  node->changed_status();
  if (node->is_dir()) {
    node->parent = dir;
    node->links = 2;
    for (const auto& [unused, child] : node->entries) node->links += child->is_dir();
    ++dir->links;
  } else {
    ++node->links;
  }
}

void Tree::remove(Node* dir, const std::string& name) {
  Node* node = dir->entries.at(name);
  dir->entries.erase(name);
  dir->changed();
  node->changed_status();
  if (node->is_dir()) {
    --dir->links;
    node->links = 0;
  } else {
    --node->links;
  }
}

bool Tree::is_ancestor(const Node* node, const Node* below) {
  while (below != node && below->parent != below) below = below->parent;
  return below == node;
}

Node* Tree::step(Node* dir, const std::string& name) {
  if (name == ".") return dir;
  if (name == "..") return dir->parent;
  auto found = dir->entries.find(name);
  return found == dir->entries.end() ? nullptr : found->second;
}

// What a symbolic link in `dir` leads to.
Node* Tree::through(Node* dir, Node* link, int* followed, int* error) {
  if (++*followed > kLinksFollowedMax) {
    *error = -ELOOP;
    return nullptr;
  }
  Place place = walk(dir, link->target, Last::kFollow, followed);
  *error = place.error;
  if (place.error == 0 && place.node == nullptr) *error = -ENOENT;
  return *error == 0 ? place.node : nullptr;
}

Place Tree::walk(Node* from, std::string_view path, Last last) {
  int followed = 0;
  return walk(from, path, last, &followed);
}

Place Tree::walk(Node* from, std::string_view path, Last last, int* followed) {
  Place place;
  auto failed = [&](int error) {
    place.error = error;
    return place;
  };
  if (path.empty()) return failed(-ENOENT);
  Node* at = path[0] == '/' ? root_ : from;
  size_t begin = path.find_first_not_of('/');
  if (begin == std::string_view::npos) {
    place.dir = place.node = root_;
    place.plain = false;
    return place;
  }
  while (true) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string name(path.substr(begin, end - begin));
    const size_t next = std::min(path.find_first_not_of('/', end), path.size());
    if (!at->is_dir()) return failed(-ENOTDIR);
    Node* node = step(at, name);
    if (next == path.size()) {
      place.dir = at;
      place.last = name;
      place.plain = !is_dots(name);
      place.slash = end < path.size();
      place.node = node;
      break;
    }
    int error = 0;
    if (node != nullptr && node->is_link()) node = through(at, node, followed, &error);
    if (error != 0) return failed(error);
    if (node == nullptr) return failed(-ENOENT);
    at = node;
    begin = next;
  }
  const bool create = last == Last::kCreate;
  if (create && place.plain && place.slash) return failed(-EISDIR);
  const bool follow = create || last == Last::kFollow || (last == Last::kNoFollow && place.slash);
  if (!follow || place.node == nullptr || !place.node->is_link()) return place;
  if (++*followed > kLinksFollowedMax) return failed(-ELOOP);
  const bool slash = place.slash;
  place = walk(place.dir, place.node->target, create ? last : Last::kFollow, followed);
  place.slash |= slash;
  return place;
}

Node* Tree::find(Node* from, std::string_view path, bool follow, int* error) {
  Place place = walk(from, path, follow ? Last::kFollow : Last::kNoFollow);
  *error = place.error;
  if (place.error != 0) return nullptr;
  if (place.node == nullptr) {
    *error = -ENOENT;
  } else if (place.slash && !place.node->is_dir()) {
    *error = -ENOTDIR;
  }
  return *error == 0 ? place.node : nullptr;
}

}  // namespace myfs::test
