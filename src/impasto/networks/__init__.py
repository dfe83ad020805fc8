"""Networks that paint in one pass, and the critic that looks at what they paint."""
