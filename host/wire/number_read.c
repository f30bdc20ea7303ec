/* Text to number. Start reading at roost_number_read at the end: the grammar; then to_double, which
 * tries an exact product, then Eisel and Lemire's algorithm (a 128-bit product whose error is known
 * to be too small to matter), then the C library. */
#include "wire/number.h"

#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "wire/pow10.h"

/* Significant digits that a uint64_t always holds. */
#define DIGITS_EXACT 19

/* No double's text needs more significant digits to be told from its neighbours'; of the rest only
 * counts whether any is not zero. */
#define DIGITS_MAX 770

/* Larger exponents aren't told apart; far more than any text has digits to make up for. */
#define EXPONENT_MAX 100000000000000000

/* A number as it stands in the text: mantissa * 10^exponent, but for what was cut. */
typedef struct decimal {
  const char *text;  /* the first digit; a point may follow */
  uint64_t mantissa; /* the first significant digits, at most DIGITS_EXACT of them */
  unsigned digits;   /* how many those are */
  int64_t dropped;   /* how many more significant digits there are */
  int64_t exponent;  /* of ten */
  bool is_cut;       /* not all that were dropped are zero */
  bool is_negative;
  bool is_whole; /* no point and no exponent */
} decimal;

static inline bool is_digit(const char *at, const char *end) {
  return at < end && (unsigned)(*at - '0') <= 9;
}

/* ------------------------------------------------------------------- to the nearest double ---- */

static double from_bits(uint64_t bits) {
  double value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

/* mantissa * 10^exponent where both are exact doubles: one rounding, so the nearest. */
static bool by_exact_product(uint64_t mantissa, int64_t exponent, double *out) {
  static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                  1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                  1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  if (mantissa >> 53 != 0 || exponent < -22 || exponent > 22)
    return false;
  double value = (double)mantissa;
  *out = exponent < 0 ? value / powers[-exponent] : value * powers[exponent];
  return true;
}

/* Rounds a product of 128 bits, which may be too small by less than one in its last place, to 53
 * bits. False where it is too near to the middle between two doubles, or not a normal one. */
static bool round_product(uint64_t high, uint64_t low, int exponent2, double *out) {
  unsigned top = (unsigned)(high >> 63);
  uint64_t bits = high >> (top + 9); /* 54 bits: one more than a double has */
  exponent2 += (int)top;
  if (low == 0 && (high & 0x1FF) == 0 && (bits & 3) == 1)
    return false;
  bits = (bits + (bits & 1)) >> 1;
  if (bits >> 53 != 0) {
    bits >>= 1;
    exponent2++;
  }
  if (exponent2 < 1 || exponent2 > 2046)
    return false;
  *out = from_bits((uint64_t)exponent2 << 52 | (bits & 0xFFFFFFFFFFFFFu));
  return true;
}

static bool by_wide_product(uint64_t mantissa, int64_t exponent, double *out) {
  if (exponent < ROOST_POW10_FIRST || exponent > 308)
    return false;
  const roost_pow10 *power = roost_pow10_get((int)exponent);
  int zeros = __builtin_clzll(mantissa);
  mantissa <<= zeros;
  roost_uint128 product = roost_multiply(mantissa, power->high);
  uint64_t high = (uint64_t)(product >> 64);
  uint64_t low = (uint64_t)product;
  /* What the low half of the power adds matters only if it can carry into the bits that count. */
  if ((high & 0x1FF) == 0x1FF && low + mantissa < mantissa) {
    roost_uint128 rest = roost_multiply(mantissa, power->low);
    uint64_t sum = low + (uint64_t)(rest >> 64);
    if (sum < low)
      high++;
    low = sum;
    if ((high & 0x1FF) == 0x1FF && low == UINT64_MAX && (uint64_t)rest + mantissa < mantissa)
      return false;
  }
  int exponent2 = roost_pow10_log2((int)exponent) + 63 - zeros + 1023;
  return round_product(high, low, exponent2, out);
}

/* The C library's answer, which is always right. It gets the significant digits as a whole number,
 * those past DIGITS_MAX replaced by a single 1 where they aren't all zero, so that neither a
 * decimal point (the locale's) nor the length of the text matters. */
static double by_library(const decimal *number) {
  char text[DIGITS_MAX + 32];
  size_t len = 0;
  int64_t left = number->digits + number->dropped;
  for (const char *at = number->text; left > 0 && len < DIGITS_MAX; at++) {
    if (*at == '.' || (*at == '0' && len == 0))
      continue;
    text[len++] = *at;
    left--;
  }
  int64_t exponent = number->exponent - number->dropped + left;
  if (left > 0 && number->is_cut) {
    text[len++] = '1';
    exponent--;
  }
  exponent = exponent > 99999 ? 99999 : exponent < -99999 ? -99999 : exponent;
  text[len++] = 'e';
  len += roost_number_print_integer(text + len, exponent);
  text[len] = '\0';
  locale_t locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
  if (locale == (locale_t)0)
    return strtod(text, NULL);
  double value = strtod_l(text, NULL, locale);
  freelocale(locale);
  return value;
}

static double to_double(const decimal *number) {
  double value;
  if (number->mantissa == 0)
    return 0.0;
  if (!number->is_cut) {
    if (by_exact_product(number->mantissa, number->exponent, &value) ||
        by_wide_product(number->mantissa, number->exponent, &value))
      return value;
    return by_library(number);
  }
  double above;
  if (by_wide_product(number->mantissa, number->exponent, &value) &&
      by_wide_product(number->mantissa + 1, number->exponent, &above) && value == above)
    return value;
  return by_library(number);
}

/* ------------------------------------------------------------------- the grammar -------------- */

/* Adds the digits at `at` to the number; returns the byte after them. */
static inline const char *take_digits(decimal *number, const char *at, const char *end) {
  uint64_t mantissa = number->mantissa;
  unsigned digits = number->digits;
  if (digits == 0) {
    while (at < end && *at == '0')
      at++;
  }
  for (; digits < DIGITS_EXACT && is_digit(at, end); at++, digits++)
    mantissa = mantissa * 10 + (unsigned)(*at - '0');
  number->mantissa = mantissa;
  number->digits = digits;
  for (; is_digit(at, end); at++) {
    number->dropped++;
    number->is_cut = number->is_cut || *at != '0';
  }
  return at;
}

/* Reads what follows an e; NULL where it isn't an exponent. */
static const char *take_exponent(decimal *number, const char *at, const char *end) {
  bool is_negative = at < end && *at == '-';
  if (at < end && (*at == '-' || *at == '+'))
    at++;
  if (!is_digit(at, end))
    return NULL;
  int64_t exponent = 0;
  for (; is_digit(at, end); at++) {
    if (exponent < EXPONENT_MAX / 10)
      exponent = exponent * 10 + (*at - '0');
  }
  number->exponent += is_negative ? -exponent : exponent;
  return at;
}

/* Reads the whole number; NULL where it isn't one. */
static const char *take_number(decimal *number, const char *at, const char *end) {
  number->is_negative = at < end && *at == '-';
  if (number->is_negative)
    at++;
  if (!is_digit(at, end))
    return NULL;
  number->text = at;
  at = *at == '0' ? at + 1 : take_digits(number, at, end);
  if (is_digit(at, end))
    return NULL;
  number->is_whole = true;
  if (at < end && *at == '.') {
    const char *fraction = at + 1;
    if (!is_digit(fraction, end))
      return NULL;
    at = take_digits(number, fraction, end);
    number->exponent -= at - fraction;
    number->is_whole = false;
  }
  if (at < end && (*at == 'e' || *at == 'E')) {
    at = take_exponent(number, at + 1, end);
    number->is_whole = false;
  }
  number->exponent += number->dropped;
  return at;
}

/* The number as int64 where it is written as one and fits. -0 is left to be a double. */
static bool to_integer(const decimal *number, int64_t *out) {
  if (!number->is_whole || number->dropped > 0)
    return false;
  if (!number->is_negative) {
    *out = (int64_t)number->mantissa;
    return number->mantissa <= INT64_MAX;
  }
  *out = (int64_t)(0 - number->mantissa);
  return number->mantissa > 0 && number->mantissa <= (uint64_t)INT64_MAX + 1;
}

const char *roost_number_read(roost_number *out, const char *at, const char *end) {
  decimal number = {0};
  at = take_number(&number, at, end);
  if (at == NULL)
    return NULL;
  out->is_integer = to_integer(&number, &out->integer);
  if (!out->is_integer) {
    double value = to_double(&number);
    out->number = number.is_negative ? -value : value;
  }
  return at;
}
