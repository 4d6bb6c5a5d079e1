/* durable.pml: what fsync acknowledged is on the disk: unstable WRITEs, COMMIT and the verifier.
 *
 * Checks, of docs/protocol.md: Writes (a WRITE is answered when its bytes are at the server, or
 * committed; the client keeps unstable bytes until a COMMIT returns the same verifier), Exactly once
 * (what a replayed WRITE or COMMIT may tell), and of reclaim: the session and its W go on after a
 * restart, calls that were not answered are sent again, records are read back.
 *
 * One client holds W over one page, whose versions it writes; the lease itself is lease.pml's
 * affair. The server has bytes in memory (0: none) and on the disk. Its verifier changes at each boot
 * and whenever it loses bytes (a failed fdatasync). COMMIT makes durable what is in memory and says
 * under which verifier. The record of a slot is durable with it.
 *
 * The page is clean, dirty, in flight or unstable (the server has it, under the verifier `uver`).
 * fsync: when nothing is dirty, in flight or unstable.
 *
 * Asserted: the disk has what an fsync was told; it never goes back.
 *
 *   NOVERIFIER    the client takes any COMMIT for its own
 *   COMMITECHO    a replayed COMMIT answers with the verifier of the request
 *   SAMEVERIFIER  the verifier does not tell one boot from another
 *   FAILSILENT    the verifier stays when bytes are lost without a restart
 *   DROPUNSTABLE  the client forgets bytes when they are at the server
 */
#ifndef VERSIONS
#define VERSIONS 2
#endif
#ifndef BREAKS
#define BREAKS 2
#endif
#ifndef RESTARTS
#define RESTARTS 2
#endif
#ifndef FAILS
#define FAILS 1
#endif
#define CLEAN 0
#define DIRTY 1
#define FLYING 2
#define UNSTABLE 3
#define WRITE 1
#define COMMIT 2

chan ask = [1] of { byte, byte, byte, byte, bit };  /* number, WRITE or COMMIT, version, verifier, stable */
chan tell = [1] of { byte, byte, bit };             /* number, verifier, stable */

/* the client */
byte page, now, uver, sver;    /* version, state, its verifier, that of the COMMIT under way */
byte call, num, cver; bit cst; /* under way: WRITE or COMMIT; slot number; version; stable */
bit again, sent, conn = 1;     /* written again while in flight */
byte synced;
/* the server */
byte mem, disk, ver = 1, boots = 1;
byte slot, sslot;              /* newest number executed; on the disk */
byte rver, rsver; bit rst, rsst;  /* its outcome: verifier, stable; in the record */
byte breaks = BREAKS, restarts = RESTARTS, fails = FAILS;
byte n, k, v, w; bit b;

#define CHECK n = 0; k = 0; v = 0; w = 0; b = 0; assert(disk >= synced)

proctype Client() {
end:
  do
  :: atomic { page < VERSIONS -> page++;
       if :: now == FLYING -> again = 1 :: else -> now = DIRTY fi }
  :: atomic { call == 0 && now == DIRTY && conn ->
       num++; call = WRITE; cver = page; now = FLYING; again = 0;
       if :: cst = 1 :: cst = 0 fi }
  :: atomic { call == 0 && now == UNSTABLE && conn -> num++; call = COMMIT; cver = page; sver = uver }
  :: atomic { call != 0 && !sent && conn && nfull(ask) -> sent = 1; ask!num,call,cver,sver,cst }
  :: atomic { len(tell) > 0 -> tell?n,w,b;
       if
       :: call == 0 || n != num -> skip
       :: call == WRITE && n == num ->
          if
          :: again -> now = DIRTY
          :: !again && b -> now = CLEAN; if :: cver > synced -> synced = cver :: else fi
#ifdef BUG_DROPUNSTABLE
          :: !again && !b -> now = CLEAN; synced = cver
#else
          :: !again && !b -> now = UNSTABLE; uver = w
#endif
          fi;
          call = 0
       :: call == COMMIT && n == num ->
          if
#ifdef BUG_NOVERIFIER
          :: now == UNSTABLE && cver == page -> now = CLEAN; synced = cver
#else
          /* what was dirtied meanwhile is another version's */
          :: now == UNSTABLE && w == sver -> now = CLEAN; if :: cver > synced -> synced = cver :: else fi
          :: now == UNSTABLE && w != sver -> now = DIRTY
#endif
          :: else
          fi;
          call = 0
       fi;
       if :: call == 0 -> sent = 0; cver = 0; cst = 0; sver = 0; again = 0 :: else fi;
       if :: now != UNSTABLE -> uver = 0 :: else fi;
       CHECK }
  /* Connects and binds anew; a number that the server has not seen was not executed. */
  :: atomic { !conn -> conn = 1; sent = 0;
       if :: call != 0 && num > slot + 1 -> num = slot + 1 :: call == 0 -> num = slot :: else fi }
  od
}

inline reply(verifier, stable) {
  rver = verifier; rst = stable; tell!n,rver,rst
}

proctype Server() {
end:
  do
  :: atomic { len(ask) > 0 && len(tell) == 0 -> ask?n,k,v,w,b;
       if
       :: n == slot + 1 -> slot = n;
          if
          :: k == WRITE -> mem = v;
             /* stable: committed, with the record */
             if :: b -> assert(mem >= disk); disk = mem; sslot = slot; rsver = ver; rsst = 1;
                        mem = 0; reply(ver, 1)
                :: else -> reply(ver, 0) fi
          :: k == COMMIT ->
             if :: mem != 0 -> assert(mem >= disk); disk = mem; mem = 0;
                               sslot = slot; rsver = ver; rsst = 1
                :: else fi;
             reply(ver, 1)
          fi
       :: n == slot && slot != 0 ->
#ifdef BUG_COMMITECHO
          if :: k == COMMIT -> tell!n,w,1 :: else -> tell!n,rver,rst fi
#else
          tell!n,rver,rst
#endif
       :: else
       fi;
       CHECK }
  /* The server makes durable of itself what it has. */
  :: atomic { mem != 0 -> assert(mem >= disk); disk = mem; mem = 0; CHECK }
  /* It cannot: the bytes are gone. */
  :: atomic { fails > 0 && mem != 0 -> fails--; mem = 0;
#ifndef BUG_FAILSILENT
       ver++;
#endif
       CHECK }
  :: atomic { breaks > 0 && conn -> breaks--; goto broken }
  :: atomic { restarts > 0 -> restarts--; mem = 0; boots++;
#ifndef BUG_SAMEVERIFIER
       ver = boots * 8;
#endif
       slot = sslot; rver = rsver; rst = rsst;
broken:
       do :: len(ask) > 0 -> ask?_,_,_,_,_ :: else -> break od;
       do :: len(tell) > 0 -> tell?_,_,_ :: else -> break od;
       conn = 0; CHECK }
  od
}
init { atomic { run Client(); run Server() } }
