/* valid.pml: check, copy, check again: when a reader may believe his cache.
 *
 * Checks, of docs/protocol.md: Leases (why the clock is read after the copy), and of
 * docs/architecture.md: the way of a warm call (the lease word is compared with the sample taken
 * before).
 *
 * A page has two cells that others write together. A reader of this client samples the lease word,
 * looks at the clock, copies one cell and the other, compares the word and reads the clock. The
 * process may be stopped between any two steps, and with it the thread that honours recalls and
 * renews, and any timer; the world's clock and the server go on. A lease may be recalled, run out, and
 * be acquired and filled again while the reader stands still.
 *
 * Asserted of what is returned: it is one write's, and not older than the newest when the call began.
 *
 *   FLAGVALID  a flag that a timer clears stands for the clock
 *   NORECHECK  the word is not compared after the copy
 *   NOCLOCK    the word alone is believed: nobody clears it when the time is over
 */
#ifndef WRITES
#define WRITES 2
#endif
#ifndef CALLS
#define CALLS 2
#endif
#ifndef FILLS
#define FILLS 2   /* times that the lease is acquired and the page is read */
#endif

byte now, deadline, due;      /* the clock; what the client believes; what the server grants */
byte truth, cell[2], word;    /* word: number of the lease, 0: none */
byte fills = FILLS, leases, writes = WRITES;
bit flag, stopped, held, recall;
byte calls = CALLS, began, got[2], sample;

proctype Reader() {
end:
  do
  :: atomic { !stopped && calls > 0 -> calls--; began = truth; sample = word }
     if
     :: atomic { !stopped && sample == 0 -> skip }          /* no lease: the server is asked */
     :: atomic { !stopped && sample != 0 -> got[0] = cell[0] }
        atomic { !stopped -> got[1] = cell[1] }
        if
        :: atomic { !stopped &&
#ifndef BUG_NORECHECK
             word == sample &&
#endif
#if defined(BUG_FLAGVALID)
             flag
#elif defined(BUG_NOCLOCK)
             true
#else
             now < deadline
#endif
             -> assert(got[0] == got[1]); assert(got[0] >= began) }
        :: atomic { !stopped -> skip }                      /* not believed */
        fi
     fi;
     atomic { sample = 0; got[0] = 0; got[1] = 0; began = 0 }
  od
}

/* The client's other threads. */
proctype Threads() {
end:
  do
  :: atomic { !stopped && recall && word != 0 -> word = 0; held = 0; recall = 0 }
  :: atomic { !stopped && recall && word == 0 -> held = 0; recall = 0 }
  :: atomic { !stopped && fills > 0 && word == 0 && !recall && !held ->
       fills--; leases++; cell[0] = truth; cell[1] = truth; held = 1;
       deadline = now + 1; due = now + 2; flag = 1; word = leases }
  :: atomic { !stopped && flag && now >= deadline -> flag = 0 }
#ifndef BUG_NOCLOCK
#ifndef BUG_FLAGVALID
  :: atomic { !stopped && word != 0 && now >= deadline -> word = 0; held = 0 }
#endif
#endif
  od
}

proctype World() {
end:
  do
  :: now < 5 -> now++
  :: stopped = 1 - stopped
  :: held && !recall -> recall = 1
  /* Others write when the lease has come back, or its time is over at the server. */
  :: atomic { writes > 0 && (!held || now >= due) -> writes--; truth++; held = 0; recall = 0 }
  od
}
init { atomic { run Reader(); run Threads(); run World() } }
