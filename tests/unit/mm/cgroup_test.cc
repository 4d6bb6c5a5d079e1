// What a control group says, in trees of files as the kernel shows them.

#include "sdk/mm/cgroup.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>

namespace myfs::mm {
namespace {

class Cgroup : public testing::Test {
 protected:
  Cgroup() : base_(testing::TempDir() + "/cgroup-" + std::to_string(::getpid())) {
    std::filesystem::create_directories(base_);
    places_.proc_self_cgroup = base_ + "/self";
    places_.root = base_ + "/cgroup";
    places_.proc_pressure = base_ + "/pressure";
  }
  ~Cgroup() override { std::filesystem::remove_all(base_); }
  void put(const std::string& file, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(base_ + "/" + file).parent_path());
    std::ofstream(base_ + "/" + file) << text;
  }
  const std::string base_;
  CgroupPlaces places_;
};

TEST_F(Cgroup, NothingIsNoLimit) {
  EXPECT_EQ("", cgroup_dir(places_));
  EXPECT_EQ(SIZE_MAX, cgroup_memory_max(places_));
  EXPECT_EQ("", memory_pressure_file(places_));
}

TEST_F(Cgroup, TheLeastLimitOnTheWayUpCounts) {
  put("self", "0::/a/b\n");
  put("cgroup/cgroup.controllers", "memory");
  put("cgroup/a/cgroup.controllers", "memory");
  put("cgroup/a/b/cgroup.controllers", "memory");
  put("cgroup/a/b/memory.max", "max\n");
  EXPECT_EQ(base_ + "/cgroup/a/b", cgroup_dir(places_));
  EXPECT_EQ(SIZE_MAX, cgroup_memory_max(places_));
  put("cgroup/a/memory.max", "1073741824\n");
  EXPECT_EQ(size_t{1} << 30, cgroup_memory_max(places_));
  put("cgroup/a/b/memory.max", "268435456\n");
  EXPECT_EQ(size_t{1} << 28, cgroup_memory_max(places_));
}

TEST_F(Cgroup, AContainerSeesItsOwnAsTheRoot) {
  put("self", "0::/../../docker/x\n");
  put("cgroup/cgroup.controllers", "memory");
  put("cgroup/memory.max", "4194304\n");
  EXPECT_EQ(base_ + "/cgroup", cgroup_dir(places_));
  EXPECT_EQ(size_t{4} << 20, cgroup_memory_max(places_));
}

TEST_F(Cgroup, VersionOneIsUnderstood) {
  put("self", "4:memory:/x\n");
  put("cgroup/memory/memory.limit_in_bytes", "8388608\n");
  EXPECT_EQ("", cgroup_dir(places_));
  EXPECT_EQ(size_t{8} << 20, cgroup_memory_max(places_));
}

TEST_F(Cgroup, ThePressureOfTheGroupComesBeforeThatOfTheSystem) {
  put("pressure", "some avg10=0.00\n");
  EXPECT_EQ(base_ + "/pressure", memory_pressure_file(places_));
  put("self", "0::/a\n");
  put("cgroup/a/cgroup.controllers", "memory");
  EXPECT_EQ(base_ + "/pressure", memory_pressure_file(places_));
  put("cgroup/a/memory.pressure", "some avg10=0.00\n");
  EXPECT_EQ(base_ + "/cgroup/a/memory.pressure", memory_pressure_file(places_));
}

}  // namespace
}  // namespace myfs::mm
