"""What a suite came to, and how its programs are run."""

import concurrent.futures
import dataclasses
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
import time

JOBS = 2
# Some tests open as many files as they may.
OPEN_FILES_MAX = 1024


@dataclasses.dataclass
class Verdict:
    """Of one suite. A failure or skip is a name and a line that says why."""
    passed: int = 0
    failed: list = dataclasses.field(default_factory=list)
    skipped: list = dataclasses.field(default_factory=list)
    waived: list = dataclasses.field(default_factory=list)

    def judge(self, name, why):
        """`why`: empty if it passed."""
        if why:
            self.failed.append((name, why))
        else:
            self.passed += 1

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


@dataclasses.dataclass
class Run:
    status: int  # None: it was stopped at its time limit
    text: str
    seconds: float


def _limit():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(OPEN_FILES_MAX, hard), hard))


def run(command, timeout_s, cwd=None, env=None):
    """A program with all that it starts; what outlives the limit is killed."""
    begin = time.monotonic()
    process = subprocess.Popen(command, cwd=cwd, env=env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True, preexec_fn=_limit)
    status = None
    try:
        output = process.communicate(timeout=timeout_s)[0]
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output = process.communicate()[0]
    return Run(status, output.decode('utf-8', 'replace'), time.monotonic() - begin)


def fresh(parent, name):
    directory = tempfile.mkdtemp(prefix=re.sub(r'\W', '_', name) + '.', dir=parent)
    os.chmod(directory, 0o755)
    return directory


def in_fresh(parent, name, command, timeout_s):
    """Runs `command(directory)` in a directory of its own."""
    directory = fresh(parent, name)
    try:
        return run(command(directory), timeout_s, cwd=directory)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def side_by_side(tasks):
    """Calls each of them; the results in their order."""
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]


def last_line(text, pattern='.'):
    """The last one with `pattern`, for a report."""
    lines = [line.strip() for line in text.splitlines() if re.search(pattern, line)]
    return lines[-1][:160] if lines else ''


def why_failed(result, bad_words=None):
    """Of a program that ends with 0 and says none of these; empty if it passed."""
    if result.status is None:
        return f'stopped after {result.seconds:.0f} s: {last_line(result.text)}'
    bad = last_line(result.text, bad_words) if bad_words else ''
    if result.status != 0 or bad:
        return f'status {result.status}: {bad or last_line(result.text)}'
    return ''
