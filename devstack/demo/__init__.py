"""The demo: made-up events through the real path, and books that must balance."""
