"""Any program, or pair of programs, as a detector: a client behind the router, a server beyond it."""

from siplab.experiments.programs.config import ProgramDetector

__all__ = ["ProgramDetector"]
