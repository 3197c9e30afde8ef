"""The reference under `docs/reference/`, made from the code: `python -m cli.reference`."""
