"""A treatment file as somebody with a database tool would leave it."""

from __future__ import annotations

import sqlite3
from pathlib import Path


def tampered(path: Path, *statements: str) -> Path:
    """Change the file, triggers put back afterwards."""
    connection = sqlite3.connect(path, isolation_level=None)
    triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for name, _ in triggers:
        connection.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        assert connection.execute(statement).rowcount != 0
    for _, sql in triggers:
        connection.execute(sql)
    connection.close()
    return path
