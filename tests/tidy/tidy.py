#!/usr/bin/env python3
"""Checks the tree against the rules of the house (docs/architecture.md) and names each breach.

Layers of the include graph, 100 columns, functions of at most 70 lines, files of at most 1000,
banned calls with their replacement, marks of unfinished work, the test that each errno of a public
header must have, sources that no CMakeLists.txt names, and the format.

An errno test: in include/myfs/myfs.h a comment says `Errors: ENOENT, ...` above a function
myfs_open; then some TEST has both words in its suite or name, as in TEST_F(Errors, open_ENOENT).
What the head comment lists after `ERRORS.` under a group, as in `[path] ENOENT`, is tested under
the name of the group, as in TEST_F(Errors, path_ENOENT).
"""

import argparse
import errno
import os
import re
import subprocess
import sys

import cxx

COLUMNS = 100
FUNCTION_LINES = 70
FILE_LINES = 1000

TOPS = ('include', 'sdk', 'server', 'cli', 'bindings', 'examples', 'tests', 'cmake')
CXX = ('.h', '.hpp', '.cc', '.c', '.cpp')
OTHER = ('.py', '.sh', '.cmake', '.capnp', 'CMakeLists.txt')

SDK = {'base', 'uv', 'rpc', 'mm', 'fs', 'netfs', 'async', 'api'}
EVERYTHING = SDK | {'testing', 'server', 'proto', 'public', 'support', 'cli'}
# Which rooms a room's files may include, itself always. `public` is include/myfs without the
# schema, `proto` the generated schema, `support` tests/support.
LAYERS = {
    'public': set(),
    'base': set(),
    'uv': {'base'},
    'rpc': {'base', 'uv', 'proto'},
    'mm': {'base'},
    'fs': {'base', 'mm'},
    'netfs': {'base', 'rpc', 'mm', 'fs'},
    'async': {'base'},
    'api': SDK | {'public'},
    'testing': SDK | {'server', 'proto', 'public'},
    'server': {'base', 'uv', 'proto'},
    'cli': {'public'},
    'bindings': {'public'},
    'examples': {'public'},
    'support': EVERYTHING,
    'posix': {'support', 'public'},
    'tests': EVERYTHING | {'bindings'},
}
SEES_KJ = {'uv', 'rpc', 'server', 'testing', 'support', 'tests', 'cmake'}
# Packages whose headers are written in quotes, as their own manuals do.
QUOTED_PACKAGES = ('absl/', 'gtest/', 'gmock/', 'benchmark/')
KJ_HEADER = re.compile(r'^(?:kj/|capnp/|uv\.h$|uv/)')

# Rooms that are built on sdk/base and must use it.
ON_BASE = SDK - {'base'} | {'server'}
# (pattern in the code, rooms or None for all, what to use instead)
BANNED = [
    (r'\babsl::(?:Mutex|MutexLock|CondVar|Notification)\b', None, 'sdk/base/sync.h'),
    (r'\bstd::(?:recursive_|timed_|shared_)?mutex\b', ON_BASE, 'Mutex of sdk/base/sync.h'),
    (r'\bstd::(?:lock_guard|unique_lock|scoped_lock|shared_lock)\b', ON_BASE,
     'MutexLock, ReadLock or WriteLock of sdk/base/sync.h'),
    (r'\bstd::(?:condition_variable(?:_any)?|future|promise|async|latch|barrier)\b', ON_BASE,
     'CondVar or Event of sdk/base/sync.h'),
    (r'\bstd::j?thread\b(?!::)', ON_BASE, 'Thread of sdk/base/sync.h'),
    (r'\bpthread_(?:mutex|cond|rwlock|create)\w*\s*\(', ON_BASE, 'sdk/base/sync.h'),
    (r'\bthis_thread::sleep_\w+|\b(?:usleep|nanosleep|clock_nanosleep)\s*\('
     r'|(?<!\w)::sleep\s*\(|(?<![\w.>:])sleep\s*\(\s*\d',
     ON_BASE | {'testing', 'cli', 'bindings'}, 'Event::wait_until, or a timer of the loop'),
    (r'\bsetupAsyncIo\b', None, 'the loop of sdk/uv'),
    (r'\bsetFlowLimit\b', None, 'credits of the session'),
    (r'(?<![\w.>])signal\s*\(', None, 'sigaction in a program; nothing in a library'),
    (r'\bsigaction\s*\(', SDK, 'nothing: a library leaves its host\'s signals alone'),
    (r'(?<![\w.>:])(?:std::|::)?time\s*\(|\bgettimeofday\s*\(|\bclock_gettime\s*\(', ON_BASE,
     'boottime_ns or realtime_ns of sdk/base/clock.h'),
    (r'\b(?:steady|system|high_resolution)_clock\b', ON_BASE, 'sdk/base/clock.h'),
    (r'(?<![\w.>])(?:std::)?s?rand\s*\(|\bgetrandom\s*\('
     r'|\bstd::(?:random_device|mt19937(?:_64)?)\b', ON_BASE | {'testing'},
     'sdk/base/random.h'),
    (r'\berrno\s*=(?!=)', {'api'}, 'the return value -errno'),
    (r'(?<!\w)::(?:umask|chdir|fchdir)\s*\(', SDK, 'the fs_struct of the task'),
    (r'\bthrow\b|\btry\s*\{', SDK - {'uv', 'rpc', 'async', 'api'}, 'Result of sdk/base/result.h'),
    (r'\b(?:strcpy|strcat|sprintf|vsprintf|gets)\s*\(', None, 'std::string or absl::StrFormat'),
    (r'\bstrerror\s*\(', ON_BASE, 'Errno::text of sdk/base/errno.h'),
    (r'(?<![\w.>])(?:std::)?exit\s*\(', SDK, 'an error: a library does not end its host'),
    (r'\b(?:DISABLED_\w+|GTEST_SKIP)\b', None, 'a test that runs'),
]
BANNED_HEADERS = [
    (r'^absl/synchronization/', None, 'sdk/base/sync.h'),
    (r'^(?:mutex|shared_mutex|condition_variable|thread|future)$', ON_BASE, 'sdk/base/sync.h'),
]
UNFINISHED = re.compile(r'\b(?:TODO|FIXME|XXX|HACK|NOLINT\w*|[Ff]or now|[Nn]ot yet implemented|'
                        r'[Nn]ot implemented)\b')
INTERFACE_ONLY = re.compile(r'\babsl::string_view\b')


class Tree:
    """The files of the project and the breaches found in them."""

    def __init__(self, root):
        self.root = root
        self.breaches = []
        self.texts = {}
        self.code = {}
        for top in TOPS:
            for where, dirs, names in os.walk(os.path.join(root, top)):
                dirs[:] = sorted(d for d in dirs if d != '__pycache__')
                for name in sorted(names):
                    if name.endswith(CXX + OTHER):
                        self._read(os.path.relpath(os.path.join(where, name), root))

    def _read(self, path):
        with open(os.path.join(self.root, path), encoding='utf-8', errors='replace') as file:
            text = file.read()
        self.texts[path] = text
        if path.endswith(CXX):
            self.code[path] = cxx.strip(text)

    def breach(self, path, line, what):
        self.breaches.append(f'{path}:{line}: {what}')


def room_of(path):
    """The layer that a file belongs to."""
    parts = path.split('/')
    if parts[0] == 'include':
        return 'public'
    if parts[0] == 'sdk':
        return parts[1]
    if parts[0] == 'tests':
        return parts[1] if parts[1] in ('support', 'posix') else 'tests'
    return parts[0]


def room_under_test(path):
    """The room that a unit test is about, or None."""
    parts = path.split('/')
    if parts[:2] != ['tests', 'unit'] or len(parts) < 4:
        return None
    return {'store': 'server', 'shell': 'cli', 'fuse': 'bindings'}.get(parts[2], parts[2])


def room_of_header(header):
    """The room that an include leads to, or None for one outside the project."""
    if header.endswith('.capnp.h') and header.startswith('myfs/'):
        return 'proto'
    if header.startswith('myfs/'):
        return 'public'
    if header.split('/')[0] in TOPS and '/' in header:
        return room_of(header)
    return None


def allowed_for(path):
    """(rooms that a file may include, whether it may see kj and uv)."""
    room = room_of(path)
    subject = room_under_test(path)
    if subject in LAYERS:
        extra = {subject, 'support', 'testing', 'public', 'tests'}
        return LAYERS[subject] | extra, subject in SEES_KJ
    return LAYERS.get(room, set()) | {room}, room in SEES_KJ


def check_includes(tree):
    for path in tree.code:
        allowed, sees_kj = allowed_for(path)
        quoted = []
        for line, kind, header in cxx.includes(tree.texts[path]):
            target = room_of_header(header)
            if kind == '"':
                quoted.append((line, header))
            if target is not None and target not in allowed:
                tree.breach(path, line, f'{room_of(path)} may not include {target} ({header})')
            if KJ_HEADER.match(header) and not sees_kj:
                tree.breach(path, line, f'only uv, rpc and server see kj and uv ({header})')
            for pattern, rooms, instead in BANNED_HEADERS:
                if re.match(pattern, header) and (rooms is None or room_of(path) in rooms):
                    tree.breach(path, line, f'<{header}>: use {instead}')
        check_quoted(tree, path, quoted)


def check_quoted(tree, path, quoted):
    for line, header in quoted:
        elsewhere = room_of_header(header) == 'proto' or header.startswith(QUOTED_PACKAGES)
        if not elsewhere and not os.path.exists(os.path.join(tree.root, header)):
            tree.breach(path, line, f'"{header}": include by the path from the root')
    own = os.path.splitext(path)[0] + '.h'
    if path.endswith('.cc') and own in tree.texts and (not quoted or quoted[0][1] != own):
        tree.breach(path, 1, f'include the own header "{own}" first')


def check_sizes(tree):
    for path, text in tree.texts.items():
        lines = text.split('\n')
        if len(lines) - 1 > FILE_LINES:
            tree.breach(path, 1, f'{len(lines) - 1} lines: a file has at most {FILE_LINES}')
        for number, line in enumerate(lines, 1):
            if len(line) > COLUMNS:
                tree.breach(path, number, f'{len(line)} columns: a line has at most {COLUMNS}')
    for path, code in tree.code.items():
        for line, length, head in cxx.functions(code):
            if length > FUNCTION_LINES:
                limit = f'a function has at most {FUNCTION_LINES}'
                tree.breach(path, line, f'{length} lines: {limit} ({head[:60]})')


def check_banned(tree):
    for path, code in tree.code.items():
        room = room_of(path)
        rules = [(re.compile(pattern), instead) for pattern, rooms, instead in BANNED
                 if rooms is None or room in rooms]
        if path.endswith('.h') and room in SDK | {'server'}:
            rules.append((INTERFACE_ONLY, 'std::string_view in interfaces'))
        for number, line in enumerate(code.split('\n'), 1):
            for pattern, instead in rules:
                match = pattern.search(line)
                if match:
                    tree.breach(path, number, f'{match.group(0).strip()}: use {instead}')


def check_unfinished(tree):
    for path, text in tree.texts.items():
        if path.startswith('tests/tidy/'):
            continue
        remarks = cxx.comments(text) if path in tree.code else enumerate(text.split('\n'), 1)
        for number, line in remarks:
            match = UNFINISHED.search(line)
            if match:
                tree.breach(path, number, f'"{match.group(0)}": finish it')


def check_headers(tree):
    for path, text in tree.texts.items():
        if not path.endswith(('.h', '.hpp')):
            continue
        if not text.startswith(('//', '/*')):
            tree.breach(path, 1, 'a header begins with a comment that says what it is for')
        if '#pragma once' not in text and not re.search(r'^#ifndef \w+_H(?:PP)?_$', text, re.M):
            tree.breach(path, 1, 'a header has #pragma once or an include guard')


def check_built(tree):
    """Each source is named by a CMakeLists.txt or *.cmake of its directory or of one above.

    `foreach(name a b)` with `${name}_test.cc` names a_test.cc and b_test.cc.
    """
    listings = {}
    for path, text in tree.texts.items():
        if path.endswith(('CMakeLists.txt', '.cmake')):
            for variable, values in re.findall(r'foreach\((\w+)((?:\s+[\w.]+)+)\)', text):
                for suffix in set(re.findall(rf'\$\{{{variable}\}}([\w.]+\.cc)', text)):
                    text += ''.join(f' {value}{suffix}' for value in values.split())
            where = os.path.dirname(path)
            listings[where] = listings.get(where, '') + text
    for path in tree.code:
        if not path.endswith(('.cc', '.c', '.cpp')):
            continue
        where, name = os.path.split(path)
        while where:
            if re.search(rf'(?<![\w.-]){re.escape(name)}\b', listings.get(where, '')):
                break
            where = os.path.dirname(where)
        else:
            tree.breach(path, 1, 'no CMakeLists.txt names this file')


def comment_blocks(text):
    """(first line, text, what follows) of every run of comment lines."""
    block, first = [], 0
    lines = text.split('\n')
    inside = False
    for number, line in enumerate(lines, 1):
        starts = re.match(r'\s*(//|/\*)', line)
        if starts or inside:
            first = first if block else number
            block.append(line)
            inside = '*/' not in line and (inside or starts.group(1) == '/*')
            continue
        if block:
            yield first, '\n'.join(block), ' '.join(lines[number - 1:number + 4])
            block = []


def listed_errors(text):
    """(line, word, errno) for every errno that a public header lists. The word is the function's
    name, or the group's for those that the head comment gives to many functions."""
    for first, block, follows in comment_blocks(text):
        for match in re.finditer(r'\b(ERRORS\.|Errors:)(.*)', block, re.S):
            declared = re.search(r'\bmyfs_(\w+)\s*\(', follows)
            word = declared.group(1) if match.group(1) == 'Errors:' and declared else None
            for token in re.finditer(r'\[(\w+)\]|\b(E[A-Z0-9]{2,})\b', match.group(2)):
                line = first + block.count('\n', 0, match.start(2) + token.start())
                if token.group(1) and match.group(1) == 'ERRORS.':
                    word = token.group(1)
                elif token.group(2) in errno.errorcode.values() and word:
                    yield line, word, token.group(2)


def words_of(name):
    parts = re.findall(r'[A-Z](?=[a-z])[a-z0-9]+|[A-Z0-9]+(?![a-z])|[a-z0-9]+', name)
    return {part.lower() for part in parts}


def check_errno_tests(tree):
    tested = []
    for path, code in tree.code.items():
        if path.startswith('tests/'):
            tested += [words_of(suite) | words_of(name) for suite, name in cxx.test_names(code)]
    for path, text in tree.texts.items():
        if not path.startswith('include/') or not path.endswith('.h'):
            continue
        for line, function, error in set(listed_errors(text)):
            wanted = words_of(function) | {error.lower()}
            if not any(wanted <= words for words in tested):
                tree.breach(path, line, f'no test has {function} and {error} in its name')


def check_format(tree):
    files = [path for path in tree.code if not path.startswith('cmake/')]
    for first in range(0, len(files), 100):
        run = subprocess.run(['clang-format', '--dry-run', '-Werror', *files[first:first + 100]],
                             cwd=tree.root, stderr=subprocess.PIPE, text=True, check=False)
        bad = sorted(set(re.findall(r'^([^\s:]+):\d+:\d+: error', run.stderr, re.M)))
        if run.returncode != 0 and not bad:
            tree.breach('.clang-format', 1, f'clang-format failed: {run.stderr[:200]}')
        for path in bad:
            tree.breach(path, 1, 'not as clang-format writes it')


CHECKS = {
    'includes': check_includes,
    'sizes': check_sizes,
    'banned': check_banned,
    'unfinished': check_unfinished,
    'headers': check_headers,
    'built': check_built,
    'errno': check_errno_tests,
    'format': check_format,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--root', default=os.path.join(os.path.dirname(__file__), '..', '..'))
    parser.add_argument('--only', choices=sorted(CHECKS), action='append', help='some checks only')
    options = parser.parse_args()
    tree = Tree(os.path.abspath(options.root))
    for name, check in CHECKS.items():
        if options.only is None or name in options.only:
            check(tree)
    for breach in sorted(tree.breaches):
        print(breach)
    print(f'tidy: {len(tree.texts)} files, {len(tree.breaches)} breaches')
    return 1 if tree.breaches else 0


if __name__ == '__main__':
    sys.exit(main())
