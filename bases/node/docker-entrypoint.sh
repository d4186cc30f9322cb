#!/bin/sh
# The command goes to node where it is an option, no known program, or a file that cannot be run.
set -e
if [ "${1#-}" != "$1" ] || ! command -v "$1" > /dev/null || { [ -f "$1" ] && [ ! -x "$1" ]; }; then
    set -- node "$@"
fi
exec "$@"
