"""Signatures of ID tokens: what must not pass for one of the provider."""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from dibmg_node.errors import PeerRefusedError
from dibmg_node.services.id_token import Expected, UnknownKeyError, verified_claims
from tests.factories import START

KEY = RSAKey.generate_key(2048, {"kid": "1"})
EXPECTED = Expected("https://login.example", "dibmg", "n", START)
AT = int(START.timestamp())
CLAIMS = {
    "iss": "https://login.example",
    "aud": "dibmg",
    "sub": "4711",
    "nonce": "n",
    "iat": AT,
    "exp": AT + 300,
}


def keys(key: Any = KEY) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False)]}


def part(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()


def by_hand(algorithm: str, secret: bytes = b"") -> str:
    """A token as an attacker makes it."""
    head = part(json.dumps({"alg": algorithm, "kid": "1"}).encode())
    signed = f"{head}.{part(json.dumps(CLAIMS).encode())}"
    mac = hmac.new(secret, signed.encode(), sha256).digest() if secret else b""
    return f"{signed}.{part(mac)}"


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(KEY, "RS256"), (KEY, "PS256"), (ECKey.generate_key("P-256", {"kid": "1"}), "ES256")],
)
def test_a_signed_token_is_believed(key: Any, algorithm: str) -> None:
    token = jwt.encode({"alg": algorithm, "kid": "1"}, CLAIMS, key, algorithms=[algorithm])

    assert verified_claims(token, keys(key), EXPECTED) == CLAIMS


@pytest.mark.parametrize(
    "token",
    [
        by_hand("none"),
        by_hand("None"),
        by_hand("HS256", KEY.as_pem(private=False)),
        by_hand("HS256", b"the client's secret"),
        by_hand("RS256"),
        "",
        "a.b.c",
        "....",
        "\udcff.b.c",
    ],
    ids=["none", "None", "public key", "secret", "no signature", "empty", "letters", "dots", "surrogate"],
)
def test_what_the_provider_has_not_signed_is_not_believed(token: str) -> None:
    with pytest.raises(PeerRefusedError, match="not signed by the provider"):
        verified_claims(token, keys(), EXPECTED)


def test_a_changed_token_is_not_believed() -> None:
    head, claims, signature = jwt.encode({"alg": "RS256", "kid": "1"}, CLAIMS, KEY).split(".")
    claims = part(json.dumps({**CLAIMS, "sub": "other"}).encode())

    with pytest.raises(PeerRefusedError, match="not signed by the provider"):
        verified_claims(f"{head}.{claims}.{signature}", keys(), EXPECTED)


@pytest.mark.parametrize("held", [{}, {"keys": "x"}, {"keys": [{"kty": "odd"}]}, {"keys": []}, {"keys": [1]}])
def test_a_set_of_keys_that_is_none_lets_nobody_in(held: dict[str, Any]) -> None:
    token = jwt.encode({"alg": "RS256", "kid": "1"}, CLAIMS, KEY)

    with pytest.raises(PeerRefusedError):
        verified_claims(token, held, EXPECTED)


@pytest.mark.parametrize(
    "odd", [{"kty": "AKP", "alg": "ML-DSA-44", "kid": "2", "pub": "AAAA"}, {"kty": "EC", "crv": "BP-256"}, 1]
)
def test_a_key_that_cannot_be_used_here_is_passed_over(odd: Any) -> None:
    token = jwt.encode({"alg": "RS256", "kid": "1"}, CLAIMS, KEY)

    assert verified_claims(token, {"keys": [odd, *keys()["keys"]]}, EXPECTED) == CLAIMS


def test_a_key_that_is_not_in_the_set_is_told_apart() -> None:
    token = jwt.encode({"alg": "RS256", "kid": "2"}, CLAIMS, RSAKey.generate_key(2048, {"kid": "2"}))

    with pytest.raises(UnknownKeyError):
        verified_claims(token, keys(), EXPECTED)
