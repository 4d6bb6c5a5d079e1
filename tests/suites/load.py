"""Suites of few programs: fsx, fsstress, connectathon, fio."""

import os
import re
import subprocess

import judge

FSX_OPERATIONS = 20_000
FSX = {
    # name: (a part of the operations, arguments)
    'plain': (1, '-l 262144 -R -W'),
    'nofalloc': (1, '-l 262144 -R -W -F -H -z -C -I -E -B -0 -K -J'),
    'cto': (4, '-l 262144 -R -W -c 20'),  # closes and opens the file again
    'sync': (4, '-l 262144 -R -W -f'),
    'big': (4, '-l 16777216 -o 1048576 -R -W'),
    'mmap': (1, '-l 262144'),
}
FSX_TIMEOUT_S = 900


def fsx(suites, mounts, options):
    """Random calls on one file, whose content it knows."""
    program = os.path.join(suites, 'xfstests', 'ltp', 'fsx')
    verdict = judge.Verdict()
    for seed in range(1, options.seeds + 1):
        for name, (part, arguments) in FSX.items():
            if not re.search(options.pattern, name):
                continue
            command = [program, '-q', '-N', str(FSX_OPERATIONS // part), '-S', str(seed),
                       *arguments.split()]
            result = judge.in_fresh(mounts[0], name, lambda d, c=command: c + [f'{d}/file'],
                                    FSX_TIMEOUT_S)
            why = judge.why_failed(result)
            said = judge.last_line(result.text, r'BAD|[Mm]ismatch|short|:.*error')
            verdict.judge(f'{name}.{seed}', f'{why}: {said}' if why and said else why)
    return verdict


FSSTRESS_OPERATIONS, FSSTRESS_PROCESSES = 4000, 4
FSSTRESS = {
    # Without what asks for another file system, or for asynchronous I/O of the kernel.
    'all': ' '.join(f'-f {name}=0' for name in (
        'resvsp unresvsp bulkstat bulkstat1 attr_set attr_remove subvol_create subvol_delete '
        'snapshot aread awrite uring_read uring_write').split()),
    'names': '-z ' + ' '.join(f'-f {operation}' for operation in (
        'creat=8 mkdir=6 mknod=2 link=4 symlink=4 rename=8 unlink=5 rmdir=3 stat=6 readlink=3 '
        'getdents=6 truncate=3 chown=2 setxattr=2 listfattr=2 rnoreplace=2 rexchange=2').split()),
}
FSSTRESS_TIMEOUT_S = 900


def _walk(directory):
    result = subprocess.run(['find', directory, '-printf', r'%P %y %s %n %l\n'],
                            capture_output=True, check=False)
    return sorted(result.stdout.splitlines()), result.stderr.decode('utf-8', 'replace')


def fsstress(suites, mounts, options):
    """Processes that work on one tree; afterwards it can be listed, read and removed."""
    program = os.path.join(suites, 'xfstests', 'ltp', 'fsstress')
    verdict = judge.Verdict()
    for seed in range(1, options.seeds + 1):
        for mode, arguments in FSSTRESS.items():
            name = f'{mode}.{seed}'
            tree = judge.fresh(mounts[0], name)
            result = judge.run([program, '-d', tree, '-n', str(FSSTRESS_OPERATIONS), '-p',
                                str(FSSTRESS_PROCESSES), '-s', str(seed), *arguments.split()],
                               FSSTRESS_TIMEOUT_S)
            verdict.judge(name, judge.why_failed(result, 'killed|dumped'))
            # The second mount must see what the first one does.
            here, there = _walk(tree), _walk(os.path.join(mounts[1], os.path.basename(tree)))
            verdict.judge(name + '.list', '' if here == there and not here[1] else
                          here[1] or there[1] or 'two mounts list different trees')
            read = subprocess.run(['find', tree, '-type', 'f', '-exec', 'cat', '{}', '+'],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
            verdict.judge(name + '.read', read.stderr.decode('utf-8', 'replace')[:160])
            rm = subprocess.run(['rm', '-rf', tree], stderr=subprocess.PIPE, check=False)
            verdict.judge(name + '.remove', rm.stderr.decode('utf-8', 'replace')[:160])
    return verdict


BASIC = ('test1', 'test3', 'test4', 'test4a', 'test5', 'test6', 'test7', 'test7a', 'test7b',
         'test8', 'test9')
BASIC_IN_ONE = (('test1', 'test2'), ('test5a', 'test5b'))  # the second works on what the first left
SPECIAL = ('op_unlk', 'op_ren', 'op_chmod', 'dupreq 100 name', 'excltest', 'negseek foo',
           'rename 100', 'holey foo', 'truncate', 'nfsidem 50 testdir', 'rewind', 'telldir',
           'bigfile -s 10 foo', 'bigfile2 foo', 'freesp')
CONNECTATHON_TIMEOUT_S = 600
BAD_WORD = r'(?i)^(?!.*\b0 fail)(?!.*0/0 fail).*\bfail(ed|ure)?\b'


def connectathon(suites, mounts, options):
    """Basic and special tests, and locks."""
    root = os.path.join(suites, 'cthon')
    verdict = judge.Verdict()

    def one(name, command, env=None, cwd=None):
        if not re.search(options.pattern, name):
            return
        directory = judge.fresh(mounts[0], name)
        if env is not None:
            env = dict(os.environ, NFSTESTDIR=os.path.join(directory, 'd'))
        result = judge.run(command, CONNECTATHON_TIMEOUT_S, cwd or directory, env)
        verdict.judge(name, judge.why_failed(result, BAD_WORD))
        subprocess.run(['rm', '-rf', directory], check=False)

    for programs in [(name,) for name in BASIC] + list(BASIC_IN_ONE):
        line = ' && '.join('./' + program for program in programs)
        one('basic.' + '+'.join(programs), ['sh', '-c', line], {}, os.path.join(root, 'basic'))
    for line in SPECIAL:
        program, *arguments = line.split()
        one('special.' + program, [os.path.join(root, 'special', program), *arguments])
    one('lock.tlock', [os.path.join(root, 'lock', 'tlock'), '.'])
    return verdict


FIO = {
    # name: (arguments, whether a second mount can verify it without having written it)
    'sequential_4k': ('--rw=write --bs=4k --size=32m', True),
    'sequential_1m': ('--rw=write --bs=1m --size=32m', True),
    'random_4k': ('--rw=randwrite --bs=4k --size=32m', True),
    'random_64k': ('--rw=randwrite --bs=64k --size=32m', True),
    'random_unaligned': ('--rw=randwrite --bsrange=513-65537 --bs_unaligned --size=32m', False),
    'mixed_with_fsync': ('--rw=randrw --bs=4k --fsync=32 --size=8m', False),
    'verified_while_written': ('--rw=randwrite --bs=8k --verify_backlog=64 --size=32m', False),
    'four_jobs': ('--rw=randwrite --bs=4k --numjobs=4 --size=8m', True),
    '64_files': ('--rw=write --bs=4k --nrfiles=64 --openfiles=16 --size=8m', True),
    'direct': ('--rw=randwrite --bs=4k --direct=1 --size=8m', True),
}
FIO_TIMEOUT_S = 600


def fio(_, mounts, options):
    """Blocks that tell by checksum what they should be, read back from both mounts."""
    verdict = judge.Verdict()
    for name, (arguments, elsewhere) in FIO.items():
        if not re.search(options.pattern, name):
            continue
        directory = judge.fresh(mounts[0], name)
        command = ['fio', '--name=' + name, '--ioengine=psync', '--thread', '--verify=crc32c',
                   '--verify_fatal=1', '--verify_state_save=0', '--randseed=7',
                   '--group_reporting', *arguments.split()]
        result = judge.run(command + ['--do_verify=1', '--directory=' + directory], FIO_TIMEOUT_S)
        verdict.judge(name, judge.why_failed(result, r'verify:|err= *[1-9]'))
        if elsewhere:
            there = os.path.join(mounts[1], os.path.basename(directory))
            result = judge.run(command + ['--verify_only', '--directory=' + there], FIO_TIMEOUT_S)
            verdict.judge(name + '.elsewhere', judge.why_failed(result, r'verify:|err= *[1-9]'))
        subprocess.run(['rm', '-rf', directory], check=False)
    return verdict
