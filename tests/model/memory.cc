#include "tests/model/memory.h"

#include <algorithm>
#include <cstring>

namespace myfs::test {
namespace {

int64_t down(int64_t at, int64_t unit) { return at / unit * unit; }
int64_t up(int64_t at, int64_t unit) { return down(at + unit - 1, unit); }

}  // namespace

Memory::View* Memory::view(int client, const Node* node) {
  auto found = views_.find({node, client});
  return found == views_.end() ? nullptr : &found->second;
}

const Memory::View* Memory::view(int client, const Node* node) const {
  return const_cast<Memory*>(this)->view(client, node);
}

// Words of which a part may be anything may be anything.
void Memory::set_stale(View& view, int64_t from, int64_t to) {
  if (from >= to) return;
  const auto first = static_cast<size_t>(from / kMapWord);
  const auto end = static_cast<size_t>(up(to, kMapWord) / kMapWord);
  if (view.stale.size() < end) view.stale.resize(end);
  std::fill(view.stale.begin() + static_cast<ptrdiff_t>(first),
            view.stale.begin() + static_cast<ptrdiff_t>(end), true);
}

void Memory::set_fresh(View& view, int64_t from, int64_t to) {
  const auto first = static_cast<size_t>(up(from, kMapWord) / kMapWord);
  const auto end = std::min(static_cast<size_t>(to / kMapWord), view.stale.size());
  if (first >= end) return;
  std::fill(view.stale.begin() + static_cast<ptrdiff_t>(first),
            view.stale.begin() + static_cast<ptrdiff_t>(end), false);
}

// Behind the end zeros are stored, and read when the file grows again.
void Memory::cut(View& view, int64_t size) {
  view.pending.erase(view.pending.lower_bound(size), view.pending.end());
  if (view.pending.empty()) return;
  auto last = std::prev(view.pending.end());
  if (last->first + kMapWord <= size) return;
  Word& word = last->second;
  for (auto i = static_cast<size_t>(size - last->first); i < word.now.size(); ++i) {
    word.base[i] = word.now[i] = '\0';
  }
  if (word.base == word.now) view.pending.erase(last);
}

void Memory::map(int client, Node* node, int64_t from, int64_t to) {
  ++views_[{node, client}].areas;
  refresh(client, node, from, to);
}

void Memory::unmap(int client, Node* node) {
  auto found = views_.find({node, client});
  if (--found->second.areas == 0) views_.erase(found);
}

void Memory::write_out(int client, Node* node, int64_t from, int64_t to) {
  View* mine = view(client, node);
  if (mine == nullptr) return;
  auto at = mine->pending.lower_bound(from);
  bool any = false;
  while (at != mine->pending.end() && (to < 0 || at->first < to)) {
    const auto begin = static_cast<size_t>(at->first);
    const size_t size = std::min<size_t>(kMapWord, node->data.size() - begin);
    std::copy_n(at->second.now.begin(), size, node->data.begin() + at->first);
    for (auto& [whose, other] : views_) {
      if (whose.first == node && whose.second != client)
        set_stale(other, at->first, at->first + kMapWord);
    }
    at = mine->pending.erase(at);
    any = true;
  }
  if (!any) return;
  node->changed();
  mine->size_known = true;
}

void Memory::write_out_all(int client) {
  for (auto& [whose, unused] : views_) {
    if (whose.second == client) write_out(client, const_cast<Node*>(whose.first));
  }
}

void Memory::refresh(int client, Node* node, int64_t from, int64_t to) {
  View* mine = view(client, node);
  mine->size_known = true;
  set_fresh(*mine, from, to);
}

void Memory::changing(int client, Node* node, int64_t from, int64_t to) {
  write_out(client, node, down(from, kMapPage), to < 0 ? to : up(to, kMapPage));
}

void Memory::changed(int client, Node* node, int64_t from, int64_t to, int64_t before) {
  const auto after = static_cast<int64_t>(node->data.size());
  for (auto& [whose, other] : views_) {
    if (whose.first != node) continue;
    if (whose.second == client) {
      if (after < before) cut(other, after);
      other.size_known = true;
      set_fresh(other, from, to);
      continue;
    }
    set_stale(other, from, to);
    if (after == before) continue;
    other.size_known = false;
    set_stale(other, std::min(before, after), std::max(before, after));
  }
}

void Memory::store(int client, Node* node, int64_t at, const std::string& before,
                   const std::string& after) {
  View* mine = view(client, node);
  for (size_t i = 0; i < after.size(); i += kMapWord) {
    Bytes was, now;
    std::memcpy(was.data(), &before[i], kMapWord);
    std::memcpy(now.data(), &after[i], kMapWord);
    if (was == now) continue;
    auto [word, fresh] = mine->pending.try_emplace(at + static_cast<int64_t>(i), Word{was, now});
    word->second.now = now;
    if (word->second.base == now) mine->pending.erase(word);
  }
}

void Memory::overlay(int client, const Node* node, int64_t from, std::string* data) const {
  const View* mine = view(client, node);
  if (mine == nullptr) return;
  const int64_t end = from + static_cast<int64_t>(data->size());
  for (auto at = mine->pending.lower_bound(down(from, kMapWord));
       at != mine->pending.end() && at->first < end; ++at) {
    for (int64_t i = std::max(from, at->first); i < std::min(end, at->first + kMapWord); ++i) {
      (*data)[static_cast<size_t>(i - from)] = at->second.now[static_cast<size_t>(i - at->first)];
    }
  }
}

bool Memory::stale(int client, const Node* node, int64_t at) const {
  const View* mine = view(client, node);
  const auto word = static_cast<size_t>(at / kMapWord);
  if (mine == nullptr || mine->pending.count(down(at, kMapWord)) != 0) return false;
  return word < mine->stale.size() && mine->stale[word];
}

bool Memory::size_known(int client, const Node* node) const {
  const View* mine = view(client, node);
  return mine == nullptr || mine->size_known;
}

bool Memory::pending(int client, const Node* node) const {
  const View* mine = view(client, node);
  return mine != nullptr && !mine->pending.empty();
}

}  // namespace myfs::test
