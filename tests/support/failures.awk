# Reads a suite's output and prints what says why it failed: each failed test of `node --test` with
# its report, each of cmocka with what it said, and which files were run again. Nothing, where none
# of these is found: then the end of the output says most.

{ sub(/^first \| /, "") }

/^\[ RUN      \] / { held = "" }
{ held = held $0 "\n" }
/^\[  FAILED  \] / && held ~ /^\[ RUN / { printf "%s", held; held = "" }

/^UNSTEADY / { print }

/^ *not ok / { reporting = 1 }
reporting { print }
/^ *\.\.\.$/ { reporting = 0 }
