"""Commands of `alglab`, one per file, registered in `experiments.cli`."""
