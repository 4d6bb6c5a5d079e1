// AsyncReads: small reads of what is not cached, one at a time or many outstanding.
// Thread safety: one thread.
#pragma once

#include <benchmark/benchmark.h>

#include <string>

namespace myfs::bench {

// Reads pages of kBulkFile in an order that readahead does not guess, `depth` at a time; 0: by
// myfs_pread. Each iteration is a batch by a task of its own; one page is one item.
void cold_pages(benchmark::State& state, const std::string& url, int depth);

}  // namespace myfs::bench
