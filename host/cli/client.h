/*
 * cli/client.h - one TCP connection to a host or a Nest server, for call and emit.
 *
 * open, then send, then either replies or flush, then close; each waits until it is done. The
 * struct is the caller's; what it holds is given back by roost_cli_client_close, which must follow
 * an open in any case. One thread.
 */
#ifndef ROOST_CLI_CLIENT_H
#define ROOST_CLI_CLIENT_H

#include "cli/args.h"
#include "net/conn.h"
#include "wire/frame.h"
#include "wire/message.h"

typedef struct roost_cli_client {
  roost_clock clock;
  roost_loop *loop;
  roost_conn *conn; /* NULL: closed, or not yet there */
  roost_frame_reader reader;
  uint64_t timeout_ms;  /* of each wait, 0: none */
  uint64_t deadline_ms; /* of this wait, on the clock */
  bool open;            /* connected, and TLS is there if wanted */
  bool over;            /* what is waited for has happened */
  int status;           /* how it ended */
  const char *why;      /* text for a status that is an error; fixed, or in text */
  char text[256];
  roost_slice id; /* of the request whose replies are waited for; JSON text, borrowed */
  bool (*on_reply)(void *ud, const roost_reply *reply); /* false: enough */
  void *ud;
} roost_cli_client;

/* Connects, and begins TLS where tls (borrowed for the call) is not NULL. Errors, with a text in
 * client->why: ECONNECT, ENOMEM, ESYSTEM. */
int roost_cli_client_open(roost_cli_client *client, const roost_url *url, roost_tls_context *tls,
                          uint64_t timeout_ms);

/* Sends one packet, JSON text. ENOMEM. */
int roost_cli_client_send(roost_cli_client *client, roost_slice packet);

/* Hands every reply to the request with that id to on_reply, until the last. The time-out bounds
 * the wait for each. Errors: ETIMEDOUT, EGONE (the connection was lost), EPROTO (not a packet),
 * ENOMEM. */
int roost_cli_client_replies(roost_cli_client *client, roost_slice id,
                             bool (*on_reply)(void *ud, const roost_reply *reply), void *ud);

/* Waits until all that was sent has been handed to the system. Errors: ETIMEDOUT, EGONE. */
int roost_cli_client_flush(roost_cli_client *client);

void roost_cli_client_close(roost_cli_client *client);

#endif
