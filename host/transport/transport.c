#include "transport/transport.h"

void roost_server_config_init(roost_server_config *config) {
  *config = (roost_server_config){
      .name = "1",
      .transport = "tcp",
      .host = "localhost",
      .port = 3000,
      .handshake_timeout = 10000,
      .max_buffer_size = ROOST_BUFFER_BYTES_DEFAULT,
      .incomplete_message_timeout = 30000,
      .max_send_buffer_size = ROOST_BUFFER_BYTES_DEFAULT,
      .max_connections = 10000,
      .backlog = 1024,
      .max_in_flight = 1024,
      .max_streams = 65536,
  };
}

void roost_server_tell(roost_server *server, roost_server_event event, const roost_address *peer,
                       const char *why) {
  roost_list all;
  roost_list_init(&all);
  if (event == ROOST_SERVER_LISTENING)
    server->listening = true;
  else if (event == ROOST_SERVER_LOST || event == ROOST_SERVER_RETRYING ||
           event == ROOST_SERVER_DRAINING)
    server->listening = false;
  roost_list_move(&all, &server->watchers);
  while (!roost_list_empty(&all)) {
    roost_server_watcher *watcher = ROOST_LIST_ENTRY(all.next, roost_server_watcher, link);
    roost_list_remove(&watcher->link);
    roost_list_append(&server->watchers, &watcher->link);
    watcher->told(watcher, event, peer, why);
  }
}

void roost_server_let_go(roost_server *server) {
  while (!roost_list_empty(&server->watchers)) {
    roost_server_watcher *watcher =
        ROOST_LIST_ENTRY(server->watchers.next, roost_server_watcher, link);
    roost_list_remove(&watcher->link);
    watcher->gone(watcher);
  }
}

void roost_client_config_init(roost_client_config *config) {
  *config = (roost_client_config){
      .transport = "tcp",
      .host = "127.0.0.1",
      .port = 3000,
      .max_buffer_size = ROOST_BUFFER_BYTES_DEFAULT,
      .incomplete_message_timeout = 30000,
      .max_send_buffer_size = ROOST_BUFFER_BYTES_DEFAULT,
  };
}
