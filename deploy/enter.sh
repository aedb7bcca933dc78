#!/bin/sh
# Every file in /run/buluo is a setting, named like its variable; what the environment says itself, wins.
set -eu
for file in /run/buluo/BULUO_*; do
    name=${file##*/}
    if [ -f "$file" ] && ! printenv "$name" >/dev/null; then
        export "$name=$(cat "$file")"
    fi
done
exec "$@"
