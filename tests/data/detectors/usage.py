"""A program that is called wrongly: it ends with exit status 2, and its usage."""

import argparse

argparse.ArgumentParser().parse_args()
