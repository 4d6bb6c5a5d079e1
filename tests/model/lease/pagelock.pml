/* pagelock.pml: slots are acquired before page locks, and recalls have some of their own.
 *
 * Checks, of docs/locking.md: why it cannot deadlock, between a call and a recall (rules 2 to 4); of
 * docs/protocol.md: what each operation recalls.
 *
 * Two clients. Each holds the lease of one inode and wants to change the other's: a change takes a
 * slot and is answered when the other client has acknowledged the recall. Meanwhile each writes its
 * own pages out (slot and page lock), and its recall worker must do the same before it may
 * acknowledge. SLOTS are for everybody, one more is the worker's. Everybody does what he does ROUNDS
 * times: no step can be taken back, so if nobody is stuck at the end, every recall ends and every call
 * is answered, whatever the order (checked as absence of invalid end states).
 *
 *   LOCKFIRST  a WRITE takes the page lock first, then waits for its slot
 *   NORESERVE  the worker waits for a slot of everybody's
 */
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef ROUNDS
#define ROUNDS 2
#endif

byte slots[2] = SLOTS, reserve[2] = 1;
bit locked[2], recall[2], acked[2], busy[2];

#define take_slot(i) atomic { slots[i] > 0 -> slots[i]-- }
#define lock_page(i) atomic { !locked[i] -> locked[i] = 1 }

proctype Flusher(byte i) {
  byte n;
  do
  :: n < ROUNDS -> n++;
#ifdef BUG_LOCKFIRST
     lock_page(i); take_slot(i);
#else
     take_slot(i); lock_page(i);
#endif
     /* the server never delays it */
     atomic { slots[i]++; locked[i] = 0 }
  :: else -> break
  od
}

proctype Change(byte i) {
  byte n;
  do
  :: n < ROUNDS -> n++;
     take_slot(i);
     atomic { !busy[1 - i] -> busy[1 - i] = 1; recall[1 - i] = 1 }
     atomic { acked[1 - i] -> acked[1 - i] = 0; busy[1 - i] = 0; slots[i]++ }
  :: else -> break
  od
}

proctype Worker(byte i) {
end:
  do
  :: recall[i] ->
#ifdef BUG_NORESERVE
     take_slot(i); lock_page(i);
     atomic { slots[i]++; locked[i] = 0; recall[i] = 0; acked[i] = 1 }
#else
     atomic { reserve[i] > 0 -> reserve[i]-- };
     lock_page(i);
     atomic { reserve[i]++; locked[i] = 0; recall[i] = 0; acked[i] = 1 }
#endif
  od
}

init {
  atomic {
    run Flusher(0); run Flusher(1); run Change(0); run Change(1); run Worker(0); run Worker(1)
  }
}
