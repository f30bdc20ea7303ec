# Draws cost.svg from loads.tsv, sum_1.tsv and sum_16.tsv of this folder; `what` says when and where.
set terminal svg size 1200,860 font 'sans-serif,12' background rgb 'white'
set output 'cost.svg'
set datafile separator tab
set datafile missing '-'
set datafile columnheaders
set logscale y
set grid ytics
set ylabel 'us of server CPU per request'
colours = '#9e9e9e #e39c37 #c0504d #1f6fb4 #7fb3dd'
colour(i) = word(colours, i)
set multiplot title "CPU per request (".what.")"

set size 1,0.5
set origin 0,0.46
set key outside top center horizontal
set style data histograms
set style histogram clustered gap 2
set style fill solid 0.9 noborder
set boxwidth 1
set xtics noenhanced scale 0 font ',10'
set xrange [-0.6:*]
label(request, connections, each) = sprintf("%s\n%s x %s", request, connections, each)
plot for [i=4:8] 'loads.tsv' using i:xtic(label(strcol(1), strcol(2), strcol(3))) \
  linecolor rgb colour(i - 3) title columnheader(i)

unset key
set style data linespoints
set xrange [*:*]
set logscale x
set xtics font ',12' (1, 10, 100, 1000)
set xlabel 'connections'
set size 0.5,0.46
do for [n = 1:16:15] {
  set origin (n == 1 ? 0 : 0.5),0
  set title sprintf('sum, %d in flight on each connection', n)
  plot for [i=4:8] sprintf('sum_%d.tsv', n) using 2:i linecolor rgb colour(i - 3) linewidth 2 pointtype 7
}
unset multiplot
