"""Commands of `siplab`, one per file, registered in `siplab.experiments.commands.cli`."""
