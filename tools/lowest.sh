#!/bin/sh
# lowest.sh: a venv in out/lowest with the lowest allowed versions of everything, and siplab used in it.
set -eu
cd "$(dirname "$0")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1
python=.venv/bin/python
[ -x $python ] || python=python3
rm -rf out/lowest
$python -m venv out/lowest
out/lowest/bin/pip install --quiet -c tools/lowest.txt .
bin=$(pwd)/out/lowest/bin
cd out/lowest
"$bin/siplab" --help >help.txt
for command in call run score detect explain models vendors; do "$bin/siplab" $command --help >>help.txt; done
"$bin/siplab" call --model semicolon-loss --scenario register --world simulated >call.txt
"$bin/siplab" run quickstart --world simulated >run.txt
"$bin/siplab" vendors show linksys >vendor.txt
"$bin/siplab" score --detector mirror --models none --models semicolon-loss --world simulated >score.txt
grep -q "400 Bad Request" call.txt
echo "lowest: all commands came to their end"
