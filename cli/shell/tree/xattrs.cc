#include "cli/shell/tree/xattrs.h"

#include <cerrno>
#include <functional>

namespace shell {
namespace {

int nofollow(Links links) { return links == Links::kThemselves ? 1 : 0; }

// Asks for the length and then for the bytes, until both agree.
myfs::Result<std::string> whole(const std::function<ssize_t(char* buffer, size_t size)>& get) {
  while (true) {
    ssize_t length = get(nullptr, 0);
    if (length < 0) return myfs::Error::last(static_cast<int>(-length));
    std::string bytes(static_cast<size_t>(length), '\0');
    if (length == 0) return bytes;
    length = get(bytes.data(), bytes.size());
    if (length == -ERANGE) continue;
    if (length < 0) return myfs::Error::last(static_cast<int>(-length));
    bytes.resize(static_cast<size_t>(length));
    return bytes;
  }
}

myfs::Result<void> done(int result) {
  if (result < 0) return myfs::Error::last(-result);
  return {};
}

}  // namespace

myfs::Result<std::vector<std::string>> list_xattrs(Shell& shell, const std::string& path,
                                                   Links links) {
  myfs_call call = shell.call().c();
  auto bytes = whole([&](char* buffer, size_t size) {
    return myfs_listxattr_x(shell.task().get(), &call, path.c_str(), buffer, size, nofollow(links));
  });
  if (!bytes) return bytes.error();
  std::vector<std::string> names;
  for (size_t at = 0; at < bytes->size(); at += names.back().size() + 1) {
    names.emplace_back(bytes->c_str() + at);
  }
  return names;
}

myfs::Result<std::string> get_xattr(Shell& shell, const std::string& path, const std::string& name,
                                    Links links) {
  myfs_call call = shell.call().c();
  return whole([&](char* buffer, size_t size) {
    return myfs_getxattr_x(shell.task().get(), &call, path.c_str(), name.c_str(), buffer, size,
                           nofollow(links));
  });
}

myfs::Result<void> set_xattr(Shell& shell, const std::string& path, const std::string& name,
                             std::string_view value, Links links) {
  myfs_call call = shell.call().c();
  return done(myfs_setxattr_x(shell.task().get(), &call, path.c_str(), name.c_str(), value.data(),
                              value.size(), 0, nofollow(links)));
}

myfs::Result<void> remove_xattr(Shell& shell, const std::string& path, const std::string& name,
                                Links links) {
  myfs_call call = shell.call().c();
  return done(
      myfs_removexattr_x(shell.task().get(), &call, path.c_str(), name.c_str(), nofollow(links)));
}

}  // namespace shell
