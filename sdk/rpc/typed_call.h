// TypedCall: a Call that knows its arguments and its reply; and the list of all calls there are.
// Kernel counterpart: struct rpc_procinfo nfs4_procedures[] (fs/nfs/nfs4xdr.c). Thread safety,
// ownership: as Call.
#pragma once

#include <type_traits>
#include <utility>

#include "sdk/base/clock.h"
#include "sdk/rpc/call.h"
#include "sdk/rpc/connection.h"
#include "sdk/rpc/wire_calls.h"

namespace myfs::rpc {

inline wire::MetadataService::Client& service(Connection& c, wire::MetadataService::Client*) {
  return c.meta();
}
inline wire::DataService::Client& service(Connection& c, wire::DataService::Client*) {
  return c.data();
}
inline wire::Session::Client& service(Connection& c, wire::Session::Client*) { return c.session(); }

template <Method method, bool changes, auto request, typename Arguments, typename Answer>
struct CallType;
template <Method method, bool changes, typename Service, typename Params, typename Results,
          capnp::Request<Params, Results> (Service::*request)(kj::Maybe<capnp::MessageSize>),
          typename Arguments, typename Answer>
struct CallType<method, changes, request, Arguments, Answer> {
  using Args = Arguments;
  using Reply = Answer;
  using ResultsType = Results;
  static constexpr Method kMethod = method;
  static constexpr bool kChanges = changes;
  static constexpr Lane kLane =
      std::is_same_v<Service, wire::DataService::Client> ? Lane::kData : Lane::kControl;
  static auto make_request(Connection& connection) {
    return (service(connection, static_cast<Service*>(nullptr)).*request)(nullptr);
  }
};

inline constexpr bool kQuery = false, kChange = true;
using MetaClient = wire::MetadataService::Client;
using DataClient = wire::DataService::Client;
using SessionClient = wire::Session::Client;

using LookupCall =
    CallType<Method::kLookup, kQuery, &MetaClient::lookupRequest, LookupArgs, LookupReply>;
using GetattrCall =
    CallType<Method::kGetattr, kQuery, &MetaClient::getattrRequest, GetattrArgs, Node>;
using GetattrsCall =
    CallType<Method::kGetattrs, kQuery, &MetaClient::getattrsRequest, GetattrsArgs, NodesReply>;
using SetattrCall =
    CallType<Method::kSetattr, kChange, &MetaClient::setattrRequest, SetattrArgs, Changed>;
using CreateCall =
    CallType<Method::kCreate, kChange, &MetaClient::createRequest, CreateArgs, Changed>;
using LinkCall = CallType<Method::kLink, kChange, &MetaClient::linkRequest, LinkArgs, Changed>;
using UnlinkCall =
    CallType<Method::kUnlink, kChange, &MetaClient::unlinkRequest, UnlinkArgs, Changed>;
using RenameCall =
    CallType<Method::kRename, kChange, &MetaClient::renameRequest, RenameArgs, Changed>;
using ReaddirCall =
    CallType<Method::kReaddir, kQuery, &MetaClient::readdirRequest, ReaddirArgs, ReaddirReply>;
using OpenCall = CallType<Method::kOpen, kChange, &MetaClient::openRequest, OpenArgs, Changed>;
using StatfsCall =
    CallType<Method::kStatfs, kQuery, &MetaClient::statfsRequest, NodeArgs, StatfsReply>;
using GetxattrCall =
    CallType<Method::kGetxattr, kQuery, &MetaClient::getxattrRequest, GetxattrArgs, std::string>;
using ListxattrCall =
    CallType<Method::kListxattr, kQuery, &MetaClient::listxattrRequest, NodeArgs, ListxattrReply>;
using SetxattrCall =
    CallType<Method::kSetxattr, kChange, &MetaClient::setxattrRequest, SetxattrArgs, Changed>;
using LockCall = CallType<Method::kLock, kChange, &MetaClient::lockRequest, LockArgs, LockReply>;
using LockTestCall =
    CallType<Method::kLockTest, kQuery, &MetaClient::lockTestRequest, LockTestArgs, LockRange>;
using LockCancelCall =
    CallType<Method::kLockCancel, kChange, &MetaClient::lockCancelRequest, LockIdArgs, uint64_t>;
using LockReleaseCall = CallType<Method::kLockRelease, kChange, &MetaClient::lockReleaseRequest,
                                 LockReleaseArgs, Nothing>;
using ResolveHandleCall = CallType<Method::kResolveHandle, kQuery,
                                   &MetaClient::resolveHandleRequest, ResolveHandleArgs, Node>;
using PersistHandleCall = CallType<Method::kPersistHandle, kQuery,
                                   &MetaClient::persistHandleRequest, NodeArgs, std::string>;
using ParentOfCall =
    CallType<Method::kParentOf, kQuery, &MetaClient::parentOfRequest, NodeArgs, ParentReply>;
using DirStatsCall =
    CallType<Method::kDirStats, kQuery, &MetaClient::dirStatsRequest, DirStatsArgs, DirStatsReply>;
using SyncCall = CallType<Method::kSync, kChange, &MetaClient::syncRequest, Nothing, uint64_t>;

using ReadCall = CallType<Method::kRead, kQuery, &DataClient::readRequest, ReadJob, ReadReply>;
using WriteCall =
    CallType<Method::kWrite, kChange, &DataClient::writeRequest, WriteJob, WriteReply>;
using AppendCall =
    CallType<Method::kAppend, kChange, &DataClient::appendRequest, AppendJob, AppendReply>;
using CommitCall =
    CallType<Method::kCommit, kChange, &DataClient::commitRequest, CommitArgs, CommitReply>;
using FallocateCall =
    CallType<Method::kFallocate, kChange, &DataClient::fallocateRequest, FallocateArgs, Changed>;
using SeekCall = CallType<Method::kSeek, kQuery, &DataClient::seekRequest, SeekArgs, uint64_t>;
using ExtentsCall =
    CallType<Method::kExtents, kQuery, &DataClient::extentsRequest, ExtentsArgs, ExtentsReply>;
using CopyCall = CallType<Method::kCopy, kChange, &DataClient::copyRequest, CopyArgs, CopyReply>;
using ReadManyCall =
    CallType<Method::kReadMany, kQuery, &DataClient::readManyRequest, ReadManyArgs, NodesReply>;

using RenewCall =
    CallType<Method::kRenew, kQuery, &SessionClient::renewRequest, RenewArgs, RenewReply>;
using ReleaseCall =
    CallType<Method::kRelease, kQuery, &SessionClient::releaseRequest, ReleaseArgs, Nothing>;
using AckCall = CallType<Method::kAck, kQuery, &SessionClient::ackRequest, AckArgs, Nothing>;
using GlimpsedCall =
    CallType<Method::kGlimpsed, kQuery, &SessionClient::glimpsedRequest, GlimpsedArgs, Nothing>;
using CloseCall = CallType<Method::kClose, kQuery, &SessionClient::closeRequest, Nothing, Nothing>;
using PingCall = CallType<Method::kPing, kQuery, &SessionClient::pingRequest, Nothing, Nothing>;
using StatsCall =
    CallType<Method::kStats, kQuery, &SessionClient::statsRequest, Nothing, ServerStats>;
using LockGrantedCall =
    CallType<Method::kLockGranted, kQuery, &SessionClient::lockGrantedRequest, LockIdArgs, Nothing>;

// Runs `visit` on each handle among the arguments.
template <typename Args, typename Visit>
void each_handle(const Args& args, Visit visit) {
  if constexpr (requires { args.args; }) {
    each_handle(args.args, visit);
  } else {
    if constexpr (requires { args.dir.mac; }) visit(args.dir);
    if constexpr (requires { args.node.mac; }) visit(args.node);
    if constexpr (requires { args.old_dir.mac; }) visit(args.old_dir);
    if constexpr (requires { args.new_dir.mac; }) visit(args.new_dir);
    if constexpr (requires { args.from.mac; }) visit(args.from);
    if constexpr (requires { args.to.mac; }) visit(args.to);
    if constexpr (requires { args.nodes[0].mac; }) {
      for (const Handle& handle : args.nodes) visit(handle);
    }
  }
}

template <typename Type>
class TypedCall final : public Call {
 public:
  using Args = typename Type::Args;
  using Reply = typename Type::Reply;

  explicit TypedCall(Args args_in)
      : Call(Type::kMethod, Type::kLane, Type::kChanges), args(std::move(args_in)) {
    each_handle(args, [this](const Handle& handle) {
      if (ino == 0) ino = handle.ino;
    });
  }

  kj::Promise<void> transmit(Connection& connection, CallOwner& owner) override {
    owner_ = &owner;
    auto request = Type::make_request(connection);
    encode_params(args, Sender{cred.get(), op}, request);
    if constexpr (requires { args.payload; }) {
      if (args.payload.by_reference()) connection.pins().pin(args.payload.bytes().data(), *this);
    }
    uint32_t transmission = transmissions.load(std::memory_order_relaxed);
    return request.send().then([self = Ref<TypedCall>(*this), transmission,
                                &owner](capnp::Response<typename Type::ResultsType>&& response) {
      self->receive(response, transmission, owner);
    });
  }
  bool handles_of(uint64_t incarnation) const override {
    bool all = true;
    each_handle(args, [&](const Handle& handle) {
      all = all && (handle.session == 0 || handle.session == static_cast<uint32_t>(incarnation));
    });
    return all;
  }
  void own_payload() override {
    if constexpr (requires { args.payload; }) args.payload.own();
  }
  bool borrows() const override {
    if constexpr (requires { args.payload; }) return args.payload.borrowed();
    return false;
  }

  Args args;
  Reply reply{};
  Completion<Reply> completion;

 private:
  void receive(typename Type::ResultsType::Reader results, uint32_t transmission,
               CallOwner& owner) {
    if (final_reply || transmission != transmissions.load(std::memory_order_relaxed)) return;
    Errno outcome;
    if (claim()) {
      // A reply whose pointers lead nowhere throws while it is read.
      auto exception = kj::runCatchingExceptions([&] {
        outcome = decode_results(results, args, static_cast<uint32_t>(incarnation), &reply);
      });
      if (exception != nullptr) outcome = Errno(EPROTO);
      if constexpr (requires { reply.sent_boottime_ns; }) reply.sent_boottime_ns = sent_ns;
    } else if (change) {
      note_unheard(results);
    }
    owner.answered(*this, outcome);
  }
  void note_unheard(typename Type::ResultsType::Reader results) {
    if constexpr (std::is_same_v<Reply, Changed>) {
      Changed late;
      bool good = false;
      auto exception = kj::runCatchingExceptions([&] {
        good = decode_results(results, args, static_cast<uint32_t>(incarnation), &late).ok();
      });
      if (exception != nullptr || !good) return;
      for (const Node* node : {&late.node, &late.dir, &late.other_dir, &late.victim}) {
        if (node->grant.seq != 0) unheard.push_back(node->grant);
      }
    }
  }
  void run_completion() override {
    if (!asynchronous) return done.set();
    if (!completion) return;
    Completion<Reply> run = std::move(completion);
    completion = nullptr;
    if (error.ok()) {
      run(std::move(reply));
    } else {
      run(error);
    }
  }
};

}  // namespace myfs::rpc
