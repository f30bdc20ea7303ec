/* Every row of the schema: a value of the wrong kind, values out of its range, an unknown key
 * beside it, its default, and whether it is served yet. */
#include "config/schema.h"
#include "load_settings.h"

typedef struct walk {
  load_case *load;
  size_t rows; /* seen */
} walk;

/* Sets key to value in an empty configuration. */
static void try(walk *w, const char *key, const char *value) {
  w->load->override_count = 0;
  load_set(w->load, key, value);
  load_file(w->load, "host.lua");
}

/* One error, and it names the key as people write it: servers[1].port. */
static void assert_names(walk *w, const char *key, const char *part) {
  char shown[128] = "host.lua: ";
  for (const char *at = key; *at != '\0'; at++)
    strncat(shown, at, 1);
  char *index = strstr(shown, "servers.1");
  if (index != NULL)
    memcpy(index, "servers[1]", 10), strcpy(index + 10, strstr(key, "servers.1") + 9);
  if (w->load->problems.errors != 1)
    fail_msg("%s: %zu errors", key, w->load->problems.errors);
  for (size_t i = 0; i < w->load->problems.count; i++) {
    const roost_problem *problem = &w->load->problems.items[i];
    if (problem->severity != ROOST_PROBLEM_ERROR)
      continue;
    if (strncmp(problem->text, shown, strlen(shown)) != 0 || strstr(problem->text, part) == NULL)
      fail_msg("%s: unexpected \"%s\"", shown, problem->text);
  }
}

static void try_number(walk *w, const char *key, const roost_key *row) {
  char value[32];
  snprintf(value, sizeof value, "%lld", (long long)row->min - 1);
  try(w, key, value);
  assert_names(w, key, "must be ");
  snprintf(value, sizeof value, "%lld", (long long)row->max + 1);
  try(w, key, value);
  assert_names(w, key, "must be ");
  snprintf(value, sizeof value, "%lld", (long long)row->min);
  try(w, key, value);
  assert_int_equal(w->load->problems.errors, 0);
  snprintf(value, sizeof value, "%lld", (long long)row->max);
  try(w, key, value);
  assert_int_equal(w->load->problems.errors, 0);
}

/* What the row's default looks like in Lua, NULL where it has none. */
static const char *default_of(const roost_key *row, char value[64]) {
  if (row->choices != NULL && (row->kinds & ROOST_KEY_NUMBER) == 0)
    snprintf(value, 64, "\"%s\"", row->choices[row->number]);
  else if ((row->kinds & ROOST_KEY_TEXT) && row->text != NULL)
    snprintf(value, 64, "\"%s\"", row->text);
  else if ((row->kinds & ROOST_KEY_NUMBER) && row->number != ROOST_KEY_UNSET && row->number > 0)
    snprintf(value, 64, "%lld", (long long)row->number);
  else if (row->kinds == ROOST_KEY_BOOLEAN)
    snprintf(value, 64, "%s", row->number ? "true" : "false");
  else
    return NULL;
  return value;
}

static void visit(walk *w, const char *prefix, const roost_key *keys);

static void visit_row(walk *w, const char *key, const roost_key *row) {
  char value[64];
  char inner[160];
  w->rows++;
  const bool function_fits = row->kinds & (ROOST_KEY_FUNCTION | ROOST_KEY_ANY);
  if (!function_fits) {
    try(w, key, "function() end");
    assert_names(w, key, ": expected ");
  }
  if (row->kinds & ROOST_KEY_NUMBER)
    try_number(w, key, row);
  if (row->choices != NULL) {
    try(w, key, "\"nonsense\"");
    assert_names(w, key, ": expected ");
  } else if (row->kinds == ROOST_KEY_TEXT) {
    try(w, key, "\"\"");
    assert_names(w, key, "must not be empty");
    try(w, key, "12");
    assert_names(w, key, "expected text, got 12");
  }
  if (strcmp(key, "services") != 0 && default_of(row, value) != NULL) {
    try(w, key, value);
    assert_int_equal(w->load->problems.count, 0);
  }
  if (row->kinds & ROOST_KEY_RECORD) {
    snprintf(inner, sizeof inner, "%s.no_such_key", key);
    if (row->keys != NULL) {
      try(w, inner, "1");
      assert_names(w, inner, "unknown key");
      visit(w, key, row->keys);
    }
  }
  if (row->kinds & (ROOST_KEY_LIST | ROOST_KEY_MAP)) {
    try(w, key, row->kinds & ROOST_KEY_LIST ? "{ x = 1 }" : "{ 1 }");
    assert_names(w, key, row->kinds & ROOST_KEY_LIST ? "expected a list" : "expected names");
  }
}

static void visit(walk *w, const char *prefix, const roost_key *keys) {
  for (; keys->name != NULL; keys++) {
    char key[128];
    snprintf(key, sizeof key, "%s%s%s", prefix, *prefix != '\0' ? "." : "", keys->name);
    visit_row(w, key, keys);
  }
}

static void every_row_of_the_host(void **state) {
  walk w = {.load = *state};
  load_write(w.load, "host.lua", "return { services = {} }");
  visit(&w, "", roost_schema_host);
  assert_true(w.rows >= 24);
}

static void every_row_of_a_server(void **state) {
  walk w = {.load = *state};
  /* with what a burst alone would miss */
  load_write(w.load, "host.lua",
             "return { services = {}, servers = { { rate = { per_second = 1 } } } }");
  visit(&w, "servers.1", roost_schema_tcp_server);
  try(&w, "servers.1.no_such_key", "1");
  assert_names(&w, "servers.1.no_such_key", "unknown key");
  assert_true(w.rows >= 25);
}

static void every_row_of_a_client(void **state) {
  walk w = {.load = *state};
  load_write(w.load, "host.lua", "return { services = {} }");
  for (const roost_key *row = roost_schema_client; row->name != NULL; row++) {
    char key[64];
    snprintf(key, sizeof key, "clients.A.%s", row->name);
    try(&w, key, "function() end");
    assert_names(&w, key, ": expected ");
    if (row->kinds & ROOST_KEY_NUMBER)
      try_number(&w, key, row);
  }
  try(&w, "clients.A.tls.no_such_key", "1");
  assert_names(&w, "clients.A.tls.no_such_key", "unknown key");
}

static void tables_below_keys(void **state) {
  static const char *const cases[][3] = {
      {"servers.1.tls", "{ cret = 'x' }",
       "servers[1].tls.cret: unknown key (did you mean \"cert\"?)"},
      {"servers.1.tls", "{ cert = 5 }", "servers[1].tls.cert: expected text, got 5"},
      {"servers.1.tls", "{ verify = 'maybe' }",
       "servers[1].tls.verify: expected \"none\" or \"optional\" or \"required\", got \"maybe\""},
      {"servers.1.tls", "{ ca = { 'a', 5 } }", "servers[1].tls.ca[2]: expected text, got 5"},
      {"servers.1.tls", "{ sni = { ['a.b'] = { kye = 'x' } } }",
       "servers[1].tls.sni[\"a.b\"].kye: unknown key (did you mean \"key\"?)"},
      {"service_options.a", "{ sandbox = 1 }",
       "service_options.a.sandbox: expected true or false, got 1"},
      {"service_options.a", "5", "service_options.a: expected a table, got 5"},
      {"service_options.a", "{ memory = 0 }",
       "service_options.a.memory: must be at least 1, got 0"},
      {"services", "{ 'a', false }", "services[2]: expected text, got false"},
      {"services", "{ [2] = 'a' }", NULL},
  };
  walk w = {.load = *state};
  load_write(w.load, "host.lua", "return { services = {}, servers = { {} } }");
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    char expected[160];
    try(&w, cases[i][0], cases[i][1]);
    assert_true(w.load->problems.errors >= 1);
    if (cases[i][2] == NULL)
      continue;
    snprintf(expected, sizeof expected, "host.lua: %s", cases[i][2]);
    assert_error(w.load, expected);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      LOAD_TEST(every_row_of_the_host),
      LOAD_TEST(every_row_of_a_server),
      LOAD_TEST(every_row_of_a_client),
      LOAD_TEST(tables_below_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
