"""What runs inside two sandboxes: the tested code in one, its tests in the other, with plain values passing between.

Standard library only: it is handed to a bare interpreter as text. The tested code's process holds neither the tests nor
the verdict; whatever it does to itself (frames, builtins, exit handlers, memory), all that leaves it is a pipe of
values, which the tests' process rebuilds as its own numbers, texts and containers before it compares them.
"""

import builtins
import decimal
import fractions
import json
import os
import resource
import sys

LONGEST_REPLY = 1 << 26


def encode(value):
    """A value as JSON can hold it; containers of other kinds by name, subclasses as what they derive from.

    Raises:
        TypeError: for a value that is no plain data, such as a generator or an object.
    """
    for kind, spell in FORMS:
        if isinstance(value, kind):
            return spell(value)
    raise TypeError(f"{type(value).__name__} is no plain value")


def encode_all(values):
    """A list of encoded values."""
    return [encode(value) for value in values]


FORMS = (
    ((bool, type(None)), lambda value: value),
    (str, str.__str__),
    (int, int.__int__),
    (float, lambda value: {"float": float.__repr__(value)}),
    (list, encode_all),
    (tuple, lambda value: {"tuple": encode_all(value)}),
    ((set, frozenset), lambda value: {"set": encode_all(value)}),
    (dict, lambda value: {"dict": [encode_all(pair) for pair in value.items()]}),
    (bytes, lambda value: {"bytes": value.hex()}),
    (complex, lambda value: {"complex": str(value)}),
    (decimal.Decimal, lambda value: {"decimal": str(value)}),
    (fractions.Fraction, lambda value: {"fraction": str(value)}),
)
ATOMS = {
    "float": float,
    "bytes": bytes.fromhex,
    "complex": complex,
    "decimal": decimal.Decimal,
    "fraction": fractions.Fraction,
}


def decode(value):
    """The value that `encode` was given, of builtin types alone.

    Raises:
        ValueError, TypeError: if it is none.
    """
    if isinstance(value, list):
        return [decode(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((name, held),) = value.items()
    if name in ("tuple", "set"):
        return {"tuple": tuple, "set": set}[name](decode(item) for item in held)
    if name == "dict":
        return {decode(key): decode(item) for key, item in held}
    return ATOMS[name](held)


def set_limits(limits, account):
    """Lower every limit for good; give up the right to raise them."""
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if account is not None:
        os.setgroups([])
        os.setresgid(account, account, account)
        os.setresuid(account, account, account)


def close_streams():
    """Point standard input, output and error at nothing; the ways in and out that they were."""
    ways, nowhere = (os.dup(0), os.dup(1)), os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return ways


def describe(problem):
    """An exception's type and message."""
    return [type(problem).__name__, str(problem)[:300]]


def send(way, message):
    """Write one message, a line of JSON."""
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(way, data) :]


def run_candidate(source, back, job):
    """Run the tested code, then answer each call of its function."""
    space = {"__name__": "__main__"}
    try:
        exec(compile(job["code"], "<generated>", "exec"), space)
        function = space[job["entry_point"]]
    except BaseException as problem:
        send(back, {"raised": describe(problem)})
        return
    send(back, {"value": None})
    for line in source:
        try:
            args, kwargs = decode(json.loads(line))
            reply = {"value": encode(function(*args, **kwargs))}
        except BaseException as problem:
            reply = {"raised": describe(problem)}
        send(back, reply)


class Ended(Exception):
    """The tested code's process is gone."""


class Candidate:
    """The tested function as its tests see it: called with copies, it gives copies."""

    def __init__(self, job):
        self.replies, self.way = os.fdopen(job["from"], "rb"), job["to"]
        send(self.way, job["candidate"])
        self.receive()

    def __call__(self, *args, **kwargs):
        """What the tested function gives, or its exception, by its name."""
        send(self.way, encode((args, kwargs)))
        return self.receive()

    def receive(self):
        """The value of the next message.

        Raises:
            Ended: if there is none.
        """
        line = self.replies.readline(LONGEST_REPLY)
        if not line.endswith(b"\n"):
            raise Ended("the tested code's process ended early" if not line else "a reply without end")
        message = json.loads(line)
        if "raised" not in message:
            return decode(message["value"])
        name, text = map(str, message["raised"])
        kind = getattr(builtins, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception) and not issubclass(kind, UnicodeError):
            raise kind(text)
        raise RuntimeError(f"{name}: {text}")


def run_tests(back, job):
    """Run the tests on the tested code's function, and say how that ended."""
    try:
        candidate = Candidate(job)
        space = {"__name__": "__main__"}
        exec(compile(job["opening"], "<opening>", "exec"), space)
        space[job["entry_point"]] = candidate  # which some tests call by its name
        exec(compile(job["tests"], "<tests>", "exec"), space)
        space["check"](candidate)
    except BaseException as problem:
        verdict = {"passed": False, "detail": ": ".join(describe(problem))}
    else:
        verdict = {"passed": True, "detail": ""}
    send(back, verdict)


def main():
    """Take a job, be its candidate or its tests."""
    into, back = close_streams()
    source = os.fdopen(into, "rb")
    job = json.loads(source.readline())
    set_limits(job["limits"], job["account"])
    sys.set_int_max_str_digits(0)
    if "tests" in job:
        run_tests(back, job)
    else:
        run_candidate(source, back, job)


if __name__ == "__main__":
    main()
