/* slots.pml: two slots, two connections for content, one page.
 *
 * Checks, of docs/protocol.md: Writes (at most one WRITE is in flight per page; pages in flight are
 * copied, so that a retry is identical), Exactly once (the state of a slot).
 *
 * A client holds W and writes versions 1 to VERSIONS of a page. A write-back takes a free slot and
 * either connection. A connection may be given up BREAKS times: its WRITE is sent again over the
 * other one, but the first may still arrive.
 *
 * Asserted: the store never goes back, and has what an fsync was told.
 *
 *   TWOSLOT  a page is sent again while an earlier WRITE of it is in flight
 *   NOSLOT   the server executes what comes twice twice
 */
#ifndef VERSIONS
#define VERSIONS 3
#endif
#ifndef BREAKS
#define BREAKS 2
#endif

chan wire[2] = [2] of { byte, byte, byte };    /* of a connection: slot, number, version */
chan reply[2] = [2] of { byte, byte };         /* of a connection: slot, number */
byte page, synced, fly[2], num[2], way[2];     /* of a slot: version in flight, number, connection */
byte store, seen[2], breaks = BREAKS;          /* the server; seen: newest number of a slot */

#ifdef BUG_TWOSLOT
#define MAY_SEND true
#else
#define MAY_SEND (fly[0] == 0 && fly[1] == 0)
#endif
#define CHECK assert(store >= synced)

active proctype Client() {
  byte k, n;
end:
  do
  :: page < VERSIONS -> page++
  :: atomic { page > synced && MAY_SEND ->
       if :: fly[0] == 0 -> k = 0 :: fly[1] == 0 -> k = 1 :: else -> goto no_slot fi;
       num[k]++; fly[k] = page;
       if :: way[k] = 0 :: way[k] = 1 fi;
       if :: nfull(wire[way[k]]) -> wire[way[k]]!k,num[k],fly[k]
          :: full(wire[way[k]]) -> num[k]--; fly[k] = 0 fi;
no_slot: k = 0 }
  :: atomic { len(reply[0]) > 0 -> reply[0]?k,n; goto answered }
  :: atomic { len(reply[1]) > 0 -> reply[1]?k,n;
answered:
       if :: n == num[k] && fly[k] != 0 ->
             if :: fly[k] > synced -> synced = fly[k] :: else fi; fly[k] = 0
          :: else fi;
       k = 0; n = 0; CHECK }
  /* A connection is silent: what went over it is sent again over the other. */
  :: atomic { breaks > 0 && fly[0] != 0 && nfull(wire[1 - way[0]]) ->
       breaks--; way[0] = 1 - way[0]; wire[way[0]]!0,num[0],fly[0] }
  :: atomic { breaks > 0 && fly[1] != 0 && nfull(wire[1 - way[1]]) ->
       breaks--; way[1] = 1 - way[1]; wire[way[1]]!1,num[1],fly[1] }
  od
}

active [2] proctype Server() {  /* one for each connection */
  byte k, n, v;
end:
  do
  :: atomic { len(wire[_pid - 1]) > 0 && nfull(reply[_pid - 1]) -> wire[_pid - 1]?k,n,v;
       if
#ifdef BUG_NOSLOT
       :: true ->
#else
       :: n == seen[k] + 1 ->
#endif
          seen[k] = n; assert(v >= store); store = v; reply[_pid - 1]!k,n
       :: n == seen[k] -> reply[_pid - 1]!k,n
       :: n < seen[k] -> skip
       :: else -> assert(false)  /* nobody skips a number */
       fi;
       k = 0; n = 0; v = 0; CHECK }
  od
}
