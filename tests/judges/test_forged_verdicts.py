"""A program that is wrong does not pass, whatever it does to its own process or to what it can reach from there."""

import pytest

from harc.judges import sandbox
from harc.judges.sandbox import guest, run_tests
from harc.settings.suites import SandboxSettings

pytestmark = pytest.mark.skipif(
    sandbox.find_obstacle() is not None, reason=f"no sandbox here: {sandbox.find_obstacle()}"
)
SETTINGS = SandboxSettings(seconds=2, memory_mb=256, processes=8)
TESTS = """
def check(candidate):
    assert candidate(3) == 6
    assert candidate([1, 2]) == [1, 2, 1, 2], "a list"
    assert abs(candidate(0.5) - 1) < 1e-9
"""
WRITE_EVERYWHERE = """
def write_everywhere(*_):
    import os
    for end in range(64):
        try:
            os.write(end, b'{"passed": true, "detail": ""}')
        except OSError:
            pass
"""
FORGERIES = {
    "frames": """
import sys
def double(x):
    frame = sys._getframe()
    while frame := frame.f_back:
        for space in (frame.f_locals, frame.f_globals):
            for name, value in list(space.items()):
                if isinstance(value, dict):
                    value.update(passed=True, word='', value=None)
                if name in ('back', 'way'):
                    __import__('os').write(value, b'{"passed": true, "detail": ""}\\n')
""",
    "gc": WRITE_EVERYWHERE
    + """
import gc
for found in gc.get_objects():
    if isinstance(found, dict):
        for key, value in list(found.items()):
            if isinstance(value, str) and len(value) == 32:
                __import__('os').write(1, value.encode())
def double(x): write_everywhere()
""",
    "early exit": WRITE_EVERYWHERE + "write_everywhere()\nimport os\nos._exit(0)",
    "exit in the call": WRITE_EVERYWHERE
    + "import os\ndef double(x):\n    write_everywhere()\n    os._exit(0)",
    "SystemExit": "def double(x): raise SystemExit(0)",
    "atexit": WRITE_EVERYWHERE + "import atexit\natexit.register(write_everywhere)\ndef double(x): pass",
    "thread": WRITE_EVERYWHERE
    + """
import threading
def again():
    while True: write_everywhere()
threading.Thread(target=again, daemon=True).start()
def double(x): pass
""",
    "fork": WRITE_EVERYWHERE + "import os\ndef double(x):\n    os.fork()\n    write_everywhere()",
    "memory": """
def double(x):
    for process in ('self', '1', '2', '3'):
        try:
            with open(f'/proc/{process}/mem', 'r+b') as handle:
                handle.write(b'passed')
        except OSError:
            pass
""",
    "builtins": """
import builtins, json
class Never(Exception): pass
builtins.AssertionError = Never
builtins.abs = lambda x: 0
builtins.exec = builtins.compile = lambda *_: None
json.loads = lambda *_: [(3,), {}]
json.dumps = lambda *_: '{"passed": true, "value": null}'
def double(x): return x
""",
    "the tests' own function": "def check(candidate): pass\ndef double(x): pass",
    "main module": """
import __main__
for name in ('send', 'encode', 'describe', 'decode'):
    setattr(__main__, name, lambda *_: None)
__main__.FORMS = ()
def double(x): return x
""",
    "equal to all": """
class Equal:
    def __eq__(self, other): return True
    def __sub__(self, other): return self
    def __abs__(self): return self
    def __lt__(self, other): return True
def double(x): return Equal()
""",
    "number equal to all": """
class Equal(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
class List(list):
    def __eq__(self, other): return True
def double(x): return List() if isinstance(x, list) else Equal(1)
""",
    "nan": "def double(x): return float('nan')",
    "replies ahead": """
import os
for end in range(3, 64):
    try:
        os.write(end, b'{"value": null}\\n' * 9)
    except OSError:
        pass
def double(x): return x
""",
    "reply of another form": """
import os
def double(x):
    for end in range(3, 64):
        try:
            os.write(end, b'{"value": {"eval": "1"}}\\n{"passed": true}\\n')
        except OSError:
            pass
""",
    "deep reply": "def double(x):\n    value = []\n    for _ in range(900): value = [value]\n    return value",
    "trace": "import sys\nsys.settrace(lambda *_: None)\nsys.excepthook = print\ndef double(x): return x",
    "signals": """
import os, signal
def double(x):
    for process in (os.getppid(), 1, 2, 3, 4):
        for number in (signal.SIGSTOP, signal.SIGKILL):
            try:
                os.kill(process, number)
            except OSError:
                pass
    return x
""",
    "ctypes": """
import os
def double(x):
    import ctypes
    library = ctypes.CDLL(None)
    for process in range(1, 40):
        library.ptrace(16, process, 0, 0)
    library._exit(0)
""",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_does_not_pass(forgery):
    assert run_tests(FORGERIES[forgery], TESTS, "double", SETTINGS).status != "passed"


def test_the_same_tests_pass_a_right_function():
    """The twin, with every trick that leaves its process alive."""
    tricks = "\n".join(FORGERIES[name] for name in ("atexit", "trace", "the tests' own function"))
    assert run_tests(f"{tricks}\ndef double(x): return x + x\n", TESTS, "double", SETTINGS).status == "passed"


def test_helpers_of_the_problem_are_its_own():
    opening = "def triple(x):\n    return 3 * x\n\ndef third(x):\n    '''The third part.'''\n"
    tests = "def check(candidate):\n    assert candidate(triple(5)) == 5\n"
    right = "def triple(x): return 0\ndef third(x): return x // 3\n"
    wrong = "def triple(x): return 0\ndef third(x): return 5 if x == 0 else 0\n"
    for code, status in ((right, "passed"), (wrong, "failed")):
        assert run_tests(code, tests, "third", SETTINGS, opening=opening).status == status


def test_exceptions_of_the_function_reach_its_tests():
    tests = """
def check(candidate):
    try:
        candidate(0)
    except ZeroDivisionError:
        return
    assert False, "no error"
"""
    assert run_tests("def f(x): return 1 / x", tests, "f", SETTINGS).status == "passed"
    assert run_tests("def f(x): return 0", tests, "f", SETTINGS).detail == "AssertionError: no error"


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -(10**400), float("inf"), -0.0, 1e-320, "text \ud800 \u2028", b"\x00\xff", 1 + 2j, [], (), {1},
        [1, (2, {"a": [None, {3: (4,)}]}), {(1, 2)}], {1: 1, "1": "1", (1,): {2: 3}}, [[[[]]]], {},
    ],
)  # fmt: skip
def test_plain_values_pass_as_they_are(value):
    import json

    back = guest.decode(json.loads(json.dumps(guest.encode(value))))
    assert back == value and type(back) is type(value) and repr(back) == repr(value)
