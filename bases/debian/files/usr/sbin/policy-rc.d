#!/bin/sh
# A package that is installed during a build must not start its service.
exit 101
