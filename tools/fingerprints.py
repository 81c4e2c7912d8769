"""Write the fingerprints of all models; the detector ``combined`` uses them to name likely faults.

python -m tools.fingerprints           write experiments/detectors/fingerprints.json
python -m tools.fingerprints --check   how often the right model is named, on other networks and seeds
"""

from __future__ import annotations

import json
import sys

from siplab import topologies
from siplab.experiments.detectors import model_fingerprints as prints
from siplab.experiments.detectors.combined import Combined
from siplab.experiments.trial import run as trial
from siplab.experiments.trial.spec import TrialSpec
from siplab.experiments.trial.stage import Setup, Stage
from siplab.lab.probing.probe_plan import Observations
from siplab.lab.worlds.simulated import SimulatedWorld

_NETWORKS = ("home", "nat-symmetric", "double-nat")


def observe(topology: str, spec: str, seed: int) -> Observations:
    """The observations of one conversation, with the model in every gateway where a trial would put it."""
    net = trial.network(topology)
    setup = trial.setup_of(TrialSpec(topology, spec, detector="combined"), net)
    known = trial.models()
    world = SimulatedWorld(net, {name: known.get(each) for name, each in setup.models.items()}, seed)
    seen = Combined().observe(Stage(world, Setup(models=setup.models), seed))
    world.close()
    return seen


def made() -> dict[str, frozenset[str]]:
    """The fingerprint of each model that can be run, in the home network."""
    rows = {model.id: prints.fingerprint(observe("home", model.id, 1)) for model in trial.models().runnable()}
    return {spec: row for spec, row in sorted(rows.items()) if row}


def check() -> None:
    for topology in (each for each in _NETWORKS if each in topologies.available()):
        first = named = count = 0
        for model in trial.models().runnable():
            found = prints.likely(observe(topology, model.id, 7))
            if found:
                count += 1
                first += found[0] == model.id
                named += model.id in found
        print(f"{topology}: {count} models noticed, {first} named first, {named} among those named")


def main() -> None:
    if sys.argv[1:] == ["--check"]:
        check()
        return
    rows = made()
    prints.FILE.write_text(json.dumps(prints.folded(rows), indent=0) + "\n")
    print(f"{prints.FILE.name}: {len(rows)} models, {prints.FILE.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
