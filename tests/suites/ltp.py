"""LTP: its tests of the system calls that a file system answers."""

import os
import re
import shutil

import judge

TIMEOUT_S = 300
CALLS = set('''
access chdir chmod chown close copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise
fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr
flock fpathconf fremovexattr fsetxattr fstat fstatat fstatfs fsync ftruncate futimesat getcwd
getdents getxattr lchown lgetxattr link linkat listxattr llistxattr llseek lremovexattr lseek lstat
mkdir mkdirat mknod mknodat mmap msync nftw open openat openat2 pathconf pread preadv preadv2
pwrite pwritev pwritev2 read readahead readdir readlink readlinkat readv realpath removexattr
rename renameat renameat2 rmdir sendfile setxattr stat statfs statvfs statx symlink symlinkat sync
sync_file_range syncfs truncate umask unlink unlinkat utime utimensat utimes write writev
'''.split())
# These make and mount a file system of their own, so that they judge the kernel's.
OWN_DEVICE = re.compile(
    r'needs_device|mount_device|all_filesystems|format_device|needs_rofs|mount_overlay'
    r'|tst_acquire_device|needs_overlay|needs_hugetlbfs|\bSAFE_MOUNT\b|tst_umount')
# Bits of the exit status.
FAILED, BROKEN, WARNED, NOT_APPLICABLE = 1, 2, 4, 32


def _programs(root):
    """Path of each built test by name, and the call that it is about."""
    found = {}
    for call in sorted(CALLS & set(os.listdir(root))):
        for where, _, files in os.walk(os.path.join(root, call)):
            for name in files:
                path = os.path.join(where, name)
                if '.' not in name and os.access(path, os.X_OK):
                    found.setdefault(name, (call, path))
    return found


def _source(path):
    for candidate in (path + '.c', re.sub(r'_(16|64)$', '', path) + '.c'):
        if os.path.exists(candidate):
            with open(candidate, encoding='utf-8', errors='replace') as file:
                return file.read()
    return ''


def _tests(ltp, root):
    """(name, command) of each."""
    programs = _programs(root)
    tests = []
    with open(os.path.join(ltp, 'runtest', 'syscalls'), encoding='utf-8') as file:
        for line in file:
            name, *command = line.split('#')[0].split() or ['']
            if not command or command[0] not in programs or command[0].endswith('_16'):
                continue
            call, path = programs[command[0]]
            if not OWN_DEVICE.search(_source(path)):
                tests.append((f'{call}/{name}', [path] + command[1:]))
    return tests


def _why(result):
    if result.status is not None and 0 <= result.status < 64:
        if result.status & (FAILED | BROKEN | WARNED) == 0:
            return ''
    said = judge.last_line(result.text, r'\bT(FAIL|BROK|WARN)\b')
    return said or judge.why_failed(result) or f'status {result.status}'


def main(suites, mounts, options):
    ltp = os.path.join(suites, 'ltp')
    root = os.path.join(ltp, 'testcases', 'kernel', 'syscalls')
    tests = [test for test in _tests(ltp, root) if re.search(options.pattern, test[0])]
    work = judge.fresh(mounts[0], 'ltp')
    os.chmod(work, 0o1777)  # some run as nobody
    tools = {os.path.dirname(command[0]) for _, command in tests}
    path = [os.path.join(ltp, 'testcases', 'lib'), os.path.join(root, 'utils'), *sorted(tools)]
    env = dict(os.environ, TMPDIR=work, LTPROOT=ltp, LTP_COLORIZE_OUTPUT='0',
               PATH=':'.join(path + [os.environ['PATH']]))

    def one(command):
        return judge.run(command, TIMEOUT_S, os.path.dirname(command[0]), env)

    results = judge.side_by_side([lambda command=command: one(command) for _, command in tests])
    shutil.rmtree(work, ignore_errors=True)
    verdict = judge.Verdict()
    for (name, _), result in zip(tests, results):
        why = _why(result)
        if not why and result.status & NOT_APPLICABLE:
            verdict.skipped.append((name, judge.last_line(result.text, 'TCONF')))
        else:
            verdict.judge(name, why)
    return verdict
