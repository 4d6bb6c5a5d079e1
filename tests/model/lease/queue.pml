/* queue.pml: what an operation of the server holds while it waits: its place, and nothing else.
 *
 * Checks, of docs/protocol.md: What each operation recalls (the operation waits parked, is attempted
 * from the start; while it waits, no new conflicting lease is granted to those who come later), of
 * docs/locking.md: in the server.
 *
 * Three operations, each of which needs two of three inodes free of others' leases and lanes, in an
 * order that it learns only on the way. A client that holds leases gives them back when they are
 * recalled, and takes them again at once if it may, TAKES times. An operation attempts: if
 * everything is free, it is executed; else it recalls what is not, parks, and keeps later ones from
 * being granted what it waits for. Its I/O holds the lanes of its inodes for a while.
 *
 * Checked: no invalid end state, so every operation ends.
 *
 *   HOLD      an operation keeps the first inode while it waits for the second
 *   LANEFIRST a lane is taken before all that is needed is there
 */
#ifndef TAKES
#define TAKES 2
#endif
#define INODES 3

byte lane[INODES] = 9;        /* the operation inside; 9: nobody */
byte queue[INODES] = 9;       /* (HOLD) who has the inode */
bit lease[INODES] = 1, recall[INODES], parked[INODES];
byte takes = TAKES, executed;

#define needs(p) (!lease[p] && lane[p] == 9)
/* operation i: inodes i and i + 1 */
#define A (i)
#define B ((i + 1) % INODES)

proctype Operation(byte i) {
#if defined(BUG_HOLD)
  atomic { queue[A] == 9 -> queue[A] = i; recall[A] = lease[A] };
  atomic { queue[B] == 9 -> queue[B] = i; recall[B] = lease[B] };
  atomic { !lease[A] && !lease[B] -> queue[A] = 9; queue[B] = 9 };
#elif defined(BUG_LANEFIRST)
  atomic { lane[A] == 9 -> lane[A] = i; recall[A] = lease[A] };
  atomic { lane[B] == 9 -> lane[B] = i; recall[B] = lease[B] };
  atomic { !lease[A] && !lease[B] -> lane[A] = 9; lane[B] = 9 };
#else
attempt:
  atomic {
    if
    :: needs(A) && needs(B) -> lane[A] = i; lane[B] = i; parked[i] = 0
    :: else -> parked[i] = 1; recall[A] = lease[A] || recall[A]; recall[B] = lease[B] || recall[B];
       goto wait
    fi
  };
  goto io;
wait:
  /* woken when something came back; everything is looked at anew */
  (needs(A) && needs(B)) || lease[A] && !recall[A] || lease[B] && !recall[B];
  goto attempt;
io:
  atomic { lane[A] = 9; lane[B] = 9 };
#endif
  executed++
}

proctype Client() {
  byte k;
end:
  do
  :: atomic { recall[0] -> recall[0] = 0; lease[0] = 0 }
  :: atomic { recall[1] -> recall[1] = 0; lease[1] = 0 }
  :: atomic { recall[2] -> recall[2] = 0; lease[2] = 0 }
  /* It asks again: those who wait came first. */
  :: atomic { takes > 0 && !lease[0] && lane[0] == 9 && !parked[0] && !parked[2] -> takes--; lease[0] = 1 }
  :: atomic { takes > 0 && !lease[1] && lane[1] == 9 && !parked[1] && !parked[0] -> takes--; lease[1] = 1 }
  :: atomic { takes > 0 && !lease[2] && lane[2] == 9 && !parked[2] && !parked[1] -> takes--; lease[2] = 1 }
  od
}

init { atomic { run Operation(0); run Operation(1); run Operation(2); run Client() } }
