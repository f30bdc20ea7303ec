#include "transport/kafka_window.h"

#include <string.h>

#include "core/slice.h"

enum { longest_name = 320 };

static roost_kafka_partition *partition_of(roost_list *link) {
  return ROOST_LIST_ENTRY(link, roost_kafka_partition, link);
}

static roost_kafka_entry *entry_of(roost_list *link) {
  return ROOST_LIST_ENTRY(link, roost_kafka_entry, link);
}

void roost_kafka_window_init(roost_kafka_window *window, const roost_alloc *alloc,
                             roost_wheel *wheel) {
  *window = (roost_kafka_window){.alloc = alloc, .wheel = wheel};
  roost_list_init(&window->partitions);
  roost_list_init(&window->dropped);
  roost_map_init(&window->by_name, alloc);
}

/* ------------------------------------------------------------------------- partitions -------- */

static roost_slice name_of(char name[longest_name], const roost_kafka_place *place) {
  size_t len = strlen(place->topic);
  if (len > longest_name - sizeof place->partition - 1)
    len = longest_name - sizeof place->partition - 1; /* brokers have no longer ones */
  memcpy(name, place->topic, len);
  name[len] = '\0';
  memcpy(name + len + 1, &place->partition, sizeof place->partition);
  return roost_slice_of(name, len + 1 + sizeof place->partition);
}

static void free_partition(roost_kafka_window *window, roost_kafka_partition *partition) {
  roost_list_remove(&partition->link);
  roost_alloc_put_text(window->alloc, (char *)(uintptr_t)partition->place.topic);
  roost_alloc_put(window->alloc, partition, sizeof *partition);
}

int roost_kafka_window_add(roost_kafka_window *window, const roost_kafka_place *place) {
  char name[longest_name];
  roost_kafka_partition *partition = roost_alloc_get(window->alloc, sizeof *partition);
  if (partition == NULL)
    return ROOST_ENOMEM;
  roost_list_init(&partition->entries);
  roost_list_append(&window->partitions, &partition->link);
  partition->place.topic = roost_alloc_text(window->alloc, roost_slice_text(place->topic));
  partition->place.partition = place->partition;
  if (partition->place.topic != NULL &&
      roost_map_set(&window->by_name, name_of(name, place), partition) == 0)
    return 0;
  free_partition(window, partition);
  return ROOST_ENOMEM;
}

roost_kafka_partition *roost_kafka_window_find(const roost_kafka_window *window,
                                               const roost_kafka_place *place) {
  char name[longest_name];
  return roost_map_get(&window->by_name, name_of(name, place));
}

/* ------------------------------------------------------------------------- entries ----------- */

static void free_entry(roost_kafka_window *window, roost_kafka_entry *entry) {
  roost_timer_stop(window->wheel, &entry->retry);
  roost_list_remove(&entry->link);
  roost_kafka_raw_free(entry->raw);
  roost_alloc_put(window->alloc, entry, sizeof *entry);
}

int roost_kafka_window_push(roost_kafka_window *window, roost_kafka_partition *partition,
                            roost_kafka_raw *raw, int64_t offset, size_t bytes, bool event) {
  roost_kafka_entry *entry = roost_alloc_get(window->alloc, sizeof *entry);
  if (entry == NULL)
    return ROOST_ENOMEM;
  entry->partition = partition;
  entry->raw = raw;
  entry->offset = offset;
  entry->bytes = bytes;
  entry->event = event;
  roost_timer_init(&entry->retry, NULL);
  roost_list_append(&partition->entries, &entry->link);
  if (partition->next == NULL)
    partition->next = entry;
  partition->waiting++;
  partition->waiting_bytes += entry->bytes;
  return 0;
}

roost_kafka_entry *roost_kafka_window_ready(roost_kafka_window *window,
                                            roost_kafka_partition *partition) {
  roost_kafka_entry *entry = partition->next;
  if (entry == NULL || partition->alone || (entry->event && partition->busy > 0))
    return NULL;
  partition->next = entry->link.next != &partition->entries ? entry_of(entry->link.next) : NULL;
  partition->waiting--;
  partition->waiting_bytes -= entry->bytes;
  partition->busy++;
  partition->alone = entry->event;
  entry->state = ROOST_KAFKA_RUNNING;
  window->running++;
  return entry;
}

void roost_kafka_window_park(roost_kafka_window *window, roost_kafka_entry *entry) {
  entry->state = ROOST_KAFKA_PARKED;
  if (!entry->partition->dropped)
    window->running--;
}

void roost_kafka_window_unpark(roost_kafka_window *window, roost_kafka_entry *entry) {
  entry->state = ROOST_KAFKA_RUNNING;
  if (!entry->partition->dropped)
    window->running++;
}

/* Goes past those at the front that are done. */
static void advance(roost_kafka_window *window, roost_kafka_partition *partition) {
  while (!roost_list_empty(&partition->entries)) {
    roost_kafka_entry *entry = entry_of(partition->entries.next);
    if (entry->state != ROOST_KAFKA_DONE)
      return;
    partition->place.offset = entry->offset + 1;
    partition->dirty = true;
    free_entry(window, entry);
  }
}

void roost_kafka_window_done(roost_kafka_window *window, roost_kafka_entry *entry) {
  roost_kafka_partition *partition = entry->partition;
  if (partition->dropped) {
    free_entry(window, entry);
    if (roost_list_empty(&partition->entries))
      free_partition(window, partition);
    return;
  }
  if (entry->state == ROOST_KAFKA_RUNNING)
    window->running--;
  entry->state = ROOST_KAFKA_DONE;
  roost_kafka_raw_free(entry->raw);
  entry->raw = NULL;
  partition->busy--;
  partition->alone = false;
  advance(window, partition);
}

/* ------------------------------------------------------------------------- the end ----------- */

static void drop_partition(roost_kafka_window *window, roost_kafka_partition *partition) {
  roost_list *link = partition->entries.next;
  partition->dropped = true;
  while (link != &partition->entries) {
    roost_kafka_entry *entry = entry_of(link);
    link = link->next;
    if (entry->state != ROOST_KAFKA_RUNNING)
      free_entry(window, entry);
  }
  roost_list_remove(&partition->link);
  roost_list_append(&window->dropped, &partition->link);
  if (roost_list_empty(&partition->entries))
    free_partition(window, partition);
}

void roost_kafka_window_drop(roost_kafka_window *window) {
  while (!roost_list_empty(&window->partitions))
    drop_partition(window, partition_of(window->partitions.next));
  roost_map_deinit(&window->by_name);
  roost_map_init(&window->by_name, window->alloc);
  window->running = 0;
}

void roost_kafka_window_deinit(roost_kafka_window *window) {
  roost_kafka_window_drop(window);
  while (!roost_list_empty(&window->dropped)) {
    roost_kafka_partition *partition = partition_of(window->dropped.next);
    while (!roost_list_empty(&partition->entries))
      free_entry(window, entry_of(partition->entries.next));
    free_partition(window, partition);
  }
  roost_map_deinit(&window->by_name);
}

int roost_kafka_window_collect(roost_kafka_window *window, roost_buffer *places) {
  for (roost_list *link = window->partitions.next; link != &window->partitions; link = link->next) {
    roost_kafka_partition *partition = partition_of(link);
    if (!partition->dirty)
      continue;
    if (roost_buffer_append(places, &partition->place, sizeof partition->place) != 0)
      return ROOST_ENOMEM;
    partition->dirty = false;
  }
  return 0;
}
