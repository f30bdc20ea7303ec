# compare.awk FIGURES COUNTED: both NAME<tab>INSTRUCTIONS; ends with 1 where one has grown by more
# than 3 %, or the two don't name the same scenarios.
BEGIN { FS = "\t"; most = 3 }

/^#/ { next }
FNR == NR { figure[$1] = $2; next }
{
  counted[$1] = 1
  if (!($1 in figure)) {
    report(0, $1, $2, "has no figure yet")
    next
  }
  change = ($2 / figure[$1] - 1) * 100
  text = sprintf("%+.2f %% of %d", change, figure[$1])
  if (change < -most) text = text ": record that it is less, so that it stays so"
  report($2 * 100 <= figure[$1] * (100 + most), $1, $2, text)
}

function report(is_fine, name, count, text) {
  printf "%-4s  %-14s %9s  %s\n", is_fine ? "ok" : "FAIL", name, count, text
  if (is_fine) passed++
  else failed++
}

END {
  for (name in figure)
    if (!(name in counted)) report(0, name, "-", "was not counted")
  if (failed > 0)
    print "A request takes more instructions than tests/bench/instructions/figures says. Where that is worth it:\n" \
          "./dev gate --accept writes the file anew; commit it with what made it grow, and say there why."
  printf "%d passed, %d failed\n", passed, failed
  exit failed > 0
}
