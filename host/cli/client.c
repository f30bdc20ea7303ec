#include "cli/client.h"

#include <stdio.h>

#include "core/slice.h"
#include "wire/envelope.h"

#define MAX_REPLY_BYTES ((size_t)1 << 30)
#define LONGEST_POLL_MS 1000
#define WRITE_POLL_MS   20

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

/* ------------------------------------------------------------------------- the connection ---- */

static void take_packet(roost_cli_client *client, roost_slice packet) {
  roost_reply reply;
  const int status = roost_envelope_read_reply(&reply, packet);
  if (status < 0)
    finish(client, ROOST_EPROTO, "a reply is not JSON");
  if (status <= 0 || client->over || client->on_reply == NULL ||
      !roost_slice_equal(reply.id, client->id))
    return;
  start_timeout(client);
  if (!client->on_reply(client->ud, &reply) || reply.last)
    finish(client, ROOST_OK, "");
}

static void on_bytes(void *ud, roost_slice bytes) {
  roost_cli_client *client = ud;
  roost_slice packet;
  int status = 1;
  while (!client->over && (status = roost_frame_read(&client->reader, &bytes, &packet)) == 1)
    take_packet(client, packet);
  if (status == ROOST_ENOMEM)
    finish(client, status, "out of memory");
  else if (status < 0)
    finish(client, ROOST_EPROTO, client->reader.error);
}

static void on_open(void *ud) {
  roost_cli_client *client = ud;
  client->open = true;
  finish(client, ROOST_OK, "");
}

static void on_eof(void *ud) {
  finish(ud, ROOST_EGONE, "Connection closed");
}

static void on_writable(void *ud) {
  (void)ud;
}

static void on_closed(void *ud, int status, const char *why) {
  roost_cli_client *client = ud;
  const bool refused = strncmp(why, "ETLS", 4) == 0; /* maybe only after the handshake */
  (void)status;
  client->conn = NULL;
  snprintf(client->text, sizeof client->text, "%s", why);
  if (client->open && !refused)
    finish(client, ROOST_EGONE, "Connection closed");
  else
    finish(client, ROOST_ECONNECT, client->text);
}

static const roost_conn_ops conn_ops = {.on_open = on_open,
                                        .on_bytes = on_bytes,
                                        .on_eof = on_eof,
                                        .on_writable = on_writable,
                                        .on_closed = on_closed};

/* ------------------------------------------------------------------------- what call does ---- */

int roost_cli_client_open(roost_cli_client *client, const roost_url *url, roost_tls_context *tls,
                          uint64_t timeout_ms) {
  *client = (roost_cli_client){.timeout_ms = timeout_ms, .why = "out of memory"};
  const roost_alloc *alloc = roost_alloc_default();
  roost_frame_reader_init(&client->reader, alloc, ROOST_FRAMING_NEST, MAX_REPLY_BYTES);
  int status = roost_loop_new(&client->loop, alloc, &client->clock);
  if (status == 0)
    status = roost_conn_dial(&client->conn, client->loop, url->host, url->port, timeout_ms,
                             &conn_ops, client);
  if (status == 0 && tls != NULL)
    status = roost_conn_start_tls(client->conn, tls, url->host, timeout_ms);
  if (status != 0)
    return status;
  client->deadline_ms = UINT64_MAX; /* the dial has the time-out */
  return wait(client);
}

int roost_cli_client_send(roost_cli_client *client, roost_slice packet) {
  roost_frame_mark mark;
  roost_buffer *out = roost_conn_out(client->conn);
  int status = roost_frame_begin(out, &mark, ROOST_FRAMING_NEST, 3);
  if (status == 0)
    status = roost_buffer_append_slice(out, packet);
  if (status == 0)
    status = roost_frame_end(out, &mark);
  if (status < 0) {
    client->why = "out of memory";
    return status;
  }
  roost_conn_dirty(client->conn);
  return 0;
}

int roost_cli_client_replies(roost_cli_client *client, roost_slice id,
                             bool (*on_reply)(void *ud, const roost_reply *reply), void *ud) {
  client->id = id;
  client->on_reply = on_reply;
  client->ud = ud;
  client->over = false;
  start_timeout(client);
  return wait(client);
}

int roost_cli_client_flush(roost_cli_client *client) {
  uint32_t wait_ms = 0; /* the first turn writes, mostly all of it */
  client->over = false;
  start_timeout(client);
  while (!client->over) {
    const int status = roost_loop_poll(client->loop, wait_ms);
    wait_ms = WRITE_POLL_MS;
    if (status != 0)
      finish(client, status, "the event loop failed");
    else if (client->conn != NULL && roost_conn_queued(client->conn) == 0)
      finish(client, ROOST_OK, "");
    else if (now_ms(client) >= client->deadline_ms)
      finish(client, ROOST_ETIMEDOUT, "timed out");
  }
  return client->status;
}

void roost_cli_client_close(roost_cli_client *client) {
  client->over = true;
  if (client->conn != NULL)
    roost_conn_close(client->conn);
  if (client->loop != NULL)
    roost_loop_free(client->loop);
  roost_frame_reader_deinit(&client->reader);
  client->loop = NULL;
}
