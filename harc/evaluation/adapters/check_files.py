"""Checks of the folder's files: nothing that runs code, nothing from elsewhere, and a header that tells the truth."""

from harc.evaluation.adapters.checks import FAIL, PASS, WARN, Said, Subject, check
from harc.evaluation.adapters.folder import (
    DANGLING,
    FILE,
    MOST_FILES,
    OUTSIDE,
    PICKLES,
    SPECIAL,
    TENSORS,
    Unreadable,
)
from harc.model.tensors import is_packed, name_some

CODE = (".py", ".pyc", ".so", ".dll", ".sh", ".exe")
MOST_BYTES = (
    8 << 30
)  # of an adapter's weights; rank 256 on every layer of a model of 70 billion is 26 GB in float32


@check("no links out")
def check_links(subject: Subject) -> Said:
    """No link leads out of the folder, and nothing in it is a pipe or a device."""
    entries = subject.adapter.entries
    odd = [
        f"{name} ({entry.kind})"
        for name, entry in entries.items()
        if entry.kind in (OUTSIDE, SPECIAL, DANGLING)
    ]
    if odd:
        return FAIL, f"{name_some(odd)}: whoever copies or loads the folder would read something else"
    if len(entries) > MOST_FILES:
        return FAIL, f"more than {MOST_FILES:,} files"
    return PASS, f"{len(entries)} files, all in the folder"


@check("safetensors only")
def check_pickles(subject: Subject) -> Said:
    """The weights are in safetensors form, and no pickle lies beside them; none is ever opened."""
    names = subject.adapter.entries
    pickles = [name for name in names if name.lower().endswith(PICKLES)]
    if pickles:
        return FAIL, (
            f"{name_some(pickles)}: a pickle runs code of whoever made it when it is loaded; have it saved with "
            "safe_serialization=True where it is trusted"
        )
    if names.get(TENSORS) is None:
        return FAIL, f"no {TENSORS}: there are no weights that may be loaded"
    code = [name for name in names if name.lower().endswith(CODE)]
    if code:
        return WARN, f"{name_some(code)}: programs, which no adapter needs; nothing here runs them"
    return PASS, TENSORS


@check("sizes")
def check_sizes(subject: Subject) -> Said:
    """The weights are neither empty nor larger than an adapter can be."""
    entry = subject.adapter.entries.get(TENSORS)
    if entry is None or entry.kind != FILE:
        raise Unreadable(f"no {TENSORS}")
    if not entry.size:
        return FAIL, f"{TENSORS} has no bytes"
    if entry.size > MOST_BYTES:
        return (
            WARN,
            f"{TENSORS} has {entry.size / 2**30:.1f} GiB, more than an adapter needs: is it a whole model?",
        )
    return PASS, f"{TENSORS} has {entry.size:,} bytes"


@check("header")
def check_header(subject: Subject) -> Said:
    """The header can be read, and its names, kinds, shapes and places agree with each other and with the file."""
    try:
        header = subject.adapter.header
    except Unreadable as problem:
        return FAIL, str(problem)
    return PASS, f"{len(header)} tensors"


@check("kind of numbers")
def check_dtypes(subject: Subject) -> Said:
    """Weights are floating-point numbers of 16 bits or more."""
    header = subject.adapter.header
    packed = [f"{name} in {entry['dtype']}" for name, entry in header.items() if is_packed(entry)]
    if packed:
        return FAIL, f"{name_some(packed)}: quantised or packed weights, which no loader of adapters reads"
    return PASS, ", ".join(sorted({entry["dtype"] for entry in header.values()}))
