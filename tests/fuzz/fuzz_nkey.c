/* What a file of creds is taken for lies inside it, and a seed that was read is written back as a
 * public key of the same kind. */
#include "fuzz.h"
#include "wire/nkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *copy = malloc(size > 0 ? size : 1);
  roost_nats_creds creds;
  roost_nkey_seed seed;
  PROMISE(copy != NULL);
  if (size > 0)
    memcpy(copy, data, size);
  if (roost_nats_creds_read(&creds, (roost_slice){copy, size}) == 0) {
    PROMISE(creds.seed.ptr >= copy && creds.seed.ptr + creds.seed.len <= copy + size);
    PROMISE(creds.jwt.ptr == NULL ||
            (creds.jwt.ptr >= copy && creds.jwt.ptr + creds.jwt.len <= copy + size));
    if (roost_nkey_seed_read(&seed, creds.seed) == 0) {
      char text[ROOST_NKEY_PUBLIC_TEXT];
      roost_nkey_public(text, seed.prefix, seed.bytes);
      for (size_t i = 0; i < sizeof text; i++)
        PROMISE((text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= '2' && text[i] <= '7'));
    }
  }
  free(copy);
  return 0;
}
