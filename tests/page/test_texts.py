"""The page's words: one for every refusal that a page can get from the service."""

import re

from tests.conftest import REPOSITORY

SERVICE = REPOSITORY / "facemin" / "service"
CODES = re.compile(
    r'ServiceError\(\s*\d+,\s*f?"([\w{}]+)"|code="(\w+)"|conflict\(\s*"(\w+)"|not_found\("(\w+)"|: \("(session_\w+)",'
)
NEVER_IN_A_PAGE = {
    "requests that the page does not make": {
        *("bad_request", "invalid_request", "unsupported_encoding", "challenge_required", "mixed_pseudonyms"),
        *("not_an_upgrade", "key_reused"),
        *("not_unit_length", "pseudonym_required", "no_face", "too_many_uploads", "far_not_calibrated", "far_too_lax"),
    },
    "endpoints that no session reaches": {
        *("collection_exists", "key_not_found", "token_not_found", "session_not_found", "session_too_long"),
        *("too_many_sessions", "protector_not_found"),
    },
    "long-lived tokens alone": {"token_needs_argon2"},
}


def refusals() -> set[str]:
    """Codes of the service's refusals, as its source has them."""
    found = set()
    for file in SERVICE.rglob("*.py"):
        for match in CODES.finditer(file.read_text(encoding="utf-8")):
            code = next(filter(None, match.groups()))
            found.add(f"{code}_not_found" if match[4] else code)
    named = {code for code in found if "{" not in code}
    return named | {"key_ended", "key_revoked"}


def test_every_refusal_that_a_page_can_get_has_words() -> None:
    texts = (REPOSITORY / "web" / "page" / "texts.ts").read_text(encoding="utf-8")
    worded = set(re.findall(r"^    (\w+):", texts.partition("provider_refusals")[2], re.MULTILINE))
    codes = refusals()
    assert {"session_deleted", "person_not_found", "replayed_upload", "token_in_page"} <= codes
    assert worded <= codes
    assert codes - worded == set().union(*NEVER_IN_A_PAGE.values())
