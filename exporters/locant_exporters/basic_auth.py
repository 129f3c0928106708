"""HTTP basic authentication against bcrypt hashes, without spending a bcrypt on every scrape."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping

import bcrypt

_REMEMBERED = 100
_LONGEST_PASSWORD_BYTES = 72
"""bcrypt's own limit; nothing longer can match a hash."""


class Users:
    """Decides whether an Authorization header names one of `hashes` (user name to bcrypt hash).

    An unknown user costs one bcrypt like a wrong password, so that time does not tell which users exist. Verdicts are
    remembered under a keyed digest: no password stays in memory. One bcrypt runs at a time: guessing takes at most one
    core, and clients whose verdict is remembered do not wait for it.
    """

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = {user: value.encode() for user, value in hashes.items()}
        self._decoy = next(iter(self._hashes.values()), b"")
        self._secret = secrets.token_bytes(32)
        self._verdicts: OrderedDict[bytes, bool] = OrderedDict()
        self._memory = threading.Lock()
        self._bcrypt = threading.Lock()

    def admits(self, header: str) -> bool:
        """Whether the header's user and password are right; everybody is admitted where there are no users."""
        if not self._hashes:
            return True
        credentials = _credentials(header)
        if credentials is None:
            return False
        key = hmac.digest(self._secret, credentials, hashlib.sha256)
        known = self._remembered(key)
        if known is None:
            with self._bcrypt:
                known = self._remembered(key)
                if known is None:
                    known = self._remember(key, self._check(credentials))
        return known

    def _check(self, credentials: bytes) -> bool:
        user, _, password = credentials.partition(b":")
        expected = self._hashes.get(user.decode("utf-8", "replace"))
        try:
            matches = bcrypt.checkpw(password[:_LONGEST_PASSWORD_BYTES], expected or self._decoy)
        except ValueError:  # the shape of a hash, but none that bcrypt could have made
            return False
        return matches and expected is not None and len(password) <= _LONGEST_PASSWORD_BYTES

    def _remembered(self, key: bytes) -> bool | None:
        with self._memory:
            return self._verdicts.get(key)

    def _remember(self, key: bytes, verdict: bool) -> bool:
        """Wrong guesses leave first: a guesser must not push the scraper's verdict out."""
        with self._memory:
            self._verdicts[key] = verdict
            self._verdicts.move_to_end(key, last=verdict)
            while len(self._verdicts) > _REMEMBERED:
                self._verdicts.popitem(last=False)
        return verdict


def _credentials(header: str) -> bytes | None:
    """`user:password` of a Basic header, or None when it is none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(), validate=True)
    except (binascii.Error, ValueError):
        return None
    return decoded if b":" in decoded else None
