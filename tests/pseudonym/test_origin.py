"""Origins: one spelling of each, and nothing that two programs could read differently."""

import pytest

from facemin.pseudonym import LOCAL, normalise_origin


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://Example.COM", "https://example.com"),
        ("HTTPS://example.com:443/a?b#c", "https://example.com"),
        ("https://example.com:80", "https://example.com:80"),
        ("http://example.com:80/", "http://example.com"),
        ("http://example.com:443", "http://example.com:443"),
        ("https://example.com:", "https://example.com"),
        ("https://example.com:08443", "https://example.com:8443"),
        ("https://Bücher.example", "https://xn--bcher-kva.example"),
        ("https://XN--bcher-kva.example", "https://xn--bcher-kva.example"),
        ("https://faß.example", "https://xn--fa-hia.example"),
        ("https://\uff45\uff58ample.com", "https://example.com"),
        ("https://a_b.example", "https://a_b.example"),
        ("https://192.0.2.1", "https://192.0.2.1"),
        ("http://[2001:DB8:0:0:1:0:0:1]:8080", "http://[2001:db8::1:0:0:1]:8080"),
        ("http://[2001:db8:0:1:1:1:1:1]", "http://[2001:db8:0:1:1:1:1:1]"),
        ("http://[1:0:0:2:0:0:0:3]", "http://[1:0:0:2::3]"),
        ("http://[0:0:0:0:0:0:0:0]", "http://[::]"),
        ("http://[fe80:0:0:0:0:0:0:0]", "http://[fe80::]"),
        ("http://[10:0:0:100:0:a0:0:1]", "http://[10::100:0:a0:0:1]"),
        ("http://[::ffff:192.0.2.1]", "http://[::ffff:c000:201]"),
        (LOCAL, LOCAL),
    ],
)
def test_one_spelling(url: str, origin: str) -> None:
    assert normalise_origin(url) == origin
    assert normalise_origin(origin) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com",
        "file:///etc",
        "https://",
        "https:///path",
        "https://:443",
        "https://ann@example.com",
        "https://ann:secret@example.com",
        "https://example.com.",
        "https://a..b",
        "https://-a.example",
        "https://a-.example",
        "https://exa mple.com",
        "https://exa\tmple.com",
        "https://example.com\n",
        " https://example.com",
        "https://example.com\\@evil.example",
        "https://exam%70le.com",
        "https://127.1",
        "https://0x7f.0.0.1",
        "https://a.0x7f",
        "https://0177.0.0.1",
        "https://192.0.2.256",
        "https://2130706433",
        "https://example.com:65536",
        "https://example.com:port",
        "https://[::1",
        "https://[fe80::1%25eth0]",
        "https://[v1.a]",
        "https://" + "a" * 64 + ".example",
        "https://" + ".".join(["a" * 50] * 6),
        "https://\u2024.example",
        "LOCAL",
    ],
)
def test_what_is_no_origin_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"^origin: expected"):
        normalise_origin(url)


def test_a_password_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="origin") as refusal:
        normalise_origin("https://ann:hunter2@example.com")
    assert "hunter2" not in str(refusal.value)
