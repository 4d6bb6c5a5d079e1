// Secret: the key that TCP clients prove to know.
// Kernel counterpart: a keyring of rxrpc.
// Thread safety: pure functions on files.
#pragma once

#include <string>

#include "sdk/base/result.h"

namespace myfs::server {

inline constexpr size_t kSecretFileMax_bytes = 4096;
inline constexpr size_t kSecretFileMin_bytes = 16;

// The content of the file without white space at its end. EINVAL: shorter than
// kSecretFileMin_bytes; EFBIG; EACCES with detail: others may read it; ENOENT, ...
Result<std::string> read_secret_file(const std::string& path);
// As read_secret_file; makes a new secret (mode 0600) if there is no file.
Result<std::string> read_or_make_secret_file(const std::string& path);

}  // namespace myfs::server
