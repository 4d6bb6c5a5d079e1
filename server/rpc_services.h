// RpcServices: the capabilities that a login hands out, made by the handlers of one file each.
// Kernel counterpart: nfsd_program's version tables (fs/nfsd/nfssvc.c).
// Thread safety: the shard's loop only.
#pragma once

#include "myfs/myfs.capnp.h"
#include "server/rpc_call.h"

namespace myfs::server {

wire::Session::Client make_session(Bound bound);
wire::MetadataService::Client make_metadata_service(Bound bound);
wire::DataService::Client make_data_service(Bound bound);

}  // namespace myfs::server
