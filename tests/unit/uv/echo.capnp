@0xd1c7a40b6d3be5a7;
# What the tests of the uv room call.
using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("myfs::uv_io::echo");

struct Number { value @0 :UInt64; }

interface Echo {
  ping @0 (payload :Data) -> (payload :Data);
  never @1 () -> ();   # is not answered
}
