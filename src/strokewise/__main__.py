"""Entry point of `strokewise` and `python -m strokewise` (which torchrun runs); signals are handled from here on."""

from strokewise.support import signals


def main() -> None:
    """Import the command line and run it."""
    signals.exit_on_signals(_run_app)


def _run_app() -> None:
    from strokewise.cli import app

    app.run()


if __name__ == "__main__":
    main()
