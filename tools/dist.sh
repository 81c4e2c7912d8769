#!/bin/sh
# dist.sh: wheel, sdist and SBOM in dist/, checked. Its tools live in out/dist-tools, not in .venv.
# out/licences.md: the licence of everything that pip installs beside siplab.
set -eu
cd "$(dirname "$0")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1
say() { printf 'dist: %s\n' "$*"; }

python=.venv/bin/python
[ -x $python ] || python=python3
tools=out/dist-tools
if [ ! -x $tools/bin/twine ]; then
    say "installing build, twine, check-wheel-contents, cyclonedx-bom and pip-licenses into $tools"
    $python -m venv $tools
    $tools/bin/pip install --quiet "build>=1.2" "check-wheel-contents>=0.6" "cyclonedx-bom>=5" "pip-licenses>=5" "twine>=6"
fi
rm -rf dist out/dist-env
$tools/bin/pyproject-build --outdir dist . >/dev/null
$tools/bin/twine check --strict dist/*
$tools/bin/check-wheel-contents dist/*.whl

say "installing the wheel with its dependencies, and nothing else, to list them"
$python -m venv out/dist-env
out/dist-env/bin/pip install --quiet dist/*.whl
out/dist-env/bin/pip uninstall --quiet --yes setuptools pip
$tools/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --of JSON --validate \
    -o dist/siplab.cdx.json out/dist-env/bin/python
$tools/bin/pip-licenses --python out/dist-env/bin/python --format markdown --order license >out/licences.md
say "dist/ has:"
ls -1 dist
