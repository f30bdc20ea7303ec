/* Number to text. Start reading at roost_number_print_double at the end. The shortest digits come
 * from Giulietti's Schubfach: of the decimals with as few digits as possible that lie in the
 * interval of reals that round to the double, the one nearest to it. */
#include "wire/number.h"

#include <string.h>

#include "wire/pow10.h"

#define FRACTION_BITS 52
#define HIDDEN_BIT    ((uint64_t)1 << FRACTION_BITS)

/* digits * 10^exponent. */
typedef struct shortest {
  uint64_t digits;
  int exponent;
} shortest;

/* ------------------------------------------------------------------- whole numbers ------------ */

static const char digit_pairs[] = "0001020304050607080910111213141516171819"
                                  "2021222324252627282930313233343536373839"
                                  "4041424344454647484950515253545556575859"
                                  "6061626364656667686970717273747576777879"
                                  "8081828384858687888990919293949596979899";

static size_t count_digits(uint64_t value) {
  static const uint64_t powers[] = {0,
                                    10,
                                    100,
                                    1000,
                                    10000,
                                    100000,
                                    1000000,
                                    10000000,
                                    100000000,
                                    1000000000,
                                    10000000000,
                                    100000000000,
                                    1000000000000,
                                    10000000000000,
                                    100000000000000,
                                    1000000000000000,
                                    10000000000000000,
                                    100000000000000000,
                                    1000000000000000000,
                                    10000000000000000000u};
  /* 1233 / 4096 is a little more than log10(2): the guess is right or one too large. */
  size_t guess = (64u - (size_t)__builtin_clzll(value | 1)) * 1233 >> 12;
  return guess + (value >= powers[guess]);
}

static size_t print_unsigned(char *out, uint64_t value) {
  size_t len = count_digits(value);
  char *at = out + len;
  while (value >= 100) {
    at -= 2;
    memcpy(at, digit_pairs + value % 100 * 2, 2);
    value /= 100;
  }
  if (value >= 10)
    memcpy(out, digit_pairs + value * 2, 2);
  else
    *out = (char)('0' + value);
  return len;
}

size_t roost_number_print_integer(char *out, int64_t value) {
  if (value >= 0)
    return print_unsigned(out, (uint64_t)value);
  out[0] = '-';
  return 1 + print_unsigned(out + 1, 0 - (uint64_t)value);
}

/* ------------------------------------------------------------------- shortest digits ---------- */

/* The product's part above 2^128, its last bit set where anything lies below: enough to compare it
 * with whole numbers. power is too large by at most one in its last place, hence "above 1". */
static uint64_t multiply_to_odd(const roost_pow10 *power, uint64_t value) {
  roost_uint128 low = roost_multiply(power->low, value);
  roost_uint128 product = roost_multiply(power->high, value) + (uint64_t)(low >> 64);
  return (uint64_t)(product >> 64) | ((uint64_t)product > 1 ? 1 : 0);
}

/* The shortest decimal for significand * 2^exponent2, which is not zero. */
static shortest find_shortest(uint64_t significand, int exponent2, bool is_lower_nearer) {
  /* 10^k is the largest power of ten not wider than the rounding interval. */
  int k = (int)(((int64_t)exponent2 * 1262611 - (is_lower_nearer ? 524031 : 0)) >> 22);
  int shift = exponent2 + roost_pow10_log2(-k) + 1;
  roost_pow10 power = *roost_pow10_get(-k);
  power.high += ++power.low == 0;
  uint64_t is_odd = significand & 1;
  /* The interval's middle and ends, in units of 10^k / 4; ends belong to it for even ones only. */
  uint64_t middle = multiply_to_odd(&power, 4 * significand << shift);
  uint64_t lower =
      multiply_to_odd(&power, (4 * significand - 2 + (is_lower_nearer ? 1 : 0)) << shift) + is_odd;
  uint64_t upper = multiply_to_odd(&power, (4 * significand + 2) << shift) - is_odd;
  uint64_t below = middle / 4;
  uint64_t tens = below / 10;
  bool tens_in = lower <= 40 * tens;
  bool next_tens_in = 40 * tens + 40 <= upper;
  if (below >= 10 && tens_in != next_tens_in)
    return (shortest){tens + (next_tens_in ? 1 : 0), k + 1};
  bool below_in = lower <= 4 * below;
  bool above_in = 4 * below + 4 <= upper;
  if (below_in != above_in)
    return (shortest){below + (above_in ? 1 : 0), k};
  uint64_t half = 4 * below + 2;
  bool is_up = middle > half || (middle == half && (below & 1) != 0);
  return (shortest){below + (is_up ? 1 : 0), k};
}

/* Prices and measures: where a decimal of at most 15 digits reads back as the double, there is no
 * other such one, so it is the shortest. The quotient of two exact doubles is rounded as a text is.
 */
static bool find_thousandths(double value, shortest *found) {
  double scaled = value * 1000;
  if (scaled >= 1e15)
    return false;
  uint64_t count = (uint64_t)(scaled + 0.5);
  double off = scaled - (double)count;
  if (off > scaled * 1e-15 || off < scaled * -1e-15) /* nearly always, where the division fails */
    return false;
  *found = (shortest){count, -3};
  return (double)count / 1000 == value;
}

static shortest shortest_of_bits(uint64_t bits) {
  uint64_t fraction = bits & (HIDDEN_BIT - 1);
  int biased = (int)(bits >> FRACTION_BITS & 0x7FF);
  shortest found;
  double value;
  bits &= INT64_MAX; /* without the sign */
  memcpy(&value, &bits, sizeof value);
  if (!find_thousandths(value, &found))
    found = biased == 0
                ? find_shortest(fraction, -1074, false)
                : find_shortest(fraction | HIDDEN_BIT, biased - 1075, fraction == 0 && biased > 1);
  while (found.digits % 10 == 0) {
    found.digits /= 10;
    found.exponent++;
  }
  return found;
}

/* ------------------------------------------------------------------- JavaScript's form -------- */

static size_t put_zeros(char *out, int count) {
  memset(out, '0', (size_t)count);
  return (size_t)count;
}

/* Lays out count digits whose point stands after the first `point` of them. */
static size_t put_form(char *out, const char *digits, int count, int point) {
  size_t len = 0;
  if (point > 21 || point < -5) {
    out[len++] = digits[0];
    if (count > 1) {
      out[len++] = '.';
      memcpy(out + len, digits + 1, (size_t)count - 1);
      len += (size_t)count - 1;
    }
    out[len++] = 'e';
    if (point > 0)
      out[len++] = '+';
    return len + roost_number_print_integer(out + len, point - 1);
  }
  if (point <= 0) {
    out[len++] = '0';
    out[len++] = '.';
    len += put_zeros(out + len, -point);
    memcpy(out + len, digits, (size_t)count);
    return len + (size_t)count;
  }
  int whole = count < point ? count : point;
  memcpy(out, digits, (size_t)whole);
  len = (size_t)whole;
  if (count <= point)
    return len + put_zeros(out + len, point - count);
  out[len++] = '.';
  memcpy(out + len, digits + whole, (size_t)(count - whole));
  return len + (size_t)(count - whole);
}

size_t roost_number_print_double(char *out, double value) {
  if (value > -9007199254740992.0 && value < 9007199254740992.0) {
    int64_t whole = (int64_t)value;
    if ((double)whole == value)
      return roost_number_print_integer(out, whole);
  }
  uint64_t bits;
  memcpy(&bits, &value, sizeof bits);
  size_t sign = (size_t)(bits >> 63);
  if (sign > 0)
    *out++ = '-';
  shortest found = shortest_of_bits(bits);
  char digits[20];
  int count = (int)print_unsigned(digits, found.digits);
  return sign + put_form(out, digits, count, count + found.exponent);
}
