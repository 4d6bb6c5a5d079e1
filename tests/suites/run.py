#!/usr/bin/env python3
"""Judges MyFS by suites that others wrote, through myfs-fuse on a fresh myfsd.

Nothing is downloaded. SUITES has the sources of the suites side by side, built where they lie:

  pjdfstest    https://github.com/pjd/pjdfstest, at 85a8aea: autoreconf -ifs, ./configure, make
  ltp          https://github.com/linux-test-project/ltp, at 695827725: make autotools, ./configure,
               make -C testcases/kernel/syscalls (and what it asks for)
  xfstests     https://git.kernel.org/pub/scm/fs/xfs/xfstests-dev.git, at 63a29724: make; fsx and
               fsstress of it
  cthon        git://git.linux-nfs.org/projects/steved/cthon04.git, at 1768ae2: make
  fio          is Debian's package

Runs as root. Needs a build with myfsd and myfs-fuse; with --faults one of `cmake --preset faults`,
in which each fault of sdk/base/fault.h must turn its suite red. What docs/posix.md waives counts
as neither passed nor failed, and a waiver that nothing needs is named.

Exit status: 0 all passed, 1 something failed, 2 something could not be run.
"""

import argparse
import os
import re
import signal
import sys
import time

import judge
import load
import ltp
import pjdfstest
import stand

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOCS = os.path.join(ROOT, 'docs', 'posix.md')

# name: (suite, number of mounts, further options of the mount)
SUITES = {
    'pjdfstest': (pjdfstest.main, 1, ''),
    'pjdfstest_checked': (pjdfstest.main, 1, 'default_permissions'),
    'ltp': (ltp.main, 1, ''),
    'fsx': (load.fsx, 1, ''),
    'fsstress': (load.fsstress, 2, ''),
    'connectathon': (load.connectathon, 1, ''),
    'fio': (load.fio, 2, ''),
}
# fault: (suite that must see it, which part of the suite is enough)
FAULTS = {
    'setuid_keep': ('pjdfstest', r'^(chmod|chown|truncate|ftruncate)/'),
    'lose_page': ('fsx', r'^plain'),
    'flock_noop': ('connectathon', r'^lock'),
    'flip_read': ('fio', r'^random_4k'),
}
SHOWN = 10


def waivers():
    """Patterns by suite, from the table of waived names in docs/posix.md."""
    found = {}
    with open(DOCS, encoding='utf-8') as file:
        for line in file:
            if match := re.match(r'\| waived in (\S+) \| ([^|]*) \|', line):
                found.setdefault(match.group(1), []).extend(re.findall('`([^`]+)`', match.group(2)))
    return found


def waive(verdict, names):
    """Takes what is waived out of the failures and skips; returns the names nothing needed."""
    unused = set(names)
    for kind in ('failed', 'skipped'):
        kept = []
        for name, why in getattr(verdict, kind):
            waiver = next((w for w in names if name == w or name.startswith(w + ':')), None)
            (kept if waiver is None else verdict.waived).append((name, why))
            unused.discard(waiver)
        setattr(verdict, kind, kept)
    return sorted(unused)


def show(heading, items):
    for name, why in items[:SHOWN]:
        print(f'    {heading} {name}: {why}')
    if len(items) > SHOWN:
        print(f'    and {len(items) - SHOWN} more {heading}')


def run_suite(name, place, options):
    """The verdict, with the troubles of the place as failures, and the time it took."""
    suite = SUITES[name][0]
    begin = time.monotonic()
    with place:
        verdict = suite(options.suites, place.mounts, options)
    for trouble in place.troubles:
        verdict.judge('the mount', trouble)
    return verdict, time.monotonic() - begin


def row(name, verdict, seconds):
    print(f'{name:<28}{verdict.passed:>8}{len(verdict.failed):>8}{len(verdict.skipped):>9}'
          f'{len(verdict.waived):>8}{seconds:>7.0f} s', flush=True)


def run_all(names, options):
    """Whether everything passed."""
    print(f'{"suite":<28}{"passed":>8}{"failed":>8}{"skipped":>9}{"waived":>8}{"time":>9}')
    good = True
    waived = {} if options.on else waivers()
    for name in names:
        _, mounts, mount_options = SUITES[name]
        place = (stand.Ready(options.on) if options.on else
                 stand.Stand(options.build, mounts, mount_options))
        verdict, seconds = run_suite(name, place, options)
        unused = waive(verdict, waived.get(name, []))
        row(name, verdict, seconds)
        show('failed', verdict.failed)
        show('skipped', verdict.skipped)
        if unused and options.pattern == '':
            print(f'    waived without need: {", ".join(unused)}')
        good = good and not verdict.failed and verdict.passed > 0
    return good


def run_faults(names, options):
    """Whether each fault was seen by its suite."""
    print(f'{"fault":<28}{"passed":>8}{"failed":>8}{"skipped":>9}{"waived":>8}{"time":>9}')
    good = True
    waived = waivers()
    for fault, (name, pattern) in FAULTS.items():
        if name not in names:
            continue
        _, mounts, mount_options = SUITES[name]
        place = stand.Stand(options.faults, mounts, mount_options, fault)
        part = argparse.Namespace(suites=options.suites, pattern=pattern, seeds=1)
        verdict, seconds = run_suite(name, place, part)
        waive(verdict, waived.get(name, []))
        row(f'{fault} ({name})', verdict, seconds)
        if verdict.failed:
            show('seen by', verdict.failed[:2])
        else:
            print('    NOT SEEN')
            good = False
    return good


def check_faults(build):
    """A build without faults would pass for one in which they are not seen."""
    for program in ('myfsd', 'myfs-fuse'):
        command = ['env', 'MYFS_FAULT=?', os.path.join(build, 'bin', program), '--version']
        if 'no such fault' not in judge.run(command, 60).text:
            raise stand.Trouble(f'{command[2]} has no faults: not of `cmake --preset faults`')


def missing(names, options):
    """What is not where it should be."""
    wanted = {'pjdfstest': 'pjdfstest/pjdfstest',
              'pjdfstest_checked': 'pjdfstest/pjdfstest', 'fsx': 'xfstests/ltp/fsx',
              'fsstress': 'xfstests/ltp/fsstress', 'connectathon': 'cthon/lock/tlock',
              'ltp': 'ltp/testcases/kernel/syscalls/open/open01'}
    paths = [os.path.join(options.suites, wanted[name]) for name in names if name in wanted]
    builds = ([] if options.on else [options.build]) + ([options.faults] if options.faults else [])
    paths += [os.path.join(build, 'bin', program)
              for build in builds for program in ('myfsd', 'myfs-fuse')]
    return [path for path in dict.fromkeys(paths) if not os.path.exists(path)]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('suites', metavar='SUITES', type=os.path.abspath)
    parser.add_argument('--only', metavar='SUITE,...', default=','.join(SUITES),
                        help='some suites: %(default)s')
    parser.add_argument('--pattern', default='', help='some tests of a suite: a regular expression')
    parser.add_argument('--seeds', type=int, default=3, help='of fsx and fsstress (3)')
    parser.add_argument('--build', default=os.path.join(ROOT, 'build'), type=os.path.abspath,
                        help='with myfsd and myfs-fuse')
    parser.add_argument('--faults', metavar='BUILD', type=os.path.abspath,
                        help='plants each fault in this build instead, and expects it to be seen')
    parser.add_argument('--on', metavar='DIR', type=os.path.abspath,
                        help='a directory of another file system, to compare with')
    options = parser.parse_args()
    names = options.only.split(',')
    if unknown := [name for name in names if name not in SUITES]:
        parser.error(f'no such suite: {", ".join(unknown)}; there are {", ".join(SUITES)}')
    if os.geteuid() != 0:
        parser.error('tests of permission need root')
    if absent := missing(names, options):
        parser.error(f'missing: {", ".join(absent)}; --help tells where suites come from')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))  # servers and mounts end with it
    try:
        if options.faults:
            check_faults(options.faults)
            return 0 if run_faults(names, options) else 1
        return 0 if run_all(names, options) else 1
    except stand.Trouble as trouble:
        print(f'tests/suites/run.py: {trouble}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())
