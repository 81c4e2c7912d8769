#!/bin/sh
# lowest.sh [FOLDER]: a venv in FOLDER (out/lowest) with the lowest allowed versions of everything, and siplab
# used in it.
set -eu
cd "$(dirname "$0")/.."
export PIP_DISABLE_PIP_VERSION_CHECK=1
python=.venv/bin/python
[ -x $python ] || python=python3
folder=${1:-out/lowest}
rm -rf "$folder"
$python -m venv "$folder"
"$folder/bin/pip" install --quiet -c tools/lowest.txt .
cd "$folder"
bin=$(pwd)/bin
"$bin/siplab" --help >help.txt
for command in call run score detect explain models vendors; do "$bin/siplab" $command --help >>help.txt; done
"$bin/siplab" call --model semicolon-loss --scenario register --phone plain --server rport-aware \
  --world simulated >call.txt
"$bin/siplab" run quickstart --world simulated >run.txt
"$bin/siplab" vendors show linksys >vendor.txt
"$bin/siplab" score --detector mirror --models none --models semicolon-loss --world simulated >score.txt
grep -q "400 Bad Request" call.txt || { echo "lowest: the call does not fail as it should" >&2; exit 1; }
echo "lowest: all commands came to their end"
