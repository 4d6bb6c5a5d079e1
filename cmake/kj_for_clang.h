// Cap'n Proto 0.9 compares `const char*` with kj::StringPtr and relies on the reversed candidate of
// C++20. Compilers that follow P2468 (clang 16) drop that candidate because StringPtr also declares
// operator!=; this gives it back. The build includes it first in every file that sees kj.
#ifndef MYFS_CMAKE_KJ_FOR_CLANG_H_
#define MYFS_CMAKE_KJ_FOR_CLANG_H_

#include <kj/string.h>

namespace kj {
inline bool operator==(const char* a, const StringPtr& b) { return b.operator==(StringPtr(a)); }
}  // namespace kj

#endif  // MYFS_CMAKE_KJ_FOR_CLANG_H_
