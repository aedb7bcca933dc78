#!/bin/sh
# Every file in the folder of settings is one, named like its variable; what the environment says itself, wins.
set -eu
for file in "${BULUO_SETTINGS_FOLDER:-/run/buluo}"/BULUO_*; do
    name=${file##*/}
    if [ -f "$file" ] && ! printenv "$name" >/dev/null; then
        export "$name=$(cat "$file")"
    fi
done
exec "$@"
