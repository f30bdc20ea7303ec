# Adds up a callgrind output file's instructions by object: NAME<tab>COUNT, NAME without its folder.
# A name stands once, with its number in brackets; later the number stands alone. The line after
# calls= is what the callee used, which is counted where it is its own.
function name_of(text, number, name) {
  number = text
  sub(/^[^(]*/, "", number)
  sub(/\).*/, ")", number)
  name = text
  if (sub(/^[^)]*\) /, "", name)) names[number] = name
  return names[number]
}

/^c?ob=/ {
  name = name_of($0)
  if (/^ob=/) object = name
  next
}
/^calls=/ { getline; next }
/^[-+*0-9]/ { sum[object] += $2 }

END {
  for (object in sum) {
    base = object
    sub(/.*\//, "", base)
    printf "%s\t%d\n", base, sum[object]
  }
}
