/* Runs a fuzz target over the files of the folders named as arguments: a corpus as a test. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Hands one file to the target; returns 0, or -1 where it can't be read. */
static int replay_file(const char *path) {
  FILE *file = fopen(path, "rb");
  if (file == NULL)
    return -1;
  int status = -1;
  if (fseek(file, 0, SEEK_END) == 0) {
    long size = ftell(file);
    /* Exactly the file's size, so that AddressSanitizer sees a read one byte past its end. */
    uint8_t *bytes = size < 0 ? NULL : malloc((size_t)size + (size == 0));
    rewind(file);
    if (bytes != NULL && fread(bytes, 1, (size_t)size, file) == (size_t)size) {
      (void)LLVMFuzzerTestOneInput(bytes, (size_t)size);
      status = 0;
    }
    free(bytes);
  }
  (void)fclose(file);
  return status;
}

int main(int argc, char **argv) {
  size_t passed = 0;
  size_t failed = 0;
  for (int i = 1; i < argc; i++) {
    DIR *folder = opendir(argv[i]);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
      char path[4096];
      if (entry->d_name[0] == '.')
        continue;
      (void)snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
      (void)printf("%s\n", path);
      (void)fflush(stdout); /* a crash must leave the name of its input behind */
      if (replay_file(path) == 0)
        passed++;
      else
        failed++;
    }
    if (folder != NULL)
      (void)closedir(folder);
  }
  (void)printf("%zu passed, %zu failed\n", passed, failed);
  return passed > 0 && failed == 0 ? 0 : 1;
}
