"""Iterative refinement: gradient descent on the pixels of the output."""
