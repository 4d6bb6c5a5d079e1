/* lease.pml: leases, sessions, recovery: the core of the protocol.
 *
 * Checks, of docs/protocol.md: Leases (seq, releases, why the clock), Writes (one at a time, a
 * write-back names a grant), Exactly once (of write-back), Sessions (bind, courtesy, death, restart,
 * reclaim, grace, clean mark).
 *
 * What there is: one inode, two clients, the server with a loop and a store. A client holds
 * N (nothing), R (may answer from its cache) or W (may also keep what was written). Content is a
 * number, the version: every write makes a higher one. The change counter is the version that the
 * server has, so a lease of R fits the store if the versions are equal.
 *
 * Ways between client and server, each of its own order: calls (up), answers (down), recalls (call),
 * WRITEs (wr) and their answers (wa). When a connection breaks, all that is on its way is lost, but
 * a WRITE or a bind may have reached the server's machine: it arrives later, at any time, until the
 * server hangs up on the old connections (old, lateb).
 * An answer is taken in in two steps: it arrives (box), later the calling thread gets to it.
 *
 * Time: left[] is what the client believes to have left, counted from when the renewal was sent;
 * due[] what the server grants, counted from its receipt, with a margin. A client's clock may stand
 * still SLIPS times.
 *
 * Durable at the server are store, alive, epoch, slot, slot2 and the clean mark. A restart forgets
 * the rest. Each step is atomic, so a change and its reply record are durable at once here; what
 * lies between is in reply.pml and durable.pml.
 *
 * Asserted after each step:
 *   (1) never W beside another's R or W, both believed in and in time
 *   (2) whoever may answer from his cache has the newest version
 *   (3) the store never goes back, and has what an fsync was told
 *   (4) a bind or a restart costs nobody what he has written, as long as his session lives
 *
 * Each protection can be taken away (-DBUG_x), and then one of these is violated:
 *   RECEIPT     the client counts its lease from the receipt of the renewal's answer
 *   MARGIN      the server adds no margin for slow clocks
 *   NOSEQ       a grant is taken in whatever its seq
 *   NAIVEREL    a release counts although a newer grant exists
 *   FORGET      a client forgets the seq of an inode while calls are unanswered
 *   ACKFIRST    a recall is acknowledged before what W covers is written
 *   NOFENCE     a WRITE of a dead session is taken
 *   NOSLOT      the server has no slots: what comes twice is executed twice
 *   FALSERETRY  a retry brings newer bytes under the same slot number
 *   NOLEASESEQ  a WRITE needs W, but not the grant that it names
 *   OWNCACHE    the client's cache answers while a change of its own is under way
 *   OLDATTR     what an answer brings is cached although something newer is known
 *   UNBOUND     the server sends to a connection that is not bound yet
 *   LATEREPLY   a grant that arrived before the bind is taken in after it
 *   LATEBIND    a bind that comes late takes the session over
 *   NOGRACE     a restarted server grants at once
 *   LATERECLAIM reclaim after the grace
 *   VOLEXPIRY   the death of an expired session is not durable before the conflicting grant
 *   VOLKILL     nor that of sessions that reclaimed nothing in the grace
 *   CLEANMARK   the clean mark stays when a server begins
 *   STALEACK    recalls are numbered anew by each boot
 *   SEQRESET    grants are numbered anew by each boot
 *   EQUALW      W is reclaimed only if the change counter is what the client knows
 *   RECLAIMSEQ  a reclaimed W counts as a new grant for the WRITEs that name it
 *   RECLAIMANY  a reclaimed W accepts WRITEs of any grant
 */
#ifndef TTL
#define TTL 1     /* term of the lease, in ticks */
#endif
#ifndef WRITES
#define WRITES 1  /* what all clients may write together */
#endif
#ifndef REQS
#define REQS 2    /* times that leases are asked for */
#endif
#ifndef OPS
#define OPS 0     /* changes executed at the server */
#endif
#ifndef RELS
#define RELS 0    /* leases given back unasked */
#endif
#ifndef GIVEUPS
#define GIVEUPS 0 /* WRITEs whose caller does not wait for the answer */
#endif
#ifndef BREAKS
#define BREAKS 0  /* of the control connection, and with it all others */
#endif
#ifndef DBREAKS
#define DBREAKS 0 /* of a data connection alone */
#endif
#ifndef RESTARTS
#define RESTARTS 0 /* crashes of the server */
#endif
#ifndef STOPS
#define STOPS 0   /* orderly ends of the server, followed by a start */
#endif
#ifndef DEATHS
#define DEATHS 0  /* of client processes */
#endif
#ifndef SLIPS
#define SLIPS 0   /* ticks that a client's clock misses */
#endif
#ifndef CALLS
#define CALLS 1   /* calls of one client that are on their way, and answers */
#endif
#ifndef EPOCHS
#define EPOCHS 2  /* sessions that one client may have in turn */
#endif
#ifdef BUG_MARGIN
#define TERM TTL
#else
#define TERM (TTL + 1)
#endif

#define N 0
#define R 1
#define W 2
#define NONE 9

mtype = { REQ, OP, RENEW, ACK, REL, BIND, LOGIN, GRANT, DONE, RENEWED, BOUND, WELCOME, ESTALE };

/* up: type, epoch, mode, number, version, seq.  REQ: mode wanted. OP: slot number. ACK: mode kept,
 * recall's id. REL: seq. BIND: mode held, number of the bind, version known, seq of the grant of W. */
chan up[2] = [CALLS] of { mtype, byte, byte, byte, byte, byte };
/* down: type, epoch, mode, seq, version */
chan down[2] = [CALLS] of { mtype, byte, byte, byte, byte };
chan call[2] = [1] of { byte, byte, byte, byte };    /* recall: epoch, id, seq, mode left */
chan wr[2] = [1] of { byte, byte, byte, byte };      /* WRITE: epoch, slot number, version, lease seq */
chan old[2] = [1] of { byte, byte, byte, byte };     /* the same, on a connection given up */
chan lateb[2] = [1] of { byte, byte, byte, byte, byte }; /* BIND, likewise */
chan wa[2] = [1] of { byte, byte, byte };            /* answer: epoch, slot number, errno */

/* ---- a client */
byte mode[2], val[2], dirty[2];
byte seen[2];             /* newest seq of grants and recalls */
byte gseq[2], wseq[2];    /* of the newest grant, of the one that brought W */
byte known[2];            /* newest version that the server has told */
byte cep[2] = 1;
byte want[2];             /* asked for, unanswered or not taken in */
bit wsent[2];
bit boxed[2]; byte boxm[2], boxs[2], boxv[2];  /* a grant that has arrived */
byte rec[2] = NONE, recid[2];                  /* a recall to be honoured: what is left */
byte aid[2], akept[2]; bit again[2];           /* the last acknowledgement; to be sent again */
byte relseq[2]; bit relq[2];                   /* to be released; queued */
byte fly[2], flyls[2]; bit fsent[2];           /* the WRITE in flight: version, lease seq */
bit given[2];                                  /* nobody waits for it any more */
byte cslot[2];
byte opseq[2]; bit opon[2], opsent[2];         /* a change at the server: slot number, under way */
bit conn[2] = 1, bnd[2] = 1;                   /* connected; the bind or login is answered */
bit lost[2];                                   /* knows that its session is dead */
byte binds[2];
byte left[2], age[2] = NONE;                   /* of the lease; of the renewal that is under way */

/* ---- the server, volatile */
bit live[2] = 1, bound[2] = 1;                 /* bound: to the connection that the client has now */
bit back[2] = 1;                               /* has reclaimed, or needs not */
byte held[2], hseq[2], hwseq[2], sseq[2];      /* sseq: of the session; hseq, hwseq: grants */
byte rto[2] = NONE, rid[2]; bit rsent[2];      /* the recall that is out */
byte rseq[2], ids;
byte pend[2]; bit pconn[2];                    /* parked: a lease wanted; its connection lives */
byte pop[2]; bit popconn[2];                   /* parked: a change, its slot number */
byte due[2], bnum[2];
bit grace; byte gleft;
/* ---- the server, durable */
bit alive[2] = 1, clean;
byte epoch[2] = 1, slot[2], slot2[2], store;

/* ---- what the checker knows, and what may still happen */
byte newest, synced, writer = NONE, versions;
byte reqs = REQS, ops = OPS, rels = RELS, giveups = GIVEUPS, writes = WRITES;
byte breaks = BREAKS, dbreaks = DBREAKS, restarts = RESTARTS, stops = STOPS, deaths = DEATHS;
byte slips = SLIPS;
byte e, m, s, v, w, x; mtype t;                /* of one step; 0 after it */

#define usable(i) (left[i] > 0 && !lost[i])
#define talks(i) (conn[i] && bnd[i] && !lost[i])
#define conflict(a, b) ((a) == W && (b) != N || (a) == R && (b) == W)
#ifdef BUG_OWNCACHE
#define answers(i) (mode[i] != N && usable(i))
#else
#define answers(i) (mode[i] != N && usable(i) && !opon[i])
#endif

#define both_believe(a, b) (mode[a] == W && usable(a) && mode[b] != N && usable(b))
#define SAFE (!both_believe(0, 1) && !both_believe(1, 0) && (!answers(0) || val[0] == newest) && \
  (!answers(1) || val[1] == newest) && store >= synced)
#define FORGET d_step { e = 0; m = 0; s = 0; v = 0; w = 0; x = 0; t = 0 }
#define CHECK assert(SAFE); FORGET

inline no_answers(k) {
  do :: len(down[k]) > 0 -> down[k]?_,_,_,_,_ :: else -> break od;
  do :: len(call[k]) > 0 -> call[k]?_,_,_,_ :: else -> break od
}

/* WRITEs that were sent and not executed may still arrive; their answers do not. */
inline break_data(k) {
  do :: len(wa[k]) > 0 -> wa[k]?_,_,_ :: else -> break od;
  if
  :: len(wr[k]) > 0 && len(old[k]) == 0 -> wr[k]?e,s,v,w; old[k]!e,s,v,w
  :: len(wr[k]) > 0 -> wr[k]?_,_,_,_
  :: else
  fi;
  fsent[k] = 0
}

inline break_all(k) {
  do
  :: len(up[k]) > 0 -> up[k]?t,e,m,s,v,w;
     if :: t == BIND && len(lateb[k]) == 0 -> lateb[k]!e,m,s,v,w :: else fi
  :: else -> break
  od;
  no_answers(k);
  break_data(k);
  conn[k] = 0; bnd[k] = 0; bound[k] = 0; age[k] = NONE; wsent[k] = 0; opsent[k] = 0;
  pconn[k] = 0; popconn[k] = 0;
  if :: aid[k] != 0 -> again[k] = 1 :: else fi;
  if :: relseq[k] != 0 -> relq[k] = 1 :: else fi
}

/* The client learns that its session is dead: nothing of it counts any more. */
inline end_client(k) {
  mode[k] = N; val[k] = 0; dirty[k] = 0; seen[k] = 0; gseq[k] = 0; wseq[k] = 0; known[k] = 0;
  want[k] = N; wsent[k] = 0; boxed[k] = 0; boxm[k] = 0; boxs[k] = 0; boxv[k] = 0;
  rec[k] = NONE; recid[k] = 0; aid[k] = 0; akept[k] = 0; again[k] = 0; relseq[k] = 0; relq[k] = 0;
  fly[k] = 0; flyls[k] = 0; fsent[k] = 0; given[k] = 0; cslot[k] = 0;
  opseq[k] = 0; opon[k] = 0; opsent[k] = 0;
  lost[k] = 1; bnd[k] = 0; left[k] = 0; age[k] = NONE
}

/* The server ends a session. What it had written and nobody has stored is lost. */
inline end_session(k, durably) {
  if :: writer == k && newest > store -> newest = store :: else fi;
  live[k] = 0; held[k] = N; hseq[k] = 0; hwseq[k] = 0; rto[k] = NONE; rid[k] = 0; rseq[k] = 0;
  rsent[k] = 0; pend[k] = N; pop[k] = 0; due[k] = 0; back[k] = 1;
  if :: durably -> alive[k] = 0 :: else fi
}

/* ================================================================== client */
proctype Client(byte i) {
end:
  do
  /* write(2) into the cache: it returns at once. */
  :: atomic { mode[i] == W && usable(i) && rec[i] == NONE && !opon[i] && writes > 0 ->
       writes--; versions++; val[i] = versions; dirty[i] = 1; newest = versions; writer = i; CHECK }

  /* Write-back; at most one of a page is in flight. A retry is the same message. */
  :: atomic { dirty[i] && fly[i] == 0 && talks(i) && nfull(wr[i]) ->
       cslot[i]++; fly[i] = val[i]; flyls[i] = gseq[i]; fsent[i] = 1;
       wr[i]!cep[i],cslot[i],fly[i],flyls[i] }
  :: atomic { fly[i] != 0 && !fsent[i] && talks(i) && nfull(wr[i]) ->
#ifdef BUG_FALSERETRY
       fly[i] = val[i];
#endif
       fsent[i] = 1; wr[i]!cep[i],cslot[i],fly[i],flyls[i] }
  :: atomic { len(wa[i]) > 0 -> wa[i]?e,s,x;
       if
       :: e != cep[i] || lost[i] || fly[i] == 0 || s != cslot[i] -> skip
       :: else ->
          if
          :: given[i] -> skip
          :: !given[i] && x == 0 ->
             if :: fly[i] > synced -> synced = fly[i] :: else fi;
             if :: fly[i] > known[i] -> known[i] = fly[i] :: else fi;
             if :: fly[i] == val[i] -> dirty[i] = 0 :: else fi
          :: !given[i] && x != 0 ->   /* the session lives, but not the right to write these pages */
             assert(!live[i]);
             end_client(i)
          fi;
          fly[i] = 0; flyls[i] = 0; fsent[i] = 0; given[i] = 0
       fi; CHECK }
  /* Somebody wants W back and the server does not answer: the pages are lost, and this is said. */
  :: atomic { giveups > 0 && rec[i] != NONE && mode[i] == W && fly[i] != 0 && !given[i] ->
       giveups--; given[i] = 1; dirty[i] = 0; mode[i] = N; val[i] = 0;
       if :: writer == i && newest > store -> newest = store :: else fi; CHECK }

  /* A lease is asked for. */
  :: atomic { reqs > 0 && want[i] == N && mode[i] < W && rec[i] == NONE && !lost[i] ->
       reqs--; if :: mode[i] < R -> want[i] = R :: want[i] = W fi }
  :: atomic { want[i] != N && !wsent[i] && !boxed[i] && talks(i) && nfull(up[i]) ->
       wsent[i] = 1; up[i]!REQ,cep[i],want[i],0,0,0 }

  /* A change that the server executes; meanwhile the cache does not answer. */
  :: atomic { ops > 0 && !opon[i] && !dirty[i] && fly[i] == 0 && talks(i) && nfull(up[i]) ->
       ops--; opseq[i]++; opon[i] = 1; opsent[i] = 1; up[i]!OP,cep[i],0,opseq[i],0,0 }
  :: atomic { opon[i] && !opsent[i] && talks(i) && nfull(up[i]) ->
       opsent[i] = 1; up[i]!OP,cep[i],0,opseq[i],0,0 }

  /* Nobody uses the inode any more: its lease goes back. What is queued is sent some time later,
   * and again after a bind. */
  :: atomic { rels > 0 && mode[i] != N && !dirty[i] && fly[i] == 0 && rec[i] == NONE && !opon[i] &&
       !relq[i] && !lost[i] ->
       rels--; mode[i] = N; val[i] = 0; relseq[i] = gseq[i]; relq[i] = 1 }
  :: atomic { relq[i] && talks(i) && nfull(up[i]) ->
       relq[i] = 0; up[i]!REL,cep[i],0,0,0,relseq[i] }
  /* The inode leaves the cache, and with it what is known of its seqs. */
  :: atomic { RELS > 0 && mode[i] == N && rec[i] == NONE && seen[i] != 0 &&
#ifndef BUG_FORGET
       want[i] == N &&
#endif
       true -> seen[i] = 0 }

  /* The renewal; its age counts from here. */
  :: atomic { talks(i) && age[i] == NONE && left[i] < TTL && nfull(up[i]) ->
       age[i] = 0; up[i]!RENEW,cep[i],0,0,0,0 }

  /* A recall: taken note of at once, honoured when nothing is left to be written. */
  :: atomic { len(call[i]) > 0 -> call[i]?e,w,s,m;
       if :: e == cep[i] && !lost[i] -> rec[i] = m; recid[i] = w;
             if :: s > seen[i] -> seen[i] = s :: else fi
          :: else fi; FORGET }
  :: atomic { rec[i] != NONE && talks(i) && nfull(up[i]) &&
#ifndef BUG_ACKFIRST
       !(mode[i] == W && (dirty[i] || fly[i] != 0)) &&
#endif
       true ->
       if :: mode[i] > rec[i] -> mode[i] = rec[i] :: else fi;
       if :: mode[i] == N -> val[i] = 0 :: else fi;
       up[i]!ACK,cep[i],mode[i],recid[i],0,0;
       if :: breaks + restarts + stops > 0 -> aid[i] = recid[i]; akept[i] = mode[i] :: else fi;
       rec[i] = NONE; recid[i] = 0; CHECK }
  /* An acknowledgement that was not answered is sent again over the next connection. */
  :: atomic { again[i] && talks(i) && nfull(up[i]) ->
       again[i] = 0; up[i]!ACK,cep[i],akept[i],aid[i],0,0 }

  /* An answer arrives. */
  :: atomic { len(down[i]) > 0 -> down[i]?t,e,m,s,v;
       if
       :: t == WELCOME && lost[i] -> cep[i] = e; lost[i] = 0; bnd[i] = 1; known[i] = 0
       :: t != WELCOME && e == cep[i] && !lost[i] ->
          if
          :: t == GRANT -> boxed[i] = 1; boxm[i] = m; boxs[i] = s; boxv[i] = v
          :: t == DONE && opon[i] && s == opseq[i] -> opon[i] = 0; opsent[i] = 0;
             if :: v != 0 -> known[i] = v; if :: mode[i] != N -> val[i] = v :: else fi
                /* a replayed answer tells nothing of the inode: it is forgotten */
                :: v == 0 && mode[i] != N -> mode[i] = N; val[i] = 0; relseq[i] = gseq[i]; relq[i] = 1
                :: else fi
          :: t == RENEWED && age[i] != NONE ->
#ifdef BUG_RECEIPT
             left[i] = TTL;
#else
             if :: age[i] < TTL && TTL - age[i] > left[i] -> left[i] = TTL - age[i] :: else fi;
#endif
             age[i] = NONE
          :: t == BOUND -> bnd[i] = 1;
             /* nothing that was written may have gone */
             assert(m == W || !(mode[i] == W && dirty[i]));
             if :: m < mode[i] -> mode[i] = m :: else fi;
             if :: mode[i] == N -> val[i] = 0 :: else fi
          :: t == ESTALE -> end_client(i)
          :: else
          fi
       :: else
       fi; CHECK }
  /* The thread that asked takes its answer in. */
  :: atomic { boxed[i] ->
       if
#ifdef BUG_NOSEQ
       :: true ->
#else
       :: boxs[i] > seen[i] ->
#endif
          seen[i] = boxs[i]; gseq[i] = boxs[i];
          /* It may be older than what another answer has brought. */
          if
#ifdef BUG_OLDATTR
          :: mode[i] == N -> val[i] = boxv[i]; known[i] = boxv[i]
#else
          :: mode[i] == N -> if :: boxv[i] > known[i] -> known[i] = boxv[i] :: else fi;
             val[i] = known[i]
#endif
          :: else
          fi;
          if :: boxm[i] == W && mode[i] != W -> wseq[i] = boxs[i] :: else fi;
          if :: boxm[i] > mode[i] -> mode[i] = boxm[i] :: else fi
       :: else
       fi;
       boxed[i] = 0; boxm[i] = 0; boxs[i] = 0; boxv[i] = 0; want[i] = N; wsent[i] = 0; CHECK }

  /* Connects anew: bind, or login when the session is dead. */
  :: atomic { !conn[i] && !lost[i] ->
       conn[i] = 1; binds[i]++;
       /* From here on the list of what is held is what counts. */
#ifndef BUG_LATEREPLY
       if :: boxed[i] -> boxed[i] = 0; boxm[i] = 0; boxs[i] = 0; boxv[i] = 0; want[i] = N
          :: else fi;
#endif
       up[i]!BIND,cep[i],mode[i],binds[i],known[i],wseq[i] }
  :: atomic { lost[i] && !bnd[i] && cep[i] < EPOCHS && nfull(up[i]) && nfull(down[i]) &&
       !(conn[i] && binds[i] == NONE) ->
       conn[i] = 1; binds[i] = NONE; up[i]!LOGIN,cep[i],0,0,0,0 }
  od
}

/* ================================================================== server */

/* What a client may keep after a restart. */
inline reclaim(k) {
#ifdef BUG_EQUALW
  if :: v == store -> held[k] = m :: else -> held[k] = N fi;
#else
  /* W: nobody else has changed the file since; what differs is the holder's own. */
  if :: m == R && v == store || m == W && v <= store -> held[k] = m :: else -> held[k] = N fi;
#endif
  if :: conflict(held[k], held[1 - k]) -> held[k] = N :: else fi;
  if
  :: held[k] != N -> sseq[k]++; hseq[k] = sseq[k];
#if defined(BUG_RECLAIMSEQ)
     hwseq[k] = hseq[k]
#elif defined(BUG_RECLAIMANY)
     hwseq[k] = 0
#else
     hwseq[k] = w
#endif
  :: else
  fi;
  back[k] = 1
}

/* BIND e,m,s,v,w: what both believe to be held stays held. */
inline bind(k) {
  bnum[k] = s; due[k] = TERM;
  do :: len(old[k]) > 0 -> old[k]?_,_,_,_ :: else -> break od;
  if
  :: !back[k] -> reclaim(k)
  :: else -> if :: m < held[k] -> held[k] = m :: else fi
  fi;
  rsent[k] = 0
}

#ifdef BUG_NOSLOT
#define IS_NEXT true
#else
#define IS_NEXT (s == slot[i] + 1)
#endif
#ifdef BUG_NOLEASESEQ
#define MAY_WRITE (held[i] == W)
#else
#define MAY_WRITE (held[i] == W && w >= hwseq[i] && w <= hseq[i])
#endif
#ifdef BUG_NOFENCE
#define OF_LIVING true
#define MAY_LAND true
#else
#define OF_LIVING (live[i] && e == epoch[i])
#define MAY_LAND MAY_WRITE
#endif

/* WRITE e,s,v,w. In the grace it waits until its session has reclaimed. `reach`: whether the
 * answer finds its way back. */
inline execute_write(reach) {
  if
  :: OF_LIVING ->
     if
     :: IS_NEXT && MAY_LAND ->
        slot[i] = s; assert(v >= store); store = v;
        if :: newest < store -> newest = store :: else fi;
        if :: reach -> wa[i]!e,s,0 :: else fi
     :: IS_NEXT && !MAY_LAND -> slot[i] = s; if :: reach -> wa[i]!e,s,1 :: else fi
     :: !IS_NEXT && s == slot[i] -> if :: reach -> wa[i]!e,s,0 :: else fi
     :: else
     fi
  :: else -> if :: reach -> wa[i]!e,s,1 :: else fi
  fi
}

#define o (1 - i)
proctype Server(byte i) {
end:
  do
  :: atomic { len(up[i]) > 0 && nfull(down[i]) -> up[i]?t,e,m,s,v,w;
       if
       :: t == LOGIN ->
          end_session(i, true);
          epoch[i]++; alive[i] = 1; live[i] = 1; slot[i] = 0; slot2[i] = 0; sseq[i] = 0; bnum[i] = 0;
          due[i] = TERM; bound[i] = 1; down[i]!WELCOME,epoch[i],0,0,0
       :: t != LOGIN && (!live[i] || e != epoch[i]) -> down[i]!ESTALE,e,0,0,0
       :: else ->
          if
          :: t == BIND && (back[i] || grace) ->
             if
#ifndef BUG_LATEBIND
             :: s < bnum[i] -> skip
#endif
             :: else -> bind(i); bound[i] = 1; down[i]!BOUND,e,held[i],0,0
             fi
          :: t == BIND && !back[i] && !grace ->
#ifdef BUG_LATERECLAIM
             bind(i); bound[i] = 1; down[i]!BOUND,e,held[i],0,0
#else
             down[i]!ESTALE,e,0,0,0
#endif
          :: t == RENEW -> due[i] = TERM; down[i]!RENEWED,e,0,0,0
          :: t == REQ -> pend[i] = m; pconn[i] = 1
          :: t == OP ->
             if
             :: s == slot2[i] -> down[i]!DONE,e,0,s,0
             :: s == slot2[i] + 1 -> pop[i] = s; popconn[i] = 1
             :: else
             fi
          :: t == ACK ->
             if
             :: rto[i] != NONE && s == rid[i] ->
                if :: m < held[i] -> held[i] = m :: else fi;
                if :: rto[i] < held[i] -> held[i] = rto[i] :: else fi;
                rto[i] = NONE; rid[i] = 0; rseq[i] = 0; rsent[i] = 0
             :: else
             fi
          :: t == REL ->
             if
#ifdef BUG_NAIVEREL
             :: true -> held[i] = N
#else
             :: hseq[i] <= w -> held[i] = N
#endif
             :: else
             fi
          fi
       fi; CHECK }
  /* A bind of a connection that the client has given up long ago. */
  :: atomic { len(lateb[i]) > 0 -> lateb[i]?e,m,s,v,w;
       if
       :: live[i] && e == epoch[i] && (back[i] || grace) &&
#ifndef BUG_LATEBIND
          s > bnum[i] &&
#endif
          true -> bind(i);
          /* the server hangs up on the others */
          if :: bound[i] -> break_all(i) :: else fi
       :: else
       fi; CHECK }

  /* A parked request for a lease. */
  :: atomic { pend[i] != N && !grace && rto[i] == NONE && !conflict(pend[i], held[o]) && pop[o] == 0 &&
       nfull(down[i]) ->
       sseq[i]++; hseq[i] = sseq[i];
       if :: pend[i] == W && held[i] != W -> hwseq[i] = sseq[i] :: else fi;
       if :: pend[i] > held[i] -> held[i] = pend[i] :: else fi;
       /* The answer belongs to the connection that the request came on. */
       if
#ifdef BUG_UNBOUND
       :: conn[i] ->
#else
       :: bound[i] && pconn[i] ->
#endif
          down[i]!GRANT,epoch[i],held[i],hseq[i],store
       :: else
       fi;
       pend[i] = N; pconn[i] = 0; CHECK }
  /* A parked change: nobody else holds anything, the requester no W. */
  :: atomic { pop[i] != 0 && !grace && held[o] == N && held[i] != W && nfull(down[i]) ->
       versions++; store = versions; newest = store; writer = NONE; slot2[i] = pop[i];
       if :: bound[i] && popconn[i] -> down[i]!DONE,epoch[i],0,pop[i],store :: else fi;
       pop[i] = 0; popconn[i] = 0; CHECK }

  /* What they need is recalled from session i. */
  :: atomic { !grace && live[i] && rto[i] == NONE && (conflict(pend[o], held[i]) ||
       pop[o] != 0 && held[i] != N || pop[i] != 0 && held[i] == W) ->
       if :: pend[o] == W || pop[o] != 0 -> rto[i] = N :: else -> rto[i] = R fi;
       ids++; rid[i] = ids; sseq[i]++; rseq[i] = sseq[i]; rsent[i] = 0 }
  :: atomic { rto[i] != NONE && !rsent[i] && bound[i] && nfull(call[i]) ->
       rsent[i] = 1; call[i]!epoch[i],rid[i],rseq[i],rto[i] }
  /* It is silent, and its time is over: only now, and only since somebody needs it. */
  :: atomic { !grace && live[i] && due[i] == 0 && rto[i] != NONE && held[i] > rto[i] ->
#ifdef BUG_VOLEXPIRY
       end_session(i, false);
#else
       end_session(i, true);
#endif
       CHECK }

  :: atomic { len(wr[i]) > 0 && nfull(wa[i]) && !(grace && !back[i]) ->
       wr[i]?e,s,v,w; execute_write((bound[i])); CHECK }
  :: atomic { len(old[i]) > 0 && !(grace && !back[i]) ->
       old[i]?e,s,v,w; execute_write(false); CHECK }
  od
}
#undef o

/* ================================================================== the world */

/* What was on its way to the server that has ended goes with it. */
inline begin_server() {
  x = 0;
  do
  :: x < 2 ->
     break_all(x);
     do :: len(old[x]) > 0 -> old[x]?_,_,_,_ :: else -> break od;
     do :: len(lateb[x]) > 0 -> lateb[x]?_,_,_,_,_ :: else -> break od;
     live[x] = alive[x]; held[x] = N; hseq[x] = 0; hwseq[x] = 0; rto[x] = NONE; rid[x] = 0;
     rseq[x] = 0; rsent[x] = 0; pend[x] = N; pconn[x] = 0; pop[x] = 0; popconn[x] = 0; bnum[x] = 0;
     due[x] = (alive[x] -> TERM : 0);
     back[x] = (clean || !alive[x]);
#ifdef BUG_NOGRACE
     back[x] = 1;
#endif
#ifdef BUG_SEQRESET
     sseq[x] = 0;
#endif
     x++
  :: else -> break
  od;
#ifdef BUG_STALEACK
  ids = 0;
#endif
  grace = !(back[0] && back[1]); gleft = (grace -> TERM : 0);
#ifndef BUG_CLEANMARK
  clean = 0;
#endif
  x = 0
}

inline tick(k) {
  if :: left[k] > 0 -> left[k]-- :: else fi;
  if :: age[k] < TTL -> age[k]++ :: else fi
}

#define may_stop (!grace && held[0] == N && held[1] == N)

proctype World() {
end:
  do
  :: atomic { left[0] > 0 || left[1] > 0 || due[0] > 0 || due[1] > 0 || gleft > 0 || age[0] < TTL ||
       age[1] < TTL ->
       if :: due[0] > 0 -> due[0]-- :: else fi;
       if :: due[1] > 0 -> due[1]-- :: else fi;
       if :: gleft > 0 -> gleft-- :: else fi;
       if
       :: tick(0); tick(1)
       :: slips > 0 -> slips--; tick(0)
       :: slips > 0 && slips < SLIPS -> slips--; tick(1)
       fi; CHECK }
  /* The clients are alike, so the first fault hits client 0 (one kind of fault in a run). */
  :: atomic { breaks > 0 && (conn[0] || breaks < BREAKS && conn[1]) ->
       if :: conn[0] -> x = 0 :: breaks < BREAKS && conn[1] -> x = 1 fi;
       breaks--; break_all(x); FORGET }
  :: atomic { dbreaks > 0 && (conn[0] || dbreaks < DBREAKS && conn[1]) ->
       if :: conn[0] -> x = 0 :: dbreaks < DBREAKS && conn[1] -> x = 1 fi;
       dbreaks--; break_data(x); FORGET }
  :: atomic { deaths > 0 && (!lost[0] || deaths < DEATHS && !lost[1]) ->
       if :: !lost[0] -> x = 0 :: deaths < DEATHS && !lost[1] -> x = 1 fi;
       deaths--; break_all(x); end_client(x); CHECK }
  /* The server crashes and is started again; or it is stopped in order: when everything has come
   * back, it leaves the clean mark. */
  :: atomic { restarts > 0 || stops > 0 && may_stop ->
       if :: restarts > 0 -> restarts-- :: stops > 0 && may_stop -> stops--; clean = 1 fi;
       begin_server(); CHECK }
  /* The grace ends: whoever has not reclaimed is dead, durably so before the first grant. */
  :: atomic { grace && (gleft == 0 || back[0] && back[1]) ->
       grace = 0; gleft = 0;
#ifndef BUG_LATERECLAIM
#ifdef BUG_VOLKILL
#define KILL false
#else
#define KILL true
#endif
       if :: live[0] && !back[0] -> end_session(0, KILL) :: else fi;
       if :: live[1] && !back[1] -> end_session(1, KILL) :: else fi;
#endif
       CHECK }
  od
}

init { atomic { run Client(0); run Client(1); run Server(0); run Server(1); run World() } }
