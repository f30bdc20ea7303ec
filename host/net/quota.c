/*
 * The quota: how long one poll may work, for somebody whose thread has other things to do.
 *
 * Everything that a turn goes through asks between two of its parts whether the quota is used up:
 * posts, deferred hooks, messages of a connection, tasks that are ready, connections to be written.
 * What is left stays in its place. The kernel tells of readable connections always in the same
 * order, so that the last would never be read: those that were passed over go first, and until they
 * have been read the others are not (a round).
 */
#include "net/conn_internal.h"

void roost_loop_set_quota(roost_loop *loop, uint32_t us) {
  loop->quota_us = us;
}

bool roost_loop_is_spent(const roost_loop *loop) {
  return loop->spent_us != 0 && roost_clock_real_us() >= loop->spent_us;
}

uint64_t roost_loop_left_us(const roost_loop *loop) {
  if (loop->spent_us == 0)
    return UINT64_MAX;
  const uint64_t now_us = roost_clock_real_us();
  return now_us < loop->spent_us ? loop->spent_us - now_us : 0;
}

void roost_quota_begin(roost_loop *loop) {
  if (loop->quota_us == 0)
    return;
  /* What has been done by then is still to be written. */
  loop->spent_us = roost_clock_real_us() + loop->quota_us - loop->quota_us / 8;
  loop->catches_up = loop->passed_over;
  loop->passed_over = false;
  loop->reads = 0;
  if (!loop->catches_up)
    loop->round++;
}

void roost_quota_end(roost_loop *loop) {
  loop->spent_us = 0;
  if (loop->quota_us == 0)
    loop->passed_over = false;
}

void roost_quota_run_hooks(roost_loop *loop, roost_list *hooks) {
  while (!roost_list_empty(hooks)) {
    roost_loop_hook *hook = ROOST_LIST_ENTRY(hooks->next, roost_loop_hook, link);
    roost_list_remove(&hook->link);
    hook->fn(hook->ud);
    if (roost_loop_is_spent(loop))
      return;
  }
}

bool roost_conn_has_turn(roost_conn *conn) {
  roost_loop *loop = conn->loop;
  if (loop->spent_us == 0)
    return true;
  if (loop->catches_up && conn->round == loop->round)
    return false;
  if (loop->reads > 0 && roost_loop_is_spent(loop)) {
    loop->passed_over = true;
    return false;
  }
  loop->reads++;
  conn->round = loop->round;
  return true;
}
