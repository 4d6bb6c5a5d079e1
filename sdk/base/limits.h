// Limits: every bound of MyFS as a named constant; code and asserts use these names, never the
// numbers. Kernel counterpart: include/uapi/linux/limits.h, EXT4_LINK_MAX.
#pragma once

#include <cstddef>
#include <cstdint>

namespace myfs {

inline constexpr size_t kNameMax_bytes = 255;
inline constexpr size_t kPathMax_bytes = 4096;  // with the terminating NUL
inline constexpr size_t kSymlinkMax_bytes = 4095;
inline constexpr int kSymlinksFollowedMax = 40;  // MAXSYMLINKS
inline constexpr uint64_t kFileSizeMax_bytes = (uint64_t{1} << 54) - 1;
inline constexpr uint32_t kLinkMax = 65'000;
inline constexpr size_t kXattrValueMax_bytes = 64 << 10;
inline constexpr size_t kXattrTotalMax_bytes = 1 << 20;  // of an inode
inline constexpr size_t kAclEntriesMax = 1024;           // of one list
inline constexpr size_t kGroupsMax = 65'536;
inline constexpr size_t kMessageMax_bytes = 4 << 20;  // payload; headers come on top
inline constexpr size_t kIoMax_bytes = 4 << 20;       // rsize, wsize
inline constexpr size_t kInlinePayloadMax_bytes = 8 << 10;
inline constexpr size_t kSessionLeasesMax = 1'000'000;
inline constexpr size_t kMountsMax = 4096;  // of a name space
inline constexpr int kDescriptorsMax = 65'536;
inline constexpr int kDataConnectionsMax = 16;
inline constexpr uint16_t kSlotsPerSession = 64;  // of them the first kReservedSlots for recalls
inline constexpr uint16_t kReservedSlots = 2;
inline constexpr uint16_t kLookupNamesMax = 64;  // components of one lookup call
inline constexpr size_t kDefaultIo_bytes = 1 << 20;
inline constexpr uint16_t kDefaultPort = 7460;
inline constexpr size_t kPageSize_bytes = 4096;
inline constexpr uint64_t kRootIno = 1;  // 0 is invalid; the top 16 bits are the shard's

inline constexpr int64_t kDefaultLeaseTerm_ns = 20'000'000'000;
inline constexpr int64_t kRecallTimeout_ns = 10'000'000'000;
inline constexpr int64_t kRecallHardCap_ns = 300'000'000'000;
inline constexpr int64_t kDefaultTimeout_ns = 30'000'000'000;
inline constexpr int64_t kDefaultConnectTimeout_ns = 10'000'000'000;
inline constexpr int64_t kUmountTimeout_ns = 30'000'000'000;
inline constexpr int64_t kDefaultSpin_ns = 50'000;

inline constexpr uint32_t kProtocolVersion = 1;

}  // namespace myfs
