// The parameters and results of each call to and from plain values.
// Kernel counterpart: the nfs4_xdr_enc_* and nfs4_xdr_dec_* of fs/nfs/nfs4xdr.c.
// Thread safety: as wire.h. encode_params fills a request. decode_results returns the server's
// errno, EPROTO for nonsense, or 0 with `*reply` filled; `session` tags the handles.
#pragma once

#include "absl/container/inlined_vector.h"
#include "myfs/myfs.capnp.h"
#include "sdk/rpc/data_calls.h"
#include "sdk/rpc/meta_calls.h"
#include "sdk/rpc/payload.h"
#include "sdk/rpc/wire.h"

namespace myfs::rpc {

struct Nothing {};

// Arguments that the public face takes apart.
struct NodeArgs {
  Handle node;
};
struct LockIdArgs {
  uint64_t lock_id = 0;
  Handle node{};  // not sent: of the session that the id is of
};
struct ReleaseArgs {
  std::vector<Grant> grants;
  std::vector<uint64_t> closed;
};
struct RenewArgs {
  uint64_t epoch = 0;
};
struct ReadJob {
  ReadArgs args;
  absl::InlinedVector<iovec, 8> to;
};
struct WriteJob {
  WriteArgs args;
  Payload payload;
};
struct AppendJob {
  AppendArgs args;
  Payload payload;
};

using Meta = wire::MetadataService;
void encode_params(const LookupArgs&, const Sender&, Meta::LookupParams::Builder);
void encode_params(const GetattrArgs&, const Sender&, Meta::GetattrParams::Builder);
void encode_params(const GetattrsArgs&, const Sender&, Meta::GetattrsParams::Builder);
void encode_params(const SetattrArgs&, const Sender&, Meta::SetattrParams::Builder);
void encode_params(const CreateArgs&, const Sender&, Meta::CreateParams::Builder);
void encode_params(const LinkArgs&, const Sender&, Meta::LinkParams::Builder);
void encode_params(const UnlinkArgs&, const Sender&, Meta::UnlinkParams::Builder);
void encode_params(const RenameArgs&, const Sender&, Meta::RenameParams::Builder);
void encode_params(const ReaddirArgs&, const Sender&, Meta::ReaddirParams::Builder);
void encode_params(const OpenArgs&, const Sender&, Meta::OpenParams::Builder);
void encode_params(const NodeArgs&, const Sender&, Meta::StatfsParams::Builder);
void encode_params(const GetxattrArgs&, const Sender&, Meta::GetxattrParams::Builder);
void encode_params(const NodeArgs&, const Sender&, Meta::ListxattrParams::Builder);
void encode_params(const SetxattrArgs&, const Sender&, Meta::SetxattrParams::Builder);
void encode_params(const LockArgs&, const Sender&, Meta::LockParams::Builder);
void encode_params(const LockTestArgs&, const Sender&, Meta::LockTestParams::Builder);
void encode_params(const LockIdArgs&, const Sender&, Meta::LockCancelParams::Builder);
void encode_params(const LockReleaseArgs&, const Sender&, Meta::LockReleaseParams::Builder);
void encode_params(const ResolveHandleArgs&, const Sender&, Meta::ResolveHandleParams::Builder);
void encode_params(const NodeArgs&, const Sender&, Meta::PersistHandleParams::Builder);
void encode_params(const NodeArgs&, const Sender&, Meta::ParentOfParams::Builder);
void encode_params(const DirStatsArgs&, const Sender&, Meta::DirStatsParams::Builder);
void encode_params(const Nothing&, const Sender&, Meta::SyncParams::Builder);

Errno decode_results(Meta::LookupResults::Reader, const LookupArgs&, uint32_t, LookupReply*);
Errno decode_results(Meta::GetattrResults::Reader, const GetattrArgs&, uint32_t, Node*);
Errno decode_results(Meta::GetattrsResults::Reader, const GetattrsArgs&, uint32_t, NodesReply*);
Errno decode_results(Meta::SetattrResults::Reader, const SetattrArgs&, uint32_t, Changed*);
Errno decode_results(Meta::CreateResults::Reader, const CreateArgs&, uint32_t, Changed*);
Errno decode_results(Meta::LinkResults::Reader, const LinkArgs&, uint32_t, Changed*);
Errno decode_results(Meta::UnlinkResults::Reader, const UnlinkArgs&, uint32_t, Changed*);
Errno decode_results(Meta::RenameResults::Reader, const RenameArgs&, uint32_t, Changed*);
Errno decode_results(Meta::ReaddirResults::Reader, const ReaddirArgs&, uint32_t, ReaddirReply*);
Errno decode_results(Meta::OpenResults::Reader, const OpenArgs&, uint32_t, Changed*);
Errno decode_results(Meta::StatfsResults::Reader, const NodeArgs&, uint32_t, StatfsReply*);
Errno decode_results(Meta::GetxattrResults::Reader, const GetxattrArgs&, uint32_t, std::string*);
Errno decode_results(Meta::ListxattrResults::Reader, const NodeArgs&, uint32_t, ListxattrReply*);
Errno decode_results(Meta::SetxattrResults::Reader, const SetxattrArgs&, uint32_t, Changed*);
Errno decode_results(Meta::LockResults::Reader, const LockArgs&, uint32_t, LockReply*);
Errno decode_results(Meta::LockTestResults::Reader, const LockTestArgs&, uint32_t, LockRange*);
Errno decode_results(Meta::LockCancelResults::Reader, const LockIdArgs&, uint32_t, uint64_t*);
Errno decode_results(Meta::LockReleaseResults::Reader, const LockReleaseArgs&, uint32_t, Nothing*);
Errno decode_results(Meta::ResolveHandleResults::Reader, const ResolveHandleArgs&, uint32_t, Node*);
Errno decode_results(Meta::PersistHandleResults::Reader, const NodeArgs&, uint32_t, std::string*);
Errno decode_results(Meta::ParentOfResults::Reader, const NodeArgs&, uint32_t, ParentReply*);
Errno decode_results(Meta::DirStatsResults::Reader, const DirStatsArgs&, uint32_t, DirStatsReply*);
Errno decode_results(Meta::SyncResults::Reader, const Nothing&, uint32_t, uint64_t*);

using Data = wire::DataService;
void encode_params(const ReadJob&, const Sender&, Data::ReadParams::Builder);
void encode_params(const WriteJob&, const Sender&, Data::WriteParams::Builder);
void encode_params(const AppendJob&, const Sender&, Data::AppendParams::Builder);
void encode_params(const CommitArgs&, const Sender&, Data::CommitParams::Builder);
void encode_params(const FallocateArgs&, const Sender&, Data::FallocateParams::Builder);
void encode_params(const SeekArgs&, const Sender&, Data::SeekParams::Builder);
void encode_params(const ExtentsArgs&, const Sender&, Data::ExtentsParams::Builder);
void encode_params(const CopyArgs&, const Sender&, Data::CopyParams::Builder);
void encode_params(const ReadManyArgs&, const Sender&, Data::ReadManyParams::Builder);

// Copies the content into job.to and zeroes what the server left out.
Errno decode_results(Data::ReadResults::Reader, const ReadJob&, uint32_t, ReadReply*);
Errno decode_results(Data::WriteResults::Reader, const WriteJob&, uint32_t, WriteReply*);
Errno decode_results(Data::AppendResults::Reader, const AppendJob&, uint32_t, AppendReply*);
Errno decode_results(Data::CommitResults::Reader, const CommitArgs&, uint32_t, CommitReply*);
Errno decode_results(Data::FallocateResults::Reader, const FallocateArgs&, uint32_t, Changed*);
Errno decode_results(Data::SeekResults::Reader, const SeekArgs&, uint32_t, uint64_t*);
Errno decode_results(Data::ExtentsResults::Reader, const ExtentsArgs&, uint32_t, ExtentsReply*);
Errno decode_results(Data::CopyResults::Reader, const CopyArgs&, uint32_t, CopyReply*);
Errno decode_results(Data::ReadManyResults::Reader, const ReadManyArgs&, uint32_t, NodesReply*);

using SessionService = wire::Session;
void encode_params(const RenewArgs&, const Sender&, SessionService::RenewParams::Builder);
void encode_params(const ReleaseArgs&, const Sender&, SessionService::ReleaseParams::Builder);
void encode_params(const AckArgs&, const Sender&, SessionService::AckParams::Builder);
void encode_params(const GlimpsedArgs&, const Sender&, SessionService::GlimpsedParams::Builder);
void encode_params(const Nothing&, const Sender&, SessionService::CloseParams::Builder);
void encode_params(const Nothing&, const Sender&, SessionService::PingParams::Builder);
void encode_params(const Nothing&, const Sender&, SessionService::StatsParams::Builder);
void encode_params(const LockIdArgs&, const Sender&, SessionService::LockGrantedParams::Builder);

Errno decode_results(SessionService::RenewResults::Reader, const RenewArgs&, uint32_t, RenewReply*);
Errno decode_results(SessionService::ReleaseResults::Reader, const ReleaseArgs&, uint32_t,
                     Nothing*);
Errno decode_results(SessionService::AckResults::Reader, const AckArgs&, uint32_t, Nothing*);
Errno decode_results(SessionService::GlimpsedResults::Reader, const GlimpsedArgs&, uint32_t,
                     Nothing*);
Errno decode_results(SessionService::CloseResults::Reader, const Nothing&, uint32_t, Nothing*);
Errno decode_results(SessionService::PingResults::Reader, const Nothing&, uint32_t, Nothing*);
Errno decode_results(SessionService::StatsResults::Reader, const Nothing&, uint32_t, ServerStats*);
Errno decode_results(SessionService::LockGrantedResults::Reader, const LockIdArgs&, uint32_t,
                     Nothing*);

}  // namespace myfs::rpc
