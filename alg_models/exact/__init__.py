"""ALGs that can be read in source or vendors' documentation, whole: one per file, found by the catalogue."""
