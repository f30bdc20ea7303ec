/*
 * cli/histogram.h - how often each value was seen, to within 1/128 of it, in a fixed amount of
 * memory.
 *
 * Values below 128 have a bucket each; every power of two from there on is cut into 128 equal ones.
 * The struct is the caller's and owns nothing. One thread.
 */
#ifndef ROOST_CLI_HISTOGRAM_H
#define ROOST_CLI_HISTOGRAM_H

#include <stdint.h>

#define ROOST_HISTOGRAM_PARTS   128 /* buckets per power of two */
#define ROOST_HISTOGRAM_BUCKETS (ROOST_HISTOGRAM_PARTS * 58)

typedef struct roost_histogram {
  uint64_t count;
  uint64_t min; /* UINT64_MAX while there is none */
  uint64_t max;
  double sum;
  uint64_t buckets[ROOST_HISTOGRAM_BUCKETS];
} roost_histogram;

void roost_histogram_init(roost_histogram *histogram);

void roost_histogram_record(roost_histogram *histogram, uint64_t value);

/* The value that this share (0 to 1) of those recorded do not exceed; 0 where there is none. */
uint64_t roost_histogram_quantile(const roost_histogram *histogram, double share);

#endif
