// Names of clang's thread-safety attributes, through Abseil's macros.
#pragma once

#include "absl/base/thread_annotations.h"

#if defined(__clang__)
#define MYFS_CAPABILITY(x) __attribute__((capability(x)))
#define MYFS_SCOPED_CAPABILITY __attribute__((scoped_lockable))
#define MYFS_RETURN_CAPABILITY(x) __attribute__((lock_returned(x)))
#else
#define MYFS_CAPABILITY(x)
#define MYFS_SCOPED_CAPABILITY
#define MYFS_RETURN_CAPABILITY(x)
#endif
