/* live.pml: every recall ends, and who waits for a lease gets it.
 *
 * Checks, of docs/protocol.md: What each operation recalls (who is silent is waited for until his
 * lease is over; ten seconds without progress, and a holder who still renews is evicted; while an
 * operation waits, no new conflicting lease is granted to those who come later).
 *
 * One who wants W, again and again, and two who read: they acquire R whenever they may. A reader may
 * fall silent for ever, or go on renewing without ever acknowledging. Time passes; weak fairness: who
 * can go on all the time goes on some time (a hostile or stopped reader is free not to).
 *
 * Checked (LTL, acceptance cycles): the writer is not kept waiting for ever; a recall is not out
 * for ever.
 *
 *   STARVE    readers are granted R while the writer waits
 *   NOEVICT   who renews is waited for, whatever he does
 *   NOEXPIRY  a silent holder is waited for
 */
#define TERM 2
#define PATIENCE 2

bit waits, granted, held[2], recall[2], dead[2], hostile[2], silent[2];
byte left[2], late[2];        /* of the lease; since the recall was sent */

#ifdef BUG_STARVE
#define MAY_READ (!granted)
#else
#define MAY_READ (!granted && !waits)
#endif

active proctype Writer() {
  do
  :: atomic { !waits && !granted -> waits = 1 }
  :: atomic { granted -> granted = 0 }
  od
}

active [2] proctype Reader() {
  byte i = _pid - 1;
end:
  do
  :: atomic { !held[i] && !dead[i] && !silent[i] && MAY_READ -> held[i] = 1; left[i] = TERM }
  :: atomic { recall[i] && !silent[i] && !hostile[i] -> recall[i] = 0; held[i] = 0; late[i] = 0 }
  :: atomic { held[i] && !silent[i] && left[i] < TERM -> left[i] = TERM }
  od
}

/* A client may become so at any time, and need not. */
active proctype Fate() {
end:
  do
  :: atomic { !silent[0] && !hostile[0] -> silent[0] = 1 }
  :: atomic { !silent[0] && !hostile[0] -> hostile[0] = 1 }
  :: break
  od
}

active proctype Server() {
  do
  :: atomic { waits && held[0] && !recall[0] -> recall[0] = 1 }
  :: atomic { waits && held[1] && !recall[1] -> recall[1] = 1 }
  :: atomic { waits && !held[0] && !held[1] -> waits = 0; granted = 1 }
  od
}

/* Expiry and eviction. */
active proctype Timer() {
  do
#ifndef BUG_NOEXPIRY
  :: atomic { recall[0] && left[0] == 0 -> dead[0] = 1; held[0] = 0; recall[0] = 0; late[0] = 0 }
  :: atomic { recall[1] && left[1] == 0 -> dead[1] = 1; held[1] = 0; recall[1] = 0; late[1] = 0 }
#endif
#ifndef BUG_NOEVICT
  :: atomic { recall[0] && late[0] == PATIENCE && left[0] > 0 ->
       dead[0] = 1; held[0] = 0; recall[0] = 0; late[0] = 0 }
  :: atomic { recall[1] && late[1] == PATIENCE && left[1] > 0 ->
       dead[1] = 1; held[1] = 0; recall[1] = 0; late[1] = 0 }
#endif
  od
}

active proctype Clock() {
  do
  :: atomic { left[0] > 0 || left[1] > 0 || recall[0] && late[0] < PATIENCE ||
       recall[1] && late[1] < PATIENCE ->
       if :: left[0] > 0 -> left[0]-- :: else fi;
       if :: left[1] > 0 -> left[1]-- :: else fi;
       if :: recall[0] && late[0] < PATIENCE -> late[0]++ :: else fi;
       if :: recall[1] && late[1] < PATIENCE -> late[1]++ :: else fi }
  od
}

ltl served { [] (waits -> <> !waits) }
ltl ended { [] (recall[0] -> <> !recall[0]) }
