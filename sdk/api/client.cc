#include "sdk/api/client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "sdk/api/call_scope.h"
#include "sdk/api/mount_options.h"
#include "sdk/api/mount_url.h"
#include "sdk/base/error_detail.h"
#include "sdk/netfs/super.h"

namespace myfs::api {
namespace {

// Whether somebody serves the socket of a data directory.
bool is_served(const std::string& socket_path) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) return false;
  socket_path.copy(address.sun_path, socket_path.size());
  int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  bool served = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  return served;
}

Result<std::string> read_secret(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  std::string secret((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  if (!in.is_open()) {
    return fail(Errno(EACCES), absl::StrCat("option secret_file=", file, ": cannot be read"));
  }
  while (!secret.empty() && (secret.back() == '\n' || secret.back() == '\r')) secret.pop_back();
  if (secret.empty()) {
    return fail(Errno(EACCES), absl::StrCat("option secret_file=", file, ": is empty"));
  }
  return secret;
}

std::vector<std::string> servers_of(const MountUrl& url, const MountOptions& options) {
  if (options.servers.empty()) return url.servers;
  std::vector<std::string> result;
  for (const std::string& host : options.servers) {
    bool v6 = host.find(':') != std::string::npos && host.front() != '[';
    result.push_back(
        absl::StrCat(v6 ? "[" : "", host, v6 ? "]:" : ":", options.port.value_or(kDefaultPort)));
  }
  return result;
}

CredRef with_ids(CredRef cred, const MountOptions& options) {
  if (!options.uid.has_value() && !options.gid.has_value()) return cred;
  Cred as = *cred;
  as.uid = options.uid.value_or(as.uid);
  as.gid = options.gid.value_or(as.gid);
  as.groups.clear();
  return std::make_shared<const Cred>(std::move(as));
}

Result<netfs::MountOptions> net_options(const MountUrl& url, const MountOptions& options,
                                        std::string_view text, CredRef cred) {
  netfs::MountOptions net;
  net.s_id = std::string(text.substr(0, text.find('?')));
  net.read_only = options.read_only;
  net.sync_writes = options.write_sync;
  net.idmap = options.idmap;
  net.attr_timeout_ns = options.cache_timeout_ns.value_or(kNoDeadline);
  net.rsize_bytes = options.rsize_bytes;
  net.wsize_bytes = options.wsize_bytes;
  net.client.soft = options.soft;
  net.client.timeout_ns = options.timeout_ns;
  net.client.connect_timeout_ns = options.connect_timeout_ns;
  net.client.data_connections = options.connections;
  net.client.export_path = url.export_path;
  net.client.cred = with_ids(std::move(cred), options);
  if (!options.salvage_dir.empty()) {
    MYFS_ASSIGN(net.salvage, netfs::RescueDir::open(options.salvage_dir));
  }
  if (!options.secret_file.empty()) {
    MYFS_ASSIGN(net.client.secret, read_secret(options.secret_file));
  } else if (options.token) {
    return fail(Errno(EINVAL), "option sec=token: needs option secret_file");
  }
  return net;
}

// Where to connect; starts the embedded server if nobody serves the directory.
Result<void> set_target(const MountUrl& url, const MountOptions& options,
                        rpc::ClientOptions* client, std::shared_ptr<EmbeddedServer>* server) {
  if (url.kind == MountUrl::Kind::kTcp) {
    client->addresses = servers_of(url, options);
    return {};
  }
  if (url.kind == MountUrl::Kind::kUnix) {
    client->addresses = {url.path};
    return {};
  }
  std::string socket_path = url.path + "/myfs.sock";
  client->addresses = {socket_path};
  auto started = EmbeddedServer::get(url.path);
  if (started.ok()) {
    *server = *started;
    client->connector = [embedded = started->get()] { return embedded->connect(); };
    return {};
  }
  // Somebody else holds the directory: join him, if he listens.
  if (started.error() == Errno(EBUSY) && is_served(socket_path)) return {};
  return started.error();
}

}  // namespace

netfs::Super& MountedClient::super() const { return static_cast<netfs::Super&>(sb->s_op()); }

void ClientTable::add(MountedClient client) {
  MutexLock lock(mutex_);
  clients_.push_back(std::move(client));
}

void ClientTable::prune() {
  std::vector<MountedClient> ended;  // destroyed outside of the lock
  MutexLock lock(mutex_);
  auto first = std::stable_partition(clients_.begin(), clients_.end(),
                                     [](const MountedClient& c) { return c.sb->is_active(); });
  std::move(first, clients_.end(), std::back_inserter(ended));
  clients_.erase(first, clients_.end());
}

std::vector<MountedClient> ClientTable::all() const {
  std::vector<MountedClient> copies;
  MutexLock lock(mutex_);
  copies.reserve(clients_.size());
  for (const MountedClient& client : clients_) {
    copies.push_back({client.url, client.at, nullptr, client.loop, client.sb});
  }
  return copies;
}

Result<CredRef> task_cred(std::string_view text, const myfs_mount_options* options) {
  MYFS_ASSIGN(CredRef cred, make_cred(options != nullptr ? options->cred : nullptr));
  auto url = parse_mount_url(text);
  if (!url.ok()) return cred;
  auto more = parse_option_list(
      options != nullptr && options->options != nullptr ? options->options : "", ',');
  if (!more.ok()) return cred;
  auto parsed = parse_mount_options(*more, url->options);
  return parsed.ok() ? with_ids(std::move(cred), *parsed) : cred;
}

Result<void> mount_url(const CallContext& ctx, Runtime& runtime, fs::TaskStruct& task,
                       const std::shared_ptr<ClientTable>& table, std::string_view text,
                       std::string_view at, std::string_view options_text) {
  MYFS_ASSIGN(MountUrl url, parse_mount_url(text));
  MYFS_ASSIGN(OptionList more, parse_option_list(options_text, ','));
  MYFS_ASSIGN(MountOptions options, parse_mount_options(more, url.options));
  MYFS_ASSIGN(netfs::MountOptions net, net_options(url, options, text, ctx.cred));
  net.runtime = &runtime.memory();
  if (options.cache_size_bytes.has_value()) {
    runtime.memory().budget().set_limit(*options.cache_size_bytes);
  }

  MountedClient client;
  client.url = std::string(text);
  client.at = std::string(at);
  MYFS_ASSIGN(client.loop, runtime.loop(options.spin_ns));
  MYFS_TRY(set_target(url, options, &net.client, &client.server));
  MYFS_ASSIGN(Ref<fs::SuperBlock> sb, netfs::Super::mount(*client.loop, std::move(net), ctx));
  client.sb = sb;
  sb->hold(client.loop);
  sb->on_end([of = std::weak_ptr<ClientTable>(table)] {
    if (const std::shared_ptr<ClientTable> still = of.lock()) still->prune();
  });
  table->add(std::move(client));
  auto mounted = task.mount(ctx, sb, at, options.read_only);
  if (!mounted.ok()) {
    CallContext end = ctx;
    end.deadline_ns = deadline_after_ns(kUmountTimeout_ns);
    sb->kill(end, true);
    table->prune();
    return mounted.error();
  }
  return {};
}

}  // namespace myfs::api
