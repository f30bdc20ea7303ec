#include "transport/transport.h"

void roost_server_config_init(roost_server_config *config) {
  *config = (roost_server_config){
      .name = "1",
      .transport = "tcp",
      .host = "localhost",
      .port = 3000,
      .handshake_timeout = 10000,
      .max_buffer_size = 16777216,
      .incomplete_message_timeout = 30000,
      .max_send_buffer_size = 16777216,
      .max_connections = 10000,
      .backlog = 1024,
      .max_in_flight = 1024,
      .max_streams = 65536,
  };
}

void roost_client_config_init(roost_client_config *config) {
  *config = (roost_client_config){
      .transport = "tcp",
      .host = "127.0.0.1",
      .port = 3000,
      .max_buffer_size = 16777216,
      .incomplete_message_timeout = 30000,
      .max_send_buffer_size = 16777216,
  };
}
