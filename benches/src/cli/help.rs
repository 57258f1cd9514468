//! The help texts.

pub(super) const GENERAL: &str = "\
skbench: load for TCP services and for routers that carry them

usage: skbench server [options]               the other end: echo, sink, source, HTTP
       skbench relay HOST:PORT [options]      a way that takes its time
       skbench throughput HOST:PORT [options]  octets a second, and how evenly streams share
       skbench latency HOST:PORT [options]     how long a request takes
       skbench connections HOST:PORT [options] new connections a second
       skbench idle HOST:PORT [options]        what connections at rest cost
       skbench streams HOST:PORT [options]     whether stalled streams hold up others

options of every mode but server and relay:
  --threads N      worker threads, each with a runtime of its own (1)
  --timeout TIME   the most one step on a connection may take (10s)
  --pid PID,...    report processor time and memory of these processes
  --max-errors N   exit with status 1 only above so many failures (0)
  --json           print one JSON object instead of tables

`skbench MODE --help` shows a mode's own options. Sizes: 512, 64K, 1M, 1G (powers of 1024).
Times: 5, 0.5s, 250ms, 2m. Exit status: 0 done; 1 failures, or the run could not be made;
2 the command line is wrong.
";

pub(super) const SERVER: &str = "\
usage: skbench server [options]

Prints the address it listens on as its first line, and serves until SIGINT or SIGTERM.

  --listen ADDRESS  where to listen; port 0 takes a free one (127.0.0.1:0)
  --mode MODE       echo: send back; sink: swallow; source: send; http: answer HTTP/1.1 (echo)
  --threads N       threads, each with a runtime of its own (1)
  --bytes SIZE      source: end each stream after so many octets
  --body SIZE       http: octets of an answer's body (a greeting)
  --buffer SIZE     what the kernel holds of a connection each way (as much as it likes)
";

pub(super) const RELAY: &str = "\
usage: skbench relay HOST:PORT [options]

Prints the address it listens on as its first line, and carries connections to HOST:PORT until SIGINT
or SIGTERM: each octet late, and what is behind a lost segment later.

  --listen ADDRESS  where to listen; port 0 takes a free one (127.0.0.1:0)
  --delay TIME      how long an octet is under way, one way: half a round trip (25ms)
  --loss SHARE      share of segments of 1448 octets that are lost and come a round trip later (0)
";

pub(super) const THROUGHPUT: &str = "\
usage: skbench throughput HOST:PORT [options]

  --direction WAY   both: through an echo server and back; up: to a sink; down: from a source (both)
  --streams N       parallel streams (1)
  --seconds TIME    how long (5s; 60s with --bytes)
  --bytes SIZE      octets of each stream; the time then is a limit
  --chunk SIZE      octets of one write and one read, at most 1M (64K)
  --verify          check every octet
  --buffer SIZE     what the kernel holds of a stream here, each way (as much as it likes)
";

pub(super) const LATENCY: &str = "\
usage: skbench latency HOST:PORT [options]

  --connections N   connections, each with one request outstanding (1)
  --size SIZE       octets of a request and of its echo, at most 1M (64)
  --http            ask by HTTP/1.1 instead of through an echo server
  --rate N          requests a second of all connections, due at fixed times (as many as are answered)
  --seconds TIME    how long (5s; 60s with --count)
  --count N         requests of all connections; the time then is a limit
";

pub(super) const CONNECTIONS: &str = "\
usage: skbench connections HOST:PORT [options]

  --workers N       workers, each with one connection at a time (8)
  --size SIZE       octets sent and received back on each, at most 1M (64)
  --close HOW       fin: close; half: end our direction and wait for the server; rst: reset (fin)
  --seconds TIME    how long (5s; 60s with --count)
  --count N         connections of all workers; the time then is a limit
";

pub(super) const IDLE: &str = "\
usage: skbench idle HOST:PORT [options]

  --connections N   connections to open (1000)
  --size SIZE       octets of the exchange by which each is proved, at most 1M (64)
  --seconds TIME    how long they are held (5s)
  --parallel N      how many are being opened or proved at the same time (64)
  --limit TIME      the most the opening of all, and the proving of all, may take (120s)
";

pub(super) const STREAMS: &str = "\
usage: skbench streams HOST:PORT [options]

  --live N          streams whose latency is measured, alone and beside the others (4)
  --size SIZE       octets of their requests, at most 1M (64)
  --stalled N       streams that send and do not read (12)
  --slow N          streams that send and read slowly (0)
  --slow-rate SIZE  octets a second that a slow stream reads (64K)
  --park SIZE       the most octets a stalled or slow stream sends (64M)
  --seconds TIME    how long the live streams are measured, each time (5s)
";
