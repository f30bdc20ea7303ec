#include "cli/args.h"

#include <stdio.h>
#include <string.h>

#include "config/suggest.h"
#include "core/slice.h"
#include "core/url.h"

#define DEFAULT_PORT 3000

bool roost_args_number(const char *text, uint64_t max, uint64_t *number) {
  uint64_t value = 0;
  if (*text == '\0')
    return false;
  for (; *text != '\0'; text++) {
    const unsigned digit = (unsigned)*text - '0';
    if (digit > 9 || digit > max || value > (max - digit) / 10)
      return false;
    value = value * 10 + digit;
  }
  *number = value;
  return true;
}

/* Whether an argument is an option: "-" stands for stdin, and -5 is JSON. */
static bool looks_like_option(const char *word) {
  return word[0] == '-' && word[1] != '\0' && (word[1] < '0' || word[1] > '9');
}

static int unknown(const roost_args *args, const char *word, size_t len) {
  char name[64];
  snprintf(name, sizeof name, "%.*s", (int)len, word);
  roost_suggestion near = {.word = name};
  for (const roost_option *option = args->options; option->name != NULL; option++)
    roost_suggest(&near, option->name);
  if (near.best != NULL)
    roost_usage_error(args->command, "unknown option %s (did you mean %s?)", name, near.best);
  else
    roost_usage_error(args->command, "unknown option %s", name);
  return ROOST_ARGS_ERROR;
}

static int take_value(roost_args *args, const roost_option *option, const char *attached) {
  args->value = attached;
  if (option->later != NULL) {
    roost_usage_error(args->command, "%s %s", option->name, option->later);
    return ROOST_ARGS_ERROR;
  }
  if (option->value == NULL && attached != NULL) {
    roost_usage_error(args->command, "%s takes no value", option->name);
    return ROOST_ARGS_ERROR;
  }
  if (option->value != NULL && attached == NULL) {
    if (args->at + 1 >= args->argc) {
      roost_usage_error(args->command, "%s needs a value: %s %s", option->name, option->name,
                        option->value);
      return ROOST_ARGS_ERROR;
    }
    args->value = args->argv[++args->at];
  }
  return (int)(option - args->options);
}

int roost_args_next(roost_args *args) {
  if (++args->at >= args->argc)
    return ROOST_ARGS_END;
  const char *word = args->argv[args->at];
  if (args->only_words || !looks_like_option(word)) {
    args->value = word;
    return ROOST_ARGS_WORD;
  }
  if (strcmp(word, "--") == 0) {
    args->only_words = true;
    return roost_args_next(args);
  }
  if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
    return ROOST_ARGS_HELP;
  const size_t len = strcspn(word, "=");
  const char *attached = word[len] == '=' ? word + len + 1 : NULL;
  for (const roost_option *option = args->options; option->name != NULL; option++)
    if (strlen(option->name) == len && strncmp(option->name, word, len) == 0)
      return take_value(args, option, attached);
  return unknown(args, word, len);
}

bool roost_args_url(const char *text, roost_url *url, const char **why) {
  roost_url_parts parts;
  const bool is_url = roost_url_split(text, &parts);
  *why = "expected tcp://HOST:PORT or tls://HOST:PORT";
  url->tls = roost_slice_equal(parts.scheme, ROOST_SLICE("tls"));
  if (!is_url || (!url->tls && !roost_slice_equal(parts.scheme, ROOST_SLICE("tcp"))) ||
      parts.host.len >= sizeof url->host || (parts.has_port && parts.port == 0))
    return false;
  memcpy(url->host, parts.host.ptr, parts.host.len);
  url->host[parts.host.len] = '\0';
  url->port = parts.has_port ? parts.port : DEFAULT_PORT;
  return true;
}
