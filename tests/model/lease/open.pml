/* open.pml: files opened without a message, the end of their last name, and what a restart owes them.
 *
 * Checks, of docs/protocol.md: Opens (an open needs no message under A and R; the acknowledgement of a
 * recall lists the local opens, and the server records them before the change; P keeps the inode and
 * is taken back when the last name has gone), and of reclaim: the opens come with the bind, and what
 * has no name is removed after the grace, not at the start.
 *
 * One client that opens and closes a file, OPENS times, and a server where another client removes the
 * name. `covered`: A, R and P are held. Messages wait in each direction in order; when the
 * connection breaks they are lost, and calls that were not answered are sent again.
 *
 * Asserted: what is open exists, as long as the session lives; what is covered has its name.
 *
 *   LOCALOPEN  an acknowledgement does not list local opens
 *   OPENRACE   the lease is looked at first, and the open noted down later
 *   REAPATBOOT what has no name is removed when the server starts
 *   OPENSLATE  opens are told after the bind, and the grace does not wait for them
 */
#ifndef OPENS
#define OPENS 2
#endif
#ifndef LOOKS
#define LOOKS 2  /* times that the file is looked up */
#endif
#ifndef BREAKS
#define BREAKS 1
#endif
#ifndef RESTARTS
#define RESTARTS 1
#endif

mtype = { LOOKUP, OPEN, ACK, CLOSE, BIND, TELL, FOUND, OPENED, RECALL, BOUND };
/* what, the open that it is about (of ACK, BIND, TELL: a set of bits), the recall */
chan up = [3] of { mtype, byte, byte };
chan down = [3] of { mtype, byte, byte };

/* the client */
byte open, told, opens = OPENS, last; /* open, and of them known to the server: bits; numbers used */
bit covered, conn = 1, bnd = 1, asks, looked, saw, acked;
byte listed, ackid;                   /* in the acknowledgement that is not answered */
/* the server */
bit held, pin, back = 1, grace, recall, sent;
byte known, id;
bit name = 1, exists = 1;             /* durable */
byte looks = LOOKS, breaks = BREAKS, restarts = RESTARTS, n, r; mtype t;

#define CHECK n = 0; r = 0; t = 0; assert(open == 0 || exists); assert(!covered || name && exists)
#define ready (conn && bnd)

proctype Client() {
end:
  do
  :: atomic { !covered && !asks && ready && nfull(up) && name && looks > 0 -> looks--; asks = 1; up!LOOKUP,0,0 }
#ifdef BUG_OPENRACE
  :: atomic { covered && opens > 0 && !saw -> saw = 1 }
  :: atomic { saw -> saw = 0; opens--; last++; open = open | (1 << last); CHECK }
#else
  :: atomic { covered && opens > 0 -> opens--; last++; open = open | (1 << last); CHECK }
#endif
  /* Else the server is asked; it registers the open. */
  :: atomic { !covered && !asks && ready && opens > 0 && nfull(up) ->
       opens--; last++; asks = 1; up!OPEN,last,0 }
  :: atomic { open != 0 && ready && nfull(up) && !acked ->
       if :: (open & 2) != 0 -> n = 1 :: (open & 4) != 0 -> n = 2 :: (open & 8) != 0 -> n = 3 fi;
       open = open & ~(1 << n);
       if :: (told & (1 << n)) != 0 -> told = told & ~(1 << n); up!CLOSE,n,0 :: else fi; CHECK }
  :: atomic { len(down) > 0 && nfull(up) -> down?t,n,r;
       if
       :: t == FOUND -> asks = 0; covered = n
       :: t == OPENED -> asks = 0;
          if :: n != 0 -> open = open | (1 << n); told = told | (1 << n) :: else fi
       :: t == RECALL -> covered = 0;
#ifdef BUG_LOCALOPEN
          up!ACK,0,r; told = open
#else
          listed = open & ~told; ackid = r; up!ACK,listed,ackid; acked = 1
#endif
       :: t == BOUND -> bnd = 1;
#ifdef BUG_OPENSLATE
          if :: open != 0 -> told = open; up!TELL,open,0 :: else fi;
#endif
          if :: n == 0 -> covered = 0 :: else fi;
          /* the acknowledgement that was not answered is sent again */
          if :: acked -> up!ACK,listed,ackid :: else fi
       :: t == ACK && r == ackid -> told = told | (listed & open); listed = 0; acked = 0; ackid = 0
       :: t == ACK && r != ackid -> skip
       fi;
       CHECK }
  :: atomic { !conn -> conn = 1; asks = 0;
       /* a server that was started anew knows of no open: all of them come with the bind */
       told = open; up!BIND,covered | open,0 }
  od
}

proctype Server() {
end:
  do
  :: atomic { len(up) > 0 && len(down) < 2 -> up?t,n,r;
       if
       :: t == LOOKUP ->
          if :: name && !grace && !recall -> held = 1; pin = 1; down!FOUND,1,0 :: else -> down!FOUND,0,0 fi
       :: t == OPEN -> if :: exists -> known = known | (1 << n); down!OPENED,n,0
                         :: else -> down!OPENED,0,0 fi
       :: t == CLOSE -> known = known & ~(1 << n)
       :: t == TELL -> known = known | n
       :: t == ACK -> known = known | n; down!ACK,0,r;
          if :: recall && r == id -> recall = 0; sent = 0; held = 0 :: else fi
       :: t == BIND ->
#ifndef BUG_OPENSLATE
          known = (n & 14);
#else
          if :: back -> known = (n & 14) :: else fi;
#endif
          if :: !back -> back = 1; held = (n & 1); pin = held
             :: else -> held = (held && (n & 1)); pin = (pin && (n & 1)) fi;
          sent = 0; down!BOUND,held,0
       fi;
       CHECK }
  /* Somebody removes the name: A comes back first, and with it the opens. */
  :: atomic { name && held && !grace && !recall -> recall = 1; sent = 0; id++ }
  :: atomic { recall && !sent && ready && nfull(down) -> sent = 1; down!RECALL,0,id }
  :: atomic { name && !held && !grace && !recall -> name = 0; pin = 0; CHECK }
  :: atomic { exists && !name && !pin && known == 0 && !grace -> exists = 0; CHECK }
  :: atomic { grace && back -> grace = 0 }
  :: atomic { breaks > 0 && conn -> breaks--; goto broken }
  :: atomic { restarts > 0 -> restarts--; held = 0; pin = 0; recall = 0; sent = 0; known = 0;
       back = 0; grace = 1;
#ifdef BUG_REAPATBOOT
       if :: !name -> exists = 0 :: else fi;
#endif
broken:
       do :: len(up) > 0 -> up?_,_,_ :: else -> break od;
       do :: len(down) > 0 -> down?_,_,_ :: else -> break od;
       conn = 0; bnd = 0; CHECK }
  od
}
init { atomic { run Client(); run Server() } }
