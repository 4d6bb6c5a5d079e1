"""pjdfstest: what system calls answer, assertion by assertion."""

import os
import re
import shutil
import stat
import tempfile

import judge

TIMEOUT_S = 600
TEST = re.compile(r'(not )?ok (\d+)(.*)')
# It asks for what it knows of a file system by its name, for the ctime of what was renamed
# (29 assertions) on ext4 among others, which is the reference here.
DF = '#!/bin/sh\nprintf "Filesystem Type\\nmyfs ext4\\n"\n'


def _judge_file(name, result):
    verdict = judge.Verdict()
    if result.status is None:
        verdict.judge(name, judge.why_failed(result))
        return verdict
    plan = re.search(r'^1\.\.(\d+)', result.text, re.MULTILINE)
    ran = 0
    for line in result.text.splitlines():
        if match := TEST.match(line):
            ran += 1
            bad = match.group(1) and not re.search('(?i)# todo', match.group(3))
            verdict.judge(f'{name}:{match.group(2)}', line.strip() if bad else '')
    if plan is None or int(plan.group(1)) != ran:
        planned = plan.group(1) if plan else 'no'
        verdict.judge(name, f'{planned} planned, {ran} made')
    return verdict


def main(suites, mounts, options):
    root = os.path.join(suites, 'pjdfstest', 'tests')
    names = sorted(os.path.relpath(os.path.join(where, name), root)
                   for where, _, files in os.walk(root) for name in files if name.endswith('.t'))
    names = [name for name in names if re.search(options.pattern, name)]
    tools = tempfile.mkdtemp(prefix='myfs-suites-df.')
    total = judge.Verdict()
    try:
        df = os.path.join(tools, 'df')
        with open(df, 'w', encoding='utf-8') as file:
            file.write(DF)
        os.chmod(df, stat.S_IRWXU | stat.S_IRGRP | stat.S_IXGRP | stat.S_IROTH | stat.S_IXOTH)
        env = dict(os.environ, PATH=tools + ':' + os.environ['PATH'])

        def one(name):
            directory = judge.fresh(mounts[0], name)
            result = judge.run(['sh', os.path.join(root, name)], TIMEOUT_S, directory, env)
            shutil.rmtree(directory, ignore_errors=True)
            return _judge_file(name, result)

        for verdict in judge.side_by_side([lambda name=name: one(name) for name in names]):
            total.add(verdict)
    finally:
        shutil.rmtree(tools)
    return total
