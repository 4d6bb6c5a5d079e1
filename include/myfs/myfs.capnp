@0xb0a3f1d2c4e59687;
# The MyFS protocol, version 1. This file is the specification; docs/protocol.md tells the reasons.
#
# VOCABULARY
#   session   what one client (one mount of a server) is to the server: uuid, secret, epoch, slots,
#             leases, registered opens.
#   lease     the right of a session to use cached knowledge of one inode. A set of *parts* (bits of
#             a UInt16):
#               1 A   attributes shared: mode, uid, gid, nlink, btime, xattrs, ACLs, ctime (with R
#                     or D: all of stat)
#               2 AX  attributes exclusive (not granted in version 1)
#               4 D   directory content shared: names and their absence, with size, mtime, ctime,
#                     nlink, change
#               8 DX  directory exclusive (not granted in version 1)
#              16 R   data read: pages, size, mtime; for other non-directories the times
#              32 W   data write buffer: implies R and the authority over size, mtime, ctime
#              64 P   pin: the inode lives on while the session may have it open, also without a
#                    name
#             128 U   uncached: all I/O of the inode goes to the server
#             Conflicts between sessions: AX-A, AX-AX, DX-D, DX-DX, W-R, W-W. P conflicts with
#             nothing.
#   handle    names an inode on the wire: {ino, gen, mac}. The server issues it for nodes reached by
#             a permitted look-up below the export's root and accepts nothing else (ESTALE for a
#             wrong gen, EACCES for a wrong mac).
#   change    a per-inode counter that rises with every change; its high 16 bits are the server's
#             boot number.
#   opener    who does data I/O: an open of the client's, named by a number unique in the session.
#
# CONVENTIONS
#   errno is the first field of every result, 0 = success, Linux numbers. Exceptions mean transport
#   trouble only: DISCONNECTED: reconnect, bind and send again; OVERLOADED: back off, then send the
#   same again in its slot (nothing was begun: too much of the session waits already);
#   UNIMPLEMENTED: EOPNOTSUPP; FAILED: EIO. Names and paths are Data (bytes), single components;
#   '.', '..', '/' and NUL in a name: EINVAL. Times are (seconds, nanoseconds) since the epoch,
#   nanoseconds < 1e9.
#
# EXACTLY ONCE
#   Every call that changes anything durable begins with Op. A session has `slots` slots; a slot
#   carries one call at a time, with slotSeq = previous + 1. The server keeps {free, executing(seq,
#   hash), done(seq, reply)} per slot. Same seq while executing: the retry waits for the first one's
#   reply. Same seq, done: the recorded reply (errno and identity only; `replayed` is true, no
#   grant, no attributes: the client asks again). Lower: dropped. Same seq with other content:
#   protocol error, EPROTO. Queries carry no Op: executing one twice changes nothing, and what it
#   grants is ordered by seq. Slots 0 and 1 are reserved for write-back that honours a recall.
#
# ORDER
#   Every grant has a seq from one counter of the session. A grant whose seq is not above the newest
#   that the client has seen of that inode (from grants and recalls alike) is dropped. parts of a
#   grant is the whole set that the session then holds. A recall names {recallId, seq, parts to give
#   up}. While it is out, the session gets no new grant on that inode. The client stops using the
#   parts, writes back what W covers and waits until that is durable, then acknowledges with the
#   parts it keeps, its local opens and (after W) size and mtime. A release names the seq it
#   releases and is ignored if a newer grant exists. Nothing is visible to anybody before it is
#   durable: replies wait for the commit that they depend on.
#
# TIME
#   One lease term for the whole session. Client: deadline = boottime at *sending* of the newest
#   answered renew + term. Server: time of processing + term + margin (1 % + 1 s). Past the server's
#   deadline a conflict ends the session durably before the conflicting grant (`courteous`: without
#   a conflict it lives on).
#
# RECOVERY
#   A lost control connection: connect, hello, bind(session, secret). ok: the session goes on,
#   unanswered calls are sent again in their slots. ESTALE: the session is gone; everything cached
#   is dropped, unwritten data is reported as lost. A restarted server: bind's answer asks for
#   reclaim: the client tells what it holds, then the session goes on as after a lost connection.
#   Until all sessions have done so, or for the term and its margin, the server executes nothing
#   for anybody but login, bind, reclaim, renew, release, ack, close, and for a session that has
#   told all write-back and COMMIT under W and READ under R or W. Then it ends the others. (Of who
#   had given all back when the server was stopped in order, locks and pins alone are waited for.)
#   Write-back: WRITE is answered stable (durable)
#   or unstable with the server's boot verifier; the client keeps unstable bytes until a COMMIT
#   returns the same verifier, and writes them again on any other.
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("myfs::wire");

struct Op { epoch @0 :UInt64; slot @1 :UInt16; slotSeq @2 :UInt64; }
struct Cred { uid @0 :UInt32; gid @1 :UInt32; groups @2 :List(UInt32); }
struct Handle { ino @0 :UInt64; gen @1 :UInt32; mac @2 :UInt64; }
struct Attr {
  ino @0 :UInt64; gen @1 :UInt32; mode @2 :UInt32; nlink @3 :UInt32; uid @4 :UInt32; gid @5 :UInt32;
  rdev @6 :UInt64; size @7 :UInt64; blocks @8 :UInt64;              # blocks of 512 bytes
  blksize @9 :UInt32; flags @10 :UInt32;
  atimeSec @11 :Int64; mtimeSec @12 :Int64; ctimeSec @13 :Int64; btimeSec @14 :Int64;
  atimeNsec @15 :UInt32; mtimeNsec @16 :UInt32; ctimeNsec @17 :UInt32; btimeNsec @18 :UInt32;
  change @19 :UInt64; truncGen @20 :UInt32; truncSize @21 :UInt64;
    # smallest size since truncGen began
}
struct Grant { ino @0 :UInt64; parts @1 :UInt16; seq @2 :UInt64; spaceBytes @3 :UInt64; }
  # parts 0 and seq 0: nothing granted
struct Node {                                     # one inode as an answer shows it
  errno @0 :Int32;                                # of this component: ENOENT, EACCES, ...
  handle @1 :Handle; attr @2 :Attr; grant @3 :Grant;
  target @4 :Data;                                # of a symbolic link
  data @5 :Data;                                  # file content if asked for and small
  hasAttr @6 :Bool;                               # false: attr is absent (error, replayed)
  acl @7 :Data;
    # with attr: the access ACL, in the format of the xattr system.posix_acl_access; empty: none,
    # and the mode decides
  hasDefaultAcl @8 :Bool;                         # with attr
}
struct Extent { off @0 :UInt64; len @1 :UInt64; server @2 :UInt32; hole @3 :Bool; shared @4 :Bool; }
  # shared: it lies in a file of blocks that other chunks of this or other files name, too; these
  # need not share this very extent
struct Layout { epoch @0 :UInt64; stripes @1 :List(Extent); }        # one entry: this server
struct Opener { openId @0 :UInt64; cred @1 :Cred; access @2 :UInt8; }
  # access: 1 read, 2 write, 4 append-only, 8 (with 1) execute: X is asked for in place of R.
  # cred absent: nobody, who may what everybody may
struct OpenRecord { openId @0 :UInt64; access @1 :UInt8; cred @2 :Cred; }
struct Entry { name @0 :Data; cookie @1 :UInt64; ino @2 :UInt64; type @3 :UInt8; node @4 :Node; }
  # type: DT_*
struct LockRange { type @0 :UInt8; start @1 :UInt64; len @2 :UInt64; owner @3 :UInt64; kind @4
    :UInt8; pid @5 :Int32; }
  # type: F_RDLCK 0, F_WRLCK 1, F_UNLCK 2; len 0 = to the end; kind: 0 POSIX, 1 OFD, 2 flock
struct Claim {
  # parts of `node` that the client held when the last server ended; change: the newest that it has
  # seen of it; writeSince: the grant since which it holds W without a break
  node @0 :Handle; parts @1 :UInt16; change @2 :UInt64; writeSince @3 :UInt64;
}
struct OpenClaim { node @0 :Handle; open @1 :OpenRecord; }        # that was registered
struct LockClaim { node @0 :Handle; range @1 :LockRange; lockId @2 :UInt64; }
  # lockId: the ticket by which it is waited for; 0: it is held
struct LockKept { errno @0 :Int32; lockId @1 :UInt64; }
  # errno: it is lost. lockId: of a wait, the same unless somebody else has taken that number
struct Changed {                                  # the answer to every change of the name space
  errno @0 :Int32; replayed @1 :Bool;
  node @2 :Node;                                  # the inode made, linked, moved or changed
  dir @3 :Node; otherDir @4 :Node;                # parent(s) afterwards
  victim @5 :Node;                                # what an unlink or rename removed, afterwards;
    # a rename between two names of one file does nothing: then this is `node` itself
  layout @6 :Layout;
}
struct Principal {
  # Whom the server takes the callers of a session for: everybody for who he says he is (anyone), or
  # all for `cred`. Then the export's terms: squashAll: the anonymous user without groups;
  # squashRoot: ids and groups 0 become anonymous. A client that answers from its cache does the
  # same.
  anyone @0 :Bool; cred @1 :Cred;
  squashRoot @2 :Bool; squashAll @3 :Bool; anonUid @4 :UInt32; anonGid @5 :UInt32;
}
struct ShardRange { first @0 :UInt64; last @1 :UInt64; server @2 :UInt32; }
struct SessionInfo {
  sessionId @0 :UInt64; epoch @1 :UInt64; secret @2 :Data; termMs @3 :UInt32; slots @4 :UInt16;
  dataToken @5 :Data; root @6 :Node; bootVerifier @7 :UInt64;
  maxIoBytes @8 :UInt32; creditBytes @9 :UInt64; maxLeases @10 :UInt32;
  servers @11 :List(Text); shards @12 :List(ShardRange);             # shard map, one entry
  slotSeqs @13 :List(UInt64);                     # bind only: newest seq seen of each slot
  relaxed @14 :Bool;
    # Changes are answered before they are durable, no WRITE is answered as stable: COMMIT and sync
    # alone make durable, also what changed attributes and names before.
  principal @15 :Principal;                       # absent: callers are who they say they are
  readOnly @16 :Bool;                             # changes are answered by EROFS
}

# The only capability of a fresh connection.
interface Bootstrap {
  hello @0 (version :UInt32, features :UInt64)
        -> (errno :Int32, version :UInt32, features :UInt64, challenge :Data, serverTimeNs :Int64,
            why :Text);
    # Another version: EPROTONOSUPPORT, `version` is the server's.
  login @1 (client :Data, proof :Data, cred :Cred, export :Data, callback :ClientCallback, readOnly
      :Bool, number :UInt64)
        -> (errno :Int32, why :Text, session :Session, info :SessionInfo);
    # client: uuid, 16 bytes. proof: HMAC-SHA256(secret, challenge | client), empty on unix sockets.
    # export: path of the
    # directory that becomes the root. cred: default principal; on a unix socket a peer that is
    # neither root nor the server's
    # own user acts as himself, whatever he claims. number: rises with each login and bind of this
    # client; 0: it does not count them. EAGAIN: one with a higher number has come before, so nobody
    # waits for the answer to this one any more: its connection was given up, and it comes late.
  bind @2 (client :Data, proof :Data, sessionId :UInt64, epoch :UInt64, secret :Data, held
      :List(Grant), callback :ClientCallback, bootVerifier :UInt64, number :UInt64)
        -> (errno :Int32, why :Text, session :Session, info :SessionInfo, kept :List(Grant), grace
            :Bool, reclaim :Bool);
    # bootVerifier: of the last answer to a login, or to a bind and the reclaims that it asked for;
    # 0: the client does not reclaim. reclaim: this server was begun since: `kept` is empty, and
    # nothing of the session's is done before the client has told by Session.reclaim what it holds.
    # ESTALE also if the store has not seen that boot: an older one was put back. number: as of
    # login; EAGAIN: the session has been bound under a higher one, and stays where it is.
  attachData @3 (sessionId :UInt64, token :Data) -> (errno :Int32, data :DataService);
}

interface Session {
  meta @0 () -> (service :MetadataService);
  renew @1 (epoch :UInt64) -> (errno :Int32, termMs :UInt32, serverTimeNs :Int64);
  release @2 (grants :List(Grant), closed :List(UInt64)) -> (errno :Int32);
    # parts given up; openIds of registered opens that closed
  ack @3 (recallId :UInt64, ino :UInt64, kept :UInt16, seq :UInt64, opens :List(OpenRecord),
          size :UInt64, mtimeSec :Int64, mtimeNsec :UInt32, haveSize :Bool) -> (errno :Int32);
  glimpsed @4 (glimpseId :UInt64, ino :UInt64, size :UInt64, mtimeSec :Int64, mtimeNsec :UInt32,
      valid :Bool) -> (errno :Int32);
  close @5 () -> (errno :Int32);
    # orderly end: every lease returned, nothing unwritten
  ping @6 () -> ();                               # the null call
  stats @7 () -> (operations :UInt64, sessions :UInt32, leases :UInt64, recalls :UInt64, bytesIn
      :UInt64, bytesOut :UInt64, json :Text);
    # operations counts every call of every session but ping, renew, stats.
  lockGranted @8 (lockId :UInt64) -> (errno :Int32);
  newDataToken @9 () -> (errno :Int32, token :Data);
  reclaim @10 (claims :List(Claim), opens :List(OpenClaim), locks :List(LockClaim), last :Bool)
          -> (errno :Int32, why :Text, kept :List(Grant), locks :List(LockKept));
    # After a bind that has asked for it, in parts of at most 4096 of each kind; `last` ends it.
    # What is not in `kept` is not held any more: W and P are kept, W not if the store is older than
    # the claim; A, D, R only if the inode has not changed since. One answer for each of `locks`.
    # EPROTO: nothing is to be reclaimed, more than that, a handle of another session. Also, and the
    # session is ended: it claims what conflicts with another session's claim.
}

# Exported by the client. Every call returns at once; the answers are calls of Session.
struct RecallItem { recallId @0 :UInt64; ino @1 :UInt64; seq @2 :UInt64; parts @3 :UInt16; }
interface ClientCallback {
  recall @0 (items :List(RecallItem)) -> ();
  glimpse @1 (glimpseId :UInt64, ino :UInt64) -> ();
  lockGranted @2 (lockId :UInt64, seq :UInt64) -> ();
  trim @3 (leases :UInt32) -> ();                 # give back that many, least recently used first
  evicted @4 (why :Text) -> ();
  changed @5 (ino :UInt64, change :UInt64, mask :UInt32, name :Data) -> ();
    # notification of a watch
}

# Names and attributes; on the control connection. `want`: parts that the client would like;
# conflicting ones are
# recalled from others only where stated, else silently not granted.
interface MetadataService {
  lookup @0 (cred :Cred, dir :Handle, names :List(Data), want :UInt16, wantData :UInt32)
         -> (errno :Int32, dirNode :Node, nodes :List(Node));
    # Resolves names one after the other from dir; stops after the first error, symbolic link or
    # non-directory. nodes[i] answers
    # names[i]. dirNode and every directory on the way carry A and D when free; the last node
    # `want`. No names: dirNode only.
  getattr @1 (cred :Cred, node :Handle, want :UInt16, opener :Opener, mustGrant :Bool) -> (errno
      :Int32, node :Node);
    # The way to acquire a lease. mustGrant: recalls what conflicts with `want` first. Another's W:
    # size and times are asked for
    # (glimpse), R is then not granted. want with R or W needs a permitted opener or permission of
    # cred.
  setattr @2 (op :Op, cred :Cred, node :Handle, mask :UInt32, attr :Attr, opener :Opener) -> (reply
      :Changed);
    # mask: 1 mode, 2 uid, 4 gid, 8 size, 16 atime, 32 mtime, 64 atime now, 128 mtime now, 256 force
    # clearing of setuid/setgid. opener: for size; if it names no open, cred must have the right.
  create @3 (op :Op, cred :Cred, dir :Handle, name :Data, mode :UInt32, rdev :UInt64, target :Data,
      flags :UInt32, want :UInt16, opener :Opener, umask :UInt32)
         -> (reply :Changed);
    # mode with S_IFMT: any type; the server takes umask off it unless the directory has a default
    # ACL, which it applies instead. flags: 1 EXCL (EEXIST),
    # 2 TMPFILE (no name; with EXCL it never gets one), 4 OPEN (register `opener`), 8 TRUNC an
    # existing file, 16 DIRECTORY wanted, 32 NOFOLLOW. Without EXCL an existing
    # regular file is answered as found (replayed false, node as lookup) if cred may open it as
    # opener.access says.
  link @4 (op :Op, cred :Cred, node :Handle, dir :Handle, name :Data) -> (reply :Changed);
  unlink @5 (op :Op, cred :Cred, dir :Handle, name :Data, flags :UInt32, victim :UInt64) -> (reply
      :Changed);
    # flags: 1 directory (rmdir). victim: the inode that the client takes to be there, and for which
    # its cache does not answer until it has the final answer; 0: it knows of none. If it is another
    # one, the client's own leases of it that the change touches are recalled, too.
  rename @6 (op :Op, cred :Cred, oldDir :Handle, oldName :Data, newDir :Handle, newName :Data, flags
      :UInt32, moved :UInt64, replaced :UInt64) -> (reply :Changed);
    # flags: RENAME_NOREPLACE 1, RENAME_EXCHANGE 2. moved, replaced: of either name, as victim of
    # unlink.
  readdir @7 (cred :Cred, dir :Handle, cookie :UInt64, maxBytes :UInt32, plus :Bool, want :UInt16)
          -> (errno :Int32, dirNode :Node, entries :List(Entry), eof :Bool);
    # Entries with cookies above `cookie`, ascending; 0 starts; '.' and '..' are not sent. An entry
    # present throughout a scan is returned exactly once.
  open @8 (op :Op, cred :Cred, node :Handle, flags :UInt32, want :UInt16, opener :Opener) -> (reply
      :Changed);
    # flags: 8 TRUNC. Registers `opener`; recalls what conflicts with `want` as getattr with
    # mustGrant does if flags has 64. access 0 needs no permission and keeps an inode of any kind;
    # else a symbolic link is ELOOP.
  statfs @9 (cred :Cred, node :Handle)
         -> (errno :Int32, blockSize :UInt32, blocks :UInt64, blocksFree :UInt64, blocksAvail
             :UInt64, files :UInt64, filesFree :UInt64, fsid :UInt64, nameMax :UInt32);
  getxattr @10 (cred :Cred, node :Handle, name :Data) -> (errno :Int32, value :Data);
    # user., trusted., security., and system.posix_acl_access and _default in the kernel's format.
  listxattr @11 (cred :Cred, node :Handle) -> (errno :Int32, names :List(Data), values :List(Data));
  setxattr @12 (op :Op, cred :Cred, node :Handle, name :Data, value :Data, flags :UInt32, remove
      :Bool) -> (reply :Changed);
    # XATTR_CREATE 1, XATTR_REPLACE 2; they mean nothing for ACLs. An access ACL sets the mode's
    # permission bits; one that is no more than these is not kept. An empty ACL removes.
  lock @13 (op :Op, cred :Cred, node :Handle, opener :Opener, range :LockRange, wait :Bool) ->
      (errno :Int32, lockId :UInt64, queued :Bool, seq :UInt64);
    # At once: granted, refused (EAGAIN, EDEADLK) or queued with a ticket; the grant is a callback,
    # acknowledged by Session.lockGranted, and repeated after a bind until it is. seq orders
    # whatever has changed what an owner holds, over all answers and callbacks; 0: nothing was. A
    # flock held with another type is gone whatever the answer, also if that is EAGAIN or queued.
    # kind 0 and 1 want an opener that may read (F_RDLCK) or write (F_WRLCK). In the grace it waits.
  lockTest @14 (cred :Cred, node :Handle, range :LockRange) -> (errno :Int32, conflict :LockRange);
  lockCancel @15 (op :Op, lockId :UInt64) -> (errno :Int32, granted :Bool, seq :UInt64);
    # granted: it was before, and stays so; seq is that of the grant. ENOENT: no such ticket.
  lockRelease @16 (op :Op, node :Handle, owner :UInt64, kind :UInt8) -> (errno :Int32, seq :UInt64);
    # all of an owner's
  resolveHandle @17 (cred :Cred, ino :UInt64, gen :UInt32, persistent :Data, past :Handle,
      pastSession :UInt64) -> (errno :Int32, node :Node);
    # One of: past, a handle that the session pastSession of the same export was given, also when
    # that session has ended: by it a client goes on with what it has open, whatever became of the
    # name; persistent, for uid 0 only (EPERM); ino and gen alone for root of the whole tree.
  persistHandle @18 (cred :Cred, node :Handle) -> (errno :Int32, persistent :Data);
  parentOf @19 (cred :Cred, dir :Handle) -> (errno :Int32, node :Node, name :Data);
  dirStats @20 (cred :Cred, dir :Handle, recursive :Bool) -> (errno :Int32, entries :UInt64, subdirs
      :UInt64, bytes :UInt64);
    # Names in dir, or in the whole tree below it; how many of them are directories'; the sizes of
    # the regular files together, each once, however many names it has. Whoever holds W, the caller
    # too, is asked for the size. What comes, goes or moves meanwhile may count or not. EACCES: cred
    # may not read and search each of these directories. ENOMEM: too many files with several names.
  sync @21 (op :Op) -> (errno :Int32, verifier :UInt64);
    # everything of the session
  watch @22 (cred :Cred, node :Handle, mask :UInt32, recursive :Bool, cursor :UInt64) -> (errno
      :Int32, watchId :UInt64);
  unwatch @23 (watchId :UInt64) -> (errno :Int32);
  quota @24 (op :Op, cred :Cred, dir :Handle, set :Bool, bytes :UInt64, files :UInt64) -> (errno
      :Int32, bytesUsed :UInt64, filesUsed :UInt64, bytesMax :UInt64, filesMax :UInt64);
  getattrs @25 (cred :Cred, nodes :List(Handle), want :UInt16) -> (errno :Int32, nodes :List(Node));
}

# File content; on data connections, or, where the server takes none, on the control connection:
# attachData may be asked for there, too.
interface DataService {
  read @0 (node :Handle, opener :Opener, off :UInt64, len :UInt32)
       -> (errno :Int32, data :Data, eof :Bool, size :UInt64, change :UInt64, crcs :List(UInt32));
    # data may be shorter than min(len, size - off): the missing tail is zeros. eof: off + len >=
    # size.
  write @1 (op :Op, node :Handle, opener :Opener, off :UInt64, data :Data, leaseSeq :UInt64,
      truncGen :UInt32, hasTruncGen :Bool,
            crcs :List(UInt32), flags :UInt32, mtimeSec :Int64, mtimeNsec :UInt32)
        -> (errno :Int32, replayed :Bool, count :UInt32, verifier :UInt64, stable :Bool, node
            :Node);
    # flags: 1 STABLE (answer when durable), 2 WRITEBACK (pages dirtied under W; clipped by
    # truncGen), 4 UNCACHED (recall others' R and W
    # first), 8 KEEP_MTIME. leaseSeq, of a WRITEBACK: a grant since which the session has held W
    # without a break; of an earlier one: ESTALE. crcs: CRC32C of each 64 KiB of data, may be empty;
    # EBADMSG: a block arrived damaged, nothing was written (send it again under a new slotSeq).
  append @2 (op :Op, node :Handle, opener :Opener, data :Data) -> (errno :Int32, replayed :Bool, off
      :UInt64, node :Node);
  commit @3 (op :Op, node :Handle, verifier :UInt64, dataOnly :Bool) -> (errno :Int32, verifier
      :UInt64, node :Node);
  fallocate @4 (op :Op, node :Handle, opener :Opener, mode :UInt32, off :UInt64, len :UInt64) ->
      (reply :Changed);
  seek @5 (node :Handle, opener :Opener, off :UInt64, hole :Bool) -> (errno :Int32, off :UInt64);
  extents @6 (node :Handle, opener :Opener, off :UInt64, len :UInt64, max :UInt32) -> (errno :Int32,
      extents :List(Extent), last :Bool);
  copy @7 (op :Op, from :Handle, fromOpener :Opener, fromOff :UInt64, to :Handle, toOpener :Opener,
      toOff :UInt64, len :UInt64, clone :Bool)
       -> (errno :Int32, replayed :Bool, count :UInt64, node :Node);
    # Bytes of `from`, fewer at its end, or if the server has done enough for one call (count).
    # clone: by sharing, len 0: to the end. EINVAL: offsets or len that are no multiples of 64 KiB,
    # but for a range that ends with `from`, and at or behind the end of `to`; a range beyond the
    # end of `from`. A count of 16 GiB may not be all.
  ping @8 (payload :Data) -> (payload :Data);
  readMany @9 (cred :Cred, nodes :List(Handle), maxBytes :UInt32) -> (errno :Int32, nodes
      :List(Node));
    # small files whole
}
