"""What tidy needs to know of C++: code without comments, includes, functions, test names."""

import re

_TOKEN = re.compile(
    r'//[^\n]*|/\*.*?\*/'
    r'|R"(?P<delim>[^()\s\\]{0,16})\(.*?\)(?P=delim)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
    re.S)
_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
_PREPROCESSOR = re.compile(r'^[ \t]*#(?:[^\n]*\\\n)*[^\n]*', re.M)
_NOT_A_FUNCTION = re.compile(
    r'^\s*(?:template\s*<.*>\s*)?(?:typedef\s+|export\s+)?'
    r'(?:namespace|class|struct|union|enum|extern\s*""|concept)\b', re.S)
_CONTROL = re.compile(r'^\s*(?:if|else|for|while|do|switch|try|catch)\b')
_TEST = re.compile(r'\b(?:TEST|TEST_F|TEST_P|TYPED_TEST|ERRNO_TEST)\s*\(\s*(\w+)\s*,\s*(\w+)')


def _blank(match):
    text = match.group(0)
    lines = '\n' * text.count('\n')
    return '""' + lines if text[0] in '"R' else ' ' + lines


def strip(text):
    """The code alone: comments gone, string and character constants empty, lines kept."""
    return _TOKEN.sub(_blank, text)


def comments(text):
    """(line, comment) of every comment."""
    for match in _TOKEN.finditer(text):
        if match.group(0).startswith('/'):
            first = text.count('\n', 0, match.start()) + 1
            for number, line in enumerate(match.group(0).split('\n')):
                yield first + number, line


def includes(text):
    """(line, '<' or '"', path) of every include."""
    for match in _INCLUDE.finditer(text):
        yield text.count('\n', 0, match.start()) + 1, match.group(1), match.group(2)


def test_names(code):
    """(suite, name) of every test that the stripped code defines."""
    return [match.groups() for match in _TEST.finditer(code)]


def _is_function(head):
    if '(' not in head or head.count('(') != head.count(')'):
        return False
    if _NOT_A_FUNCTION.match(head) or _CONTROL.match(head):
        return False
    return not head.rstrip().endswith('=')


def functions(code):
    """(first line, lines, head) of every outermost function of stripped code."""
    code = _PREPROCESSOR.sub(lambda m: '\n' * m.group(0).count('\n'), code)
    depth_of_function = None
    depth = 0
    start = 0  # where the present declaration begins
    first = 0
    head = ''
    for match in re.finditer(r'[{};]', code):
        char, at = match.group(0), match.start()
        if char == '{':
            depth += 1
            if depth_of_function is None and _is_function(code[start:at]):
                depth_of_function = depth
                head = code[start:at]
                first = start + len(head) - len(head.lstrip())
        elif char == '}':
            if depth == depth_of_function:
                depth_of_function = None
                line = code.count('\n', 0, first) + 1
                yield line, code.count('\n', first, at) + 1, ' '.join(head.split())
            depth -= 1
        start = match.end()
