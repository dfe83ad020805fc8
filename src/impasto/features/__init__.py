"""What a CNN sees: extractors and their weights."""
