"""What the commands `strokewise` and `python -m strokewise` start, which torchrun does: Ctrl-C counts from here on."""

from strokewise.support import signals


def main() -> None:
    """Load the command line and run it."""
    signals.exit_on_sigint(_run_app)


def _run_app() -> None:
    from strokewise.cli import app

    app.run()


if __name__ == "__main__":
    main()
