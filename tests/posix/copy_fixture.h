// CopyFixture: a file `in` of ten digits and an empty one `out`, open for reading and writing.
#pragma once

#include "tests/posix/api_test.h"

namespace myfs::test {

class CopyFixture : public ApiTest {
 protected:
  void SetUp() override {
    ApiTest::SetUp();
    make_file("in", "0123456789");
    in_ = open("in", O_RDWR);
    out_ = open("out", O_RDWR | O_CREAT);
  }
  ssize_t copy(off_t in, off_t out, size_t size, unsigned flags = 0) {
    return myfs_copy_file_range(task_, in_, &in, out_, &out, size, flags);
  }
  static constexpr off_t kSizeMax = (off_t{1} << 54) - 1;
  int in_ = -1, out_ = -1;
};

}  // namespace myfs::test
