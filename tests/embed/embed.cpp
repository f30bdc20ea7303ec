// A C++17 program that uses nothing but roost.h: two hosts, each posted to from its own thread.
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <roost.h>

namespace {

struct Free {
  void operator()(roost_host *host) const { roost_host_free(host); }
};

struct Job {
  std::unique_ptr<roost_host, Free> host;
  std::vector<std::string> lines;
  int posted = 0;
};

void on_log(void *ud, roost_log_level, roost_slice line) {
  static_cast<Job *>(ud)->lines.emplace_back(line.ptr, line.len);
}

void on_post(void *ud, roost_host *host) {
  auto *job = static_cast<Job *>(ud);
  if (++job->posted == 10)
    roost_host_stop(host);
}

bool run(Job &job) {
  roost_config cfg;
  roost_host *host = nullptr;
  roost_config_init(&cfg);
  cfg.log = on_log;
  cfg.log_ud = &job;
  if (roost_host_new(&host, &cfg) != ROOST_OK)
    return false;
  job.host.reset(host);
  std::thread other([&job] {
    for (int i = 0; i < 10; i++)
      roost_host_post(job.host.get(), on_post, &job);
  });
  const bool drained = roost_host_run(host) == ROOST_OK;
  other.join();
  job.host.reset(); // joins the thread that logs
  return drained && job.posted == 10 && !job.lines.empty();
}

} // namespace

int main() {
  Job one;
  Job two;
  const bool passed = run(one) && run(two) && roost_version() > 0;
  std::printf("%d passed, %d failed\n", passed, !passed);
  return passed ? 0 : 1;
}
