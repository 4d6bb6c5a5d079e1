/* reply.pml: a change is executed exactly once, and nobody sees what is not durable.
 *
 * Checks, of docs/protocol.md: Exactly once (slots, retries that wait for the first execution,
 * records, what a replay tells), Nobody sees what is not durable (execution in memory, commit in
 * batches, commits that fail, `relaxed`), and of reclaim: records are read back after a restart, what
 * relaxed has lost is told, a lease is given again only if the change counter fits.
 *
 * One inode. A caller makes changes 1 to OPS, one after the other, in one slot; each makes a new
 * version. Others make OTHERS changes and ask. The caller may get a lease (R) with an answer. A
 * version is executed (mem) and durable later (dur); what[v] is the caller's change that it
 * contains, 0: another's; rec_of[v] the number that the slot's record has from then on.
 *
 * A change of content has two stages: its bytes are at the server, then they are committed. A commit
 * of somebody else must leave them alone until then, or take the record along.
 *
 * Asserted: no change is executed twice; none that was answered is missing later, or, if relaxed,
 * without being told as lost, and then with all that came after it; what anybody was shown is never
 * undone (not if relaxed); the caller's cache has the newest version.
 *
 *   NOSLOT        a retry is executed whatever was before
 *   NOATTACH      a retry that comes while the first is under way is executed beside it
 *   RECORDLATE    the record is not in the transaction of the change
 *   FOREIGNCOMMIT another's commit takes the bytes along, without the record
 *   NORECORD      records are not read back
 *   REPLAYGRANT   a replayed answer brings the lease of the first
 *   DIRTYREAD     an answer does not wait for the commit of what it has seen
 *   EARLYREPLY    the answer to a change does not wait for its commit
 *   LOSTSILENT    (relaxed) the client does not compare its slots with those that the bind tells
 *   COUNTERRESET  (relaxed) the change counter goes on from the store's, without the boot number
 *   NOCOUNTER     (relaxed) a lease is given again whatever the change counter
 */
#ifndef OPS
#define OPS 2
#endif
#ifndef OTHERS
#define OTHERS 1
#endif
#ifndef BREAKS
#define BREAKS 1
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif
#ifndef FAILS
#define FAILS 1   /* commits */
#endif
#ifdef RELAXED
#define EARLY true
#else
#define EARLY false
#endif
#define VERSIONS 8
#define FREE 0
#define EXECUTING 1
#define DONE 2

chan ask = [1] of { byte, byte };              /* the slot's number, the change */
chan tell = [1] of { byte, byte, byte, bit };  /* number, errno, version or 0 (replayed), lease */

/* the caller */
byte op, num;                /* the newest change, and its number in the slot */
byte done_as[4];             /* answered as done: under this number; 0: failed, or told as lost */
bit waits, sent, conn = 1, bnd = 1;
bit lease; byte val;
/* the server's memory */
byte mem, slot, job, state, err, runs, content;
bit reach, held, taken;   /* reach: the answer finds its way */
/* the store */
byte dur, rec;
byte what[VERSIONS], rec_of[VERSIONS];
byte cnt[VERSIONS], boot;      /* its change counter; the boot number is its high part */
#ifdef BUG_REPLAYGRANT
byte granted;                /* in the record: the version that came with the lease */
#endif
/* the observers */
byte asked, shown;           /* a query has seen this version; answered: this one */
byte others = OTHERS, breaks = BREAKS, restarts = RESTARTS, fails = FAILS, x, y, z; bit g;

#define HAS(n) (what[1] == n || what[2] == n || what[3] == n || what[4] == n || what[5] == n || \
  what[6] == n || what[7] == n)
/* Nothing that was answered is missing. */
#define KEPT(n) (done_as[n] == 0 || HAS(n))
#define CHECK x = 0; y = 0; z = 0; g = 0; \
  assert(!bnd || KEPT(1) && KEPT(2) && KEPT(3)); \
  assert(!(lease && conn && bnd && !waits) || val == cnt[mem])

inline add(change, record) {
  assert(change == 0 || !HAS(change));         /* never twice */
  mem++; what[mem] = change; rec_of[mem] = record; cnt[mem] = cnt[mem - 1] + 1;
#ifndef BUG_COUNTERRESET
  if :: cnt[mem] < boot * 16 -> cnt[mem] = boot * 16 :: else fi
#endif
}

/* Back to what is durable. */
inline undo() {
  do :: mem > dur -> what[mem] = 0; rec_of[mem] = 0; cnt[mem] = 0; mem-- :: else -> break od
}

proctype Caller() {
end:
  do
  :: atomic { !waits && op < OPS && conn && bnd -> op++; num++; waits = 1; sent = 1; ask!num,op }
  :: atomic { waits && !sent && conn && bnd && nfull(ask) -> sent = 1; ask!num,op }
  :: atomic { len(tell) > 0 -> tell?x,y,z,g;
       if
       :: waits && x == num -> waits = 0;
          if :: y == 0 -> done_as[op] = num; assert(HAS(op)) :: else fi;
          if :: g -> lease = 1 :: else fi;
          if :: z != 0 -> val = (z > val -> z : val)
             :: else -> lease = 0              /* replayed, or failed: it asks anew */
          fi
       :: else
       fi; CHECK }
  /* The server takes the lease back. (What may go wrong on the way is in lease.pml.) */
  :: atomic { held && others > 0 && conn && bnd && len(tell) == 0 -> held = 0; lease = 0 }
  :: atomic { breaks > 0 && conn -> breaks--; goto broken }
  :: atomic { restarts > 0 ->
       restarts--; boot++; undo(); held = 0; runs = 0; err = 0; content = 0; taken = 0;
       asked = 0; state = FREE; slot = 0; job = 0;
#ifndef BUG_NORECORD
       slot = rec; if :: rec != 0 -> state = DONE :: else fi;
#endif
#ifndef RELAXED
       assert(dur >= shown);
#endif
       /* Reclaim, at the bind. */
       if
#ifdef BUG_NOCOUNTER
       :: lease ->
#else
       :: lease && val == cnt[mem] ->
#endif
          held = 1
       :: else
       fi;
broken:
       if :: len(ask) > 0 -> ask?_,_ :: else fi;
       if :: len(tell) > 0 -> tell?_,_,_,_ :: else fi;
       conn = 0; bnd = 0; sent = 0; reach = 0; CHECK }
  /* The bind: what both hold; the slot's number. */
  :: atomic { !conn -> conn = 1; bnd = 1;
       held = (held && lease); lease = held;
#ifndef BUG_LOSTSILENT
       /* on_lost_ops: what was done under a number that the store does not know */
       if :: done_as[1] > slot -> done_as[1] = 0 :: else fi;
       if :: done_as[2] > slot -> done_as[2] = 0 :: else fi;
       if :: done_as[3] > slot -> done_as[3] = 0 :: else fi;
#endif
       /* What the slot has not seen was not executed, so the next number is taken. */
       if :: !waits -> num = slot :: waits && num > slot + 1 -> num = slot + 1 :: else fi;
       CHECK }
  od
}

inline answer(version) {
  if
  :: reach && len(tell) == 0 ->
     if
     :: version != 0 && err == 0 -> tell!slot,err,version,held
     :: else -> tell!slot,err,0,0
     fi
  :: else
  fi
}

proctype Server() {
end:
  do
  :: atomic { len(ask) > 0 && len(tell) == 0 -> ask?x,y; reach = 1;
       if
#ifdef BUG_NOSLOT
       :: true -> slot = x; job = y; state = EXECUTING; err = 0; runs++
#else
       :: x == slot + 1 && state != EXECUTING -> slot = x; job = y; state = EXECUTING; err = 0; runs = 1
       :: x == slot && state == DONE ->
#ifdef BUG_REPLAYGRANT
          tell!x,err,granted,1
#else
          tell!x,err,0,0
#endif
       :: x == slot && state == EXECUTING ->
#ifdef BUG_NOATTACH
          runs++
#else
          skip                                 /* it gets the answer of the first */
#endif
       :: x < slot -> skip
       :: x > slot + 1 -> assert(false)
#endif
       fi; CHECK }
  /* Its bytes have come. */
  :: atomic { state == EXECUTING && runs > 0 && content == 0 && mem < VERSIONS - 2 ->
       content = job }
  /* They go into a transaction, with the record of the answer. */
  :: atomic { state == EXECUTING && runs > 0 && content != 0 && mem < VERSIONS - 2 ->
       runs--; content = 0;
#ifdef BUG_RECORDLATE
       add(job, 0); add(0, slot);
#else
       /* Taken by another's commit: what is left is the record. */
       if :: taken -> taken = 0; add(0, slot) :: else -> add(job, slot) fi;
#endif
       if :: others > 0 -> held = 1 :: true fi;  /* granted in the turn that executes */
#ifdef BUG_REPLAYGRANT
       granted = cnt[mem];
#endif
       if
#ifdef BUG_EARLYREPLY
       :: true -> state = DONE; answer(cnt[mem])
#endif
       :: EARLY -> state = DONE; answer(cnt[mem])
       :: else
       fi;
       CHECK }
  /* Others' changes, and their commits. */
  :: atomic { others > 0 && !held && mem < VERSIONS - 2 -> others--;
#ifdef BUG_FOREIGNCOMMIT
       if :: content != 0 && !taken -> taken = 1; add(content, 0) :: else -> add(0, 0) fi;
#else
       add(0, 0);
#endif
       CHECK }
  /* A query: it has seen what is in memory. */
  :: atomic { asked == 0 && mem > shown -> asked = mem;
#ifdef BUG_DIRTYREAD
       shown = asked; asked = 0
#endif
       }
  :: atomic { asked != 0 && asked <= dur -> shown = (asked > shown -> asked : shown); asked = 0 }
  /* The store: one version after the other. */
  :: atomic { dur < mem && (dur + 1 < mem || len(tell) == 0) -> dur++;
       if :: rec_of[dur] != 0 -> rec = rec_of[dur];
             if :: state == EXECUTING && rec == slot && runs == 0 -> state = DONE; answer(cnt[dur])
                :: else fi
          :: else fi;
       CHECK }
  /* A commit fails, and all that was built on it. */
  :: atomic { fails > 0 && dur < mem && len(tell) == 0 && !EARLY -> fails--;
       undo();
       asked = 0;
       if :: state == EXECUTING && runs == 0 -> err = 5; state = DONE; lease = 0; held = 0; answer(0)
          :: else -> lease = 0; held = 0 fi;
       CHECK }
  od
}

init { atomic { run Caller(); run Server() } }
