#!/bin/sh
# Serve a configuration, or hand a command or an option to the registry; else run a program.
case "$1" in
    *.yml | *.yaml) exec registry serve "$@" ;;
    -* | help | serve | garbage-collect) exec registry "$@" ;;
    *) exec "$@" ;;
esac
