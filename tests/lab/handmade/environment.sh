#!/bin/sh
# environment.sh USER PLACE: an environment with Prefect at PLACE, with USER's own programs, as a venv or uv make it.
# The packages themselves are those of encamp's environment, by a link: copying them takes longer than all else.
set -eu
user=$1 place=$2
id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/bash "$user"
source=$(ls -d /opt/prefect/envs/*)
mkdir -p "$place"
cp -a "$source/bin" "$source/pyvenv.cfg" "$place"
ln -s "$source/lib" "$place/lib"
grep -rlI "$source" "$place/bin" | xargs sed -i "s|$source|$place|g"
chown -hR "$user:" "/home/$user"
