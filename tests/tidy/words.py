"""Words that have no business in this repository, each with the reason. Findings are `path:line: why`."""

import re

FORBIDDEN: tuple[tuple[str, str], ...] = (
    (r"(?<![\w.])/(work|root)/", "a path of somebody's machine"),
    (r"/home/[a-z]+/", "a path of somebody's machine"),
    (r"/Users/[A-Za-z]+/", "a path of somebody's machine"),
    (r"/tmp/(?!\{)[a-z]+\.md", "a path of somebody's machine"),
    (r"(?i)\b(pypi\.org|pythonhosted\.org|npmjs\.(org|com)|crates\.io|proxy\.golang\.org)\b", "a registry's host"),
    (r"(?i)(extra-index-url|--index-url|\bartifactory\b)", "a registry's host"),
    (r"(?i)\bshared/design\b", "a document that is not in this repository"),
    (
        r"\b(API|ARCHITECTURE|DESK|DOMAIN|LIBRARIES|RELIABILITY|STYLE|UX)(\.md\b|'s\b)",
        "a document not in this repository",
    ),
    (r"\bRELIABILITY\b", "a document that is not in this repository"),
    (r"\bissues? (show|list|close) \d", "the tracker of one workplace"),
    (r"(?i)\b(sub-?agent|claude|anthropic|chatgpt|copilot|language model)\b", "a tool of one workplace"),
    (r"(?i)\b(helper session|session helper|as an ai)\b", "a tool of one workplace"),
    (r"\b(TODO|FIXME|XXX|HACK)\b", "work that is not done is an issue, not a comment"),
)

EXEMPT = frozenset({"uv.lock", "tests/tidy/words.py", "tests/tidy/test_words.py"})
"""The lock names where packages come from; these two files name the words."""
LOCKED_HOSTS = frozenset({"https://pypi.org", "https://files.pythonhosted.org"})


def forbidden(path: str, text: str) -> list[str]:
    if path in EXEMPT:
        return []
    return [
        f"{path}:{number}: {why}: {found.group()}"
        for number, line in enumerate(text.splitlines(), 1)
        for pattern, why in FORBIDDEN
        for found in re.finditer(pattern, line)
    ]


def hosts(lock: str) -> set[str]:
    """Every host a lock file names."""
    return set(re.findall(r"https?://[^/\"]+", lock))


def broken_links(path: str, text: str, known: frozenset[str]) -> list[str]:
    """Relative links of a Markdown file that lead to no file or folder in `known`."""
    folder = path.rpartition("/")[0]
    found = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"src(?:set)?=\"([^\"]+)\"", text):
        place = target.partition("#")[0]
        if not place or "://" in place or place.startswith("mailto:"):
            continue
        if _resolve(folder, place) not in known:
            found.append(f"{path}: {target} leads nowhere")
    return found


def _resolve(folder: str, place: str) -> str:
    parts = folder.split("/") if folder else []
    for part in place.rstrip("/").split("/"):
        if part == "..":
            parts = parts[:-1]
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
