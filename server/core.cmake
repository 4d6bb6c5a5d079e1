# The state machine behind the listener.
set(server_core_sources
  auth.cc commit_queue.cc data_handlers.cc handle_mac.cc lease_table.cc lock_handlers.cc
  lock_table.cc meta_view.cc
  namespace_attr.cc namespace_common.cc namespace_create.cc namespace_lookup.cc
  namespace_remove.cc open_table.cc permission.cc reply_cache.cc
  rpc_codec.cc rpc_data.cc rpc_handlers.cc rpc_metadata.cc session_table.cc shard.cc
  shard_boot.cc shard_recall.cc shard_session.cc turn.cc)
set(server_core_headers
  auth.h commit_queue.h data_handlers.h handle_mac.h lease_table.h lock_handlers.h
  lock_table.h meta_view.h namespace.h
  open_table.h permission.h reply_cache.h rpc_call.h rpc_codec.h
  rpc_handlers.h rpc_services.h request.h requests.h session_table.h shard.h turn.h
  types.h)
