#!/usr/bin/env python3
"""Plants each breach in a tree of its own and expects tidy to name it, and nothing else."""

import os
import subprocess
import sys
import tempfile
import textwrap
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
HEAD = '// Thing: a thing.\n#pragma once\n'


class TidyTest(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.TemporaryDirectory()
        self.addCleanup(self.root.cleanup)

    def write(self, path, text):
        path = os.path.join(self.root.name, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(textwrap.dedent(text))

    def tidy(self, only):
        run = subprocess.run([sys.executable, os.path.join(HERE, 'tidy.py'), '--root',
                              self.root.name, '--only', only],
                             stdout=subprocess.PIPE, text=True, check=False)
        breaches = run.stdout.strip().split('\n')[:-1]
        self.assertEqual(run.returncode, 1 if breaches else 0)
        return breaches

    def expect(self, only, *wanted):
        breaches = self.tidy(only)
        self.assertEqual(len(breaches), len(wanted), breaches)
        for words in wanted:
            self.assertTrue(any(words in breach for breach in breaches), (words, breaches))

    def test_layers(self):
        self.write('sdk/base/a.h', HEAD)
        self.write('sdk/netfs/a.h', HEAD)
        self.write('include/myfs/myfs.h', HEAD)
        self.write('sdk/fs/ok.cc', '#include "sdk/base/a.h"\n#include "sdk/fs/ok2.h"\n')
        self.write('sdk/fs/ok2.h', HEAD)
        self.write('sdk/fs/bad.cc', '#include "sdk/netfs/a.h"\n')
        self.write('server/bad.cc', '#include "sdk/netfs/a.h"\n')
        self.write('cli/bad.cc', '#include <myfs/myfs.h>\n#include "sdk/base/a.h"\n')
        self.write('sdk/netfs/bad.cc', '#include "myfs/myfs.capnp.h"\n')
        self.write('tests/unit/fs/bad.cc', '#include "sdk/netfs/a.h"\n')
        self.write('tests/unit/netfs/ok.cc', '#include "sdk/netfs/a.h"\n')
        self.expect('includes', 'sdk/fs/bad.cc:1: fs may not include netfs',
                    'server/bad.cc:1: server may not include netfs',
                    'cli/bad.cc:2: cli may not include base',
                    'sdk/netfs/bad.cc:1: netfs may not include proto',
                    'tests/unit/fs/bad.cc:1: tests may not include netfs')

    def test_kj_stays_where_it_belongs(self):
        self.write('sdk/rpc/ok.cc', '#include <kj/async.h>\n#include <uv.h>\n')
        self.write('sdk/netfs/bad.cc', '#include <kj/async.h>\n')
        self.write('sdk/mm/bad.cc', '#include <uv.h>\n')
        self.expect('includes', 'sdk/netfs/bad.cc:1: only uv, rpc', 'sdk/mm/bad.cc:1: only uv, rpc')

    def test_include_style(self):
        self.write('sdk/base/a.h', HEAD)
        self.write('sdk/base/b.h', HEAD)
        self.write('sdk/base/a.cc', '#include "sdk/base/b.h"\n#include "sdk/base/a.h"\n')
        self.write('sdk/base/b.cc', '#include "b.h"\n')
        self.expect('includes', 'sdk/base/a.cc:1: include the own header',
                    'sdk/base/b.cc:1: "b.h": include by the path',
                    'sdk/base/b.cc:1: include the own header')

    def test_sizes(self):
        self.write('sdk/base/ok.cc', 'int f() {\n' + '  g();\n' * 68 + '}\n' + '// ' + 'x' * 97)
        self.write('sdk/base/long.cc', 'namespace x {\nint A::f(int a) const {\n'
                   + '  if (a) { g("}"); }  // }\n' * 69 + '}\n}\n')
        self.write('sdk/base/wide.cc', '\n// ' + 'x' * 98)
        self.write('sdk/base/file.cc', '\n' * 1001)
        self.expect('sizes', 'sdk/base/long.cc:2: 71 lines', 'sdk/base/wide.cc:2: 101 columns',
                    'sdk/base/file.cc:1: 1001 lines')

    def test_a_class_or_a_table_is_no_function(self):
        self.write('sdk/base/a.cc', 'class A : public B<int (*)(int)> {\n' + '  int f();\n' * 90
                   + '};\nconst int t[] = {\n' + '  f(1),\n' * 90 + '};\n')
        self.expect('sizes')

    def test_a_constructor_with_initialisers_is_one(self):
        self.write('sdk/base/a.cc', 'A::A(int a)\n    : a_(a), b_(2) {\n' + '  g();\n' * 69 + '}\n')
        self.expect('sizes', 'sdk/base/a.cc:1: 72 lines')

    def test_banned_calls(self):
        planted = {
            'sdk/fs/a.cc': ('absl::Mutex m;', 'sdk/base/sync.h'),
            'sdk/fs/b.cc': ('std::mutex m;', 'Mutex of sdk/base/sync.h'),
            'sdk/fs/c.cc': ('std::thread t(f);', 'Thread of sdk/base/sync.h'),
            'server/d.cc': ('std::this_thread::sleep_for(1s);', 'Event::wait_until'),
            'server/e.cc': ('auto io = kj::setupAsyncIo();', 'the loop of sdk/uv'),
            'sdk/rpc/f.cc': ('network.setFlowLimit(1);', 'credits'),
            'server/g.cc': ('signal(SIGPIPE, SIG_IGN);', 'sigaction'),
            'sdk/mm/h.cc': ('auto now = time(nullptr);', 'boottime_ns'),
            'sdk/mm/i.cc': ('gettimeofday(&tv, nullptr);', 'boottime_ns'),
            'sdk/mm/j.cc': ('int x = rand();', 'sdk/base/random.h'),
            'sdk/api/k.cc': ('errno = ENOENT;', 'the return value -errno'),
            'sdk/fs/l.cc': ('throw 1;', 'Result'),
            'sdk/fs/m.h': (HEAD + 'void f(absl::string_view s);', 'std::string_view'),
            'tests/n.cc': ('TEST(A, DISABLED_b) {}', 'a test that runs'),
            'sdk/fs/o.cc': ('std::this_thread::sleep_for(1s);', 'Event::wait_until'),
        }
        for path, (code, _) in planted.items():
            self.write(path, code)
        self.write('sdk/base/ok.cc', 'std::mutex m;\n')
        self.write('tests/ok.cc', 'std::thread t;\n')
        self.write('sdk/fs/ok.cc', '// std::mutex m; rand()\nconst char* s = "absl::Mutex";\n'
                   'bool b = errno == 3; x.time(); inode->signal(); set_mtime (3);\n'
                   'std::thread::id i; bool sleep(int ms); port.sleep(1);')
        breaches = self.tidy('banned')
        self.assertEqual(len(breaches), len(planted), breaches)
        for path, (_, instead) in planted.items():
            found = [b for b in breaches if b.startswith(f'{path}:') and f'use {instead}' in b]
            self.assertEqual(len(found), 1, (path, breaches))

    def test_unfinished_work(self):
        self.write('sdk/fs/a.cc', '// TO' + 'DO: later\nint todo;\n')
        self.write('cmake/a.cmake', '# good for' + ' now\n')
        self.expect('unfinished', 'sdk/fs/a.cc:1', 'cmake/a.cmake:1')

    def test_headers(self):
        self.write('sdk/fs/a.h', '#pragma once\n')
        self.write('sdk/fs/b.h', '// B: a thing.\n')
        self.write('sdk/fs/c.h', HEAD)
        self.expect('headers', 'sdk/fs/a.h:1', 'sdk/fs/b.h:1')

    def test_sources_are_built(self):
        self.write('sdk/fs/CMakeLists.txt', 'myfs_room(NAME fs SOURCES inode.cc)\n')
        self.write('sdk/fs/inode.cc', '')
        self.write('sdk/fs/node.cc', '')
        self.expect('built', 'sdk/fs/node.cc:1: no CMakeLists.txt')

    def test_each_errno_has_a_test(self):
        self.write('include/myfs/myfs.h', HEAD + '''
            /* ERRORS. Groups:
             *   [path] ELOOP, ENOTDIR (both).
             */

            // Opens. Returns a descriptor.
            // Errors: [path]; ENOENT (no such file), EXCL is none,
            // EACCES.
            int myfs_open(myfs_task* task);
            // ENOSYS is not listed here.
            int myfs_close(myfs_task* task);
            /* Errors: EBADF. */
            int myfs_fsync(myfs_task* task);
            ''')
        self.write('tests/a.cc', 'TEST_F(OpenErrors, ENOENT_when_absent) {}\n// open_EACCES\n'
                   'TEST(Errors, path_ELOOP) {}\n')
        self.expect('errno', 'myfs.h:5: no test has path and ENOTDIR',
                    'myfs.h:10: no test has open and EACCES',
                    'myfs.h:14: no test has fsync and EBADF')

    def test_format(self):
        with open(os.path.join(HERE, '..', '..', '.clang-format'), encoding='utf-8') as style:
            self.write('.clang-format', style.read())
        self.write('sdk/fs/a.cc', 'int  f( );\n')
        self.write('sdk/fs/b.cc', 'int f();\n')
        self.expect('format', 'sdk/fs/a.cc:1')


if __name__ == '__main__':
    unittest.main()
