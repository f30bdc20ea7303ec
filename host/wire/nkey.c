#include "wire/nkey.h"

#include "core/slice.h"

/* What a key begins with: five bits say of which kind it is, so that they are its first letter. */
#define PREFIX_SEED (18 << 3) /* S */

/* Of a seed: two bytes with both prefixes, the seed, the checksum. */
#define SEED_RAW   (2 + ROOST_NKEY_BYTES + 2)
#define PUBLIC_RAW (1 + ROOST_NKEY_BYTES + 2)
#define SEED_TEXT  58

static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/* CRC-16 as XMODEM has it. */
static uint16_t checksum(const uint8_t *bytes, size_t len) {
  unsigned crc = 0;
  for (size_t i = 0; i < len; i++) {
    crc ^= (unsigned)bytes[i] << 8;
    for (unsigned bit = 0; bit < 8; bit++)
      crc = (crc & 0x8000) != 0 ? (crc << 1 ^ 0x1021) & 0xffff : crc << 1;
  }
  return (uint16_t)crc;
}

/* Reads exactly len bytes. False: a letter that is none, or text of another length. */
static bool read_base32(uint8_t *bytes, size_t len, roost_slice text) {
  unsigned held = 0;
  unsigned bits = 0;
  size_t count = 0;
  if (text.len != (len * 8 + 4) / 5)
    return false;
  for (size_t i = 0; i < text.len; i++) {
    const char *letter = text.ptr[i] != '\0' ? strchr(letters, text.ptr[i]) : NULL;
    if (letter == NULL)
      return false;
    held = (held << 5 | (unsigned)(letter - letters)) & 0xfff;
    bits += 5;
    if (bits >= 8) {
      bits -= 8;
      bytes[count++] = (uint8_t)(held >> bits);
    }
  }
  return count == len && (held & ((1u << bits) - 1)) == 0;
}

static void write_base32(char *text, const uint8_t *bytes, size_t len) {
  unsigned held = 0;
  unsigned bits = 0;
  for (size_t i = 0; i < len; i++) {
    held = (held << 8 | bytes[i]) & 0xfff;
    bits += 8;
    for (; bits >= 5; bits -= 5)
      *text++ = letters[held >> (bits - 5) & 31];
  }
  if (bits > 0)
    *text = letters[held << (5 - bits) & 31];
}

static void wipe(void *bytes, size_t len) {
  volatile uint8_t *at = bytes;
  while (len-- > 0)
    *at++ = 0;
}

int roost_nkey_seed_read(roost_nkey_seed *seed, roost_slice text) {
  uint8_t raw[SEED_RAW];
  bool is_good = read_base32(raw, sizeof raw, text);
  if (is_good) {
    const size_t len = sizeof raw - 2;
    const uint16_t sum = checksum(raw, len);
    is_good =
        raw[len] == (sum & 0xff) && raw[len + 1] == sum >> 8 && (raw[0] & 0xf8) == PREFIX_SEED;
    seed->prefix = (uint8_t)((raw[0] & 7) << 5 | raw[1] >> 3);
    memcpy(seed->bytes, raw + 2, sizeof seed->bytes);
  }
  wipe(raw, sizeof raw);
  return is_good ? 0 : ROOST_EINVAL;
}

void roost_nkey_public(char text[ROOST_NKEY_PUBLIC_TEXT], uint8_t prefix,
                       const uint8_t key[ROOST_NKEY_BYTES]) {
  uint8_t raw[PUBLIC_RAW];
  raw[0] = prefix;
  memcpy(raw + 1, key, ROOST_NKEY_BYTES);
  const uint16_t sum = checksum(raw, sizeof raw - 2);
  raw[sizeof raw - 2] = (uint8_t)(sum & 0xff);
  raw[sizeof raw - 1] = (uint8_t)(sum >> 8);
  write_base32(text, raw, sizeof raw);
}

int roost_base64url(roost_buffer *out, roost_slice bytes) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  if (roost_buffer_reserve(out, (bytes.len * 4 + 2) / 3) != 0)
    return ROOST_ENOMEM;
  unsigned held = 0;
  unsigned bits = 0;
  for (size_t i = 0; i < bytes.len; i++) {
    held = (held << 8 | (uint8_t)bytes.ptr[i]) & 0x3fff;
    bits += 8;
    for (; bits >= 6; bits -= 6)
      out->ptr[out->len++] = digits[held >> (bits - 6) & 63];
  }
  if (bits > 0)
    out->ptr[out->len++] = digits[held << (6 - bits) & 63];
  return 0;
}

/* --------------------------------------------------------------------- creds ----------------- */

/* The next line, without blanks at its ends. */
static roost_slice next_line(roost_slice *text) {
  const char *newline = memchr(text->ptr, '\n', text->len);
  roost_slice line = {text->ptr, newline != NULL ? (size_t)(newline - text->ptr) : text->len};
  const size_t taken = line.len + (newline != NULL ? 1 : 0);
  text->ptr += taken;
  text->len -= taken;
  while (line.len > 0 && (unsigned char)line.ptr[line.len - 1] <= ' ')
    line.len--;
  while (line.len > 0 && (unsigned char)*line.ptr <= ' ') {
    line.ptr++;
    line.len--;
  }
  return line;
}

static bool is_seed(roost_slice line) {
  return line.len == SEED_TEXT && line.ptr[0] == 'S';
}

/* A token has three parts with dots between, and begins as "{" does in base64. */
static bool is_token(roost_slice line) {
  size_t dots = 0;
  for (size_t i = 0; i < line.len; i++)
    dots += line.ptr[i] == '.';
  return dots == 2 && line.len > 2 && line.ptr[0] == 'e' && line.ptr[1] == 'y';
}

int roost_nats_creds_read(roost_nats_creds *creds, roost_slice text) {
  *creds = (roost_nats_creds){.jwt = {NULL, 0}, .seed = {NULL, 0}};
  while (text.len > 0) {
    const roost_slice line = next_line(&text);
    if (creds->seed.ptr == NULL && is_seed(line))
      creds->seed = line;
    else if (creds->jwt.ptr == NULL && is_token(line))
      creds->jwt = line;
  }
  return creds->seed.ptr != NULL ? 0 : ROOST_EINVAL;
}
