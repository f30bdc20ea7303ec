// The same as outside.c in C++, on a loop of its own: it polls.
#include <cstdio>
#include <memory>
#include <stdexcept>

#include <roost.h>

namespace {

void on_echo(void *, roost_call *call) { roost_call_reply(call, roost_call_data(call)); }

void on_reload(void *ud, roost_call *call) {
  auto *host = static_cast<roost_host *>(ud);
  if (roost_host_reload(host, nullptr) != ROOST_OK)
    roost_call_fail(call, roost_host_error(host));
  else
    roost_call_reply(call, {"true", 4});
}

void on_stop(void *ud, roost_call *call) {
  roost_host_stop(static_cast<roost_host *>(ud));
  roost_call_reply(call, {nullptr, 0});
}

void serve(const char *services) {
  roost_config cfg;
  roost_host *made = nullptr;
  roost_config_init(&cfg);
  cfg.services = services;
  if (roost_host_new(&made, &cfg) != ROOST_OK)
    throw std::runtime_error("no host");
  const std::unique_ptr<roost_host, void (*)(roost_host *)> host(made, roost_host_free);
  const auto check = [&host](int status) {
    if (status < 0)
      throw std::runtime_error(roost_host_error(host.get()));
    return status;
  };
  for (const char *key : {"servers.1.port", "admin.http", "admin.socket"})
    check(roost_host_set(host.get(), key, key[0] == 's' ? "0" : "false"));
  check(roost_host_handle(host.get(), "{\"cmd\":\"echo\"}", on_echo, nullptr));
  check(roost_host_handle(host.get(), "reload", on_reload, host.get()));
  check(roost_host_handle(host.get(), "stop", on_stop, host.get()));
  check(roost_host_load_config(host.get(), nullptr));
  std::printf("%d\n", roost_host_port(host.get(), 0));
  std::fflush(stdout);
  while (check(roost_host_poll(host.get(), 1000)) == 1) {
  }
}

} // namespace

int main(int argc, char **argv) try {
  serve(argc > 1 ? argv[1] : nullptr);
  return 0;
} catch (const std::exception &error) {
  std::fprintf(stderr, "outside: %s\n", error.what());
  return 1;
}
