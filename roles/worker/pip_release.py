"""The pip that workers get whose flows may install packages: one release for all Pythons since 3.9, pinned by hash."""

from __future__ import annotations

import hashlib

VERSION = "25.3"
LOCK = f"""\
pip=={VERSION} \\
    --hash=sha256:9655943313a94722b7774661c21049070f6bbb0a1516bf02f7c8d5d9201514cd
"""
LOCK_SHA256 = hashlib.sha256(LOCK.encode()).hexdigest()
