#!/usr/bin/env python3
"""Checks the models of the lease protocol that lie beside this file, with Spin.

Three kinds of runs: `all` visits every state of a small bound and must find nothing; `random`
looks through a larger one in random order, for some seconds with each of several seeds, and must
find nothing; `mutation` takes one protection away (-DBUG_x) and must find the violation that this
leads to. A line for each: model, kind, bounds, states, seconds, result. Everything is built in a
temporary directory. Status 0: all is as it should be; 1: something is not; 2: a program is missing.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


@dataclasses.dataclass
class Run:
    model: str
    kind: str                # all, random, mutation
    bounds: str = ''         # NAME=VALUE or NAME, separated by blanks
    bug: str = ''            # mutation: its name
    search: str = 'all'      # how: all, random, or the name of an LTL property
    depth: int = 200_000
    seeds: tuple = ()        # random: one after the other, until one finds something
    seconds: float = 600     # random: for each seed
    optimize: str = '-O0'    # compiling lease.pml costs more than most searches

    def title(self):
        what = f'BUG_{self.bug}' if self.bug else self.kind
        how = '' if self.search in ('all', 'random') else f' [{self.search}]'
        return f'{self.model}.pml {what}{how} {self.bounds}'.rstrip()


def every(model, bounds='', **more):
    return Run(model, 'all', bounds, **more)


def mutation(model, bug, bounds='', **more):
    return Run(model, 'mutation', bounds, bug, **more)


def race(bug, bounds='', depth=300, seeds=(1, 2, 3, 4, 5, 6)):
    """A mutation that takes long to find depth first, and seconds in random order."""
    return mutation('lease', bug, bounds, search='random', depth=depth, seeds=seeds, seconds=120)


EVERYTHING = ('CALLS=2 REQS=4 WRITES=3 OPS=1 RELS=1 GIVEUPS=1 BREAKS=1 DBREAKS=1 RESTARTS=1 '
              'DEATHS=1 SLIPS=1 EPOCHS=3')

CORE = [
    every('lease', 'RESTARTS=1 EPOCHS=1', optimize='-O1'),
    every('lease', 'BREAKS=1 EPOCHS=1', optimize='-O1'),
    every('lease', 'OPS=1 EPOCHS=1', optimize='-O1'),
    every('lease', 'REQS=3 GIVEUPS=1 EPOCHS=1', optimize='-O1'),
    every('lease', 'WRITES=2 DBREAKS=1', optimize='-O1'),
    every('lease', 'WRITES=2 SLIPS=1', optimize='-O1'),
    every('lease', 'RELS=1'),
    every('lease', 'STOPS=1'),
    every('lease', 'DEATHS=1'),
    Run('lease', 'random', EVERYTHING, search='random', depth=700, seeds=(1, 2), seconds=5,
        optimize='-O1'),
    Run('lease', 'random', 'REQS=3 RESTARTS=2 BREAKS=1 WRITES=2', search='random', depth=500,
        seeds=(4, 5), seconds=5, optimize='-O1'),
    race('RECEIPT'),
    race('MARGIN', 'SLIPS=1'),
    race('NOSEQ'),
    race('NAIVEREL', 'RELS=1 REQS=3 WRITES=0'),
    race('FORGET', 'RELS=1 WRITES=0'),
    race('ACKFIRST'),
    race('NOFENCE'),
    race('NOSLOT', 'DBREAKS=1 WRITES=2'),
    race('FALSERETRY', 'DBREAKS=1 WRITES=2'),
    race('NOLEASESEQ', 'GIVEUPS=1 REQS=3'),
    race('OWNCACHE', 'OPS=1'),
    race('OLDATTR', 'OPS=1'),
    race('UNBOUND', 'BREAKS=1 WRITES=0'),
    race('LATEREPLY', 'BREAKS=1 WRITES=0'),
    race('LATEBIND', 'BREAKS=2 WRITES=0'),
    race('NOGRACE', 'RESTARTS=1'),
    race('LATERECLAIM', 'RESTARTS=1'),
    race('VOLEXPIRY', 'RESTARTS=1'),
    race('VOLKILL', 'RESTARTS=2 WRITES=0', depth=500),
    race('CLEANMARK', 'STOPS=1 RESTARTS=1 WRITES=0'),
    race('STALEACK', 'RESTARTS=1 REQS=3 WRITES=0', depth=500),
    race('SEQRESET', 'RESTARTS=1 REQS=3 RELS=1 WRITES=0', depth=500),
    race('EQUALW', 'RESTARTS=1', depth=500),
    race('RECLAIMSEQ', 'RESTARTS=1', depth=500),
]

SIDE = [
    every('reply', 'BREAKS=2 RESTARTS=2 OTHERS=2'),
    every('reply', 'BREAKS=2 RESTARTS=2 OTHERS=2 RELAXED'),
    mutation('reply', 'NOSLOT'),
    mutation('reply', 'NOATTACH'),
    mutation('reply', 'RECORDLATE'),
    mutation('reply', 'FOREIGNCOMMIT'),
    mutation('reply', 'NORECORD'),
    mutation('reply', 'REPLAYGRANT'),
    mutation('reply', 'DIRTYREAD'),
    mutation('reply', 'EARLYREPLY'),
    mutation('reply', 'LOSTSILENT', 'RELAXED'),
    mutation('reply', 'NOCOUNTER', 'RELAXED'),
    mutation('reply', 'COUNTERRESET', 'BREAKS=2 RESTARTS=2 OTHERS=2 RELAXED'),
    every('durable'),
    mutation('durable', 'NOVERIFIER'),
    mutation('durable', 'COMMITECHO'),
    mutation('durable', 'SAMEVERIFIER'),
    mutation('durable', 'FAILSILENT'),
    mutation('durable', 'DROPUNSTABLE'),
    every('open'),
    mutation('open', 'LOCALOPEN'),
    mutation('open', 'OPENRACE'),
    mutation('open', 'REAPATBOOT'),
    mutation('open', 'OPENSLATE'),
    every('slots'),
    mutation('slots', 'TWOSLOT'),
    mutation('slots', 'NOSLOT'),
    every('valid'),
    mutation('valid', 'FLAGVALID'),
    mutation('valid', 'NORECHECK'),
    mutation('valid', 'NOCLOCK'),
    every('pagelock'),
    mutation('pagelock', 'LOCKFIRST'),
    mutation('pagelock', 'NORESERVE'),
    every('queue'),
    mutation('queue', 'HOLD'),
    mutation('queue', 'LANEFIRST'),
    every('live', search='served'),
    every('live', search='ended'),
    mutation('live', 'STARVE', search='served'),
    mutation('live', 'NOEVICT', search='ended'),
    mutation('live', 'NOEXPIRY', search='ended'),
]

# Instead of CORE's bounds and random search; the mutations stay.
FULL = [
    every('lease', 'RESTARTS=1 WRITES=2', optimize='-O2'),
    every('lease', 'RESTARTS=2 EPOCHS=1 WRITES=0', optimize='-O2'),
    every('lease', 'BREAKS=1 WRITES=2', optimize='-O2'),
    every('lease', 'BREAKS=2 EPOCHS=1 WRITES=0', optimize='-O2'),
    every('lease', 'STOPS=1 RESTARTS=1 EPOCHS=1 WRITES=0', optimize='-O2'),
    every('lease', 'OPS=1 WRITES=1', optimize='-O2'),
    every('lease', 'CALLS=2 WRITES=2 SLIPS=1', optimize='-O2'),
    every('lease', 'RELS=1 REQS=3', optimize='-O2'),
    Run('lease', 'random', EVERYTHING, search='random', depth=900, seeds=tuple(range(1, 17)),
        seconds=30, optimize='-O2'),
    Run('lease', 'random', 'REQS=4 RESTARTS=2 BREAKS=2 WRITES=2 RELS=1', search='random', depth=700,
        seeds=tuple(range(17, 33)), seconds=30, optimize='-O2'),
    # Rare: minutes of search.
    mutation('lease', 'RECLAIMANY', 'RESTARTS=1 GIVEUPS=1 REQS=3', search='random', depth=300,
             seeds=tuple(range(1, 17)), seconds=120, optimize='-O2'),
    every('reply', 'OPS=3 BREAKS=2 RESTARTS=2 OTHERS=2', optimize='-O1'),
    every('durable', 'VERSIONS=3 BREAKS=3 RESTARTS=3 FAILS=2', optimize='-O1'),
    every('open', 'OPENS=3 LOOKS=3 BREAKS=2 RESTARTS=2', optimize='-O1'),
    every('pagelock', 'ROUNDS=3 SLOTS=2', optimize='-O1'),
    every('slots', 'VERSIONS=4 BREAKS=3', optimize='-O1'),
]


class Failure(Exception):
    pass


def command(args, cwd):
    done = subprocess.run(args, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False)
    if done.returncode != 0:
        raise Failure(f'{args[0]}: {done.stdout[-2000:]}')
    return done.stdout


def build(run, tools, directory, memory_mib):
    """Makes the verifier `pan` of one run."""
    defines = [f'-D{name}' for name in run.bounds.split()]
    if run.bug:
        defines.append(f'-DBUG_{run.bug}')
    source = os.path.join(HERE, run.model + '.pml')
    command([tools['spin'], '-a', *defines, source], directory)
    flags = ['-w', run.optimize, '-DVECTORSZ=1024', '-DNOREDUCE']
    if run.search == 'random':
        flags += ['-DSAFETY', '-DBITSTATE', '-DP_RAND', '-DT_RAND']
    elif run.search == 'all':
        flags += ['-DSAFETY', f'-DMEMLIM={memory_mib}']
    else:
        flags += ['-DNFAIR=4', f'-DMEMLIM={memory_mib}']
    command([tools['gcc'], *flags, '-o', 'pan', 'pan.c'], directory)


def search(run, directory, seed):
    """Runs `pan`; what it prints. It is told to stop after the time, and prints what it has."""
    args = [os.path.join(directory, 'pan'), f'-m{run.depth}']
    if run.search == 'random':
        args += ['-w27', f'-RS{seed}']
    elif run.search == 'all':
        args += ['-w22']
    else:
        args += ['-a', '-f', '-N', run.search]
    with subprocess.Popen(args, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True) as process:
        try:
            out, _ = process.communicate(timeout=run.seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate()
            if run.search != 'random':
                raise Failure(f'not done after {run.seconds} s') from None
    return out


def states_of(out):
    found = re.search(r'^\s*(\S+) states, stored', out, re.M)
    return int(float(found.group(1))) if found else 0


def violation_of(out):
    found = re.search(r'^pan:1: (.*?)(?: \(at depth \d+\))?$', out, re.M)
    if not found:
        return ''
    text = found.group(1).strip()
    # An assertion is shown as the preprocessor left it.
    return text if len(text) <= 48 else 'assertion violated: the invariant'


def judge(run, out):
    """The violation found, '' for none. Raises if the search was no search."""
    found = violation_of(out)
    if found:
        return found
    if run.search != 'random':
        if 'errors: 0' not in out or 'max search depth too small' in out:
            raise Failure('the search was not completed: ' + out[:300])
        if 'Search not completed' in out:
            raise Failure('not enough memory')
    elif 'errors: 0' not in out:
        raise Failure('the search ended early: ' + out[:300])
    return ''


def check(run, tools, memory_mib):
    """Returns (as expected, line)."""
    began = time.monotonic()
    states, found, problem = 0, '', ''
    directory = tempfile.mkdtemp(prefix='myfs-model-')
    try:
        build(run, tools, directory, memory_mib)
        for seed in run.seeds or (0,):
            out = search(run, directory, seed)
            states += states_of(out)
            found = judge(run, out)
            if found:
                found += f', seed {seed}' if run.seeds else ''
                break
    except Failure as failure:
        problem = str(failure)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if problem:
        good, result = False, f'FAILED: {problem}'
    elif run.kind == 'mutation':
        good = found != ''
        result = f'caught ({found})' if good else 'NOT CAUGHT'
    else:
        good = found == ''
        result = 'ok' if good else f'VIOLATED ({found})'
    return good, f'{run.title():<62} {states:>10,} {time.monotonic() - began:6.1f} s  {result}'


def selection(args):
    runs = CORE + SIDE
    if args.full:
        runs = FULL + [run for run in CORE if run.kind == 'mutation'] + SIDE
    if args.only:
        runs = [run for run in runs if re.search(args.only, run.title())]
    return runs


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--full', action='store_true',
                        help='larger bounds and longer searches (also by MYFS_LONG=1)')
    parser.add_argument('--only', metavar='REGEX', help='only runs whose title matches')
    parser.add_argument('--jobs', type=int, default=2, help='runs at a time (2)')
    parser.add_argument('--memory-mib', type=int, default=0,
                        help='of all runs together (4000, with --full 12000)')
    parser.add_argument('--list', action='store_true', help='name the runs and do nothing')
    args = parser.parse_args()
    args.full = args.full or os.environ.get('MYFS_LONG') == '1'
    tools = {name: shutil.which(name) for name in ('spin', 'gcc')}
    missing = [name for name, path in tools.items() if path is None]
    if missing:
        print(f'check.py: not found: {", ".join(missing)}', file=sys.stderr)
        return 2
    runs = selection(args)
    if not runs:
        print('check.py: no run matches', file=sys.stderr)
        return 2
    if args.list:
        print('\n'.join(run.title() for run in runs))
        return 0
    memory_mib = (args.memory_mib or (12_000 if args.full else 4_000)) // args.jobs
    # A shell starts what is in the background with this signal ignored, and `pan` would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for done in concurrent.futures.as_completed(
                [pool.submit(check, run, tools, memory_mib) for run in runs]):
            good, line = done.result()
            failed += not good
            print(line, flush=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f'{len(runs)} runs, {failed} not as expected, {time.monotonic() - began:.0f} s, of the '
          f'processors {used.ru_utime + used.ru_stime:.0f} s')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
