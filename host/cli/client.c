#include "cli/client.h"

#include <stdio.h>

#include "core/slice.h"
#include "wire/json.h"
#include "wire/pattern.h"

#define LONGEST_POLL_MS 1000
#define WRITE_POLL_MS   20

static const char out_of_memory[] = "out of memory";

static uint64_t now_ms(const roost_cli_client *client) {
  return roost_clock_now_us(&client->clock) / 1000;
}

static void start_timeout(roost_cli_client *client) {
  client->deadline_ms = client->timeout_ms > 0 ? now_ms(client) + client->timeout_ms : UINT64_MAX;
}

static void finish(roost_cli_client *client, int status, const char *why) {
  if (client->over)
    return;
  client->over = true;
  client->status = status;
  client->why = why;
}

/* Runs the loop until finish was called, or the time is over. */
static int wait(roost_cli_client *client) {
  while (!client->over) {
    const uint64_t now = now_ms(client);
    if (now >= client->deadline_ms) {
      finish(client, ROOST_ETIMEDOUT, "timed out");
      break;
    }
    const uint64_t left_ms = client->deadline_ms - now;
    const int status = roost_loop_poll(
        client->loop, (uint32_t)(left_ms < LONGEST_POLL_MS ? left_ms : LONGEST_POLL_MS));
    if (status != 0)
      finish(client, status, "the event loop failed");
  }
  return client->status;
}

/* ------------------------------------------------------------------------- what it is told --- */

static void on_open(void *ud) {
  roost_cli_client *client = ud;
  client->open = true;
  finish(client, ROOST_OK, "");
}

static void on_reply(void *ud, const roost_reply *reply) {
  roost_cli_client *client = ud;
  if (client->over || client->on_reply == NULL || !roost_slice_equal(reply->id, client->id))
    return;
  start_timeout(client);
  if (!client->on_reply(client->ud, reply) || reply->last)
    finish(client, ROOST_OK, "");
}

static void on_closed(void *ud, int status, const char *why) {
  roost_cli_client *client = ud;
  snprintf(client->text, sizeof client->text, "%s", why);
  finish(client, client->open || status == ROOST_EPROTO ? status : ROOST_ECONNECT, client->text);
}

static void on_writable(void *ud) {
  (void)ud;
}

static const roost_client_sink sink = {on_open, on_reply, on_closed, on_writable};

/* ------------------------------------------------------------------------- what call does ---- */

int roost_cli_client_open(roost_cli_client *client, const roost_client_config *config,
                          uint64_t timeout_ms) {
  *client = (roost_cli_client){.timeout_ms = timeout_ms, .why = out_of_memory};
  int status = roost_loop_new(&client->loop, roost_alloc_default(), &client->clock);
  if (status == 0)
    status = roost_transport_find(config->transport)
                 ->new_client(&client->client, client->loop, config, &sink, client);
  if (status == 0)
    status = client->client->ops->connect(client->client);
  if (status != 0)
    return status;
  start_timeout(client);
  status = wait(client);
  if (status == ROOST_ETIMEDOUT) {
    client->why = "ETIMEDOUT";
    return ROOST_ECONNECT;
  }
  return status;
}

/* Events may want their route in the place of the pattern; true and false have none, and stay. */
static int take_route(roost_message *message, roost_buffer *text) {
  const char *why;
  roost_buffer route;
  roost_buffer_init(&route, text->alloc);
  int status = roost_pattern_normalise(&route, message->pattern, &why);
  if (status > 0)
    status = roost_json_write_string(text, roost_buffer_slice(&route));
  if (status == 0 && text->len > 0)
    message->pattern = roost_buffer_slice(text);
  roost_buffer_deinit(&route);
  return status;
}

static int send(roost_client *to, const roost_message *message) {
  roost_buffer *out = to->ops->begin(to, message);
  if (out == NULL)
    return ROOST_ENOMEM;
  const int status = roost_buffer_append_slice(out, message->data);
  if (status == 0)
    return to->ops->end(to, message);
  to->ops->undo(to);
  return status;
}

/* Has the replies to requests with this pattern read, where that must be said. */
static int expect(roost_cli_client *client, roost_slice pattern) {
  int status = 0;
  if (client->client->ops->expect == NULL)
    return 0;
  start_timeout(client);
  while ((status = client->client->ops->expect(client->client, pattern)) > 0) {
    if (now_ms(client) >= client->deadline_ms)
      return ROOST_ETIMEDOUT;
    status = roost_loop_poll(client->loop, WRITE_POLL_MS);
    if (status != 0)
      return status;
  }
  return status;
}

int roost_cli_client_send(roost_cli_client *client, const roost_message *message) {
  roost_message said = *message;
  roost_buffer route;
  int status = 0;
  roost_buffer_init(&route, roost_alloc_default());
  if (roost_message_is_event(message) && client->client->ops->routes_events)
    status = take_route(&said, &route);
  if (status == 0 && !roost_message_is_event(message))
    status = expect(client, message->pattern);
  if (status == 0)
    status = send(client->client, &said);
  client->why = status == ROOST_EUNSUPPORTED ? client->client->refusal
                : status == ROOST_ETIMEDOUT  ? "timed out"
                                             : out_of_memory;
  roost_buffer_deinit(&route);
  return status;
}

int roost_cli_client_replies(roost_cli_client *client, roost_slice id,
                             bool (*on_reply_)(void *ud, const roost_reply *reply), void *ud) {
  client->id = id;
  client->on_reply = on_reply_;
  client->ud = ud;
  client->over = false;
  start_timeout(client);
  return wait(client);
}

int roost_cli_client_flush(roost_cli_client *client) {
  uint32_t wait_ms = 0; /* the first turn writes, mostly all of it */
  client->over = false;
  start_timeout(client);
  client->client->ops->free(client->client);
  client->client = NULL;
  while (!client->over) {
    const int status = roost_loop_poll(client->loop, wait_ms);
    wait_ms = WRITE_POLL_MS;
    if (status != 0)
      finish(client, status, "the event loop failed");
    else if (roost_loop_conn_count(client->loop) == 0)
      finish(client, ROOST_OK, "");
    else if (now_ms(client) >= client->deadline_ms)
      finish(client, ROOST_ETIMEDOUT, "timed out");
  }
  return client->status;
}

void roost_cli_client_close(roost_cli_client *client) {
  client->over = true;
  if (client->client != NULL)
    client->client->ops->free(client->client);
  if (client->loop != NULL)
    roost_loop_free(client->loop);
  client->client = NULL;
  client->loop = NULL;
}
