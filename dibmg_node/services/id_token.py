"""The ID token of OpenID Connect, believed only once signature and claims hold. The only door to joserfc.

It is imported by the first login of that kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from dibmg_node.errors import PeerRefusedError

if TYPE_CHECKING:
    from joserfc.jwk import KeySet

ALGORITHMS: Final = ("RS256", "PS256", "ES256", "ES384")
"""Asymmetric alone: neither `none`, nor a signature that the client's secret could make."""
_LEEWAY_SECONDS: Final = 60


class UnknownKeyError(PeerRefusedError):
    """The token is signed with a key that is not in the set: it may have been renewed."""


@dataclass(frozen=True)
class Expected:
    """What a token has to say.

    Attributes:
        nonce: That the login was begun with.
    """

    issuer: str
    client_id: str
    nonce: str
    now: datetime


def verified_claims(token: str, keys: Any, expected: Expected) -> Mapping[str, Any]:
    """The claims of a token. Source: OpenID Connect Core 1.0, 3.1.3.7.

    Args:
        token: In compact form.
        keys: JSON of the provider's key set (RFC 7517).
        expected: What it has to say.

    Raises:
        UnknownKeyError: The set lacks its key.
        PeerRefusedError: It is not to be believed; the message says why, and quotes nothing of it.
    """
    from joserfc import jwt
    from joserfc.errors import ClaimError, ExpiredTokenError, InvalidKeyIdError, JoseError
    from joserfc.jwt import JWTClaimsRegistry

    try:
        decoded = jwt.decode(token, _usable(keys), algorithms=ALGORITHMS)
        claims = dict(decoded.claims)
        JWTClaimsRegistry(
            now=int(expected.now.timestamp()),
            leeway=_LEEWAY_SECONDS,
            iss={"essential": True, "value": expected.issuer},
            sub={"essential": True},
            aud={"essential": True, "value": expected.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": expected.nonce},
        ).validate(claims)
    except ExpiredTokenError as error:
        raise PeerRefusedError("the provider's token has expired: do the clocks agree?") from error
    except ClaimError as error:
        raise PeerRefusedError(f"the provider's token has not the claim {error.claim!r} expected") from error
    except InvalidKeyIdError as error:
        raise UnknownKeyError("the provider's token is signed with an unknown key") from error
    # whatever else a library says of bytes that came from elsewhere, they are no token of the provider
    except (JoseError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise PeerRefusedError("the provider's token is not signed by the provider") from error
    _check_party(claims, expected.client_id)
    return claims


def _usable(keys: Any) -> KeySet:
    """The keys of a set, but those that cannot be used here: of an unknown type or curve, damaged.

    Source: RFC 7517, 5.
    """
    from joserfc.errors import JoseError
    from joserfc.jwk import KeySet

    usable = []
    for one in keys["keys"]:
        try:
            usable += KeySet.import_key_set({"keys": [one]}).keys
        except (JoseError, ValueError, TypeError, KeyError, AttributeError):
            continue
    return KeySet(usable)


def _check_party(claims: Mapping[str, Any], client_id: str) -> None:
    """A token for several was made for us only if it says so."""
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client_id) != client_id:
        raise PeerRefusedError("the provider's token has not the claim 'azp' expected")
