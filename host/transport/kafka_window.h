/*
 * transport/kafka_window.h - the records of a server's partitions, from their arrival until their
 * offsets may be committed. No librdkafka in it but for the records' handles.
 *
 * Start reading at roost_kafka_window_ready. Entry: one record. It waits, runs (its handlers do, or
 * it is on its way to the dead letters), is parked (to be tried again), and is done. A partition's
 * offset goes past the records that are done, none of them after one that is not: what was not done
 * when a host ends comes again.
 * Order: an event is handled alone: what came before it in its partition is done, what comes after
 * it waits. Requests run at the same time.
 * The window owns its partitions and entries; an entry that runs outlives the drop of its
 * partition. One thread.
 */
#ifndef ROOST_TRANSPORT_KAFKA_WINDOW_H
#define ROOST_TRANSPORT_KAFKA_WINDOW_H

#include "core/list.h"
#include "core/map.h"
#include "core/wheel.h"
#include "transport/kafka_pair.h"

typedef enum roost_kafka_state {
  ROOST_KAFKA_WAITING,
  ROOST_KAFKA_RUNNING,
  ROOST_KAFKA_PARKED,
  ROOST_KAFKA_DONE
} roost_kafka_state;

typedef struct roost_kafka_entry roost_kafka_entry;

typedef struct roost_kafka_partition {
  roost_list link;         /* in the window's partitions */
  roost_kafka_place place; /* offset: of the record that is to be committed next, where dirty */
  roost_list entries;      /* by offset; those that wait are the last ones */
  roost_kafka_entry *next; /* the first that waits; NULL: none does */
  size_t waiting;
  size_t waiting_bytes;
  size_t busy;  /* entries that run or are parked */
  bool alone;   /* the one of them is an event */
  bool paused;  /* the consumer's: nothing more is read of it */
  bool dirty;   /* the offset has moved since roost_kafka_window_collect */
  bool dropped; /* it is somebody else's now; freed with its last entry */
} roost_kafka_partition;

struct roost_kafka_entry {
  roost_list link; /* in partition->entries */
  roost_kafka_partition *partition;
  roost_kafka_raw *raw; /* owned; NULL: not needed any more */
  int64_t offset;
  size_t bytes;
  roost_timer retry; /* its user's, where it is parked */
  void *ud;          /* likewise */
  unsigned attempts; /* that have failed */
  roost_kafka_state state;
  bool event;
};

typedef struct roost_kafka_window {
  const roost_alloc *alloc;
  roost_wheel *wheel;
  roost_list partitions;
  roost_map by_name;  /* of the partitions: topic, NUL, number */
  roost_list dropped; /* partitions whose entries run on */
  size_t running;     /* entries, those of dropped partitions not counted */
} roost_kafka_window;

void roost_kafka_window_init(roost_kafka_window *window, const roost_alloc *alloc,
                             roost_wheel *wheel);

/* Frees all, also entries that run. */
void roost_kafka_window_deinit(roost_kafka_window *window);

/* ENOMEM. */
int roost_kafka_window_add(roost_kafka_window *window, const roost_kafka_place *place);

/* NULL: it is none of ours. */
roost_kafka_partition *roost_kafka_window_find(const roost_kafka_window *window,
                                               const roost_kafka_place *place);

/* Takes the record, which waits, with its offset and size. ENOMEM: it is still the caller's. */
int roost_kafka_window_push(roost_kafka_window *window, roost_kafka_partition *partition,
                            roost_kafka_raw *raw, int64_t offset, size_t bytes, bool event);

/* The next record of the partition that may be handled, which runs from now on; NULL: none may. */
roost_kafka_entry *roost_kafka_window_ready(roost_kafka_window *window,
                                            roost_kafka_partition *partition);

/* It has run, and is to be tried again when it is unparked. */
void roost_kafka_window_park(roost_kafka_window *window, roost_kafka_entry *entry);

/* It runs again. */
void roost_kafka_window_unpark(roost_kafka_window *window, roost_kafka_entry *entry);

/* It is done with; the entry is not to be used any more. */
void roost_kafka_window_done(roost_kafka_window *window, roost_kafka_entry *entry);

/* The partitions belong to somebody else: what waits or is parked is forgotten. */
void roost_kafka_window_drop(roost_kafka_window *window);

/* Appends a roost_kafka_place for each partition whose offset has moved. ENOMEM: the rest is
 * appended by the next call. */
int roost_kafka_window_collect(roost_kafka_window *window, roost_buffer *places);

#endif
