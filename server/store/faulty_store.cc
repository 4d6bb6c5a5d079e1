#include "server/store/faulty_store.h"

namespace myfs::server {

FaultPlan::Verdict FaultPlan::next(Errno* error) {
  ++calls_;
  *error = Errno(EIO);
  if (crashed_) return Verdict::kFail;
  if (left_ == 0 || left_.fetch_sub(1) != 1) return Verdict::kRun;
  fired_ = true;
  if (!crash_) {
    *error = Errno(error_);
    return Verdict::kFail;
  }
  crashed_ = true;
  return executed_ ? Verdict::kRunThenFail : Verdict::kFail;
}

Result<std::optional<std::string>> FaultyMetaStore::get(std::string_view key) const {
  if (plan_.crashed()) return Errno(EIO);
  return store_.get(key);
}

Result<void> FaultyMetaStore::scan(std::string_view from, std::string_view to, size_t limit,
                                   const ScanFn& fn) const {
  if (plan_.crashed()) return Errno(EIO);
  return store_.scan(from, to, limit, fn);
}

Result<void> FaultyMetaStore::commit_batch(std::span<const Txn* const> batch,
                                           Durability durability) {
  Errno error;
  auto verdict = plan_.next(&error);
  if (verdict == FaultPlan::Verdict::kFail) return error;
  auto result = store_.commit_batch(batch, durability);
  return verdict == FaultPlan::Verdict::kRunThenFail ? Result<void>(error) : result;
}

Result<void> FaultyMetaStore::sync() {
  Errno error;
  auto verdict = plan_.next(&error);
  if (verdict == FaultPlan::Verdict::kFail) return error;
  auto result = store_.sync();
  return verdict == FaultPlan::Verdict::kRunThenFail ? Result<void>(error) : result;
}

Result<void> FaultyBlockStore::counted(const std::function<Result<void>()>& call) {
  Errno error;
  auto verdict = plan_.next(&error);
  if (verdict == FaultPlan::Verdict::kFail) return error;
  auto result = call();
  return verdict == FaultPlan::Verdict::kRunThenFail ? Result<void>(error) : result;
}

Result<void> FaultyBlockStore::create(BlockId id) {
  return counted([&] { return store_.create(id); });
}
Result<void> FaultyBlockStore::pwrite(BlockId id, uint64_t offset, std::span<const uint8_t> data) {
  return counted([&] { return store_.pwrite(id, offset, data); });
}
Result<void> FaultyBlockStore::sync(std::span<const BlockId> ids) {
  return counted([&] { return store_.sync(ids); });
}
Result<void> FaultyBlockStore::remove(BlockId id) {
  return counted([&] { return store_.remove(id); });
}
void FaultyBlockStore::discard(BlockId id, uint64_t offset, uint64_t length) {
  if (!plan_.crashed()) store_.discard(id, offset, length);
}
Result<void> FaultyBlockStore::pread(BlockId id, uint64_t offset, std::span<uint8_t> out) {
  if (plan_.crashed()) return Errno(EIO);
  return store_.pread(id, offset, out);
}
Result<void> FaultyBlockStore::pread_nowait(BlockId id, uint64_t offset, std::span<uint8_t> out) {
  if (plan_.crashed()) return Errno(EIO);
  return store_.pread_nowait(id, offset, out);
}

}  // namespace myfs::server
