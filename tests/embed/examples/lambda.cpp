// A host in C++: handlers are lambdas, a call is answered by another thread, errors are exceptions.
//
//     lambda     serves, asks itself through roost_request, says what it got
#include <cstdio>
#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <roost.h>

namespace {

roost_slice slice(const std::string &text) { return {text.data(), text.size()}; }

class Host {
public:
  using Handler = std::function<void(roost_call *)>;
  using Reply = std::function<void(int status, std::string data, bool last)>;

  Host() {
    roost_config cfg;
    roost_config_init(&cfg);
    if (const int status = roost_host_new(&host_, &cfg); status != ROOST_OK)
      throw std::runtime_error(roost_status_name(status));
  }
  ~Host() { roost_host_free(host_); }
  Host(const Host &) = delete;
  Host &operator=(const Host &) = delete;

  void handle(const char *pattern, Handler fn) {
    handlers_.push_back(std::make_unique<Handler>(std::move(fn)));
    check(roost_host_handle(host_, pattern, run<Handler, roost_call *>, handlers_.back().get()));
  }

  void request(const std::string &pattern, const std::string &data, Reply fn) {
    auto own = std::make_unique<Reply>(std::move(fn));
    check(roost_request(host_, "local", slice(pattern), slice(data), 30000, on_reply, own.get()));
    own.release(); // on_reply's, until the last
  }

  // From any thread.
  void post(std::function<void()> fn) {
    auto own = std::make_unique<std::function<void()>>(std::move(fn));
    check(roost_host_post(host_, on_post, own.get()));
    own.release();
  }

  bool poll(uint32_t ms) { return check(roost_host_poll(host_, ms)) == 1; }
  void stop() { check(roost_host_stop(host_)); }

private:
  int check(int status) const {
    if (status < 0)
      throw std::runtime_error(roost_host_error(host_));
    return status;
  }

  template <typename Fn, typename... Args> static void run(void *ud, Args... args) {
    (*static_cast<Fn *>(ud))(args...);
  }

  static void on_reply(void *ud, int status, roost_slice data, bool last) {
    auto *fn = static_cast<Reply *>(ud);
    (*fn)(status, data.ptr ? std::string(data.ptr, data.len) : "", last);
    if (last)
      delete fn;
  }

  static void on_post(void *ud, roost_host *) {
    const std::unique_ptr<std::function<void()>> fn(static_cast<std::function<void()> *>(ud));
    (*fn)();
  }

  roost_host *host_ = nullptr;
  std::vector<std::unique_ptr<Handler>> handlers_;
};

bool serve() {
  Host host;
  std::thread worker;
  std::string got;
  int open = 3;
  const auto note = [&](int status, const std::string &data, bool last) {
    got += std::to_string(status) + ":" + data + " ";
    open -= last;
  };
  host.handle("echo", [](roost_call *call) { roost_call_reply(call, roost_call_data(call)); });
  host.handle("no", [](roost_call *call) { roost_call_fail(call, "not today"); });
  host.handle("slow", [&](roost_call *call) { // computed elsewhere, answered here
    worker = std::thread([&host, call] {
      const std::string answer = std::to_string(6 * 7);
      host.post([call, answer] { roost_call_reply(call, slice(answer)); });
    });
  });
  host.request("echo", R"({"a":[1,2]})", note);
  host.request("no", "1", note);
  host.request("slow", "1", note);
  while (open > 0 && host.poll(1000)) {
  }
  worker.join();
  host.stop();
  while (host.poll(1000)) {
  }
  std::printf("%s\n", got.c_str());
  return got == "0:{\"a\":[1,2]} -13:{\"status\":\"error\",\"message\":\"not today\"} 0:42 ";
}

} // namespace

int main() try {
  return serve() ? 0 : 1;
} catch (const std::exception &error) {
  std::fprintf(stderr, "lambda: %s\n", error.what());
  return 1;
}
