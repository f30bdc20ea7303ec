/*
 * A worker's report, and the texts that are made of it.
 */
#include "alloc_probe.h"

#include "core/slice.h"
#include "metrics.h"
#include "net/crypto.h"
#include "report.h"
#include "status.h"
#include "wire/json.h"

/* --------------------------------------------------------------------- a report by hand ------ */

static roost_report_route routes[] = {
    {.route = {"sum", 3}, .registered = {true, false}, .ended = {{5, 2, 1, 0}, {0, 0, 0, 0}}},
    {.route = {"{\"a\":\"\\n\"}", 10}, .registered = {false, true}, .ended = {{0}, {0, 0, 0, 3}}},
    {.route = {"a\nb\xff", 4}, .registered = {true, true}, .ended = {{0}, {0}}}};

static roost_slice patterns[] = {{"sum", 3}, {"{\"a\":\"\\n\"}", 10}};

static roost_report_service services[] = {
    {.name = "math",
     .state = "live",
     .generation = 4,
     .loaded_us = UINT64_C(1700000000000000),
     .memory_bytes = 1000,
     .patterns = patterns,
     .pattern_count = 2,
     .instances = 1,
     .draining = 2,
     .reloads = 3,
     .refusals = 1,
     .stats = {.requests = 9, .events = 8, .errors = 7, .timeouts = 6, .in_flight = 5},
     .cpu_us = 1500000,
     .routes = {routes, 3},
     .last_error = {"boom \xff", 6},
     .refused = {"no", 2}},
    {.name = "gone", .state = "failed"}};

static roost_report_server servers[] = {
    {.name = "public",
     .transport = "tcp",
     .address = {.text = "::1", .port = 3443},
     .tls = true,
     .cert_expires = 1798761600,
     .listening = true,
     .stats = {.connections = 3, .accepted = 9, .denied = 1, .bytes = {100, 200}}},
    {.name = "inner", .transport = "tcp", .address = {.text = "127.0.0.1", .port = 1}}};

static roost_report_client clients[] = {
    {.name = "PAY",
     .transport = "tcp",
     .host = "pay.local",
     .port = 3444,
     .connected = true,
     .pending = 2,
     .stats =
         {.requests = 10, .answered = 5, .errors = 3, .timeouts = 1, .reconnects = 4, .late = 6}},
    {.name = "SELF", .transport = "local"}};

static roost_report_worker workers[] = {{.connections = 3,
                                         .requests = 9,
                                         .events = 8,
                                         .errors = 7,
                                         .timeouts = 6,
                                         .in_flight = 5,
                                         .memory_bytes = 1000,
                                         .longest_turn_us = 2500},
                                        {.number = 1, .stuck = true}};

static roost_report report = {.state = ROOST_WORKER_RUNNING,
                              .servers = servers,
                              .server_count = 2,
                              .services = services,
                              .service_count = 2,
                              .clients = clients,
                              .client_count = 2,
                              .routes = {routes, 1},
                              .unhandled = {7, 1},
                              .recent_us = 10000000,
                              .store = {.keys = 1, .bytes = 77, .limit_bytes = 1000},
                              .workers = workers,
                              .worker_count = 2};

static const roost_status_facts facts = {.config = "config/host.lua", .uptime_ms = 5, .workers = 2};

/* 90 of 100 us and 10 of 10 ms are recent, 4 of 1 s are older. */
static void fill_latency(void) {
  roost_latency *latency = &services[0].latency;
  memset(latency, 0, sizeof *latency);
  latency->recent[0][roost_latency_bucket(100)] = 60;
  latency->recent[1][roost_latency_bucket(100)] = 30;
  latency->recent[1][roost_latency_bucket(10000)] = 10;
  latency->older[roost_latency_bucket(1000000)] = 4;
  latency->sum_us = 4109000;
}

typedef int write_fn(roost_buffer *out, const roost_report *from, const roost_status_facts *about);

static char text[65536];

static void write_text(write_fn *fn, const roost_report *from) {
  roost_buffer out;
  roost_buffer_init(&out, roost_alloc_default());
  assert_int_equal(fn(&out, from, &facts), 0);
  assert_true(out.len < sizeof text);
  memcpy(text, out.ptr, out.len);
  text[out.len] = '\0';
  roost_buffer_deinit(&out);
}

static void expect(const char *part) {
  if (strstr(text, part) == NULL)
    fail_msg("not there: %s\nin: %s", part, text);
}

/* --------------------------------------------------------------------- status ---------------- */

static void status_is_as_the_contract_has_it(void **state) {
  (void)state;
  fill_latency();
  write_text(roost_status_write, &report);
  assert_int_equal(roost_json_validate(roost_slice_text(text)), 0);
  expect("{\"version\":\"");
  expect("\"state\":\"running\",\"stuck\":false,\"uptime_ms\":5,\"workers\":2,\"memory_bytes\":");
  expect(",\"config\":\"config/host.lua\",\"per_worker\":{\"0\":{\"stuck\":false,"
         "\"connections\":3,\"in_flight\":5,\"requests\":9,\"events\":8,\"errors\":7,"
         "\"timeouts\":6,\"memory_bytes\":1000,\"longest_turn_ms\":2.5},\"1\":{\"stuck\":true,"
         "\"connections\":0,");
  expect("\"longest_turn_ms\":0}},\"servers\":{\"public\":{\"transport\":\"tcp\","
         "\"address\":\"[::1]:3443\",\"tls\":true,\"cert_expires\":\"2027-01-01T00:00:00Z\","
         "\"status\":\"connected\",\"connections\":3,\"accepted\":9,\"denied\":1,"
         "\"bytes_in\":100,\"bytes_out\":200},\"inner\":{\"transport\":\"tcp\","
         "\"address\":\"127.0.0.1:1\",\"tls\":false,\"cert_expires\":null,"
         "\"status\":\"disconnected\"");
  expect("\"services\":{\"math\":{\"state\":\"live\",\"generation\":4,\"draining\":2,"
         "\"instances\":1,\"loaded\":\"2023-11-14T22:13:20Z\","
         "\"patterns\":[\"sum\",\"{\\\"a\\\":\\\"\\\\n\\\"}\"],\"memory_bytes\":1000,"
         "\"in_flight\":5,\"requests\":9,\"events\":8,\"errors\":7,\"timeouts\":6,"
         "\"per_second\":10,\"p50_ms\":0.1,\"p99_ms\":9.728,\"cpu_ms\":1500,"
         "\"last_error\":\"boom \",\"refused\":\"no\"},\"gone\":{\"state\":\"failed\","
         "\"generation\":0,\"draining\":0,\"instances\":0,\"loaded\":null,\"patterns\":[],");
  expect("\"p50_ms\":0,\"p99_ms\":0,\"cpu_ms\":0,\"last_error\":null,\"refused\":null}},"
         "\"clients\":{\"PAY\":{\"transport\":\"tcp\",\"address\":\"pay.local:3444\","
         "\"status\":\"connected\",\"pending\":2,\"requests\":10,\"errors\":3,\"timeouts\":1,"
         "\"reconnects\":4,\"late\":6},\"SELF\":{\"transport\":\"local\",\"status\":"
         "\"disconnected\",");
  expect("\"store\":{\"keys\":1,\"bytes\":77,\"limit\":1000}}");
  assert_true(roost_status_memory_bytes() > 100000);
}

static void states_of_a_worker_have_three_names(void **state) {
  (void)state;
  static const struct {
    roost_worker_state state;
    const char *name;
  } cases[] = {{ROOST_WORKER_IDLE, "starting"},    {ROOST_WORKER_STARTING, "starting"},
               {ROOST_WORKER_RUNNING, "running"},  {ROOST_WORKER_DRAINING, "draining"},
               {ROOST_WORKER_DRAINED, "draining"}, {ROOST_WORKER_FAILED, "starting"}};
  for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
    const roost_report other = {.state = cases[i].state};
    assert_string_equal(roost_status_state(&other), cases[i].name);
  }
  assert_string_equal(roost_status_state(NULL), "starting");
}

/* --------------------------------------------------------------------- metrics --------------- */

static void metrics_have_every_family(void **state) {
  (void)state;
  fill_latency();
  write_text(roost_metrics_write, &report);
  expect(
      "# TYPE roost_requests_total counter\n"
      "roost_requests_total{service=\"math\",pattern=\"sum\",kind=\"message\",outcome=\"ok\"} 5\n"
      "roost_requests_total{service=\"math\",pattern=\"sum\",kind=\"message\","
      "outcome=\"error\"} 2\n"
      "roost_requests_total{service=\"math\",pattern=\"sum\",kind=\"message\","
      "outcome=\"timeout\"} 1\n"
      "roost_requests_total{service=\"math\",pattern=\"{\\\"a\\\":\\\"\\\\n\\\"}\","
      "kind=\"event\",outcome=\"ok\"} 0\n"
      "roost_requests_total{service=\"math\",pattern=\"{\\\"a\\\":\\\"\\\\n\\\"}\","
      "kind=\"event\",outcome=\"cut\"} 3\n"
      "roost_requests_total{service=\"math\",pattern=\"a\\nb\xef\xbf\xbd\",kind=\"message\","
      "outcome=\"ok\"} 0\n");
  expect(
      "\nroost_requests_total{service=\"\",pattern=\"sum\",kind=\"message\",outcome=\"ok\"} 5\n");
  expect("\nroost_requests_total{service=\"\",pattern=\"none\",kind=\"message\","
         "outcome=\"unhandled\"} 7\n");
  expect("\nroost_in_flight{service=\"math\"} 5\n");
  expect("\nroost_connections{server=\"public\"} 3\n");
  expect("\nroost_bytes_total{server=\"public\",direction=\"in\"} 100\n"
         "roost_bytes_total{server=\"public\",direction=\"out\"} 200\n");
  expect("\nroost_client_requests_total{client=\"PAY\",outcome=\"ok\"} 5\n"
         "roost_client_requests_total{client=\"PAY\",outcome=\"error\"} 2\n"
         "roost_client_requests_total{client=\"PAY\",outcome=\"timeout\"} 1\n");
  expect("\nroost_client_late_replies_total{client=\"PAY\"} 6\n");
  expect("\nroost_client_up{client=\"PAY\"} 1\nroost_client_up{client=\"SELF\"} 0\n");
  expect("\nroost_generation{service=\"math\"} 4\nroost_generation{service=\"gone\"} 0\n");
  expect("\nroost_generations_draining{service=\"math\"} 2\n");
  expect("\nroost_reloads_total{service=\"math\",outcome=\"ok\"} 3\n"
         "roost_reloads_total{service=\"math\",outcome=\"refused\"} 1\n");
  expect("\nroost_service_memory_bytes{service=\"math\"} 1000\n");
  expect("\nroost_service_cpu_seconds_total{service=\"math\"} 1.5\n");
  expect("\nroost_store_bytes 77\n");
  expect("\nroost_loop_lag_seconds{worker=\"0\"} 0.0025\n");
  expect("\nroost_tls_expiry_timestamp_seconds{server=\"public\"} 1798761600\n");
  expect("\nroost_worker_stuck{worker=\"0\"} 0\nroost_worker_stuck{worker=\"1\"} 1\n");
  expect("\nroost_worker_connections{worker=\"0\"} 3\n");
  expect("\nroost_worker_requests_total{worker=\"0\"} 17\n");
  expect("\nroost_build_info{version=\"");
  assert_null(strstr(text, "roost_tls_expiry_timestamp_seconds{server=\"inner\"}"));
}

static void the_histogram_adds_up(void **state) {
  (void)state;
  fill_latency();
  write_text(roost_metrics_write, &report);
  expect("\nroost_request_seconds_bucket{service=\"math\",le=\"0.000064\"} 0\n"
         "roost_request_seconds_bucket{service=\"math\",le=\"0.000128\"} 90\n");
  expect("\nroost_request_seconds_bucket{service=\"math\",le=\"0.008192\"} 90\n"
         "roost_request_seconds_bucket{service=\"math\",le=\"0.016384\"} 100\n");
  expect("\nroost_request_seconds_bucket{service=\"math\",le=\"0.524288\"} 100\n"
         "roost_request_seconds_bucket{service=\"math\",le=\"1.048576\"} 104\n");
  expect("\nroost_request_seconds_bucket{service=\"math\",le=\"+Inf\"} 104\n"
         "roost_request_seconds_sum{service=\"math\"} 4.109\n"
         "roost_request_seconds_count{service=\"math\"} 104\n");
}

/* Every line is a comment or NAME[{labels}] NUMBER, and each family is there once. */
static void metrics_are_in_the_format(void **state) {
  (void)state;
  char seen[40][64];
  size_t count = 0;
  fill_latency();
  write_text(roost_metrics_write, &report);
  for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
    char name[64];
    double number;
    if (sscanf(line, "# TYPE %63s", name) == 1) {
      for (size_t i = 0; i < count; i++)
        assert_string_not_equal(seen[i], name);
      strcpy(seen[count++], name);
      continue;
    }
    if (strncmp(line, "# HELP ", 7) == 0)
      continue;
    assert_int_equal(strncmp(line, seen[count - 1], strlen(seen[count - 1])), 0);
    const char *value = strrchr(line, ' ');
    assert_non_null(value);
    assert_int_equal(sscanf(value, " %lf", &number), 1);
    assert_true(value[-1] == '}' || strchr(line, '{') == NULL);
  }
  assert_int_equal(count, 20);
}

static void without_a_report_both_are_whole(void **state) {
  (void)state;
  write_text(roost_status_write, NULL);
  assert_int_equal(roost_json_validate(roost_slice_text(text)), 0);
  expect("\"state\":\"starting\"");
  expect("\"services\":{},\"clients\":{},");
  write_text(roost_metrics_write, NULL);
  expect("roost_store_bytes 0\n");
}

static void memory_may_be_short_for_the_texts(void **state) {
  (void)state;
  write_fn *const fns[] = {roost_status_write, roost_metrics_write};
  for (size_t i = 0; i < 2; i++) {
    int status = ROOST_ENOMEM;
    for (size_t allowed = 0; status == ROOST_ENOMEM; allowed++) {
      roost_alloc_probe probe;
      roost_buffer out;
      roost_alloc_probe_init(&probe);
      probe.refuse_after = allowed;
      roost_buffer_init(&out, &probe.alloc);
      status = fns[i](&out, &report, &facts);
      roost_buffer_deinit(&out);
      assert_int_equal(probe.bytes, 0);
      assert_true(allowed < 100);
    }
    assert_int_equal(status, 0);
  }
}

/* --------------------------------------------------------------------- several workers ------- */

static void reports_are_merged(void **state) {
  roost_report_service second = services[0];
  roost_report_client third[] = {clients[0], {.name = "NEW", .transport = "local"}};
  roost_report_route other[] = {
      {.route = {"late", 4}, .registered = {true, false}, .ended = {{1, 0, 0, 0}, {0}}}, routes[0]};
  roost_report_worker number = {.number = 1, .requests = 4};
  roost_report another = report;
  roost_alloc_probe probe;
  roost_report *merged = NULL;
  const bool stuck[] = {false, true, true};
  (void)state;
  second.routes = (roost_report_routes){other, 2};
  second.generation = 5;
  another.services = &second;
  another.service_count = 1;
  another.clients = third;
  another.client_count = 2;
  another.workers = &number;
  another.worker_count = 1;
  roost_report *const parts[] = {&report, &another, NULL};
  roost_alloc_probe_init(&probe);
  for (size_t allowed = 0; merged == NULL; allowed++) {
    probe.refuse_after = allowed;
    const int status = roost_report_merge(&merged, &probe.alloc, parts, stuck, 3);
    assert_int_equal(status, merged != NULL ? 0 : ROOST_ENOMEM);
    if (merged == NULL)
      assert_int_equal(probe.bytes, 0);
  }
  assert_int_equal(merged->servers[0].stats.connections, 6);
  assert_int_equal(merged->servers[1].stats.accepted, 0);
  assert_int_equal(merged->service_count, 2);
  const roost_report_service *math = &merged->services[0];
  assert_int_equal(math->generation, 5);
  assert_int_equal(math->instances, 2);
  assert_int_equal(math->stats.requests, 18);
  assert_int_equal(roost_report_recent(&math->latency),
                   2 * roost_report_recent(&services[0].latency));
  assert_int_equal(math->routes.count, 4);
  assert_int_equal(math->routes.items[0].ended[0][0], 10);
  assert_true(roost_slice_equal(math->routes.items[3].route, ROOST_SLICE("late")));
  assert_int_equal(merged->client_count, 3);
  assert_int_equal(merged->clients[0].stats.requests, 20);
  assert_int_equal(merged->clients[0].stats.late, 12);
  assert_int_equal(merged->unhandled[0], 14);
  assert_int_equal(merged->worker_count, 3);
  assert_int_equal(merged->workers[1].requests, 4);
  assert_int_equal(merged->workers[2].number, 2);
  assert_true(!merged->workers[0].stuck && merged->workers[1].stuck && merged->workers[2].stuck);
  assert_int_equal(report.services[0].stats.requests, 9); /* those are as they were */
  roost_report_free(merged);
  assert_int_equal(probe.bytes, 0);
}

/* --------------------------------------------------------------------- a report of a worker -- */

static void ignore_line(void *ud, roost_log_level level, roost_slice line) {
  (void)ud;
  (void)level;
  (void)line;
}

static void on_call(void *ud, roost_call *call) {
  (void)ud;
  roost_call_reply(call, ROOST_SLICE("1"));
}

static void a_report_copies_all_there_is(void **state) {
  (void)state;
  roost_alloc_probe probe;
  roost_clock clock = {.fake = true, .now_us = 1000000};
  roost_log *log;
  roost_store *store;
  roost_worker *worker;
  roost_server_config server;
  const char *why;
  const roost_store_config store_config = {roost_alloc_default(), &clock, roost_random_bytes};
  roost_alloc_probe_init(&probe);
  assert_int_equal(roost_log_new(&log, roost_alloc_default(), &clock, ignore_line, NULL), 0);
  assert_int_equal(roost_store_new(&store, &store_config), 0);
  const roost_worker_config config = {
      .alloc = &probe.alloc, .clock = &clock, .log = log, .store = store, .working_dir = "/tmp"};
  assert_int_equal(roost_worker_new(&worker, &config), 0);
  roost_server_config_init(&server);
  server.name = "inner";
  assert_int_equal(roost_worker_add_server(worker, &server), 0);
  assert_int_equal(
      roost_dispatch_add_handler(worker->dispatch, ROOST_SLICE("\"c\""), on_call, NULL, &why), 0);
  roost_client_config client;
  roost_client_config_init(&client);
  client.name = "PAY"; /* that nobody has used */
  roost_dispatch_set_clients(worker->dispatch, &client, 1);
  const size_t before = probe.bytes;
  int status = ROOST_ENOMEM;
  for (size_t allowed = 0; status == ROOST_ENOMEM; allowed++) {
    roost_report *made;
    probe.refuse_after = allowed;
    status = roost_report_new(&made, worker);
    probe.refuse_after = ROOST_ALLOC_PROBE_NEVER;
    assert_true((status == 0) == (made != NULL));
    assert_true(allowed < 100);
    if (made != NULL) {
      assert_int_equal(made->server_count, 1);
      assert_string_equal(made->servers[0].name, "inner");
      assert_int_equal(made->routes.count, 1);
      assert_true(roost_slice_equal(made->routes.items[0].route, ROOST_SLICE("c")));
      assert_null(roost_report_find(made, ROOST_SLICE("c")));
      assert_int_equal(made->client_count, 1);
      assert_string_equal(made->clients[0].name, "PAY");
      assert_string_equal(made->clients[0].host, "127.0.0.1");
      assert_false(made->clients[0].connected);
    }
    roost_report_free(made);
    assert_int_equal(probe.bytes, before);
  }
  assert_int_equal(status, 0);
  roost_worker_free(worker);
  roost_store_free(store);
  roost_log_free(log);
  assert_int_equal(probe.bytes, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(status_is_as_the_contract_has_it),
      cmocka_unit_test(states_of_a_worker_have_three_names),
      cmocka_unit_test(reports_are_merged),
      cmocka_unit_test(metrics_have_every_family),
      cmocka_unit_test(the_histogram_adds_up),
      cmocka_unit_test(metrics_are_in_the_format),
      cmocka_unit_test(without_a_report_both_are_whole),
      cmocka_unit_test(memory_may_be_short_for_the_texts),
      cmocka_unit_test(a_report_copies_all_there_is),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
