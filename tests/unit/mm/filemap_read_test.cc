#include "sdk/mm/filemap_read.h"

#include <gtest/gtest.h>

#include "tests/unit/mm/fake_ops.h"

namespace myfs::mm {
namespace {

using Progress = FilemapRead::Progress;

struct CountingWaker final : Waker {
  void wake() override { ++woken; }
  std::atomic<int> woken{0};
};

// Admissions that the test gives out.
class QueueingOps : public FakeOps {
 public:
  class Place final : public QueuedAdmission {
   public:
    Place(QueueingOps& ops, Waker& waker) : ops_(ops), waker_(waker) { ops_.place = this; }
    ~Place() override { ops_.place = nullptr; }
    Result<Admission> take() override {
      if (!error.ok()) return error;
      return granted ? Result<Admission>(Admission()) : Result<Admission>(Errno(EAGAIN));
    }
    void grant() {
      granted = true;
      waker_.wake();
    }
    bool granted = false;
    Errno error;

   private:
    QueueingOps& ops_;
    Waker& waker_;
  };
  std::unique_ptr<QueuedAdmission> queue_for_admission(IoKind kind, size_t bytes,
                                                       Waker& waker) override {
    EXPECT_EQ(IoKind::kRead, kind);
    queued_bytes = bytes;
    if (!queues) return nullptr;
    return std::make_unique<Place>(*this, waker);
  }
  void expect(int waiting) override { expected += waiting; }

  Place* place = nullptr;
  size_t queued_bytes = 0;
  bool queues = true;
  int expected = 0;
};

class FilemapReadTest : public testing::Test {
 protected:
  FilemapReadTest() {
    runtime_ = std::move(Runtime::create(slow_flusher())).value();
    mapping_ = std::make_unique<AddressSpace>(*runtime_, ops_);
    ops_.disk = pattern(1 << 20);
    mapping_->i_size = ops_.disk.size();
    ops_.read_mode = FakeOps::Mode::kManual;
  }
  ~FilemapReadTest() override {
    read_.reset();
    EXPECT_EQ(0, ops_.expected);
    runtime_->writeback().stop();
    ops_.finish_all();
    truncate_inode_pages_final(*mapping_);
  }
  Progress begin(uint64_t pos, size_t size) {
    out_.assign(size, '?');
    iov_ = {out_.data(), size};
    read_ = std::make_unique<FilemapRead>(*mapping_, ra_, pos, std::span(&iov_, 1), waker_);
    return read_->step();
  }
  void answer(Errno error = Errno()) {
    while (ops_.outstanding_reads() > 0) ops_.finish(ops_.take_read(), error);
  }
  std::string result() {
    Result<size_t> n = read_->result();
    return n.ok() ? out_.substr(0, *n) : "E" + std::to_string(n.error().value());
  }

  QueueingOps ops_;
  std::unique_ptr<Runtime> runtime_;
  std::unique_ptr<AddressSpace> mapping_;
  FileRaState ra_;
  CountingWaker waker_;
  std::string out_;
  iovec iov_{};
  std::unique_ptr<FilemapRead> read_;
};

TEST_F(FilemapReadTest, is_parked_until_its_pages_are_there) {
  ASSERT_EQ(Progress::kParked, begin(5000, 10'000));
  EXPECT_EQ(1, ops_.expected);
  EXPECT_EQ(0, waker_.woken.load());
  answer();
  EXPECT_EQ(1, waker_.woken.load());
  ASSERT_EQ(Progress::kDone, read_->step());
  EXPECT_TEXT(result(), ops_.disk.substr(5000, 10'000));
}

TEST_F(FilemapReadTest, is_over_at_once_if_everything_is_there) {
  ops_.read_mode = FakeOps::Mode::kInline;
  ASSERT_EQ(Progress::kDone, begin(0, 100));
  EXPECT_EQ(0, ops_.expected);
  ASSERT_EQ(Progress::kDone, begin(ops_.disk.size() - 3, 100));
  EXPECT_TEXT(result(), ops_.disk.substr(ops_.disk.size() - 3));
  ASSERT_EQ(Progress::kDone, begin(ops_.disk.size(), 100));
  EXPECT_EQ("", result());
  ASSERT_EQ(Progress::kDone, begin(7, 0));
  EXPECT_EQ("", result());
}

TEST_F(FilemapReadTest, waits_for_pages_that_another_one_reads) {
  ra_.random.store(true);
  ASSERT_EQ(Progress::kParked, begin(0, 100));
  auto first = std::move(read_);
  const std::string mine = out_;
  ASSERT_EQ(Progress::kParked, begin(50, 100));
  EXPECT_EQ(1u, ops_.read_log.size());
  answer();
  ASSERT_EQ(Progress::kDone, read_->step());
  EXPECT_TEXT(result(), ops_.disk.substr(50, 100));
}

TEST_F(FilemapReadTest, tells_what_went_wrong) {
  ASSERT_EQ(Progress::kParked, begin(0, 100));
  answer(Errno(EIO));
  ASSERT_EQ(Progress::kDone, read_->step());
  EXPECT_EQ("E5", result());
}

TEST_F(FilemapReadTest, asks_for_a_thread_when_the_cache_refuses) {
  ra_.random.store(true);
  ASSERT_EQ(Progress::kParked, begin(0, 100));
  answer(Errno(EAGAIN));
  ASSERT_EQ(Progress::kParked, read_->step());
  answer(Errno(EAGAIN));
  EXPECT_EQ(Progress::kBlocked, read_->step());
}

TEST_F(FilemapReadTest, asks_for_a_thread_when_a_write_comes_between) {
  ASSERT_EQ(Progress::kParked, begin(0, 100));
  { WriteSeqSection section(mapping_->i_write_seq); }
  answer();
  EXPECT_EQ(Progress::kBlocked, read_->step());
  WriteSeqSection section(mapping_->i_write_seq);
  EXPECT_EQ(Progress::kBlocked, begin(0, 100));
}

TEST_F(FilemapReadTest, queues_for_an_admission_that_is_not_to_be_had) {
  ops_.refuse = true;
  ASSERT_EQ(Progress::kParked, begin(4096, 5000));
  EXPECT_EQ(0u, ops_.read_log.size());
  EXPECT_EQ(2 * kPageSize_bytes, ops_.queued_bytes);
  EXPECT_EQ(Progress::kParked, read_->step());
  ops_.place->grant();
  EXPECT_EQ(1, waker_.woken.load());
  ASSERT_EQ(Progress::kParked, read_->step());
  EXPECT_EQ(nullptr, ops_.place);
  ASSERT_EQ(1u, ops_.read_log.size());
  EXPECT_EQ(2u, ops_.read_log[0].second);
  answer();
  ASSERT_EQ(Progress::kDone, read_->step());
  EXPECT_TEXT(result(), ops_.disk.substr(4096, 5000));
}

TEST_F(FilemapReadTest, the_end_of_the_file_system_ends_who_queues) {
  ops_.refuse = true;
  ASSERT_EQ(Progress::kParked, begin(0, 10));
  ops_.place->error = Errno(ESHUTDOWN);
  ASSERT_EQ(Progress::kDone, read_->step());
  EXPECT_EQ("E" + std::to_string(ESHUTDOWN), result());
}

TEST_F(FilemapReadTest, asks_for_a_thread_where_there_is_no_queue) {
  ops_.refuse = true;
  ops_.queues = false;
  EXPECT_EQ(Progress::kBlocked, begin(0, 10));
}

TEST_F(FilemapReadTest, is_not_told_after_its_end) {
  ASSERT_EQ(Progress::kParked, begin(0, 100));
  read_.reset();
  answer();
  EXPECT_EQ(0, waker_.woken.load());
  ops_.refuse = true;
  ASSERT_EQ(Progress::kParked, begin(900'000, 10));
  ASSERT_NE(nullptr, ops_.place);
  read_.reset();
  EXPECT_EQ(nullptr, ops_.place);
}

TEST_F(FilemapReadTest, a_truncation_meanwhile_is_seen) {
  ASSERT_EQ(Progress::kParked, begin(100, 10'000));
  mapping_->i_size.store(150);
  answer();
  ASSERT_EQ(Progress::kDone, read_->step());
  EXPECT_TEXT(result(), ops_.disk.substr(100, 50));
}

}  // namespace
}  // namespace myfs::mm
