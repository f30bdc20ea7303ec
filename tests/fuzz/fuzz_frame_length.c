#include "fuzz_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_framing(ROOST_FRAMING_LENGTH32, data, size);
  return 0;
}
