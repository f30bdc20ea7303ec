#include "cli/histogram.h"

#include <stddef.h>
#include <string.h>

#define PART_BITS 7

void roost_histogram_init(roost_histogram *histogram) {
  memset(histogram, 0, sizeof *histogram);
  histogram->min = UINT64_MAX;
}

/* A value of 2^p and its lowest bits beyond the first eight gone: 128 to 255, p - 7 times 128 up.
 */
static size_t bucket_of(uint64_t value) {
  if (value < ROOST_HISTOGRAM_PARTS)
    return value;
  const unsigned shift = 63u - PART_BITS - (unsigned)__builtin_clzll(value);
  return (size_t)shift * ROOST_HISTOGRAM_PARTS + (value >> shift);
}

/* The largest value of a bucket. */
static uint64_t highest_of(size_t bucket) {
  if (bucket < 2 * (size_t)ROOST_HISTOGRAM_PARTS)
    return bucket;
  const size_t shift = bucket / ROOST_HISTOGRAM_PARTS - 1;
  const uint64_t part = bucket - shift * ROOST_HISTOGRAM_PARTS;
  return (part << shift) + (((uint64_t)1 << shift) - 1);
}

void roost_histogram_record(roost_histogram *histogram, uint64_t value) {
  histogram->count++;
  histogram->sum += (double)value;
  if (value < histogram->min)
    histogram->min = value;
  if (value > histogram->max)
    histogram->max = value;
  histogram->buckets[bucket_of(value)]++;
}

uint64_t roost_histogram_quantile(const roost_histogram *histogram, double share) {
  const double wanted = share * (double)histogram->count - 1e-6; /* 0.07 * 100 is above 7 */
  uint64_t seen = 0;
  if (histogram->count == 0)
    return 0;
  for (size_t i = 0; i < ROOST_HISTOGRAM_BUCKETS; i++) {
    seen += histogram->buckets[i];
    if (seen > 0 && (double)seen >= wanted) {
      const uint64_t highest = highest_of(i);
      return highest < histogram->max ? highest : histogram->max;
    }
  }
  return histogram->max;
}
