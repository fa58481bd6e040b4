"""`python -m leafloop` is the command `leafloop`."""

from leafloop.cli import main

if __name__ == "__main__":
    main()
