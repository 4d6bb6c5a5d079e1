// Payloads: inline and by reference, borrowed and copied, over breaks, with bad answers.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "sdk/base/limits.h"
#include "tests/unit/rpc/client_fixture.h"

namespace myfs::rpc_test {
namespace {

using DataTest = ClientFixture;
using rpc::Urgency;

std::string pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 131 + (i >> 9));
  return text;
}

class Sizes : public ClientFixture, public ::testing::WithParamInterface<size_t> {};

TEST_P(Sizes, WriteAndReadBack) {
  ASSERT_TRUE(open().ok());
  size_t size = GetParam();
  std::string text = pattern(size);
  iovec whole{text.data(), size};
  auto written = client_->write(patient(), {.node = handle()}, rpc::Buffers(&whole, 1));
  ASSERT_TRUE(written.ok()) << written.error().name();
  EXPECT_EQ(written->count, size);
  EXPECT_TRUE(written->stable);
  EXPECT_EQ(written->verifier, 42u);
  EXPECT_EQ(server_.content(), text);
  std::string back(size + 1, 'x');
  size_t half = size / 2;
  iovec parts[2] = {{back.data(), half}, {back.data() + half, size + 1 - half}};
  auto read = client_->read(patient(), {.node = handle(), .len = static_cast<uint32_t>(size + 1)},
                            rpc::Buffers(parts, 2));
  ASSERT_TRUE(read.ok()) << read.error().name();
  EXPECT_EQ(read->count, size);
  EXPECT_TRUE(read->eof);
  EXPECT_EQ(read->change, 7u);
  EXPECT_EQ(back, text + "x");
}

INSTANTIATE_TEST_SUITE_P(All, Sizes,
                         ::testing::Values(1, 7, kInlinePayloadMax_bytes,
                                           kInlinePayloadMax_bytes + 1, 65'536, (1 << 20) + 3,
                                           kIoMax_bytes));

TEST_F(DataTest, TooLargeIsRefused) {
  ASSERT_TRUE(open().ok());
  std::string text(kIoMax_bytes + 1, 'x');
  iovec span{text.data(), text.size()};
  EXPECT_EQ(client_->write(patient(), {.node = handle()}, rpc::Buffers(&span, 1)).error(),
            Errno(EINVAL));
}

TEST_F(DataTest, ManyBorrowedWritesInFlight) {
  ASSERT_TRUE(open().ok());
  constexpr size_t kChunk = 256 << 10, kCount = 32;
  auto memory = std::make_unique<uint64_t[]>(kChunk * kCount / 8);
  std::string text = pattern(kChunk * kCount);
  std::memcpy(memory.get(), text.data(), text.size());
  std::atomic<size_t> left{kCount};
  std::atomic<int> errors{0};
  Event done;
  for (size_t i = 0; i < kCount; ++i) {
    auto admission = client_->admit(patient(), {kChunk, true, Urgency::kNormal});
    ASSERT_TRUE(admission.ok());
    char* chunk = reinterpret_cast<char*>(memory.get()) + i * kChunk;
    iovec span{chunk, kChunk};
    client_->write_async(patient(), {.node = handle(i + 1), .off = i * kChunk},
                         rpc::Buffers(&span, 1), std::move(*admission),
                         [&, chunk](Result<rpc::WriteReply> reply) {
                           if (!reply.ok() || reply->count != kChunk) ++errors;
                           std::memset(chunk, 0xee, kChunk);  // nobody may send from it any more
                           if (--left == 0) done.set();
                         });
  }
  ASSERT_TRUE(done.wait_until(boottime_ns() + kPatience_ns));
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(server_.content(), text);
}

TEST_F(DataTest, WritesSurviveABreakInTheMiddle) {
  ASSERT_TRUE(open().ok());
  constexpr size_t kChunk = 1 << 20, kCount = 6;
  auto memory = std::make_unique<uint64_t[]>(kChunk * kCount / 8);
  std::string text = pattern(kChunk * kCount);
  std::memcpy(memory.get(), text.data(), text.size());
  server_.script([](Script& s) { s.break_after_execute = true; });
  std::atomic<size_t> left{kCount};
  std::atomic<int> errors{0};
  Event done;
  for (size_t i = 0; i < kCount; ++i) {
    auto admission = client_->admit(patient(), {kChunk, true, Urgency::kNormal});
    ASSERT_TRUE(admission.ok());
    iovec span{reinterpret_cast<char*>(memory.get()) + i * kChunk, kChunk};
    client_->write_async(patient(), {.node = handle(), .off = i * kChunk}, rpc::Buffers(&span, 1),
                         std::move(*admission), [&](Result<rpc::WriteReply> reply) {
                           if (!reply.ok()) ++errors;
                           if (--left == 0) done.set();
                         });
  }
  ASSERT_TRUE(done.wait_until(boottime_ns() + kPatience_ns));
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(server_.executed, static_cast<int>(kCount));
  EXPECT_GE(server_.replayed, 1);
  EXPECT_EQ(server_.content(), text);
}

TEST_F(DataTest, CreditsBoundWhatIsInFlight) {
  server_.script([](Script& s) { s.credit_bytes = 1 << 20; });
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.hold = true; });
  server_.set_content(std::string(1 << 20, 'c'));
  std::string buffer(1 << 20, 0);
  iovec span{buffer.data(), buffer.size()};
  auto admission = client_->admit(patient(), {1 << 20, false, Urgency::kNormal});
  ASSERT_TRUE(admission.ok());
  Event done;
  client_->read_async(patient(), {.node = handle(), .len = 1 << 20}, rpc::Buffers(&span, 1),
                      std::move(*admission), [&](Result<rpc::ReadReply>) { done.set(); });
  EXPECT_EQ(client_->try_admit({1, false, Urgency::kNormal}).error(), Errno(EAGAIN));
  EXPECT_EQ(client_->admit(within(20 * kNsPerMs), {1, false, Urgency::kNormal}).error(),
            Errno(ETIMEDOUT));
  EXPECT_TRUE(client_->try_admit({1, true, Urgency::kRecall}).ok());
  server_.release_held();
  ASSERT_TRUE(done.wait_until(boottime_ns() + kPatience_ns));
  EXPECT_TRUE(client_->admit(patient(), {1, false, Urgency::kNormal}).ok());
}

TEST_F(DataTest, OversizedAnswersAreEprotoAndTouchNothing) {
  server_.set_content(std::string(100, 'c'));
  ASSERT_TRUE(open().ok());
  server_.script([](Script& s) { s.oversized_read = true; });
  std::string buffer(20, 'x');
  iovec span{buffer.data(), 10};
  EXPECT_EQ(client_->read(patient(), {.node = handle(), .len = 10}, rpc::Buffers(&span, 1)).error(),
            Errno(EPROTO));
  EXPECT_EQ(buffer, std::string(20, 'x'));
  server_.script([](Script& s) { s.count_too_large = true; });
  iovec source{buffer.data(), 10};
  EXPECT_EQ(client_->write(patient(), {.node = handle()}, rpc::Buffers(&source, 1)).error(),
            Errno(EPROTO));
}

TEST_F(DataTest, AsynchronousCallsNeedAnAdmission) {
  ASSERT_TRUE(open().ok());
  char byte = 0;
  iovec span{&byte, 1};
  Errno error;
  client_->write_async(patient(), {.node = handle()}, rpc::Buffers(&span, 1), rpc::Admission(),
                       [&](Result<rpc::WriteReply> reply) { error = reply.error(); });
  EXPECT_EQ(error, Errno(EINVAL));
}

TEST_F(DataTest, ReadBeyondTheEnd) {
  server_.set_content("abc");
  ASSERT_TRUE(open().ok());
  char byte = 'x';
  iovec span{&byte, 1};
  auto read =
      client_->read(patient(), {.node = handle(), .off = 10, .len = 1}, rpc::Buffers(&span, 1));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read->count, 0u);
  EXPECT_TRUE(read->eof);
  EXPECT_EQ(byte, 'x');
}

}  // namespace
}  // namespace myfs::rpc_test
