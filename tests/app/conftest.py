from tests.journal.conftest import journal, own_server, server, valkey

__all__ = ["journal", "own_server", "server", "valkey"]
