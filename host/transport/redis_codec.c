/*
 * RESP2 by hiredis' reader, which calls us for each element: its own trees of replies would take a
 * malloc for each. Texts are copied at once, since the reader moves its buffer.
 */
#include "transport/redis_codec.h"

#include <hiredis/read.h>
#include <stdio.h>
#include <string.h>

#include "core/slice.h"

#define KEEP_BYTES 65536 /* of the texts of a reply, for the next */

struct roost_redis_reader {
  const roost_alloc *alloc;
  size_t max_bytes;
  redisReader *reader;
  redisReplyObjectFunctions functions;
  roost_redis_reply reply;           /* being read */
  size_t offsets[ROOST_REDIS_ITEMS]; /* of its texts, in text */
  roost_buffer text;                 /* what they are copied to */
  bool is_whole;                     /* the reply has been handed out: the next begins anew */
  bool no_memory;                    /* for a text */
  char why[sizeof((redisReader *)0)->errstr + 32];
};

/* The item an element is to be kept as; NULL: it is not kept. */
static roost_redis_item *item_of(roost_redis_reader *self, const redisReadTask *task, size_t *at) {
  if (task->parent == NULL)
    *at = 0;
  else if (task->parent->parent == NULL)
    *at = (size_t)task->idx;
  else
    return NULL; /* within an array of an array: nothing that is asked for answers so */
  if (task->parent == NULL)
    self->reply.count = 1;
  return *at < ROOST_REDIS_ITEMS ? &self->reply.items[*at] : NULL;
}

static roost_redis_reader *self_of(const redisReadTask *task) {
  return task->privdata;
}

static void *create_text(const redisReadTask *task, char *text, size_t len) {
  roost_redis_reader *self = self_of(task);
  size_t at;
  roost_redis_item *item = item_of(self, task, &at);
  if (item == NULL)
    return self;
  if (roost_buffer_append(&self->text, text, len) != 0) {
    self->no_memory = true;
    return NULL;
  }
  item->kind = task->type == REDIS_REPLY_STATUS  ? ROOST_REDIS_STATUS
               : task->type == REDIS_REPLY_ERROR ? ROOST_REDIS_ERROR
                                                 : ROOST_REDIS_STRING;
  item->text.len = len;
  self->offsets[at] = self->text.len - len;
  return self;
}

static void *create_array(const redisReadTask *task, int count) {
  roost_redis_reader *self = self_of(task);
  size_t at;
  roost_redis_item *item;
  if (task->parent == NULL) {
    self->reply.is_array = true;
    self->reply.count = count > 0 ? (size_t)count : 0;
  } else if ((item = item_of(self, task, &at)) != NULL) {
    item->kind = ROOST_REDIS_ARRAY;
  }
  return self;
}

static void *create_integer(const redisReadTask *task, long long value) {
  roost_redis_reader *self = self_of(task);
  size_t at;
  roost_redis_item *item = item_of(self, task, &at);
  if (item != NULL) {
    item->kind = ROOST_REDIS_INTEGER;
    item->integer = value;
  }
  return self;
}

static void *create_nil(const redisReadTask *task) {
  size_t at;
  (void)item_of(self_of(task), task, &at);
  return self_of(task);
}

/* Elements are no objects of their own. */
static void free_nothing(void *object) {
  (void)object;
}

int roost_redis_reader_new(roost_redis_reader **out, const roost_alloc *alloc, size_t max_bytes) {
  roost_redis_reader *self = roost_alloc_get(alloc, sizeof *self);
  *out = NULL;
  if (self == NULL)
    return ROOST_ENOMEM;
  self->alloc = alloc;
  self->max_bytes = max_bytes;
  self->functions = (redisReplyObjectFunctions){.createString = create_text,
                                                .createArray = create_array,
                                                .createInteger = create_integer,
                                                .createNil = create_nil,
                                                .freeObject = free_nothing};
  self->reader = redisReaderCreateWithFunctions(&self->functions);
  if (self->reader == NULL) {
    roost_alloc_put(alloc, self, sizeof *self);
    return ROOST_ENOMEM;
  }
  self->reader->privdata = self;
  self->is_whole = true;
  roost_buffer_init(&self->text, alloc);
  *out = self;
  return 0;
}

void roost_redis_reader_free(roost_redis_reader *reader) {
  if (reader == NULL)
    return;
  redisReaderFree(reader->reader);
  roost_buffer_deinit(&reader->text);
  roost_alloc_put(reader->alloc, reader, sizeof *reader);
}

int roost_redis_feed(roost_redis_reader *reader, roost_slice bytes) {
  if (reader->reader->err != 0 || bytes.len == 0)
    return 0; /* the next call of roost_redis_next tells */
  return redisReaderFeed(reader->reader, bytes.ptr, bytes.len) == REDIS_OK ? 0 : ROOST_ENOMEM;
}

/* Bytes that were fed and are of no whole reply yet. */
static size_t unread(const roost_redis_reader *self) {
  return self->reader->len - self->reader->pos + self->text.len;
}

static int failed(roost_redis_reader *self, const char **why) {
  const bool no_memory = self->no_memory || self->reader->err == REDIS_ERR_OOM;
  snprintf(self->why, sizeof self->why, "%s", no_memory ? "out of memory" : self->reader->errstr);
  *why = self->why;
  return no_memory ? ROOST_ENOMEM : ROOST_EPROTO;
}

static void start_reply(roost_redis_reader *self) {
  self->is_whole = false;
  self->reply = (roost_redis_reply){.is_array = false};
  roost_buffer_clear(&self->text);
  roost_buffer_trim(&self->text, KEEP_BYTES);
}

int roost_redis_next(roost_redis_reader *reader, roost_redis_reply *reply, const char **why) {
  void *whole = NULL;
  if (reader->is_whole)
    start_reply(reader);
  if (redisReaderGetReply(reader->reader, &whole) != REDIS_OK)
    return failed(reader, why);
  if (reader->max_bytes > 0 &&
      (whole != NULL ? reader->text.len : unread(reader)) > reader->max_bytes) {
    *why = "a reply is larger than max_buffer_size";
    return ROOST_EPROTO;
  }
  if (whole == NULL)
    return 0;
  reader->is_whole = true;
  for (size_t i = 0; i < ROOST_REDIS_ITEMS; i++) {
    if (reader->reply.items[i].text.len > 0)
      reader->reply.items[i].text.ptr = reader->text.ptr + reader->offsets[i];
    else
      reader->reply.items[i].text.ptr = "";
  }
  *reply = reader->reply;
  return 1;
}

int roost_redis_command(roost_buffer *out, const roost_slice *args, size_t count) {
  const size_t before = out->len;
  int status = roost_buffer_printf(out, "*%zu\r\n", count);
  for (size_t i = 0; i < count && status == 0; i++) {
    status = roost_buffer_printf(out, "$%zu\r\n", args[i].len);
    if (status == 0)
      status = roost_buffer_append_slice(out, args[i]);
    if (status == 0)
      status = roost_buffer_append(out, "\r\n", 2);
  }
  if (status != 0)
    out->len = before;
  return status;
}

bool roost_redis_is(const roost_redis_item *item, const char *text) {
  return roost_slice_equal(item->text, roost_slice_text(text));
}
