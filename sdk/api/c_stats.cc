// Statistics.

#include <nlohmann/json.hpp>
#include <numeric>

#include "sdk/api/call_scope.h"
#include "sdk/api/client.h"
#include "sdk/api/json_out.h"
#include "sdk/fs/namei.h"
#include "sdk/netfs/super.h"

using namespace myfs;  // the facade's own rooms only
using api::CallScope;

namespace {

uint64_t get(const Counter& counter) { return static_cast<uint64_t>(counter.value()); }

void add_super_block(const fs::SuperBlock& sb, myfs_stats* out) {
  const fs::SuperCounters& c = sb.s_counters;
  out->dentry_hits += get(c.walk_hits);
  out->dentry_misses += get(c.lookups);
  out->attr_hits += get(c.attr_hits);
  out->attr_misses += get(c.attr_misses);
  out->dentries += sb.s_dcache.size();
  out->inodes += sb.s_inodes.size();
}

void add_client(const rpc::ClientStats& client, myfs_stats* out) {
  out->active_calls += client.in_flight;
  out->rpcs += std::accumulate(client.calls.begin(), client.calls.end(), uint64_t{0});
  out->renewals += client.calls[static_cast<size_t>(rpc::Method::kRenew)];
  out->reconnects += client.reconnects;
  out->sessions_lost += client.sessions_lost;
  out->sessions_reclaimed += client.sessions_reclaimed;
  for (const rpc::ConnectionStats& connection : client.connections) {
    out->bytes_sent += connection.bytes_out;
    out->bytes_received += connection.bytes_in;
    if (connection.state == rpc::ConnectionState::kUp) ++out->connections;
  }
}

void add_memory(mm::Runtime& memory, myfs_stats* out) {
  out->page_hits = get(memory.stats().page_hits);
  out->page_misses = get(memory.stats().page_misses);
  out->memory_budget_bytes = memory.budget().limit();
  out->memory_used_bytes = memory.budget().used();
  out->pages_cached_bytes = memory.budget().used(mm::MemClass::kPageCache);
  out->pages_dirty_bytes = memory.budget().dirty_bytes();
}

// Those of the task, where it shares the table with others.
std::vector<api::MountedClient> clients_of(const myfs_task& task) {
  std::vector<api::MountedClient> all = task.clients->all();
  if (task.clients.use_count() > 1) {
    std::erase_if(all, [&](const api::MountedClient& client) {
      return task.task.nsproxy->count(*client.sb) == 0;
    });
  }
  return all;
}

void collect(myfs_task* task, myfs_stats* out) {
  *out = {};
  out->size = sizeof *out;
  out->operations = get(task->operations);
  out->bytes_read = get(task->bytes_read);
  out->bytes_written = get(task->bytes_written);
  for (const api::MountedClient& client : clients_of(*task)) {
    add_super_block(*client.sb, out);
    add_client(client.super().client().stats(), out);
    out->recalls += get(client.super().counters().recalls);
    out->leases += client.super().leases().size();
  }
  add_memory(api::process_runtime().memory(), out);
  out->threads = static_cast<uint32_t>(Thread::live_count());
}

nlohmann::json connections_json(const rpc::ClientStats& stats) {
  static constexpr const char* kStates[] = {"idle", "connecting", "up", "waiting", "closed"};
  nlohmann::json list = nlohmann::json::array();
  for (const rpc::ConnectionStats& c : stats.connections) {
    list.push_back({{"address", c.address},
                    {"kind", c.control ? "control" : "data"},
                    {"state", kStates[static_cast<size_t>(c.state)]},
                    {"bytes_received", c.bytes_in},
                    {"bytes_sent", c.bytes_out},
                    {"connects", c.connects},
                    {"last_error", c.last_error}});
  }
  return list;
}

nlohmann::json calls_json(const rpc::ClientStats& stats) {
  nlohmann::json calls = nlohmann::json::object();
  for (size_t i = 0; i < stats.calls.size(); ++i) {
    if (stats.calls[i] == 0) continue;
    calls[std::string(rpc::method_name(static_cast<rpc::Method>(i)))] = stats.calls[i];
  }
  return calls;
}

nlohmann::json mount_json(const CallContext& ctx, const api::MountedClient& client) {
  netfs::Super& super = client.super();
  rpc::ClientStats stats = super.client().stats();
  nlohmann::json mount = {{"url", client.url},
                          {"at", client.at},
                          {"session", stats.session_id},
                          {"connections", connections_json(stats)},
                          {"calls", calls_json(stats)},
                          {"resent", stats.resent},
                          {"recalls", get(super.counters().recalls)},
                          {"uncached_reads", get(super.counters().uncached_reads)},
                          {"uncached_writes", get(super.counters().uncached_writes)},
                          {"lost_bytes", get(super.counters().lost_bytes)},
                          {"leases_kept", get(super.counters().leases_kept)},
                          {"leases_dropped", get(super.counters().leases_dropped)},
                          {"rescues_failed", get(super.lost_writes().rescues_failed())}};
  auto server = super.client().server_stats(ctx);
  if (server.ok()) {
    mount["server"] = {{"operations", server->operations},
                       {"sessions", server->sessions},
                       {"leases", server->leases},
                       {"recalls", server->recalls}};
  }
  return mount;
}

nlohmann::json stats_json(const CallContext& ctx, myfs_task* task) {
  myfs_stats s;
  collect(task, &s);
  nlohmann::json json = {
      {"operations", s.operations},
      {"active_calls", s.active_calls},
      {"dentries", {{"hits", s.dentry_hits}, {"misses", s.dentry_misses}, {"cached", s.dentries}}},
      {"attributes", {{"hits", s.attr_hits}, {"misses", s.attr_misses}}},
      {"inodes", {{"cached", s.inodes}}},
      {"pages", {{"hits", s.page_hits}, {"misses", s.page_misses}}},
      {"bytes_read", s.bytes_read},
      {"bytes_written", s.bytes_written},
      {"rpcs", s.rpcs},
      {"renewals", s.renewals},
      {"bytes_sent", s.bytes_sent},
      {"bytes_received", s.bytes_received},
      {"reconnects", s.reconnects},
      {"sessions_lost", s.sessions_lost},
      {"sessions_reclaimed", s.sessions_reclaimed},
      {"recalls", s.recalls},
      {"leases", s.leases},
      {"threads", s.threads}};
  mm::Budget& budget = api::process_runtime().memory().budget();
  nlohmann::json memory = {{"budget_bytes", s.memory_budget_bytes},
                           {"used_bytes", s.memory_used_bytes}};
  for (size_t i = 0; i < mm::kMemClasses; ++i) {
    auto cls = static_cast<mm::MemClass>(i);
    memory[mm::mem_class_name(cls)] = budget.used(cls);
  }
  json["memory"] = memory;
  json["mounts"] = nlohmann::json::array();
  for (const api::MountedClient& client : clients_of(*task)) {
    json["mounts"].push_back(mount_json(ctx, client));
  }
  return json;
}

}  // namespace

extern "C" {

int myfs_get_stats(myfs_task* task, myfs_stats* stats) {
  CallScope scope(task, nullptr, "get_stats");
  return scope.run([&]() -> Result<void> {
    if (stats == nullptr || stats->size != sizeof(myfs_stats)) {
      return fail(Errno(EINVAL), "myfs_stats.size is wrong");
    }
    collect(task, stats);
    return {};
  });
}

ssize_t myfs_stats_json(myfs_task* task, char* buffer, size_t size) {
  CallScope scope(task, nullptr, "stats_json");
  return scope.run([&]() -> Result<int64_t> {
    CallContext ctx = scope.ctx();
    // Statistics are for looking at a system that hangs, too.
    ctx.deadline_ns = deadline_after_ns(kNsPerSec);
    return static_cast<int64_t>(api::json_out(stats_json(ctx, task), buffer, size));
  });
}

int myfs_server_operations_x(myfs_task* task, const myfs_call* call, const char* path,
                             uint64_t* operations) {
  CallScope scope(task, call, "server_operations");
  return scope.run([&]() -> Result<void> {
    if (operations == nullptr) return fail(Errno(EINVAL), "there is no place for the result");
    MYFS_ASSIGN(fs::At at, api::path_at(path));
    MYFS_ASSIGN(fs::WalkResult found,
                fs::path_lookup(scope.ctx(), scope.task(), at, fs::LOOKUP_FOLLOW));
    auto& super = static_cast<netfs::Super&>(found.path.mnt->mnt_sb().s_op());
    MYFS_ASSIGN(rpc::ServerStats stats, super.client().server_stats(scope.ctx()));
    *operations = stats.operations;
    return {};
  });
}
int myfs_server_operations(myfs_task* task, const char* path, uint64_t* operations) {
  return myfs_server_operations_x(task, nullptr, path, operations);
}

}  // extern "C"
