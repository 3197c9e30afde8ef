"""Segment sync: Heap's pages to memberships, exactly once."""
