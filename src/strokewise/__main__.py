"""What the commands `strokewise` and `python -m strokewise` start, which torchrun does: Ctrl-C counts from here on."""

from strokewise import interrupts


def main() -> None:
    """Load the command line and run it."""
    interrupts.heeded(_open)


def _open() -> None:
    from strokewise import cli

    cli.run()


if __name__ == "__main__":
    main()
