#!/usr/bin/env python3
"""Plants checked-in faults in a copy of the sources, one at a time, and expects a named test to
turn red. A fault that no test notices is a failure of this program.

Each *.toml beside this file has the faults of a room:

  [[mutation]]
  name = "rcu-frees-too-early"          # unique
  file = "sdk/base/rcu.cc"
  old = '''what the file has exactly once'''
  new = '''what it has instead'''
  test = "unit.base.rcu"                # the ctest, and the target that makes it
  case = "RcuTest.an_open_section"      # optional: run this one of its gtest cases only
  build = ["unit.base.rcu", "myfsd"]    # optional: targets, if the test needs more than itself
"""

import argparse
import fnmatch
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SOURCES = ('CMakeLists.txt', 'LICENSE', 'cmake', 'include', 'sdk', 'server', 'cli', 'bindings',
           'examples', 'tests')
TEST_TIMEOUT_S = 60  # a fault that makes its test hang is noticed too
KEYS = {'name', 'file', 'old', 'new', 'test', 'case', 'build'}


def load():
    """All mutations, each with its room."""
    result = []
    for name in sorted(os.listdir(HERE)):
        if not name.endswith('.toml'):
            continue
        with open(os.path.join(HERE, name), 'rb') as file:
            for mutation in tomllib.load(file)['mutation']:
                mutation['room'] = name[:-len('.toml')]
                result.append(mutation)
    return result


def faults_of(mutations):
    """What is wrong with the list itself, against the present sources."""
    faults = []
    names = [mutation.get('name') for mutation in mutations]
    for mutation in mutations:
        name = mutation.get('name')
        unknown = set(mutation) - KEYS - {'room'}
        missing = {'name', 'file', 'old', 'new', 'test'} - set(mutation)
        if unknown or missing:
            faults.append(f'{name}: unknown keys {unknown}, missing keys {missing}')
            continue
        if names.count(name) > 1:
            faults.append(f'{name}: the name occurs twice')
        path = os.path.join(ROOT, mutation['file'])
        count = 0
        if os.path.exists(path):
            with open(path, encoding='utf-8') as file:
                count = file.read().count(mutation['old'])
        if count != 1:
            faults.append(f'{name}: {mutation["file"]} has the old text {count} times, not once')
        if mutation['old'] == mutation['new']:
            faults.append(f'{name}: changes nothing')
    return faults


def write_if_changed(path, data):
    if os.path.exists(path):
        with open(path, 'rb') as file:
            if file.read() == data:
                return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(data)


def copy_sources(to):
    """Makes `to` equal to the project, touching only what differs."""
    wanted = set()
    for top in SOURCES:
        start = os.path.join(ROOT, top)
        walk = os.walk(start) if os.path.isdir(start) else [(ROOT, [], [top])]
        for where, dirs, names in walk:
            dirs[:] = [d for d in dirs if d != '__pycache__']
            for name in names:
                path = os.path.relpath(os.path.join(where, name), ROOT)
                if not os.path.exists(os.path.join(ROOT, path)):
                    continue
                wanted.add(path)
                with open(os.path.join(ROOT, path), 'rb') as file:
                    write_if_changed(os.path.join(to, path), file.read())
                shutil.copymode(os.path.join(ROOT, path), os.path.join(to, path))
    for where, _, names in os.walk(to):
        for name in names:
            if os.path.relpath(os.path.join(where, name), to) not in wanted:
                os.remove(os.path.join(where, name))


class Lab:
    """The copy of the sources and its build."""

    def __init__(self, where, jobs):
        self.source = os.path.join(where, 'source')
        self.build_dir = os.path.join(where, 'build')
        self.jobs = jobs
        os.makedirs(self.build_dir, exist_ok=True)
        copy_sources(self.source)
        # Asserts and lock ranks help to notice; -O0 builds fastest.
        self._must(['cmake', '-S', self.source, '-B', self.build_dir, '-G', 'Ninja',
                    '-DCMAKE_BUILD_TYPE=Debug', '-DCMAKE_CXX_FLAGS_DEBUG=-O0',
                    '-DMYFS_LOCK_RANKS=ON', '-DMYFS_WERROR=OFF'])

    def _run(self, command):
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors='replace', check=False)

    def _must(self, command):
        run = self._run(command)
        if run.returncode != 0:
            sys.exit(f'mutate: {" ".join(command)} failed:\n{run.stdout[-4000:]}')

    def build(self, targets):
        """(built, output)"""
        run = self._run(['cmake', '--build', self.build_dir, '-j', str(self.jobs), '--target',
                         *targets])
        return run.returncode == 0, run.stdout

    def test(self, name, case=None):
        """(green, output) of a ctest, or of one gtest case of it. A hang is not green."""
        command = ['ctest', '--test-dir', self.build_dir, '-R', f'^{re.escape(name)}$',
                   '--no-tests=error', '--verbose']
        environment = dict(os.environ, GTEST_FILTER=case) if case else None
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              errors='replace', env=environment, start_new_session=True) as run:
            try:
                output = run.communicate(timeout=TEST_TIMEOUT_S)[0]
            except subprocess.TimeoutExpired:
                os.killpg(run.pid, signal.SIGKILL)
                return False, f'{name} did not end within {TEST_TIMEOUT_S} s'
        return run.returncode == 0, output

    def verdict(self, mutation):
        """'red' if the test notices the fault, else what happened instead."""
        path = os.path.join(self.source, mutation['file'])
        with open(path, encoding='utf-8') as file:
            text = file.read()
        try:
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text.replace(mutation['old'], mutation['new']))
            built, output = self.build(targets_of(mutation))
            if not built:
                return f'does not build:\n{output[-2000:]}'
            green, _ = self.test(mutation['test'], mutation.get('case'))
        finally:
            with open(path, 'w', encoding='utf-8') as file:
                file.write(text)
        return 'STAYS GREEN' if green else 'red'


def targets_of(mutation):
    return mutation.get('build', [mutation['test']])


def run(mutations, lab):
    """The number of mutations that no test noticed."""
    bad = 0
    targets = sorted({target for mutation in mutations for target in targets_of(mutation)})
    built, output = lab.build(targets)
    if not built:
        sys.exit(f'mutate: the sources do not build as they are:\n{output[-4000:]}')
    for test, case in sorted({(m['test'], m.get('case', '')) for m in mutations}):
        green, output = lab.test(test, case)
        if not green or (case and f'[       OK ] {case} ' not in output):
            sys.exit(f'mutate: {test} {case} is not green without a mutation:\n{output[-4000:]}')
    for number, mutation in enumerate(mutations, 1):
        start_s = time.monotonic()
        verdict = lab.verdict(mutation)
        bad += verdict != 'red'
        print(f'[{number}/{len(mutations)}] {mutation["name"]}: {mutation["test"]}: {verdict}'
              f' ({time.monotonic() - start_s:.0f} s)', flush=True)
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('pattern', nargs='*', help='mutations or rooms to run, as in `rcu-*`')
    parser.add_argument('--list', action='store_true', help='list them and end')
    parser.add_argument('--check', action='store_true', help='check the list only, build nothing')
    parser.add_argument('--dir', default=os.path.join(ROOT, 'build-mutate'))
    parser.add_argument('-j', '--jobs', type=int, default=os.cpu_count())
    options = parser.parse_args()

    mutations = load()
    if options.pattern:
        mutations = [m for m in mutations
                     if any(fnmatch.fnmatch(m['name'], p) or m['room'] == p
                            for p in options.pattern)]
        if not mutations:
            sys.exit('mutate: nothing has that name')
    if options.list:
        for mutation in mutations:
            print(f'{mutation["room"]:10} {mutation["name"]:45} {mutation["test"]}')
        return 0
    faults = faults_of(mutations)
    for fault in faults:
        print(f'mutate: {fault}')
    if faults or options.check:
        print(f'mutate: {len(mutations)} mutations, {len(faults)} faults in the list')
        return 1 if faults else 0
    bad = run(mutations, Lab(options.dir, options.jobs))
    print(f'mutate: {len(mutations) - bad} of {len(mutations)} mutations were noticed')
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
