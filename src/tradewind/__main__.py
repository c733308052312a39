"""`python -m tradewind` is the command `tradewind`."""

from tradewind.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main()
