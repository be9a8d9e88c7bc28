"""`python -m cli` is `jetrelay`."""

from cli.main import main

if __name__ == "__main__":
    main()
