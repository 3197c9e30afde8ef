"""The `heapline` command as a module, for processes that are measured."""

from __future__ import annotations

from cli.main import main

if __name__ == "__main__":
    main()
