"""What is written here is meant for everybody: no machine, no registry, no workplace; and every link leads somewhere."""

import pytest

from tests.tidy import source, words

MARKDOWN = {path: text for path, text in source.files().items() if path.endswith(".md")}
KNOWN = frozenset(source.files()) | frozenset(
    "/".join(path.split("/")[:n]) for path in source.files() for n in range(1, path.count("/") + 1)
)


def test_no_file_speaks_of_a_machine_a_registry_or_a_workplace() -> None:
    source.none([found for path, text in source.files().items() for found in words.forbidden(path, text)])


def test_the_lock_names_the_public_index_alone() -> None:
    assert words.hosts(source.files()["uv.lock"]) <= words.LOCKED_HOSTS


@pytest.mark.parametrize("path", MARKDOWN)
def test_every_relative_link_leads_somewhere(path: str) -> None:
    source.none(words.broken_links(path, MARKDOWN[path], KNOWN))


# --- each check is seen to fail ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "planted",
    [
        "PATH = '/work/main'",
        "cd /root/x",
        "open('/home/somebody/notes')",
        "uv pip install --index-url http://mirror",
        "from https://pypi.org/simple",
        "see RELIABILITY, section 3",
        "as DOMAIN.md says",
        "the defaults are DOMAIN's numbers",
        "# TODO later",
        "written by a sub-agent",
        "issues show 2",
    ],
)
def test_a_planted_word_is_found(planted: str) -> None:
    assert words.forbidden("chassis/desk.py", f"first\n{planted}\n")


@pytest.mark.parametrize(
    "harmless", ["a session ends", "network/root", "https://example.org/work/", "the domain's rule"]
)
def test_a_word_of_the_domain_is_left_alone(harmless: str) -> None:
    assert words.forbidden("gateway/tokens.py", harmless) == []


def test_a_link_that_leads_nowhere_is_found() -> None:
    known = frozenset({"docs/start.md", "README.md"})
    assert words.broken_links("docs/a.md", "[x](start.md) [y](../README.md#top) [z](https://x.org)", known) == []
    assert words.broken_links("docs/a.md", "[x](gone.md)", known) == ["docs/a.md: gone.md leads nowhere"]


def test_a_foreign_host_in_a_lock_is_found() -> None:
    assert words.hosts('url = "https://mirror.local/simple/x"') == {"https://mirror.local"}
