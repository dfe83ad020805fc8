"""Bytes on disk: what ``impasto.images`` needs to read and write picture files."""
