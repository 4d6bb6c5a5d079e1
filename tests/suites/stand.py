"""A fresh server and mounts of it through myfs-fuse, for a suite to run on."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile

END_S = 60
# Suites count on what a mount for everybody offers: set-id programs, device nodes.
MOUNT_OPTIONS = 'allow_other,suid,dev'


class Trouble(Exception):
    """What keeps a suite from being run at all."""


def environment(fault):
    env = dict(os.environ)
    env.pop('MYFS_FAULT', None)
    if fault is not None:
        env['MYFS_FAULT'] = fault
    return env


class Program:
    """One that says a line when it is ready."""

    def __init__(self, command, ready, fault):
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(fault),
                                         text=True)
        line = self._process.stdout.readline()
        if ready not in line:
            self.end()
            raise Trouble(f'{" ".join(command)}: not ready: {line.strip() or "no word"}')

    def end(self):
        """Its exit status, or None if it had to be killed."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None


class Stand:
    """`mounts`: directories that show the same file system, each through a bridge of its own."""

    def __init__(self, build, mounts=1, options='', fault=None):
        self._bin = os.path.join(build, 'bin')
        self._options = MOUNT_OPTIONS + (',' + options if options else '')
        self._count = mounts
        self._fault = fault
        self.troubles = []
        self.mounts = []

    def __enter__(self):
        self._dir = tempfile.mkdtemp(prefix='myfs-suites.')
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            stack.callback(shutil.rmtree, self._dir, ignore_errors=True)
            os.chmod(self._dir, 0o755)  # tests run as other users, too
            store, socket = os.path.join(self._dir, 'store'), os.path.join(self._dir, 'socket')
            stack.callback(self._check_store, store)
            server = Program([os.path.join(self._bin, 'myfsd'), '--data', store, '--listen',
                              'unix:' + socket], 'myfsd: ready', self._fault)
            stack.callback(self._end, 'myfsd', server)
            for number in range(self._count):
                at = os.path.join(self._dir, f'mount{number}')
                os.mkdir(at)
                bridge = Program([os.path.join(self._bin, 'myfs-fuse'), '-f', '-o', self._options,
                                  'myfs+unix:' + socket, at], 'mounted at', self._fault)
                stack.callback(self._end, 'myfs-fuse', bridge, at)
                self.mounts.append(at)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()

    def _end(self, name, program, mount=None):
        status = program.end()
        if status != 0:
            self.troubles.append(f'{name} did not end well: ' +
                                 ('it hung' if status is None else f'status {status}'))
        if mount is not None and os.path.ismount(mount):
            subprocess.run(['fusermount3', '-u', '-z', mount], check=False)

    def _check_store(self, store):
        if not os.path.isdir(store):
            return
        check = subprocess.run([os.path.join(self._bin, 'myfsd'), '--fsck', store], text=True,
                               capture_output=True, check=False)
        if check.returncode != 0:
            self.troubles.append('fsck: ' + (check.stdout + check.stderr).strip())


class Ready:
    """Any directory in place of a mount: that of a local file system, to compare with."""

    def __init__(self, directory):
        self.mounts = [directory, directory]
        self.troubles = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
