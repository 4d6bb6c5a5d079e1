// myfs_task: what the C interface's opaque pointers stand for.
// Kernel counterpart: struct task_struct, as fs::TaskStruct; this adds only what the facade needs
// to guard it.
// Thread safety: as <myfs/myfs.h> says.
// Owns / is owned by: the embedder owns myfs_task and myfs_dir; a task owns its fs::TaskStruct, a
// myfs_dir one descriptor.
#pragma once

#include <myfs/myfs.h>

#include <memory>
#include <string>
#include <vector>

#include "sdk/api/async_queue.h"
#include "sdk/api/client.h"
#include "sdk/api/lowlevel.h"
#include "sdk/base/metrics.h"
#include "sdk/base/sync.h"
#include "sdk/fs/task.h"
#include "sdk/uv/fork_guard.h"

struct myfs_task {
  explicit myfs_task(myfs::CredRef who)
      : cred(std::move(who)), clients(std::make_shared<myfs::api::ClientTable>()), task(cred) {}
  // With a copy of the name space of `of`.
  myfs_task(myfs::CredRef who, const myfs_task& of, myfs::fs::TaskStruct::Scope scope)
      : cred(std::move(who)), clients(of.clients), task(cred, std::move(scope)) {}

  const myfs::uv_io::ForkGuard fork_guard;
  const myfs::CredRef cred;
  myfs::Counter operations;
  myfs::Counter bytes_read, bytes_written;
  // Of the mounts, also of the tasks that were copied from one another; declared first: they
  // outlive the name space.
  const std::shared_ptr<myfs::api::ClientTable> clients;
  myfs::fs::TaskStruct task;
  myfs::api::LowLevel lowlevel{this};  // its places and files are of the name space
  const std::shared_ptr<myfs::api::AsyncQueues> queues = std::make_shared<myfs::api::AsyncQueues>();
};

struct myfs_cancel {
  myfs::CancelToken token;
};
