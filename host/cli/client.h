/*
 * cli/client.h - one client of any transport, for call and emit.
 *
 * open, then send, then either replies or flush, then close; each waits until it is done. The
 * struct is the caller's; what it holds is given back by roost_cli_client_close, which must follow
 * an open in any case. One thread.
 */
#ifndef ROOST_CLI_CLIENT_H
#define ROOST_CLI_CLIENT_H

#include "transport/transport.h"

typedef struct roost_cli_client {
  roost_clock clock;
  roost_loop *loop;
  roost_client *client; /* NULL: not made, or done with */
  uint64_t timeout_ms;  /* of each wait, 0: none */
  uint64_t deadline_ms; /* of this wait, on the clock */
  bool open;            /* connected */
  bool over;            /* what is waited for has happened */
  int status;           /* how it ended */
  const char *why;      /* text for a status that is an error; fixed, or in text */
  char text[256];
  roost_slice id; /* of the request whose replies are waited for; JSON text, borrowed */
  bool (*on_reply)(void *ud, const roost_reply *reply); /* false: enough */
  void *ud;
} roost_cli_client;

/* Connects; config is borrowed until close, its transport is in this build. Errors, with a text in
 * client->why: ECONNECT, ENOMEM, ESYSTEM. */
int roost_cli_client_open(roost_cli_client *client, const roost_client_config *config,
                          uint64_t timeout_ms);

/* Sends a request, or an event where it has no id. ENOMEM, EUNSUPPORTED. */
int roost_cli_client_send(roost_cli_client *client, const roost_message *message);

/* Hands every reply to the request with that id to on_reply, until the last. The time-out bounds
 * the wait for each. Errors: ETIMEDOUT, EGONE (the connection was lost), EPROTO (not a packet),
 * ENOMEM. */
int roost_cli_client_replies(roost_cli_client *client, roost_slice id,
                             bool (*on_reply)(void *ud, const roost_reply *reply), void *ud);

/* Ends the connection once all that was sent has been handed over. Errors: ETIMEDOUT, EGONE. */
int roost_cli_client_flush(roost_cli_client *client);

void roost_cli_client_close(roost_cli_client *client);

#endif
