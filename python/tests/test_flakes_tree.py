"""The limits of a commit's tree, on listings as git prints them."""

from __future__ import annotations

import posixpath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.errors import Rejected
from hyperhive.flakes.tree import MAX_BYTES, MAX_FILES, Tree, check_links, parse

AGENT = b"100644 blob 1111111111111111111111111111111111111111       4\tagent.nix\0"


def record(path: bytes, mode: str = "100644", size: str = "1") -> bytes:
    """One line of `git ls-tree -r -l -z`."""
    return f"{mode} blob {'2' * 40} {size:>7}\t".encode() + path + b"\0"


def test_a_small_tree_is_read() -> None:
    tree = parse(AGENT + record(b"bin/x", "100755", "12") + record(b"l", "120000"))
    assert [(e.path, e.executable, e.is_link, e.size) for e in tree.entries] == [
        ("agent.nix", False, False, 4),
        ("bin/x", True, False, 12),
        ("l", False, True, 1),
    ]
    assert tree.size == 17


@pytest.mark.parametrize(
    ("listing", "reason"),
    [
        (b"", "the commit has no agent.nix at its root"),
        (record(b"sub/agent.nix"), "the commit has no agent.nix at its root"),
        (AGENT + record(b"m", "160000", "-"), "m is a submodule"),
        (AGENT + record(b"f", "100600"), "f has the file mode 100600"),
        (AGENT + record(b"f", size="BAD"), "f is missing in the commit's repository"),
        (AGENT + record(b"a\xff"), "is not UTF-8"),
        (AGENT + record(b"a\nb"), "is too long or not printable"),
        (AGENT + record("a\u202eb".encode()), "is too long or not printable"),
        (AGENT + record(b"a" * 1025), "is too long or not printable"),
        (AGENT + record(b"a/.git/config"), "has the part '.git'"),
        (AGENT + record(b".GiT"), "has the part '.GiT'"),
        (AGENT + record(b"../x"), "has the part '..'"),
        (AGENT + record(b"/etc/passwd"), "has the part ''"),
        (AGENT + record(b"big", size=str(MAX_BYTES)), "more than 10; keep big files out"),
        (AGENT * (MAX_FILES + 1), f"holds {MAX_FILES + 1} files, more than {MAX_FILES}"),
    ],
)
def test_a_tree_that_holds_what_it_may_not_is_rejected(listing: bytes, reason: str) -> None:
    with pytest.raises(Rejected) as caught:
        parse(listing)
    assert reason in str(caught.value) and str(caught.value).isprintable()


def test_a_tree_at_its_limits_is_accepted() -> None:
    files = b"".join(record(b"f%d" % number, size="0") for number in range(MAX_FILES - 1))
    assert len(parse(AGENT + files).entries) == MAX_FILES
    assert parse(AGENT + record(b"big", size=str(MAX_BYTES - 4))).size == MAX_BYTES


@pytest.mark.parametrize(
    "links",
    [
        {"a": "b"},
        {"d/a": "../agent.nix"},
        {"a": "missing/file"},
        {"a": "./x/../agent.nix"},
        {"a": "d", "d": "e/f", "e/f/x": ".."},
    ],
)
def test_a_link_that_stays_in_the_tree_is_accepted(links: dict[str, str]) -> None:
    check_links(Tree(()), {path: target.encode() for path, target in links.items()})


@pytest.mark.parametrize(
    "links",
    [
        {"a": "/agent.nix"},
        {"a": ".."},
        {"a/b": "../../x"},
        {"a": "b", "b": "a"},
        {"a": "b/..", "b": "."},
        {"d/e/up": "..", "out": "d/e/up/../.."},
        {"a": "x/" * 3 + "../../../.."},
    ],
)
def test_a_link_that_leads_out_or_never_ends_is_rejected(links: dict[str, str]) -> None:
    with pytest.raises(Rejected, match="the symbolic link"):
        check_links(Tree(()), {path: target.encode() for path, target in links.items()})


@given(st.lists(st.sampled_from(["a", "b", "..", ".", ""]), min_size=1, max_size=8), st.integers(0, 3))
def test_a_single_link_is_judged_as_its_normal_path(parts: list[str], depth: int) -> None:
    """Without other links, the kernel's walk and the lexical one agree, except that a walk may not pass the root."""
    path = "/".join(["d"] * depth + ["link"])
    target = "/".join(parts) or "."
    try:
        check_links(Tree(()), {path: target.encode()})
        accepted = True
    except Rejected:
        accepted = False
    walked, outside = "d/" * depth, target.startswith("/")
    for part in parts:
        walked = posixpath.normpath(posixpath.join(walked, part))
        outside = outside or walked.startswith("..")
    assert accepted is not outside
