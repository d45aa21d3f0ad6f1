"""What runs inside the sandbox: takes limits and code on standard input, says on standard output how the code ended.

Standard library only: it is handed to a bare interpreter as text. The word that stands for success comes with the job
and is written after the last line of the code, so that code which ends its process early has not passed.
"""

import json
import os
import resource
import sys


def set_limits(limits, account):
    """Lower every limit for good; give up the right to raise them."""
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, name), (value, value))
    if account is not None:
        os.setgroups([])
        os.setresgid(account, account, account)
        os.setresuid(account, account, account)


def close_streams():
    """Point standard input, output and error at nothing; the way back for the last word alone."""
    back, nowhere = os.dup(1), os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    return back


def main():
    """Run the code and say how it ended."""
    job = json.load(sys.stdin)
    back = close_streams()
    set_limits(job["limits"], job["account"])
    word = job["word"]
    try:
        exec(compile(job["code"], "<generated>", "exec"), {"__name__": "__main__"})
    except BaseException as problem:
        word = f"{type(problem).__name__}: {problem}"[:300]
    os.write(back, word.encode(errors="replace"))


main()
