"""Bytes on disk: reading and writing picture files, writing anything whole or not at all, hashes."""
