/*
 * Connections that one loop accepts for another: there as a job that carries the descriptor, and
 * back when the connection has ended, to be counted no more.
 */
#include <unistd.h>

#include "net/listener_internal.h"

struct roost_guest {
  roost_list link;      /* in the accepting loop's guests, which owns it */
  roost_loop_job job;   /* there, then back */
  roost_loop *home;     /* the loop that has accepted it */
  roost_listener *from; /* the home loop's; NULL: gone */
  roost_listener *to;
  size_t place;   /* of that one's loop */
  int descriptor; /* -1: a connection's, or closed */
  roost_inet_address address;
};

/* On the home loop. */
static void on_left(void *ud) {
  roost_guest *guest = ud;
  if (guest->from != NULL)
    roost_listener_uncount(guest->from, &guest->address, guest->place);
  roost_list_remove(&guest->link);
  roost_alloc_put(guest->home->alloc, guest, sizeof *guest);
}

void roost_guest_leave(roost_guest *guest) {
  guest->job.fn = on_left;
  roost_loop_post_job(guest->home, &guest->job);
}

const char *roost_guest_why(int status) {
  if (status == ROOST_EFULL)
    return "connection_limit";
  return status == ROOST_ENOMEM ? "out of memory" : "the descriptor can't be watched";
}

/* On the other loop. */
static void on_arrived(void *ud) {
  roost_guest *guest = ud;
  roost_listener *to = guest->to;
  const int descriptor = guest->descriptor;
  guest->descriptor = -1;
  const int status = roost_listener_adopt(to, descriptor, &guest->address, guest);
  if (status == 0)
    return;
  close(descriptor);
  roost_listener_refuse(to, status, roost_guest_why(status), &guest->address);
  roost_guest_leave(guest);
}

/* Of several that have as few it is the next in turn. */
size_t roost_guest_place(roost_listener *listener) {
  const size_t count = listener->other_count + 1;
  size_t best = listener->turn;
  for (size_t i = 1; i < count; i++) {
    const size_t at = (listener->turn + i) % count;
    if (listener->held[at] < listener->held[best])
      best = at;
  }
  listener->turn = (best + 1) % count;
  return best;
}

int roost_guest_send(roost_listener *listener, size_t place, int descriptor,
                     const roost_inet_address *from) {
  roost_loop *loop = listener->loop;
  roost_guest *guest = roost_alloc_get(loop->alloc, sizeof *guest);
  if (guest == NULL)
    return ROOST_ENOMEM;
  *guest = (roost_guest){.home = loop,
                         .from = listener,
                         .to = listener->others[place - 1],
                         .place = place,
                         .descriptor = descriptor,
                         .address = *from};
  guest->job = (roost_loop_job){.fn = on_arrived, .ud = guest};
  roost_list_append(&loop->guests, &guest->link);
  roost_loop_post_job(guest->to->loop, &guest->job);
  return 0;
}

void roost_guest_forget_all(const roost_listener *listener) {
  roost_list *guests = &listener->loop->guests;
  for (roost_list *at = guests->next; at != guests; at = at->next) {
    roost_guest *guest = ROOST_LIST_ENTRY(at, roost_guest, link);
    if (guest->from == listener)
      guest->from = NULL;
  }
}

void roost_guest_free_all(roost_loop *loop) {
  while (!roost_list_empty(&loop->guests)) {
    roost_guest *guest = ROOST_LIST_ENTRY(loop->guests.next, roost_guest, link);
    if (guest->descriptor >= 0)
      close(guest->descriptor);
    roost_list_remove(&guest->link);
    roost_alloc_put(loop->alloc, guest, sizeof *guest);
  }
}
