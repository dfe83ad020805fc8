"""Painting in one pass: from a file of weights, and pictures of any size, to the output."""
