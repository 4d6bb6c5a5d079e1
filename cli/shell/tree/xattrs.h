// Xattrs: the calls on extended attributes, with values of any size.
// Thread safety: the main thread alone.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/shell/shell.h"

namespace shell {

enum class Links { kFollow, kThemselves };

myfs::Result<std::vector<std::string>> list_xattrs(Shell& shell, const std::string& path,
                                                   Links links);
myfs::Result<std::string> get_xattr(Shell& shell, const std::string& path, const std::string& name,
                                    Links links);
myfs::Result<void> set_xattr(Shell& shell, const std::string& path, const std::string& name,
                             std::string_view value, Links links);
myfs::Result<void> remove_xattr(Shell& shell, const std::string& path, const std::string& name,
                                Links links);

}  // namespace shell
