# Reads a suite's output and prints its passed and failed counts and a reason, tab separated.
# -v status=N is its exit status. A last line `N passed, N failed` decides; without one, cmocka,
# `node --test` and busted are understood and added up. What was announced and did not pass has
# failed: skipped, cancelled, pending or never reached.

{ if ($0 != "") last = $0 }

/^\[==========\] .*[Rr]unning [0-9]+ test\(s\)/ { match($0, /unning [0-9]+/); announced += substr($0, RSTART + 7, RLENGTH - 7) }
/^\[ RUN      \] / { started++ }
/^\[       OK \] / { cmocka_passed++ }

# "# " begins TAP's summary lines, an information sign those of the spec reporter.
/^(#|\342\204\271) (pass|fail|cancelled|skipped|todo) [0-9]+$/ { node[$2] += $3 }

/^[0-9]+ success(es)? \/ [0-9]+ failures? \/ [0-9]+ errors? \/ [0-9]+ pending/ {
  busted_passed += $1
  busted_failed += $4 + $7 + $10
}

END {
  if (last ~ /^[0-9]+ passed, [0-9]+ failed$/) {
    split(last, words, " ")
    passed = words[1] + 0
    failed = words[3] + 0
  } else {
    expected = announced > started ? announced : started
    passed = cmocka_passed + node["pass"] + busted_passed
    failed = expected - cmocka_passed + node["fail"] + node["cancelled"] + node["skipped"] \
             + node["todo"] + busted_failed
  }
  if (status == 124) reason = "timed out"
  else if (status > 128) reason = "killed by signal " (status - 128)
  else if (status != 0) reason = "exit status " status
  else if (passed + failed == 0) reason = "ran nothing"
  if (failed == 0 && reason != "") failed = 1
  printf "%d\t%d\t%s\n", passed, failed, reason
}
